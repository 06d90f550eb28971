//! What the provider is asked to take back at a session's end (RFC 7009): one token at a time, a
//! refresh token before access tokens.
//!
//! At a logout the refresh token lies sealed beside the tombstone, in the same row, until the
//! provider has said yes or no: an object that stops in between asks again by its alarm, and so
//! does one whose request came to nothing, for as long as the ticket lasts. Whatever becomes of a
//! ticket other than a yes is reported. An access token is asked for once: it runs out by itself,
//! many providers don't take it back, and one that revokes refresh tokens should take their access
//! tokens along (RFC 7009 §2.1).

use std::time::Duration;

use super::{
    super::{
        EndReason, SessionKey,
        record::Tombstone,
        seal::NONCE,
        ticket::{RevocationContents, RevocationTicket},
    },
    Machine, RevocationOutcome, State, Turn, Work,
};
use crate::{audit::Event, oauth::revocation::TokenTypeHint, secret::Secret, time::Timestamp};

/// Pauses between tries of a revocation: as long as it has been going on, within these.
const SHORTEST_RETRY: Duration = Duration::from_secs(30);
const LONGEST_RETRY: Duration = Duration::from_secs(600);

/// What a session leaves at the provider.
#[derive(Debug)]
pub(super) struct Remains {
    pub(super) session: SessionKey,
    pub(super) issuer: String,
    pub(super) endpoint: String,
    pub(super) refresh_token: Option<Secret<String>>,
    /// Those that are still good.
    pub(super) access_tokens: Vec<Secret<String>>,
}

/// A token to be revoked.
#[derive(Debug)]
pub(super) struct Revocation {
    session: SessionKey,
    endpoint: String,
    token: Secret<String>,
    hint: TokenTypeHint,
    /// What is kept of it until the provider has answered.
    ticket: Option<RevocationTicket>,
}

impl Machine {
    /// Has it all revoked. What this gives is to be kept beside the tombstone, in the row that is
    /// written before the first request leaves: at a logout, and where tickets are on.
    pub(super) fn revoke(
        &mut self,
        reason: Option<EndReason>,
        remains: Remains,
        turn: &mut Turn<'_>,
    ) -> Option<RevocationTicket> {
        let Remains { session, issuer, endpoint, refresh_token, access_tokens } = remains;
        let revocation = |token, hint, ticket| Revocation {
            session: session.clone(),
            endpoint: endpoint.clone(),
            token,
            hint,
            ticket,
        };
        let ticket = refresh_token.as_ref().filter(|_| reason == Some(EndReason::Logout));
        let ticket = ticket.and_then(|token| {
            let refresh_token = token.clone();
            let contents = RevocationContents { issuer, endpoint: endpoint.clone(), refresh_token };
            self.ticket(&session, &contents, turn)
        });
        self.revocations.extend(
            refresh_token
                .map(|token| revocation(token, TokenTypeHint::RefreshToken, ticket.clone())),
        );
        self.revocations.extend(
            access_tokens
                .into_iter()
                .map(|token| revocation(token, TokenTypeHint::AccessToken, None)),
        );
        ticket
    }

    /// `None` where tickets are off, or last too short for a second try.
    fn ticket(
        &self,
        session: &SessionKey,
        contents: &RevocationContents,
        turn: &mut Turn<'_>,
    ) -> Option<RevocationTicket> {
        let (since, lifetime) = (turn.now, self.config.session.revocation_ticket);
        if lifetime <= SHORTEST_RETRY {
            return None;
        }
        let times = (since, since.after(lifetime), since.after(SHORTEST_RETRY));
        RevocationTicket::seal(self.keys(), session, times, contents, turn.bytes::<NONCE>())
    }

    /// Keeps a ticket for what came after its session's end.
    pub(super) fn keep(
        &mut self,
        session: SessionKey,
        ticket: RevocationTicket,
        turn: &mut Turn<'_>,
    ) {
        if matches!(self.state, State::Empty) {
            self.state = State::Ended(Tombstone::new(session, turn.now));
        }
        if let State::Ended(tombstone) = &mut self.state {
            tombstone.revocations.push(ticket);
            turn.dirty = true;
        }
    }

    pub(super) fn start_next_revocation(&mut self, turn: &mut Turn<'_>) {
        if self.revoking.is_some() {
            return;
        }
        let is_refresh_token = |next: &Revocation| next.hint == TokenTypeHint::RefreshToken;
        let first = self.revocations.iter().position(is_refresh_token).unwrap_or_default();
        if let Some(next) = self.revocations.remove(first) {
            turn.starts.push(Work::Revoke {
                endpoint: next.endpoint.clone(),
                token: next.token.clone(),
                hint: next.hint,
            });
            self.revoking = Some(next);
        }
    }

