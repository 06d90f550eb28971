use serde_json::json;

use super::*;
use crate::{
    base64url,
    jose::{
        IdTokenError, IdTokenExpectations, Nonce, UntrustedIdToken,
        jws::MAX_TOKEN,
        testing::{ALL, header, key_set, keys, p256_jwk, sign, sign_text, with},
    },
};

const ISSUER: &str = "https://id.example/";
const CLIENT: &str = "the-client";
const NOW: u64 = 1_795_000_000;
const ALG: SigningAlg = SigningAlg::ES256;

fn expected() -> LogoutTokenExpectations<'static> {
    LogoutTokenExpectations { issuer: ISSUER, client_id: CLIENT, alg: ALG }
}

/// As the example of §2.4 has them.
fn claims() -> Value {
    json!({
        "iss": ISSUER,
        "sub": "user-1",
        "aud": CLIENT,
        "iat": NOW,
        "exp": NOW + 120,
        "jti": "bWJq",
        "sid": "session-1",
        "events": { EVENT: {} },
    })
}

/// A header as §2.4 recommends it.
fn logout_header(alg: SigningAlg) -> Value {
    with(header(alg), json!({ "typ": "logout+jwt" }))
}

/// The claims with some of them set, and these removed.
fn claims_but(removed: &[&str], members: Value) -> Value {
    let mut claims = with(claims(), members);
    claims.as_object_mut().unwrap().retain(|name, _| !removed.contains(&name.as_str()));
    claims
}

fn verify_token(token: String, at: Timestamp) -> Result<VerifiedLogoutToken, LogoutTokenError> {
    UntrustedLogoutToken::parse(&Secret::new(token))?.verify(&keys(), &expected(), at)
}

fn verify_at(claims: &Value, at: Timestamp) -> Result<VerifiedLogoutToken, LogoutTokenError> {
    verify_token(sign(ALG, &logout_header(ALG), claims), at)
}

fn verify(claims: &Value) -> Result<VerifiedLogoutToken, LogoutTokenError> {
    verify_at(claims, Timestamp::from_secs(NOW))
}

/// Verifies a payload as it stands, for what `json!` can't write.
fn verify_text(payload: &str) -> Result<VerifiedLogoutToken, LogoutTokenError> {
    let header = logout_header(ALG).to_string();
    let token = sign_text(ALG, header.as_bytes(), payload.as_bytes());
    verify_token(token, Timestamp::from_secs(NOW))
}

fn verify_header(header: &Value) -> Option<LogoutTokenError> {
    verify_token(sign(ALG, header, &claims()), Timestamp::from_secs(NOW)).err()
}

fn error(members: Value) -> Option<LogoutTokenError> {
    verify(&claims_but(&[], members)).err()
}

fn error_without(name: &str) -> Option<LogoutTokenError> {
    verify(&claims_but(&[name], json!({}))).err()
}

#[test]
fn a_token_of_each_algorithm_says_whose_session_ends() {
    for alg in ALL {
        let token = Secret::new(sign(alg, &logout_header(alg), &claims()));
        let expected = LogoutTokenExpectations { alg, ..expected() };
        let token = UntrustedLogoutToken::parse(&token).unwrap();
        let token = token.verify(&keys(), &expected, Timestamp::from_secs(NOW)).unwrap();
        assert_eq!((token.issuer(), token.jti()), (ISSUER, "bWJq"), "{alg:?}");
        let session =
            LogoutSubject::Session { sid: "session-1".to_owned(), sub: Some("user-1".to_owned()) };
        assert_eq!(token.who(), &session);
        assert_eq!(token.issued_at(), Timestamp::from_secs(NOW));
    }
}

