//! Ends: by command, by a limit, by the alarm; and what they leave to do.
//!
//! Whoever ends a session without the cookie can't open it: the alarm deletes, and revokes only
//! what the object still holds open. A login that took a session's place, in the browser or in its
//! subject's full list, revokes nothing: some providers keep one grant per user and client, and the
//! new session lives on it.

use std::time::Duration;

use super::{
    super::{
        EndReason, SessionId, SessionKey, Transaction,
        protocol::{EndedReply, LoginFailure, LogoutTicketKey, Reply},
        record::Tombstone,
        seal::NONCE,
        ticket::{LogoutContents, LogoutTicket},
    },
    Machine, State, Turn,
    refresh::Orphan,
    revocation::Remains,
};
use crate::{audit::Event, secret::Secret, time::Timestamp};

/// How long a one-time logout URL is good.
const LOGOUT_TICKET: Duration = Duration::from_secs(120);

impl Machine {
    pub(super) fn end(
        &mut self,
        id: &SessionId,
        reason: EndReason,
        keep_id_token: bool,
        turn: &mut Turn<'_>,
    ) -> Reply {
        let reply = match &self.state {
            State::Empty | State::Exchanging(_) => self.forestall(id.key(), turn),
            State::Closed(_) | State::Open(_) => {
                if self.open(id).is_none() {
                    return Reply::NoSession;
                }
                self.end_session(reason, keep_id_token, turn)
            }
            State::Ended(_) | State::Damaged => EndedReply::default(),
            State::Newer { .. } => return Reply::Unsupported,
        };
        Reply::Ended(Box::new(reply))
    }

    /// Ends it without the cookie; nothing is given out.
    pub(super) fn close(
        &mut self,
        key: SessionKey,
        reason: EndReason,
        turn: &mut Turn<'_>,
    ) -> Reply {
        let ended = match &self.state {
            State::Empty | State::Exchanging(_) => self.forestall(key, turn).ended,
            State::Closed(_) | State::Open(_) => {
                self.end_without_cookie(reason, turn);
                true
            }
            State::Ended(_) | State::Damaged => false,
            State::Newer { .. } => return Reply::Unsupported,
        };
        Reply::Ended(Box::new(EndedReply { ended, ..EndedReply::default() }))
    }

    /// There is no session yet, but a create may be on its way to here: it comes too late.
    fn forestall(&mut self, key: SessionKey, turn: &mut Turn<'_>) -> EndedReply {
        self.cancel_login(LoginFailure::AlreadyUsed, turn);
        let until = turn.now.after(Transaction::LIFETIME);
        self.state = State::Ended(Tombstone::new(key, until));
        turn.dirty = true;
        EndedReply::default()
    }

    /// Ends a session, whether or not somebody has opened it.
    pub(super) fn end_without_cookie(&mut self, reason: EndReason, turn: &mut Turn<'_>) {
        if matches!(self.state, State::Closed(_)) {
            self.end_closed(reason, turn);
        } else {
            self.end_session(reason, false, turn);
        }
    }

    /// Ends a session that nobody has opened: its record goes as it is.
    fn end_closed(&mut self, reason: EndReason, turn: &mut Turn<'_>) {
        let State::Closed(closed) = &self.state else { return };
        let until = closed.open.created.after(Transaction::LIFETIME);
        let mut tombstone = Tombstone::new(closed.open.session.clone(), until);
        tombstone.reason = Some(reason);
        turn.unlists.push((closed.open.session.clone(), closed.open.names.clone()));
        let session = self.keys().audit_name(&tombstone.session);
        turn.events.push(Event::SessionEnded { session, reason });
        self.bury(tombstone, turn.now);
        turn.dirty = true;
    }

    /// Ends the open session: everyone who waits is told, what was kept goes.
    pub(super) fn end_session(
        &mut self,
        reason: EndReason,
        keep_id_token: bool,
        turn: &mut Turn<'_>,
    ) -> EndedReply {
        let session = match std::mem::replace(&mut self.state, State::Empty) {
            State::Open(session) => *session,
            other => {
                self.state = other;
                return EndedReply::default();
            }
        };
        turn.dirty = true;
        let (open, contents) = (session.open, session.contents);
        turn.unlists.push((open.session.clone(), open.names));
        let endpoint = contents.endpoints.revocation.filter(|_| revokes(reason));
        self.dismiss_waiters(reason, &open.session, endpoint.as_ref(), turn);
        let revocation = endpoint.and_then(|endpoint| {
            let tokens = contents.tokens.into_iter();
            let remains = Remains {
                session: open.session.clone(),
                issuer: contents.identity.issuer,
                endpoint,
                refresh_token: contents.refresh_token,
                access_tokens: tokens.filter_map(|token| token.revocable(turn.now)).collect(),
            };
            self.revoke(Some(reason), remains, turn)
        });
        let mut reply = EndedReply {
            ended: true,
            id_token: contents.id_token.filter(|_| self.config.provider.id_token_hint),
            ticket: None,
            end_session_endpoint: contents.endpoints.end_session,
        };
        let mut tombstone = Tombstone::new(open.session, open.created.after(Transaction::LIFETIME));
        tombstone.reason = Some(reason);
        tombstone.revocations.extend(revocation);
        if keep_id_token {
            let contents = LogoutContents {
                id_token: reply.id_token.take(),
                end_session_endpoint: reply.end_session_endpoint.clone(),
                origin: contents.origin,
            };
            let until = turn.now.after(LOGOUT_TICKET);
            let key = Secret::new(turn.bytes::<32>());
            let nonce = turn.bytes::<NONCE>();
            let sealed = LogoutTicket::seal(
                self.keys(),
                &tombstone.session,
                until,
                &contents,
                key.expose(),
                nonce,
            );
            (tombstone.logout, reply.ticket) = sealed.unzip();
        }
        let session = self.keys().audit_name(&tombstone.session);
        turn.events.push(Event::SessionEnded { session, reason });
        self.bury(tombstone, turn.now);
        reply
    }

