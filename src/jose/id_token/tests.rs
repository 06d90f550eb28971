use serde_json::json;

use super::*;
use crate::jose::testing::{ALL, header, key_set, keys, p256_jwk, sign, sign_text, with};

const ISSUER: &str = "https://id.example/";
const CLIENT: &str = "the-client";
const NOW: u64 = 1_795_000_000;
const ALG: SigningAlg = SigningAlg::ES256;

fn expected() -> IdTokenExpectations<'static> {
    IdTokenExpectations {
        issuer: ISSUER,
        client_id: CLIENT,
        alg: ALG,
        nonce: Nonce::Must("the-nonce"),
        max_age: None,
        acr_values: None,
        access_token: None,
    }
}

fn claims() -> Value {
    json!({
        "iss": ISSUER,
        "sub": "user-1",
        "aud": CLIENT,
        "exp": NOW + 300,
        "iat": NOW,
        "nonce": "the-nonce",
    })
}

/// The claims with some of them set, and those that are set to null removed.
fn claims_with(members: Value) -> Value {
    let mut claims = with(claims(), members);
    claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    claims
}

fn verify(
    claims: &Value,
    expected: &IdTokenExpectations<'_>,
) -> Result<VerifiedIdToken, IdTokenError> {
    let token = Secret::new(sign(expected.alg, &header(expected.alg), claims));
    UntrustedIdToken::parse(&token)?.verify(&keys(), expected, Timestamp::from_secs(NOW))
}

/// Verifies a payload as it stands, for what `json!` can't write.
fn verify_text(payload: &str) -> Result<VerifiedIdToken, IdTokenError> {
    let token = sign_text(ALG, header(ALG).to_string().as_bytes(), payload.as_bytes());
    let token = Secret::new(token);
    UntrustedIdToken::parse(&token)?.verify(&keys(), &expected(), Timestamp::from_secs(NOW))
}

fn error(members: Value) -> Option<IdTokenError> {
    verify(&claims_with(members), &expected()).err()
}

#[test]
fn a_token_of_each_algorithm_gives_an_identity() {
    for alg in ALL {
        let identity = verify(&claims(), &IdTokenExpectations { alg, ..expected() }).unwrap();
        let identity = identity.identity();
        assert_eq!((identity.issuer.as_str(), identity.subject.as_str()), (ISSUER, "user-1"));
        assert_eq!((identity.sid, identity.auth_time), (None, None));
    }
}

#[test]
fn the_identity_has_the_persons_claims_and_none_of_the_tokens() {
    let claims = claims_with(json!({
        "azp": CLIENT, "nbf": NOW, "jti": "1", "sid": "s", "auth_time": NOW - 5, "acr": "2",
        "amr": ["pwd"], "c_hash": "x", "name": "Ada", "address": { "country": "GB" },
        "_claim_names": { "credit": "src" },
        "_claim_sources": { "src": { "endpoint": "https://x", "access_token": "secret" } },
        "__proto__": { "admin": true }, "nonce_supported": false,
    }));
    let identity = verify(&claims, &expected()).unwrap().identity();
    assert_eq!(identity.sid.as_deref(), Some("s"));
    assert_eq!(identity.auth_time, Some(Timestamp::from_secs(NOW - 5)));
    let names = identity.claims.keys().map(String::as_str).collect::<Vec<_>>();
    assert_eq!(
        names,
        ["__proto__", "acr", "address", "amr", "auth_time", "name", "nonce_supported", "sub"]
    );
}

#[test]
fn step_1_an_encrypted_token_is_refused() {
    let token = Secret::from("eyJhbGciOiJSU0EtT0FFUCIsImVuYyI6IkEyNTZHQ00ifQ.a2V5.aXY.Y3Q.dGFn");
    let result = UntrustedIdToken::parse(&token).unwrap_err();
    assert_eq!(result, IdTokenError::Jws(JwsError::Malformed));
}

#[test]
fn step_2_the_issuer_is_ours_byte_for_byte() {
    for iss in [
        "https://id.example",
        "https://id.example//",
        "HTTPS://id.example/",
        "https://ID.example/",
        "https://id.example:443/",
        "https://id.example/%2f",
        "https://id.example/ ",
        "https://id.example/tenant-2",
        "https://id.exаmple/",
        "",
    ] {
        assert_eq!(error(json!({ "iss": iss })), Some(IdTokenError::IssuerMismatch), "{iss}");
    }
    assert_eq!(error(json!({ "iss": null })), Some(IdTokenError::Missing("iss")));
    for iss in [json!([ISSUER]), json!(1), json!({ "iss": ISSUER })] {
        assert_eq!(error(json!({ "iss": iss })), Some(IdTokenError::Malformed("iss")));
    }
}

