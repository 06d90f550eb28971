//! The Worker half: what the entry asks for a request, step by step.
//!
//! [`crate::app::call::Calls`] decides each step; here its steps become lines of text for the
//! entry, which does what they say and comes back with what happened: [`plan`], then
//! [`plan_with_reply`] after the session's object was asked, and after the API answered
//! [`relay_plain`], which the entry remembers, or [`relay`]. Text, because one string crosses into
//! wasm cheaper than many small values do.
//!
//! The first line of a plan is its kind: `A` answer, `B` relay a stream that ends with its session,
//! `E` endpoint, `F` forward, `H` the response that is held, `K` ask, `R` relay, `S` static files,
//! `W` relay a WebSocket.

#![expect(unreachable_pub, reason = "what is exported is reached by the entry, from JavaScript")]

use std::{borrow::Cow, cell::RefCell, rc::Rc, time::Duration};

use js_sys::Function;
use serde::Serialize;
use wasm_bindgen::prelude::wasm_bindgen;

use super::{
    environment, kv_store,
    platform::{OnPlatform, Platform, timestamp},
    store::{Objects, command_text, read},
};
use crate::{
    app::{
        self,
        call::{Asking, Calls, Journey, Question, Relay, Step},
        context::event_id,
        end_subject::Admission,
        keys::KeyCache,
        metadata::MetadataCache,
        ports::{AuditLog as _, Clock as _, SessionStore, StoreError, SubjectStore},
        watch::Watch,
    },
    audit::Event,
    config::{self, Config, Jurisdiction},
    http::{
        decide::{Forward, Replay},
        head::RequestHead,
        message::Answer,
        page,
        problem::{ProblemCode, problem},
        request_headers,
        response_headers::{self, ResponseEdit, ResponseRules},
        return_to::ReturnTo,
        route::{self, EndpointName, Target},
    },
    session::{
        Command, Reply, SessionKey,
        subject::{IndexName, SubjectCommand, SubjectReply},
    },
    time::Timestamp,
};

/// How often the faults of the configuration are logged again.
const FAULTS_INTERVAL: Duration = Duration::from_secs(60);

thread_local! {
    /// The Worker half's statics: values only, shared with no object.
    static CONFIG: RefCell<Option<Rc<Config>>> = const { RefCell::new(None) };
    static CALLS: RefCell<Calls> = RefCell::new(Calls::default());
    /// What is wrong with the configuration, and when that was last said.
    static FAULTS: RefCell<Option<(Vec<String>, Timestamp)>> = const { RefCell::new(None) };
    static METADATA: Rc<RefCell<MetadataCache>> = Rc::new(RefCell::new(MetadataCache::new()));
    static KEYS: Rc<RefCell<KeyCache>> = Rc::new(RefCell::new(KeyCache::new()));
}

/// Configures this isolate's Worker half and logs every fault. Returns where sessions are kept, in
/// two lines: `durable` or `kv`, and the jurisdiction that objects are asked in, or nothing.
#[wasm_bindgen]
pub fn configure_worker(environment: &str) -> String {
    let config = match config::parse(&environment::read(environment)) {
        Ok(config) => Some(Rc::new(config)),
        Err(faults) => {
            let faults: Vec<String> = faults.0.iter().map(ToString::to_string).collect();
            FAULTS.with(|kept| *kept.borrow_mut() = Some((faults, Timestamp::default())));
            remind_of_faults();
            None
        }
    };
    kv_store::configure(config.as_deref());
    let in_kv = config.as_ref().is_some_and(|config| config.session.store.is_kv());
    let jurisdiction = config.as_ref().and_then(|config| config.jurisdiction);
    CONFIG.with(|half| *half.borrow_mut() = config);
    let store = if in_kv { "kv" } else { "durable" };
    format!("{store}\n{}", jurisdiction.map_or("", Jurisdiction::as_str))
}

/// Says again what is wrong with the configuration, at most once a minute: whoever looks at the log
/// came after the first time.
fn remind_of_faults() {
    FAULTS.with(|kept| {
        let now = Platform.now();
        if let Some((faults, said)) = kept.borrow_mut().as_mut()
            && now.since(*said) >= FAULTS_INTERVAL
        {
            *said = now;
            Platform.record(Event::ConfigInvalid { faults: faults.clone() });
        }
    });
}

/// Decides about a request.
#[wasm_bindgen]
pub fn plan(head: &str, now: f64) -> String {
    with_head(head, |config, head, calls| {
        let step = calls.begin(config, head, timestamp(now));
        if matches!(step, Step::Answer(Answer { status: 421, .. })) {
            Platform.record(Event::OriginUnknown {
                called: called(head.origin),
                configured: config.origins.iter().map(|own| own.serialized.clone()).collect(),
            });
        }
        step_text(head, &step)
    })
}

/// Goes on after the session's object was asked. An empty `reply` is a store that didn't answer.
#[wasm_bindgen]
pub fn plan_with_reply(head: &str, question: &str, reply: &str) -> String {
    let Ok(question) = read::<Question>(question) else { return internal() };
    let reply = read(reply).ok();
    with_head(head, |config, head, calls| {
        step_text(head, &calls.replied(config, head, &question, reply.as_ref()))
    })
}

