//! The Worker half: what the entry asks for a request, step by step.
//!
//! [`plan`] decides; the entry does what the plan says and comes back with what happened:
//! [`plan_with_reply`] after the session's object was asked, [`relay`] after the API answered. No
//! step keeps anything for the next but the warm grants: the head's text comes along each time, and
//! a [`Journey`] tells what a forwarded call carried. So nothing is held over an await, and no
//! Rust future stands in a call's way.
//!
//! A plan is lines of text, the first its kind: `A` answer, `E` endpoint, `F` forward, `H` the
//! response that was held, `K` ask, `R` relay, `S` static files.

#![expect(unreachable_pub, reason = "what is exported is reached by the entry, from JavaScript")]

use std::{
    borrow::Cow,
    cell::{Cell, RefCell},
    rc::Rc,
};

use js_sys::Function;
use serde::{Deserialize, Serialize};
use wasm_bindgen::prelude::wasm_bindgen;

use super::{
    environment,
    platform::{Platform, timestamp},
    store::{DurableStore, command_text, parse_reply},
};
use crate::{
    app::{
        self,
        grants::WarmGrants,
        metadata::MetadataCache,
        ports::{AuditLog, Clock, Entropy, HttpClient, SessionStore, StoreError},
    },
    audit::Event,
    config::{self, Config},
    http::{
        decide::{After401, Ask, Decision, Forward, Grant, Replay, decide},
        forward::{Location, map_location},
        head::RequestHead,
        message::{Answer, HttpRequest, HttpResponse, TransportError},
        problem::{ProblemCode, problem},
        response_headers::{self, ResponseRules},
        route::EndpointName,
    },
    secret::Secret,
    session::{Command, GrantedToken, Reply, SessionKey},
    time::Timestamp,
};

thread_local! {
    /// The Worker half's statics: values only, shared with no object.
    static CONFIG: RefCell<Option<Rc<Config>>> = const { RefCell::new(None) };
    static GRANTS: RefCell<WarmGrants> = RefCell::new(WarmGrants::default());
    static METADATA: Rc<RefCell<MetadataCache>> = Rc::new(RefCell::new(MetadataCache::new()));
    /// Ended sessions so far: a grant that was asked for before the last end isn't kept.
    static ENDS: Cell<u64> = const { Cell::new(0) };
}

/// Configures this isolate's Worker half and logs every fault. Returns the jurisdiction that
/// objects are asked in, or nothing.
#[wasm_bindgen]
pub fn configure_worker(environment: &str) -> String {
    let config = match config::parse(&environment::read(environment)) {
        Ok(config) => Some(Rc::new(config)),
        Err(faults) => {
            let faults = faults.0.iter().map(ToString::to_string).collect();
            Platform.record(Event::ConfigInvalid { faults });
            None
        }
    };
    let jurisdiction = config.as_ref().and_then(|config| config.jurisdiction);
    CONFIG.with(|half| *half.borrow_mut() = config);
    jurisdiction.map_or_else(String::new, |jurisdiction| jurisdiction.as_str().to_owned())
}

/// Decides about a request.
#[wasm_bindgen]
pub fn plan(head: &str, now: f64) -> String {
    let now = timestamp(now);
    with_head(head, |config, head| match decide(config, head) {
        Decision::Ask(ask) => match warm(config, ask, now) {
            Ok((Decision::Forward(forward), token)) => forwarded(&forward, Some(token), false),
            Ok((decision, _)) => decided(decision),
            Err(ask) => asked(&ask, None, now),
        },
        decision => decided(decision),
    })
}