#[test]
fn step_3_the_audience_is_us_and_nobody_else() {
    for aud in [json!(CLIENT), json!([CLIENT]), json!([CLIENT, CLIENT])] {
        assert_eq!(error(json!({ "aud": aud })), None, "{aud}");
    }
    for aud in [
        json!("other"),
        json!("the-client-2"),
        json!("the-clien"),
        json!("THE-CLIENT"),
        json!("the-client other"),
        json!(""),
        json!(["other"]),
        json!([CLIENT, "other"]),
        json!(["other", CLIENT]),
    ] {
        assert_eq!(error(json!({ "aud": aud })), Some(IdTokenError::AudienceMismatch), "{aud}");
    }
    for aud in [json!([]), json!([[CLIENT]]), json!([CLIENT, 1]), json!(1), json!({}), json!(true)]
    {
        assert_eq!(error(json!({ "aud": aud })), Some(IdTokenError::Malformed("aud")), "{aud}");
    }
    assert_eq!(error(json!({ "aud": null })), Some(IdTokenError::Missing("aud")));
    // A party that is authorized doesn't make another audience trusted.
    let aud = json!({ "aud": [CLIENT, "other"], "azp": CLIENT });
    assert_eq!(error(aud), Some(IdTokenError::AudienceMismatch));
}

#[test]
fn step_5_the_authorized_party_is_us_if_it_is_there() {
    assert_eq!(error(json!({ "azp": CLIENT })), None);
    let other = Some(IdTokenError::AuthorizedPartyMismatch);
    assert_eq!(error(json!({ "azp": "other" })), other);
    assert_eq!(error(json!({ "azp": "" })), other);
    assert_eq!(error(json!({ "azp": [CLIENT] })), Some(IdTokenError::Malformed("azp")));
}

#[test]
fn step_6_a_token_that_the_provider_did_not_sign_is_refused() {
    // oidcc-client-test-invalid-sig-rs256 and -es256.
    for alg in ALL {
        let mut token = sign(alg, &header(alg), &claims());
        let first = token.rfind('.').unwrap() + 1;
        let flipped = if token.as_bytes()[first] == b'A' { "B" } else { "A" };
        token.replace_range(first..=first, flipped);
        let token = Secret::new(token);
        let expected = IdTokenExpectations { alg, ..expected() };
        let now = Timestamp::from_secs(NOW);
        let result = UntrustedIdToken::parse(&token).unwrap().verify(&keys(), &expected, now);
        assert_eq!(result.unwrap_err(), IdTokenError::Jws(JwsError::Signature), "{alg:?}");
    }
}

#[test]
fn step_6_rotated_keys_are_asked_for_and_then_do() {
    // oidcc-client-test-signing-key-rotation-just-before-signing.
    let token = Secret::new(sign(ALG, &header(ALG), &claims()));
    let now = Timestamp::from_secs(NOW);
    let old = key_set(&[with(p256_jwk(9), json!({ "kid": "old" }))]);
    let parse = || UntrustedIdToken::parse(&token).unwrap();
    assert_eq!(parse().verify(&old, &expected(), now).unwrap_err(), IdTokenError::UnknownKey);
    assert!(parse().verify(&keys(), &expected(), now).is_ok());
}

#[test]
fn step_7_no_algorithm_but_the_configured_one_is_taken() {
    // J1, J3; oidcc-client-test-idtoken-sig-none.
    for alg in [
        "none",
        "None",
        "NONE",
        "nOnE",
        "",
        "es256",
        "ES256 ",
        "ES384",
        "ES512",
        "ES256K",
        "RS256",
        "PS256",
        "EdDSA",
        "HS256",
        "HS384",
        "HS512",
        "RSA-OAEP",
        "PBES2-HS256+A128KW",
    ] {
        let head = with(header(ALG), json!({ "alg": alg }));
        let signed = sign(ALG, &head, &claims());
        let bare = format!("{}.", signed.rsplit_once('.').unwrap().0);
        for token in [signed, bare] {
            let token = Secret::new(token);
            let now = Timestamp::from_secs(NOW);
            let result = UntrustedIdToken::parse(&token).unwrap().verify(&keys(), &expected(), now);
            assert_eq!(result.unwrap_err(), IdTokenError::AlgorithmMismatch, "{alg}");
        }
    }
}