#[test]
fn section_2_4_the_type_is_logout_jwt_or_says_nothing() {
    for typ in [
        "logout+jwt",
        "LOGOUT+JWT",
        "Logout+Jwt",
        "application/logout+jwt",
        "APPLICATION/logout+JWT",
        "JWT",
        "jwt",
        "application/jwt",
    ] {
        assert_eq!(verify_header(&with(header(ALG), json!({ "typ": typ }))), None, "{typ}");
    }
    let mut without = header(ALG);
    without.as_object_mut().unwrap().remove("typ");
    assert_eq!(verify_header(&without), None);
    for typ in [
        "at+jwt",
        "application/at+jwt",
        "dpop+jwt",
        "secevent+jwt",
        "id+jwt",
        "entity-statement+jwt",
        "oauth-authz-req+jwt",
        "JOSE",
        "logout",
        "logout+jwt ",
        "application/application/logout+jwt",
        "text/logout+jwt",
        "",
    ] {
        let head = with(header(ALG), json!({ "typ": typ }));
        assert_eq!(verify_header(&head), Some(LogoutTokenError::Jws(JwsError::Type)), "{typ}");
    }
    for typ in [json!(null), json!(1), json!(["logout+jwt"]), json!({})] {
        let head = with(header(ALG), json!({ "typ": typ }));
        assert_eq!(verify_header(&head), Some(LogoutTokenError::Jws(JwsError::Malformed)));
    }
}

#[test]
fn step_1_an_encrypted_token_is_refused() {
    let token = "eyJhbGciOiJSU0EtT0FFUCIsImVuYyI6IkEyNTZHQ00ifQ.a2V5.aXY.Y3Q.dGFn";
    let result = verify_token(token.to_owned(), Timestamp::from_secs(NOW)).unwrap_err();
    assert_eq!(result, LogoutTokenError::Jws(JwsError::Malformed));
}

#[test]
fn a_megabyte_is_refused_by_its_length_before_anything_is_decoded() {
    let too_large = Some(LogoutTokenError::Jws(JwsError::TooLarge));
    let signed = sign(ALG, &logout_header(ALG), &claims());
    let big = claims_but(&[], json!({ "events": { EVENT: { "x": "x".repeat(1 << 20) } } }));
    for token in [
        "a".repeat(1 << 20),
        ".".repeat(1 << 20),
        "é".repeat(1 << 19),
        sign(ALG, &logout_header(ALG), &big),
        format!("{signed}{}", "A".repeat(MAX_TOKEN)),
    ] {
        assert_eq!(verify_token(token, Timestamp::from_secs(NOW)).err(), too_large);
    }
}

#[test]
fn a_header_that_asks_for_an_extension_is_refused() {
    for member in [
        json!({ "crit": ["exp"] }),
        json!({ "crit": [] }),
        json!({ "b64": false }),
        json!({ "zip": "DEF" }),
        json!({ "cty": "JWT" }),
    ] {
        let head = with(logout_header(ALG), member.clone());
        let extension = Some(LogoutTokenError::Jws(JwsError::Extension));
        assert_eq!(verify_header(&head), extension, "{member}");
    }
}

#[test]
fn step_2_a_token_that_the_provider_did_not_sign_is_refused() {
    for alg in ALL {
        let mut token = sign(alg, &logout_header(alg), &claims());
        let first = token.rfind('.').unwrap() + 1;
        let flipped = if token.as_bytes()[first] == b'A' { "B" } else { "A" };
        token.replace_range(first..=first, flipped);
        let token = Secret::new(token);
        let expected = LogoutTokenExpectations { alg, ..expected() };
        let token = UntrustedLogoutToken::parse(&token).unwrap();
        let result = token.verify(&keys(), &expected, Timestamp::from_secs(NOW));
        assert_eq!(result.unwrap_err(), LogoutTokenError::Jws(JwsError::Signature), "{alg:?}");
    }
}

#[test]
fn step_2_rotated_keys_are_asked_for_and_then_do() {
    let token = Secret::new(sign(ALG, &logout_header(ALG), &claims()));
    let now = Timestamp::from_secs(NOW);
    let old = key_set(&[with(p256_jwk(9), json!({ "kid": "old" }))]);
    let parse = || UntrustedLogoutToken::parse(&token).unwrap();
    assert_eq!(parse().verify(&old, &expected(), now).unwrap_err(), LogoutTokenError::UnknownKey);
    assert!(parse().verify(&keys(), &expected(), now).is_ok());
}

