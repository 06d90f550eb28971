//! The answers that several endpoints give: redirects, JSON, pages and problems, each with the
//! headers that every response of ours has.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::context::{Context, Ports};
use crate::{
    audit::Event,
    config::Origin,
    http::{
        head::RequestHead,
        message::Answer,
        page,
        problem::{self, ProblemCode, common_headers},
    },
};

/// A redirect; `location` is from checked metadata, configuration or a `ReturnTo`.
pub(crate) fn redirect(status: u16, location: String) -> Answer {
    let mut headers = common_headers();
    headers.push(("location", Cow::Owned(location)));
    Answer { status, headers, body: String::new() }
}

/// 200 with JSON.
pub(crate) fn json(body: &Value) -> Answer {
    let mut headers = common_headers();
    headers.push(("content-type", Cow::Borrowed("application/json")));
    Answer { status: 200, headers, body: crate::json::write(body) }
}

/// Whether the request's body is of this media type, parameters aside.
pub(crate) fn has_media_type(head: &RequestHead<'_>, media_type: &str) -> bool {
    let content_type = head.header("content-type").unwrap_or_default();
    content_type.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(media_type)
}

/// Adds a `Set-Cookie`.
pub(crate) fn set_cookie(answer: &mut Answer, set_cookie: String) {
    answer.headers.push(("set-cookie", Cow::Owned(set_cookie)));
}

/// A problem for a program, and its line in the log.
pub(crate) fn problem<P: Ports>(ctx: &Context<'_, P>, code: ProblemCode) -> Answer {
    problem_with(ctx, code, Map::new())
}

/// The same with more members.
pub(crate) fn problem_with<P: Ports>(
    ctx: &Context<'_, P>,
    code: ProblemCode,
    members: Map<String, Value>,
) -> Answer {
    ctx.ports.record(Event::CallRefused { code: code.as_str() });
    problem::problem_with(code, members)
}

/// A page for a person, with an id that the log has too; `detail` is for the log alone. `again` is
/// the URL of a login, where another one can be the answer.
pub(crate) fn error_page<P: Ports>(
    ctx: &Context<'_, P>,
    origin: &Origin,
    code: ProblemCode,
    detail: &'static str,
    again: Option<&str>,
) -> Answer {
    let event_id = ctx.event_id();
    let answer = page::error(origin, code, &event_id, again);
    ctx.ports.record(Event::ErrorShown { event_id, code: code.as_str(), detail });
    answer
}
