use serde::Deserialize;

use super::*;
use crate::http::testing::{self, APP};

#[derive(Deserialize)]
struct Case {
    name: String,
    value: String,
    expect: String,
    note: String,
}

fn corpus() -> Vec<Case> {
    serde_json::from_str(include_str!("../../../tests/corpus/headers.json")).unwrap()
}

/// The names that are dropped, and what `Accept-Encoding` says then.
fn edited(headers: &str) -> (Vec<String>, Option<&'static str>) {
    let text = format!("GET\n{APP}/api/x\n{headers}");
    let head = RequestHead::parse(&text).unwrap();
    let edit = edit(&head);
    (edit.dropped(&head).into_iter().map(str::to_owned).collect(), edit.accept_encoding)
}

#[test]
fn the_corpus_of_hostile_headers_stays_here() {
    for case in corpus() {
        let (dropped, _) = edited(&format!("{}: {}\n", case.name, case.value));
        let expected = case.expect == "dropped";
        assert_eq!(!dropped.is_empty(), expected, "{}: {}", case.name, case.note);
    }
}

// CVE-2025-64484, CVE-2026-54763: every spelling of everything that is dropped.
#[test]
fn underscores_and_dots_make_no_other_name() {
    for name in DROPPED.iter().copied().chain(DROPPED_PREFIXES.iter().copied()) {
        let name = if name.ends_with('-') { format!("{name}x") } else { name.to_owned() };
        let dashes = name.matches('-').count().min(6);
        for code in 0..3_usize.pow(u32::try_from(dashes).unwrap()) {
            let mut rest = code;
            let variant: String = name
                .chars()
                .map(|c| {
                    if c != '-' {
                        return c;
                    }
                    let separator = ['-', '_', '.'][rest % 3];
                    rest /= 3;
                    separator
                })
                .collect();
            assert!(is_dropped(&variant), "{variant}");
            assert!(is_dropped(&variant.to_ascii_uppercase()), "{variant}");
        }
    }
}

#[test]
fn the_lists_are_in_the_order_that_the_search_needs() {
    assert!(DROPPED.is_sorted() && DROPPED_PREFIXES.is_sorted());
    for (at, prefix) in DROPPED_PREFIXES.iter().enumerate() {
        let others = DROPPED_PREFIXES.iter().enumerate().filter(|(other, _)| *other != at);
        for (_, other) in others {
            assert!(!other.starts_with(prefix), "{other} begins with {prefix}");
        }
        assert!(!DROPPED.iter().any(|name| name.starts_with(prefix)), "{prefix}");
    }
}

// The work for a head must not grow with its square: 120 KB of this took a second on wasm.
#[test]
fn thousands_of_connection_options_and_headers_are_looked_up_once_each() {
    let options = "zzzz,".repeat(100_000);
    let headers = (0..100_000).map(|at| format!("{at:05}: 1\n")).collect::<String>();
    let (dropped, _) = edited(&format!("connection: {options}00042\n{headers}"));
    assert_eq!(dropped, ["connection", "00042"]);
}

// CVE-2024-45410, attack list H3: what Connection names is dropped, what we set is not.
#[test]
fn connection_cannot_take_away_what_we_set() {
    let headers = "connection: close, Authorization, X-Csrf,x-app , Accept-Encoding\n\
                   x-csrf: 1\nx-app: 2\nx-other: 3\naccept-encoding: gzip\nauthorization: Bearer stolen\n";
    let (dropped, set) = edited(headers);
    assert_eq!(dropped, ["connection", "x-csrf", "x-app", "accept-encoding", "authorization"]);
    assert_eq!(set, Some("gzip"));
}

// CVE-2022-29226: the client's own token never counts as ours.
#[test]
fn a_clients_own_authorization_stays_here() {
    for own in ["Bearer a", "Bearer a, Bearer b", "Basic eA=="] {
        assert_eq!(edited(&format!("authorization: {own}\n")).0, ["authorization"]);
    }
}

#[test]
fn encodings_are_those_that_the_runtime_knows() {
    for (accepted, expected) in [
        ("gzip, deflate, br, zstd", "gzip, br"),
        ("gzip", "gzip"),
        ("br;q=1.0, gzip;q=0", "br"),
        ("br; q=0.0, gzip", "gzip"),
        ("*", "gzip, br"),
        ("zstd", "identity"),
        ("", "identity"),
        ("identity", "identity"),
    ] {
        let (_, set) = edited(&format!("accept-encoding: {accepted}\n"));
        assert_eq!(set, Some(expected), "{accepted}");
    }
    assert_eq!(edited("").1, None);
}

#[test]
fn what_is_not_handed_over_changes_nothing_that_is_not_dropped_anyway() {
    let corpus = corpus();
    let cases = corpus.iter().map(|case| (case.name.to_ascii_lowercase(), case.value.clone()));
    let more = [("connection", "keep-alive"), ("connection", "x-a"), ("upgrade", "websocket")];
    let more = more.map(|(name, value)| (name.to_owned(), value.to_owned()));
    for (name, value) in cases.chain(more) {
        let headers =
            [("cookie", "a=1"), (&*name, &*value), ("x-a", "1"), ("accept-encoding", "gzip")];
        let text: String = headers.map(|(name, value)| format!("{name}: {value}\n")).concat();
        let (part, dropped) = testing::handed_over(&headers);
        let sorted = |mut names: Vec<String>| {
            names.sort_unstable();
            names.dedup();
            names
        };
        let (drop, set) = edited(&text);
        let (part_drop, part_set) = edited(&part);
        assert_eq!(sorted([part_drop, dropped].concat()), sorted(drop), "{name}: {value}");
        assert_eq!(part_set, set, "{name}: {value}");
    }
}
