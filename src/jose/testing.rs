//! Keys and tokens made for the tests: seeded, so that every run has the same.

use std::sync::OnceLock;

use jwt_compact::{
    Algorithm, AlgorithmSignature as _,
    alg::{Ed25519, Es256, Rsa},
};
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng as _};
use rsa::{RsaPrivateKey, traits::PublicKeyParts as _};
use serde_json::{Value, json};

use super::JwkSet;
use crate::{base64url, config::SigningAlg, http::message::HttpResponse};

pub(crate) const ALL: [SigningAlg; 4] =
    [SigningAlg::RS256, SigningAlg::PS256, SigningAlg::ES256, SigningAlg::EdDSA];

/// A 2048-bit key; generated once for all tests, as it takes a while.
pub(crate) fn rsa_key() -> &'static RsaPrivateKey {
    static KEY: OnceLock<RsaPrivateKey> = OnceLock::new();
    KEY.get_or_init(|| RsaPrivateKey::new(&mut ChaCha20Rng::from_seed([1; 32]), 2048).unwrap())
}

/// The P-256 key of `seed`.
pub(crate) fn p256_key(seed: u8) -> p256::ecdsa::SigningKey {
    p256::ecdsa::SigningKey::from_slice(&[seed; 32]).unwrap()
}

/// The Ed25519 key of `seed`.
pub(crate) fn ed25519_key(seed: u8) -> ed25519_compact::KeyPair {
    ed25519_compact::KeyPair::from_seed(ed25519_compact::Seed::new([seed; 32]))
}

/// The key that [`sign`] signs with, as a JWK without anything optional.
pub(crate) fn jwk(alg: SigningAlg) -> Value {
    match alg {
        SigningAlg::RS256 | SigningAlg::PS256 => json!({
            "kty": "RSA",
            "n": base64url::encode(rsa_key().n().to_bytes_be()),
            "e": base64url::encode(rsa_key().e().to_bytes_be()),
        }),
        SigningAlg::ES256 => p256_jwk(7),
        SigningAlg::EdDSA => ed25519_jwk(7),
    }
}

pub(crate) fn p256_jwk(seed: u8) -> Value {
    let point = p256_key(seed).verifying_key().to_encoded_point(false);
    let coordinate = |bytes: Option<&p256::FieldBytes>| base64url::encode(bytes.unwrap());
    json!({ "kty": "EC", "crv": "P-256", "x": coordinate(point.x()), "y": coordinate(point.y()) })
}

pub(crate) fn ed25519_jwk(seed: u8) -> Value {
    json!({ "kty": "OKP", "crv": "Ed25519", "x": base64url::encode(*ed25519_key(seed).pk) })
}

/// `key` with more members, or with others.
pub(crate) fn with(key: Value, members: Value) -> Value {
    let (Value::Object(mut key), Value::Object(members)) = (key, members) else {
        panic!("objects")
    };
    key.extend(members);
    Value::Object(key)
}

/// A set of these keys.
pub(crate) fn key_set(keys: &[Value]) -> JwkSet {
    JwkSet::parse(response(200, &json!({ "keys": keys }).to_string())).unwrap()
}

/// The set that [`sign`]'s tokens are verified with.
pub(crate) fn keys() -> JwkSet {
    key_set(&[
        with(jwk(SigningAlg::RS256), json!({ "kid": "rsa" })),
        with(jwk(SigningAlg::ES256), json!({ "kid": "ec" })),
        with(jwk(SigningAlg::EdDSA), json!({ "kid": "ed" })),
    ])
}

/// A header as providers write it.
pub(crate) fn header(alg: SigningAlg) -> Value {
    let kid = match alg {
        SigningAlg::RS256 | SigningAlg::PS256 => "rsa",
        SigningAlg::ES256 => "ec",
        SigningAlg::EdDSA => "ed",
    };
    json!({ "alg": super::jws::name(alg), "typ": "JWT", "kid": kid })
}

/// A token of these texts, properly signed with `alg` whatever the header says.
pub(crate) fn sign_text(alg: SigningAlg, header: &[u8], payload: &[u8]) -> String {
    let signed = format!("{}.{}", base64url::encode(header), base64url::encode(payload));
    let signature = signature(alg, &signed);
    format!("{signed}.{}", base64url::encode(signature))
}

/// A token, properly signed with `alg` whatever the header says.
pub(crate) fn sign(alg: SigningAlg, header: &Value, claims: &Value) -> String {
    sign_text(alg, header.to_string().as_bytes(), claims.to_string().as_bytes())
}

pub(crate) fn signature(alg: SigningAlg, signed: &str) -> Vec<u8> {
    let message = signed.as_bytes();
    match alg {
        SigningAlg::RS256 => Rsa::rs256().sign(rsa_key(), message).as_bytes().into_owned(),
        SigningAlg::PS256 => Rsa::ps256().sign(rsa_key(), message).as_bytes().into_owned(),
        SigningAlg::ES256 => Es256.sign(&p256_key(7), message).as_bytes().into_owned(),
        SigningAlg::EdDSA => Ed25519.sign(&ed25519_key(7).sk, message).as_bytes().into_owned(),
    }
}

/// A JSON response.
pub(crate) fn response(status: u16, body: &str) -> HttpResponse {
    HttpResponse {
        status,
        headers: vec![("content-type".to_owned(), "application/json".to_owned())],
        body: body.as_bytes().to_vec(),
    }
}
