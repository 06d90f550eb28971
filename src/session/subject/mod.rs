//! The subject's object as a pure function: which sessions a `sub` or a `sid` has, and their ends
//! (OpenID Connect Back-Channel Logout 1.0 §2.7, the person's devices, the administrator).
//!
//! How a logout reaches all of them: a session is listed here before it is stored, so that none
//! exists that isn't listed. What is to end is written down before the first session's object is
//! asked, and an entry goes only when its object has confirmed the end: a crash at any point leaves
//! a row from which the alarm goes on. A login that is under way when the logout comes meets a bar
//! here, or finds its own object ended.
//!
//! An entry whose session never came, or ended without a word, is found by asking: when the
//! transaction has run out, when the person looks at the list, when the absolute limit is over.

mod bars;
mod commands;
pub mod protocol;
mod questions;
mod record;
#[cfg(test)]
mod tests;

use std::{collections::VecDeque, time::Duration};

pub(crate) use self::{bars::Named, record::Bar};
pub use self::{
    bars::SignIn,
    commands::MAX_SESSIONS,
    protocol::{
        EndSessions, IndexName, IndexedClaim, ListedDevice, Registration, SeenToken,
        SubjectCommand, SubjectEnvelope, SubjectReply, Which, Whose,
    },
    questions::BATCH,
};
use self::{
    questions::{EndWaiter, ListWaiter, Moments},
    record::{Index, Row},
};
use super::{CallerId, Command, EndReason, KeyRing, PROTOCOL, Reply, SessionKey, alarm::Alarm};
use crate::{audit::Event, time::Timestamp};

/// How long a newer release's row is left before it is looked at again.
const NEWER_RECHECK: Duration = Duration::from_secs(600);

/// A subject's object.
#[derive(Debug)]
pub struct SubjectMachine {
    keys: KeyRing,
    state: State,
    alarm: Alarm,
    /// Whose object is being asked what.
    asking: Vec<Question>,
    queue: VecDeque<Question>,
    /// Not to be asked before.
    retry: Moments,
    ends: Vec<EndWaiter>,
    lists: Vec<ListWaiter>,
    /// Entries were confirmed and the row doesn't say so yet. To ask once more does no harm, so
    /// they are written together.
    unwritten: bool,
}

#[derive(Debug)]
enum State {
    /// Nothing is stored.
    Empty,
    /// An index.
    Listed(Index),
    /// A newer release's row.
    Newer,
    /// Nobody's row.
    Damaged,
}

/// What a session's object is asked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Question {
    /// Which object.
    pub session: SessionKey,
    /// Whether it is to end, and why; else only whether it lives.
    pub close: Option<EndReason>,
}

/// What a session's object said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionWord {
    /// There is no session (any more), and none will come.
    Gone,
    /// It lives; when it was last used, to the hour.
    Lives {
        /// Nothing while its login is under way.
        last_seen: Option<Timestamp>,
    },
    /// Nothing, or nothing that can be understood.
    Silent,
}

/// What happened.
#[derive(Debug)]
pub enum SubjectInput {
    /// Somebody asks. Gets exactly one [`SubjectEffect::Reply`], now or later.
    Command {
        /// Who.
        caller: CallerId,
        /// What.
        envelope: SubjectEnvelope,
    },
    /// [`SubjectEffect::Ask`] is done.
    Answered(Question, SessionWord),
    /// The alarm rang.
    Alarm,
}

/// What the adapter does, in order: a failed write must stop the rest of the list.
#[derive(Debug)]
pub enum SubjectEffect {
    /// Write the object's one row.
    Put(Vec<u8>),
    /// Delete all that is stored.
    DeleteAll,
    /// Set the alarm, or delete it.
    SetAlarm(Option<Timestamp>),
    /// Ask a session's object under `waitUntil` and hand its word in as an input.
    Ask(Question),
    /// Answer a caller.
    Reply(CallerId, SubjectReply),
    /// Log this.
    Audit(Event),
}

/// One input's worth of time, randomness and things to do.
struct Turn<'a> {
    now: Timestamp,
    entropy: &'a mut dyn FnMut(&mut [u8]),
    dirty: bool,
    replies: Vec<(CallerId, SubjectReply)>,
    events: Vec<Event>,
}

impl Question {
    /// The command for the session's object.
    pub const fn command(&self) -> Command {
        match self.close {
            Some(reason) => Command::Close { reason },
            None => Command::Probe,
        }
    }

    /// What the object's reply to [`Self::command`] means.
    pub const fn word(&self, reply: Option<&Reply>) -> SessionWord {
        match (self.close, reply) {
            (_, Some(Reply::NoSession)) | (Some(_), Some(Reply::Ended(_))) => SessionWord::Gone,
            (None, Some(Reply::Lives { last_seen })) => {
                SessionWord::Lives { last_seen: *last_seen }
            }
            _ => SessionWord::Silent,
        }
    }
}

