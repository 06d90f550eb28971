//! The questions to the sessions' objects, and who waits for their answers.

use std::time::Duration;

use super::{
    ListedDevice, Question, SessionWord, State, SubjectMachine, SubjectReply, Turn, Whose,
    record::{Description, Entry, Index},
};
use crate::{
    device::DeviceName,
    session::{CallerId, KeyRing, SessionKey, Transaction},
    time::Timestamp,
};

/// How many sessions' objects are asked at the same time.
pub const BATCH: usize = 20;

/// How many wait for lists at the same time, and how many for ends: each holds up to a hundred names.
pub(super) const MAX_WAITERS: usize = 32;

/// When an object that didn't answer is asked again.
const RETRY: Duration = Duration::from_secs(60);

/// How far apart retries are that one alarm serves: answers don't stay out all at the same moment.
const TOGETHER: Duration = Duration::from_secs(5);

/// When a session that should have ended by itself is looked at again.
const RECHECK: Duration = Duration::from_secs(600);

/// Who waits for sessions to end.
#[derive(Debug)]
pub(super) struct EndWaiter {
    pub(super) caller: CallerId,
    pub(super) waiting: Vec<SessionKey>,
    pub(super) sessions: Vec<SessionKey>,
    pub(super) left: usize,
}

/// Who waits for the list of devices.
#[derive(Debug)]
pub(super) struct ListWaiter {
    pub(super) caller: CallerId,
    pub(super) whose: Whose,
    pub(super) waiting: Vec<SessionKey>,
    pub(super) seen: Moments,
}

/// One moment for each of some sessions: a list, since no subject has more than a hundred.
#[derive(Debug, Default)]
pub(super) struct Moments(pub(super) Vec<(SessionKey, Timestamp)>);

impl SubjectMachine {
    pub(super) fn ask(&mut self, question: Question) {
        if !self.asking.contains(&question) && !self.queue.contains(&question) {
            self.queue.push_back(question);
        }
    }

    /// An end before what is asked for a list: whoever looks at it again and again must not keep a
    /// logout waiting.
    pub(super) fn next_question(&mut self) -> Option<Question> {
        let end = self.queue.iter().position(|question| question.close.is_some());
        self.queue.remove(end.unwrap_or(0))
    }

    pub(super) fn answered(&mut self, question: &Question, word: SessionWord, turn: &mut Turn<'_>) {
        take_out(&mut self.asking, question);
        let session = &question.session;
        match (word, question.close) {
            (SessionWord::Gone, _) => self.confirm(session, turn),
            (SessionWord::Lives { last_seen }, None) => self.lives(session, last_seen, turn.now),
            (SessionWord::Silent, _) if self.is_over(session, turn.now) => {
                self.confirm(session, turn);
            }
            (SessionWord::Silent, _) | (SessionWord::Lives { .. }, Some(_)) => {
                if self.entry(session).is_some() {
                    self.retry.put(session, turn.now.after(RETRY));
                }
            }
        }
        if question.close.is_some() && word != SessionWord::Gone {
            for end in &mut self.ends {
                end.left += usize::from(take_out(&mut end.waiting, session));
            }
        }
        if question.close.is_none() {
            for list in &mut self.lists {
                take_out(&mut list.waiting, session);
                if let SessionWord::Lives { last_seen: Some(last_seen) } = word {
                    list.seen.put(session, last_seen);
                }
            }
        }
        self.answer_waiters(turn);
    }

    /// The session's object has confirmed the end, or that no session ever came.
    pub(super) fn confirm(&mut self, session: &SessionKey, turn: &mut Turn<'_>) {
        if let State::Listed(index) = &mut self.state {
            let before = index.entries.len();
            index.entries.retain(|entry| entry.session != *session);
            self.unwritten |= index.entries.len() != before;
        }
        self.retry.remove(session);
        self.queue.retain(|question| question.session != *session);
        for end in &mut self.ends {
            if take_out(&mut end.waiting, session) {
                end.sessions.push(session.clone());
            }
        }
        for list in &mut self.lists {
            take_out(&mut list.waiting, session);
        }
        self.answer_waiters(turn);
    }

