//! A call to an API, step by step.
//!
//! [`Calls`] says what is to be done next; whoever has the platform at hand does it and comes back
//! with what happened: [`Calls::replied`] after the session's object was asked,
//! [`Calls::answered`] after the API answered. Nothing of a call is kept between its steps but
//! warm grants: the request's head comes along each time, a [`Question`] says what was asked, a
//! [`Journey`] what a forwarded call carried. So no step holds anything over an await, and no
//! future stands in a call's way.
//!
//! A call like one before it is recognised by its [pass](super::passes) in place of that
//! ([`recall`]).

use super::{
    end_subject::{AdminGate, Admission},
    grants::WarmGrants,
    passes::Passes,
    step_up,
    watch::Watch,
};
use crate::{
    config::{Config, Connections, SessionRequirement},
    http::{
        challenge::StepUp,
        decide::{After401, Ask, Decision, Forward, Grant, decide},
        forward::{Location, map_location},
        head::RequestHead,
        message::Answer,
        navigation,
        problem::{ProblemCode, problem},
        response_headers::{self, ResponseEdit, ResponseRules},
        route::EndpointName,
    },
    secret::Secret,
    session::{Command, GrantedToken, Reply, SessionKey, TokenKey},
    time::Timestamp,
};

pub mod recall;

/// What this isolate remembers of calls: grants, and how many sessions it has ended.
#[derive(Debug, Default)]
pub struct Calls {
    passes: Passes,
    grants: WarmGrants,
    admins: AdminGate,
    /// A grant that was asked for before the last end isn't kept: the isolate that was asked to
    /// log out knows no grant of that session afterwards. No two instances of one isolate count the
    /// same numbers, so a question of one that is gone is known by it.
    ends: u64,
}

/// What is to be done next.
#[derive(Debug)]
pub enum Step<'c> {
    /// Answer this.
    Answer(Answer),
    /// Run this endpoint.
    Endpoint(EndpointName),
    /// Run the administrator's endpoint, or don't.
    Admit(Admission),
    /// Leave it to the static files.
    Elsewhere,
    /// Send the call on, and come back with the response and the journey.
    Forward(Box<Forward<'c>>, Journey),
    /// Ask the session's object, and come back with its reply and the question.
    Ask(Box<Asking>),
    /// Let the API's own 401 through: no other token is to be had.
    Held,
}

/// A command for a session's object.
#[derive(Debug)]
pub struct Asking {
    /// Which object.
    pub key: SessionKey,
    /// What it is asked.
    pub command: Command,
    /// To come back with.
    pub question: Question,
}

/// What was asked, as [`Calls::replied`] needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question {
    asked_at: Timestamp,
    ends: u64,
    refused_epoch: Option<u64>,
}

/// What a forwarded call carried, as [`Calls::answered`] needs it. No token in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Journey {
    /// How its response is treated.
    pub rules: ResponseRules,
    /// Which token went along.
    pub carried: Carried,
}

/// Which token a call carried, if any, and whether it is another try's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Carried {
    token: Option<TokenFacts>,
    is_renewed: bool,
}

/// A token's facts without the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct TokenFacts {
    epoch: u64,
    issued_at: Timestamp,
    expires_at: Option<Timestamp>,
}

