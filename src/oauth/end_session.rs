//! RP-Initiated Logout (OpenID Connect RP-Initiated Logout 1.0 §2): the navigation to the
//! provider's end-session endpoint. Our session is gone before anybody follows it.

use super::form;
use crate::secret::Secret;

/// The longest ID token that is put into the URL: beyond it the whole URL might exceed what
/// servers take, and then nobody is logged out. `client_id` then stands alone (§2 allows that).
pub const MAX_HINT: usize = 6 * 1024;

/// A logout request as a GET.
#[derive(Clone, Debug)]
pub struct EndSessionRequest<'a> {
    /// `end_session_endpoint`, from checked metadata; its own query is kept.
    pub endpoint: &'a str,
    /// The last ID token; without one some providers ask the user first.
    pub id_token_hint: Option<&'a Secret<String>>,
    /// `client_id`.
    pub client_id: &'a str,
    /// Where the provider returns to: registered, byte for byte.
    pub post_logout_redirect_uri: &'a str,
    /// Comes back with the user.
    pub state: &'a str,
}

impl EndSessionRequest<'_> {
    /// The URL for `Location`. It may hold the ID token: it goes nowhere else.
    pub fn url(&self) -> String {
        let hint = self.id_token_hint.map(|token| token.expose().as_str());
        let mut parameters = Vec::with_capacity(4);
        parameters.extend(
            hint.filter(|token| token.len() <= MAX_HINT).map(|token| ("id_token_hint", token)),
        );
        parameters.push(("client_id", self.client_id));
        parameters.push(("post_logout_redirect_uri", self.post_logout_redirect_uri));
        parameters.push(("state", self.state));
        form::append_to(self.endpoint, &parameters)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oauth::testing::{pairs, query};

    fn url(endpoint: &str, id_token: Option<&str>) -> String {
        let id_token = id_token.map(Secret::from);
        EndSessionRequest {
            endpoint,
            id_token_hint: id_token.as_ref(),
            client_id: "the-client",
            post_logout_redirect_uri: "https://app.example/auth/logged-out?x=1&y",
            state: "the state",
        }
        .url()
    }

    const PLAIN: [(&str, &str); 3] = [
        ("client_id", "the-client"),
        ("post_logout_redirect_uri", "https://app.example/auth/logged-out?x=1&y"),
        ("state", "the state"),
    ];

    #[test]
    fn the_request_has_what_the_standard_has() {
        // oidcc-client-test-rp-init-logout.
        let with_hint = url("https://id.example/logout", Some("a.b.c"));
        assert!(with_hint.starts_with("https://id.example/logout?id_token_hint=a.b.c&"));
        let expected = [&[("id_token_hint", "a.b.c")], &PLAIN[..]].concat();
        assert_eq!(query(&with_hint), pairs(&expected));
        assert_eq!(query(&url("https://id.example/logout", None)), pairs(&PLAIN));
    }

    #[test]
    fn the_endpoints_own_query_is_kept() {
        let expected = [&[("tenant", "1")], &PLAIN[..]].concat();
        assert_eq!(query(&url("https://id.example/logout?tenant=1", None)), pairs(&expected));
        let spoken_for = "https://id.example/logout?tenant=1&client_id=evil";
        assert_eq!(query(&url(spoken_for, None)), pairs(&expected));
    }

    #[test]
    fn a_hint_that_would_break_the_url_is_left_out() {
        let longest = "x".repeat(MAX_HINT);
        let endpoint = "https://id.example/logout";
        assert!(url(endpoint, Some(&longest)).contains("id_token_hint=xxx"));
        assert_eq!(query(&url(endpoint, Some(&format!("{longest}x")))), pairs(&PLAIN));
    }
}
