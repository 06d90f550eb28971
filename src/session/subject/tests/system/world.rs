//! The objects and what is under way between them; each step, and each turn of an object held
//! against what must hold.

use std::cell::OnceCell;

use super::{
    index::IndexObject,
    ledger::Ledger,
    messages::{Asker, Flying, Post, ToIndex, ToSession, UnderWay},
    session::{SessionObject, config},
    steps::{Crash, Nth, Setup, Step},
    *,
};
use crate::session::{IndexNames, Input, ObjectConfig};

/// How many sessions the first person has where there is a crowd.
const CROWD: u32 = 100;

pub(super) struct System<'a> {
    pub(super) setup: Setup,
    pub(super) keys: KeyRing,
    pub(super) config: ObjectConfig,
    pub(super) now: Timestamp,
    pub(super) sessions: Vec<SessionObject>,
    pub(super) indexes: BTreeMap<IndexName, IndexObject>,
    /// Their names, by person and by sid.
    pub(super) names: BTreeMap<(bool, u8), IndexName>,
    pub(super) post: Post,
    pub(super) ledger: Ledger,
    pub(super) callers: u64,
    pub(super) random: u64,
    pub(super) seen: &'a RefCell<BTreeMap<&'static str, u64>>,
    pub(super) trace: Option<Vec<String>>,
}

/// Why an index has a turn.
#[derive(Clone, Copy, Debug)]
pub(super) enum Cause {
    Register(usize),
    End(usize),
    Else,
}

/// What the sequences of a run have in common.
#[derive(Default)]
pub(super) struct Run {
    /// How often what was seen.
    pub(super) seen: RefCell<BTreeMap<&'static str, u64>>,
    /// The row of an index with a crowd in it.
    crowd: OnceCell<Vec<u8>>,
}

impl<'a> System<'a> {
    pub(super) fn new(setup: Setup, run: &'a Run, traces: bool) -> Self {
        let keys = ring(&format!("a:{}", key(1)));
        let config = config(&keys);
        let mut system = Self {
            setup,
            keys,
            config,
            now: T0,
            sessions: Vec::new(),
            indexes: BTreeMap::new(),
            names: BTreeMap::new(),
            post: Post::default(),
            ledger: Ledger::default(),
            callers: 0,
            random: 0,
            seen: &run.seen,
            trace: traces.then(Vec::new),
        };
        if setup.is_crowded {
            system.crowd(&run.crowd);
        }
        system
    }

    pub(super) fn trace(self) -> String {
        self.trace.unwrap_or_default().join("\n")
    }

    /// Plays the steps, then lets everything come to rest twice: until whatever was ordered is done,
    /// and until nothing is left.
    pub(super) fn play(&mut self, steps: &[Step]) -> Verdict {
        for step in steps {
            self.tell(|| format!("- {step:?}"));
            self.step(step)?;
        }
        self.tell(|| "- everything arrives, and what is due rings".to_owned());
        self.settle(self.now.after(secs(130)))?;
        self.is_done()?;
        self.tell(|| "- two days pass".to_owned());
        self.settle(self.now.after(2 * ABSOLUTE))?;
        self.is_gone()
    }

    fn step(&mut self, step: &Step) -> Verdict {
        match *step {
            Step::Login { person, sid } => {
                let nth = u32::try_from(self.sessions.len()).unwrap();
                let subject = self.index_of(person);
                let sid_index = sid.map(|sid| self.index_of_sid(sid));
                let names = IndexNames { subject, sid: sid_index };
                self.sessions.push(SessionObject::new(nth, person, sid, names, self.now));
                let session = self.sessions.len() - 1;
                self.post.asks_session(session, ToSession::Login, Asker::Nobody);
                Ok(())
            }
            Step::Deliver { nth, crash } => match at(nth, self.post.flying.len()) {
                Some(nth) => self.deliver(nth, crash),
                None => Ok(()),
            },
            Step::DeliverAll => self.deliver_all(),
            Step::Lose(nth) => match at(nth, self.post.flying.len()) {
                Some(nth) => self.lose(nth),
                None => Ok(()),
            },
            Step::Repeat(nth) => {
                if at(nth, self.post.flying.len()).is_some_and(|nth| self.post.repeat(nth)) {
                    self.see("repeated");
                }
                Ok(())
            }
            Step::CrashSession(nth) => {
                if let Some(session) = at(nth, self.sessions.len()) {
                    self.session_stops(session);
                }
                Ok(())
            }
            Step::CrashIndex(nth) => {
                if let Some(nth) = at(nth, self.indexes.len()) {
                    let name = self.indexes.keys().nth(nth).unwrap().clone();
                    self.index_stops(&name);
                }
                Ok(())
            }
            Step::Ring { nth, crash } => self.ring_any(nth, crash),
            Step::Wait(time) => {
                self.now = self.now.after(secs(u64::from(time)));
                Ok(())
            }
            Step::Call(nth) => {
                self.browser_asks(nth, ToSession::Access);
                Ok(())
            }
            Step::Refuse => {
                let is_refresh = |flying: &Flying| {
                    matches!(flying, Flying::Work { work: UnderWay::Refresh, .. })
                };
                match self.post.flying.iter().position(is_refresh) {
                    Some(nth) => self.lose(nth),
                    None => Ok(()),
                }
            }
            Step::Logout(nth) => {
                self.browser_asks(nth, ToSession::Logout);
                Ok(())
            }
            Step::List(person) => {
                let index = self.index_of(person);
                self.post.asks_index(&index, ToIndex::List { person }, Asker::Nobody);
                Ok(())
            }
            Step::End(end) => {
                self.order(end);
                Ok(())
            }
        }
    }

