//! The provider's keys (RFC 7517): tolerant of keys that we can't use, strict about those that we
//! do.
//!
//! A set's other keys are somebody else's business (encryption, algorithms to come), so a key that
//! isn't understood is skipped and the rest is kept (RFC 7517 §5). A key is kept only if nothing
//! about it is odd: an `oct` key or a private member in a public document is never used.

use std::time::Duration;

use serde_json::Value;

use super::{
    json,
    jws::{self, PublicKey},
};
use crate::{
    base64url,
    config::SigningAlg,
    http::message::{HttpRequest, HttpResponse, Verb},
    secret::Secret,
};

/// The longest document that is read.
pub const MAX_BYTES: usize = 256 * 1024;

/// How long the provider may take.
pub const TIMEOUT: Duration = Duration::from_secs(10);

/// The most keys that a set may have, usable or not.
pub const MAX_KEYS: usize = 100;

/// The RSA modulus lengths that are accepted: RFC 7518 §3.3 asks for 2048 at least, and a longer
/// one than this is a way to burn our CPU.
pub const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=4096;

/// Members that only a private or symmetric key has (RFC 7518 §6).
const PRIVATE_MEMBERS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// The usable signing keys of one issuer.
#[derive(Clone, Debug, Default)]
pub struct JwkSet {
    keys: Vec<Jwk>,
}

#[derive(Clone, Debug)]
struct Jwk {
    kid: Option<String>,
    alg: Option<String>,
    key: PublicKey,
}

impl JwkSet {
    /// The request for the document at `jwks_uri`, which comes from checked metadata.
    pub fn request(jwks_uri: &str) -> HttpRequest {
        HttpRequest {
            verb: Verb::Get,
            url: jwks_uri.to_owned(),
            headers: vec![("accept", Secret::from("application/jwk-set+json, application/json"))],
            body: None,
            max_bytes: MAX_BYTES,
            timeout: TIMEOUT,
        }
    }

    /// Reads the document. A set with no usable key is a set: every token then meets
    /// [`JwsError::UnknownKey`](super::JwsError::UnknownKey).
    ///
    /// # Errors
    ///
    /// [`JwkSetError`] for what isn't a key set at all.
    pub fn parse(response: HttpResponse) -> Result<Self, JwkSetError> {
        if response.status != 200 {
            return Err(JwkSetError::Status(response.status));
        }
        if response.body.len() > MAX_BYTES {
            return Err(JwkSetError::NotAKeySet);
        }
        let document = json::object(&response.body).map_err(|_| JwkSetError::NotAKeySet)?;
        let Some(Value::Array(keys)) = document.get("keys") else {
            return Err(JwkSetError::NotAKeySet);
        };
        if keys.len() > MAX_KEYS {
            return Err(JwkSetError::TooManyKeys);
        }
        Ok(Self { keys: keys.iter().filter_map(Jwk::usable).collect() })
    }

    /// The keys that could have made a signature of `alg`, and among them those that `kid` names,
    /// if it is given. Type, use and algorithm come first: a `kid` can be the same on keys of
    /// different types.
    pub(super) fn candidates(
        &self,
        alg: SigningAlg,
        kid: Option<&str>,
    ) -> impl Iterator<Item = &PublicKey> {
        self.keys
            .iter()
            .filter(move |jwk| jwk.key.fits(alg) && jwk.allows(alg))
            .filter(move |jwk| kid.is_none() || jwk.kid.as_deref() == kid)
            .map(|jwk| &jwk.key)
    }
}

/// Why there are no keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwkSetError {
    /// Not a 200; a redirect too (GHSA-9v7f-9g4p-ffgj).
    #[error("the provider's keys came with status {0}")]
    Status(u16),
    /// Not `{"keys": […]}`, or larger than [`MAX_BYTES`].
    #[error("the provider's keys are not a JSON Web Key Set")]
    NotAKeySet,
    /// More than [`MAX_KEYS`].
    #[error("the provider's key set has too many keys")]
    TooManyKeys,
}

impl Jwk {
    fn usable(value: &Value) -> Option<Self> {
        let members = value.as_object()?;
        let text = |name: &str| match members.get(name) {
            None => Some(None),
            Some(Value::String(text)) => Some(Some(text.as_str())),
            Some(_) => None,
        };
        if PRIVATE_MEMBERS.iter().any(|name| members.contains_key(*name)) {
            return None;
        }
        if text("use")?.is_some_and(|key_use| key_use != "sig") {
            return None;
        }
        if members.get("key_ops").is_some_and(|ops| !is_list_with(ops, "verify")) {
            return None;
        }
        let bytes = |name: &str| base64url::decode(text(name)??);
        let key = match (text("kty")??, text("crv")?) {
            ("RSA", _) => rsa(&bytes("n")?, &bytes("e")?)?,
            ("EC", Some("P-256")) => PublicKey::p256(&bytes("x")?, &bytes("y")?)?,
            ("OKP", Some("Ed25519")) => PublicKey::ed25519(&bytes("x")?)?,
            _ => return None,
        };
        Some(Self {
            kid: text("kid")?.map(str::to_owned),
            alg: text("alg")?.map(str::to_owned),
            key,
        })
    }

    /// Whether the key's own `alg`, if it has one, is this one. `Ed25519` is RFC 9864's word.
    fn allows(&self, alg: SigningAlg) -> bool {
        match self.alg.as_deref() {
            None => true,
            Some("Ed25519") => alg == SigningAlg::EdDSA,
            Some(own) => own == jws::name(alg),
        }
    }
}

fn is_list_with(value: &Value, wanted: &str) -> bool {
    value.as_array().is_some_and(|values| values.iter().any(|value| value == wanted))
}

/// An RSA key within [`RSA_BITS`] whose exponent is odd, more than 1 and at most 32 bits long.
fn rsa(modulus: &[u8], exponent: &[u8]) -> Option<PublicKey> {
    let modulus = without_leading_zeros(modulus);
    let exponent = without_leading_zeros(exponent);
    // Exact: 2041 bits fill as many bytes as 2048 do.
    let unused = modulus.first()?.leading_zeros();
    let bits = (modulus.len() * 8).checked_sub(usize::try_from(unused).ok()?)?;
    let exponent_is_sane =
        exponent.len() <= 4 && exponent != [1] && exponent.last().is_some_and(|low| low % 2 == 1);
    if !RSA_BITS.contains(&bits) || !exponent_is_sane {
        return None;
    }
    PublicKey::rsa(modulus, exponent)
}

/// RFC 7518 §2 wants none; some providers send one, as ASN.1 has it.
fn without_leading_zeros(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    bytes.get(zeros..).unwrap_or_default()
}

#[cfg(test)]
mod tests;
