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

pub mod protocol;
mod record;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

pub use self::protocol::{
    EndSessions, IndexName, IndexedClaim, ListedDevice, Registration, SeenToken, SubjectCommand,
    SubjectEnvelope, SubjectReply, Which, Whose,
};
use self::record::{Bar, Ending, Entry, Index, Row};
use super::{
    CallerId, Command, EndReason, KeyRing, PROTOCOL, Reply, SessionKey, Transaction, seal::NONCE,
};
use crate::{audit::Event, base64url, time::Timestamp};

/// How many sessions a subject may have; the oldest ends, a new login is never refused.
pub const MAX_SESSIONS: usize = 100;

/// How many sessions' objects are asked at the same time.
pub const BATCH: usize = 20;

/// How many logout tokens are remembered; the oldest goes. (A provider sends a handful a session.)
const MAX_SEEN: usize = 64;

/// When an object that didn't answer is asked again.
const RETRY: Duration = Duration::from_secs(60);

/// When a session that should have ended by itself is looked at again.
const RECHECK: Duration = Duration::from_secs(600);

/// A subject's object.
#[derive(Debug)]
pub struct SubjectMachine {
    keys: KeyRing,
    state: State,
    /// What the alarm is set to, as far as is known.
    armed: Option<Timestamp>,
    /// Whose object is being asked what.
    asking: BTreeSet<Question>,
    queue: VecDeque<Question>,
    /// Not to be asked before.
    retry: BTreeMap<SessionKey, Timestamp>,
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

#[derive(Debug)]
struct EndWaiter {
    caller: CallerId,
    waiting: BTreeSet<SessionKey>,
    sessions: Vec<SessionKey>,
    left: usize,
}

#[derive(Debug)]
struct ListWaiter {
    caller: CallerId,
    whose: Whose,
    waiting: BTreeSet<SessionKey>,
    seen: BTreeMap<SessionKey, Timestamp>,
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
        let armed = if let State::Listed(index) = &state { index.alarm } else { None };
        Self {
            keys,
            state,
            armed,
            asking: BTreeSet::new(),
            queue: VecDeque::new(),
            retry: BTreeMap::new(),
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
            SubjectCommand::List { whose } => match self.list(caller, whose) {
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

    /// An index that can't be read begins anew: no login is refused for it.
    fn register(
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
        let index = match std::mem::replace(&mut self.state, State::Damaged) {
            State::Listed(index) => index,
            State::Empty | State::Newer | State::Damaged => Index::new(name),
        };
        let State::Listed(index) = self.state.set(index) else { return SubjectReply::Broken };
        if index.bar.is_some_and(|bar| bar.refuses(registration.issued_at, now)) {
            return SubjectReply::LoggedOut;
        }
        index.entries.retain(|other| other.session != entry.session);
        for other in &mut index.entries {
            other.renew(whose, &self.keys, turn.bytes::<NONCE>());
        }
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
    fn list(&mut self, caller: CallerId, whose: Whose) -> Option<SubjectReply> {
        let State::Listed(index) = &self.state else {
            return Some(SubjectReply::Devices(Vec::new()));
        };
        if whose.name(&self.keys) != index.name {
            return Some(SubjectReply::Unsupported);
        }
        let living = index.entries.iter().filter(|entry| entry.ending.is_none());
        let waiting: BTreeSet<_> = living.map(|entry| entry.session.clone()).collect();
        if waiting.is_empty() {
            return Some(SubjectReply::Devices(Vec::new()));
        }
        for session in &waiting {
            self.ask(Question { session: session.clone(), close: None });
        }
        self.lists.push(ListWaiter { caller, whose, waiting, seen: BTreeMap::new() });
        None
    }

    fn end(
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
            index.bar = Some(Bar::of(&order.which, index.bar, now));
            turn.dirty = true;
        }
        let mut waiting = BTreeSet::new();
        for entry in index.entries.iter_mut().filter(|entry| order.which.names(entry)) {
            waiting.insert(entry.session.clone());
            if entry.ending.is_none() {
                entry.ending = Some(Ending { reason: order.reason, since: now });
                turn.dirty = true;
            }
        }
        if waiting.is_empty() {
            return Some(nothing);
        }
        for session in &waiting {
            self.ask(Question { session: session.clone(), close: Some(order.reason) });
        }
        self.ends.push(EndWaiter { caller, waiting, sessions: Vec::new(), left: 0 });
        None
    }

    fn ask(&mut self, question: Question) {
        if !self.asking.contains(&question) && !self.queue.contains(&question) {
            self.queue.push_back(question);
        }
    }

    fn answered(&mut self, question: &Question, word: SessionWord, turn: &mut Turn<'_>) {
        self.asking.remove(question);
        let session = &question.session;
        match (word, question.close) {
            (SessionWord::Gone, _) => self.confirm(session, turn),
            (SessionWord::Lives { last_seen }, None) => self.lives(session, last_seen, turn.now),
            (SessionWord::Silent, _) | (SessionWord::Lives { .. }, Some(_)) => {
                self.retry.insert(session.clone(), turn.now.after(RETRY));
            }
        }
        if question.close.is_some() && word != SessionWord::Gone {
            for end in &mut self.ends {
                end.left += usize::from(end.waiting.remove(session));
            }
        }
        if question.close.is_none() {
            for list in &mut self.lists {
                list.waiting.remove(session);
                if let SessionWord::Lives { last_seen: Some(last_seen) } = word {
                    list.seen.insert(session.clone(), last_seen);
                }
            }
        }
        self.answer_waiters(turn);
    }

    /// The session's object has confirmed the end, or that no session ever came.
    fn confirm(&mut self, session: &SessionKey, turn: &mut Turn<'_>) {
        if let State::Listed(index) = &mut self.state {
            let before = index.entries.len();
            index.entries.retain(|entry| entry.session != *session);
            self.unwritten |= index.entries.len() != before;
        }
        self.retry.remove(session);
        self.queue.retain(|question| question.session != *session);
        for end in &mut self.ends {
            if end.waiting.remove(session) {
                end.sessions.push(session.clone());
            }
        }
        for list in &mut self.lists {
            list.waiting.remove(session);
        }
        self.answer_waiters(turn);
    }

    fn lives(&mut self, session: &SessionKey, last_seen: Option<Timestamp>, now: Timestamp) {
        let State::Listed(index) = &mut self.state else { return };
        let Some(entry) = index.entries.iter_mut().find(|entry| entry.session == *session) else {
            return;
        };
        if last_seen.is_some() {
            self.unwritten |= entry.pending_until.take().is_some();
        }
        let is_overdue =
            now >= entry.expires || entry.pending_until.is_some_and(|until| now >= until);
        if is_overdue {
            self.retry.insert(session.clone(), now.after(RECHECK));
        }
    }

    fn answer_waiters(&mut self, turn: &mut Turn<'_>) {
        for end in self.ends.extract_if(.., |end| end.waiting.is_empty()) {
            let EndWaiter { caller, sessions, left, .. } = end;
            turn.replies.push((caller, SubjectReply::Ended { sessions, left }));
        }
        for list in self.lists.extract_if(.., |list| list.waiting.is_empty()) {
            let devices = match &self.state {
                State::Listed(index) => list.devices(index, &self.keys),
                State::Empty | State::Newer | State::Damaged => Vec::new(),
            };
            turn.replies.push((list.caller, SubjectReply::Devices(devices)));
        }
    }

    /// Whatever is due. An alarm that rings early finds nothing and is set anew.
    fn alarm(&mut self, turn: &mut Turn<'_>) {
        self.armed = None;
        let now = turn.now;
        match &mut self.state {
            State::Empty | State::Newer => return,
            State::Damaged => {
                // Kept as it is: what it listed may be read by somebody. Logins begin it anew.
                return;
            }
            State::Listed(index) => {
                let seen = index.seen.len();
                index.seen.retain(|token| now < token.until);
                let bar_is_over = index.bar.take_if(|bar| now >= bar.until).is_some();
                turn.dirty |= bar_is_over || index.seen.len() != seen;
            }
        }
        let State::Listed(index) = &self.state else { return };
        let due: Vec<_> = index
            .entries
            .iter()
            .filter(|entry| self.due_of(entry, now).is_some_and(|due| due <= now))
            .map(|entry| Question {
                session: entry.session.clone(),
                close: entry.ending.map(|ending| ending.reason),
            })
            .collect();
        due.into_iter().for_each(|question| self.ask(question));
    }

    /// When an entry's session is to be asked next; nothing while it is being asked.
    fn due_of(&self, entry: &Entry, now: Timestamp) -> Option<Timestamp> {
        let close = entry.ending.map(|ending| ending.reason);
        let question = Question { session: entry.session.clone(), close };
        if self.asking.contains(&question) || self.queue.contains(&question) {
            // The alarm rings all the same, for the object that doesn't live to hear the answer.
            return Some(now.after(RETRY));
        }
        let by_itself = match entry.ending {
            Some(ending) => ending.since,
            None => entry.pending_until.map_or(entry.expires, |until| until.min(entry.expires)),
        };
        Some(self.retry.get(&entry.session).map_or(by_itself, |retry| by_itself.max(*retry)))
    }

    fn due(&self, now: Timestamp) -> Option<Timestamp> {
        match &self.state {
            State::Empty | State::Damaged => None,
            State::Newer => Some(now.after(RECHECK)),
            State::Listed(index) => {
                let entries = index.entries.iter().filter_map(|entry| self.due_of(entry, now));
                let tokens = index.seen.iter().map(|token| token.until);
                entries.chain(tokens).chain(index.bar.map(|bar| bar.until)).min()
            }
        }
    }

    /// Asks whom it can, then writes: what is to end stands in the row before anybody is asked.
    fn finish(&mut self, mut turn: Turn<'_>, is_alarm: bool) -> Vec<SubjectEffect> {
        let mut asks = Vec::new();
        while self.asking.len() < BATCH
            && let Some(question) = self.queue.pop_front()
        {
            self.asking.insert(question.clone());
            asks.push(SubjectEffect::Ask(question));
        }
        if self.asking.is_empty() {
            turn.dirty |= std::mem::take(&mut self.unwritten);
        }
        if turn.dirty && matches!(&self.state, State::Listed(index) if index.is_empty()) {
            self.state = State::Empty;
        }
        let due = self.due(turn.now).map(|due| due.max(turn.now.after(Duration::from_millis(1))));
        let is_late = self.armed.is_none_or(|armed| armed <= turn.now || due < Some(armed));
        let arms = due.is_some() && is_late && (turn.dirty || is_alarm);
        if arms {
            self.armed = due;
        }
        let mut effects = Vec::new();
        if turn.dirty {
            self.unwritten = false;
            effects.extend(self.write());
        }
        if arms {
            effects.push(SubjectEffect::SetAlarm(due));
        } else if turn.dirty && due.is_none() && self.armed.take().is_some() {
            effects.push(SubjectEffect::SetAlarm(None));
        }
        effects.extend(asks);
        effects.extend(turn.replies.into_iter().map(|(to, reply)| SubjectEffect::Reply(to, reply)));
        effects.extend(turn.events.into_iter().map(SubjectEffect::Audit));
        effects
    }

    fn write(&mut self) -> Option<SubjectEffect> {
        match &mut self.state {
            State::Empty => Some(SubjectEffect::DeleteAll),
            State::Listed(index) => {
                index.alarm = self.armed;
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

impl Which {
    /// Whether an entry is meant.
    fn names(&self, entry: &Entry) -> bool {
        match self {
            Self::All { of } => of.as_ref().is_none_or(|subject| *subject == entry.subject),
            Self::Before { issued } => entry.issued_at <= *issued,
            Self::BeforeWithoutSid { issued } => entry.sid.is_none() && entry.issued_at <= *issued,
            Self::Others { session } => entry.session != *session,
            Self::Handle { handle } => entry.handle == *handle,
        }
    }
}

impl Bar {
    /// With what an earlier one still refuses.
    fn of(which: &Which, earlier: Option<Self>, now: Timestamp) -> Self {
        let issued = match which {
            Which::Before { issued } | Which::BeforeWithoutSid { issued } => Some(*issued),
            Which::All { .. } | Which::Others { .. } | Which::Handle { .. } => None,
        };
        let earlier = earlier.filter(|bar| now < bar.until);
        let issued = match earlier {
            Some(earlier) => earlier.issued.zip(issued).map(|(a, b)| a.max(b)),
            None => issued,
        };
        Self { issued, until: now.after(Transaction::LIFETIME) }
    }

    fn refuses(&self, issued_at: Timestamp, now: Timestamp) -> bool {
        now < self.until && self.issued.is_none_or(|issued| issued_at <= issued)
    }
}

impl ListWaiter {
    fn devices(&self, index: &Index, keys: &KeyRing) -> Vec<ListedDevice> {
        let living = index.entries.iter().filter(|entry| entry.ending.is_none());
        let devices = living.filter_map(|entry| {
            let description = entry.open(&self.whose, keys)?;
            Some(ListedDevice {
                session: entry.session.clone(),
                handle: entry.handle.clone(),
                created: description.created,
                last_seen: self.seen.get(&entry.session).copied(),
                device: description.device,
            })
        });
        devices.collect()
    }
}

impl Turn<'_> {
    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        (self.entropy)(&mut bytes);
        bytes
    }
}
