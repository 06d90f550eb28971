//! The provider's metadata (OpenID Connect Discovery 1.0 §3 and §4, RFC 8414, RFC 9207 §3).
//!
//! Whoever has a [`Metadata`] from [`Metadata::parse`] has one whose issuer is the configured one
//! byte for byte and whose endpoints may be called.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use url::{Host, Url};

use crate::{
    config::ProviderConfig,
    http::message::{HttpRequest, HttpResponse, Verb},
    jose::{json, jws},
    oauth::pkce::CodeChallenge,
    secret::Secret,
};

/// The longest document that is read.
pub const MAX_BYTES: usize = 256 * 1024;

/// How long the provider may take.
pub const TIMEOUT: Duration = Duration::from_secs(10);

/// What we use of the provider's metadata.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Metadata {
    /// The issuer identifier; the configured one, byte for byte.
    pub issuer: String,
    /// Where the browser goes to log in.
    pub authorization_endpoint: String,
    /// Where codes and refresh tokens go.
    pub token_endpoint: String,
    /// Where the provider's keys are.
    pub jwks_uri: String,
    /// UserInfo, where there is one.
    pub userinfo_endpoint: Option<String>,
    /// RFC 7009, where there is one.
    pub revocation_endpoint: Option<String>,
    /// RP-Initiated Logout, where there is one.
    pub end_session_endpoint: Option<String>,
    /// Whether every authorization response has `iss` (RFC 9207 §3).
    pub authorization_response_iss_parameter_supported: bool,
}

impl Metadata {
    /// The request for the document: the issuer, a trailing slash of it removed, with
    /// `/.well-known/openid-configuration` after it (Discovery §4.1).
    pub fn request(provider: &ProviderConfig) -> HttpRequest {
        let issuer = provider.issuer.strip_suffix('/').unwrap_or(&provider.issuer);
        HttpRequest {
            verb: Verb::Get,
            url: format!("{issuer}/.well-known/openid-configuration"),
            headers: vec![("accept", Secret::from("application/json"))],
            body: None,
            max_bytes: MAX_BYTES,
            timeout: TIMEOUT,
        }
    }

    /// Reads and checks the document. Absent capabilities are no fault (the document is often
    /// shorter than the truth), capabilities that are listed without what we need are.
    ///
    /// # Errors
    ///
    /// [`MetadataError`]: nothing of the document may then be used.
    pub fn parse(provider: &ProviderConfig, response: HttpResponse) -> Result<Self, MetadataError> {
        if response.status != 200 {
            return Err(MetadataError::Status(response.status));
        }
        if response.body.len() > MAX_BYTES {
            return Err(MetadataError::NotAnObject);
        }
        let document = json::object(&response.body).map_err(|_| MetadataError::NotAnObject)?;
        // Discovery §4.3: exactly the issuer that the document was asked of.
        if document.get("issuer").and_then(Value::as_str) != Some(provider.issuer.as_str()) {
            return Err(MetadataError::IssuerMismatch);
        }
        // RFC 9700 §2.1.1: a provider that lists methods and not S256 has none that we may use.
        if !lists(&document, "code_challenge_methods_supported", CodeChallenge::METHOD) {
            return Err(MetadataError::NoS256);
        }
        let alg = jws::name(provider.id_token_alg);
        if !lists(&document, "id_token_signing_alg_values_supported", alg) {
            return Err(MetadataError::SigningAlg);
        }
        let endpoints = Endpoints { document: &document, allow_http: provider.allow_http };
        Ok(Self {
            issuer: provider.issuer.clone(),
            authorization_endpoint: endpoints.required("authorization_endpoint")?,
            token_endpoint: endpoints.required("token_endpoint")?,
            jwks_uri: endpoints.required("jwks_uri")?,
            userinfo_endpoint: endpoints.optional("userinfo_endpoint")?,
            revocation_endpoint: endpoints.optional("revocation_endpoint")?,
            end_session_endpoint: endpoints.optional("end_session_endpoint")?,
            authorization_response_iss_parameter_supported: document
                .get("authorization_response_iss_parameter_supported")
                == Some(&Value::Bool(true)),
        })
    }
}

/// Why a document can't be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MetadataError {
    /// Not a 200; a redirect too.
    #[error("the provider's metadata came with status {0}")]
    Status(u16),
    /// Not a JSON object with each member once, or larger than [`MAX_BYTES`].
    #[error("the provider's metadata is not a JSON object")]
    NotAnObject,
    /// Another issuer's document: the configured issuer must match it byte for byte.
    #[error("the provider's metadata names another issuer than the configuration")]
    IssuerMismatch,
    /// An endpoint that we can't do without isn't there.
    #[error("the provider's metadata has no {0}")]
    EndpointMissing(&'static str),
    /// An endpoint that is no https URL, or has userinfo or a fragment.
    #[error("the provider's metadata has a {0} that may not be called")]
    EndpointForbidden(&'static str),
    /// PKCE methods are listed, S256 not among them.
    #[error("the provider does not support PKCE with S256")]
    NoS256,
    /// ID token algorithms are listed, the configured one not among them.
    #[error("the provider does not sign ID tokens with the configured algorithm")]
    SigningAlg,
}

/// Whether `member` is absent or a list with `value` in it.
fn lists(document: &Map<String, Value>, member: &str, value: &str) -> bool {
    match document.get(member) {
        None | Some(Value::Null) => true,
        Some(Value::Array(values)) => values.iter().any(|listed| listed == value),
        Some(_) => false,
    }
}

struct Endpoints<'a> {
    document: &'a Map<String, Value>,
    allow_http: bool,
}

impl Endpoints<'_> {
    fn required(&self, name: &'static str) -> Result<String, MetadataError> {
        self.optional(name)?.ok_or(MetadataError::EndpointMissing(name))
    }

    fn optional(&self, name: &'static str) -> Result<Option<String>, MetadataError> {
        match self.document.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => {
                self.canonical(text).map(Some).ok_or(MetadataError::EndpointForbidden(name))
            }
            Some(_) => Err(MetadataError::EndpointForbidden(name)),
        }
    }

    /// The URL in canonical form, so that what was checked is what is called. A document that
    /// sends us, or the browser, to `javascript:` or into the clear is refused (CVE-2025-6514).
    fn canonical(&self, text: &str) -> Option<String> {
        let url = Url::parse(text).ok()?;
        let is_loopback = match url.host()? {
            Host::Domain(domain) => domain == "localhost",
            Host::Ipv4(address) => address.is_loopback(),
            Host::Ipv6(address) => address.is_loopback(),
        };
        let scheme_allowed = match url.scheme() {
            "https" => true,
            "http" => self.allow_http && is_loopback,
            _ => false,
        };
        let is_plain =
            url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
        (scheme_allowed && is_plain).then(|| url.into())
    }
}

#[cfg(test)]
mod tests;
