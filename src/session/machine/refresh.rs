//! Access tokens: who asks gets one, and one refresh at a time leaves (promise 3).
//!
//! | the provider says | the session |
//! |---|---|
//! | new tokens | goes on with them |
//! | `invalid_grant` | ends; `RefreshAnswerLost` if the answer to an earlier try was lost |
//! | `invalid_grant` for a token that it never gave | goes on until it says so of one that it gave: it may mean a resource without consent |
//! | another definite refusal | ends if no token lives and a later try was refused too |
//! | nothing usable | goes on; the refresh token may be spent: the next try tells |
//! | tokens of somebody else (§12.2) | goes on without them, and without their refresh token |
//! | overloaded, or at odds with our credentials | goes on |
//!
//! Goes on: the old token serves while it lives, then calls are told whose fault it is. Between
//! tries stands a gate, so that a provider that is down isn't asked by every call.

use std::time::Duration;

use super::{
    super::{
        EndReason, SessionId, SessionKey, TokenKey,
        lifetime::{self, HeldToken, SessionStatus},
        protocol::{GrantedToken, Reply, Unavailable},
    },
    CallerId, Machine, RefreshOutcome, RefreshWork, State, Turn, Work,
    revocation::Remains,
    tokens::Next,
};
use crate::{
    audit::{Event, RefreshFailure},
    time::Timestamp,
};

/// The first pause after a try that came to nothing; doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// How much later a second definite refusal must be to end a session.
const REFUSAL_GAP: Duration = Duration::from_secs(5);

/// A refresh under way.
#[derive(Debug)]
pub(super) struct RefreshFlight {
    pub(super) token: TokenKey,
    pub(super) waiters: Vec<CallerId>,
    pub(super) began: Timestamp,
    /// The session ended meanwhile; what then becomes of a new refresh token.
    pub(super) orphaned: Option<Orphan>,
}

/// What becomes of a refresh token that comes after its session's end.
#[derive(Debug)]
pub(super) enum Orphan {
    /// It is dropped: it shares its grant with a session that lives.
    Drop,
    /// It is revoked there, like the one that the session had.
    Revoke { session: SessionKey, endpoint: String, reason: EndReason },
}

/// What keeps refreshes back for a while.
#[derive(Clone, Debug)]
pub(super) struct Gate {
    /// For one token, or for all.
    token: Option<TokenKey>,
    until: Timestamp,
    tries: u32,
    why: Unavailable,
}

impl Machine {
    pub(super) fn access(
        &mut self,
        caller: CallerId,
        id: &SessionId,
        token: TokenKey,
        refused_epoch: Option<u64>,
        turn: &mut Turn<'_>,
    ) {
        let idle = self.config.session.idle;
        let is_flying = self.refresh.as_ref().is_some_and(|flight| flight.token == token);
        let Some(session) = self.open(id) else { return turn.reply(caller, Reply::NoSession) };
        if session.ended(turn.now).is_none() && session.touch(idle, turn.now) {
            turn.dirty = true;
        }
        match session.next(&token, refused_epoch, is_flying, turn.now) {
            Next::Grant(grant) => turn.reply(caller, Reply::Granted(Box::new(grant))),
            Next::End(reason) => {
                self.end_session(reason, false, turn);
                turn.reply(caller, Reply::NoSession);
            }
            Next::Refresh { meanwhile: Some(grant), wait: false } => {
                turn.reply(caller, Reply::Granted(Box::new(grant)));
                if self.refresh.is_none() && self.held_back(&token, turn.now).is_none() {
                    self.start_refresh(token, Vec::new(), turn);
                }
            }
            Next::Refresh { meanwhile, .. } => {
                let unavailable = self.join_refresh(caller, token, turn).err();
                if let Some(why) = unavailable {
                    turn.reply(caller, granted_or(meanwhile, why));
                }
            }
        }
    }

    /// Until when a call that asks for this token again gets the same reply and changes nothing, if
    /// nothing else comes in between: from an open session with nothing under way.
    pub fn steady_until(&self, token: &TokenKey, now: Timestamp) -> Option<Timestamp> {
        let State::Open(session) = &self.state else { return None };
        let is_under_way = self.refresh.is_some()
            || !self.queue.is_empty()
            || self.login.is_some()
            || self.revoking.is_some()
            || !self.revocations.is_empty();
        if is_under_way || self.broken {
            return None;
        }
        let held = session.contents.token(token)?;
        let (deadlines, can_refresh) = (&session.open.deadlines, session.can_refresh());
        let status = lifetime::status(deadlines, can_refresh, Some(held), false, now);
        if !matches!(status, SessionStatus::Active(_)) {
            return None;
        }
        let limit = deadlines.next_touch(self.config.session.idle).min(deadlines.earliest());
        Some(held.active_until(can_refresh).map_or(limit, |end| end.min(limit)))
    }

