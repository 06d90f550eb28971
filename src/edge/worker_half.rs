//! The Worker half: what the entry asks for a request, step by step.
//!
//! [`crate::app::call::Calls`] decides each step; here its steps become lines of text ([`plans`]) for the
//! entry, which does what they say and comes back with what happened: [`plan`], then
//! [`plan_with_reply`] after the session's object was asked (or for a call like one before it [`recall`] and
//! [`recall_replied`]), and after the API answered
//! [`relay_plain`], which the entry remembers, or [`relay`]. Text, because one string crosses into
//! wasm cheaper than many small values do.

#![expect(unreachable_pub, reason = "what is exported is reached by the entry, from JavaScript")]

use std::{cell::RefCell, rc::Rc, time::Duration};

use js_sys::Function;
use wasm_bindgen::prelude::wasm_bindgen;

use super::{
    environment, kv_store,
    plans::{
        answer_text, answered, called, edit_text, granted_text, internal, recalled_number,
        remembered, response_head, step_text, watched_text,
    },
    platform::{OnPlatform, Platform, timestamp},
    store::{Objects, read},
};
use crate::{
    app::{
        self,
        call::{Calls, Journey, Question, Relay, Step},
        context::event_id,
        keys::KeyCache,
        metadata::MetadataCache,
        ports::{AuditLog as _, Clock as _, SessionStore, StoreError, SubjectStore},
        watch::Watch,
    },
    audit::Event,
    config::{self, Config, Jurisdiction},
    http::{
        head::{Known, RequestHead},
        message::Answer,
        page,
        problem::{ProblemCode, problem},
        request_headers,
        response_headers::{self, ResponseRules},
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

/// Configures this isolate's Worker half and logs every fault; `generation` tells instances of wasm
/// apart. Returns where sessions are kept, in two lines: `durable` or `kv`, and the jurisdiction that
/// objects are asked in, or nothing.
#[wasm_bindgen]
pub fn configure_worker(environment: &str, generation: u32) -> String {
    let config = match config::parse(&environment::read(environment)) {
        Ok(config) => Some(Rc::new(config)),
        Err(faults) => {
            let faults: Vec<String> = faults.0.iter().map(ToString::to_string).collect();
            FAULTS.with(|kept| *kept.borrow_mut() = Some((faults, Timestamp::default())));
            remind_of_faults();
            None
        }
    };
    // Grants and passes are of the configuration that they came by.
    CALLS.with(|calls| *calls.borrow_mut() = Calls::new(generation));
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
pub fn plan(text: &str, now: f64) -> String {
    with_head(text, |config, head, calls| {
        let step = calls.begin(config, head, timestamp(now));
        if matches!(step, Step::Answer(Answer { status: 421, .. })) {
            Platform.record(Event::OriginUnknown {
                called: called(head.origin),
                configured: config.origins.iter().map(|own| own.serialized.clone()).collect(),
            });
        }
        remembered(config, calls, head, text.len(), step)
    })
}

/// Goes on after the session's object was asked. An empty `reply` is a store that didn't answer.
#[wasm_bindgen]
pub fn plan_with_reply(text: &str, question: &str, reply: &str) -> String {
    let Some(question) = Question::parse(question) else { return internal() };
    let reply = read(reply).ok();
    with_head(text, |config, head, calls| {
        let step = calls.replied(config, head, &question, reply.as_ref());
        remembered(config, calls, head, text.len(), step)
    })
}

/// Decides about a request to `url` that is like one before it in everything else, by the number of its
/// pass. What the answer means stands at [`recalled_number`].
#[wasm_bindgen]
pub fn recall(pass: f64, url: &str, now: f64) -> f64 {
    with_calls(|config, calls| calls.recall(config, pass as u64, url, timestamp(now)))
        .map_or(0.0, recalled_number)
}

/// The grant that [`recall`] has just told the serial of ([`granted_text`]), or an empty text.
#[wasm_bindgen]
pub fn granted(pass: f64, now: f64) -> String {
    with_calls(|config, calls| {
        calls.granted(config, pass as u64, timestamp(now)).as_ref().map(granted_text)
    })
    .flatten()
    .unwrap_or_default()
}

/// Goes on after the session's object was asked at `asked_at` for a call that has a pass, as [`recall`] said:
/// what it carries ([`granted_text`]), or an empty text: then [`plan_with_reply`] decides.
#[wasm_bindgen]
pub fn recall_replied(pass: f64, asked_at: f64, ends: f64, reply: &str) -> String {
    let reply = read(reply).ok();
    with_calls(|config, calls| {
        let asked_at = timestamp(asked_at);
        calls
            .recall_replied(config, pass as u64, asked_at, ends as u64, reply.as_ref())
            .as_ref()
            .map(granted_text)
    })
    .flatten()
    .unwrap_or_default()
}

/// How many sessions this isolate has ended.
#[wasm_bindgen]
pub fn ended() -> f64 {
    with_calls(|_, calls| calls.ends() as f64).unwrap_or_default()
}

/// What the entry is to do with a request's header of this name ([`request_headers::kind`]), and in the
/// next eight bits the letter that stands for it ([`Known::letter`]).
#[wasm_bindgen]
pub fn request_header(name: &str) -> u32 {
    let letter = Known::letter(name).unwrap_or_default();
    u32::from(request_headers::kind(name)) | u32::from(letter) << 8
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

/// Decides what becomes of an API's response, by the rules and what the call carried as they stood in
/// its plan. `response` is its head as text: status, an empty line, then the headers.
#[wasm_bindgen]
pub fn relay(head: &str, rules: &str, carried: &str, response: &str, now: f64) -> String {
    let Some(journey) = Journey::parse(rules, carried) else { return internal() };
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
pub fn relay_held(rules: &str, carried: &str, response: &str) -> String {
    let Some(journey) = Journey::parse(rules, carried) else { return internal() };
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

fn with_calls<T>(then: impl FnOnce(&Config, &mut Calls) -> T) -> Option<T> {
    let config = configured()?;
    Some(CALLS.with(|calls| then(&config, &mut calls.borrow_mut())))
}

fn with_head(
    text: &str,
    then: impl FnOnce(&Config, &RequestHead<'_>, &mut Calls) -> String,
) -> String {
    let text = with_calls(|config, calls| match RequestHead::parse(text) {
        Ok(head) => then(config, &head, calls),
        Err(fault) => answered(&problem(fault.code())),
    });
    text.unwrap_or_else(|| {
        remind_of_faults();
        answered(&problem(ProblemCode::ConfigInvalid))
    })
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
