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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vector_of_rfc_7636_appendix_b_is_met() {
        let verifier = CodeVerifier::from_bytes([
            116, 24, 223, 180, 151, 153, 224, 37, 79, 250, 96, 125, 216, 173, 187, 186, 22, 212,
            37, 77, 105, 214, 191, 240, 91, 88, 5, 88, 83, 132, 141, 121,
        ]);
        assert_eq!(verifier.secret().expose(), "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
        let challenge = verifier.challenge();
        assert_eq!(challenge.as_str(), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }

    #[test]
    fn a_verifier_has_43_unreserved_characters_whatever_the_bytes() {
        for byte in [0, 0x3e, 0x3f, 0xfb, 0xff] {
            let verifier = CodeVerifier::from_bytes([byte; 32]);
            let text = verifier.secret().expose();
            assert_eq!(text.len(), 43);
            assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b)));
        }
    }

    #[test]
    fn a_verifier_is_stored_whole_and_shown_to_nobody() {
        let verifier = CodeVerifier::from_bytes([7; 32]);
        let stored = serde_json::to_string(&verifier).unwrap();
        let read = serde_json::from_str::<CodeVerifier>(&stored).unwrap();
        assert_eq!(read.challenge(), verifier.challenge());
        assert!(!format!("{verifier:?}").contains(verifier.secret().expose()));
    }
}
