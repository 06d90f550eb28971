//! A subject's machine with an adapter in memory: the row, the alarm, the questions under way, the
//! replies.

mod bars;
mod cap;
mod ends;
mod entries;
mod lists;
mod replays;
mod storage;
mod system;

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::{
    device::DeviceName,
    session::{SessionId, Transaction},
};

pub(super) const T0: Timestamp = Timestamp::from_secs(1_800_000_000);

pub(super) const ISSUER: &str = "https://id.example.com/";

pub(super) const ABSOLUTE: Duration = Duration::from_secs(86_400);

pub(super) const USER_AGENT: &str =
    "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";

pub(super) fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

pub(super) fn key(byte: u8) -> String {
    let mut bytes = [byte; 32];
    bytes[0] ^= 1;
    crate::base64url::encode(bytes)
}

pub(super) fn ring(session_keys: &str) -> KeyRing {
    KeyRing::parse(session_keys, &key(9)).unwrap()
}

pub(super) fn person() -> Whose {
    Whose::subject(ISSUER, "the-subject")
}

pub(super) fn provider_session() -> Whose {
    Whose::provider_session(ISSUER, "the-sid")
}

/// The `n`th session's object.
pub(super) fn session(n: u32) -> SessionKey {
    let mut id = [7; 32];
    id[..4].copy_from_slice(&n.to_be_bytes());
    SessionId::from_bytes(id).key()
}

/// Which session that is.
pub(super) fn position(found: &SessionKey) -> u32 {
    (0..200).find(|n| session(*n) == *found).expect("a session of another test")
}

/// One index, and what it does.
pub(super) struct World {
    pub(super) keys: KeyRing,
    pub(super) whose: Whose,
    pub(super) machine: SubjectMachine,
    pub(super) now: Timestamp,
    pub(super) row: Option<Vec<u8>>,
    pub(super) alarm: Option<Timestamp>,
    /// Rows written: puts and alarms.
    pub(super) rows: usize,
    pub(super) puts: usize,
    /// Questions under way.
    pub(super) asked: Vec<Question>,
    pub(super) replies: BTreeMap<CallerId, Vec<SubjectReply>>,
    pub(super) events: Vec<Event>,
    callers: u64,
    random: u64,
}

impl World {
    /// A person's index.
    pub(super) fn new() -> Self {
        Self::of(person())
    }

    pub(super) fn of(whose: Whose) -> Self {
        let keys = ring(&format!("a:{}", key(1)));
        Self {
            machine: SubjectMachine::load(keys.clone(), None),
            keys,
            whose,
            now: T0,
            row: None,
            alarm: None,
            rows: 0,
            puts: 0,
            asked: Vec::new(),
            replies: BTreeMap::new(),
            events: Vec::new(),
            callers: 0,
            random: 0,
        }
    }

    /// With `count` sessions that are there, each a second younger than the one before.
    pub(super) fn with(count: u32) -> Self {
        let mut world = Self::new();
        for n in 0..count {
            world.wait(secs(1));
            world.registers(n);
        }
        world
    }

    /// A login of the `n`th session that began a minute ago and is about to be stored.
    pub(super) fn registration(&self, n: u32) -> Registration {
        Registration {
            whose: self.whose.clone(),
            session: session(n),
            issued_at: self.now,
            authenticated_at: None,
            created: self.now,
            began: self.now.before(secs(60)),
            expires: self.now.after(ABSOLUTE),
            device: DeviceName::of(Some(USER_AGENT)),
            subject: person().name(&self.keys),
            sid: Some(provider_session().name(&self.keys)),
        }
    }

    pub(super) fn register(&mut self, registration: Registration) -> SubjectReply {
        let caller = self.ask(SubjectCommand::Register(Box::new(registration)));
        self.reply(caller)
    }

    pub(super) fn registers(&mut self, n: u32) {
        let registration = self.registration(n);
        let reply = self.register(registration);
        assert!(matches!(reply, SubjectReply::Registered), "{reply:?}");
    }

    pub(super) fn unlists(&mut self, n: u32) {
        let caller = self.ask(SubjectCommand::Unlist { session: session(n) });
        assert!(matches!(self.reply(caller), SubjectReply::Unlisted));
    }

    pub(super) fn end(&mut self, which: Which) -> CallerId {
        self.order(EndSessions { which, reason: EndReason::Remote, bars: false, token: None })
    }

    pub(super) fn order(&mut self, order: EndSessions) -> CallerId {
        self.ask(SubjectCommand::End(Box::new(order)))
    }

    pub(super) fn list(&mut self) -> CallerId {
        let whose = self.whose.clone();
        self.ask(SubjectCommand::List { whose })
    }

    pub(super) fn ask(&mut self, command: SubjectCommand) -> CallerId {
        let index = self.whose.name(&self.keys);
        self.deliver(SubjectEnvelope { protocol: PROTOCOL, index, command })
    }

    pub(super) fn deliver(&mut self, envelope: SubjectEnvelope) -> CallerId {
        // It crosses as text.
        let text = serde_json::to_string(&envelope).unwrap();
        let envelope = serde_json::from_str(&text).unwrap();
        self.callers += 1;
        let caller = CallerId(self.callers);
        self.input(SubjectInput::Command { caller, envelope });
        caller
    }

