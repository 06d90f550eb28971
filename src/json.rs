//! Reads and writes JSON: what we stored and what our halves say to each other; more strictly, by
//! way of [`read_strict`], what strangers send and what the operator wrote.
//!
//! A text is read into a tree first, whatever it is to be, and the tree into a type: what reads a text
//! is there once and not for every type, and that nothing fits is said without words, since nobody
//! reads them. (The words would bring the writer of fractions along.) So a member that the type doesn't
//! know has to be readable JSON too.
//!
//! A struct is read from an object and from nothing else. What serde derives would take an array of
//! the members' values as well, by their order; nobody here writes one, and for every struct the
//! code that reads it would be there twice.

mod strict;
mod tree;

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use self::tree::Tree;
pub(crate) use self::{strict::read_strict, tree::Unreadable};

/// Reads a value, and nothing after it.
///
/// # Errors
///
/// Where the text isn't JSON or isn't a `T`.
pub(crate) fn read<'de, T: Deserialize<'de>>(text: &'de [u8]) -> Result<T, Unreadable> {
    T::deserialize(text_as::<Tree<'de>>(text).map_err(|_| Unreadable)?)
}

/// Reads what was read as a value first, since it may be another's (a later release's).
///
/// # Errors
///
/// Where it isn't a `T`.
pub(crate) fn from_value<T: DeserializeOwned>(value: &Value) -> Result<T, Unreadable> {
    // By way of its text: a value has readers of its own, one more for every type that is in it.
    read(write(value).as_bytes())
}

/// Writes a value. `Value`'s own `to_string` would bring two more writers, one for people.
pub(crate) fn write(value: &Value) -> String {
    // A value's names are texts: nothing in it can fail to be written.
    serde_json::to_string(value).unwrap_or_default()
}

/// A whole text, as one of the two trees.
fn text_as<'de, T: Deserialize<'de>>(text: &'de [u8]) -> Result<T, serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_slice(text);
    let tree = T::deserialize(&mut reader)?;
    reader.end()?;
    Ok(tree)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    struct Inner {
        n: u8,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    struct Id(String);

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(rename_all = "snake_case")]
    enum Choice {
        Plain,
        Wrapped(Inner),
        Named { inner: Inner },
        Pair(u8, Inner),
    }

    #[derive(Debug, Default, Deserialize, PartialEq)]
    #[serde(default)]
    struct Outer {
        id: Option<Id>,
        inner: Option<Inner>,
        list: Vec<Inner>,
        map: BTreeMap<String, Inner>,
        pair: Option<(u8, Inner)>,
        choices: Vec<Choice>,
        value: Value,
    }

    #[test]
    fn whatever_a_struct_may_hold_is_read() {
        let text = r#"{ "id": "a\n", "inner": { "n": 1 }, "list": [{ "n": 2 }], "map": { "k": { "n": 3 } },
            "pair": [4, { "n": 5 }], "value": [1, { "x": [null] }],
            "choices": ["plain", { "wrapped": { "n": 6 } }, { "named": { "inner": { "n": 7 } } },
                        { "pair": [8, { "n": 9 }] }], "unknown": [{}] }"#;
        let expected = Outer {
            id: Some(Id("a\n".to_owned())),
            inner: Some(Inner { n: 1 }),
            list: vec![Inner { n: 2 }],
            map: BTreeMap::from([("k".to_owned(), Inner { n: 3 })]),
            pair: Some((4, Inner { n: 5 })),
            choices: vec![
                Choice::Plain,
                Choice::Wrapped(Inner { n: 6 }),
                Choice::Named { inner: Inner { n: 7 } },
                Choice::Pair(8, Inner { n: 9 }),
            ],
            value: serde_json::json!([1, { "x": [null] }]),
        };
        assert_eq!(read::<Outer>(text.as_bytes()).unwrap(), expected);
        let value: Value = serde_json::from_str(text).unwrap();
        assert_eq!(from_value::<Outer>(&value).unwrap(), expected);
        assert_eq!(read::<Outer>(br#"{ "id": null, "inner": null }"#).unwrap(), Outer::default());
    }

    #[test]
    fn an_array_is_no_struct_wherever_it_stands() {
        for text in [
            "[null]",
            r#"{ "inner": [1] }"#,
            r#"{ "list": [[1]] }"#,
            r#"{ "map": { "k": [1] } }"#,
            r#"{ "pair": [1, [1]] }"#,
            r#"{ "choices": [{ "wrapped": [1] }] }"#,
            r#"{ "choices": [{ "named": [{ "n": 1 }] }] }"#,
            r#"{ "choices": [{ "named": { "inner": [1] } }] }"#,
            r#"{ "choices": [{ "pair": [1, [1]] }] }"#,
        ] {
            // What serde derives alone takes it.
            assert!(serde_json::from_str::<Outer>(text).is_ok(), "{text}");
            assert!(read::<Outer>(text.as_bytes()).is_err(), "{text}");
            let value: Value = serde_json::from_str(text).unwrap();
            assert!(from_value::<Outer>(&value).is_err(), "{text}");
        }
    }

    #[test]
    fn any_value_is_what_serde_json_reads() {
        for text in [
            "null",
            "true",
            "0",
            "-1",
            "18446744073709551615",
            "-9223372036854775808",
            "18446744073709551616",
            "-0",
            "0.05",
            "1e300",
            r#""""#,
            r#""a\n\u00e9\ud83d\ude00é""#,
            "[]",
            "{}",
            r#"[[1, [2]], {"a": {"b": []}, "c": null}]"#,
            r#"{"a": 1, "a": 2}"#,
            " [1] ",
            "[1,]",
            "{\"a\"}",
            "\"\u{1}\"",
            "nul",
            "1e999",
            "",
            &"[".repeat(200),
            &format!("{}{}", "[".repeat(200), "]".repeat(200)),
        ] {
            let expected = serde_json::from_str::<Value>(text).ok();
            assert_eq!(read::<Value>(text.as_bytes()).ok(), expected, "{text}");
        }
    }

    #[test]
    fn what_fits_no_field_is_unreadable() {
        for text in [
            r#"{ "n": 256 }"#,
            r#"{ "n": -1 }"#,
            r#"{ "n": 1.0 }"#,
            r#"{ "n": "1" }"#,
            r#"{ "n": null }"#,
            r#"{ "n": 1, "n": 1 }"#,
            r#"{ "n": 1, "x": 1e999 }"#,
            r#"{ "n": 1, "x": "\ud800" }"#,
            &format!(r#"{{ "n": 1, "x": {}{} }}"#, "[".repeat(200), "]".repeat(200)),
            "{}",
            "null",
            "1",
            "\"n\"",
        ] {
            assert_eq!(read::<Inner>(text.as_bytes()), Err(Unreadable), "{text}");
        }
        for text in [
            r#""other""#,
            r#""wrapped""#,
            r#"{ "plain": 1 }"#,
            r#"{ "pair": [8, { "n": 9 }, 1] }"#,
            r#"{ "pair": [8] }"#,
            r#"{ "wrapped": { "n": 6 }, "plain": null }"#,
            "{}",
            "[]",
        ] {
            assert_eq!(read::<Choice>(text.as_bytes()), Err(Unreadable), "{text}");
        }
    }

    #[test]
    fn a_text_without_escapes_is_borrowed() {
        assert_eq!(read::<&str>(br#""plain""#), Ok("plain"));
        assert_eq!(read::<&str>(br#""a\n""#), Err(Unreadable));
    }

    #[test]
    fn nothing_may_follow() {
        assert!(read::<Inner>(br#"{ "n": 1 } "#).is_ok());
        assert!(read::<Inner>(br#"{ "n": 1 } {}"#).is_err());
        assert!(read::<Inner>(b"").is_err());
    }
}