    pub(super) fn revocation_done(&mut self, outcome: RevocationOutcome, turn: &mut Turn<'_>) {
        let Some(done) = self.revoking.take() else { return };
        let is_refresh_token = done.hint == TokenTypeHint::RefreshToken;
        let ticket = done.ticket.as_ref();
        let will_retry =
            matches!(outcome, RevocationOutcome::RefusedForNow | RevocationOutcome::Failed)
                && ticket.is_some_and(|ticket| self.has_another_try(ticket));
        let goes_on = match outcome {
            RevocationOutcome::Done => true,
            // The one kind and not the other, perhaps. What is tried again takes them along.
            RevocationOutcome::Refused | RevocationOutcome::RefusedForNow => {
                is_refresh_token && !will_retry
            }
            RevocationOutcome::Failed => false,
        };
        if !goes_on {
            // It takes none back, or doesn't answer: it isn't asked for each of them.
            self.revocations.retain(|next| next.hint != TokenTypeHint::AccessToken);
        }
        if !is_refresh_token {
            return;
        }
        if outcome != RevocationOutcome::Done {
            let session = self.keys().audit_name(&done.session);
            turn.events.push(Event::RevocationFailed { session, will_retry });
        }
        if let (false, Some(ticket)) = (will_retry, ticket) {
            self.drop_ticket(ticket, turn);
        }
    }

    /// Whether the alarm comes back to it before its time is up.
    fn has_another_try(&self, ticket: &RevocationTicket) -> bool {
        let State::Ended(tombstone) = &self.state else { return false };
        tombstone.revocations.iter().any(|kept| kept.is(ticket) && kept.next < kept.until)
    }

    fn drop_ticket(&mut self, ticket: &RevocationTicket, turn: &mut Turn<'_>) {
        let State::Ended(tombstone) = &mut self.state else { return };
        let before = tombstone.revocations.len();
        tombstone.revocations.retain(|kept| !kept.is(ticket));
        if tombstone.revocations.len() != before {
            turn.dirty = true;
            let tombstone = tombstone.clone();
            self.bury(tombstone, turn.now);
        }
    }

    /// Tries those again whose time has come; says whether one was given up. That is reported:
    /// nobody else will ever tell that the token lives on.
    pub(super) fn sweep_tickets(&mut self, turn: &mut Turn<'_>) -> bool {
        let now = turn.now;
        let State::Ended(tombstone) = &mut self.state else { return false };
        let (keys, provider) = (&self.config.session.keys, &self.config.provider.issuer);
        let longest = self.config.session.revocation_ticket;
        let mut given_up = 0_usize;
        tombstone.revocations.retain_mut(|ticket| {
            let is_under_way = self
                .revoking
                .iter()
                .chain(&self.revocations)
                .any(|other| other.ticket.as_ref().is_some_and(|other| other.is(ticket)));
            // As configured now: an operator who turns tickets off means those that are there too.
            if now >= ticket.until.min(ticket.since.after(longest)) {
                // One that is under way is reported by its outcome.
                given_up += usize::from(!is_under_way);
                return false;
            }
            if now < ticket.next {
                return true;
            }
            // Not written: a restart rings the alarm that is set from it.
            ticket.next = now.after(retry_pause(ticket.since, now));
            if is_under_way {
                return true;
            }
            // A key that left the ring: nobody can open it any more. A provider that was replaced:
            // it is not sent the new one's credentials.
            let contents = ticket.open(keys, &tombstone.session);
            let Some(contents) = contents.filter(|contents| contents.issuer == *provider) else {
                given_up += 1;
                return false;
            };
            self.revocations.push_back(Revocation {
                session: tombstone.session.clone(),
                endpoint: contents.endpoint,
                token: contents.refresh_token,
                hint: TokenTypeHint::RefreshToken,
                ticket: Some(ticket.clone()),
            });
            true
        });
        let session = keys.audit_name(&tombstone.session);
        turn.events.extend(std::iter::repeat_n(
            Event::RevocationFailed { session, will_retry: false },
            given_up,
        ));
        given_up > 0
    }
}

fn retry_pause(since: Timestamp, now: Timestamp) -> Duration {
    now.since(since).clamp(SHORTEST_RETRY, LONGEST_RETRY)
}