/// What becomes of an API's response: its headers edited, and the rest of it passed.
#[derive(Debug)]
pub enum Relay<'r> {
    /// An answer.
    Answer(ResponseEdit<'r>),
    /// A WebSocket, with what ends it when its session has ended.
    Socket(ResponseEdit<'r>, Option<Box<Watch>>),
    /// A stream that ends with its session.
    Stream(ResponseEdit<'r>, Box<Watch>),
}

/// Names in lower case with their values.
pub type Headers<'r> = [(&'r str, &'r str)];

impl Calls {
    /// Of the isolate's instance of this number.
    pub fn new(generation: u32) -> Self {
        Self { ends: u64::from(generation) << 32, ..Self::default() }
    }

    /// Decides about a request.
    pub fn begin<'c, 'h>(
        &mut self,
        config: &'c Config,
        head: &'h RequestHead<'h>,
        now: Timestamp,
    ) -> Step<'c> {
        let ask = match decide(config, head) {
            Decision::Ask(ask) => ask,
            Decision::Endpoint(EndpointName::EndSubject, _) => {
                return Step::Admit(self.admins.admit(config, head, now));
            }
            decision => return step(decision, None, false),
        };
        let key = ask.session_id.key();
        let Some(kept) = self.grants.find(&key, ask.token, config.session.cache, now) else {
            return self.ask(&ask, None, now);
        };
        let token = TokenFacts::of(&kept.grant.token);
        match ask.granted(&kept.grant, now) {
            Ok(decision) => step(decision, Some(token), false),
            Err(ask) => self.ask(&ask, None, now),
        }
    }

    /// Goes on after the session's object was asked; `None` is a store that didn't answer.
    pub fn replied<'c, 'h>(
        &mut self,
        config: &'c Config,
        head: &'h RequestHead<'h>,
        question: &Question,
        reply: Option<&Reply>,
    ) -> Step<'c> {
        let Decision::Ask(ask) = decide(config, head) else { return internal() };
        let key = ask.session_id.key();
        let token = match reply {
            Some(Reply::Granted(token)) if question.refused_epoch == Some(token.epoch) => {
                return Step::Held;
            }
            Some(Reply::Granted(token)) => {
                self.bring_in(config, key, ask.token, token, question.asked_at, question.ends);
                Some(TokenFacts::of(token))
            }
            Some(Reply::NoSession) => {
                self.grants.forget(&key);
                None
            }
            // The provider has no other token to give just now: the API's own word stands.
            _ if question.refused_epoch.is_some() => return Step::Held,
            _ => None,
        };
        step(ask.replied(reply), token, question.refused_epoch.is_some())
    }

    /// Decides what becomes of an API's response: it is passed, or another step takes its place.
    ///
    /// # Errors
    ///
    /// The other step: ask for another token ([`Step::Ask`]), or an answer of ours.
    pub fn answered<'c, 'h, 'r>(
        &self,
        config: &'c Config,
        head: &'h RequestHead<'h>,
        journey: &Journey,
        status: u16,
        headers: &Headers<'r>,
        now: Timestamp,
    ) -> Result<Relay<'r>, Step<'c>> {
        let decision = decide(config, head);
        let session = match &decision {
            Decision::Ask(ask) => Some(ask.session_id.clone()),
            _ => None,
        };
        let carried = journey.carried;
        let decision = match (decision, carried.token) {
            (Decision::Ask(ask), Some(token)) => {
                ask.replied(Some(&Reply::Granted(Box::new(token.stand_in()))))
            }
            (Decision::Ask(ask), None) => ask.bare(),
            (decision, _) => decision,
        };
        let Decision::Forward(forward) = decision else { return Err(internal()) };
        // Another token of the same login would be refused like this one.
        let step_up = journey.step_up(status, headers);
        if let Some(step_up) = &step_up
            && navigation::dest(head).is_none()
            && let Some(answer) = step_up::answer(config, forward.origin, step_up)
        {
            return Err(Step::Answer(answer));
        }
        if step_up.is_none()
            && journey.may_ask_again(status)
            && let After401::Refresh { epoch } = forward.after_401(now)
            && let Decision::Ask(ask) = decide(config, head)
        {
            return Err(self.ask(&ask, Some(epoch), now));
        }
        // What went on without a token, on a route that needs no session, had none to end with.
        let has_session =
            carried.token.is_some() || forward.route.session == SessionRequirement::Required;
        let watch = session
            .filter(|_| has_session && forward.route.connections == Connections::Bound)
            .map(|session_id| Box::new(Watch::new(&config.session, session_id)));
        if forward.headers.is_socket && status == 101 {
            let edit = response_headers::edit(journey.rules, status, headers, None);
            return edit
                .map(|edit| Relay::Socket(edit, watch))
                .map_err(|code| Step::Answer(problem(code)));
        }
        let location = find(headers, "location").map(|location| {
            map_location(config, forward.route, &forward.origin.serialized, &forward.url, location)
        });
        let mut edit = journey.edited(status, headers, location).map_err(Step::Answer)?;
        match watch {
            Some(watch) if response_headers::is_event_stream(headers) => {
                edit.drop.push("content-length");
                if response_headers::is_decoded(headers) {
                    edit.drop.push("content-encoding");
                }
                Ok(Relay::Stream(edit, watch))
            }
            _ => Ok(Relay::Answer(edit)),
        }
    }

    /// Forgets a session that is being ended. To be called before and after its object is asked:
    /// what a call brought in meanwhile goes as well.
    pub fn forget(&mut self, session: &SessionKey) {
        self.ends = self.ends.wrapping_add(1);
        self.grants.forget(session);
    }

    /// Keeps what a call brought in, where no session has ended here since it asked. Gives the
    /// grant's serial, or nothing where none is kept.
    fn bring_in(
        &mut self,
        config: &Config,
        session: SessionKey,
        key: &TokenKey,
        token: &GrantedToken,
        asked_at: Timestamp,
        ends: u64,
    ) -> Option<u64> {
        if ends != self.ends {
            return None;
        }
        let grant = Grant { token: token.clone(), asked_at };
        self.grants.keep(session, key.clone(), grant, config.session.cache)
    }

    fn ask<'c>(&self, ask: &Ask<'_, '_>, refused_epoch: Option<u64>, now: Timestamp) -> Step<'c> {
        let question = Question { asked_at: now, ends: self.ends, refused_epoch };
        let session_id = ask.session_id.clone();
        let key = session_id.key();
        let command = Command::Access { session_id, token: ask.token.clone(), refused_epoch };
        Step::Ask(Box::new(Asking { key, command, question }))
    }
}