/// What the entry is to do with a request's header of this name ([`request_headers::kind`]).
#[wasm_bindgen]
pub fn request_header(name: &str) -> u8 {
    request_headers::kind(name)
}

/// What the entry is to do with a response's header of this name ([`response_headers::kind`]).
#[wasm_bindgen]
pub fn response_header(name: &str) -> u8 {
    response_headers::kind(name)
}

/// The edit of an API's response that needs nothing else, or an empty text: then [`relay`] decides.
/// `response` is its head as text: status, the rules, then the headers. The same text always gives
/// the same.
#[wasm_bindgen]
pub fn relay_plain(response: &str) -> String {
    let edit = response_head(response).and_then(|(status, rules, headers)| {
        Some(edit_text(&ResponseRules::parse(rules)?.plain(status, &headers)?))
    });
    edit.unwrap_or_default()
}

/// Decides what becomes of an API's response. `response` is its head as text: status, an empty
/// line, then the headers.
#[wasm_bindgen]
pub fn relay(head: &str, journey: &str, response: &str, now: f64) -> String {
    let Some(journey) = Journey::parse(journey) else { return internal() };
    let Some((status, _, headers)) = response_head(response) else { return internal() };
    with_head(head, |config, head, calls| {
        match calls.answered(config, head, &journey, status, &headers, timestamp(now)) {
            Ok(Relay::Answer(edit)) => edit_text(&edit),
            Ok(Relay::Socket(edit, watch)) => watched_text('W', watch.as_deref(), &edit),
            Ok(Relay::Stream(edit, watch)) => watched_text('B', Some(&watch), &edit),
            Err(step) => step_text(head, &step),
        }
    })
}

/// Goes on with the API's own 401, where no other token could be had.
#[wasm_bindgen]
pub fn relay_held(journey: &str, response: &str) -> String {
    let Some(journey) = Journey::parse(journey) else { return internal() };
    let Some((status, _, headers)) = response_head(response) else { return internal() };
    match journey.held(status, &headers) {
        Ok(edit) => edit_text(&edit),
        Err(answer) => answered(&answer),
    }
}

/// What a reply to a watch's question means for what is open: nothing (0), or the code to close it
/// with. An empty `reply` is a store that didn't answer.
#[wasm_bindgen]
pub fn watched(reply: &str) -> u16 {
    Watch::verdict(read(reply).ok().as_ref()).unwrap_or(0)
}

/// Runs an endpoint of ours. `body` is a form's text, where the plan asked for it and it could be
/// read.
#[wasm_bindgen]
pub async fn endpoint(
    head: String,
    body: Option<String>,
    ask_sessions: Function,
    ask_subjects: Function,
) -> String {
    let Some(config) = configured() else {
        return answer_text(&problem(ProblemCode::ConfigInvalid));
    };
    let head = match RequestHead::parse(&head) {
        Ok(head) => head,
        Err(fault) => return answer_text(&problem(fault.code())),
    };
    let (metadata, keys) = (METADATA.with(Rc::clone), KEYS.with(Rc::clone));
    let ports =
        WorkerPorts { sessions: Objects::new(ask_sessions), subjects: Objects::new(ask_subjects) };
    let ctx = app::Context { config: &config, ports: &ports, metadata: &metadata, keys: &keys };
    answer_text(&app::handle_endpoint(&ctx, &head, body.as_deref()).await)
}

/// The answer where the API couldn't be reached.
#[wasm_bindgen]
pub fn upstream_unreachable() -> String {
    answered(&problem(ProblemCode::UpstreamUnreachable))
}

/// The answer where the API didn't begin to answer in its route's time.
#[wasm_bindgen]
pub fn upstream_timed_out() -> String {
    answered(&problem(ProblemCode::UpstreamTimedOut))
}

/// The answer to a person whose navigation came to nothing because the core trapped: a page that
/// says so. (A program gets the entry's own problem.)
#[wasm_bindgen]
pub fn failed(head: &str) -> String {
    with_head(head, |config, head, _| {
        let Some(origin) = head.our_origin(config) else { return internal() };
        let event_id = event_id(&Platform);
        // On the way of a login another one may be the answer; elsewhere it is none.
        let is_login = matches!(
            route::choose(config, head.path),
            Target::Endpoint(EndpointName::Login | EndpointName::Callback)
        );
        let again = is_login.then(|| page::login_url(config, &ReturnTo::root()));
        let answer = page::error(origin, ProblemCode::Internal, &event_id, again.as_deref());
        let code = ProblemCode::Internal.as_str();
        Platform.record(Event::ErrorShown { event_id, code, detail: "trapped" });
        format!("A\n{}", answer_text(&answer))
    })
}

/// The answer where there are no static files to look in.
#[wasm_bindgen]
pub fn not_found() -> String {
    answered(&problem(ProblemCode::NotFound))
}

fn configured() -> Option<Rc<Config>> {
    CONFIG.with(|half| half.borrow().clone())
}