#[test]
fn step_2_nobody_elses_token_asks_for_keys() {
    // Of another provider or for another client, in the algorithm of neither, under a key that we
    // don't have: the keys aren't searched for it.
    let verify = |members: Value| {
        let head = with(logout_header(ALG), json!({ "kid": "new" }));
        let token = sign(ALG, &head, &claims_but(&[], members));
        verify_token(token, Timestamp::from_secs(NOW)).err()
    };
    assert_eq!(verify(json!({})), Some(LogoutTokenError::UnknownKey));
    let issuer = Some(LogoutTokenError::IssuerMismatch);
    assert_eq!(verify(json!({ "iss": "https://other/" })), issuer);
    assert_eq!(verify(json!({ "aud": "other" })), Some(LogoutTokenError::AudienceMismatch));
}

#[test]
fn step_3_no_algorithm_but_the_registrations_is_taken() {
    // oidcc-client-test-rp-backchannel-rpinitlogout-alg-none and -wrong-alg.
    for alg in [
        "none", "None", "NONE", "nOnE", "", "es256", "ES256 ", "ES384", "ES512", "RS256", "PS256",
        "EdDSA", "HS256", "HS384", "HS512", "RSA-OAEP",
    ] {
        let signed = sign(ALG, &with(logout_header(ALG), json!({ "alg": alg })), &claims());
        let bare = format!("{}.", signed.rsplit_once('.').unwrap().0);
        for token in [signed, bare] {
            let result = verify_token(token, Timestamp::from_secs(NOW));
            assert_eq!(result.unwrap_err(), LogoutTokenError::AlgorithmMismatch, "{alg}");
        }
    }
    for made_with in ALL.into_iter().filter(|alg| *alg != ALG) {
        let token = sign(made_with, &logout_header(made_with), &claims());
        let result = verify_token(token, Timestamp::from_secs(NOW));
        assert_eq!(result.unwrap_err(), LogoutTokenError::AlgorithmMismatch, "{made_with:?}");
    }
}

#[test]
fn step_4_the_issuer_is_ours_byte_for_byte() {
    // oidcc-client-test-rp-backchannel-rpinitlogout-wrong-iss.
    for iss in [
        "https://id.example",
        "https://id.example//",
        "HTTPS://id.example/",
        "https://id.example:443/",
        "https://id.example/tenant-2",
        "https://id.exаmple/",
        "",
    ] {
        assert_eq!(error(json!({ "iss": iss })), Some(LogoutTokenError::IssuerMismatch), "{iss}");
    }
    assert_eq!(error_without("iss"), Some(LogoutTokenError::Missing("iss")));
    for iss in [json!([ISSUER]), json!(1), json!(null)] {
        assert_eq!(error(json!({ "iss": iss })), Some(LogoutTokenError::Malformed("iss")));
    }
}

#[test]
fn step_4_the_audience_is_us_and_nobody_else() {
    // oidcc-client-test-rp-backchannel-rpinitlogout-wrong-aud.
    for aud in [json!(CLIENT), json!([CLIENT])] {
        assert_eq!(error(json!({ "aud": aud })), None, "{aud}");
    }
    for aud in [json!("other"), json!("THE-CLIENT"), json!(""), json!([CLIENT, "other"])] {
        let mismatch = Some(LogoutTokenError::AudienceMismatch);
        assert_eq!(error(json!({ "aud": aud })), mismatch, "{aud}");
    }
    for aud in [json!([]), json!([[CLIENT]]), json!([CLIENT, 1]), json!(null), json!({})] {
        assert_eq!(error(json!({ "aud": aud })), Some(LogoutTokenError::Malformed("aud")), "{aud}");
    }
    assert_eq!(error_without("aud"), Some(LogoutTokenError::Missing("aud")));
}