impl SubjectMachine {
    /// From the object's one row, if it has one. Writes nothing, opens nothing.
    pub fn load(keys: KeyRing, stored: Option<&[u8]>) -> Self {
        let state = match stored.map(Row::decode) {
            None => State::Empty,
            Some(Row::Listed(index)) => State::Listed(index),
            Some(Row::Newer) => State::Newer,
            Some(Row::Damaged) => State::Damaged,
        };
        let alarm = if let State::Listed(index) = &state { index.alarm } else { None };
        Self {
            keys,
            state,
            alarm: Alarm::named(alarm),
            asking: Vec::new(),
            queue: VecDeque::new(),
            retry: Moments::default(),
            ends: Vec::new(),
            lists: Vec::new(),
            unwritten: false,
        }
    }

    /// Takes an input and says what to do, in order.
    pub fn handle(
        &mut self,
        input: SubjectInput,
        now: Timestamp,
        entropy: &mut dyn FnMut(&mut [u8]),
    ) -> Vec<SubjectEffect> {
        let (replies, events) = (Vec::new(), Vec::new());
        let mut turn = Turn { now, entropy, dirty: false, replies, events };
        let is_alarm = matches!(input, SubjectInput::Alarm);
        match input {
            SubjectInput::Command { caller, envelope } => self.command(caller, envelope, &mut turn),
            SubjectInput::Answered(question, word) => self.answered(&question, word, &mut turn),
            SubjectInput::Alarm => self.alarm(&mut turn),
        }
        self.finish(turn, is_alarm)
    }

    fn command(&mut self, caller: CallerId, envelope: SubjectEnvelope, turn: &mut Turn<'_>) {
        let SubjectEnvelope { protocol, index, command } = envelope;
        let is_addressed = match &self.state {
            State::Listed(own) => own.name == index,
            State::Empty | State::Newer | State::Damaged => true,
        };
        if protocol != PROTOCOL || matches!(self.state, State::Newer) || !is_addressed {
            return turn.replies.push((caller, SubjectReply::Unsupported));
        }
        let is_damaged = matches!(self.state, State::Damaged);
        if is_damaged {
            turn.events.push(Event::IndexDamaged { index: index.as_str().to_owned() });
        }
        let reply = match command {
            SubjectCommand::Register(registration) => self.register(index, &registration, turn),
            // What it listed can't be told: nobody may believe that all of it has ended.
            _ if is_damaged => SubjectReply::Broken,
            SubjectCommand::Unlist { session } => {
                self.confirm(&session, turn);
                SubjectReply::Unlisted
            }
            SubjectCommand::List { whose } => match self.list(caller, whose, turn) {
                Some(reply) => reply,
                None => return,
            },
            SubjectCommand::End(end) => match self.end(caller, index, *end, turn) {
                Some(reply) => reply,
                None => return,
            },
        };
        turn.replies.push((caller, reply));
    }

    fn due(&self, now: Timestamp) -> Option<Timestamp> {
        match &self.state {
            State::Empty | State::Damaged => None,
            State::Newer => Some(now.after(NEWER_RECHECK)),
            State::Listed(index) => {
                let entries = index.entries.iter().filter_map(|entry| self.due_of(entry, now));
                let tokens = index.seen.iter().map(|token| token.until);
                entries.chain(tokens).chain(index.bars.iter().map(|bar| bar.until)).min()
            }
        }
    }

    /// Asks whom it can, then writes: what is to end stands in the row before anybody is asked.
    fn finish(&mut self, mut turn: Turn<'_>, is_alarm: bool) -> Vec<SubjectEffect> {
        let mut asks = Vec::new();
        while self.asking.len() < BATCH
            && let Some(question) = self.next_question()
        {
            self.asking.push(question.clone());
            asks.push(SubjectEffect::Ask(question));
        }
        // At the alarm too: a row that says more than is left would be without one from then on.
        if self.asking.is_empty() || is_alarm {
            turn.dirty |= std::mem::take(&mut self.unwritten);
        }
        if turn.dirty && matches!(&self.state, State::Listed(index) if index.is_empty()) {
            self.state = State::Empty;
        }
        let due = self.due(turn.now);
        let alarm = self.alarm.set(due, turn.now, is_alarm, turn.dirty);
        let mut effects = Vec::new();
        if turn.dirty {
            self.unwritten = false;
            effects.extend(self.write());
        }
        effects.extend(alarm.map(SubjectEffect::SetAlarm));
        effects.extend(asks);
        effects.extend(turn.replies.into_iter().map(|(to, reply)| SubjectEffect::Reply(to, reply)));
        effects.extend(turn.events.into_iter().map(SubjectEffect::Audit));
        effects
    }

    fn write(&mut self) -> Option<SubjectEffect> {
        match &mut self.state {
            State::Empty => Some(SubjectEffect::DeleteAll),
            State::Listed(index) => {
                index.alarm = self.alarm.armed();
                index.encode().map(SubjectEffect::Put)
            }
            State::Newer | State::Damaged => None,
        }
    }
}

impl State {
    fn set(&mut self, index: Index) -> &mut Self {
        *self = Self::Listed(index);
        self
    }
}

impl Turn<'_> {
    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        (self.entropy)(&mut bytes);
        bytes
    }
}
