//! The typed reader: takes fields out of a table by name and type, notes a fault for each that is
//! wrong and goes on, so that ten wrong fields give ten faults.
//!
//! A reader gives a default, or `None`, where it has noted a fault; both are placeholders, since
//! with a fault no configuration is made ([`Faults::settle`]).

use std::{fmt::Write as _, ops::RangeInclusive, time::Duration};

use serde_json::{Map, Value};

use super::fault::{Faults, kind, shown};

/// A value and where it stands.
#[derive(Clone)]
pub(super) struct Field<'a> {
    /// The path of its key.
    pub(super) key: String,
    /// What is there.
    pub(super) value: &'a Value,
}

impl<'a> Field<'a> {
    /// Notes that the value isn't as it should be.
    pub(super) fn refuse(&self, expected: impl Into<String>, faults: &mut Faults) {
        faults.add(self.key.clone(), shown(self.value), expected);
    }

    /// A text that isn't empty.
    pub(super) fn text(&self, expected: &str, faults: &mut Faults) -> Option<&'a str> {
        let text = self.value.as_str().filter(|text| !text.is_empty());
        if text.is_none() {
            self.refuse(expected, faults);
        }
        text
    }

    /// `true` or `false`.
    pub(super) fn flag(&self, faults: &mut Faults) -> Option<bool> {
        let flag = self.value.as_bool();
        if flag.is_none() {
            self.refuse("true or false", faults);
        }
        flag
    }

    /// The items of a list, each with its own path.
    pub(super) fn list(&self, expected: &str, faults: &mut Faults) -> Option<Vec<Self>> {
        let Some(items) = self.value.as_array() else {
            self.refuse(expected, faults);
            return None;
        };
        let item = |(index, value)| Field { key: format!("{}[{index}]", self.key), value };
        Some(items.iter().enumerate().map(item).collect())
    }

    /// A list of texts that aren't empty, none of them twice.
    pub(super) fn texts(&self, expected: &str, faults: &mut Faults) -> Vec<(Self, &'a str)> {
        let mut texts: Vec<(Self, &'a str)> = Vec::new();
        for item in self.list(expected, faults).unwrap_or_default() {
            let Some(text) = item.text("a text", faults) else { continue };
            if texts.iter().any(|(_, earlier)| *earlier == text) {
                item.refuse("each of the list once", faults);
            } else {
                texts.push((item, text));
            }
        }
        texts
    }

    /// The members of a table whose names are free, each with its own path.
    pub(super) fn members(&self, expected: &str, faults: &mut Faults) -> Vec<(&'a str, Self)> {
        let Some(members) = self.value.as_object() else {
            self.refuse(expected, faults);
            return Vec::new();
        };
        let member = |(name, value): (&'a String, &'a Value)| {
            (name.as_str(), Field { key: path(&self.key, name), value })
        };
        members.iter().map(member).collect()
    }

    /// Reads a table with a closed set of keys: those that `read` asks for. Every other key is a
    /// fault; that this can't be forgotten is why reading happens in a closure.
    pub(super) fn table<T>(
        &self,
        faults: &mut Faults,
        read: impl FnOnce(&mut Table<'a>, &mut Faults) -> T,
    ) -> Option<T> {
        let Some(entries) = self.value.as_object() else {
            self.refuse("a table", faults);
            return None;
        };
        let mut table = Table { path: self.key.clone(), entries, known: Vec::new() };
        let result = read(&mut table, faults);
        table.refuse_unknown(faults);
        Some(result)
    }
}

/// A key that holds a span of time.
pub(super) struct Span {
    /// The key's name.
    pub(super) name: &'static str,
    /// In units, where the key isn't there.
    pub(super) default: f64,
    /// The unit.
    pub(super) unit_seconds: f64,
    /// The bounds.
    pub(super) seconds: RangeInclusive<f64>,
    /// The bounds in words.
    pub(super) expected: &'static str,
}

/// A table that is being read.
pub(super) struct Table<'a> {
    path: String,
    entries: &'a Map<String, Value>,
    known: Vec<&'static str>,
}