#[test]
fn step_4_an_expired_token_is_refused() {
    let leeway = EXPIRY_LEEWAY.as_secs();
    assert_eq!(error(json!({ "exp": NOW + 1 })), None);
    assert_eq!(error(json!({ "exp": NOW - leeway + 1 })), None);
    assert_eq!(error(json!({ "exp": NOW - leeway })), Some(LogoutTokenError::Expired));
    assert_eq!(error(json!({ "exp": 0 })), Some(LogoutTokenError::Expired));
}

#[test]
fn step_4_a_token_from_the_future_is_refused() {
    let skew = FUTURE_SKEW.as_secs();
    let future = Some(LogoutTokenError::IssuedInTheFuture);
    assert_eq!(error(json!({ "iat": NOW + skew })), None);
    assert_eq!(error(json!({ "iat": NOW + skew + 1 })), future);
    assert_eq!(error(json!({ "iat": NOW + skew + 1, "exp": NOW + 9000 })), future);
    let without_exp = claims_but(&["exp"], json!({ "iat": NOW + skew + 1 }));
    assert_eq!(verify(&without_exp).err(), future);
    assert_eq!(error_without("iat"), Some(LogoutTokenError::Missing("iat")));
    assert_eq!(error(json!({ "nbf": NOW + skew })), None);
    assert_eq!(error(json!({ "nbf": NOW + skew + 1 })), Some(LogoutTokenError::NotYetValid));
}

#[test]
fn step_4_an_exp_makes_no_token_last_longer_than_an_hour() {
    let hour = MAX_TOKEN_AGE.as_secs();
    let too_old = Some(LogoutTokenError::IssuedTooLongAgo);
    for exp in [NOW + 1, NOW + 10 * hour, 253_402_300_799] {
        assert_eq!(error(json!({ "iat": NOW - hour + 1, "exp": exp })), None, "{exp}");
        assert_eq!(error(json!({ "iat": NOW - hour, "exp": exp })), too_old, "{exp}");
        assert_eq!(error(json!({ "iat": 0, "exp": exp })), too_old, "{exp}");
    }
}

#[test]
fn step_4_without_an_exp_a_token_lasts_two_minutes() {
    // §2.4 requires `exp`; some providers leave it out.
    let error = |iat: u64| verify(&claims_but(&["exp"], json!({ "iat": iat }))).err();
    assert_eq!(error(NOW), None);
    assert_eq!(error(NOW - 119), None);
    assert_eq!(error(NOW - 120), Some(LogoutTokenError::IssuedTooLongAgo));
    assert_eq!(error(0), Some(LogoutTokenError::IssuedTooLongAgo));
    let neither = claims_but(&["exp", "iat"], json!({}));
    assert_eq!(verify(&neither).err(), Some(LogoutTokenError::Missing("iat")));
}

#[test]
fn a_date_that_is_no_date_is_a_fault_and_never_absent() {
    for name in ["exp", "iat", "nbf"] {
        for value in [
            "\"1795000060\"",
            "null",
            "true",
            "[]",
            "{}",
            "-1",
            "-9223372036854775809",
            "9223372036854775808",
            "18446744073709551616",
            "1e300",
            "1795000000000",
        ] {
            let rest = claims_but(&[name], json!({})).to_string();
            let payload = format!("{{\"{name}\":{value},{}", &rest[1..]);
            let result = verify_text(&payload).unwrap_err();
            assert_eq!(result, LogoutTokenError::Malformed(name), "{name} {value}");
        }
    }
    let infinite = claims().to_string().replacen(&(NOW + 120).to_string(), "1e400", 1);
    assert_eq!(verify_text(&infinite).unwrap_err(), LogoutTokenError::NotClaims);
    assert_eq!(error(json!({ "exp": NOW as f64 + 0.5, "iat": NOW as f64 - 0.5 })), None);
}

