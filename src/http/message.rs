//! HTTP as values: what the core sends to a provider and what comes back, and what Tokenkeep
//! itself answers to a browser. No I/O here; bodies are whole and bounded.

use std::{borrow::Cow, time::Duration};

use crate::secret::Secret;

/// The verb of a request that Tokenkeep itself sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// `GET`
    Get,
    /// `POST`
    Post,
}

impl Verb {
    /// The verb as it stands on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
        }
    }
}

/// A request to the provider. The edge sends it with redirects refused.
#[derive(Clone, Debug)]
pub struct HttpRequest {
    /// The verb.
    pub verb: Verb,
    /// The absolute URL, from checked metadata or configuration.
    pub url: String,
    /// Header names in lower case with their values.
    pub headers: Vec<(&'static str, Secret<String>)>,
    /// The body; a form as a rule.
    pub body: Option<Secret<String>>,
    /// The longest body that is read; a longer one is [`TransportError::TooLarge`].
    pub max_bytes: usize,
    /// How long the whole exchange may take.
    pub timeout: Duration,
}

/// What came back, whatever its status.
#[derive(Clone, Debug)]
pub struct HttpResponse {
    /// The status as the peer sent it.
    pub status: u16,
    /// Header names in lower case with their values.
    pub headers: Vec<(String, String)>,
    /// The body, at most the request's `max_bytes`.
    pub body: Vec<u8>,
}

impl HttpResponse {
    /// The first header of this (lower-case) name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
}

/// Why no response came. None of these says anything about the request's fate at the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// No connection, or it broke.
    #[error("the peer could not be reached")]
    Unreachable,
    /// The request's `timeout` passed.
    #[error("the peer did not answer in time")]
    TimedOut,
    /// The body was longer than the request's `max_bytes`.
    #[error("the peer's answer is too large")]
    TooLarge,
}

/// An answer of our own to a browser: small, whole, never an API's.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Header names in lower case with their values; `set-cookie` may repeat.
    pub headers: Vec<(&'static str, Cow<'static, str>)>,
    /// The body.
    pub body: String,
}
