//! `GET sessions` and `POST sessions/end`: where the person is signed in, and the end of one session
//! or of all others.
//!
//! A session has a random name in the list, which means something inside the list of its own subject
//! alone: nobody can name somebody else's.

use serde_json::{Map, Value, json};

use super::{
    answer,
    context::{Context, Ports},
    ending::{Ended, end_sessions},
};
use crate::{
    audit::Event,
    config::Origin,
    http::{
        csrf::{self, CsrfVerified},
        head::RequestHead,
        message::Answer,
        problem::{self, ProblemCode},
    },
    jose::json,
    session::{
        Command, EndReason, Reply, SessionKey,
        subject::{EndSessions, ListedDevice, SubjectCommand, SubjectReply, Which, Whose},
    },
};

/// Who asks, with the cookie and by the layers against CSRF.
struct Person {
    session: SessionKey,
    whose: Whose,
    #[expect(dead_code, reason = "held as the proof that the request may act with the session")]
    csrf: CsrfVerified,
}

/// The person's devices, this one first, then the newest.
pub(super) async fn list<P: Ports>(
    ctx: &Context<'_, P>,
    head: &RequestHead<'_>,
    origin: &Origin,
) -> Answer {
    let person = match person(ctx, head, origin).await {
        Ok(person) => person,
        Err(answer) => return answer,
    };
    let index = person.whose.name(&ctx.config.session.keys);
    let command = SubjectCommand::List { whose: person.whose.clone() };
    let reply = ctx.ports.ask_subject(&index, command).await;
    let Ok(SubjectReply::Devices(mut devices)) = reply else {
        return answer::problem(ctx, ProblemCode::SessionUnavailable);
    };
    let is_current = |device: &ListedDevice| device.session == person.session;
    devices.sort_unstable_by_key(|device| (is_current(device), device.created));
    let sessions: Vec<Value> = devices
        .iter()
        .rev()
        .map(|device| {
            json!({
                "id": device.handle,
                "current": is_current(device),
                "device": device.device.to_string(),
                "created_at": device.created.as_secs(),
                "last_seen_at": device.last_seen.map(|seen| seen.max(device.created).as_secs()),
            })
        })
        .collect();
    answer::json(&json!({ "sessions": sessions }))
}

/// Ends one of them by its name, or all but this one.
pub(super) async fn end<P: Ports>(
    ctx: &Context<'_, P>,
    head: &RequestHead<'_>,
    origin: &Origin,
    body: Option<&str>,
) -> Answer {
    let person = match person(ctx, head, origin).await {
        Ok(person) => person,
        Err(answer) => return answer,
    };
    let which = match which(head, body, &person.session) {
        Ok(which) => which,
        Err(code) => return answer::problem(ctx, code),
    };
    let is_one = matches!(which, Which::Handle { .. });
    let order = EndSessions { which, reason: EndReason::Remote, bars: false, token: None };
    match end_sessions(ctx, &person.whose.name(&ctx.config.session.keys), order).await {
        Ended::Sessions { ended: 0, left: 0 } if is_one => {
            answer::problem(ctx, ProblemCode::DeviceUnknown)
        }
        Ended::Sessions { ended, left } => {
            let session = ctx.session_hash(&person.session);
            ctx.ports.record(Event::DevicesEnded { session, ended, left });
            answer::json(&json!({ "ended": ended, "pending": left }))
        }
        Ended::Replayed | Ended::Unavailable => {
            answer::problem(ctx, ProblemCode::SessionUnavailable)
        }
    }
}

async fn person<P: Ports>(
    ctx: &Context<'_, P>,
    head: &RequestHead<'_>,
    origin: &Origin,
) -> Result<Person, Answer> {
    let csrf = csrf::check(head, origin, ctx.config.csrf)
        .map_err(|fault| answer::problem(ctx, fault.code()))?;
    let nobody = || problem::unauthenticated(ctx.config, origin);
    let session_id = ctx.session_id(head, origin).ok_or_else(nobody)?;
    let session = session_id.key();
    match ctx.ports.ask(&session, Command::Status { session_id, touch: false }).await {
        Ok(Reply::Status(status)) => {
            let whose = status.whose;
            let unavailable = || answer::problem(ctx, ProblemCode::SessionUnavailable);
            whose.map(|whose| Person { session, whose, csrf }).ok_or_else(unavailable)
        }
        Ok(Reply::NoSession) => Err(nobody()),
        Ok(_) | Err(_) => Err(answer::problem(ctx, ProblemCode::SessionUnavailable)),
    }
}

/// `{"id": "…"}` or `{"others": true}`, and nothing else.
fn which(
    head: &RequestHead<'_>,
    body: Option<&str>,
    own: &SessionKey,
) -> Result<Which, ProblemCode> {
    let members = members(head, body)?;
    let mut members = members.into_iter();
    match (members.next(), members.next()) {
        (Some((name, Value::String(handle))), None) if name == "id" => Ok(Which::Handle { handle }),
        (Some((name, Value::Bool(true))), None) if name == "others" => {
            Ok(Which::Others { session: own.clone() })
        }
        _ => Err(ProblemCode::ParametersInvalid),
    }
}

/// The members of a JSON object in a request's body.
pub(super) fn members(
    head: &RequestHead<'_>,
    body: Option<&str>,
) -> Result<Map<String, Value>, ProblemCode> {
    if !answer::has_media_type(head, "application/json") {
        return Err(ProblemCode::ContentTypeUnsupported);
    }
    let body = body.ok_or(ProblemCode::BodyTooLarge)?;
    let members = json::object(body.as_bytes()).map_err(|_| ProblemCode::ParametersInvalid)?;
    Ok(members.into_iter().collect())
}
