//! JSON Web Signature, compact serialization (RFC 7515, RFC 8725): the seam to the cryptography.
//!
//! The text is taken apart here, strictly; `jwt-compact` is asked for nothing but "is this the
//! key's signature over these bytes". WebCrypto could take its place behind `PublicKey`.

use std::{borrow::Cow, fmt};

use jwt_compact::{
    Algorithm, AlgorithmSignature,
    alg::{Ed25519, Es256, Rsa},
    jwk::JsonWebKey,
};
use serde_json::Value;

use super::{json, jwk_set::JwkSet};
use crate::{base64url, config::SigningAlg};

/// The longest token that is looked at.
pub const MAX_TOKEN: usize = 64 * 1024;

/// A token that was taken apart, nothing believed.
pub(super) struct UntrustedJws<'a> {
    alg: String,
    kid: Option<String>,
    /// What the signature is over.
    signed: &'a str,
    signature: Vec<u8>,
    /// The payload, decoded; only to be believed after [`Self::verify`].
    pub(super) payload: Vec<u8>,
}

impl<'a> UntrustedJws<'a> {
    /// Takes the token apart: three segments of strict base64url, a header that is a JSON object,
    /// asks for nothing that we don't do and names no other kind of token.
    pub(super) fn parse(token: &'a str, kind: TokenKind) -> Result<Self, JwsError> {
        if token.len() > MAX_TOKEN {
            return Err(JwsError::TooLarge);
        }
        // Never a `split` into a list: a megabyte of dots would be a list of a million
        // (CVE-2025-30204).
        let (signed, signature) = token.rsplit_once('.').ok_or(JwsError::Malformed)?;
        let (header, payload) = signed.split_once('.').ok_or(JwsError::Malformed)?;
        let decode = |segment: &str| base64url::decode(segment).ok_or(JwsError::Malformed);
        let header = Header::parse(&decode(header)?, kind)?;
        Ok(Self {
            alg: header.alg,
            kid: header.kid,
            signed,
            signature: decode(signature)?,
            payload: decode(payload)?,
        })
    }

    /// Whether one of the issuer's keys made the signature, with the one algorithm that the
    /// registration has.
    pub(super) fn verify(&self, keys: &JwkSet, alg: SigningAlg) -> Result<(), JwsError> {
        let kid = self.kid.as_deref();
        if keys.candidates(alg, kid).any(|key| key.verifies(alg, self.signed, &self.signature)) {
            return Ok(());
        }
        // A key that we don't have yet may have made it: no key of this name, or a token that
        // names none while all that we have say no.
        if kid.is_none() || keys.candidates(alg, kid).next().is_none() {
            return Err(JwsError::UnknownKey);
        }
        Err(JwsError::Signature)
    }

    /// Whether the header's `alg` is the one that the registration has.
    pub(super) fn has_alg(&self, alg: SigningAlg) -> bool {
        self.alg == name(alg)
    }
}

/// The tokens are secrets: nothing of them in `Debug`.
impl fmt::Debug for UntrustedJws<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UntrustedJws([redacted])")
    }
}

/// What a token is to be: `typ` must not say that it is something else (RFC 8725 §3.11). A missing
/// one says nothing; then the claims tell the kinds apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenKind {
    /// OpenID Connect Core §2 asks for no `typ`: `JWT` (RFC 7519 §5.1) or `JOSE` (RFC 7515 §4.1.9).
    IdToken,
    /// `logout+jwt` (OpenID Connect Back-Channel Logout §2.4), or `JWT`, which providers write.
    /// Not `secevent+jwt` (RFC 8417 §2.3): that is another profile's event, which may name its
    /// subject elsewhere.
    LogoutToken,
}

impl TokenKind {
    /// Whether `typ` may stand in this kind's header. It is a media type, so its case doesn't
    /// count and `application/` may be left out (RFC 7515 §4.1.9).
    fn admits(self, typ: &str) -> bool {
        let typ = typ.to_ascii_lowercase();
        let typ = typ.strip_prefix("application/").unwrap_or(&typ);
        match self {
            Self::IdToken => matches!(typ, "jwt" | "jose"),
            Self::LogoutToken => matches!(typ, "logout+jwt" | "jwt"),
        }
    }
}

/// Why a token is no JWS of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwsError {
    /// Longer than [`MAX_TOKEN`].
    #[error("the token is too large")]
    TooLarge,
    /// Not three segments of base64url with a JSON object for a header.
    #[error("the token is not a JWS in compact serialization")]
    Malformed,
    /// `crit` (RFC 7515 §4.1.11), `b64`, `zip`, or a nested token: we understand no extension.
    #[error("the token's header asks for an extension")]
    Extension,
    /// `typ` says that it is another kind of token (RFC 8725 §3.11).
    #[error("the token's type is that of another kind of token")]
    Type,
    /// No key of ours is the one that the token names, or none fits: fetch the keys again, once.
    #[error("no known key of the provider made the token's signature")]
    UnknownKey,
    /// The key is there and says no.
    #[error("the token's signature is invalid")]
    Signature,
}

