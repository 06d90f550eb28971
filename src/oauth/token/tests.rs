use serde_json::json;

use super::*;
use crate::oauth::testing::{body, header, pairs, provider, response};

fn key(resource: Option<&str>, scope: Option<&str>) -> TokenKey {
    TokenKey { resource: resource.map(str::to_owned), scope: scope.map(str::to_owned) }
}

/// A complete answer with members set; those set to `"-"` are removed.
fn answer(members: Value) -> String {
    let mut all = json!({
        "access_token": "at",
        "token_type": "Bearer",
        "expires_in": 300,
        "refresh_token": "rt",
        "id_token": "a.b.c",
        "scope": "openid",
    });
    for (name, value) in members.as_object().unwrap() {
        if *value == "-" {
            all.as_object_mut().unwrap().remove(name);
        } else {
            all[name] = value.clone();
        }
    }
    all.to_string()
}

fn read(members: Value) -> Result<TokenResponse, TokenError> {
    parse(response(200, &answer(members)))
}

#[test]
fn the_exchange_sends_what_the_standards_ask_for_and_nothing_else() {
    let code = Secret::from("the code+1");
    let verifier = CodeVerifier::from_bytes([1; 32]);
    let redirect = "https://app.example/auth/callback";
    let token = key(Some("https://api.example"), Some("read"));
    let endpoint = "https://id.example/token";
    let request = exchange_request(&provider(), endpoint, &code, redirect, &verifier, &token);
    assert_eq!(request.url, endpoint);
    let expected = [
        ("grant_type", "authorization_code"),
        ("code", "the code+1"),
        ("redirect_uri", redirect),
        ("code_verifier", verifier.secret().expose()),
        ("resource", "https://api.example"),
    ];
    assert_eq!(body(&request), pairs(&expected));
    assert!(header(&request, "authorization").is_some(), "never without client authentication");
    assert_eq!((request.max_bytes, request.timeout), (MAX_BYTES, TIMEOUT));
}

#[test]
fn a_refresh_asks_for_the_tokens_resource_and_scope() {
    let refresh_token = Secret::from("rt");
    let ask = |token: &TokenKey| {
        let endpoint = "https://id.example/token";
        body(&refresh_request(&provider(), endpoint, &refresh_token, token))
    };
    let plain = [("grant_type", "refresh_token"), ("refresh_token", "rt")];
    assert_eq!(ask(&key(None, None)), pairs(&plain));
    let full = [plain[0], plain[1], ("resource", "https://api.example"), ("scope", "read write")];
    assert_eq!(ask(&key(Some("https://api.example"), Some("read write"))), pairs(&full));
}

#[test]
fn a_complete_answer_is_read() {
    let tokens = read(json!({ "not_before_policy": 0, "session_state": "x" })).unwrap();
    assert_eq!(tokens.access_token.expose(), "at");
    assert_eq!(tokens.expires_in, Some(Duration::from_secs(300)));
    assert_eq!(tokens.refresh_token.unwrap().expose(), "rt");
    assert_eq!(tokens.id_token.unwrap().expose(), "a.b.c");
    assert_eq!(tokens.scope.as_deref(), Some("openid"));
}

#[test]
fn what_a_refresh_may_leave_out_is_none() {
    for absent in [json!("-"), json!(null), json!("")] {
        let tokens = read(json!({ "refresh_token": absent, "id_token": absent })).unwrap();
        assert!(tokens.refresh_token.is_none(), "keep the old one");
        assert!(tokens.id_token.is_none());
    }
    let tokens = read(json!({ "scope": "-", "expires_in": "-" })).unwrap();
    assert_eq!((tokens.scope, tokens.expires_in), (None, None));
}

#[test]
fn the_token_type_is_bearer_in_any_case() {
    // J39.
    for token_type in ["Bearer", "bearer", "BEARER", "bEARER"] {
        assert!(read(json!({ "token_type": token_type })).is_ok(), "{token_type}");
    }
    for token_type in [
        json!("-"),
        json!(null),
        json!("mac"),
        json!("DPoP"),
        json!("N_A"),
        json!(""),
        json!("Bearer "),
        json!(["Bearer"]),
        json!(1),
    ] {
        let result = read(json!({ "token_type": token_type }));
        assert_eq!(result.unwrap_err(), TokenError::Unusable, "{token_type}");
    }
}

