use serde::Deserialize;

use super::*;
use crate::http::testing::{https_origin, loopback_origin};

#[derive(Deserialize)]
struct Case {
    value: String,
    expect: String,
    note: String,
}

#[test]
fn the_corpus_of_hostile_values_is_judged_as_written() {
    let corpus: Vec<Case> =
        serde_json::from_str(include_str!("../../../tests/corpus/return_to.json")).unwrap();
    for origin in [https_origin(), loopback_origin()] {
        for case in &corpus {
            let parsed = ReturnTo::parse(&case.value, &origin, "/auth");
            assert_eq!(
                parsed.is_some(),
                case.expect == "accepted",
                "{:?}: {}",
                case.value,
                case.note
            );
            // What was validated is what is emitted, and it stays on our origin.
            if let Some(parsed) = parsed {
                assert_eq!(parsed.as_str(), case.value);
                let base = Url::parse(&format!("{}/deep/er", origin.serialized)).unwrap();
                let seen = Url::options().base_url(Some(&base)).parse(parsed.as_str()).unwrap();
                assert_eq!(seen.origin().ascii_serialization(), origin.serialized);
            }
        }
    }
}

#[test]
fn a_value_is_at_most_a_kilobyte() {
    let longest = format!("/{}", "a".repeat(ReturnTo::MAX_BYTES - 1));
    assert!(ReturnTo::parse(&longest, &https_origin(), "/auth").is_some());
    assert!(ReturnTo::parse(&format!("{longest}a"), &https_origin(), "/auth").is_none());
    assert!(ReturnTo::parse(&"/a".repeat(8_192), &https_origin(), "/auth").is_none());
}

#[test]
fn the_way_out_is_the_root() {
    assert_eq!(String::from(ReturnTo::root()), "/");
}

// CVE-2025-67716: the value is data for us; encoding it into a URL is the emitter's duty.
#[test]
fn parameters_in_a_value_stay_where_they_are() {
    let value = "/a&scope=admin&redirect_uri=x";
    assert_eq!(ReturnTo::parse(value, &https_origin(), "/auth").unwrap().as_str(), value);
}