/// Goes on after the session's object was asked. An empty `reply` is a store that didn't answer.
#[wasm_bindgen]
pub fn plan_with_reply(head: &str, question: &str, reply: &str) -> String {
    let Ok(question) = serde_json::from_str::<Question>(question) else { return internal() };
    let reply = parse_reply(reply).ok();
    with_head(head, |config, head| {
        let Decision::Ask(ask) = decide(config, head) else { return internal() };
        if let Some(Reply::Granted(token)) = &reply {
            if question.refused_epoch == Some(token.epoch) {
                return "H".to_owned();
            }
            keep(config, &ask, token, &question);
        } else if question.refused_epoch.is_some() && !matches!(reply, Some(Reply::NoSession)) {
            // The provider has no other token to give just now: the API's own 401 stands.
            return "H".to_owned();
        }
        let token = match &reply {
            Some(Reply::Granted(token)) => Some(TokenFacts::of(token)),
            _ => None,
        };
        match ask.replied(reply.as_ref()) {
            Decision::Forward(forward) => {
                forwarded(&forward, token, question.refused_epoch.is_some())
            }
            decision => decided(decision),
        }
    })
}

/// Decides what becomes of an API's response. `response` is its head as text: status, the URL that
/// was asked, then the headers.
#[wasm_bindgen]
pub fn relay(head: &str, journey: &str, response: &str, now: f64) -> String {
    let Ok(journey) = serde_json::from_str::<Journey>(journey) else { return internal() };
    let Some((status, headers)) = response_head(response) else { return internal() };
    if let Err(code) = response_headers::check_status(status) {
        return answered(&problem(code));
    }
    let location = headers.iter().find(|(name, _)| *name == "location").map(|(_, value)| *value);
    let refused = status == 401 && journey.token.is_some() && !journey.is_renewed;
    if location.is_none() && !refused {
        return relayed(&journey, status, &headers, None);
    }
    with_head(head, |config, head| {
        let Some((forward, ask_again)) = decide_again(config, head, &journey, now, refused) else {
            return internal();
        };
        if let Some(plan) = ask_again {
            return plan;
        }
        let location = location.map(|location| {
            map_location(config, forward.route, &forward.origin.serialized, &forward.url, location)
        });
        relayed(&journey, status, &headers, location)
    })
}

/// Goes on with the API's own 401, where no other token could be had.
#[wasm_bindgen]
pub fn relay_held(journey: &str, response: &str) -> String {
    let Ok(journey) = serde_json::from_str::<Journey>(journey) else { return internal() };
    let Some((status, headers)) = response_head(response) else { return internal() };
    relayed(&journey, status, &headers, None)
}

/// Runs an endpoint of ours. `body` is a form's text, where the plan asked for it and it could be
/// read.
#[wasm_bindgen]
pub async fn endpoint(head: String, body: Option<String>, ask: Function) -> String {
    let Some(config) = configured() else {
        return answer_text(&problem(ProblemCode::ConfigInvalid));
    };
    let head = match RequestHead::parse(&head) {
        Ok(head) => head,
        Err(fault) => return answer_text(&problem(fault.code())),
    };
    let metadata = METADATA.with(Rc::clone);
    let ports = WorkerPorts { store: DurableStore::new(ask) };
    let ctx = app::Context { config: &config, ports: &ports, metadata: &metadata };
    answer_text(&app::handle_endpoint(&ctx, &head, body.as_deref()).await)
}

/// The answer where the API couldn't be reached.
#[wasm_bindgen]
pub fn upstream_unreachable() -> String {
    answer_text(&problem(ProblemCode::UpstreamUnreachable))
}

/// The answer where there are no static files to look in.
#[wasm_bindgen]
pub fn not_found() -> String {
    answer_text(&problem(ProblemCode::NotFound))
}

/// What the entry keeps while the session's object is asked.
#[derive(Serialize, Deserialize)]
struct Question {
    asked_at: Timestamp,
    /// How many sessions this isolate had ended when it asked.
    ends: u64,
    refused_epoch: Option<u64>,
}

/// What a forwarded call carried: enough to treat its response.
#[derive(Serialize, Deserialize)]
struct Journey {
    rules: ResponseRules,
    token: Option<TokenFacts>,
    is_renewed: bool,
}

/// A token's facts without the token.
#[derive(Clone, Copy, Serialize, Deserialize)]
struct TokenFacts {
    epoch: u64,
    issued_at: Timestamp,
    expires_at: Option<Timestamp>,
}