impl<'a> Table<'a> {
    /// The field of this name, if it is there.
    pub(super) fn field(&mut self, name: &'static str) -> Option<Field<'a>> {
        if !self.known.contains(&name) {
            self.known.push(name);
        }
        self.entries.get(name).map(|value| Field { key: self.key(name), value })
    }

    /// The field of this name; its absence is a fault.
    pub(super) fn required(
        &mut self,
        name: &'static str,
        expected: &str,
        faults: &mut Faults,
    ) -> Option<Field<'a>> {
        let field = self.field(name);
        if field.is_none() {
            faults.add(self.key(name), "nothing", expected);
        }
        field
    }

    /// `true` or `false`, `default` if it isn't there.
    pub(super) fn flag(&mut self, name: &'static str, default: bool, faults: &mut Faults) -> bool {
        self.field(name).and_then(|field| field.flag(faults)).unwrap_or(default)
    }

    /// One of a closed set of words, the first if it isn't there.
    pub(super) fn choice<T: Copy + Default>(
        &mut self,
        name: &'static str,
        choices: &[(&str, T)],
        faults: &mut Faults,
    ) -> T {
        let Some(field) = self.field(name) else { return T::default() };
        let word = field.value.as_str();
        if let Some((_, choice)) = choices.iter().find(|(choice, _)| Some(*choice) == word) {
            return *choice;
        }
        field.refuse(one_of(choices.iter().map(|(choice, _)| *choice)), faults);
        T::default()
    }

    /// A span of time: a number, fractions allowed; kept to the millisecond.
    pub(super) fn span(&mut self, span: &Span, faults: &mut Faults) -> Option<Duration> {
        let mut number = span.default;
        if let Some(field) = self.field(span.name) {
            match field.value.as_f64() {
                Some(given) if span.seconds.contains(&(given * span.unit_seconds)) => {
                    number = given;
                }
                _ => {
                    field.refuse(span.expected, faults);
                    return None;
                }
            }
        }
        let seconds = (number * span.unit_seconds * 1000.0).round() / 1000.0;
        Duration::try_from_secs_f64(seconds).ok()
    }

    /// The path of a key of this table.
    pub(super) fn key(&self, name: &str) -> String {
        path(&self.path, name)
    }

    /// A fault for every key that nobody asked for. The value isn't shown: a secret in the wrong
    /// place is a likely reason.
    fn refuse_unknown(&self, faults: &mut Faults) {
        for (name, value) in self.entries {
            if !self.known.contains(&name.as_str()) {
                faults.add(
                    self.key(name),
                    format!("an unknown key with {}", kind(value)),
                    one_of_keys(&self.known),
                );
            }
        }
    }
}

/// `parent.name`; a name that isn't a bare key of TOML is quoted and shortened, so that a path
/// stays one line.
fn path(parent: &str, name: &str) -> String {
    let is_bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let name = if !name.is_empty() && name.len() <= 60 && name.chars().all(is_bare) {
        name.to_owned()
    } else {
        format!("\"{}\"", name.chars().take(60).collect::<String>().escape_debug())
    };
    if parent.is_empty() { name } else { format!("{parent}.{name}") }
}

/// `"a", "b" or "c"`.
fn one_of<'s>(words: impl ExactSizeIterator<Item = &'s str>) -> String {
    let last = words.len().saturating_sub(1);
    let mut text = String::new();
    for (index, word) in words.enumerate() {
        let separator = match index {
            0 => "",
            index if index == last => " or ",
            _ => ", ",
        };
        // Writing to a String can't fail.
        let _ = write!(text, "{separator}\"{word}\"");
    }
    text
}

fn one_of_keys(known: &[&str]) -> String {
    format!("only keys of this table: {}", known.join(", "))
}