#[test]
fn step_5_a_session_a_subject_or_both_are_named() {
    let who = |claims: Value| verify(&claims).unwrap().who().clone();
    let (sid, sub) = ("session-1".to_owned(), "user-1".to_owned());
    assert_eq!(who(claims()), LogoutSubject::Session { sid: sid.clone(), sub: Some(sub.clone()) });
    assert_eq!(who(claims_but(&["sub"], json!({}))), LogoutSubject::Session { sid, sub: None });
    assert_eq!(who(claims_but(&["sid"], json!({}))), LogoutSubject::Subject { sub });
    let nobody = claims_but(&["sub", "sid"], json!({}));
    assert_eq!(verify(&nobody).unwrap_err(), LogoutTokenError::NobodyNamed);
    // In the event they name nobody.
    let in_the_event = json!({ "events": { EVENT: { "sub": "user-1", "sid": "session-1" } } });
    let nobody = claims_but(&["sub", "sid"], in_the_event);
    assert_eq!(verify(&nobody).unwrap_err(), LogoutTokenError::NobodyNamed);
}

#[test]
fn step_5_a_name_that_is_none_is_a_fault_and_never_absent() {
    assert_eq!(error(json!({ "sub": "x".repeat(255), "sid": "x".repeat(MAX_SID) })), None);
    for sub in
        [json!(""), json!("x".repeat(256)), json!("usér"), json!(1), json!(["user-1"]), json!(null)]
    {
        assert_eq!(error(json!({ "sub": sub })), Some(LogoutTokenError::Malformed("sub")), "{sub}");
    }
    for sid in [json!(""), json!("x".repeat(MAX_SID + 1)), json!(1), json!([]), json!(null)] {
        assert_eq!(error(json!({ "sid": sid })), Some(LogoutTokenError::Malformed("sid")), "{sid}");
    }
}

#[test]
fn step_6_the_event_is_an_object_in_an_object() {
    // oidcc-client-test-rp-backchannel-rpinitlogout-no-event and -wrong-event.
    assert_eq!(error_without("events"), Some(LogoutTokenError::Missing("events")));
    for events in [
        json!({}),
        json!({ "http://schemas.openid.net/event/backchannel-logout/": {} }),
        json!({ "https://schemas.openid.net/event/backchannel-logout": {} }),
        json!({ "http://schemas.openid.net/event/BackChannel-Logout": {} }),
        json!({ "https://schemas.openid.net/secevent/caep/event-type/session-revoked": {} }),
        json!({ "events": { EVENT: {} } }),
    ] {
        let other = Some(LogoutTokenError::NotALogoutToken);
        assert_eq!(error(json!({ "events": events })), other, "{events}");
    }
    for events in [
        json!(null),
        json!(EVENT),
        json!([EVENT]),
        json!([{ EVENT: {} }]),
        json!(true),
        json!({ EVENT: null }),
        json!({ EVENT: true }),
        json!({ EVENT: "" }),
        json!({ EVENT: [] }),
        json!({ EVENT: [{}] }),
    ] {
        let malformed = Some(LogoutTokenError::Malformed("events"));
        assert_eq!(error(json!({ "events": events })), malformed, "{events}");
    }
}

#[test]
fn step_6_an_event_may_say_more_and_have_others_beside_it() {
    for events in [
        json!({ EVENT: { "reason": "password_changed" } }),
        json!({ EVENT: {}, "https://id.example/event/more": { "by": "administrator" } }),
        json!({ EVENT: {}, "https://id.example/event/more": null }),
    ] {
        assert_eq!(error(json!({ "events": events })), None, "{events}");
    }
}

#[test]
fn step_7_a_nonce_is_refused_whatever_it_is() {
    // oidcc-client-test-rp-backchannel-rpinitlogout-with-nonce.
    for nonce in [json!("the-nonce"), json!(""), json!(null), json!(false), json!([])] {
        let error = error(json!({ "nonce": nonce }));
        assert_eq!(error, Some(LogoutTokenError::NoncePresent), "{nonce}");
    }
}