#[test]
fn step_8_a_mac_under_the_public_key_is_refused() {
    // J2: CVE-2016-10555 and its kin, CVE-2026-44699 (an empty key).
    use hmac::{Hmac, Mac as _};
    use rsa::{
        pkcs1::EncodeRsaPublicKey as _,
        pkcs8::{EncodePublicKey as _, LineEnding},
    };
    let key = crate::jose::testing::rsa_key().to_public_key();
    let spki = key.to_public_key_pem(LineEnding::LF).unwrap();
    let jwk = crate::jose::testing::jwk(SigningAlg::RS256);
    let secrets: [Vec<u8>; 7] = [
        spki.clone().into_bytes(),
        spki.trim_end().as_bytes().to_vec(),
        key.to_pkcs1_pem(LineEnding::LF).unwrap().into_bytes(),
        key.to_public_key_der().unwrap().into_vec(),
        jwk.to_string().into_bytes(),
        base64url::decode(jwk["n"].as_str().unwrap()).unwrap(),
        Vec::new(),
    ];
    for secret in secrets {
        for alg in ["HS256", "RS256"] {
            let head = base64url::encode(json!({ "alg": alg, "kid": "rsa" }).to_string());
            let signed = format!("{head}.{}", base64url::encode(claims().to_string()));
            let mac = Hmac::<Sha256>::new_from_slice(&secret).unwrap();
            let mac = mac.chain_update(&signed).finalize().into_bytes();
            let token = Secret::new(format!("{signed}.{}", base64url::encode(mac)));
            let expected = IdTokenExpectations { alg: SigningAlg::RS256, ..expected() };
            let now = Timestamp::from_secs(NOW);
            let result = UntrustedIdToken::parse(&token).unwrap().verify(&keys(), &expected, now);
            let wanted = match alg {
                "HS256" => IdTokenError::AlgorithmMismatch,
                _ => IdTokenError::Jws(JwsError::Signature),
            };
            assert_eq!(result.unwrap_err(), wanted);
        }
    }
}

#[test]
fn step_9_an_expired_token_is_refused() {
    let leeway = EXPIRY_LEEWAY.as_secs();
    assert_eq!(error(json!({ "exp": NOW + 1 })), None);
    assert_eq!(error(json!({ "exp": NOW - leeway + 1 })), None);
    assert_eq!(error(json!({ "exp": NOW - leeway })), Some(IdTokenError::Expired));
    assert_eq!(error(json!({ "exp": 0 })), Some(IdTokenError::Expired));
    assert_eq!(error(json!({ "exp": null })), Some(IdTokenError::Missing("exp")));
}

#[test]
fn step_10_a_token_from_the_future_or_the_past_is_refused() {
    let skew = FUTURE_SKEW.as_secs();
    assert_eq!(error(json!({ "iat": NOW + skew })), None);
    assert_eq!(error(json!({ "iat": NOW + skew + 1 })), Some(IdTokenError::IssuedInTheFuture));
    assert_eq!(error(json!({ "iat": NOW - 3600 })), None);
    assert_eq!(error(json!({ "iat": NOW - 3601 })), Some(IdTokenError::IssuedTooLongAgo));
    let week = json!({ "iat": NOW - 7 * 86_400 });
    assert_eq!(error(week), Some(IdTokenError::IssuedTooLongAgo));
    // oidcc-client-test-missing-iat.
    assert_eq!(error(json!({ "iat": null })), Some(IdTokenError::Missing("iat")));
    assert_eq!(error(json!({ "nbf": NOW + skew })), None);
    assert_eq!(error(json!({ "nbf": NOW + skew + 1 })), Some(IdTokenError::NotYetValid));
}

