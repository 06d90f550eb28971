//! JSON objects from strangers: each member once, at every depth.
//!
//! `{"aud":"evil","aud":"me"}` is two documents to two parsers (RFC 7519 §4, RFC 8725 §2.4), so it
//! is none here. Depth is bounded by `serde_json` (128), size by the caller.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Value};

/// Reads an object, and nothing after it.
///
/// # Errors
///
/// [`NotAnObject`] for whatever isn't UTF-8 JSON, isn't an object, or has a member twice.
pub fn object(text: &[u8]) -> Result<Map<String, Value>, NotAnObject> {
    match crate::json::read(text) {
        Ok(Unambiguous(Value::Object(members))) => Ok(members),
        _ => Err(NotAnObject),
    }
}

/// Not a JSON object with each member once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a JSON object with each member once")]
pub struct NotAnObject;

/// A value without a duplicate member anywhere in it.
struct Unambiguous(Value);

impl<'de> Deserialize<'de> for Unambiguous {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(UnambiguousVisitor).map(Self)
    }
}

struct UnambiguousVisitor;

impl<'de> Visitor<'de> for UnambiguousVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON without duplicate members")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(Unambiguous(value)) = elements.next_element()? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some((name, Unambiguous(value))) = entries.next_entry::<String, _>()? {
            if members.insert(name, value).is_some() {
                return Err(A::Error::custom("a member came twice"));
            }
        }
        Ok(Value::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_with_each_member_once_is_read() {
        let read = object(br#" {"a":[1,-2,0.5,"x",null,true],"b":{"a":{}}} "#).unwrap();
        assert_eq!(read["a"], serde_json::json!([1, -2, 0.5, "x", null, true]));
        assert_eq!(read["b"], serde_json::json!({ "a": {} }));
    }

    #[test]
    fn everything_else_is_refused() {
        let deep = format!(r#"{{"a":{}1{}}}"#, "[".repeat(200), "]".repeat(200));
        let cases: [&[u8]; 15] = [
            b"",
            b"null",
            b"[]",
            b"1",
            b"{",
            b"{} {}",
            b"{,}",
            b"{'a':1}",
            b"{\"a\":1,}",
            b"{\"a\":\"\xff\"}",
            br#"{"a":1,"a":1}"#,
            br#"{"a":1,"\u0061":2}"#,
            br#"{"a":{"b":1,"b":2}}"#,
            br#"{"a":[{"b":1,"b":2}]}"#,
            deep.as_bytes(),
        ];
        for case in cases {
            assert_eq!(object(case), Err(NotAnObject), "{}", String::from_utf8_lossy(case));
        }
    }
}
