//! What is wrong with a configuration, told to the operator: where, what was found, what would be
//! right.

use std::fmt;

use serde_json::Value;

/// How much of a value is shown.
const SHOWN_CHARS: usize = 60;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where: the path of the key (`routes[1].upstream.url`), or the name of a variable, secret or
    /// binding.
    pub key: String,
    /// What is there, shortened; never a secret, nor what could be one.
    pub found: String,
    /// What would be right.
    pub expected: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: found {}, expected {}", self.key, self.found, self.expected)
    }
}

/// Everything that is wrong, in the order in which the configuration was read.
///
/// `Display` gives one line a fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigFaults(pub Vec<Fault>);

impl fmt::Display for ConfigFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            fault.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigFaults {}

/// Where the parser puts faults while it reads on.
#[derive(Default)]
pub(super) struct Faults(Vec<Fault>);

impl Faults {
    /// Notes a fault.
    pub(super) fn add(
        &mut self,
        key: impl Into<String>,
        found: impl Into<String>,
        expected: impl Into<String>,
    ) {
        self.0.push(Fault { key: key.into(), found: found.into(), expected: expected.into() });
    }

    /// `config`, if it is there and nothing was wrong on the way.
    pub(super) fn settle<T>(self, config: Option<T>) -> Result<T, ConfigFaults> {
        match config {
            Some(config) if self.0.is_empty() => Ok(config),
            _ => Err(ConfigFaults(self.0)),
        }
    }
}

/// A value for [`Fault::found`]: one line, short, and without the parts of a URL in which
/// passwords and API keys stand (user information, query, fragment).
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => shown_text(text),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "a table".to_owned(),
        other => crate::json::write(other),
    }
}

/// The same for a text.
pub(super) fn shown_text(text: &str) -> String {
    if text.contains('@') {
        return "a text with an @ (not shown: it could hold a password)".to_owned();
    }
    let cut = match text.find(['?', '#']) {
        // The mark itself is one byte long and stays: it is what is wrong as a rule.
        Some(at) => text.get(..=at).unwrap_or_default(),
        None => text,
    };
    let mut short: String = cut.chars().take(SHOWN_CHARS).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    format!("\"{}\"", short.escape_debug())
}

/// What kind of value this is, where the value itself must not be shown.
pub(super) const fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a table",
    }
}
