use rsa::traits::PublicKeyParts as _;
use serde_json::json;

use super::*;
use crate::jose::testing::{
    ALL, ed25519_jwk, jwk, key_set, keys, p256_jwk, response, rsa_key, with,
};

/// How many keys of the set could have made a signature of any of our algorithms.
fn usable(keys: &[Value]) -> usize {
    key_set(keys).keys.len()
}

#[test]
fn keys_that_are_not_ours_to_use_are_skipped_and_the_others_kept() {
    let rsa = || jwk(SigningAlg::RS256);
    let ec = || jwk(SigningAlg::ES256);
    let cases = [
        json!({ "kty": "oct", "k": "c2VjcmV0" }),
        json!({ "kty": "AKP", "alg": "ML-DSA-44", "pub": "AAAA" }),
        json!({ "kty": "EC", "crv": "P-384", "x": "AAAA", "y": "AAAA" }),
        json!({ "kty": "EC", "crv": "secp256k1", "x": "AAAA", "y": "AAAA" }),
        json!({ "kty": "OKP", "crv": "X25519", "x": ed25519_jwk(1)["x"] }),
        json!({ "kty": "OKP", "crv": "Ed448", "x": "AAAA" }),
        json!({ "kty": "RSA" }),
        json!({ "kty": "rsa", "n": rsa()["n"], "e": "AQAB" }),
        json!({ "kty": 1 }),
        json!({}),
        json!(null),
        json!([]),
        json!("key"),
        with(rsa(), json!({ "use": "enc" })),
        with(rsa(), json!({ "use": "SIG" })),
        with(rsa(), json!({ "use": 1 })),
        with(rsa(), json!({ "key_ops": ["encrypt"] })),
        with(rsa(), json!({ "key_ops": "verify" })),
        with(rsa(), json!({ "key_ops": [] })),
        with(rsa(), json!({ "kid": 1 })),
        with(rsa(), json!({ "kid": null })),
        with(rsa(), json!({ "alg": ["RS256"] })),
        with(rsa(), json!({ "d": "AAAA" })),
        with(rsa(), json!({ "p": "AAAA", "q": "AAAA" })),
        with(rsa(), json!({ "dp": null })),
        with(rsa(), json!({ "k": "AAAA" })),
        with(ec(), json!({ "d": "AAAA" })),
        with(ed25519_jwk(1), json!({ "d": "AAAA" })),
        with(rsa(), json!({ "n": format!("{}=", rsa()["n"].as_str().unwrap()) })),
        // Not on the curve, coordinates too short, the point at infinity.
        with(ec(), json!({ "x": ec()["y"] })),
        with(ec(), json!({ "x": "AAAA" })),
        with(ec(), json!({ "x": base64url::encode([0; 32]), "y": base64url::encode([0; 32]) })),
        with(ed25519_jwk(1), json!({ "x": "AAAA" })),
    ];
    for case in &cases {
        assert_eq!(usable(std::slice::from_ref(case)), 0, "{case}");
    }
    let mut set = cases.to_vec();
    set.extend([rsa(), ec(), ed25519_jwk(1)]);
    assert_eq!(usable(&set), 3);
}

#[test]
fn keys_with_members_that_nobody_asked_for_are_kept() {
    let key = jwk(SigningAlg::RS256);
    for more in [
        json!({ "use": "sig" }),
        json!({ "key_ops": ["sign", "verify"] }),
        json!({ "alg": "RS256", "kid": "1", "x5c": ["MIIB"], "x5t": "AA", "exp": 1, "nbf": null }),
    ] {
        assert_eq!(usable(&[with(key.clone(), more)]), 1);
    }
}

#[test]
fn an_rsa_key_too_short_or_too_long_is_skipped() {
    // J25: the length is exact in bits, not in bytes.
    let modulus = |bits: usize| {
        let mut bytes = vec![0xff; bits.div_ceil(8)];
        bytes[0] >>= (8 - bits % 8) % 8;
        base64url::encode(bytes)
    };
    for (bits, expected) in [
        (8, 0),
        (512, 0),
        (1024, 0),
        (2041, 0),
        (2047, 0),
        (2048, 1),
        (2049, 1),
        (3072, 1),
        (4096, 1),
        (4097, 0),
        (16_384, 0),
    ] {
        let key = json!({ "kty": "RSA", "n": modulus(bits), "e": "AQAB" });
        assert_eq!(usable(&[key]), expected, "{bits} bits");
    }
    let even = [rsa_key().n().to_bytes_be(), vec![0]].concat();
    assert_eq!(usable(&[json!({ "kty": "RSA", "n": base64url::encode(even), "e": "AQAB" })]), 0);
    assert_eq!(usable(&[json!({ "kty": "RSA", "n": "", "e": "AQAB" })]), 0);
    // A leading zero is against RFC 7518 §2 and doesn't count as bits.
    let padded = [vec![0], rsa_key().n().to_bytes_be()].concat();
    assert_eq!(usable(&[json!({ "kty": "RSA", "n": base64url::encode(padded), "e": "AQAB" })]), 1);
    let padded = [vec![0], vec![0xff; 255]].concat();
    assert_eq!(usable(&[json!({ "kty": "RSA", "n": base64url::encode(padded), "e": "AQAB" })]), 0);
}

