//! UserInfo (OpenID Connect Core §5.3), asked once, right after the ID token was verified.

use std::{collections::BTreeMap, time::Duration};

use serde_json::Value;

use crate::{
    http::message::{HttpRequest, HttpResponse, Verb},
    jose::{id_token::without_protocol_claims, json},
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
) -> Result<BTreeMap<String, Value>, UserInfoError> {
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
