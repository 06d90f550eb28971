//! The token endpoint: the code's exchange (RFC 6749 §4.1.3, RFC 7636 §4.5, RFC 8707 §2), the
//! refresh (RFC 6749 §6), and what the answer means.
//!
//! A refused refresh has many faces: 400 `invalid_grant`, 400 with no body, 400 `invalid_request`
//! for a token that was forgotten; a wrong client secret comes as 401 or as 400
//! `unauthorized_client`. So no decision hangs on a known code or on a JSON body being there:
//! [`TokenError`] sorts by whom the refusal is about, and a session's end needs one that is
//! definitely about the token.

use std::time::Duration;

use serde_json::{Map, Value};

use super::{
    client_auth::{self, FormRequest},
    pkce::CodeVerifier,
};
use crate::{
    config::ProviderConfig,
    http::message::{HttpRequest, HttpResponse},
    jose::json,
    secret::Secret,
    session::TokenKey,
};

/// The longest token response that is read: three large JWTs have room.
pub const MAX_BYTES: usize = 256 * 1024;

/// How long the token endpoint may take. A refresh that is cut off may have rotated the token, so
/// this is generous.
pub const TIMEOUT: Duration = Duration::from_secs(15);

/// The longest access token that is attached to a call: common servers take 16 KiB of headers.
pub const MAX_ACCESS_TOKEN: usize = 16 * 1024;

/// The longest refresh token that is kept.
pub const MAX_REFRESH_TOKEN: usize = 16 * 1024;

/// The exchange of an authorization code. `redirect_uri` is the one of the authorization request,
/// byte for byte; `token` says which resource the first access token is for (its scopes were
/// settled by the authorization request).
pub fn exchange_request(
    provider: &ProviderConfig,
    token_endpoint: &str,
    code: &Secret<String>,
    redirect_uri: &str,
    verifier: &CodeVerifier,
    token: &TokenKey,
) -> HttpRequest {
    let mut parameters = vec![
        ("grant_type", "authorization_code"),
        ("code", code.expose().as_str()),
        ("redirect_uri", redirect_uri),
        ("code_verifier", verifier.secret().expose()),
    ];
    parameters.extend(token.resource.as_deref().map(|resource| ("resource", resource)));
    request(provider, token_endpoint, parameters)
}

/// A refresh. `token` says which access token is wanted: its resource (RFC 8707 §2.2) and, where
/// it isn't what the login asked, its scopes.
pub fn refresh_request(
    provider: &ProviderConfig,
    token_endpoint: &str,
    refresh_token: &Secret<String>,
    token: &TokenKey,
) -> HttpRequest {
    let mut parameters =
        vec![("grant_type", "refresh_token"), ("refresh_token", refresh_token.expose().as_str())];
    parameters.extend(token.resource.as_deref().map(|resource| ("resource", resource)));
    parameters.extend(token.scope.as_deref().map(|scope| ("scope", scope)));
    request(provider, token_endpoint, parameters)
}

fn request(
    provider: &ProviderConfig,
    endpoint: &str,
    parameters: Vec<(&str, &str)>,
) -> HttpRequest {
    client_auth::authenticate(
        provider,
        FormRequest { endpoint, parameters, max_bytes: MAX_BYTES, timeout: TIMEOUT },
    )
}

/// A successful answer of the token endpoint (RFC 6749 §5.1, OpenID Connect Core §3.1.3.3).
/// Nothing in it may be used before the ID token has been verified (RFC 9700 §4.5.3.2).
#[derive(Clone, Debug)]
pub struct TokenResponse {
    /// A bearer token of visible ASCII: it goes into a header as it is.
    pub access_token: Secret<String>,
    /// How long the access token lives, where the provider said so in a way that makes sense: an
    /// integer, a float or a numeric string from 1 to [`MAX_LIFETIME_SECS`]. Anything else is
    /// taken for unknown, not for a fault: the API's 401 then tells. So is 0: whoever sends that
    /// means "for ever" or doesn't know, and each call would ask for another token of the kind.
    pub expires_in: Option<Duration>,
    /// The new refresh token. On a refresh `None` means: keep the one there is (RFC 6749 §6).
    pub refresh_token: Option<Secret<String>>,
    /// The ID token, unverified.
    pub id_token: Option<Secret<String>>,
    /// The granted scopes, where they were stated.
    pub scope: Option<String>,
}

/// The longest lifetime that is believed: what is longer (a fault, or "for ever") is unknown.
pub const MAX_LIFETIME_SECS: u64 = u32::MAX as u64;

