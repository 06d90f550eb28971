//! JSON in which no object names a member twice, at any depth.
//!
//! `{"aud":"evil","aud":"me"}` is two documents to two parsers (RFC 8259 §4 leaves open what it
//! would mean, RFC 7519 §4, RFC 8725 §2.4), so it is none here; `serde_json` alone takes the last
//! one in silence. Depth is bounded by `serde_json` (128), size by the caller.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Number, Value};

/// Reads a value in which no object names a member twice, and nothing after it.
///
/// # Errors
///
/// Says what and where, and shows nothing of the text but a repeated name.
pub(crate) fn read_strict(text: &[u8]) -> Result<Value, serde_json::Error> {
    super::text_as::<Strict>(text).map(|strict| strict.0)
}

/// A [`Value`] without repeated names.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Strict)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Strict(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut table = Map::new();
        while let Some((name, Strict(value))) = members.next_entry::<String, Strict>()? {
            if table.contains_key(&name) {
                return Err(A::Error::custom(format_args!("the key {name:?} twice")));
            }
            table.insert(name, value);
        }
        Ok(Value::Object(table))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strict_json_is_the_value_that_serde_json_reads() {
        for text in ["null", "true", "-3", "7", "0.05", "1e2", r#""a\nb""#, r#"[1,{"a":[]}]"#] {
            let lenient: Value = serde_json::from_str(text).unwrap();
            assert_eq!(read_strict(text.as_bytes()).unwrap(), lenient, "{text}");
        }
    }

    #[test]
    fn a_name_that_stands_twice_is_refused() {
        for text in [r#"{"a":1,"a":2}"#, r#"[{"b":{"a":1,"a":1}}]"#, r#"{"a":1,"\u0061":2}"#] {
            let error = read_strict(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains("the key \"a\" twice"), "{text}: {error}");
        }
    }

    #[test]
    fn an_error_shows_nothing_of_the_text() {
        for text in
            [r#"{"client_secret": "hunter2"#, "hunter2", r#"{"a": hunter2}"#, "[1,] hunter2"]
        {
            let error = read_strict(text.as_bytes()).unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
