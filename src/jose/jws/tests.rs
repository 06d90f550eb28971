use p256::elliptic_curve::PrimeField as _;
use rsa::{BigUint, Pkcs1v15Sign, traits::PublicKeyParts as _};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::*;
use crate::jose::testing::{
    ALL, header, jwk, key_set, keys, p256_jwk, rsa_key, sign, sign_text, signature, with,
};

/// The order of P-256's group.
const P256_ORDER: &str = "FFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551";

fn parse(token: &str) -> Result<UntrustedJws<'_>, JwsError> {
    UntrustedJws::parse(token, TokenKind::IdToken)
}

fn verify(token: &str, keys: &JwkSet, alg: SigningAlg) -> Result<(), JwsError> {
    parse(token)?.verify(keys, alg)
}

fn hex(text: &str) -> Vec<u8> {
    let nibbles = text.bytes().map(|b| char::from(b).to_digit(16).unwrap() as u8);
    let nibbles = nibbles.collect::<Vec<_>>();
    nibbles.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

fn signed_part(alg: SigningAlg) -> String {
    let header = base64url::encode(header(alg).to_string());
    format!("{header}.{}", base64url::encode(br#"{"sub":"u"}"#))
}

fn with_signature(alg: SigningAlg, signature: &[u8]) -> String {
    format!("{}.{}", signed_part(alg), base64url::encode(signature))
}

#[test]
fn a_token_of_each_algorithm_is_verified() {
    for alg in ALL {
        let token = sign(alg, &header(alg), &json!({ "sub": "u" }));
        assert_eq!(verify(&token, &keys(), alg), Ok(()), "{alg:?}");
        let jws = parse(&token).unwrap();
        assert!(jws.has_alg(alg));
        assert_eq!(jws.payload, br#"{"sub":"u"}"#);
    }
}

#[test]
fn the_es256_example_of_rfc_7515_is_verified() {
    // RFC 7515 Appendix A.3.
    let keys = key_set(&[json!({
        "kty": "EC",
        "crv": "P-256",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    })]);
    let token = "eyJhbGciOiJFUzI1NiJ9\
        .eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ\
        .DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
    assert_eq!(verify(token, &keys, SigningAlg::ES256), Ok(()));
}

#[test]
fn the_eddsa_example_of_rfc_8037_is_verified() {
    // RFC 8037 Appendix A.4.
    let keys = key_set(&[json!({
        "kty": "OKP",
        "crv": "Ed25519",
        "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
    })]);
    let token = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc\
        .hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    assert_eq!(verify(token, &keys, SigningAlg::EdDSA), Ok(()));
}

#[test]
fn a_token_of_another_algorithm_is_not_verified_with_ours() {
    // J3: the same RSA key, the other padding; J4, J5 by the key's type.
    for made_with in ALL {
        for configured in ALL.into_iter().filter(|alg| *alg != made_with) {
            let token = sign(made_with, &header(made_with), &json!({}));
            assert!(verify(&token, &keys(), configured).is_err(), "{made_with:?} {configured:?}");
            assert!(!parse(&token).unwrap().has_alg(configured));
        }
    }
}

#[test]
fn a_changed_payload_is_refused() {
    for alg in ALL {
        let token = sign(alg, &header(alg), &json!({ "sub": "me" }));
        let mut segments = token.split('.').collect::<Vec<_>>();
        let evil = base64url::encode(br#"{"sub":"you"}"#);
        segments[1] = &evil;
        assert_eq!(verify(&segments.join("."), &keys(), alg), Err(JwsError::Signature), "{alg:?}");
    }
}

#[test]
fn text_that_is_no_compact_jws_is_refused() {
    let good = sign(SigningAlg::ES256, &header(SigningAlg::ES256), &json!({}));
    let [head, payload, signature] = good.split('.').collect::<Vec<_>>()[..] else { panic!() };
    let loose_bits = format!("{}B", &signature[..signature.len() - 1]);
    let cases = [
        String::new(),
        ".".to_owned(),
        "..".to_owned(),
        "a.b".to_owned(),
        format!("{head}.{payload}"),
        format!("{head}.{payload}."),
        format!("{head}..{signature}"),
        format!(".{payload}.{signature}"),
        format!("{good}.{signature}"),
        format!("{head}.a.b.c.{signature}"),
        format!("{good}="),
        format!("{head}=.{payload}.{signature}"),
        format!("{good}\n"),
        format!(" {good}"),
        format!("Bearer {good}"),
        good.replacen('.', "\r\n.", 1),
        good.replacen('.', "%2e", 1),
        format!("{head}.{payload}.{}", signature.replace(['-', '_'], "+/")),
        format!("{head}.{payload}.{loose_bits}"),
        json!({ "protected": head, "payload": payload, "signature": signature }).to_string(),
        json!({ "payload": payload, "signatures": [] }).to_string(),
    ];
    let keys = keys();
    for case in cases {
        // A segment may decode though it is empty: then the signature, or the claims, say no.
        let result = parse(&case).and_then(|jws| {
            crate::jose::json::object(&jws.payload).map_err(|_| JwsError::Malformed)?;
            jws.verify(&keys, SigningAlg::ES256)
        });
        assert!(
            matches!(result, Err(JwsError::Malformed | JwsError::Signature)),
            "{case:?} {result:?}"
        );
    }
}

#[test]
fn a_megabyte_of_dots_is_refused_by_its_length() {
    // CVE-2025-30204.
    assert_eq!(parse(&".".repeat(1 << 20)).unwrap_err(), JwsError::TooLarge);
    assert_eq!(parse(&".".repeat(MAX_TOKEN)).unwrap_err(), JwsError::Malformed);
    assert_eq!(parse(&"a".repeat(MAX_TOKEN + 1)).unwrap_err(), JwsError::TooLarge);
}

#[test]
fn a_header_that_is_no_plain_object_is_refused() {
    let deep = format!("{}{}", r#"{"alg":"ES256","x":"#, "[".repeat(10_000));
    let cases: [&[u8]; 18] = [
        b"",
        b"null",
        b"[]",
        b"\"ES256\"",
        b"{}",
        br#"{"kid":"ec"}"#,
        br#"{"alg":1}"#,
        br#"{"alg":null}"#,
        br#"{"alg":["ES256"]}"#,
        br#"{"alg":"none","alg":"ES256"}"#,
        br#"{"alg":"ES256","x":{"a":1,"a":2}}"#,
        br#"{"alg":"ES256","kid":1}"#,
        br#"{"alg":"ES256","kid":["ec"]}"#,
        br#"{"alg":"ES256","x":NaN}"#,
        br#"{"alg":"ES256","x":"\ud800"}"#,
        b"\xef\xbb\xbf{\"alg\":\"ES256\"}",
        b"{\"alg\":\"ES256\"}\0",
        deep.as_bytes(),
    ];
    for case in cases {
        let token = sign_text(SigningAlg::ES256, case, b"{}");
        assert_eq!(
            parse(&token).unwrap_err(),
            JwsError::Malformed,
            "{}",
            String::from_utf8_lossy(case).chars().take(60).collect::<String>()
        );
    }
    let utf16 = r#"{"alg":"ES256"}"#.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>();
    let token = sign_text(SigningAlg::ES256, &utf16, b"{}");
    assert_eq!(parse(&token).unwrap_err(), JwsError::Malformed);
}

#[test]
fn a_header_that_asks_for_an_extension_is_refused() {
    // J10 (CVE-2025-59420), J11, J13, J14.
    let cases = [
        json!({ "crit": ["exp"] }),
        json!({ "crit": ["b64"], "b64": false }),
        json!({ "crit": ["bork"] }),
        json!({ "crit": ["bork"], "bork": true }),
        json!({ "crit": ["exp", "exp"] }),
        json!({ "crit": [] }),
        json!({ "crit": "x" }),
        json!({ "crit": null }),
        json!({ "b64": false }),
        json!({ "b64": true }),
        json!({ "cty": "JWT" }),
        json!({ "zip": "DEF" }),
    ];
    for case in cases {
        let header = with(header(SigningAlg::ES256), case.clone());
        let token = sign(SigningAlg::ES256, &header, &json!({}));
        assert_eq!(parse(&token).unwrap_err(), JwsError::Extension, "{case}");
    }
}

#[test]
fn a_token_that_says_it_is_of_another_kind_is_refused() {
    for (typ, expected) in [
        ("JWT", Ok(())),
        ("jwt", Ok(())),
        ("application/JWT", Ok(())),
        ("JOSE", Ok(())),
        ("at+jwt", Err(JwsError::Type)),
        ("application/at+jwt", Err(JwsError::Type)),
        ("logout+jwt", Err(JwsError::Type)),
        ("dpop+jwt", Err(JwsError::Type)),
        ("secevent+jwt", Err(JwsError::Type)),
        ("oauth-authz-req+jwt", Err(JwsError::Type)),
        ("token-introspection+jwt", Err(JwsError::Type)),
        ("jose+json", Err(JwsError::Type)),
        ("JWT ", Err(JwsError::Type)),
        ("", Err(JwsError::Type)),
    ] {
        let header = with(header(SigningAlg::ES256), json!({ "typ": typ }));
        let token = sign(SigningAlg::ES256, &header, &json!({}));
        assert_eq!(verify(&token, &keys(), SigningAlg::ES256), expected, "{typ}");
    }
    let token = sign(SigningAlg::ES256, &json!({ "alg": "ES256", "typ": 1 }), &json!({}));
    assert_eq!(verify(&token, &keys(), SigningAlg::ES256), Err(JwsError::Malformed));
}

#[test]
fn a_key_that_the_token_brings_along_is_not_used() {
    // J6–J8: CVE-2018-0114, CVE-2026-27962. Nothing could be fetched: there is no I/O here.
    let attackers = p256_jwk(9);
    for member in [
        json!({ "jwk": attackers }),
        json!({ "jku": "https://attacker.example/jwks" }),
        json!({ "x5u": "https://attacker.example/cert" }),
        json!({ "x5c": ["MIIB"] }),
    ] {
        let head = with(header(SigningAlg::ES256), member.clone());
        let signed = format!("{}.e30", base64url::encode(head.to_string()));
        let key = crate::jose::testing::p256_key(9);
        let signature = Es256.sign(&key, signed.as_bytes()).to_bytes();
        let token = format!("{signed}.{}", base64url::encode(signature));
        assert_eq!(verify(&token, &keys(), SigningAlg::ES256), Err(JwsError::Signature));
        // The provider's own key is still the one that counts, whatever stands beside it.
        let token = sign(SigningAlg::ES256, &head, &json!({}));
        assert_eq!(verify(&token, &keys(), SigningAlg::ES256), Ok(()), "{member}");
    }
}

#[test]
fn without_a_kid_every_key_that_fits_is_tried() {
    // oidcc-client-test-kid-absent-single-jwks and -multiple-jwks.
    for alg in ALL {
        let token = sign(alg, &json!({ "alg": name(alg) }), &json!({}));
        assert_eq!(verify(&token, &key_set(&[jwk(alg)]), alg), Ok(()));
        assert_eq!(verify(&token, &keys(), alg), Ok(()));
    }
    let token = sign(SigningAlg::ES256, &json!({ "alg": "ES256" }), &json!({}));
    let several = key_set(&[p256_jwk(1), p256_jwk(2), jwk(SigningAlg::ES256), p256_jwk(3)]);
    assert_eq!(verify(&token, &several, SigningAlg::ES256), Ok(()));
    // Keys that were rotated since: fetched again, once, by the caller.
    let others = key_set(&[p256_jwk(1), p256_jwk(2)]);
    assert_eq!(verify(&token, &others, SigningAlg::ES256), Err(JwsError::UnknownKey));
}

#[test]
fn an_unknown_kid_asks_for_new_keys_and_is_taken_literally() {
    let long = "k".repeat(30_000);
    for kid in ["new", "", "../../etc/passwd", "' OR 1=1 --", "ec\0", "EC", "rsa", "ed", &long] {
        let header = json!({ "alg": "ES256", "kid": kid });
        let token = sign(SigningAlg::ES256, &header, &json!({}));
        assert_eq!(
            verify(&token, &keys(), SigningAlg::ES256),
            Err(JwsError::UnknownKey),
            "{}",
            kid.chars().take(30).collect::<String>()
        );
    }
    let token = sign(SigningAlg::ES256, &header(SigningAlg::ES256), &json!({}));
    assert_eq!(verify(&token, &JwkSet::default(), SigningAlg::ES256), Err(JwsError::UnknownKey));
}

#[test]
fn a_known_kid_with_another_keys_signature_is_final() {
    // J27: issuer B's key of the same name doesn't verify issuer A's token.
    let keys = key_set(&[with(p256_jwk(9), json!({ "kid": "ec" }))]);
    let token = sign(SigningAlg::ES256, &header(SigningAlg::ES256), &json!({}));
    assert_eq!(verify(&token, &keys, SigningAlg::ES256), Err(JwsError::Signature));
}

#[test]
fn keys_of_the_same_kid_are_told_apart_by_type_and_then_all_tried() {
    let named = |key| with(key, json!({ "kid": "same" }));
    let keys = key_set(&[
        named(jwk(SigningAlg::RS256)),
        named(p256_jwk(1)),
        named(jwk(SigningAlg::ES256)),
        named(jwk(SigningAlg::EdDSA)),
    ]);
    for alg in ALL {
        let token = sign(alg, &json!({ "alg": name(alg), "kid": "same" }), &json!({}));
        assert_eq!(verify(&token, &keys, alg), Ok(()), "{alg:?}");
    }
}

#[test]
fn an_ecdsa_signature_of_zeros_or_of_the_order_is_refused() {
    // J20: CVE-2022-21449.
    let order = hex(P256_ORDER);
    let mut order_less_one = order.clone();
    *order_less_one.last_mut().unwrap() -= 1;
    let zero = [0; 32];
    let one = [vec![0; 31], vec![1]].concat();
    let good = signature(SigningAlg::ES256, &signed_part(SigningAlg::ES256));
    let (r, s) = good.split_at(32);
    for (r, s) in [
        (&zero[..], &zero[..]),
        (&zero[..], s),
        (r, &zero[..]),
        (&order[..], s),
        (r, &order[..]),
        (&order_less_one[..], s),
        (&one[..], &one[..]),
        (&[0xff; 32][..], &[0xff; 32][..]),
    ] {
        let token = with_signature(SigningAlg::ES256, &[r, s].concat());
        let result = verify(&token, &keys(), SigningAlg::ES256);
        assert_eq!(result, Err(JwsError::Signature));
    }
}

#[test]
fn an_ecdsa_signature_is_64_bytes_and_nothing_else() {
    // J21.
    let good = signature(SigningAlg::ES256, &signed_part(SigningAlg::ES256));
    let der = p256::ecdsa::Signature::from_slice(&good).unwrap().to_der();
    let longer = [&good[..], &[0]].concat();
    let padded = [&[0], &good[..]].concat();
    for case in [&[][..], &good[..63], &good[1..], &longer, &padded, der.as_bytes()] {
        let token = with_signature(SigningAlg::ES256, case);
        let result = verify(&token, &keys(), SigningAlg::ES256);
        assert_eq!(result, Err(JwsError::Signature), "{} bytes", case.len());
    }
    assert_eq!(
        verify(&with_signature(SigningAlg::ES256, &good), &keys(), SigningAlg::ES256),
        Ok(())
    );
}

#[test]
fn the_mirrored_ecdsa_signature_is_as_good() {
    // J22: allowed by the standard; nothing of ours takes a signature for a replay id.
    let good = signature(SigningAlg::ES256, &signed_part(SigningAlg::ES256));
    let s: [u8; 32] = good[32..].try_into().unwrap();
    let s = Option::from(p256::Scalar::from_repr(s.into())).map(|s: p256::Scalar| -s).unwrap();
    let mirrored = [&good[..32], &s.to_repr()[..]].concat();
    assert_ne!(mirrored, good);
    let token = with_signature(SigningAlg::ES256, &mirrored);
    assert_eq!(verify(&token, &keys(), SigningAlg::ES256), Ok(()));
}

#[test]
fn an_ed25519_signature_that_is_not_canonical_is_refused() {
    // J23: S + L, and lengths at which the library would panic.
    let order = hex("1000000000000000000000000000000014def9dea2f79cd65812631a5cf5d3ed");
    let good = signature(SigningAlg::EdDSA, &signed_part(SigningAlg::EdDSA));
    let mut malleated = good.clone();
    let mut carry = 0;
    for (byte, add) in malleated[32..].iter_mut().zip(order.iter().rev()) {
        let sum = u16::from(*byte) + u16::from(*add) + carry;
        *byte = sum as u8;
        carry = sum >> 8;
    }
    let longer = [&good[..], &[0]].concat();
    for case in [&malleated[..], &[], &good[..63], &longer, &[0; 64], &[0xff; 64]] {
        let token = with_signature(SigningAlg::EdDSA, case);
        assert_eq!(verify(&token, &keys(), SigningAlg::EdDSA), Err(JwsError::Signature));
    }
}

#[test]
fn an_rsa_signature_that_is_a_number_of_note_is_refused() {
    // J24.
    let n = rsa_key().n();
    let one = BigUint::from(1_u8);
    for alg in [SigningAlg::RS256, SigningAlg::PS256] {
        let good = signature(alg, &signed_part(alg));
        // A PSS signature is another one each time: one to which n can be added within its bytes.
        let plus_n = (0..1000)
            .map(|_| signature(SigningAlg::PS256, &signed_part(SigningAlg::PS256)))
            .map(|good| (BigUint::from_bytes_be(&good) + n).to_bytes_be())
            .find(|sum| sum.len() == 256)
            .unwrap();
        for case in [
            vec![],
            vec![0; 256],
            [vec![0; 255], vec![1]].concat(),
            (n - &one).to_bytes_be(),
            n.to_bytes_be(),
            (n + &one).to_bytes_be(),
            plus_n,
            good[..255].to_vec(),
            [&good[..], &[0]].concat(),
            [&[0], &good[..]].concat(),
            vec![0xff; 4096],
        ] {
            let result = verify(&with_signature(alg, &case), &keys(), alg);
            assert_eq!(result, Err(JwsError::Signature), "{alg:?} {} bytes", case.len());
        }
    }
}

#[test]
fn an_rsa_signature_whose_digest_info_lacks_the_null_is_refused() {
    let prefix = hex("302f300b0609608648016503040201 0420".replace(' ', "").as_str());
    let scheme = Pkcs1v15Sign { hash_len: Some(32), prefix: prefix.into() };
    let digest = Sha256::digest(signed_part(SigningAlg::RS256));
    let signature = rsa_key().sign(scheme, &digest).unwrap();
    let token = with_signature(SigningAlg::RS256, &signature);
    assert_eq!(verify(&token, &keys(), SigningAlg::RS256), Err(JwsError::Signature));
}

#[test]
fn a_signature_forged_for_exponent_three_is_refused() {
    // J24, Bleichenbacher 2006: a cube whose head looks like a short padding. No private key needed.
    let keys = key_set(&[with(jwk(SigningAlg::RS256), json!({ "kid": "rsa", "e": "Aw" }))]);
    let digest = Sha256::digest(signed_part(SigningAlg::RS256));
    let info = hex("3031300d060960864801650304020105000420");
    let head = [&[0, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0], &info[..], &digest[..]]
        .concat();
    let mut target = head.clone();
    target.resize(256, 0);
    let target = BigUint::from_bytes_be(&target);
    let (mut low, mut high) = (BigUint::from(0_u8), BigUint::from(1_u8) << 700);
    while &low + BigUint::from(1_u8) < high {
        let middle: BigUint = (&low + &high) >> 1;
        if &middle * &middle * &middle < target { low = middle } else { high = middle }
    }
    let cube = (&high * &high * &high).to_bytes_be();
    assert_eq!(cube[..head.len() - 1], head[1..], "the forgery itself is right");
    let signature = high.to_bytes_be();
    let signature = [vec![0; 256 - signature.len()], signature].concat();
    let token = with_signature(SigningAlg::RS256, &signature);
    assert_eq!(verify(&token, &keys, SigningAlg::RS256), Err(JwsError::Signature));
}

#[test]
fn nothing_of_a_token_shows_in_debug() {
    let token = sign(SigningAlg::ES256, &header(SigningAlg::ES256), &json!({ "sub": "u" }));
    assert_eq!(format!("{:?}", parse(&token).unwrap()), "UntrustedJws([redacted])");
}
