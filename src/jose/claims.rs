//! The claims of a token (RFC 7519 §4), and which of them are about the person.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{id_token::IdTokenError, numeric_date};
use crate::time::Timestamp;

/// Claims with typed access: present and of the wrong type is a fault.
#[derive(Debug)]
pub(super) struct Claims(pub(super) BTreeMap<String, Value>);

impl Claims {
    pub(super) fn text(&self, name: &'static str) -> Result<Option<&str>, IdTokenError> {
        match self.0.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(IdTokenError::Malformed(name)),
        }
    }

    pub(super) fn required_text(&self, name: &'static str) -> Result<&str, IdTokenError> {
        self.text(name)?.ok_or(IdTokenError::Missing(name))
    }

    pub(super) fn date(&self, name: &'static str) -> Result<Option<Timestamp>, IdTokenError> {
        self.0
            .get(name)
            .map(|value| numeric_date::parse(value).ok_or(IdTokenError::Malformed(name)))
            .transpose()
    }

    pub(super) fn required_date(&self, name: &'static str) -> Result<Timestamp, IdTokenError> {
        self.date(name)?.ok_or(IdTokenError::Missing(name))
    }

    /// §3.1.3.7 step 3: us, as a string or a list, and nobody else.
    pub(super) fn check_audience(&self, client_id: &str) -> Result<(), IdTokenError> {
        let is_us = |audience: &Value| audience == client_id;
        match self.0.get("aud") {
            None => Err(IdTokenError::Missing("aud")),
            Some(Value::String(audience)) if audience == client_id => Ok(()),
            Some(Value::Array(audiences)) if !audiences.is_empty() => {
                match audiences.iter().all(is_us) {
                    true => Ok(()),
                    false if audiences.iter().all(Value::is_string) => {
                        Err(IdTokenError::AudienceMismatch)
                    }
                    false => Err(IdTokenError::Malformed("aud")),
                }
            }
            Some(Value::String(_)) => Err(IdTokenError::AudienceMismatch),
            Some(_) => Err(IdTokenError::Malformed("aud")),
        }
    }
}

/// The claims about the person: what may be shown to the person's own browser.
pub(crate) fn without_protocol_claims(
    mut claims: BTreeMap<String, Value>,
) -> BTreeMap<String, Value> {
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
