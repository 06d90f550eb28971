//! `POST logout`, and `GET logout?ticket=…` (OpenID Connect RP-Initiated Logout 1.0).
//!
//! The session is ended before anything else, and an answer never claims what wasn't done: if the
//! session's object can't be reached, the cookie stays and the answer says so. A navigation is
//! sent to the provider at once. A fetch can't be, so it gets a URL of ours, good once and for
//! two minutes, that goes there: the ID token for `id_token_hint` never comes near a script.

use serde_json::json;
use subtle::ConstantTimeEq as _;

use super::{
    answer,
    context::{Context, Ports},
};
use crate::{
    audit::Event,
    base64url,
    config::Origin,
    http::{
        Method, cookies,
        csrf::{self, CsrfVerified},
        head::RequestHead,
        message::Answer,
        problem::ProblemCode,
    },
    oauth::EndSessionRequest,
    secret::Secret,
    session::{Command, EndReason, EndedReply, LogoutTicketKey, Reply, SessionId, SessionKey},
};

/// The longest URL that a browser is sent to the provider with.
const MAX_URL: usize = 8 * 1024;

/// Ends the session, or redeems a one-time logout URL.
pub(super) async fn handle<P: Ports>(
    ctx: &Context<'_, P>,
    head: &RequestHead<'_>,
    origin: &Origin,
) -> Answer {
    if head.method == Method::Get {
        return redeem(ctx, head, origin).await;
    }
    match csrf::check(head, origin, ctx.config.csrf) {
        Ok(verified) => end(ctx, head, origin, verified).await,
        // Nothing was touched, the cookie neither.
        Err(fault) => refused(ctx, head, origin, fault.code(), "logout_not_ours"),
    }
}

/// A page for a person in a window, a problem for a program. A login is no answer to either.
fn refused<P: Ports>(
    ctx: &Context<'_, P>,
    head: &RequestHead<'_>,
    origin: &Origin,
    code: ProblemCode,
    detail: &'static str,
) -> Answer {
    if head.is_document_navigation() {
        answer::error_page(ctx, origin, code, detail, None)
    } else {
        answer::problem(ctx, code)
    }
}

async fn end<P: Ports>(
    ctx: &Context<'_, P>,
    head: &RequestHead<'_>,
    origin: &Origin,
    _verified: CsrfVerified,
) -> Answer {
    let is_navigation = head.known.sec_fetch_mode == Some("navigate");
    let session_id = ctx.session_id(head, origin);
    let key = session_id.as_ref().map(SessionId::key);
    let ended = match session_id {
        Some(session_id) => match end_session(ctx, session_id, !is_navigation).await {
            Ok(ended) => ended,
            Err(code) => return refused(ctx, head, origin, code, "logout"),
        },
        None => EndedReply::default(),
    };
    let session = key.as_ref().map(|key| ctx.session_hash(key));
    ctx.ports.record(Event::LogoutRequested { session, ended: ended.ended });
    let mut answer = if is_navigation {
        to_provider(ctx, origin, ended.end_session_endpoint.as_deref(), ended.id_token.as_ref())
    } else {
        let ticket = ended.ticket.as_ref().zip(key.as_ref());
        let logout_url = match (ticket, &ended.end_session_endpoint) {
            (Some((ticket, key)), Some(_)) => ticket_url(ctx, key, ticket),
            _ => ctx.config.post_logout_target.clone(),
        };
        answer::json(&json!({ "logout_url": logout_url }))
    };
    answer::set_cookie(&mut answer, cookies::delete_session(origin));
    answer
}

async fn end_session<P: Ports>(
    ctx: &Context<'_, P>,
    session_id: SessionId,
    keep_id_token: bool,
) -> Result<EndedReply, ProblemCode> {
    let key = session_id.key();
    let command = Command::End { session_id, reason: EndReason::Logout, keep_id_token };
    match ctx.ports.ask(&key, command).await {
        Ok(Reply::Ended(ended)) => Ok(*ended),
        Ok(Reply::NoSession) => Ok(EndedReply::default()),
        Ok(_) | Err(_) => Err(ProblemCode::SessionUnavailable),
    }
}