    fn browser_asks(&mut self, nth: Nth, asked: ToSession) {
        if let Some(session) = at(nth, self.sessions.len()) {
            self.post.asks_session(session, asked, Asker::Nobody);
        }
    }

    fn ring_any(&mut self, nth: Nth, crash: Crash) -> Verdict {
        let sessions =
            self.sessions.iter().enumerate().filter(|(_, object)| object.alarm.is_some());
        let sessions: Vec<_> = sessions.map(|(number, _)| number).collect();
        let indexes = self.indexes.iter().filter(|(_, index)| index.alarm.is_some());
        let indexes: Vec<_> = indexes.map(|(name, _)| name.clone()).collect();
        let Some(nth) = at(nth, sessions.len() + indexes.len()) else { return Ok(()) };
        let alarm = match sessions.get(nth) {
            Some(session) => self.sessions[*session].alarm,
            None => self.indexes[&indexes[nth - sessions.len()]].alarm,
        };
        self.see(if alarm > Some(self.now) { "alarm: early" } else { "alarm: late" });
        match sessions.get(nth) {
            Some(session) => self.session_turn(*session, Input::Alarm, crash),
            None => {
                let name = &indexes[nth - sessions.len()];
                self.index_turn(name, SubjectInput::Alarm, Cause::Else, crash)
            }
        }
    }

    /// Everything arrives, and alarms ring when they are due, up to that time.
    fn settle(&mut self, until: Timestamp) -> Verdict {
        for _ in 0..2_000 {
            self.deliver_all()?;
            let session = (0..self.sessions.len())
                .filter_map(|number| Some((self.sessions[number].alarm?, number)))
                .min();
            let index =
                self.indexes.iter().filter_map(|(name, index)| Some((index.alarm?, name))).min();
            let due = session.map(|(due, _)| due).into_iter().chain(index.map(|(due, _)| due));
            let Some(due) = due.min().filter(|due| *due <= until) else {
                self.now = until;
                return Ok(());
            };
            self.now = self.now.max(due);
            match (session, index.map(|(due, name)| (due, name.clone()))) {
                (Some((at, number)), _) if at == due => {
                    self.session_turn(number, Input::Alarm, Crash::None)?;
                }
                (_, Some((_, name))) => {
                    self.index_turn(&name, SubjectInput::Alarm, Cause::Else, Crash::None)?;
                }
                _ => {}
            }
        }
        promise(false, "alarms come to an end", || format!("{:?}", self.now))
    }

    /// Sessions of before, as the machine itself has listed them.
    fn crowd(&mut self, row: &OnceCell<Vec<u8>>) {
        let name = self.index_of(0);
        for nth in 0..CROWD {
            let issued_at = T0.before(secs(u64::from(300 - nth)));
            let names = IndexNames { subject: name.clone(), sid: None };
            self.sessions.push(SessionObject::filler(nth, names, issued_at));
        }
        let row = row.get_or_init(|| {
            let mut world = super::super::World::of(self.indexes[&name].whose.clone());
            for session in &self.sessions {
                world.register(session.registration(world.whose.clone(), T0));
            }
            world.row.expect("they are listed")
        });
        let index = self.indexes.get_mut(&name).unwrap();
        index.stores(Some(row.clone()));
        index.alarm = index.stored.as_ref().and_then(|stored| stored.alarm);
    }

    pub(super) fn index_of(&mut self, person: u8) -> IndexName {
        self.index((true, person), || Whose::subject(ISSUER, &format!("person {person}")))
    }

    pub(super) fn index_of_sid(&mut self, sid: u8) -> IndexName {
        self.index((false, sid), || Whose::provider_session(ISSUER, &format!("sid {sid}")))
    }

    fn index(&mut self, of: (bool, u8), whose: impl FnOnce() -> Whose) -> IndexName {
        if let Some(name) = self.names.get(&of) {
            return name.clone();
        }
        let whose = whose();
        let name = whose.name(&self.keys);
        self.indexes.insert(name.clone(), IndexObject::new(whose));
        self.names.insert(of, name.clone());
        name
    }

    pub(super) fn number(&self, key: &SessionKey) -> usize {
        self.sessions.iter().position(|session| session.key == *key).expect("a session of ours")
    }

    pub(super) fn providers_time(&self) -> Timestamp {
        let millis = self.now.as_millis().wrapping_add_signed(self.setup.skew * 1000);
        Timestamp::from_secs(Timestamp::from_millis(millis).as_secs())
    }

    pub(super) fn see(&self, what: &'static str) {
        *self.seen.borrow_mut().entry(what).or_default() += 1;
    }

    pub(super) fn tell(&mut self, what: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(what());
        }
    }
}

pub(super) fn at(nth: Nth, len: usize) -> Option<usize> {
    usize::from(nth).checked_rem(len)
}

pub(super) fn fill(random: &mut u64, bytes: &mut [u8]) {
    for byte in bytes {
        *random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        *byte = (*random >> 56) as u8;
    }
}