fn with_head(
    text: &str,
    then: impl FnOnce(&Config, &RequestHead<'_>, &mut Calls) -> String,
) -> String {
    let Some(config) = configured() else {
        remind_of_faults();
        return answered(&problem(ProblemCode::ConfigInvalid));
    };
    match RequestHead::parse(text) {
        Ok(head) => CALLS.with(|calls| then(&config, &head, &mut calls.borrow_mut())),
        Err(fault) => answered(&problem(fault.code())),
    }
}

fn step_text(head: &RequestHead<'_>, step: &Step<'_>) -> String {
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

/// An origin as a caller named it, for the log: without what may stand before an `@`, cut short.
fn called(origin: &str) -> String {
    origin.rsplit('@').next().unwrap_or_default().chars().take(200).collect()
}

/// `A`, then the answer. What an operator or a developer would want to know of is logged.
fn answered(answer: &Answer) -> String {
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
    match (command_text(key, command), serde_json::to_string(question)) {
        (Ok(command), Ok(question)) => format!("K\n{}\n{command}\n{question}", key.name()),
        _ => internal(),
    }
}

/// `F`, method, URL, binding, whether the body is kept, the cache mode, how many milliseconds the
/// response's head may take (empty is for ever), the response's rules, the journey, names to drop,
/// headers to set. What a token fetched is for no cache on the way, whatever a zone's rules say.
fn forward_text(head: &RequestHead<'_>, forward: &Forward<'_>, journey: &Journey) -> String {
    let (rules, journey) = (journey.rules.as_str(), journey.to_text());
    let timeout = forward.route.timeout.map_or_else(String::new, |it| it.as_millis().to_string());
    // The entry has dropped by their names what it knows, unless it handed all of them over.
    let dropped = if request_headers::is_whole(head) {
        forward.headers.dropped(head).join(",")
    } else {
        String::new()
    };
    let mut plan = String::with_capacity(2048);
    for (n, line) in [
        "F",
        forward.method.as_str(),
        forward.url.as_str(),
        forward.binding.unwrap_or_default(),
        if forward.replay == Replay::KeepBody { "keep" } else { "" },
        if forward.attached.is_some() { "no-store" } else { "default" },
        &timeout,
        rules,
        &journey,
        &dropped,
    ]
    .into_iter()
    .enumerate()
    {
        if n > 0 {
            plan.push('\n');
        }
        plan.push_str(line);
    }
    for (name, value) in &forward.headers.set {
        push_header(&mut plan, name, value.expose());
    }
    plan
}

/// `R`, names to drop, headers to set.
fn edit_text(edit: &ResponseEdit<'_>) -> String {
    let mut plan = String::from("R");
    push_edit(&mut plan, edit);
    plan
}

/// The kind, how often the session is to be asked for (in milliseconds; empty is never), the
/// object's name, the command, names to drop, headers to set.
fn watched_text(kind: char, watch: Option<&Watch>, edit: &ResponseEdit<'_>) -> String {
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

/// A line break would begin another line of the plan. No header that we set can hold one; if one
/// ever does it is cut off rather than believed.
fn push_header(plan: &mut String, name: &str, value: &str) {
    plan.push('\n');
    plan.push_str(name);
    plan.push(':');
    plan.push_str(value.split('\n').next().unwrap_or_default());
}

/// Status, the second line, and the headers.
type ResponseHead<'a> = (u16, &'a str, Vec<(&'a str, &'a str)>);

fn response_head(text: &str) -> Option<ResponseHead<'_>> {
    let mut lines = text.lines();
    let (status, rules) = (lines.next()?.parse().ok()?, lines.next()?);
    Some((status, rules, lines.filter_map(|line| line.split_once(": ")).collect()))
}

fn internal() -> String {
    answered(&problem(ProblemCode::Internal))
}

fn answer_text(answer: &Answer) -> String {
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

/// The ports of one request's endpoint.
struct WorkerPorts {
    sessions: Objects,
    subjects: Objects,
}

impl OnPlatform for WorkerPorts {}

impl SessionStore for WorkerPorts {
    /// A session that is ended is forgotten by this isolate before and after: what a call brought
    /// in meanwhile goes as well.
    async fn ask(&self, key: &SessionKey, command: Command) -> Result<Reply, StoreError> {
        let ends = matches!(command, Command::End { .. } | Command::Close { .. });
        if ends {
            forget(key);
        }
        let reply = SessionStore::ask(&self.sessions, key, command).await;
        if ends {
            forget(key);
        }
        reply
    }
}

impl SubjectStore for WorkerPorts {
    /// The same for sessions that a subject's object has ended.
    async fn ask_subject(
        &self,
        index: &IndexName,
        command: SubjectCommand,
    ) -> Result<SubjectReply, StoreError> {
        let reply = self.subjects.ask_subject(index, command).await;
        if let Ok(SubjectReply::Ended { sessions, .. }) = &reply {
            sessions.iter().for_each(forget);
        }
        reply
    }
}

fn forget(key: &SessionKey) {
    CALLS.with(|calls| calls.borrow_mut().forget(key));
}