/// To the provider's end-session endpoint, where there is one; else to where logouts lead.
fn to_provider<P: Ports>(
    ctx: &Context<'_, P>,
    origin: &Origin,
    endpoint: Option<&str>,
    id_token: Option<&Secret<String>>,
) -> Answer {
    let Some(endpoint) = endpoint else {
        return answer::redirect(303, ctx.config.post_logout_target.clone());
    };
    let state = base64url::encode(ctx.ports.bytes::<16>());
    let return_to = ctx.endpoint_url(origin, "logged-out");
    let mut request = EndSessionRequest {
        endpoint,
        id_token_hint: id_token.filter(|_| ctx.config.provider.id_token_hint),
        client_id: &ctx.config.provider.client_id,
        post_logout_redirect_uri: &return_to,
        state: &state,
    };
    let mut url = request.url();
    if url.len() > MAX_URL {
        request.id_token_hint = None;
        url = request.url();
    }
    let mut answer = answer::redirect(303, url);
    answer::set_cookie(&mut answer, cookies::set_logout_state(origin, &state));
    answer
}

/// The one-time URL: names the object, carries the key to what it keeps, and a tag by which we
/// know it for ours.
fn ticket_url<P: Ports>(
    ctx: &Context<'_, P>,
    key: &SessionKey,
    ticket: &LogoutTicketKey,
) -> String {
    let tag = ticket_tag(ctx, key, ticket);
    let (name, ticket) = (key.name(), ticket.0.expose());
    format!("{}/logout?ticket={name}.{ticket}.{tag}", ctx.config.base_path)
}

fn ticket_tag<P: Ports>(
    ctx: &Context<'_, P>,
    key: &SessionKey,
    ticket: &LogoutTicketKey,
) -> String {
    let name = key.name();
    let parts = [name.as_bytes(), ticket.0.expose().as_bytes()];
    ctx.config.session.keys.keyed_hash("logout url", &parts)
}

/// The session has ended already; this only brings the browser to the provider.
async fn redeem<P: Ports>(ctx: &Context<'_, P>, head: &RequestHead<'_>, origin: &Origin) -> Answer {
    let Some(ticket) = head.query.and_then(|query| query.strip_prefix("ticket=")) else {
        // A GET never logs anybody out (an `<img>` could send it).
        return crate::http::problem::method_not_allowed("POST".to_owned());
    };
    let from_us = matches!(head.known.sec_fetch_site, None | Some("same-origin"));
    if !head.is_document_navigation() || !from_us {
        return refused(ctx, head, origin, ProblemCode::NavigationRefused, "logout_link_not_ours");
    }
    let used = ProblemCode::LogoutLinkUsed;
    let Some((key, ticket)) = parse_ticket(ctx, ticket) else {
        return answer::error_page(ctx, origin, used, "ticket_malformed", None);
    };
    match ctx.ports.ask(&key, Command::RedeemLogout { ticket }).await {
        Ok(Reply::LogoutRedeemed { id_token, end_session_endpoint, origin: session_origin })
            if session_origin == origin.serialized =>
        {
            to_provider(ctx, origin, end_session_endpoint.as_deref(), id_token.as_ref())
        }
        Ok(Reply::Unsupported | Reply::Broken) | Err(_) => {
            let code = ProblemCode::SessionUnavailable;
            answer::error_page(ctx, origin, code, "logout_ticket", None)
        }
        Ok(_) => answer::error_page(ctx, origin, used, "ticket_unknown", None),
    }
}

/// What we never issued names no object: anybody could have objects made otherwise.
fn parse_ticket<P: Ports>(
    ctx: &Context<'_, P>,
    ticket: &str,
) -> Option<(SessionKey, LogoutTicketKey)> {
    let (key, ticket) = ticket.split_once('.')?;
    let (ticket, tag) = ticket.split_once('.')?;
    let key = SessionKey::from_name(key)?;
    let ticket = LogoutTicketKey(Secret::from(ticket));
    let expected = ticket_tag(ctx, &key, &ticket);
    bool::from(expected.as_bytes().ct_eq(tag.as_bytes())).then_some((key, ticket))
}
