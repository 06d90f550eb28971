//! Token revocation (RFC 7009). A logout never waits for its success: session and cookie are gone
//! before, and whatever the provider answers, they stay gone.

use std::time::Duration;

use super::{
    client_auth::{self, FormRequest},
    token::{self, TokenError},
};
use crate::{
    config::ProviderConfig,
    http::message::{HttpRequest, HttpResponse},
    secret::Secret,
};

/// The longest answer that is read; nobody looks into it.
pub const MAX_BYTES: usize = 64 * 1024;

/// How long the revocation endpoint may take.
pub const TIMEOUT: Duration = Duration::from_secs(10);

/// `token_type_hint` (RFC 7009 §2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenTypeHint {
    /// An access token: a provider need not take it back (`unsupported_token_type`, §2.2.1).
    AccessToken,
    /// A refresh token, which should take the access tokens of its grant with it.
    RefreshToken,
}

impl TokenTypeHint {
    const fn as_str(self) -> &'static str {
        match self {
            Self::AccessToken => "access_token",
            Self::RefreshToken => "refresh_token",
        }
    }
}

/// The revocation of a token (RFC 7009 §2.1).
pub fn request(
    provider: &ProviderConfig,
    revocation_endpoint: &str,
    token: &Secret<String>,
    hint: TokenTypeHint,
) -> HttpRequest {
    client_auth::authenticate(
        provider,
        FormRequest {
            endpoint: revocation_endpoint,
            parameters: vec![
                ("token", token.expose().as_str()),
                ("token_type_hint", hint.as_str()),
            ],
            max_bytes: MAX_BYTES,
            timeout: TIMEOUT,
        },
    )
}

/// Whether the token is revoked: any 2xx, whatever the body. A token that the provider doesn't
/// know is answered 200 as well (RFC 7009 §2.2).
pub const fn is_done(response: &HttpResponse) -> bool {
    matches!(response.status, 200..=299)
}

/// Whether the same request may succeed later: load and outages (RFC 7009 §2.2.1), what a router
/// answers by itself, and credentials that the operator can mend. The provider's own word about the
/// token (`unsupported_token_type`) stays one.
pub fn may_retry(response: &HttpResponse) -> bool {
    match response.status {
        400..=499 => matches!(
            token::refusal(response),
            TokenError::ClientRefused | TokenError::Overloaded | TokenError::Unusable
        ),
        status => matches!(status, 500..=599),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oauth::testing::{body, header, pairs, provider, response};

    #[test]
    fn the_refresh_token_is_revoked_by_an_authenticated_client() {
        let endpoint = "https://id.example/revoke";
        for (hint, name) in [
            (TokenTypeHint::RefreshToken, "refresh_token"),
            (TokenTypeHint::AccessToken, "access_token"),
        ] {
            let request = request(&provider(), endpoint, &Secret::from("r t+1"), hint);
            assert_eq!(request.url, endpoint);
            let expected = [("token", "r t+1"), ("token_type_hint", name)];
            assert_eq!(body(&request), pairs(&expected));
            assert!(header(&request, "authorization").is_some());
            assert_eq!((request.max_bytes, request.timeout), (MAX_BYTES, TIMEOUT));
        }
    }

    #[test]
    fn an_answer_that_has_no_word_of_the_provider_means_what_its_status_says() {
        for (status, done, retry) in [
            (200, true, false),
            (204, true, false),
            (302, false, false),
            (400, false, false),
            (401, false, true),
            (403, false, true),
            (404, false, true),
            (405, false, true),
            (408, false, true),
            (421, false, true),
            (425, false, true),
            (429, false, true),
            (500, false, true),
            (503, false, true),
        ] {
            for text in ["", "<html>", r#"{"error":"Not Found"}"#] {
                let response = response(status, text);
                assert_eq!((is_done(&response), may_retry(&response)), (done, retry), "{status}");
            }
        }
    }

    #[test]
    fn a_refusal_is_tried_again_where_it_is_about_our_credentials_or_load() {
        for (status, error, retry) in [
            (400, "invalid_client", true),
            (400, "unauthorized_client", true),
            (400, "temporarily_unavailable", true),
            (400, "server_error", true),
            (400, "unsupported_token_type", false),
            (400, "invalid_request", false),
            (400, "invalid_grant", false),
            (401, "invalid_client", true),
            (403, "unauthorized_client", true),
            (404, "unsupported_token_type", false),
            (503, "unsupported_token_type", true),
        ] {
            let response = response(status, &format!(r#"{{"error":"{error}"}}"#));
            assert!(!is_done(&response));
            assert_eq!(may_retry(&response), retry, "{status} {error}");
        }
    }
}
