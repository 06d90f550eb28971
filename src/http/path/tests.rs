use serde::Deserialize;
use url::Url;

use super::*;

#[derive(Deserialize)]
struct Case {
    target: String,
    expect: String,
    note: String,
}

fn corpus() -> Vec<Case> {
    serde_json::from_str(include_str!("../../../tests/corpus/paths.json")).unwrap()
}

fn path_of(target: &str) -> &str {
    target.split('?').next().unwrap()
}

#[test]
fn the_corpus_of_hostile_paths_is_judged_as_written() {
    for case in corpus() {
        let accepted = RequestPath::parse(path_of(&case.target)).is_ok();
        let expected = case.expect == "accepted";
        assert_eq!(accepted, expected, "{:?}: {}", case.target, case.note);
    }
}

/// What an outgoing `fetch` would make of it: the WHATWG rules, by another implementation.
fn whatwg_keeps(path: &str) -> bool {
    let url = Url::parse(&format!("https://api.example.com{path}")).unwrap();
    url.host_str() == Some("api.example.com") && url.path() == path && url.query().is_none()
}

#[test]
fn what_is_accepted_leaves_as_it_came() {
    for case in corpus() {
        if let Ok(path) = RequestPath::parse(path_of(&case.target)) {
            assert!(whatwg_keeps(path.as_str()), "{:?}", case.target);
        }
    }
}

/// Every path of up to five of these pieces: what is accepted is kept byte for byte, and a reader
/// that decodes it (once or twice), cuts parameters and resolves dots ends nowhere else.
#[test]
fn no_combination_of_hostile_pieces_has_a_second_reading() {
    const PIECES: [&str; 17] = [
        "/", "a", ".", "..", "%2e", "%2E", "%2f", "%5c", "%25", "2e", ";", "%3b", "\\", "%20", "%",
        "%00", "é",
    ];
    let mut accepted = 0;
    for code in 0..PIECES.len().pow(5) {
        let mut path = String::from("/");
        let mut rest = code;
        for _ in 0..5 {
            path.push_str(PIECES[rest % PIECES.len()]);
            rest /= PIECES.len();
        }
        if RequestPath::parse(&path).is_err() {
            continue;
        }
        accepted += 1;
        assert!(whatwg_keeps(&path), "{path}");
        for reading in [lenient(&path, 1), lenient(&path, 2), lenient(&path, 3)] {
            let depth = path.matches('/').count();
            assert_eq!(reading.matches('/').count(), depth, "{path} read as {reading}");
            assert!(
                !reading.split('/').any(|segment| segment == "." || segment == ".."),
                "{path} read as {reading}"
            );
        }
    }
    assert!(accepted > 1000, "{accepted}");
}

/// A careless server: decodes `rounds` times, turns backslashes, cuts `;parameters`.
fn lenient(path: &str, rounds: usize) -> String {
    let mut path = path.to_owned();
    for _ in 0..rounds {
        path = percent(&path);
    }
    let path = path.replace('\\', "/");
    path.split('/').map(|s| s.split(';').next().unwrap()).collect::<Vec<_>>().join("/")
}

fn percent(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let code = (bytes[at] == b'%')
            .then(|| text.get(at + 1..at + 3))
            .flatten()
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        out.push(code.unwrap_or(bytes[at]));
        at += if code.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[test]
fn every_byte_is_either_kept_or_refused() {
    for byte in 0..=0x7f_u8 {
        let path = format!("/a{}b", char::from(byte));
        if let Ok(path) = RequestPath::parse(&path) {
            assert!(whatwg_keeps(path.as_str()), "{byte:#x}");
        }
        let encoded = format!("/a%{byte:02x}b");
        let refused = byte < 0x20 || byte == 0x7f || byte == b'/' || byte == b'\\';
        assert_eq!(RequestPath::parse(&encoded).is_err(), refused, "{encoded}");
    }
}

#[test]
fn a_long_path_is_read_in_one_pass() {
    let path = format!("/{}", "a%20/".repeat(3_000));
    assert!(RequestPath::parse(&path).is_ok());
    let path = format!("/{}", "%25".repeat(5_000));
    assert!(RequestPath::parse(&path).is_ok());
    let path = format!("/{}2e", "%25".repeat(5_000));
    assert!(RequestPath::parse(&path).is_err());
}

#[test]
fn within_is_on_a_segments_boundary() {
    for (path, prefix, expected) in [
        ("/api", "/api", true),
        ("/api/", "/api", true),
        ("/api/x", "/api", true),
        ("/apiary", "/api", false),
        ("/api;x", "/api", false),
        ("/x", "", true),
        ("/", "", true),
        ("/ap", "/api", false),
    ] {
        assert_eq!(RequestPath::parse(path).unwrap().is_within(prefix), expected, "{path}");
    }
}
