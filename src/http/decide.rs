//! What happens to a request: one pure, synchronous decision.
//!
//! [`decide`] reads the head and the configuration and says: answer this, run that endpoint, leave
//! it to the static files, forward it bare, or ask for the session. [`Ask`] then holds everything
//! that was found out, so that a warm grant ([`Ask::granted`]) or the session's object
//! ([`Ask::replied`]) finishes the decision without reading the head again.
//!
//! A token goes out only with a [`CsrfVerified`] in hand: [`Attached`] can't be made without.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{
    Method, cookies,
    csrf::{self, CsrfVerified},
    forward::UpstreamUrl,
    head::RequestHead,
    message::Answer,
    method,
    navigation::{self, Visit},
    page,
    problem::{self, ProblemCode, problem},
    request_headers::{self, RequestEdit},
    response_headers::ResponseRules,
    route::{self, EndpointName, Target},
};
use crate::{
    config::{Config, Connections, Navigation, Origin, Route, SessionRequirement, Upstream},
    secret::Secret,
    session::{GrantedToken, Reply, SessionId, TokenKey, Unavailable},
    time::Timestamp,
};

/// The longest body that is kept to be sent again after a 401.
pub const MAX_REPLAY_BYTES: u64 = 64 * 1024;

/// What happens to a request.
#[derive(Debug)]
pub enum Decision<'c, 'h> {
    /// Send it on.
    Forward(Forward<'c>),
    /// A session is needed first.
    Ask(Ask<'c, 'h>),
    /// Answer this.
    Answer(Answer),
    /// Run this endpoint, for this origin of ours. The method is one that it takes.
    Endpoint(EndpointName, &'c Origin),
    /// Not ours: the static files.
    Elsewhere,
}

/// A call that goes on to an API.
#[derive(Debug)]
pub struct Forward<'c> {
    /// The route.
    pub route: &'c Route,
    /// Which of our origins it came to.
    pub origin: &'c Origin,
    /// Where it goes. Redirects are never followed.
    pub url: UpstreamUrl,
    /// The service binding to send it through; `None` is the network.
    pub binding: Option<&'c str>,
    /// The method.
    pub method: Method,
    /// What is changed about its headers.
    pub headers: RequestEdit,
    /// The token that went along, and by whose leave.
    pub attached: Option<Attached>,
    /// How the response is treated.
    pub response: ResponseRules,
    /// Whether and how it may be sent once more after the API's 401.
    pub replay: Replay,
}

/// A token on a call.
#[derive(Debug)]
pub struct Attached {
    /// The token.
    pub access_token: Secret<String>,
    /// The token's epoch: what a 401 is measured against.
    pub epoch: u64,
    issued_at: Timestamp,
    expires_at: Option<Timestamp>,
    csrf: CsrfVerified,
}

/// Whether a call can be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replay {
    /// It can't: the method isn't idempotent, or the body is gone once sent.
    Never,
    /// It has no body.
    Bare,
    /// Its body is short: keep it.
    KeepBody,
}

/// What to do about an API's 401.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After401 {
    /// Ask the session's object for another token than the one of this epoch, then send again.
    Refresh {
        /// The epoch that was refused.
        epoch: u64,
    },
    /// The API's own 401 goes through.
    PassThrough,
}

/// A token that was given, and when it was asked for.
#[derive(Clone, Debug)]
pub struct Grant {
    /// What the object gave.
    pub token: GrantedToken,
    /// When it was asked, not when it answered.
    pub asked_at: Timestamp,
}

/// A call that needs the session's word.
#[derive(Debug)]
pub struct Ask<'c, 'h> {
    /// Which session, from a cookie whose tag is right.
    pub session_id: SessionId,
    /// Which token.
    pub token: &'c TokenKey,
    /// `None`: the session is tested, but its token stays here.
    csrf: Option<CsrfVerified>,
    call: Call<'c, 'h>,
}

