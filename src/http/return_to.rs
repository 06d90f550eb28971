//! Where a login leads back to: a path of our own, checked once and emitted byte for byte
//! (attack list 4a, 6.1).

use url::Url;

use super::path::RequestPath;
use crate::config::Origin;

/// A path of ours, with query and fragment, that no URL parser reads as anything else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReturnTo(String);

impl ReturnTo {
    /// The longest value, in bytes: it lives in the transaction's cookie.
    pub const MAX_BYTES: usize = 1024;

    /// Accepts a path of `origin`, never one under `base_path` (a login that returns to a login,
    /// a logout). `None` for everything else; callers then use [`ReturnTo::root`].
    pub fn parse(value: &str, origin: &Origin, base_path: &str) -> Option<Self> {
        if value.len() > Self::MAX_BYTES || !value.bytes().all(|byte| byte.is_ascii_graphic()) {
            return None;
        }
        let path_end = value.find(['?', '#']).unwrap_or(value.len());
        let path = RequestPath::parse(value.get(..path_end)?).ok()?;
        if path.is_within(base_path) {
            return None;
        }
        // The browser's own rules have the last word: what they would change isn't accepted, so
        // what is emitted is what was validated (CVE-2026-107369).
        let url = Url::parse(&format!("{}{value}", origin.serialized)).ok()?;
        let unchanged = url.as_str().strip_prefix(origin.serialized.as_str()) == Some(value);
        unchanged.then(|| Self(value.to_owned()))
    }

    /// `/`.
    pub fn root() -> Self {
        Self("/".to_owned())
    }

    /// The path as it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<ReturnTo> for String {
    fn from(value: ReturnTo) -> Self {
        value.0
    }
}

#[cfg(test)]
mod tests;
