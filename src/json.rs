//! Reads and writes JSON: what we stored and what our halves say to each other; more strictly, by
//! way of [`read_strict`], what strangers send and what the operator wrote.
//!
//! A struct is read from an object and from nothing else. What serde derives would take an array of
//! the members' values as well, by their order; nobody here writes one, and for every struct the
//! code that reads it would be there twice.

mod strict;

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{
        DeserializeOwned, DeserializeSeed, EnumAccess, MapAccess, SeqAccess, VariantAccess, Visitor,
    },
};
use serde_json::Value;

pub(crate) use self::strict::read_strict;

/// Reads a value, and nothing after it.
///
/// # Errors
///
/// Where the text isn't JSON or isn't a `T`.
pub(crate) fn read<'de, T: Deserialize<'de>>(text: &'de [u8]) -> Result<T, serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_slice(text);
    let value = T::deserialize(Objects(&mut reader))?;
    reader.end()?;
    Ok(value)
}

/// Reads what was read as a value first, since it may be another's (a later release's).
///
/// # Errors
///
/// Where it isn't a `T`.
pub(crate) fn from_value<T: DeserializeOwned>(value: &Value) -> Result<T, serde_json::Error> {
    // By way of its text: a value has readers of its own, one more for every type that is in it.
    read(write(value).as_bytes())
}

/// Writes a value. `Value`'s own `to_string` would bring two more writers, one for people.
pub(crate) fn write(value: &Value) -> String {
    // A value's names are texts: nothing in it can fail to be written.
    serde_json::to_string(value).unwrap_or_default()
}

/// A deserializer, a seed, a visitor or an access to members, all the way down.
struct Objects<T>(T);

/// A visitor of one kind of value, so that the code for the others isn't there.
struct Map<V>(V);
struct Seq<V>(V);
struct Opt<V>(V);
struct Newtype<V>(V);
struct Enum<V>(V);

/// What holds no struct of ours is read as it is.
macro_rules! as_it_is {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
            self.0.$method(visitor)
        }
    )*};
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Objects<D> {
    type Error = D::Error;

    as_it_is! {
        deserialize_any deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32
        deserialize_i64 deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64
        deserialize_f32 deserialize_f64 deserialize_char deserialize_str deserialize_string
        deserialize_bytes deserialize_byte_buf deserialize_unit deserialize_identifier
        deserialize_ignored_any
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_map(Map(visitor))
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_map(Map(visitor))
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_seq(Seq(visitor))
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_tuple(len, Seq(visitor))
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_tuple_struct(name, len, Seq(visitor))
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_unit_struct(name, visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_option(Opt(visitor))
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_newtype_struct(name, Newtype(visitor))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_enum(name, variants, Enum(visitor))
    }
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Map<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(f)
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<V::Value, A::Error> {
        self.0.visit_map(Objects(members))
    }
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Seq<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(f)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, elements: A) -> Result<V::Value, A::Error> {
        self.0.visit_seq(Objects(elements))
    }
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Opt<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(f)
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<V::Value, E> {
        self.0.visit_none()
    }

    fn visit_none<E: serde::de::Error>(self) -> Result<V::Value, E> {
        self.0.visit_none()
    }

    fn visit_some<D: Deserializer<'de>>(self, value: D) -> Result<V::Value, D::Error> {
        self.0.visit_some(Objects(value))
    }
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Newtype<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(f)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        self.0.visit_newtype_struct(Objects(inner))
    }
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Enum<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(f)
    }

    fn visit_enum<A: EnumAccess<'de>>(self, variant: A) -> Result<V::Value, A::Error> {
        self.0.visit_enum(Objects(variant))
    }
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Objects<S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<S::Value, D::Error> {
        self.0.deserialize(Objects(value))
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Objects<A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, A::Error> {
        self.0.next_key_seed(seed)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        self.0.next_value_seed(Objects(seed))
    }
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Objects<A> {
    type Error = A::Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, A::Error> {
        self.0.next_element_seed(Objects(seed))
    }
}

impl<'de, A: EnumAccess<'de>> EnumAccess<'de> for Objects<A> {
    type Error = A::Error;
    type Variant = Objects<A::Variant>;

    fn variant_seed<S: DeserializeSeed<'de>>(
        self,
        seed: S,
    ) -> Result<(S::Value, Self::Variant), A::Error> {
        self.0.variant_seed(seed).map(|(name, contents)| (name, Objects(contents)))
    }
}

impl<'de, A: VariantAccess<'de>> VariantAccess<'de> for Objects<A> {
    type Error = A::Error;

    fn unit_variant(self) -> Result<(), A::Error> {
        self.0.unit_variant()
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, A::Error> {
        self.0.newtype_variant_seed(Objects(seed))
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, A::Error> {
        self.0.tuple_variant(len, Seq(visitor))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        self.0.newtype_variant_seed(Members(visitor))
    }
}

/// The members of a variant, read as those of a struct are.
struct Members<V>(V);

impl<'de, V: Visitor<'de>> DeserializeSeed<'de> for Members<V> {
    type Value = V::Value;

    fn deserialize<D: Deserializer<'de>>(self, members: D) -> Result<V::Value, D::Error> {
        members.deserialize_map(Map(self.0))
    }
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
    fn nothing_may_follow() {
        assert!(read::<Inner>(br#"{ "n": 1 } "#).is_ok());
        assert!(read::<Inner>(br#"{ "n": 1 } {}"#).is_err());
        assert!(read::<Inner>(b"").is_err());
    }
}