    fn dismiss_waiters(
        &mut self,
        reason: EndReason,
        session: &SessionKey,
        endpoint: Option<&String>,
        turn: &mut Turn<'_>,
    ) {
        if let Some(flight) = &mut self.refresh {
            for waiter in std::mem::take(&mut flight.waiters) {
                turn.reply(waiter, Reply::NoSession);
            }
            flight.orphaned = Some(endpoint.map_or(Orphan::Drop, |endpoint| Orphan::Revoke {
                session: session.clone(),
                endpoint: endpoint.clone(),
                reason,
            }));
        }
        for waiter in std::mem::take(&mut self.queue).into_iter().flat_map(|(_, waiters)| waiters) {
            turn.reply(waiter, Reply::NoSession);
        }
        self.gates.clear();
    }

    /// Keeps a tombstone as long as something hangs on it.
    pub(super) fn bury(&mut self, tombstone: Tombstone, now: Timestamp) {
        let is_done = now >= tombstone.until
            && tombstone.revocations.is_empty()
            && tombstone.logout.is_none();
        self.state = if is_done { State::Empty } else { State::Ended(tombstone) };
    }

    /// A wrong, late or spent ticket is `NoSession` and changes nothing.
    pub(super) fn redeem_logout(&mut self, ticket: &LogoutTicketKey, turn: &mut Turn<'_>) -> Reply {
        let State::Ended(tombstone) = &self.state else { return Reply::NoSession };
        let opened = tombstone
            .logout
            .as_ref()
            .and_then(|logout| logout.open(self.keys(), &tombstone.session, ticket, turn.now));
        let Some(contents) = opened else { return Reply::NoSession };
        let tombstone = Tombstone { logout: None, ..tombstone.clone() };
        self.bury(tombstone, turn.now);
        turn.dirty = true;
        Reply::LogoutRedeemed {
            id_token: contents.id_token,
            end_session_endpoint: contents.end_session_endpoint,
            origin: contents.origin,
        }
    }

    /// Whatever is due. An alarm that rings early finds nothing and is set anew.
    pub(super) fn alarm(&mut self, turn: &mut Turn<'_>) {
        let now = turn.now;
        match &self.state {
            State::Empty | State::Newer { .. } => {}
            State::Damaged => self.clear(turn),
            State::Exchanging(marker) => {
                if now >= marker.until {
                    self.cancel_login(LoginFailure::Expired, turn);
                    self.clear(turn);
                }
            }
            State::Closed(_) | State::Open(_) => {
                if let Some(reason) = self.deadlines().and_then(|limits| limits.ended(now)) {
                    self.end_without_cookie(reason, turn);
                }
            }
            State::Ended(_) => self.sweep(turn),
        }
    }

    fn clear(&mut self, turn: &mut Turn<'_>) {
        self.state = State::Empty;
        turn.dirty = true;
    }

    /// A tombstone's due times.
    fn sweep(&mut self, turn: &mut Turn<'_>) {
        let now = turn.now;
        let mut is_changed = self.sweep_tickets(turn);
        let State::Ended(tombstone) = &mut self.state else { return };
        is_changed |= tombstone.logout.take_if(|logout| now >= logout.until).is_some();
        let is_over = now >= tombstone.until;
        let tombstone = tombstone.clone();
        self.bury(tombstone, now);
        turn.dirty |= is_changed || (is_over && matches!(self.state, State::Empty));
    }
}

/// Whose end takes the tokens back at the provider.
const fn revokes(reason: EndReason) -> bool {
    match reason {
        EndReason::Logout
        | EndReason::Idle
        | EndReason::Absolute
        | EndReason::BackChannel
        | EndReason::Remote => true,
        // Whoever frames us ends a session here, and nothing at the provider.
        EndReason::FrontChannel
        // It was a login that ended these.
        | EndReason::Replaced
        | EndReason::TooMany
        | EndReason::InvalidGrant
        | EndReason::RefreshAnswerLost
        | EndReason::RefreshRefused
        | EndReason::TokenExpired => false,
    }
}
