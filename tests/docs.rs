//! `docs/conformance.md` names tests: each must be there, in the file that the row says.

use std::{collections::BTreeMap, fs, path::Path};

/// The texts in backticks of a table's cell, the files among them with their tests.
fn named(cell: &str) -> Vec<(&str, Vec<&str>)> {
    let mut files: Vec<(&str, Vec<&str>)> = Vec::new();
    for text in cell.split('`').skip(1).step_by(2) {
        let is_file = (text.ends_with(".rs") || text.ends_with(".mjs")) && text.contains('/');
        match files.last_mut() {
            _ if is_file => files.push((text, Vec::new())),
            Some((_, tests)) => tests.push(text),
            None => {}
        }
    }
    files
}

fn has_test(file: &str, source: &str, name: &str) -> bool {
    if Path::new(file).extension().is_some_and(|extension| extension == "mjs") {
        return source
            .lines()
            .any(|line| line.trim_start().starts_with("test(") && line.contains(name));
    }
    source.contains(&format!("fn {name}("))
}

#[test]
fn every_test_that_the_conformance_table_names_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: &str| fs::read_to_string(root.join(path));
    let table = read("docs/conformance.md").expect("the table is there");
    let mut sources: BTreeMap<&str, String> = BTreeMap::new();
    let mut missing = Vec::new();
    let mut found = 0;
    for line in table.lines().filter(|line| line.starts_with('|')) {
        let cell = line.trim_end_matches('|').rsplit(" | ").next().unwrap_or_default();
        for (file, tests) in named(cell) {
            let source = sources.entry(file).or_insert_with(|| read(file).unwrap_or_default());
            for test in tests {
                found += 1;
                if !has_test(file, source, test) {
                    missing.push(format!("{file}: {test}"));
                }
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
    assert!(found > 300, "only {found} tests are named: is the table still read?");
}
