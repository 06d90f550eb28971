//! The commands: a session is listed, the devices are asked for, sessions are to end.

use super::{
    EndSessions, IndexName, Question, Registration, State, SubjectMachine, SubjectReply, Turn,
    Whose,
    questions::{EndWaiter, ListWaiter, MAX_WAITERS, Moments},
    record::{Bar, Ending, Entry, Index},
};
use crate::{
    base64url,
    session::{CallerId, EndReason, KeyRing, Transaction, seal::NONCE},
};

/// How many sessions a subject may have; the oldest ends, a new login is never refused.
pub const MAX_SESSIONS: usize = 100;

/// How many logout tokens are remembered; the oldest goes. (A provider sends a handful a session.)
const MAX_SEEN: usize = 64;

impl SubjectMachine {
    /// An index that can't be read begins anew: no login is refused for it. One that comes when its
    /// time is over is: what a logout left for it to meet is gone by then.
    pub(super) fn register(
        &mut self,
        name: IndexName,
        registration: &Registration,
        turn: &mut Turn<'_>,
    ) -> SubjectReply {
        let whose = &registration.whose;
        if whose.name(&self.keys) != name {
            return SubjectReply::Unsupported;
        }
        let now = turn.now;
        let handle = base64url::encode(turn.bytes::<16>());
        let nonce = turn.bytes::<NONCE>();
        let Some(entry) = Entry::new(registration, handle, &self.keys, nonce) else {
            return SubjectReply::Broken;
        };
        let is_too_late = now >= entry.began.after(Transaction::LIFETIME);
        if is_too_late && matches!(self.state, State::Damaged) {
            // Nobody is listed, so nothing begins anew.
            return SubjectReply::TooLate;
        }
        let index = match std::mem::replace(&mut self.state, State::Damaged) {
            State::Listed(index) => index,
            State::Empty | State::Newer | State::Damaged => Index::new(name),
        };
        let State::Listed(index) = self.state.set(index) else { return SubjectReply::Broken };
        if let Some(known) = index.entries.iter().find(|other| other.session == entry.session) {
            // Delivered once more: an end that was ordered in between stands.
            let is_ending = known.ending.is_some();
            return if is_ending { SubjectReply::LoggedOut } else { SubjectReply::Registered };
        }
        if is_too_late {
            return SubjectReply::TooLate;
        }
        let named = entry.named(registration.authenticated_at);
        if index.bars.iter().any(|bar| bar.refuses(&named, now)) {
            return SubjectReply::LoggedOut;
        }
        index.renew(whose, &self.keys, turn);
        index.entries.push(entry);
        let living = index.entries.iter().filter(|entry| entry.ending.is_none()).count();
        for _ in MAX_SESSIONS..living {
            let others = index.entries.iter_mut().filter(|e| e.session != registration.session);
            let living = others.filter(|entry| entry.ending.is_none());
            if let Some(oldest) = living.min_by_key(|entry| entry.issued_at) {
                oldest.ending = Some(Ending { reason: EndReason::TooMany, since: now });
                let session = oldest.session.clone();
                self.queue.push_back(Question { session, close: Some(EndReason::TooMany) });
            }
        }
        turn.dirty = true;
        SubjectReply::Registered
    }

    /// Each session's object is asked whether it lives: who doesn't is no device.
    pub(super) fn list(
        &mut self,
        caller: CallerId,
        whose: Whose,
        turn: &mut Turn<'_>,
    ) -> Option<SubjectReply> {
        let State::Listed(index) = &mut self.state else {
            return Some(SubjectReply::Devices(Vec::new()));
        };
        if whose.name(&self.keys) != index.name {
            return Some(SubjectReply::Unsupported);
        }
        self.unwritten |= index.renew(&whose, &self.keys, turn);
        let living = index.entries.iter().filter(|entry| entry.ending.is_none());
        let waiting: Vec<_> = living.map(|entry| entry.session.clone()).collect();
        if waiting.is_empty() {
            return Some(SubjectReply::Devices(Vec::new()));
        }
        if self.lists.len() >= MAX_WAITERS {
            return Some(SubjectReply::Broken);
        }
        for session in &waiting {
            self.ask(Question { session: session.clone(), close: None });
        }
        self.lists.push(ListWaiter { caller, whose, waiting, seen: Moments::default() });
        None
    }

    pub(super) fn end(
        &mut self,
        caller: CallerId,
        name: IndexName,
        order: EndSessions,
        turn: &mut Turn<'_>,
    ) -> Option<SubjectReply> {
        let now = turn.now;
        if matches!(self.state, State::Empty) && (order.bars || order.token.is_some()) {
            self.state = State::Listed(Index::new(name));
        }
        let nothing = SubjectReply::Ended { sessions: Vec::new(), left: 0 };
        let State::Listed(index) = &mut self.state else { return Some(nothing) };
        if let Some(token) = order.token {
            // Its time may be over while the alarm hasn't rung yet: it can't come then.
            match index.seen.iter().find(|seen| seen.jti == token.jti) {
                Some(seen) if seen.delivery != token.delivery => {
                    return Some(SubjectReply::Replayed);
                }
                Some(_) => {}
                None => {
                    index.seen.push(token);
                    let surplus = index.seen.len().saturating_sub(MAX_SEEN);
                    index.seen.drain(..surplus);
                    turn.dirty = true;
                }
            }
        }
        if order.bars {
            Bar::add(&mut index.bars, &order.which, now);
            turn.dirty = true;
        }
        let mut waiting = Vec::new();
        let mut questions = Vec::new();
        let is_meant = |entry: &Entry| order.which.names(&entry.named(None));
        for entry in index.entries.iter_mut().filter(|entry| is_meant(entry)) {
            let session = entry.session.clone();
            waiting.push(session.clone());
            turn.dirty |= entry.ending.is_none();
            // Whoever ordered its end first says why: nobody is asked twice.
            let ending = *entry.ending.get_or_insert(Ending { reason: order.reason, since: now });
            questions.push(Question { session, close: Some(ending.reason) });
        }
        if waiting.is_empty() {
            return Some(nothing);
        }
        questions.into_iter().for_each(|question| self.ask(question));
        if self.ends.len() >= MAX_WAITERS {
            // Written down like any other; only that nobody waits for it.
            return Some(SubjectReply::Ended { sessions: Vec::new(), left: waiting.len() });
        }
        self.ends.push(EndWaiter { caller, waiting, sessions: Vec::new(), left: 0 });
        None
    }
}

impl Index {
    /// Seals under the ring's first key what can be opened and isn't yet; says whether there was
    /// any.
    fn renew(&mut self, whose: &Whose, keys: &KeyRing, turn: &mut Turn<'_>) -> bool {
        let mut is_changed = false;
        for entry in self.entries.iter_mut().filter(|entry| entry.is_old(keys)) {
            is_changed |= entry.renew(whose, keys, turn.bytes::<NONCE>());
        }
        is_changed
    }
}