#[test]
fn a_date_that_is_no_date_is_a_fault_and_never_absent() {
    // J31: CVE-2026-25537; jwt-simple's wrapped negatives.
    for name in ["exp", "iat", "nbf", "auth_time"] {
        for value in [
            "\"9999999999\"",
            "null",
            "true",
            "[]",
            "{}",
            "-1",
            "-1.5",
            "-9223372036854775809",
            "9007199254740993",
            "9223372036854775808",
            "18446744073709551616",
            "1e300",
            "1795000000000",
        ] {
            let mut claims = claims();
            claims.as_object_mut().unwrap().remove(name);
            let rest = claims.to_string();
            let payload = format!("{{\"{name}\":{value},{}", &rest[1..]);
            let expected = match name {
                "exp" => IdTokenError::Malformed("exp"),
                "iat" => IdTokenError::Malformed("iat"),
                "nbf" => IdTokenError::Malformed("nbf"),
                _ => IdTokenError::Malformed("auth_time"),
            };
            assert_eq!(verify_text(&payload).unwrap_err(), expected, "{name} {value}");
        }
    }
    let infinite = claims().to_string().replacen(&(NOW + 300).to_string(), "1e400", 1);
    assert_eq!(verify_text(&infinite).unwrap_err(), IdTokenError::NotClaims);
    assert_eq!(error(json!({ "exp": NOW as f64 + 0.5, "iat": NOW as f64 - 0.5 })), None);
    let exponent = claims().to_string().replacen(&(NOW + 300).to_string(), "1.795000300e9", 1);
    assert!(verify_text(&exponent).is_ok());
}

#[test]
fn step_11_the_nonce_is_the_logins() {
    // J32; oidcc-client-test-nonce-invalid.
    for nonce in ["", "the-nonce2", "the-nonc", "THE-NONCE", "the-nonce "] {
        assert_eq!(error(json!({ "nonce": nonce })), Some(IdTokenError::NonceMismatch), "{nonce}");
    }
    assert_eq!(error(json!({ "nonce": null })), Some(IdTokenError::Missing("nonce")));
    for nonce in [json!(["the-nonce"]), json!(1), json!(true)] {
        assert_eq!(error(json!({ "nonce": nonce })), Some(IdTokenError::Malformed("nonce")));
    }
}

#[test]
fn a_claim_of_the_token_does_not_turn_the_nonce_off() {
    // CVE-2026-114617.
    let claims = json!({ "nonce": null, "nonce_supported": false });
    assert_eq!(error(claims), Some(IdTokenError::Missing("nonce")));
}

#[test]
fn no_login_passes_with_a_refreshs_expectations() {
    let expected = IdTokenExpectations { nonce: Nonce::AsAtLogin, ..expected() };
    assert_eq!(verify(&claims(), &expected).unwrap_err(), IdTokenError::NonceMismatch);
    let claims = claims_with(json!({ "nonce": null }));
    assert_eq!(verify(&claims, &expected).unwrap_err(), IdTokenError::Missing("nonce"));
}

#[test]
fn step_12_the_acr_is_one_of_those_asked_for() {
    let asked = ["urn:mfa".to_owned(), "urn:hw".to_owned()];
    let expected = IdTokenExpectations { acr_values: Some(&asked), ..expected() };
    let verify = |acr: Value| verify(&claims_with(json!({ "acr": acr })), &expected).err();
    assert_eq!(verify(json!("urn:hw")), None);
    for acr in [json!("urn:pwd"), json!(""), json!("urn:mfa urn:hw"), json!(null)] {
        assert_eq!(verify(acr.clone()), Some(IdTokenError::AcrMismatch), "{acr}");
    }
    assert_eq!(verify(json!(["urn:mfa"])), Some(IdTokenError::Malformed("acr")));
    assert_eq!(error(json!({ "acr": "whatever" })), None);
}

#[test]
fn step_13_the_authentication_is_not_older_than_max_age() {
    let expected = IdTokenExpectations { max_age: Some(60), ..expected() };
    let error_at =
        |time: Value| verify(&claims_with(json!({ "auth_time": time })), &expected).err();
    assert_eq!(error_at(json!(NOW)), None);
    assert_eq!(error_at(json!(NOW - 70)), None);
    assert_eq!(error_at(json!(NOW - 71)), Some(IdTokenError::AuthenticatedTooLongAgo));
    assert_eq!(error_at(json!(null)), Some(IdTokenError::Missing("auth_time")));
    assert_eq!(error_at(json!(NOW + 60)), None);
    assert_eq!(error_at(json!(NOW + 61)), Some(IdTokenError::AuthenticatedInTheFuture));
    assert_eq!(error(json!({ "auth_time": NOW - 86_400 })), None);
    let huge = IdTokenExpectations { max_age: Some(u64::MAX), ..expected };
    assert!(verify(&claims_with(json!({ "auth_time": 1 })), &huge).is_ok());
}