/// What is known of a call whatever the session says. Small: headers are edited at the end.
#[derive(Clone, Copy, Debug)]
struct Call<'c, 'h> {
    config: &'c Config,
    origin: &'c Origin,
    route: &'c Route,
    head: &'h RequestHead<'h>,
}

/// Decides about a request.
pub fn decide<'c, 'h>(config: &'c Config, head: &'h RequestHead<'h>) -> Decision<'c, 'h> {
    let Some(origin) = head.our_origin(config) else {
        return Decision::Answer(problem(ProblemCode::OriginUnknown));
    };
    match route::choose(config, head.path) {
        Target::Elsewhere => Decision::Elsewhere,
        Target::NoEndpoint => Decision::Answer(problem(ProblemCode::NotFound)),
        Target::Endpoint(endpoint) => decide_endpoint(config, origin, endpoint, head),
        Target::Route(route) => decide_call(Call { config, origin, route, head }),
    }
}

fn decide_endpoint<'c, 'h>(
    config: &'c Config,
    origin: &'c Origin,
    endpoint: EndpointName,
    head: &RequestHead<'_>,
) -> Decision<'c, 'h> {
    let methods = endpoint.methods(config);
    // Whoever may not use it is not to learn that it is there, by `Allow` neither.
    if endpoint == EndpointName::EndSubject && !methods.contains(&head.method) {
        return Decision::Answer(problem(ProblemCode::NotFound));
    }
    if head.is_preflight() {
        return Decision::Answer(preflight());
    }
    if !methods.contains(&head.method) {
        return Decision::Answer(problem::method_not_allowed(method::allow(methods)));
    }
    if endpoint == EndpointName::Callback && head.known.early_data.is_some() {
        return Decision::Answer(problem(ProblemCode::EarlyData));
    }
    Decision::Endpoint(endpoint, origin)
}

fn decide_call<'c, 'h>(call: Call<'c, 'h>) -> Decision<'c, 'h> {
    let Call { head, route, .. } = call;
    if head.is_preflight() {
        return Decision::Answer(preflight());
    }
    if head.asks_for_socket()
        && let Err(code) = check_socket(call)
    {
        return Decision::Answer(problem(code));
    }
    if !route.methods.contains(&head.method) {
        return Decision::Answer(problem::method_not_allowed(method::allow(&route.methods)));
    }
    // The runtime sends no body with these: what can't arrive isn't passed off as delivered.
    if matches!(head.method, Method::Get | Method::Head) && head.has_body() {
        return Decision::Answer(problem(ProblemCode::BodyNotAllowed));
    }
    let visit = match Visit::of(head, route.navigation) {
        Ok(visit) => visit,
        Err(code) => return Decision::Answer(problem(code)),
    };
    match route.session {
        SessionRequirement::Anonymous => call.forward(None),
        SessionRequirement::Optional | SessionRequirement::Required => call.with_session(visit),
    }
}

/// What has to be true of a WebSocket's handshake, besides what is of any call (RFC 6455 §4.2.1).
///
/// The runtime looks at key and version only when it takes the handshake, with the API's socket
/// open: who is refused then leaves that one behind.
///
/// `Origin` must be ours on every route, an anonymous one too: no CORS stands between a page of
/// another site and what a socket says, as it does between it and an answer.
fn check_socket(call: Call<'_, '_>) -> Result<(), ProblemCode> {
    let Call { origin, route, head, .. } = call;
    if route.connections == Connections::Refuse {
        return Err(ProblemCode::UpgradeNotSupported);
    }
    let known = &head.known;
    let is_alone = known.upgrade.is_some_and(|to| to.trim().eq_ignore_ascii_case("websocket"));
    let has_key = known.sec_websocket_key.is_some_and(is_nonce);
    let is_of_this_version = known.sec_websocket_version == Some("13");
    if head.method != Method::Get || !is_alone || !has_key || !is_of_this_version {
        return Err(ProblemCode::RequestMalformed);
    }
    if known.origin != Some(origin.serialized.as_str()) {
        return Err(ProblemCode::CsrfOrigin);
    }
    Ok(())
}