#[test]
fn an_rsa_exponent_that_is_even_or_one_or_huge_is_skipped() {
    for (exponent, expected) in [
        (&[][..], 0),
        (&[0], 0),
        (&[1], 0),
        (&[2], 0),
        (&[3], 1),
        (&[0x11], 1),
        (&[1, 0, 0], 0),
        (&[1, 0, 1], 1),
        (&[0, 1, 0, 1], 1),
        (&[1, 0, 0, 0, 1], 0),
        (&[1, 0, 0, 0, 0, 0, 0, 0, 1], 0),
        (&[0xff; 256], 0),
    ] {
        let key = with(jwk(SigningAlg::RS256), json!({ "e": base64url::encode(exponent) }));
        assert_eq!(usable(&[key]), expected, "{exponent:?}");
    }
}

#[test]
fn an_ed25519_key_of_small_order_verifies_nothing() {
    // J23: with such a key a signature of S = 0 would fit any message.
    let identity = {
        let mut point = [0; 32];
        point[0] = 1;
        point
    };
    let mut minus_one = [0xff; 32];
    (minus_one[0], minus_one[31]) = (0xec, 0x7f);
    for point in [identity, [0; 32], minus_one] {
        let keys = key_set(&[json!({
            "kty": "OKP", "crv": "Ed25519", "x": base64url::encode(point),
        })]);
        for r in [identity, [0; 32]] {
            let signature = base64url::encode([r, [0; 32]].concat());
            let token = format!("{}.e30.{signature}", base64url::encode(br#"{"alg":"EdDSA"}"#));
            let jws = jws::UntrustedJws::parse(&token, jws::TokenKind::IdToken).unwrap();
            assert!(jws.verify(&keys, SigningAlg::EdDSA).is_err());
        }
    }
}

#[test]
fn a_keys_own_alg_limits_what_it_verifies() {
    // CVE-2026-22817: a key without `alg` is chosen by its type, never by the token's `alg`.
    for (own, allowed) in [
        (json!({}), vec![SigningAlg::RS256, SigningAlg::PS256]),
        (json!({ "alg": "RS256" }), vec![SigningAlg::RS256]),
        (json!({ "alg": "PS256" }), vec![SigningAlg::PS256]),
        (json!({ "alg": "RS512" }), vec![]),
        (json!({ "alg": "RSA-OAEP" }), vec![]),
        (json!({ "alg": "HS256" }), vec![]),
        (json!({ "alg": "none" }), vec![]),
        (json!({ "alg": "" }), vec![]),
    ] {
        let set = key_set(&[with(jwk(SigningAlg::RS256), own.clone())]);
        let found = ALL.into_iter().filter(|alg| set.candidates(*alg, None).count() == 1);
        assert_eq!(found.collect::<Vec<_>>(), allowed, "{own}");
    }
    let set = key_set(&[with(ed25519_jwk(1), json!({ "alg": "Ed25519" }))]);
    assert_eq!(set.candidates(SigningAlg::EdDSA, None).count(), 1);
}

#[test]
fn candidates_are_those_of_the_type_and_then_those_of_the_name() {
    let set = keys();
    for alg in ALL {
        assert_eq!(set.candidates(alg, None).count(), 1);
    }
    assert_eq!(set.candidates(SigningAlg::ES256, Some("ec")).count(), 1);
    assert_eq!(set.candidates(SigningAlg::ES256, Some("rsa")).count(), 0);
    assert_eq!(set.candidates(SigningAlg::ES256, Some("")).count(), 0);
    // A key without a name isn't what a token means that names one.
    assert_eq!(key_set(&[p256_jwk(1)]).candidates(SigningAlg::ES256, Some("ec")).count(), 0);
}

#[test]
fn what_is_no_key_set_is_refused() {
    let key = p256_jwk(1).to_string();
    for (body, expected) in [
        ("".to_owned(), JwkSetError::NotAKeySet),
        ("<html>".to_owned(), JwkSetError::NotAKeySet),
        ("null".to_owned(), JwkSetError::NotAKeySet),
        ("[]".to_owned(), JwkSetError::NotAKeySet),
        ("{}".to_owned(), JwkSetError::NotAKeySet),
        (key.clone(), JwkSetError::NotAKeySet),
        (format!(r#"{{"keys":{key}}}"#), JwkSetError::NotAKeySet),
        (format!(r#"{{"keys":[],"keys":[{key}]}}"#), JwkSetError::NotAKeySet),
        (format!(r#"{{"keys":[{key}]}} x"#), JwkSetError::NotAKeySet),
        (format!(r#"{{"keys":[{}{key}]}}"#, "1,".repeat(MAX_KEYS)), JwkSetError::TooManyKeys),
        (format!(r#"{{"keys":[{key}]}}{}"#, " ".repeat(MAX_BYTES)), JwkSetError::NotAKeySet),
    ] {
        assert_eq!(JwkSet::parse(response(200, &body)).unwrap_err(), expected, "{body:.60}");
    }
    let full = format!(r#"{{"keys":[{}{key}]}}"#, "1,".repeat(MAX_KEYS - 1));
    assert_eq!(JwkSet::parse(response(200, &full)).unwrap().keys.len(), 1);
    assert_eq!(JwkSet::parse(response(200, r#"{"keys":[]}"#)).unwrap().keys.len(), 0);
}

#[test]
fn only_a_200_brings_keys() {
    let body = json!({ "keys": [p256_jwk(1)] }).to_string();
    for status in [201, 204, 301, 302, 304, 307, 400, 404, 500, 503] {
        let result = JwkSet::parse(response(status, &body));
        assert_eq!(result.unwrap_err(), JwkSetError::Status(status));
    }
}

#[test]
fn the_request_is_a_bounded_get() {
    let request = JwkSet::request("https://id.example/jwks");
    assert_eq!((request.verb, request.url.as_str()), (Verb::Get, "https://id.example/jwks"));
    assert!(request.body.is_none());
    assert_eq!((request.max_bytes, request.timeout), (MAX_BYTES, TIMEOUT));
}