    /// Does one input's effects, and says in words what they were.
    pub(super) fn input(&mut self, input: SubjectInput) -> Vec<&'static str> {
        let random = &mut self.random;
        let mut entropy = |bytes: &mut [u8]| {
            for byte in bytes {
                *random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                *byte = (*random >> 56) as u8;
            }
        };
        let effects = self.machine.handle(input, self.now, &mut entropy);
        let mut words = Vec::new();
        for effect in effects {
            words.push(match &effect {
                SubjectEffect::Put(_) => "put",
                SubjectEffect::DeleteAll => "delete",
                SubjectEffect::SetAlarm(_) => "alarm",
                SubjectEffect::Ask(_) => "ask",
                SubjectEffect::Reply(..) => "reply",
                SubjectEffect::Audit(_) => "audit",
            });
            self.executes(effect);
        }
        let acts = |word: &&str| matches!(*word, "ask" | "reply");
        let writes = |word: &&str| matches!(*word, "put" | "delete" | "alarm");
        let acted = words.iter().position(acts).unwrap_or(words.len());
        assert!(!words[acted..].iter().any(writes), "acted before written: {words:?}");
        assert!(words.iter().filter(|word| matches!(**word, "put" | "delete")).count() <= 1);
        words
    }

    fn executes(&mut self, effect: SubjectEffect) {
        match effect {
            SubjectEffect::Put(row) => {
                self.row = Some(row);
                self.rows += 1;
                self.puts += 1;
            }
            SubjectEffect::DeleteAll => {
                self.row = None;
                self.alarm = None;
                self.rows += 1;
            }
            SubjectEffect::SetAlarm(alarm) => {
                self.alarm = alarm;
                self.rows += 1;
            }
            SubjectEffect::Ask(question) => {
                assert!(!self.asked.contains(&question), "asked twice: {question:?}");
                self.asked.push(question);
                assert!(self.asked.len() <= BATCH, "{} at once", self.asked.len());
            }
            SubjectEffect::Reply(caller, reply) => {
                let text = serde_json::to_string(&reply).unwrap();
                let reply = serde_json::from_str(&text).unwrap();
                self.replies.entry(caller).or_default().push(reply);
            }
            SubjectEffect::Audit(event) => self.events.push(event),
        }
    }

    /// The first question under way gets this answer.
    pub(super) fn answers(&mut self, word: SessionWord) -> Question {
        let question = self.asked.remove(0);
        self.input(SubjectInput::Answered(question.clone(), word));
        question
    }

    /// This question, which is under way, gets this answer.
    pub(super) fn answer(&mut self, question: &Question, word: SessionWord) {
        let at = self.asked.iter().position(|asked| asked == question);
        let question = self.asked.remove(at.expect("nobody has asked that"));
        self.input(SubjectInput::Answered(question, word));
    }

    /// All questions get this answer, those that follow too.
    pub(super) fn all_answer(&mut self, word: SessionWord) -> Vec<Question> {
        let mut answered = Vec::new();
        while !self.asked.is_empty() {
            answered.push(self.answers(word));
        }
        answered.sort_by_key(|question| position(&question.session));
        answered
    }

    pub(super) fn wait(&mut self, duration: Duration) {
        self.now = self.now.after(duration);
    }

    /// The platform's alarm, if it is due.
    pub(super) fn ring(&mut self) -> bool {
        let is_due = self.alarm.is_some_and(|alarm| alarm <= self.now);
        if is_due {
            self.alarm = None;
            self.input(SubjectInput::Alarm);
        }
        is_due
    }

    /// Time passes up to the alarm, and it rings.
    pub(super) fn rings_next(&mut self) {
        self.now = self.now.max(self.alarm.expect("no alarm is set"));
        assert!(self.ring());
    }

    /// The object stops and starts again with what is stored. Questions under way are lost.
    pub(super) fn restart(&mut self) {
        self.asked.clear();
        self.machine = SubjectMachine::load(self.keys.clone(), self.row.as_deref());
    }

    pub(super) fn restart_with(&mut self, session_keys: &str) {
        self.keys = ring(session_keys);
        self.restart();
    }

    /// The one reply that this caller got.
    pub(super) fn reply(&mut self, caller: CallerId) -> SubjectReply {
        let mut replies = self.replies.remove(&caller).unwrap_or_default();
        assert_eq!(replies.len(), 1, "{caller:?}: {replies:?}");
        replies.pop().unwrap()
    }

    pub(super) fn is_waiting(&self, caller: CallerId) -> bool {
        !self.replies.contains_key(&caller)
    }

    /// Who has ended, and how many are left.
    pub(super) fn ended(&mut self, caller: CallerId) -> (Vec<SessionKey>, usize) {
        match self.reply(caller) {
            SubjectReply::Ended { mut sessions, left } => {
                sessions.sort_by_key(position);
                (sessions, left)
            }
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn devices(&mut self, caller: CallerId) -> Vec<ListedDevice> {
        match self.reply(caller) {
            SubjectReply::Devices(devices) => devices,
            other => panic!("{other:?}"),
        }
    }

    /// What is stored, as the next life of the object reads it.
    pub(super) fn stored(&self) -> Index {
        match Row::decode(self.row.as_deref().expect("nothing is stored")) {
            Row::Listed(index) => index,
            other => panic!("{other:?}"),
        }
    }

    /// Which sessions stand in the row.
    pub(super) fn listed(&self) -> Vec<SessionKey> {
        match &self.row {
            Some(_) => self.stored().entries.into_iter().map(|entry| entry.session).collect(),
            None => Vec::new(),
        }
    }

    /// Which of them are to end.
    pub(super) fn ending(&self) -> Vec<SessionKey> {
        let entries = self.stored().entries.into_iter();
        entries.filter(|entry| entry.ending.is_some()).map(|entry| entry.session).collect()
    }
}

pub(super) fn lives() -> SessionWord {
    SessionWord::Lives { last_seen: Some(T0) }
}

pub(super) fn closes(n: u32) -> Question {
    Question { session: session(n), close: Some(EndReason::Remote) }
}

pub(super) fn probes(n: u32) -> Question {
    Question { session: session(n), close: None }
}

/// All of a person's, up to now.
pub(super) fn all() -> Which {
    Which::All { of: None }
}
