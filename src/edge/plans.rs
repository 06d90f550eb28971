//! The steps of a call as lines of text for the entry.
//!
//! The first line of a plan is its kind: `A` answer, `B` relay a stream that ends with its session,
//! `E` endpoint, `F` forward, `H` the response that is held, `K` ask, `R` relay, `S` static files,
//! `W` relay a WebSocket.

use std::borrow::Cow;

use serde::Serialize;

use super::{platform::Platform, store::command_text};
use crate::{
    app::{
        self,
        call::{
            Asking, Calls, Journey, Step,
            recall::{Granted, Recalled},
        },
        end_subject::Admission,
        passes::Kept,
        ports::AuditLog as _,
        watch::Watch,
    },
    audit::Event,
    config::Config,
    http::{
        decide::{Forward, Replay},
        forward::UrlRule,
        head::RequestHead,
        message::Answer,
        problem::{ProblemCode, problem},
        request_headers,
        response_headers::ResponseEdit,
    },
    session::Command,
};

/// The longest head that gets a pass, in bytes: the entry keeps what it is recognised by.
const MAX_RECALLED: usize = 2_048;

/// RFC 6750 §2.1
const BEARER: &str = "Bearer ";

pub(super) fn step_text(head: &RequestHead<'_>, step: &Step<'_>) -> String {
    match step {
        Step::Answer(answer) => answered(answer),
        Step::Admit(Admission::Granted) => format!("E\n{}", app::MAX_FORM),
        Step::Admit(Admission::TooMany) => answered(&problem(ProblemCode::AdminRateLimited)),
        Step::Admit(Admission::Refused { is_news }) => {
            if *is_news {
                Platform.record(Event::AdminRefused);
            }
            answered(&problem(ProblemCode::NotFound))
        }
        Step::Ask(asking) => asking_text(asking),
        Step::Elsewhere => "S".to_owned(),
        Step::Endpoint(endpoint) if app::reads_body(*endpoint, head) => {
            format!("E\n{}", app::MAX_FORM)
        }
        Step::Endpoint(_) => "E\n0".to_owned(),
        Step::Forward(forward, journey) => forward_text(head, forward, journey),
        Step::Held => "H".to_owned(),
    }
}

/// The text of a step, which gets a pass where it forwards with a token and the head is short.
pub(super) fn remembered(
    config: &Config,
    calls: &mut Calls,
    head: &RequestHead<'_>,
    head_len: usize,
    step: Step<'_>,
) -> String {
    let mut text = step_text(head, &step);
    if let Step::Forward(forward, _) = step
        && forward.attached.is_some()
        && head_len <= MAX_RECALLED
        && let Some(kept) = calls.remember(config, head, *forward)
        && let Some(pass) = pass_text(kept)
    {
        text.push_str(&pass);
    }
    text
}

/// Six more lines after a plan to forward: the pass's number, the URL of its calls (`/*` at its end stands
/// for whatever is below it), how much of theirs is cut off, what takes its place, the name of the
/// session's object, and the command that asks it for the token.
fn pass_text(kept: Kept<'_>) -> Option<String> {
    let Kept { number, url, session_id, token } = kept;
    let key = session_id.key();
    let command = Command::Access { session_id, token: token.clone(), refused_epoch: None };
    let command = command_text(&key, &command).ok()?;
    let UrlRule { own, path, below, cut, origin, base, .. } = url;
    let name = key.name();
    Some(format!("\n{number}\n{own}{path}{below}\n{cut}\n{origin}{base}\n{name}\n{command}"))
}

/// What to do with a call that has a pass, as one number: `-1 - ends` is to ask, 0 to decide anew; all
/// else is the serial of its grant.
pub(super) fn recalled_number(recalled: Recalled) -> f64 {
    // The serial is counted up, the ends from 2^32 times the generation: neither comes near 2^53.
    match recalled {
        Recalled::Unknown => 0.0,
        Recalled::Granted { serial } => serial as f64,
        Recalled::Ask { ends } => -1.0 - ends as f64,
    }
}

/// What the call carries, the value of `Authorization`, and the grant's serial or nothing.
pub(super) fn granted_text(granted: &Granted<'_>) -> String {
    let Granted { carried, access_token, serial } = granted;
    let serial = serial.map_or_else(String::new, |serial| serial.to_string());
    [&carried.to_text(), "\n", BEARER, one_line(access_token.expose()), "\n", &serial].concat()
}

/// An origin as a caller named it, for the log: without what may stand before an `@`, cut short.
pub(super) fn called(origin: &str) -> String {
    origin.rsplit('@').next().unwrap_or_default().chars().take(200).collect()
}