/// Why the token endpoint's answer brought no tokens, by whom it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// `invalid_grant`: the code or the refresh token is spent, revoked or not ours.
    #[error("the provider says that the grant is invalid")]
    InvalidGrant,
    /// Another definite refusal: a 4xx that is about neither the client nor load.
    #[error("the provider refused the request")]
    Refused,
    /// 401, 403, `invalid_client`, `unauthorized_client`: our credentials or registration.
    #[error("the provider does not accept the client's credentials or registration")]
    ClientRefused,
    /// 408, 425, 429, 503, `temporarily_unavailable`, `slow_down`: try again later.
    #[error("the provider is overloaded")]
    Overloaded,
    /// Everything else: 5xx, redirects, HTML, a success without what a success must have; a 404, 405
    /// or 421 that no token endpoint wrote.
    #[error("the provider gave no usable answer")]
    Unusable,
}

/// Reads the token endpoint's answer.
///
/// # Errors
///
/// [`TokenError`]; see its variants.
pub fn parse(response: HttpResponse) -> Result<TokenResponse, TokenError> {
    match response.status {
        200..=299 => success(&response.body).ok_or(TokenError::Unusable),
        400..=499 => Err(refusal(&response)),
        503 => Err(TokenError::Overloaded),
        _ => Err(TokenError::Unusable),
    }
}

/// A 4xx, sorted: first by what the body says of the grant, then by whom it is about. The revocation
/// endpoint's errors are the token endpoint's (RFC 7009 §2.2.1).
pub(super) fn refusal(response: &HttpResponse) -> TokenError {
    let body = json::object(&response.body).unwrap_or_default();
    let error = body.get("error").and_then(Value::as_str).unwrap_or_default();
    match (response.status, error) {
        (_, "invalid_grant") => TokenError::InvalidGrant,
        (408 | 425 | 429, _) | (_, "temporarily_unavailable" | "slow_down") => {
            TokenError::Overloaded
        }
        (401 | 403, _) | (_, "invalid_client" | "unauthorized_client") => TokenError::ClientRefused,
        (_, "server_error") => TokenError::Unusable,
        // A router that restarts, or doesn't know the host yet, has no word on the grant.
        (404 | 405 | 421, error) if !is_error_code(error) => TokenError::Unusable,
        _ => TokenError::Refused,
    }
}

/// Whether it is written as the codes of RFC 6749 §5.2 and its registry are. What a router answers
/// by itself has the reason phrase there (`"error": "Not Found"`), or nothing.
fn is_error_code(error: &str) -> bool {
    !error.is_empty()
        && error.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

/// RFC 6749 §5.1. `None` is an answer that no client can use.
fn success(body: &[u8]) -> Option<TokenResponse> {
    if body.len() > MAX_BYTES {
        return None;
    }
    let members = json::object(body).ok()?;
    if members.contains_key("error") {
        return None;
    }
    let token_type = members.get("token_type")?.as_str()?;
    if !token_type.eq_ignore_ascii_case("bearer") {
        return None;
    }
    let access_token = text(&members, "access_token")??;
    // It becomes part of a header of the call to the API: a space, a CR or an LF would add to it.
    if access_token.len() > MAX_ACCESS_TOKEN || !access_token.bytes().all(|b| b.is_ascii_graphic())
    {
        return None;
    }
    let refresh_token = text(&members, "refresh_token")?;
    if refresh_token.is_some_and(|token| token.len() > MAX_REFRESH_TOKEN) {
        return None;
    }
    Some(TokenResponse {
        access_token: access_token.into(),
        expires_in: members.get("expires_in").and_then(lifetime),
        refresh_token: refresh_token.map(Secret::from),
        id_token: text(&members, "id_token")?.map(Secret::from),
        scope: members.get("scope").and_then(Value::as_str).map(str::to_owned),
    })
}

/// A member that is a string if it is there at all; `null` and `""` count as not there. The outer
/// `None` is a member of another type.
fn text<'a>(members: &'a Map<String, Value>, name: &str) -> Option<Option<&'a str>> {
    match members.get(name) {
        None | Some(Value::Null) => Some(None),
        Some(Value::String(text)) => Some(Some(text.as_str()).filter(|text| !text.is_empty())),
        Some(_) => None,
    }
}

fn lifetime(value: &Value) -> Option<Duration> {
    let seconds = match value {
        Value::Number(number) => number.as_f64()?,
        // Seen in the field, against RFC 6749 §5.1. Digits only: `parse` alone takes "+1".
        Value::String(text) if text.bytes().all(|b| b.is_ascii_digit()) => {
            text.parse::<u32>().ok().map(f64::from)?
        }
        _ => return None,
    };
    #[expect(clippy::cast_precision_loss, reason = "a u32 fits a double exactly")]
    let plausible = (1.0..=MAX_LIFETIME_SECS as f64).contains(&seconds);
    plausible.then(|| Duration::try_from_secs_f64(seconds.trunc()).ok())?
}

#[cfg(test)]
mod tests;