impl JwsError {
    /// The log's word for it.
    pub(crate) const fn kind(self) -> &'static str {
        match self {
            Self::TooLarge => "too_large",
            Self::Malformed => "not_a_jws",
            Self::Extension => "header_extension",
            Self::Type => "typ",
            Self::UnknownKey => "unknown_key",
            Self::Signature => "signature",
        }
    }
}

/// The name of an algorithm (RFC 7518 §3.1, RFC 8037 §3.1).
pub(crate) const fn name(alg: SigningAlg) -> &'static str {
    match alg {
        SigningAlg::RS256 => "RS256",
        SigningAlg::PS256 => "PS256",
        SigningAlg::ES256 => "ES256",
        SigningAlg::EdDSA => "EdDSA",
    }
}

struct Header {
    alg: String,
    kid: Option<String>,
}

impl Header {
    fn parse(text: &[u8], kind: TokenKind) -> Result<Self, JwsError> {
        let members = json::object(text).map_err(|_| JwsError::Malformed)?;
        if ["crit", "b64", "zip", "cty"].iter().any(|name| members.contains_key(*name)) {
            return Err(JwsError::Extension);
        }
        let text = |name: &str| match members.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(JwsError::Malformed),
        };
        if text("typ")?.is_some_and(|typ| !kind.admits(&typ)) {
            return Err(JwsError::Type);
        }
        Ok(Self { alg: text("alg")?.ok_or(JwsError::Malformed)?, kid: text("kid")? })
    }
}

/// A public key that signatures are verified with.
#[derive(Clone, Debug)]
pub(super) enum PublicKey {
    Rsa {
        key: Box<<Rsa as Algorithm>::VerifyingKey>,
        /// Big-endian, without leading zeros.
        modulus: Vec<u8>,
    },
    P256(Box<<Es256 as Algorithm>::VerifyingKey>),
    Ed25519(<Ed25519 as Algorithm>::VerifyingKey),
}

impl PublicKey {
    /// From modulus and exponent, both big-endian and without leading zeros; their sizes are the
    /// caller's business.
    pub(super) fn rsa(modulus: &[u8], exponent: &[u8]) -> Option<Self> {
        let key = JsonWebKey::Rsa {
            modulus: Cow::Borrowed(modulus),
            public_exponent: Cow::Borrowed(exponent),
            private_parts: None,
        };
        let key = (&key).try_into().ok()?;
        Some(Self::Rsa { key: Box::new(key), modulus: modulus.to_vec() })
    }

    /// From the coordinates of a point, which must be on the curve.
    pub(super) fn p256(x: &[u8], y: &[u8]) -> Option<Self> {
        let key = JsonWebKey::EllipticCurve {
            curve: Cow::Borrowed("P-256"),
            x: Cow::Borrowed(x),
            y: Cow::Borrowed(y),
            secret: None,
        };
        (&key).try_into().ok().map(|key| Self::P256(Box::new(key)))
    }

    /// From a compressed point.
    pub(super) fn ed25519(x: &[u8]) -> Option<Self> {
        let key = JsonWebKey::KeyPair {
            curve: Cow::Borrowed("Ed25519"),
            x: Cow::Borrowed(x),
            secret: None,
        };
        (&key).try_into().ok().map(Self::Ed25519)
    }

    /// Whether the key is of the type that the algorithm needs.
    pub(super) const fn fits(&self, alg: SigningAlg) -> bool {
        matches!(
            (self, alg),
            (Self::Rsa { .. }, SigningAlg::RS256 | SigningAlg::PS256)
                | (Self::P256(_), SigningAlg::ES256)
                | (Self::Ed25519(_), SigningAlg::EdDSA)
        )
    }

    /// Whether `signature` is this key's over `signed`.
    fn verifies(&self, alg: SigningAlg, signed: &str, signature: &[u8]) -> bool {
        match (self, alg) {
            (Self::Rsa { key, modulus }, SigningAlg::RS256) => {
                is_in_range(signature, modulus) && verify(&Rsa::rs256(), key, signed, signature)
            }
            (Self::Rsa { key, modulus }, SigningAlg::PS256) => {
                is_in_range(signature, modulus) && verify(&Rsa::ps256(), key, signed, signature)
            }
            (Self::P256(key), SigningAlg::ES256) => verify(&Es256, key, signed, signature),
            (Self::Ed25519(key), SigningAlg::EdDSA) => verify(&Ed25519, key, signed, signature),
            _ => false,
        }
    }
}

/// RFC 8017 §5.2.2: as long as the modulus and less than it. The library doesn't ask that of a PSS
/// signature, so that `s + n` would pass for `s`.
fn is_in_range(signature: &[u8], modulus: &[u8]) -> bool {
    signature.len() == modulus.len() && signature < modulus
}

fn verify<A: Algorithm>(
    algorithm: &A,
    key: &A::VerifyingKey,
    signed: &str,
    signature: &[u8],
) -> bool {
    // Before `try_from_slice`, which for Ed25519 panics at a wrong length.
    if A::Signature::LENGTH.is_some_and(|length| length.get() != signature.len()) {
        return false;
    }
    A::Signature::try_from_slice(signature)
        .is_ok_and(|signature| algorithm.verify_signature(&signature, key, signed.as_bytes()))
}

#[cfg(test)]
mod tests;