/// 16 bytes of base64 (RFC 6455 §4.1, item 7).
fn is_nonce(key: &str) -> bool {
    STANDARD.decode(key).is_ok_and(|bytes| bytes.len() == 16)
}

impl<'c, 'h> Call<'c, 'h> {
    fn with_session(self, visit: Visit) -> Decision<'c, 'h> {
        let Self { config, origin, route, head } = self;
        let is_required = route.session == SessionRequirement::Required;
        let csrf = match (csrf::check(head, origin, config.csrf), visit) {
            (Ok(verified), Visit::Call) => Some(verified),
            _ if !is_required => return self.forward(None),
            // The session is tested, but its token stays here: nothing acts in its name.
            (_, Visit::Page) => None,
            (Err(fault), Visit::Call) => return Decision::Answer(problem(fault.code())),
        };
        let value = cookies::session(head.known.cookie, origin);
        let Some(session_id) = value.and_then(|value| config.session.keys.open_cookie(value))
        else {
            return if is_required { self.without_session() } else { self.forward(None) };
        };
        if csrf.is_some() && head.known.early_data.is_some() {
            return Decision::Answer(problem(ProblemCode::EarlyData));
        }
        Decision::Ask(Ask { session_id, token: &route.token, csrf, call: self })
    }

    /// No session on a route that needs one.
    fn without_session(self) -> Decision<'c, 'h> {
        let Self { config, origin, route, head } = self;
        if route.navigation != Navigation::Page || navigation::dest(head).is_none() {
            return Decision::Answer(problem::unauthenticated(config, origin));
        }
        let mut here = head.path.as_str().to_owned();
        if let Some(query) = head.query {
            here.push('?');
            here.push_str(query);
        }
        // `Strict` keeps the cookie away from a navigation that another site began: it may be
        // there all the same. Asked again from a page of ours, once.
        let from_elsewhere = head.known.sec_fetch_site == Some("cross-site");
        if from_elsewhere && !cookies::was_reloaded(head.known.cookie, origin) {
            let mut answer = page::reload(origin, &here);
            answer.headers.push(("set-cookie", cookies::set_reloaded(origin).into()));
            return Decision::Answer(answer);
        }
        Decision::Answer(page::unauthenticated(config, origin, &here))
    }

    fn forward(self, attached: Option<(&GrantedToken, CsrfVerified)>) -> Decision<'c, 'h> {
        let Self { origin, route, head, .. } = self;
        Decision::Forward(Forward {
            route,
            origin,
            url: UpstreamUrl::new(route, origin, head.path, head.query),
            binding: match &route.upstream {
                Upstream::Service { binding } => Some(binding),
                Upstream::Url { .. } => None,
            },
            method: head.method,
            headers: request_headers::edit(head),
            response: ResponseRules {
                navigation: route.navigation,
                // A route that needs a session forwards nothing before it was tested.
                is_personal: attached.is_some() || route.session == SessionRequirement::Required,
            },
            replay: replay(route, head),
            attached: attached.map(|(token, csrf)| Attached {
                access_token: token.access_token.clone(),
                epoch: token.epoch,
                issued_at: token.issued_at,
                expires_at: token.expires_at,
                csrf,
            }),
        })
    }
}

impl<'c, 'h> Ask<'c, 'h> {
    /// Finishes the decision with a warm grant of this session and token.
    ///
    /// # Errors
    ///
    /// Gives itself back if the grant is no longer warm: ask the object.
    pub fn granted(self, grant: &Grant, now: Timestamp) -> Result<Decision<'c, 'h>, Self> {
        if !grant.is_warm(self.call.config.session.cache, now) {
            return Err(self);
        }
        Ok(self.with_token(&grant.token))
    }