impl TokenFacts {
    const fn of(token: &GrantedToken) -> Self {
        Self { epoch: token.epoch, issued_at: token.issued_at, expires_at: token.expires_at }
    }

    /// A stand-in for the token, to decide again what was decided with it. Nothing is sent with it.
    fn stand_in(self) -> GrantedToken {
        GrantedToken {
            access_token: Secret::new(String::new()),
            epoch: self.epoch,
            issued_at: self.issued_at,
            expires_at: self.expires_at,
            session_deadline: Timestamp::default(),
        }
    }
}

fn configured() -> Option<Rc<Config>> {
    CONFIG.with(|half| half.borrow().clone())
}

fn with_head(text: &str, then: impl FnOnce(&Config, &RequestHead<'_>) -> String) -> String {
    let Some(config) = configured() else {
        return answered(&problem(ProblemCode::ConfigInvalid));
    };
    match RequestHead::parse(text) {
        Ok(head) => then(&config, &head),
        Err(fault) => answered(&problem(fault.code())),
    }
}

/// Finishes with a warm grant, or gives the question back.
fn warm<'c, 'h>(
    config: &Config,
    ask: Ask<'c, 'h>,
    now: Timestamp,
) -> Result<(Decision<'c, 'h>, TokenFacts), Ask<'c, 'h>> {
    GRANTS.with(|grants| {
        let mut grants = grants.borrow_mut();
        match grants.find(&ask.session_id.key(), ask.token, config.session.cache, now) {
            Some(grant) => {
                ask.granted(grant, now).map(|decision| (decision, TokenFacts::of(&grant.token)))
            }
            None => Err(ask),
        }
    })
}

fn keep(config: &Config, ask: &Ask<'_, '_>, token: &GrantedToken, question: &Question) {
    // A session may have been ended here since it was asked for: the isolate that was asked to
    // log out knows no grant afterwards.
    if question.ends != ENDS.with(Cell::get) {
        return;
    }
    let grant = Grant { token: token.clone(), asked_at: question.asked_at };
    GRANTS.with(|grants| {
        grants.borrow_mut().keep(
            ask.session_id.key(),
            ask.token.clone(),
            grant,
            config.session.cache,
        );
    });
}

fn decided(decision: Decision<'_, '_>) -> String {
    match decision {
        Decision::Answer(answer) => answered(&answer),
        Decision::Elsewhere => "S".to_owned(),
        Decision::Endpoint(EndpointName::Callback, _) => "E\nbody".to_owned(),
        Decision::Endpoint(..) => "E\n".to_owned(),
        Decision::Forward(forward) => forwarded(&forward, None, false),
        // A question that has an answer is never asked again.
        Decision::Ask(_) => internal(),
    }
}

/// Decides again what was decided with a token, for a response that needs more than its headers
/// edited. With `refused`, also whether to ask for another token first, and then that plan.
fn decide_again<'c, 'h>(
    config: &'c Config,
    head: &'h RequestHead<'h>,
    journey: &Journey,
    now: f64,
    refused: bool,
) -> Option<(Forward<'c, 'h>, Option<String>)> {
    let decision = match (decide(config, head), journey.token) {
        (Decision::Ask(ask), Some(token)) => {
            ask.replied(Some(&Reply::Granted(Box::new(token.stand_in()))))
        }
        (Decision::Ask(ask), None) => ask.replied(Some(&Reply::NoSession)),
        (decision, _) => decision,
    };
    let Decision::Forward(forward) = decision else { return None };
    let now = timestamp(now);
    let again = match forward.after_401(now) {
        After401::Refresh { epoch } if refused => match decide(config, head) {
            Decision::Ask(ask) => Some(asked(&ask, Some(epoch), now)),
            _ => None,
        },
        _ => None,
    };
    Some((forward, again))
}

/// `A`, then the answer. What an operator or a developer would want to know of is logged.
fn answered(answer: &Answer) -> String {
    if matches!(answer.status, 403 | 421 | 500..) {
        let code = answer.headers.iter().find(|(name, _)| *name == "tokenkeep-error");
        // Our codes are constants; what isn't one is nothing of ours to log.
        if let Some((_, Cow::Borrowed(code))) = code {
            Platform.record(Event::CallRefused { code });
        }
    }
    format!("A\n{}", answer_text(answer))
}

/// `K`, the object's name, the command, and the question to come back with.
fn asked(ask: &Ask<'_, '_>, refused_epoch: Option<u64>, now: Timestamp) -> String {
    let key = ask.session_id.key();
    let command = Command::Access {
        session_id: ask.session_id.clone(),
        token: ask.token.clone(),
        refused_epoch,
    };
    let question = Question { asked_at: now, ends: ENDS.with(Cell::get), refused_epoch };
    match (command_text(&key, command), serde_json::to_string(&question)) {
        (Ok(command), Ok(question)) => format!("K\n{}\n{command}\n{question}", key.name()),
        _ => internal(),
    }
}

/// `F`, method, URL, binding, whether the body is kept, the journey, names to drop, headers to set.
fn forwarded(forward: &Forward<'_, '_>, token: Option<TokenFacts>, is_renewed: bool) -> String {
    let journey = Journey {
        rules: forward.response,
        token: token.filter(|_| forward.attached.is_some()),
        is_renewed,
    };
    let Ok(journey) = serde_json::to_string(&journey) else { return internal() };
    let keep = if forward.replay == Replay::KeepBody { "keep" } else { "" };
    let mut plan = format!(
        "F\n{}\n{}\n{}\n{keep}\n{journey}\n{}",
        forward.method.as_str(),
        forward.url.as_str(),
        forward.binding.unwrap_or_default(),
        forward.headers.drop.join(","),
    );
    for (name, value) in &forward.headers.set {
        push_header(&mut plan, name, value.expose());
    }
    plan
}

/// `R`, names to drop, headers to set; or the problem that takes the response's place.
fn relayed(
    journey: &Journey,
    status: u16,
    headers: &[(&str, &str)],
    location: Option<Location>,
) -> String {
    match response_headers::edit(journey.rules, status, headers, location) {
        Ok(edit) => {
            let mut plan = format!("R\n{}", edit.drop.join(","));
            for (name, value) in &edit.set {
                push_header(&mut plan, name, value);
            }
            plan
        }
        Err(code) => answered(&problem(code)),
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

fn response_head(text: &str) -> Option<(u16, Vec<(&str, &str)>)> {
    let mut lines = text.lines();
    let status = lines.next()?.parse().ok()?;
    Some((status, lines.filter_map(|line| line.split_once(": ")).collect()))
}

fn internal() -> String {
    answered(&problem(ProblemCode::Internal))
}

fn answer_text(answer: &Answer) -> String {
    let Answer { status, headers, body } = answer;
    serde_json::json!({ "status": status, "headers": headers, "body": body }).to_string()
}

/// The ports of one request's endpoint.
struct WorkerPorts {
    store: DurableStore,
}

impl SessionStore for WorkerPorts {
    /// A session that is ended is forgotten by this isolate before and after: what a call brought
    /// in meanwhile goes as well.
    async fn ask(&self, key: &SessionKey, command: Command) -> Result<Reply, StoreError> {
        let ends = matches!(command, Command::End { .. });
        if ends {
            forget(key);
        }
        let reply = self.store.ask(key, command).await;
        if ends {
            forget(key);
        }
        reply
    }
}

fn forget(key: &SessionKey) {
    ENDS.with(|ends| ends.set(ends.get().wrapping_add(1)));
    GRANTS.with(|grants| grants.borrow_mut().forget(key));
}

impl HttpClient for WorkerPorts {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, TransportError> {
        Platform.send(request).await
    }
}

impl Clock for WorkerPorts {
    fn now(&self) -> Timestamp {
        Platform.now()
    }
}

impl Entropy for WorkerPorts {
    fn fill(&self, bytes: &mut [u8]) {
        Platform.fill(bytes);
    }
}

impl AuditLog for WorkerPorts {
    fn record(&self, event: Event) {
        Platform.record(event);
    }
}
