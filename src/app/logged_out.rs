//! `GET logged-out`: where the provider returns to after a logout (OpenID Connect RP-Initiated
//! Logout 1.0 §3). The session was gone before the browser left; this is only the way back.

use subtle::ConstantTimeEq as _;
use url::form_urlencoded;

use super::{
    answer,
    context::{Context, Ports},
};
use crate::{
    audit::Event,
    config::Origin,
    http::{cookies, head::RequestHead, message::Answer},
};

/// Leads on to where logouts lead; whether `state` was the one that we sent goes into the log.
pub(super) fn handle<P: Ports>(
    ctx: &Context<'_, P>,
    head: &RequestHead<'_>,
    origin: &Origin,
) -> Answer {
    let expected = cookies::logout_state(head.known.cookie, origin);
    let query = head.query.unwrap_or_default();
    let mut states = form_urlencoded::parse(query.as_bytes())
        .filter(|(name, _)| name == "state")
        .map(|(_, value)| value);
    let confirmed = match (expected, states.next(), states.next()) {
        (Some(expected), Some(state), None) => {
            !expected.is_empty() && bool::from(expected.as_bytes().ct_eq(state.as_bytes()))
        }
        _ => false,
    };
    ctx.ports.record(Event::LogoutReturned { confirmed });
    let mut answer = answer::redirect(303, ctx.config.post_logout_target.clone());
    if confirmed {
        answer::set_cookie(&mut answer, cookies::delete_logout_state(origin));
    }
    answer
}