impl Question {
    /// As a text, for the entry to come back with: when it was asked (in milliseconds), how many
    /// sessions had been ended here, and the epoch that an API refused, if one did.
    pub fn to_text(self) -> String {
        let refused = self.refused_epoch.map_or_else(String::new, |epoch| epoch.to_string());
        format!("{};{};{refused}", self.asked_at.as_millis(), self.ends)
    }

    /// What [`Self::to_text`] wrote.
    pub fn parse(text: &str) -> Option<Self> {
        let mut fields = text.split(';');
        let asked_at = Timestamp::from_millis(fields.next()?.parse().ok()?);
        let ends = fields.next()?.parse().ok()?;
        let refused_epoch = match fields.next()? {
            "" => None,
            epoch => Some(epoch.parse().ok()?),
        };
        Some(Self { asked_at, ends, refused_epoch })
    }
}

impl Carried {
    /// As a text, for the entry to come back with: whether the token is another try's, and the
    /// token's facts where there is one, times in milliseconds.
    pub fn to_text(self) -> String {
        let mut text = String::from(if self.is_renewed { "1" } else { "0" });
        if let Some(TokenFacts { epoch, issued_at, expires_at }) = self.token {
            for fact in
                [Some(epoch), Some(issued_at.as_millis()), expires_at.map(Timestamp::as_millis)]
            {
                text.push(';');
                text.extend(fact.map(|fact| fact.to_string()));
            }
        }
        text
    }

    /// What [`Self::to_text`] wrote.
    pub fn parse(text: &str) -> Option<Self> {
        let mut fields = text.split(';');
        let is_renewed = fields.next()? == "1";
        let token = match fields.next() {
            None => None,
            Some(epoch) => Some(TokenFacts {
                epoch: epoch.parse().ok()?,
                issued_at: Timestamp::from_millis(fields.next()?.parse().ok()?),
                expires_at: match fields.next()? {
                    "" => None,
                    end => Some(Timestamp::from_millis(end.parse().ok()?)),
                },
            }),
        };
        Some(Self { token, is_renewed })
    }
}

impl Journey {
    /// Of the texts that the entry comes back with.
    pub fn parse(rules: &str, carried: &str) -> Option<Self> {
        let rules = ResponseRules::parse(rules)?;
        Some(Self { rules, carried: Carried::parse(carried)? })
    }

    /// The API's own 401, let through.
    pub fn held<'r>(&self, status: u16, headers: &Headers<'r>) -> Result<ResponseEdit<'r>, Answer> {
        self.edited(status, headers, None)
    }

    fn edited<'r>(
        &self,
        status: u16,
        headers: &Headers<'r>,
        location: Option<Location>,
    ) -> Result<ResponseEdit<'r>, Answer> {
        response_headers::check_status(status)
            .and_then(|()| response_headers::edit(self.rules, status, headers, location))
            .map_err(problem)
    }

    /// What the API asks of the login, in place of the token's.
    fn step_up(&self, status: u16, headers: &Headers<'_>) -> Option<StepUp> {
        if status != 401 || self.carried.token.is_none() {
            return None;
        }
        find(headers, "www-authenticate").and_then(StepUp::find)
    }

    const fn may_ask_again(&self, status: u16) -> bool {
        status == 401 && self.carried.token.is_some() && !self.carried.is_renewed
    }
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

fn step<'c, 'h>(
    decision: Decision<'c, 'h>,
    token: Option<TokenFacts>,
    is_renewed: bool,
) -> Step<'c> {
    match decision {
        Decision::Answer(answer) => Step::Answer(answer),
        Decision::Elsewhere => Step::Elsewhere,
        Decision::Endpoint(endpoint, _) => Step::Endpoint(endpoint),
        Decision::Forward(forward) => {
            let token = token.filter(|_| forward.attached.is_some());
            let journey =
                Journey { rules: forward.response, carried: Carried { token, is_renewed } };
            Step::Forward(Box::new(forward), journey)
        }
        // A question that has its answer is never asked again.
        Decision::Ask(_) => internal(),
    }
}

fn internal<'c>() -> Step<'c> {
    Step::Answer(problem(ProblemCode::Internal))
}

fn find<'r>(headers: &Headers<'r>, name: &str) -> Option<&'r str> {
    headers.iter().find(|(found, _)| *found == name).map(|(_, value)| *value)
}

#[cfg(test)]
mod tests;
