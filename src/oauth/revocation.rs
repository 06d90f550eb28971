//! Token revocation (RFC 7009). A logout never waits for its success: session and cookie are gone
//! before, and whatever the provider answers, they stay gone.

use std::time::Duration;

use super::client_auth::{self, FormRequest};
use crate::{
    config::ProviderConfig,
    http::message::{HttpRequest, HttpResponse},
    secret::Secret,
};

/// The longest answer that is read; nobody looks into it.
pub const MAX_BYTES: usize = 64 * 1024;

/// How long the revocation endpoint may take.
pub const TIMEOUT: Duration = Duration::from_secs(10);

/// The revocation of a refresh token, which takes the access tokens of the grant with it
/// (RFC 7009 §2.1).
pub fn request(
    provider: &ProviderConfig,
    revocation_endpoint: &str,
    refresh_token: &Secret<String>,
) -> HttpRequest {
    client_auth::authenticate(
        provider,
        FormRequest {
            endpoint: revocation_endpoint,
            parameters: vec![
                ("token", refresh_token.expose().as_str()),
                ("token_type_hint", "refresh_token"),
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

/// Whether the same request may succeed later (RFC 7009 §2.2.1): load and outages. A definite
/// refusal (`unsupported_token_type`, wrong credentials) stays one.
pub const fn may_retry(response: &HttpResponse) -> bool {
    matches!(response.status, 408 | 425 | 429 | 500..=599)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oauth::testing::{body, header, pairs, provider, response};

    #[test]
    fn the_refresh_token_is_revoked_by_an_authenticated_client() {
        let endpoint = "https://id.example/revoke";
        let request = request(&provider(), endpoint, &Secret::from("r t+1"));
        assert_eq!(request.url, endpoint);
        let expected = [("token", "r t+1"), ("token_type_hint", "refresh_token")];
        assert_eq!(body(&request), pairs(&expected));
        assert!(header(&request, "authorization").is_some());
        assert_eq!((request.max_bytes, request.timeout), (MAX_BYTES, TIMEOUT));
    }

    #[test]
    fn what_an_answer_means_depends_on_its_status_alone() {
        for (status, done, retry) in [
            (200, true, false),
            (204, true, false),
            (302, false, false),
            (400, false, false),
            (401, false, false),
            (403, false, false),
            (404, false, false),
            (408, false, true),
            (425, false, true),
            (429, false, true),
            (500, false, true),
            (503, false, true),
        ] {
            for text in ["", "<html>", r#"{"error":"unsupported_token_type"}"#] {
                let response = response(status, text);
                assert_eq!((is_done(&response), may_retry(&response)), (done, retry), "{status}");
            }
        }
    }
}
