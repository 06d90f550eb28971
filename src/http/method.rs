//! The methods that Tokenkeep passes (RFC 9110 §9.3, RFC 5789): a closed list.
//!
//! The `worker` crate's own type turns every unknown verb into `GET`; ours refuses it.

use serde::{Deserialize, Serialize};

/// A request method from the allow-list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// `GET`
    Get,
    /// `HEAD`
    Head,
    /// `POST`
    Post,
    /// `PUT`
    Put,
    /// `PATCH`
    Patch,
    /// `DELETE`
    Delete,
    /// `OPTIONS`
    Options,
}

impl Method {
    /// All of them, in the order of the RFCs.
    pub const ALL: [Self; 7] =
        [Self::Get, Self::Head, Self::Post, Self::Put, Self::Patch, Self::Delete, Self::Options];

    /// The method of exactly this name; methods are case-sensitive (RFC 9110 §9.1).
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.as_str() == name)
    }

    /// The name as it stands on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
            Self::Options => "OPTIONS",
        }
    }

    /// Safe (RFC 9110 §9.2.1).
    pub const fn is_safe(self) -> bool {
        matches!(self, Self::Get | Self::Head | Self::Options)
    }

    /// Idempotent (RFC 9110 §9.2.2).
    pub const fn is_idempotent(self) -> bool {
        self.is_safe() || matches!(self, Self::Put | Self::Delete)
    }
}

/// The value of `Allow` for these methods.
pub(crate) fn allow(methods: &[Method]) -> String {
    methods.iter().map(|method| method.as_str()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_listed_verbs_in_upper_case_are_methods() {
        for method in Method::ALL {
            assert_eq!(Method::parse(method.as_str()), Some(method));
            assert_eq!(serde_json::to_value(method).unwrap(), method.as_str());
        }
        for verb in ["", "get", "Get", "GET ", "TRACE", "CONNECT", "PROPFIND", "MKCOL", "FOO"] {
            assert_eq!(Method::parse(verb), None, "{verb}");
        }
    }

    #[test]
    fn post_and_patch_are_the_ones_that_may_not_be_repeated() {
        let not: Vec<_> = Method::ALL.into_iter().filter(|m| !m.is_idempotent()).collect();
        assert_eq!(not, [Method::Post, Method::Patch]);
        assert!(!Method::Put.is_safe() && !Method::Delete.is_safe());
    }

    #[test]
    fn allow_lists_names_with_commas() {
        assert_eq!(allow(&[Method::Get, Method::Post]), "GET, POST");
    }
}