    /// Lets the caller wait for a refresh, begins one where none is under way, or says why not.
    fn join_refresh(
        &mut self,
        caller: CallerId,
        token: TokenKey,
        turn: &mut Turn<'_>,
    ) -> Result<(), Unavailable> {
        match &mut self.refresh {
            Some(flight) if flight.token == token => flight.waiters.push(caller),
            Some(_) => match self.queue.iter_mut().find(|(queued, _)| *queued == token) {
                Some((_, waiters)) => waiters.push(caller),
                None => self.queue.push((token, vec![caller])),
            },
            None => {
                let can_refresh = matches!(&self.state, State::Open(s) if s.can_refresh());
                if !can_refresh {
                    // A token for another resource needs a refresh token: the operator's to mend.
                    return Err(Unavailable::ProviderRefusesClient);
                }
                if let Some(why) = self.held_back(&token, turn.now) {
                    return Err(why);
                }
                self.start_refresh(token, vec![caller], turn);
            }
        }
        Ok(())
    }

    fn start_refresh(&mut self, token: TokenKey, waiters: Vec<CallerId>, turn: &mut Turn<'_>) {
        let State::Open(session) = &mut self.state else { return };
        let contents = &mut session.contents;
        let Some(refresh_token) = contents.refresh_token.clone() else { return };
        // `sending` from before: its answer never came, or the object stopped while it was out.
        contents.lost |= contents.sending;
        contents.sending = true;
        turn.dirty = true;
        turn.starts.push(Work::Refresh(Box::new(RefreshWork {
            token_endpoint: contents.endpoints.token.clone(),
            jwks_uri: contents.endpoints.jwks_uri.clone(),
            refresh_token,
            token: token.clone(),
            identity: contents.identity.clone(),
        })));
        self.refresh = Some(RefreshFlight { token, waiters, began: turn.now, orphaned: None });
    }

    /// The flight for the next key that somebody waits for, with the then current refresh token.
    pub(super) fn start_next_refresh(&mut self, turn: &mut Turn<'_>) {
        while self.refresh.is_none() && !self.queue.is_empty() {
            let (token, waiters) = self.queue.remove(0);
            match self.held_back(&token, turn.now) {
                None => self.start_refresh(token, waiters, turn),
                Some(why) => self.answer(&token, waiters, why, turn),
            }
        }
    }

    pub(super) fn refresh_done(&mut self, outcome: RefreshOutcome, turn: &mut Turn<'_>) {
        let Some(flight) = self.refresh.take() else { return };
        let State::Open(session) = &mut self.state else {
            return self.disown_refresh(flight, outcome, turn);
        };
        let outcome = match outcome {
            RefreshOutcome::Refreshed(new) if !session.is_of(&new) => {
                RefreshOutcome::Failed(RefreshFailure::IdentityRefused)
            }
            other => other,
        };
        let name = self.config.session.keys.audit_name(&session.open.session);
        match outcome {
            RefreshOutcome::Refreshed(new) => {
                // Its names stay: its subject's objects list it under those of the login.
                session.take(*new, &flight);
                turn.dirty = true;
                // What it refused for another token, it refuses still.
                self.gates
                    .retain(|gate| gate.token.as_ref().is_some_and(|token| *token != flight.token));
                turn.events.push(Event::Refreshed { session: name });
                if let Some(reason) = session.ended(turn.now) {
                    self.end_session(reason, false, turn);
                }
                let why = Unavailable::ProviderUnavailable;
                self.answer(&flight.token, flight.waiters, why, turn);
            }
            RefreshOutcome::Failed(failure) => {
                turn.events.push(Event::RefreshFailed { session: name, reason: failure });
                self.refresh_failed(flight, failure, turn);
            }
        }
    }

    fn refresh_failed(
        &mut self,
        flight: RefreshFlight,
        failure: RefreshFailure,
        turn: &mut Turn<'_>,
    ) {
        let State::Open(session) = &mut self.state else { return };
        let contents = &mut session.contents;
        // `invalid_grant` is a word on the refresh token. For a token that was never given it may be
        // one on that alone (a resource without consent).
        let is_held = contents.tokens.is_empty() || contents.token(&flight.token).is_some();
        let why = match failure {
            // `sending` stays as it is written: the next try finds that this answer was lost, after
            // a restart too.
            RefreshFailure::ProviderUnavailable => Unavailable::ProviderUnavailable,
            RefreshFailure::ProviderOverloaded => Unavailable::ProviderOverloaded,
            RefreshFailure::ProviderRefusesClient => Unavailable::ProviderRefusesClient,
            RefreshFailure::InvalidGrant | RefreshFailure::Refused if !is_held => {
                Unavailable::ProviderRefusesClient
            }
            RefreshFailure::IdentityRefused
            | RefreshFailure::InvalidGrant
            | RefreshFailure::Refused => Unavailable::ProviderUnavailable,
        };
        if failure != RefreshFailure::ProviderUnavailable {
            contents.sending = false;
            turn.dirty = true;
        }
        let is_refusal = matches!(failure, RefreshFailure::InvalidGrant | RefreshFailure::Refused);
        let gated = is_refusal.then(|| flight.token.clone());
        let ends = match failure {
            RefreshFailure::InvalidGrant if is_held && contents.lost => {
                Some(EndReason::RefreshAnswerLost)
            }
            RefreshFailure::InvalidGrant if is_held => Some(EndReason::InvalidGrant),
            RefreshFailure::InvalidGrant => {
                self.doubt(&flight.token, turn.now);
                None
            }
            RefreshFailure::Refused => self.refused_again(&flight.token, turn.now),
            _ => None,
        };
        if let Some(reason) = ends {
            self.end_session(reason, false, turn);
        } else {
            self.close_gate(gated, why, turn.now);
        }
        self.answer(&flight.token, flight.waiters, why, turn);
    }