#[test]
fn an_access_token_that_is_no_header_value_is_refused() {
    // J41: it goes into the Authorization header of the call to the API.
    let long = "a".repeat(MAX_ACCESS_TOKEN + 1);
    for token in [
        "",
        "a b",
        " a",
        "a ",
        "a\r\nX-Admin: 1",
        "a\n",
        "a\tb",
        "a\0",
        "a\u{7f}",
        "é",
        "a\u{a0}b",
        &long,
    ] {
        let result = read(json!({ "access_token": token }));
        assert_eq!(result.unwrap_err(), TokenError::Unusable, "{token:.20?}");
    }
    for token in [json!("-"), json!(null), json!(1), json!(["at"]), json!({})] {
        assert_eq!(read(json!({ "access_token": token })).unwrap_err(), TokenError::Unusable);
    }
    let longest = "a".repeat(MAX_ACCESS_TOKEN);
    assert!(read(json!({ "access_token": longest })).is_ok());
    assert!(read(json!({ "access_token": "!#$%&'*+-.^_`|~/=\"\\,;:()" })).is_ok());
}

#[test]
fn tokens_of_the_wrong_type_or_size_are_refused() {
    let long = "a".repeat(MAX_REFRESH_TOKEN + 1);
    for members in [
        json!({ "refresh_token": 1 }),
        json!({ "refresh_token": ["rt"] }),
        json!({ "refresh_token": long }),
        json!({ "id_token": 1 }),
        json!({ "id_token": { "sub": "x" } }),
    ] {
        assert_eq!(read(members).unwrap_err(), TokenError::Unusable);
    }
    assert_eq!(read(json!({ "scope": ["openid"] })).unwrap().scope, None);
}

#[test]
fn a_lifetime_that_makes_no_sense_is_unknown() {
    // J40.
    for (expires_in, expected) in [
        ("300", Some(300)),
        ("1", Some(1)),
        ("0", None),
        ("0.9", None),
        ("\"0\"", None),
        ("300.0", Some(300)),
        ("59.9", Some(59)),
        ("3e2", Some(300)),
        ("\"3600\"", Some(3600)),
        ("4294967295", Some(u64::from(u32::MAX))),
        ("4294967296", None),
        ("-1", None),
        ("-0.5", None),
        ("1e20", None),
        ("18446744073709551616", None),
        ("null", None),
        ("true", None),
        ("[300]", None),
        ("\"\"", None),
        ("\"-1\"", None),
        ("\"+1\"", None),
        ("\"1e3\"", None),
        ("\"inf\"", None),
        ("\"NaN\"", None),
        ("\"1 hour\"", None),
        ("\" 300\"", None),
        ("\"99999999999999999999999999\"", None),
    ] {
        let body = answer(json!({})).replacen("300", expires_in, 1);
        let tokens = parse(response(200, &body)).unwrap();
        assert_eq!(tokens.expires_in, expected.map(Duration::from_secs), "{expires_in}");
    }
}

#[test]
fn a_success_that_no_client_can_use_is_no_success() {
    let good = answer(json!({}));
    for body in [
        String::new(),
        "null".to_owned(),
        "[]".to_owned(),
        "\"at\"".to_owned(),
        "<!doctype html><title>Sign in</title>".to_owned(),
        "access_token=at&token_type=bearer".to_owned(),
        "{}".to_owned(),
        answer(json!({ "error": "invalid_grant" })),
        json!({ "error": "bad_verification_code" }).to_string(),
        good.replacen('{', "{\"access_token\":\"evil\",", 1),
        format!("{good}{good}"),
        format!("\u{feff}{good}"),
        format!("{good}{}", " ".repeat(MAX_BYTES)),
    ] {
        let result = parse(response(200, &body));
        assert_eq!(result.unwrap_err(), TokenError::Unusable, "{body:.60}");
    }
    // Compressed by somebody who didn't say so.
    let mut gzip = response(200, "");
    gzip.body = vec![0x1f, 0x8b, 8, 0];
    assert_eq!(parse(gzip).unwrap_err(), TokenError::Unusable);
}

