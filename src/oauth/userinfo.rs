//! UserInfo (OpenID Connect Core §5.3), asked once, right after the ID token was verified.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::{
    http::message::{HttpRequest, HttpResponse, Verb},
    jose::{json, without_protocol_claims},
    secret::Secret,
};

/// The longest answer that is read.
pub const MAX_BYTES: usize = 64 * 1024;

/// How long the endpoint may take.
pub const TIMEOUT: Duration = Duration::from_secs(10);

/// A UserInfo request, the token in the header (RFC 6750 §2.1), never in the URL.
pub fn request(userinfo_endpoint: &str, access_token: &Secret<String>) -> HttpRequest {
    HttpRequest {
        verb: Verb::Get,
        url: userinfo_endpoint.to_owned(),
        headers: vec![
            ("accept", Secret::from("application/json")),
            ("authorization", Secret::new(format!("Bearer {}", access_token.expose()))),
        ],
        body: None,
        max_bytes: MAX_BYTES,
        timeout: TIMEOUT,
    }
}

/// Reads the claims. `expected_sub` is the verified ID token's `sub`: claims of anybody else must
/// not be used (§5.3.2). Aggregated and distributed claims are left out; a distributed claim's
/// source may carry an access token.
///
/// # Errors
///
/// [`UserInfoError`]; the claims are then none at all.
pub fn parse(
    response: HttpResponse,
    expected_sub: &str,
) -> Result<Map<String, Value>, UserInfoError> {
    if response.status != 200 {
        return Err(UserInfoError::Status(response.status));
    }
    let is_jwt = response.header("content-type").is_some_and(|content_type| {
        let media_type = content_type.split(';').next().unwrap_or_default().trim();
        media_type.eq_ignore_ascii_case("application/jwt")
    });
    if is_jwt {
        return Err(UserInfoError::Signed);
    }
    if response.body.len() > MAX_BYTES {
        return Err(UserInfoError::NotAnObject);
    }
    let claims = json::object(&response.body).map_err(|_| UserInfoError::NotAnObject)?;
    match claims.get("sub") {
        None => Err(UserInfoError::SubjectMissing),
        Some(Value::String(sub)) if sub == expected_sub => Ok(without_protocol_claims(claims)),
        Some(_) => Err(UserInfoError::SubjectMismatch),
    }
}

/// Why there are no claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UserInfoError {
    /// Not a 200.
    #[error("the UserInfo endpoint answered with status {0}")]
    Status(u16),
    /// A signed or encrypted response, which the registration must not ask for.
    #[error("the UserInfo response is a JWT; register the client for a plain one")]
    Signed,
    /// Not a JSON object with each member once.
    #[error("the UserInfo response is not a JSON object")]
    NotAnObject,
    /// No `sub`.
    #[error("the UserInfo response has no sub")]
    SubjectMissing,
    /// Somebody else's claims (§5.3.2).
    #[error("the UserInfo response is about another subject")]
    SubjectMismatch,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::oauth::testing::{header, response};

    fn read(body: &str) -> Result<Map<String, Value>, UserInfoError> {
        parse(response(200, body), "user-1")
    }

    #[test]
    fn the_token_goes_in_the_header() {
        // oidcc-client-test-userinfo-bearer-header; RFC 9700 §4.3.2.
        let request = request("https://id.example/userinfo", &Secret::from("at"));
        assert_eq!(request.url, "https://id.example/userinfo");
        assert_eq!(header(&request, "authorization"), Some("Bearer at"));
        assert!(request.body.is_none());
        assert!(!format!("{request:?}").contains("Bearer"));
    }

    #[test]
    fn the_persons_claims_are_read() {
        let claims = read(&json!({ "sub": "user-1", "name": "Ada", "iss": "x" }).to_string());
        let names = claims.unwrap().into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        assert_eq!(names, ["name", "sub"]);
    }

    #[test]
    fn the_claims_of_another_subject_are_not_used() {
        // oidcc-client-test-userinfo-invalid-sub.
        for sub in [
            json!("user-2"),
            json!("user-1 "),
            json!("USER-1"),
            json!(""),
            json!(1),
            json!(["user-1"]),
            json!(null),
        ] {
            let result = read(&json!({ "sub": sub, "name": "Eve" }).to_string());
            assert_eq!(result, Err(UserInfoError::SubjectMismatch), "{sub}");
        }
        assert_eq!(read(r#"{"name":"Eve"}"#), Err(UserInfoError::SubjectMissing));
    }

    #[test]
    fn a_distributed_claims_access_token_is_left_out() {
        // oidcc-client-test-distributed-claims and -aggregated-claims.
        let claims = read(
            &json!({
                "sub": "user-1",
                "_claim_names": { "credit_score": "src1", "address": "src2" },
                "_claim_sources": {
                    "src1": { "endpoint": "https://x.example", "access_token": "secret" },
                    "src2": { "JWT": "a.b.c" },
                },
            })
            .to_string(),
        );
        assert_eq!(claims.unwrap().keys().collect::<Vec<_>>(), ["sub"]);
    }

    #[test]
    fn what_is_no_plain_object_is_refused() {
        let mut signed = response(200, "a.b.c");
        for content_type in ["application/jwt", "Application/JWT; charset=utf-8"] {
            signed.headers = vec![("content-type".to_owned(), content_type.to_owned())];
            assert_eq!(parse(signed.clone(), "user-1"), Err(UserInfoError::Signed));
        }
        let long = format!(r#"{{"sub":"user-1"}}{}"#, " ".repeat(MAX_BYTES));
        let twice = r#"{"sub":"user-2","sub":"user-1"}"#;
        for body in ["", "null", "[]", "<html>", "a.b.c", twice, &long] {
            assert_eq!(read(body), Err(UserInfoError::NotAnObject), "{body:.40}");
        }
        for status in [201, 204, 302, 401, 403, 500] {
            let result = parse(response(status, r#"{"sub":"user-1"}"#), "user-1");
            assert_eq!(result, Err(UserInfoError::Status(status)));
        }
    }
}