/// `A`, then the answer. What an operator or a developer would want to know of is logged.
pub(super) fn answered(answer: &Answer) -> String {
    if matches!(answer.status, 403 | 500..) {
        let code = answer.headers.iter().find(|(name, _)| *name == "tokenkeep-error");
        // Our codes are constants; what isn't one is nothing of ours to log.
        if let Some((_, Cow::Borrowed(code))) = code {
            Platform.record(Event::CallRefused { code });
        }
    }
    format!("A\n{}", answer_text(answer))
}

/// `K`, the object's name, the command, and the question to come back with.
fn asking_text(asking: &Asking) -> String {
    let Asking { key, command, question } = asking;
    match command_text(key, command) {
        Ok(command) => format!("K\n{}\n{command}\n{}", key.name(), question.to_text()),
        Err(_) => internal(),
    }
}

/// `F`, URL, what the call carries, the value of `Authorization`, method, binding, whether the body is
/// kept, the cache mode, how many milliseconds the response's head may take (empty is for ever), the
/// response's rules, the value of `Accept-Encoding`, names to drop. What a token fetched is for no
/// cache on the way, whatever a zone's rules say.
fn forward_text(head: &RequestHead<'_>, forward: &Forward<'_>, journey: &Journey) -> String {
    let token = forward.attached.as_ref().map(|attached| attached.access_token.expose());
    let authorization = token.map(|token| [BEARER, one_line(token)].concat()).unwrap_or_default();
    let timeout = forward.route.timeout.map_or_else(String::new, |it| it.as_millis().to_string());
    // The entry has dropped by their names what it knows, unless it handed all of them over.
    let dropped = if request_headers::is_whole(head) {
        forward.headers.dropped(head).join(",")
    } else {
        String::new()
    };
    [
        "F",
        forward.url.as_str(),
        &journey.carried.to_text(),
        &authorization,
        forward.method.as_str(),
        forward.binding.unwrap_or_default(),
        if forward.replay == Replay::KeepBody { "keep" } else { "" },
        if forward.attached.is_some() { "no-store" } else { "default" },
        &timeout,
        forward.response.as_str(),
        forward.headers.accept_encoding.unwrap_or_default(),
        &dropped,
    ]
    .join("\n")
}

/// `R`, names to drop, headers to set.
pub(super) fn edit_text(edit: &ResponseEdit<'_>) -> String {
    let mut plan = String::from("R");
    push_edit(&mut plan, edit);
    plan
}

/// The kind, how often the session is to be asked for (in milliseconds; empty is never), the
/// object's name, the command, names to drop, headers to set.
pub(super) fn watched_text(kind: char, watch: Option<&Watch>, edit: &ResponseEdit<'_>) -> String {
    let mut plan = match watch {
        None => format!("{kind}\n\n\n"),
        Some(Watch { key, command, every }) => match command_text(key, command) {
            Ok(command) => format!("{kind}\n{}\n{}\n{command}", every.as_millis(), key.name()),
            Err(_) => return internal(),
        },
    };
    push_edit(&mut plan, edit);
    plan
}

fn push_edit(plan: &mut String, edit: &ResponseEdit<'_>) {
    plan.push('\n');
    plan.push_str(&edit.drop.join(","));
    for (name, value) in &edit.set {
        push_header(plan, name, value);
    }
}

fn push_header(plan: &mut String, name: &str, value: &str) {
    plan.push('\n');
    plan.push_str(name);
    plan.push(':');
    plan.push_str(one_line(value));
}

/// A line break would begin another line of the plan. No header that we set can hold one; if one
/// ever does it is cut off rather than believed.
fn one_line(value: &str) -> &str {
    value.split('\n').next().unwrap_or_default()
}

/// Status, the second line, and the headers.
pub(super) type ResponseHead<'a> = (u16, &'a str, Vec<(&'a str, &'a str)>);

pub(super) fn response_head(text: &str) -> Option<ResponseHead<'_>> {
    let mut lines = text.lines();
    let (status, rules) = (lines.next()?.parse().ok()?, lines.next()?);
    Some((status, rules, lines.filter_map(|line| line.split_once(": ")).collect()))
}

pub(super) fn internal() -> String {
    answered(&problem(ProblemCode::Internal))
}

pub(super) fn answer_text(answer: &Answer) -> String {
    let Answer { status, headers, body } = answer;
    #[derive(Serialize)]
    struct Text<'a> {
        status: u16,
        headers: &'a [(&'static str, Cow<'static, str>)],
        body: &'a str,
    }
    let text = Text { status: *status, headers, body };
    serde_json::to_string(&text).unwrap_or_default()
}