#[test]
fn the_content_type_is_not_what_decides() {
    let mut answer = response(200, &answer(json!({})));
    answer.headers = vec![("content-type".to_owned(), "text/html".to_owned())];
    assert!(parse(answer.clone()).is_ok());
    answer.headers.clear();
    assert!(parse(answer).is_ok());
    // A refusal counts as well in whatever it is wrapped.
    for content_type in ["text/html", "text/plain; charset=utf-8", "application/problem+json", ""] {
        let mut refusal = response(400, r#"{"error":"invalid_grant"}"#);
        refusal.headers = vec![("content-type".to_owned(), content_type.to_owned())];
        assert_eq!(parse(refusal).unwrap_err(), TokenError::InvalidGrant, "{content_type}");
    }
}

#[test]
fn a_refusal_is_sorted_by_whom_it_is_about() {
    use TokenError::{ClientRefused, InvalidGrant, Overloaded, Refused, Unusable};
    let error = |code: &str| json!({ "error": code, "error_description": "text" }).to_string();
    for (status, body, expected) in [
        (400, error("invalid_grant"), InvalidGrant),
        (401, error("invalid_grant"), InvalidGrant),
        (403, error("invalid_grant"), InvalidGrant),
        (422, error("invalid_grant"), InvalidGrant),
        // In the field: 400 with no body, 400 `invalid_request` for a forgotten token.
        (400, String::new(), Refused),
        (400, error("invalid_request"), Refused),
        (400, error("invalid_scope"), Refused),
        (400, error("invalid_target"), Refused),
        (400, error("unsupported_grant_type"), Refused),
        (400, error("something_of_their_own"), Refused),
        (400, error("INVALID_GRANT"), Refused),
        (400, json!({ "error": ["invalid_grant"] }).to_string(), Refused),
        (400, json!({ "error": { "code": "invalid_grant" } }).to_string(), Refused),
        (400, r#"{"error":"invalid_grant","error":"invalid_client"}"#.to_owned(), Refused),
        (400, "invalid_grant".to_owned(), Refused),
        (400, "<html>".to_owned(), Refused),
        (410, "[]".to_owned(), Refused),
        (418, String::new(), Refused),
        (499, String::new(), Refused),
        // A wrong client secret in the field: 401 with either code; the switch of a WAF is 403.
        (401, error("invalid_client"), ClientRefused),
        (401, error("unauthorized_client"), ClientRefused),
        (400, error("invalid_client"), ClientRefused),
        (400, error("unauthorized_client"), ClientRefused),
        (401, String::new(), ClientRefused),
        (401, error("invalid_request"), ClientRefused),
        (403, "<html>".to_owned(), ClientRefused),
        (408, String::new(), Overloaded),
        (425, String::new(), Overloaded),
        (429, error("invalid_request"), Overloaded),
        (429, error("invalid_client"), Overloaded),
        (503, String::new(), Overloaded),
        (503, error("invalid_grant"), Overloaded),
        (400, error("temporarily_unavailable"), Overloaded),
        (400, error("slow_down"), Overloaded),
        (400, error("server_error"), Unusable),
        (500, error("invalid_grant"), Unusable),
        (502, "<html>".to_owned(), Unusable),
        (504, String::new(), Unusable),
        (100, String::new(), Unusable),
        (301, String::new(), Unusable),
        (302, error("invalid_grant"), Unusable),
        (304, String::new(), Unusable),
        (307, String::new(), Unusable),
        (600, String::new(), Unusable),
        (0, String::new(), Unusable),
    ] {
        let result = parse(response(status, &body)).unwrap_err();
        assert_eq!(result, expected, "{status} {body}");
    }
    // The tokens of a redirect are nobody's.
    assert_eq!(parse(response(302, &answer(json!({})))).unwrap_err(), Unusable);
}

// A router in front of the token endpoint that restarts must not end a session.
#[test]
fn a_status_that_a_router_gives_by_itself_is_a_refusal_only_with_an_oauth_error() {
    use TokenError::{ClientRefused, InvalidGrant, Overloaded, Refused, Unusable};
    let error = |code: &str| json!({ "error": code }).to_string();
    for (body, expected) in [
        (String::new(), Unusable),
        ("<html><title>404 Not Found</title>".to_owned(), Unusable),
        ("404 page not found".to_owned(), Unusable),
        ("{}".to_owned(), Unusable),
        ("[]".to_owned(), Unusable),
        (error(""), Unusable),
        (error("Not Found"), Unusable),
        (error("Method Not Allowed"), Unusable),
        (error("MISDIRECTED"), Unusable),
        (json!({ "error": null }).to_string(), Unusable),
        (json!({ "error": 404 }).to_string(), Unusable),
        (json!({ "error": { "code": "invalid_grant" } }).to_string(), Unusable),
        (json!({ "message": "no Route matched with those values" }).to_string(), Unusable),
        (error("server_error"), Unusable),
        (error("invalid_grant"), InvalidGrant),
        (error("invalid_request"), Refused),
        (error("unsupported_grant_type"), Refused),
        (error("something_of_their_own"), Refused),
        (error("invalid_client"), ClientRefused),
        (error("unauthorized_client"), ClientRefused),
        (error("temporarily_unavailable"), Overloaded),
        (error("slow_down"), Overloaded),
    ] {
        for status in [404, 405, 421] {
            let result = parse(response(status, &body)).unwrap_err();
            assert_eq!(result, expected, "{status} {body}");
        }
    }
}

#[test]
fn no_token_shows_in_debug() {
    let tokens = read(json!({ "access_token": "s3cret", "refresh_token": "s3cret" })).unwrap();
    assert!(!format!("{tokens:?}").contains("s3cret"));
}