#[test]
fn the_subject_is_1_to_255_ascii_characters() {
    // J33; oidcc-client-test-missing-sub.
    assert_eq!(error(json!({ "sub": "x".repeat(255) })), None);
    for sub in [String::new(), "x".repeat(256), "usér".to_owned()] {
        assert_eq!(error(json!({ "sub": sub })), Some(IdTokenError::Malformed("sub")), "{sub}");
    }
    assert_eq!(error(json!({ "sub": 1 })), Some(IdTokenError::Malformed("sub")));
    assert_eq!(error(json!({ "sub": null })), Some(IdTokenError::Missing("sub")));
    for sid in [json!(""), json!(1), json!([])] {
        assert_eq!(error(json!({ "sid": sid })), Some(IdTokenError::Malformed("sid")));
    }
}

#[test]
fn the_at_hash_is_checked_wherever_it_is() {
    // J34; oidcc-client-test-invalid-athash; CVE-2026-28498 (no algorithm without a hash here).
    let token = Secret::from("jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y");
    for alg in ALL {
        let short = base64url::encode(&Sha256::digest(token.expose())[..16]);
        let long = base64url::encode(&Sha512::digest(token.expose())[..32]);
        // OpenID Connect Core A.3 has this token and this hash for RS256.
        assert_eq!(short, "77QmUPtjPfzWtF2AnpK9RQ");
        let (right, wrong) = if alg == SigningAlg::EdDSA { (long, short) } else { (short, long) };
        let expected = IdTokenExpectations { alg, access_token: Some(&token), ..expected() };
        let verify =
            |hash: Value| verify(&claims_with(json!({ "at_hash": hash })), &expected).err();
        assert_eq!(verify(json!(right)), None, "{alg:?}");
        assert_eq!(verify(json!(null)), None, "optional in the code flow");
        let whole = base64url::encode(Sha256::digest(token.expose()));
        let padded = format!("{right}==");
        for hash in [wrong.as_str(), "", &whole, &padded, "dNZX1hEZ9wBCzNL40Upu646bdzQA"] {
            assert_eq!(verify(json!(hash)), Some(IdTokenError::AccessTokenMismatch), "{hash}");
        }
        assert_eq!(verify(json!(1)), Some(IdTokenError::Malformed("at_hash")));
    }
}

#[test]
fn a_payload_that_is_no_plain_object_is_refused() {
    // J18, J19.
    let twice = format!("{{\"aud\":\"evil\",{}", &claims().to_string()[1..]);
    let cases = ["", "null", "[]", "1", "\"x\"", "\u{1f}\u{8b}", "{", "{}x", twice.as_str()];
    for case in cases {
        assert_eq!(verify_text(case).unwrap_err(), IdTokenError::NotClaims, "{case}");
    }
    assert_eq!(verify_text("{}").unwrap_err(), IdTokenError::Missing("iss"));
}

#[test]
fn another_kind_of_token_is_no_id_token() {
    // J37, CVE-2025-68129: an access token for an API, a logout token, both rightly signed.
    let access = json!({ "aud": "https://api.example", "client_id": CLIENT, "scope": "openid" });
    assert_eq!(error(access), Some(IdTokenError::AudienceMismatch));
    let access = json!({ "nonce": null, "client_id": CLIENT, "scope": "openid" });
    assert_eq!(error(access), Some(IdTokenError::Missing("nonce")));
    let event = json!({ "http://schemas.openid.net/event/backchannel-logout": {} });
    let logout = json!({ "events": event });
    assert_eq!(error(logout), Some(IdTokenError::NotAnIdToken));
}

/// §12.2.
mod at_a_refresh {
    use super::*;

    fn original(members: Value) -> RefreshedAgainst {
        verify(&claims_with(members), &super::expected()).unwrap().original()
    }

    fn refreshed(
        members: Value,
        original: &RefreshedAgainst,
    ) -> Result<VerifiedIdToken, IdTokenError> {
        let defaults = json!({ "nonce": null, "iat": NOW + 1000, "exp": NOW + 2000 });
        let claims = claims_with(with(defaults, members));
        let token = Secret::new(sign(ALG, &header(ALG), &claims));
        let expected = IdTokenExpectations { nonce: Nonce::AsAtLogin, ..super::expected() };
        let now = Timestamp::from_secs(NOW + 1000);
        UntrustedIdToken::parse(&token)?.verify_refreshed(&keys(), &expected, original, now)
    }

