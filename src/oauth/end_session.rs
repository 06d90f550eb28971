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