#[test]
fn step_8_a_token_has_a_name_to_remember_it_by() {
    assert_eq!(error(json!({ "jti": "x".repeat(MAX_JTI) })), None);
    assert_eq!(error_without("jti"), Some(LogoutTokenError::Missing("jti")));
    for jti in [json!(""), json!("x".repeat(MAX_JTI + 1)), json!(1), json!(["a"]), json!(null)] {
        assert_eq!(error(json!({ "jti": jti })), Some(LogoutTokenError::Malformed("jti")), "{jti}");
    }
}

#[test]
fn step_8_it_is_remembered_for_just_as_long_as_the_token_passes() {
    let hour = MAX_TOKEN_AGE.as_secs();
    for (claims, until) in [
        (claims(), NOW + 130),
        (claims_but(&[], json!({ "iat": NOW - 100, "exp": NOW + 1 })), NOW + 11),
        (claims_but(&[], json!({ "iat": NOW + 60, "exp": NOW + 10 * hour })), NOW + 60 + hour),
        (claims_but(&[], json!({ "iat": NOW - 9, "exp": NOW - 9 + hour })), NOW - 9 + hour),
        (claims_but(&["exp"], json!({})), NOW + 120),
        (claims_but(&["exp"], json!({ "iat": NOW + 60 })), NOW + 180),
        (claims_but(&["exp"], json!({ "iat": NOW - 119 })), NOW + 1),
    ] {
        let until = Timestamp::from_secs(until);
        assert_eq!(verify(&claims).unwrap().replay_until(), until, "{claims}");
        let last = until.before(Duration::from_millis(1));
        assert_eq!(verify_at(&claims, last).unwrap().replay_until(), until, "{claims}");
        let error = verify_at(&claims, until).unwrap_err();
        assert!(matches!(error, LogoutTokenError::Expired | LogoutTokenError::IssuedTooLongAgo));
    }
}

#[test]
fn a_payload_that_is_no_plain_object_is_refused() {
    let twice = |name: &str| format!("{{\"{name}\":\"x\",{}", &claims().to_string()[1..]);
    let event_twice = claims().to_string().replacen("{}", "{\"a\":1,\"a\":1}", 1);
    for case in ["", "null", "[]", "1", "\"x\"", "{", "{}x", &twice("sub"), &twice("events")] {
        assert_eq!(verify_text(case).unwrap_err(), LogoutTokenError::NotClaims, "{case}");
    }
    assert_eq!(verify_text(&event_twice).unwrap_err(), LogoutTokenError::NotClaims);
    assert_eq!(verify_text("{}").unwrap_err(), LogoutTokenError::Missing("iss"));
}

#[test]
fn claims_that_are_not_understood_are_ignored() {
    // §2.4.
    let more = json!({ "azp": "other", "auth_time": "x", "acr": 1, "trace_id": [1], "toe": NOW });
    assert_eq!(error(more), None);
}

#[test]
fn another_kind_of_token_is_no_logout_token() {
    // Back-Channel Logout §4.1, RFC 8725 §3.11 and §3.12: all of them rightly signed, for us.
    let id_token = json!({
        "iss": ISSUER, "sub": "user-1", "aud": CLIENT, "iat": NOW, "exp": NOW + 300,
        "nonce": "the-nonce", "jti": "1", "sid": "session-1",
    });
    let verify = |typ: Value, claims: &Value| {
        let token = sign(ALG, &with(header(ALG), json!({ "typ": typ })), claims);
        verify_token(token, Timestamp::from_secs(NOW)).err()
    };
    let no_event = Some(LogoutTokenError::Missing("events"));
    assert_eq!(verify(json!("JWT"), &id_token), no_event);
    // A refreshed one, which has no nonce.
    let mut refreshed = id_token;
    refreshed.as_object_mut().unwrap().remove("nonce");
    assert_eq!(verify(json!("JWT"), &refreshed), no_event);
    let access_token = with(refreshed, json!({ "client_id": CLIENT, "scope": "openid" }));
    assert_eq!(verify(json!("JWT"), &access_token), no_event);
    let other_type = Some(LogoutTokenError::Jws(JwsError::Type));
    assert_eq!(verify(json!("at+jwt"), &access_token), other_type);
    assert_eq!(verify(json!("at+jwt"), &claims()), other_type);
    assert_eq!(verify(json!("secevent+jwt"), &claims()), other_type);
}