    /// Finishes the decision with the object's reply; `None` is a store that didn't answer.
    pub fn replied(self, reply: Option<&Reply>) -> Decision<'c, 'h> {
        let code = match reply {
            Some(Reply::Granted(token)) => return self.with_token(token),
            Some(Reply::NoSession) => {
                return match self.call.route.session {
                    SessionRequirement::Required => self.call.without_session(),
                    SessionRequirement::Optional | SessionRequirement::Anonymous => {
                        self.call.forward(None)
                    }
                };
            }
            Some(Reply::Unavailable(reason)) => unavailable(*reason),
            _ => ProblemCode::SessionUnavailable,
        };
        Decision::Answer(problem(code))
    }

    /// Finishes the decision as it was finished for a call that went on without a token.
    pub fn bare(self) -> Decision<'c, 'h> {
        self.call.forward(None)
    }

    fn with_token(self, token: &GrantedToken) -> Decision<'c, 'h> {
        self.call.forward(self.csrf.map(|csrf| (token, csrf)))
    }
}

/// The problem that says why a living session has no token.
pub const fn unavailable(reason: Unavailable) -> ProblemCode {
    match reason {
        Unavailable::ProviderUnavailable => ProblemCode::ProviderUnavailable,
        Unavailable::ProviderRefusesClient => ProblemCode::ProviderRefusesClient,
        Unavailable::ProviderOverloaded => ProblemCode::ProviderOverloaded,
    }
}

impl Grant {
    /// Whether the grant may be used without asking: no older than `cache` since it was asked
    /// for, and neither the token nor the session has ended.
    pub fn is_warm(&self, cache: Duration, now: Timestamp) -> bool {
        // A clock that went back makes no grant younger.
        let age_is_known = now >= self.asked_at;
        !cache.is_zero()
            && age_is_known
            && now.since(self.asked_at) <= cache
            && now < self.token.session_deadline
            && self.token.expires_at.is_none_or(|end| now < end)
    }
}

impl Forward<'_> {
    /// What to do about the API's 401. Refreshed only where the call can be sent again, and for a
    /// token that isn't young. (Once a call: that is the caller's to count.)
    pub fn after_401(&self, now: Timestamp) -> After401 {
        let Some(attached) = &self.attached else { return After401::PassThrough };
        if self.replay == Replay::Never || attached.is_young(now) {
            return After401::PassThrough;
        }
        After401::Refresh { epoch: attached.epoch }
    }
}

impl Attached {
    /// The proof that the call may act with the session.
    pub fn into_proof(self) -> CsrfVerified {
        self.csrf
    }

    /// Younger than a quarter of its life, or than 30 s where its life isn't known. A 401 to such
    /// a token isn't about its age, and refreshing would be a loop.
    fn is_young(&self, now: Timestamp) -> bool {
        let life = self.expires_at.map(|end| end.since(self.issued_at));
        now.since(self.issued_at) < life.map_or(Duration::from_secs(30), |life| life / 4)
    }
}

fn replay(route: &Route, head: &RequestHead<'_>) -> Replay {
    if !head.method.is_idempotent() && !route.retry_after_401 {
        return Replay::Never;
    }
    // GET and HEAD have no body that the runtime would send.
    if matches!(head.method, Method::Get | Method::Head) || !head.has_body() {
        return Replay::Bare;
    }
    let length = head.known.content_length.and_then(|length| length.parse::<u64>().ok());
    match length {
        Some(length) if route.retry_after_401 && length <= MAX_REPLAY_BYTES => Replay::KeepBody,
        _ => Replay::Never,
    }
}

/// To a CORS preflight: no CORS header, so the browser refuses. It never reaches an API.
fn preflight() -> Answer {
    let mut headers = problem::common_headers();
    headers.push(("vary", "Origin, Access-Control-Request-Method".into()));
    Answer { status: 204, headers, body: String::new() }
}

#[cfg(test)]
mod tests;
