//! JSON objects from strangers: each member once, at every depth.
//!
//! See `crate::json::read_strict` for why.

use serde_json::{Map, Value};

/// Reads an object, and nothing after it.
///
/// # Errors
///
/// [`NotAnObject`] for whatever isn't UTF-8 JSON, isn't an object, or has a member twice.
pub fn object(text: &[u8]) -> Result<Map<String, Value>, NotAnObject> {
    match crate::json::read_strict(text) {
        Ok(Value::Object(members)) => Ok(members),
        _ => Err(NotAnObject),
    }
}

/// Not a JSON object with each member once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a JSON object with each member once")]
pub struct NotAnObject;

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