#[test]
fn a_logout_token_is_no_id_token() {
    let expected = IdTokenExpectations {
        issuer: ISSUER,
        client_id: CLIENT,
        alg: ALG,
        nonce: Nonce::Must("the-nonce"),
        max_age: None,
        acr_values: None,
        access_token: None,
    };
    let verify = |typ: &str, claims: &Value| {
        let token = sign(ALG, &with(header(ALG), json!({ "typ": typ })), claims);
        let token = Secret::new(token);
        let now = Timestamp::from_secs(NOW);
        UntrustedIdToken::parse(&token)?.verify(&keys(), &expected, now)
    };
    let result = verify("logout+jwt", &claims()).unwrap_err();
    assert_eq!(result, IdTokenError::Jws(JwsError::Type));
    assert_eq!(verify("JWT", &claims()).unwrap_err(), IdTokenError::NotAnIdToken);
    // The type alone is enough, and so is the event.
    let as_id_token = claims_but(&["events"], json!({ "nonce": "the-nonce" }));
    assert!(verify("JWT", &as_id_token).is_ok());
    let result = verify("logout+jwt", &as_id_token).unwrap_err();
    assert_eq!(result, IdTokenError::Jws(JwsError::Type));
    let with_both = claims_but(&[], json!({ "nonce": "the-nonce" }));
    assert_eq!(verify("JWT", &with_both).unwrap_err(), IdTokenError::NotAnIdToken);
}

#[test]
fn the_log_is_told_which_check_failed_and_no_value() {
    let value = "a-value-of-the-token";
    let mut words = Vec::new();
    for (removed, members) in [
        (None, json!({ "iss": value })),
        (None, json!({ "aud": value })),
        (None, json!({ "exp": value })),
        (None, json!({ "iat": 0 })),
        (None, json!({ "nbf": NOW + 3600, "x": value })),
        (None, json!({ "sub": [value] })),
        (None, json!({ "sid": [value] })),
        (None, json!({ "events": { value: {} } })),
        (None, json!({ "nonce": value })),
        (Some("jti"), json!({ "x": value })),
    ] {
        let claims = claims_but(removed.as_slice(), members);
        let error = verify(&claims).unwrap_err();
        assert!(!format!("{error} {error:?}").contains(value), "{error}");
        words.push(error.kind());
    }
    assert_eq!(words, ["iss", "aud", "exp", "iat", "nbf", "sub", "sid", "events", "nonce", "jti"]);
    let nobody = verify(&claims_but(&["sub", "sid"], json!({}))).unwrap_err();
    assert_eq!(nobody.kind(), "sub_or_sid");
    let header = |member: Value| verify_header(&with(logout_header(ALG), member)).unwrap().kind();
    assert_eq!(header(json!({ "typ": value })), "typ");
    assert_eq!(header(json!({ "alg": value })), "alg");
    assert_eq!(header(json!({ "kid": value })), "unknown_key");
    assert_eq!(verify_text(value).unwrap_err().kind(), "payload");
}

#[test]
fn nothing_of_a_token_shows_in_debug() {
    let token = Secret::new(sign(ALG, &logout_header(ALG), &claims()));
    let token = UntrustedLogoutToken::parse(&token).unwrap();
    let mut shown = format!("{token:?}");
    let token = token.verify(&keys(), &expected(), Timestamp::from_secs(NOW)).unwrap();
    let subject = LogoutSubject::Subject { sub: "user-1".to_owned() };
    shown.push_str(&format!("{token:?} {:?} {subject:?}", token.who()));
    let encoded = base64url::encode("user-1");
    for value in ["user-1", "session-1", "bWJq", ISSUER, encoded.as_str()] {
        assert!(!shown.contains(value), "{shown}");
    }
}
