//! Proof Key for Code Exchange (RFC 7636), S256 only: there is no `plain` to fall back to.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{
    base64url,
    secret::{Secret, in_the_clear},
};

/// `code_verifier` (RFC 7636 §4.1): 43 characters that carry 256 random bits.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CodeVerifier(#[serde(with = "in_the_clear")] Secret<String>);

impl CodeVerifier {
    /// From 32 bytes of cryptographic quality.
    pub fn from_bytes(random: [u8; 32]) -> Self {
        Self(Secret::new(base64url::encode(random)))
    }

    /// `BASE64URL(SHA256(ASCII(code_verifier)))` (RFC 7636 §4.2).
    pub fn challenge(&self) -> CodeChallenge {
        CodeChallenge(base64url::encode(Sha256::digest(self.0.expose())))
    }

    /// The verifier for the token request; the only place that it is sent to.
    pub const fn secret(&self) -> &Secret<String> {
        &self.0
    }
}

/// `code_challenge` of method S256: no secret, it stands in the authorization URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodeChallenge(String);

impl CodeChallenge {
    /// The one `code_challenge_method`.
    pub const METHOD: &'static str = "S256";

    /// The challenge as it is sent.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
