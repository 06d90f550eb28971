//! The call path's questions to a session's object. What is decided is
//! [`http::decide`](crate::http::decide)'s, and pure; forwarding is the edge's; between the two
//! stands this.

use super::context::{Context, Ports};
use crate::{
    audit::Event,
    http::decide::{After401, Ask, Forward, Grant},
    secret::Secret,
    session::{Command, Reply, SessionId, TokenKey},
    time::Timestamp,
};

/// What the object said about a call, for [`Ask::replied`].
#[derive(Debug)]
pub struct Asked {
    /// The reply; `None` if the store didn't answer.
    pub reply: Option<Reply>,
    /// When it was asked: a warm grant's age counts from here.
    pub asked_at: Timestamp,
}

impl Asked {
    /// The grant to keep warm, if there is one.
    pub fn grant(&self) -> Option<Grant> {
        match &self.reply {
            Some(Reply::Granted(token)) => {
                Some(Grant { token: (**token).clone(), asked_at: self.asked_at })
            }
            _ => None,
        }
    }
}

/// Asks the session's object for the token that a call needs.
pub async fn access<P: Ports>(ctx: &Context<'_, P>, ask: &Ask<'_, '_>) -> Asked {
    let asked = request(ctx, &ask.session_id, ask.token, None).await;
    if let Some(code) = refusal(asked.reply.as_ref()) {
        ctx.ports.record(Event::CallRefused { code });
    }
    asked
}

/// What comes of an API's 401.
#[derive(Debug)]
pub struct Renewed {
    /// The `Authorization` header for the second try.
    pub authorization: Secret<String>,
    /// The new token, to keep warm in place of the old one.
    pub grant: Grant,
}

/// After the API's 401: another token, if the call may be sent again and the session has one.
/// `None` lets the API's own 401 through. Whatever is warm for this session and token is to be
/// dropped in either case.
pub async fn after_401<P: Ports>(
    ctx: &Context<'_, P>,
    forward: &mut Forward<'_, '_>,
    session_id: &SessionId,
) -> Option<Renewed> {
    let After401::Refresh { epoch } = forward.after_401(ctx.ports.now()) else { return None };
    let asked = request(ctx, session_id, &forward.route.token, Some(epoch)).await;
    let grant = asked.grant()?;
    let authorization = forward.renew(&grant.token)?;
    Some(Renewed { authorization, grant })
}

async fn request<P: Ports>(
    ctx: &Context<'_, P>,
    session_id: &SessionId,
    token: &TokenKey,
    refused_epoch: Option<u64>,
) -> Asked {
    let asked_at = ctx.ports.now();
    let command =
        Command::Access { session_id: session_id.clone(), token: token.clone(), refused_epoch };
    let reply = ctx.ports.ask(&session_id.key(), command).await.ok();
    Asked { reply, asked_at }
}

/// The code that a call without a token will be answered with, for the log: only where it is
/// somebody's fault. A session that has ended is everyday.
fn refusal(reply: Option<&Reply>) -> Option<&'static str> {
    match reply {
        Some(Reply::Granted(_) | Reply::NoSession) => None,
        Some(Reply::Unavailable(reason)) => {
            Some(crate::http::decide::unavailable(*reason).as_str())
        }
        _ => Some(crate::http::problem::ProblemCode::SessionUnavailable.as_str()),
    }
}