    pub(super) fn lives(
        &mut self,
        session: &SessionKey,
        last_seen: Option<Timestamp>,
        now: Timestamp,
    ) {
        let State::Listed(index) = &mut self.state else { return };
        let Some(entry) = index.entries.iter_mut().find(|entry| entry.session == *session) else {
            return;
        };
        if last_seen.is_some() {
            self.unwritten |= std::mem::take(&mut entry.is_pending);
        }
        let is_overdue =
            now >= entry.expires || entry.pending_until().is_some_and(|until| now >= until);
        if is_overdue {
            self.retry.put(session, now.after(RECHECK));
        }
    }

    /// Whether a session can't serve anybody any more, whatever its object would say: its absolute
    /// limit counts from when it was stored, which was within its login's time. An object that a
    /// later release has written doesn't answer an earlier one that was deployed again.
    fn is_over(&self, session: &SessionKey, now: Timestamp) -> bool {
        self.entry(session).is_some_and(|entry| now >= entry.expires.after(Transaction::LIFETIME))
    }

    fn entry(&self, session: &SessionKey) -> Option<&Entry> {
        let State::Listed(index) = &self.state else { return None };
        index.entries.iter().find(|entry| entry.session == *session)
    }

    pub(super) fn answer_waiters(&mut self, turn: &mut Turn<'_>) {
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
    pub(super) fn alarm(&mut self, turn: &mut Turn<'_>) {
        let now = turn.now;
        match &mut self.state {
            State::Empty | State::Newer => return,
            State::Damaged => {
                // Kept as it is: what it listed may be read by somebody. Logins begin it anew.
                return;
            }
            State::Listed(index) => {
                let before = (index.seen.len(), index.bars.len());
                index.seen.retain(|token| now < token.until);
                index.bars.retain(|bar| bar.stands(now));
                turn.dirty |= (index.seen.len(), index.bars.len()) != before;
            }
        }
        let State::Listed(index) = &self.state else { return };
        let due: Vec<_> = index
            .entries
            .iter()
            .filter(|entry| {
                let is_retry = self.retry.of(&entry.session).is_some();
                let latest = if is_retry { now.after(TOGETHER) } else { now };
                self.due_of(entry, now).is_some_and(|due| due <= latest)
            })
            .map(|entry| Question {
                session: entry.session.clone(),
                close: entry.ending.map(|ending| ending.reason),
            })
            .collect();
        due.into_iter().for_each(|question| self.ask(question));
    }

    /// When an entry's session is to be asked next; nothing while it is being asked.
    pub(super) fn due_of(&self, entry: &Entry, now: Timestamp) -> Option<Timestamp> {
        let close = entry.ending.map(|ending| ending.reason);
        let question = Question { session: entry.session.clone(), close };
        if self.asking.contains(&question) || self.queue.contains(&question) {
            // The alarm rings all the same, for the object that doesn't live to hear the answer.
            return Some(now.after(RETRY));
        }
        let by_itself = match entry.ending {
            Some(ending) => ending.since,
            None => entry.pending_until().map_or(entry.expires, |until| until.min(entry.expires)),
        };
        Some(self.retry.of(&entry.session).map_or(by_itself, |retry| by_itself.max(retry)))
    }
}

impl ListWaiter {
    fn devices(&self, index: &Index, keys: &KeyRing) -> Vec<ListedDevice> {
        let living = index.entries.iter().filter(|entry| entry.ending.is_none());
        let devices = living.map(|entry| {
            // One whose key has left the ring is a device all the same: it can be ended.
            let unknown = Description { created: entry.issued_at, device: DeviceName::default() };
            let description = entry.open(&self.whose, keys).unwrap_or(unknown);
            ListedDevice {
                session: entry.session.clone(),
                handle: entry.handle.clone(),
                created: description.created,
                last_seen: self.seen.of(&entry.session),
                device: description.device,
            }
        });
        devices.collect()
    }
}

impl Moments {
    fn of(&self, session: &SessionKey) -> Option<Timestamp> {
        self.0.iter().find(|(known, _)| known == session).map(|(_, moment)| *moment)
    }

    fn put(&mut self, session: &SessionKey, moment: Timestamp) {
        self.remove(session);
        self.0.push((session.clone(), moment));
    }

    fn remove(&mut self, session: &SessionKey) {
        self.0.retain(|(known, _)| known != session);
    }
}

/// Removes an item; says whether it was there.
fn take_out<T: PartialEq>(items: &mut Vec<T>, item: &T) -> bool {
    let before = items.len();
    items.retain(|other| other != item);
    items.len() != before
}
