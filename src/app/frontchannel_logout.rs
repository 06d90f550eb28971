//! `GET frontchannel-logout` (OpenID Connect Front-Channel Logout 1.0 §2 and §3): a frame on the
//! provider's page.
//!
//! The weak one. The frame is cross-site, so it brings no cookie of ours: sessions are looked up by
//! `iss` and `sid`, and whoever knows a `sid` can send it. So it is off unless configured, ends
//! sessions here and nothing at the provider, stores nothing for a `sid` that nobody has, and
//! answers the same whether or not there was a session.

use url::{Url, form_urlencoded};

use super::{
    answer,
    context::{Context, Ports},
    ending::{Ended, end_sessions},
};
use crate::{
    audit::Event,
    http::{head::RequestHead, message::Answer, page, problem::ProblemCode},
    session::{
        EndReason,
        subject::{EndSessions, Which, Whose},
    },
};

/// The longest `sid`, as in a logout token.
const MAX_SID: usize = 512;

/// Ends the sessions of a session at the provider.
pub(super) async fn handle<P: Ports>(ctx: &Context<'_, P>, head: &RequestHead<'_>) -> Answer {
    // A browser that says what it is for says "a frame": not an image, not a script, not a fetch.
    let is_frame = matches!(head.known.sec_fetch_dest, None | Some("iframe" | "frame"));
    if !is_frame || head.is_speculative() {
        return answer::problem(ctx, ProblemCode::NavigationRefused);
    }
    let Some(sid) = sid(head.query.unwrap_or_default(), &ctx.config.provider.issuer) else {
        return answer::problem(ctx, ProblemCode::RequestMalformed);
    };
    let whose = Whose::provider_session(&ctx.config.provider.issuer, &sid);
    let order = EndSessions {
        which: Which::All { of: None },
        reason: EndReason::FrontChannel,
        bars: false,
        token: None,
    };
    match end_sessions(ctx, &whose.name(&ctx.config.session.keys), order).await {
        Ended::Sessions { ended, left } => {
            if ended + left > 0 {
                ctx.ports.record(Event::FrontChannelLogout { ended, left });
            }
            page::framed(&provider_origin(&ctx.config.provider.issuer))
        }
        Ended::Replayed | Ended::Unavailable => {
            answer::problem(ctx, ProblemCode::SessionUnavailable)
        }
    }
}

/// `sid`, where `iss` is the configured issuer; each must be there, once (§2).
fn sid(query: &str, issuer: &str) -> Option<String> {
    let one = |wanted: &str| {
        let mut values = form_urlencoded::parse(query.as_bytes())
            .filter(|(name, _)| name == wanted)
            .map(|(_, value)| value.into_owned());
        values.next().filter(|_| values.next().is_none())
    };
    if one("iss")? != issuer {
        return None;
    }
    one("sid").filter(|sid| (1..=MAX_SID).contains(&sid.len()))
}

/// Who may frame the answer.
fn provider_origin(issuer: &str) -> String {
    Url::parse(issuer)
        .map_or_else(|_| "'none'".to_owned(), |url| url.origin().ascii_serialization())
}
