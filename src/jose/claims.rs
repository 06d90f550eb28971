//! The claims of a token (RFC 7519 §4): what an ID token and a logout token check alike, and which
//! claims are about the person.

use std::fmt;

use serde_json::{Map, Value};

use super::{id_token::MAX_SUBJECT, numeric_date};
use crate::time::Timestamp;

/// Claims with typed access: present and of the wrong type is a fault.
pub(super) struct Claims(pub(super) Map<String, Value>);

impl Claims {
    pub(super) fn text(&self, name: &'static str) -> Result<Option<&str>, ClaimError> {
        match self.0.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(ClaimError::Malformed(name)),
        }
    }

    pub(super) fn required_text(&self, name: &'static str) -> Result<&str, ClaimError> {
        self.text(name)?.ok_or(ClaimError::Missing(name))
    }

    pub(super) fn date(&self, name: &'static str) -> Result<Option<Timestamp>, ClaimError> {
        self.0
            .get(name)
            .map(|value| numeric_date::parse(value).ok_or(ClaimError::Malformed(name)))
            .transpose()
    }

    pub(super) fn required_date(&self, name: &'static str) -> Result<Timestamp, ClaimError> {
        self.date(name)?.ok_or(ClaimError::Missing(name))
    }

    /// OpenID Connect Core §2: 1 to 255 ASCII characters, where it is there.
    pub(super) fn subject(&self) -> Result<Option<&str>, ClaimError> {
        let subject = self.text("sub")?;
        if subject.is_some_and(|sub| sub.is_empty() || sub.len() > MAX_SUBJECT || !sub.is_ascii()) {
            return Err(ClaimError::Malformed("sub"));
        }
        Ok(subject)
    }

    /// §3.1.3.7 step 3: us, as a string or a list, and nobody else.
    pub(super) fn check_audience(&self, client_id: &str) -> Result<(), ClaimError> {
        let is_us = |audience: &Value| audience == client_id;
        match self.0.get("aud") {
            None => Err(ClaimError::Missing("aud")),
            Some(Value::String(audience)) if audience == client_id => Ok(()),
            Some(Value::Array(audiences)) if !audiences.is_empty() => {
                match audiences.iter().all(is_us) {
                    true => Ok(()),
                    false if audiences.iter().all(Value::is_string) => {
                        Err(ClaimError::AudienceMismatch)
                    }
                    false => Err(ClaimError::Malformed("aud")),
                }
            }
            Some(Value::String(_)) => Err(ClaimError::AudienceMismatch),
            Some(_) => Err(ClaimError::Malformed("aud")),
        }
    }
}

/// Shows nothing of the person.
impl fmt::Debug for Claims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Claims([redacted])")
    }
}

/// What is wrong with a claim, whatever kind of token it is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClaimError {
    /// Not there, and it must be.
    Missing(&'static str),
    /// Of the wrong type or out of its range; never taken for absent.
    Malformed(&'static str),
    /// We aren't among the audiences, or somebody else is.
    AudienceMismatch,
}

/// The claims about the person: what may be shown to the person's own browser.
pub(crate) fn without_protocol_claims(mut claims: Map<String, Value>) -> Map<String, Value> {
    claims.retain(|name, _| !PROTOCOL_CLAIMS.contains(&name.as_str()));
    claims
}

/// Claims that are about the token or the protocol, not about the person. `_claim_sources` may
/// hold access tokens of distributed claims (§5.6.2); a provider that brokers another's logins may
/// hand on that one's tokens (`idp_access_token` of Azure AD B2C).
const PROTOCOL_CLAIMS: [&str; 22] = [
    "iss",
    "aud",
    "azp",
    "exp",
    "iat",
    "nbf",
    "jti",
    "nonce",
    "at_hash",
    "c_hash",
    "s_hash",
    "sid",
    "events",
    "cnf",
    "sub_jwk",
    "_claim_names",
    "_claim_sources",
    "access_token",
    "id_token",
    "idp_access_token",
    "idp_refresh_token",
    "refresh_token",
];
