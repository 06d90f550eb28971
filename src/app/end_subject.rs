//! `POST admin/end-sessions`: an administrator ends all sessions of a `sub`. (Everyone's sessions
//! end by the key ring.)
//!
//! There is no such endpoint without `ADMIN_SECRET`, and to whoever doesn't have it there isn't one
//! either: the same 404, decided before a body is read. Failed tries are counted for each client, so
//! that nobody's failures lock the administrator out; the secret is 32 random bytes, so what the
//! count keeps down is noise.

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::{
    answer,
    context::{Context, Ports},
    ending::{Ended, end_sessions},
    sessions::members,
};
use crate::{
    audit::Event,
    config::Config,
    http::{head::RequestHead, message::Answer, problem::ProblemCode},
    session::{
        EndReason,
        subject::{EndSessions, Which, Whose},
    },
    time::Timestamp,
};

/// The window of all counts, in seconds.
const WINDOW: u64 = 60;
/// Failed tries of one client in a window; what comes after isn't looked at.
const MAX_FAILED: u32 = 10;
/// Clients that are counted. Those beyond aren't: a share in a common count would let whoever has
/// many addresses lock the administrator out, and 32 random bytes are guessed at no rate.
const MAX_CLIENTS: usize = 256;
/// Requests of administrators in a window.
const MAX_SERVED: u32 = 60;

/// What a request to the endpoint gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It is an administrator's.
    Granted,
    /// It is an administrator's, and there were too many.
    TooMany,
    /// It isn't: the endpoint is nowhere to be seen.
    Refused {
        /// Whether this is the first in a while, worth a line in the log.
        is_news: bool,
    },
}

/// Counts tries; lives in a static of the edge.
#[derive(Debug, Default)]
pub struct AdminGate {
    window: u64,
    failed: Vec<(String, u32)>,
    served: u32,
}

impl AdminGate {
    /// Decides about a request to the endpoint by its head alone.
    pub fn admit(&mut self, config: &Config, head: &RequestHead<'_>, now: Timestamp) -> Admission {
        let window = now.as_secs() / WINDOW;
        if window != self.window {
            *self = Self { window, ..Self::default() };
        }
        // Compared whether or not the client may try: the answer takes as long.
        let is_admin = is_admin(config, head);
        let client = head.known.cf_connecting_ip.unwrap_or_default();
        let is_news = self.failed.is_empty();
        let has_room = self.failed.len() < MAX_CLIENTS;
        let failed = self.failed.iter_mut().find(|(known, _)| known == client);
        let is_locked = failed.as_ref().is_some_and(|(_, times)| *times >= MAX_FAILED);
        if !is_admin || is_locked {
            match failed {
                Some((_, times)) => *times = times.saturating_add(1),
                None if has_room => self.failed.push((client.to_owned(), 1)),
                None => {}
            }
            return Admission::Refused { is_news };
        }
        self.served = self.served.saturating_add(1);
        if self.served > MAX_SERVED { Admission::TooMany } else { Admission::Granted }
    }
}

/// `Authorization: Bearer <ADMIN_SECRET>`. Hashes of equal length are compared, in constant time.
fn is_admin(config: &Config, head: &RequestHead<'_>) -> bool {
    let Some(secret) = &config.admin_secret else { return false };
    let given = head.known.authorization.and_then(|value| value.strip_prefix("Bearer "));
    let given = Sha256::digest(given.unwrap_or_default());
    bool::from(Sha256::digest(secret.expose()).ct_eq(&given))
}

/// Ends all sessions of the `sub` in the body.
pub(super) async fn handle<P: Ports>(
    ctx: &Context<'_, P>,
    head: &RequestHead<'_>,
    body: Option<&str>,
) -> Answer {
    // Decided by the gate before; looked at again, so that no caller can leave that out.
    if !is_admin(ctx.config, head) {
        return crate::http::problem::problem(ProblemCode::NotFound);
    }
    let sub = match members(head, body).map(|members| members.into_iter().collect::<Vec<_>>()) {
        Ok(members) => match <[_; 1]>::try_from(members) {
            Ok([(name, Value::String(sub))]) if name == "sub" && !sub.is_empty() => sub,
            _ => return answer::problem(ctx, ProblemCode::ParametersInvalid),
        },
        Err(code) => return answer::problem(ctx, code),
    };
    let (issuer, keys) = (&ctx.config.provider.issuer, &ctx.config.session.keys);
    let order = EndSessions {
        which: Which::Begun { by: ctx.ports.now() },
        reason: EndReason::Remote,
        bars: true,
        token: None,
    };
    match end_sessions(ctx, &Whose::subject(issuer, &sub).name(keys), order).await {
        Ended::Sessions { ended, left } => {
            let subject = keys.keyed_hash("audit subject", &[issuer.as_bytes(), sub.as_bytes()]);
            ctx.ports.record(Event::SubjectEnded { subject, ended, left });
            answer::json(&json!({ "ended": ended, "pending": left }))
        }
        Ended::Replayed | Ended::Unavailable => {
            answer::problem(ctx, ProblemCode::SessionUnavailable)
        }
    }
}

#[cfg(test)]
mod tests;