    /// A definite refusal that isn't `invalid_grant`: whether the session ends by it.
    fn refused_again(&mut self, token: &TokenKey, now: Timestamp) -> Option<EndReason> {
        let State::Open(session) = &mut self.state else { return None };
        let tokens = &mut session.contents.tokens;
        let nothing_lives = tokens.iter().all(|token| token.has_run_out(now));
        let Some(held) = tokens.iter_mut().find(|held| held.key == *token) else {
            // A key that the provider never gave a token for may be the operator's mistake. It
            // doesn't end a session; whether the refresh token is good, a token that was given
            // before must tell.
            if nothing_lives {
                self.renew_first();
            }
            return None;
        };
        let first = *held.renewal_refused.get_or_insert(now);
        let ends = nothing_lives && now >= first.after(REFUSAL_GAP);
        ends.then_some(EndReason::RefreshRefused)
    }

    /// `invalid_grant` for a token that was never given: one that was must tell whether the refresh
    /// token is good. At once, where it is the first such answer, an earlier answer was lost, or no
    /// token is known to live; else its own renewal comes soon enough.
    fn doubt(&mut self, token: &TokenKey, now: Timestamp) {
        let State::Open(session) = &self.state else { return };
        let contents = &session.contents;
        let is_first = self.gates.iter().all(|gate| gate.token.as_ref() != Some(token));
        let known_to_live = |held: &HeldToken| held.expires_at.is_some() && !held.has_run_out(now);
        if is_first || contents.lost || !contents.tokens.iter().any(known_to_live) {
            self.renew_first();
        }
    }

    /// Renews a token that was given, whoever waits for it.
    fn renew_first(&mut self) {
        let State::Open(session) = &self.state else { return };
        let Some(held) = session.contents.tokens.first() else { return };
        if self.queue.iter().all(|(queued, _)| *queued != held.key) {
            self.queue.push((held.key.clone(), Vec::new()));
        }
    }

    /// Answers callers after a flight: with the token as it is now, or with why there is none.
    fn answer(
        &self,
        token: &TokenKey,
        waiters: Vec<CallerId>,
        why: Unavailable,
        turn: &mut Turn<'_>,
    ) {
        for waiter in waiters {
            let reply = match &self.state {
                State::Open(session) => granted_or(session.usable(token, turn.now), why),
                _ => Reply::NoSession,
            };
            turn.reply(waiter, reply);
        }
    }

    fn held_back(&self, token: &TokenKey, now: Timestamp) -> Option<Unavailable> {
        let stands = |gate: &&Gate| {
            now < gate.until && gate.token.as_ref().is_none_or(|gated| gated == token)
        };
        self.gates.iter().find(stands).map(|gate| gate.why)
    }

    fn close_gate(&mut self, token: Option<TokenKey>, why: Unavailable, now: Timestamp) {
        let known = self.gates.iter().position(|gate| gate.token == token);
        let tries = known.map(|at| self.gates.swap_remove(at).tries).unwrap_or_default();
        let first = if token.is_some() { REFUSAL_GAP } else { FIRST_PAUSE };
        let pause = (first * 2_u32.saturating_pow(tries.min(8))).min(LONGEST_PAUSE);
        let until = now.after(pause);
        self.gates.push(Gate { token, until, tries: tries.saturating_add(1), why });
    }

    /// Revokes what a refresh brought after its session had ended.
    fn disown_refresh(
        &mut self,
        flight: RefreshFlight,
        outcome: RefreshOutcome,
        turn: &mut Turn<'_>,
    ) {
        let (RefreshOutcome::Refreshed(new), Some(Orphan::Revoke { session, endpoint, reason })) =
            (outcome, flight.orphaned)
        else {
            return;
        };
        let remains = Remains {
            session: session.clone(),
            issuer: self.config.provider.issuer.clone(),
            endpoint,
            refresh_token: new.response.refresh_token,
            access_tokens: vec![new.response.access_token],
        };
        if let Some(ticket) = self.revoke(Some(reason), remains, turn) {
            self.keep(session, ticket, turn);
        }
    }
}

fn granted_or(grant: Option<GrantedToken>, why: Unavailable) -> Reply {
    grant.map_or(Reply::Unavailable(why), |grant| Reply::Granted(Box::new(grant)))
}