    #[test]
    fn the_same_person_of_the_same_login_passes() {
        let original = original(json!({ "auth_time": NOW - 9 }));
        for members in [
            json!({}),
            json!({ "auth_time": NOW - 9 }),
            json!({ "nonce": "the-nonce" }),
            json!({ "aud": [CLIENT] }),
            // Some repeat the login's token while it lives.
            json!({ "iat": NOW }),
        ] {
            assert!(refreshed(members.clone(), &original).is_ok(), "{members}");
        }
    }

    #[test]
    fn whatever_changed_is_refused() {
        // J36; oidcc-client-test-refresh-token-invalid-issuer and -invalid-sub.
        let original = original(json!({ "auth_time": NOW - 9 }));
        for (members, expected) in [
            (json!({ "sub": "user-2" }), IdTokenError::ChangedAtRefresh("sub")),
            (json!({ "iss": "https://other/" }), IdTokenError::IssuerMismatch),
            (json!({ "aud": "other" }), IdTokenError::AudienceMismatch),
            (json!({ "auth_time": NOW - 8 }), IdTokenError::ChangedAtRefresh("auth_time")),
            (json!({ "nonce": "another" }), IdTokenError::ChangedAtRefresh("nonce")),
            (json!({ "nonce": "" }), IdTokenError::ChangedAtRefresh("nonce")),
            (json!({ "nonce": 1 }), IdTokenError::Malformed("nonce")),
            (json!({ "azp": CLIENT }), IdTokenError::ChangedAtRefresh("azp")),
            (json!({ "azp": "other" }), IdTokenError::AuthorizedPartyMismatch),
            (json!({ "exp": NOW }), IdTokenError::Expired),
            (json!({ "iat": NOW + 2000 }), IdTokenError::IssuedInTheFuture),
            (json!({ "iat": null }), IdTokenError::Missing("iat")),
            (json!({ "events": {} }), IdTokenError::NotAnIdToken),
        ] {
            assert_eq!(refreshed(members.clone(), &original).unwrap_err(), expected, "{members}");
        }
    }

    #[test]
    fn the_original_is_held_to_even_where_the_configuration_changed() {
        let kept = original(json!({ "azp": CLIENT }));
        let other = RefreshedAgainst { iss: "https://old/".to_owned(), ..kept.clone() };
        let result = refreshed(json!({ "azp": CLIENT }), &other).unwrap_err();
        assert_eq!(result, IdTokenError::ChangedAtRefresh("iss"));
        let other = RefreshedAgainst { aud: vec!["old-client".to_owned()], ..kept.clone() };
        let result = refreshed(json!({ "azp": CLIENT }), &other).unwrap_err();
        assert_eq!(result, IdTokenError::ChangedAtRefresh("aud"));
        let result = refreshed(json!({}), &kept).unwrap_err();
        assert_eq!(result, IdTokenError::ChangedAtRefresh("azp"));
        assert!(refreshed(json!({ "azp": CLIENT }), &kept).is_ok());
    }

    #[test]
    fn a_nonce_that_the_login_did_not_have_is_refused() {
        let kept = RefreshedAgainst { nonce: None, ..original(json!({})) };
        let result = refreshed(json!({ "nonce": "the-nonce" }), &kept).unwrap_err();
        assert_eq!(result, IdTokenError::ChangedAtRefresh("nonce"));
    }

    #[test]
    fn an_auth_time_is_compared_to_the_second_and_only_where_there_are_two() {
        let kept = original(json!({ "auth_time": NOW as f64 - 0.75 }));
        assert!(refreshed(json!({ "auth_time": NOW - 1 }), &kept).is_ok());
        assert!(refreshed(json!({ "auth_time": NOW }), &kept).is_err());
        assert!(refreshed(json!({ "auth_time": NOW }), &original(json!({}))).is_ok());
    }

    #[test]
    fn what_is_kept_of_the_login_survives_being_stored() {
        let kept = original(json!({ "auth_time": NOW, "azp": CLIENT }));
        let stored = serde_json::to_string(&kept).unwrap();
        assert_eq!(serde_json::from_str::<RefreshedAgainst>(&stored).unwrap(), kept);
    }
}
