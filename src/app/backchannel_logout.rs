//! `POST backchannel-logout` (OpenID Connect Back-Channel Logout 1.0 §2.5 to §2.8).
//!
//! The provider says that a session of its own is over; the logout token is all the authority there
//! is. Its checks are [`crate::jose::logout_token`]'s. A `sid` leads to the sessions here that came
//! of that session there, a `sub` alone to all of the person's. Answered when each session's object
//! was asked: from then on no call gets a token from it, and the copies that isolates hold run out
//! within `cache_seconds`.

use url::form_urlencoded;

use super::{
    answer,
    context::{Context, ObjectContext, Ports},
    ending::{Ended, end_sessions},
    exchange::{VerifyError, with_keys},
    metadata::metadata,
};
use crate::{
    audit::Event,
    base64url,
    http::{
        head::RequestHead,
        message::Answer,
        problem::{ProblemCode, common_headers, error_headers},
    },
    jose::logout_token::{
        LogoutSubject, LogoutTokenError, LogoutTokenExpectations, UntrustedLogoutToken,
        VerifiedLogoutToken,
    },
    secret::Secret,
    session::{
        EndReason, ObjectConfig,
        subject::{EndSessions, SeenToken, Which, Whose},
    },
};

/// Ends what a logout token names.
pub(super) async fn handle<P: Ports>(
    ctx: &Context<'_, P>,
    head: &RequestHead<'_>,
    body: Option<&str>,
) -> Answer {
    let token = match logout_token(head, body) {
        Ok(token) => token,
        Err(check) => return refused(ctx, check),
    };
    let token = match verify(ctx, &token).await {
        Ok(token) => token,
        Err(VerifyError::Refused(error)) => return refused(ctx, error.kind()),
        Err(VerifyError::KeysUnavailable) => {
            return answer::problem(ctx, ProblemCode::ProviderUnavailable);
        }
    };
    let delivery = base64url::encode(ctx.ports.bytes::<16>());
    let (mut all_ended, mut all_left) = (0, 0);
    let mut is_written = true;
    for Order { whose, which, is_last } in orders(ctx, &token) {
        // The provider may send it again where an index didn't answer: it counts as used with the
        // last order alone, and only where all before were written down.
        let token = (is_last && is_written).then(|| seen(ctx, &token, &delivery));
        let order = EndSessions { which, reason: EndReason::BackChannel, bars: true, token };
        match end_sessions(ctx, &whose.name(&ctx.config.session.keys), order).await {
            Ended::Sessions { ended, left } => {
                all_ended += ended;
                all_left += left;
            }
            Ended::Replayed => return refused(ctx, "jti_replayed"),
            Ended::Unavailable => is_written = false,
        }
    }
    if !is_written {
        return answer::problem(ctx, ProblemCode::SessionUnavailable);
    }
    ctx.ports.record(Event::LogoutTokenAccepted { ended: all_ended, left: all_left });
    Answer { status: 200, headers: common_headers(), body: String::new() }
}

/// The form's one `logout_token`, or the audit's word for what is there instead.
fn logout_token(
    head: &RequestHead<'_>,
    body: Option<&str>,
) -> Result<Secret<String>, &'static str> {
    if !answer::has_media_type(head, "application/x-www-form-urlencoded") {
        return Err("content_type");
    }
    let body = body.ok_or("body_too_large")?;
    let mut tokens = form_urlencoded::parse(body.as_bytes())
        .filter(|(name, _)| name == "logout_token")
        .map(|(_, value)| value);
    match (tokens.next(), tokens.next()) {
        (Some(token), None) => Ok(Secret::new(token.into_owned())),
        (None, _) => Err("logout_token_missing"),
        (Some(_), Some(_)) => Err("logout_token_twice"),
    }
}

async fn verify<P: Ports>(
    ctx: &Context<'_, P>,
    token: &Secret<String>,
) -> Result<VerifiedLogoutToken, VerifyError<LogoutTokenError>> {
    // What can be said without the provider's keys is said first: nobody has us ask for them.
    UntrustedLogoutToken::parse(token).map_err(VerifyError::Refused)?;
    let metadata = metadata(ctx).await.map_err(|_unavailable| VerifyError::KeysUnavailable)?;
    let provider = &ctx.config.provider;
    let expected = LogoutTokenExpectations {
        issuer: &provider.issuer,
        client_id: &provider.client_id,
        alg: provider.id_token_alg,
    };
    let config = ObjectConfig { provider: provider.clone(), session: ctx.config.session.clone() };
    let keys = ObjectContext {
        config: &config,
        ports: ctx.ports,
        keys: ctx.keys,
        session: String::new(),
        log_subject: false,
    };
    with_keys(&keys, &metadata.jwks_uri, LogoutTokenError::UnknownKey, |set| {
        UntrustedLogoutToken::parse(token)?.verify(set, &expected, ctx.ports.now())
    })
    .await
}

/// Which index is told what.
struct Order {
    whose: Whose,
    which: Which,
    is_last: bool,
}

/// Which indexes are told what (§2.7). A token with both claims means the one session at the
/// provider. Sessions here that came without a `sid` may be that one's: they end as well.
fn orders<P: Ports>(ctx: &Context<'_, P>, token: &VerifiedLogoutToken) -> Vec<Order> {
    let issuer = &ctx.config.provider.issuer;
    let issued = token.issued_at();
    match token.who() {
        LogoutSubject::Subject { sub } => {
            let whose = Whose::subject(issuer, sub);
            vec![Order { whose, which: Which::Before { issued }, is_last: true }]
        }
        LogoutSubject::Session { sid, sub } => {
            let person = sub.as_deref().map(|sub| Whose::subject(issuer, sub));
            let of = person.as_ref().map(|person| person.name(&ctx.config.session.keys));
            let without_sid = person.map(|whose| Order {
                whose,
                which: Which::BeforeWithoutSid { issued },
                is_last: false,
            });
            let whose = Whose::provider_session(issuer, sid);
            let session = Order { whose, which: Which::All { of }, is_last: true };
            without_sid.into_iter().chain([session]).collect()
        }
    }
}

fn seen<P: Ports>(ctx: &Context<'_, P>, token: &VerifiedLogoutToken, delivery: &str) -> SeenToken {
    let jti = ctx.config.session.keys.keyed_hash("jti", &[token.jti().as_bytes()]);
    SeenToken { jti, until: token.replay_until(), delivery: delivery.to_owned() }
}

/// §2.8: 400 with the error of RFC 6749 §5.2. What exactly was wrong is in the log.
fn refused<P: Ports>(ctx: &Context<'_, P>, check: &'static str) -> Answer {
    ctx.ports.record(Event::LogoutTokenRefused { check });
    let code = ProblemCode::LogoutTokenInvalid;
    let body = serde_json::json!({
        "error": "invalid_request",
        "error_description": code.problem().detail,
    });
    let mut answer = answer::json(&body);
    answer.status = code.status();
    error_headers(&mut answer.headers, code);
    answer
}
