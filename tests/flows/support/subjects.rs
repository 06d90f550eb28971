//! Subjects' objects in memory: the real machine, its effects executed in order.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
};

use futures::channel::oneshot;
use tokenkeep::{
    app::ports::{AuditLog as _, Clock as _, Entropy as _, StoreError},
    session::{
        CallerId, PROTOCOL,
        subject::{
            IndexName, Question, SubjectCommand, SubjectEffect, SubjectEnvelope, SubjectInput,
            SubjectMachine, SubjectReply,
        },
    },
    time::Timestamp,
};

use super::World;

#[derive(Default)]
pub(crate) struct Subjects {
    objects: RefCell<BTreeMap<IndexName, Object>>,
    callers: Cell<u64>,
    /// No object answers.
    pub(crate) down: Cell<bool>,
    /// These don't.
    pub(crate) down_alone: RefCell<BTreeSet<IndexName>>,
    /// What a session's object says of its end doesn't arrive.
    pub(crate) loses_unlists: Cell<bool>,
    /// How often any object was asked.
    pub(crate) asked: Cell<usize>,
}

#[derive(Default)]
struct Object {
    /// The one row: what survives a restart.
    row: Option<Vec<u8>>,
    alarm: Option<Timestamp>,
    /// In memory only.
    machine: Option<SubjectMachine>,
    waiting: BTreeMap<CallerId, oneshot::Sender<SubjectReply>>,
    puts: usize,
    /// Counts restarts: the answer to a question asked before one is lost with it.
    life: u64,
}

impl Subjects {
    pub(crate) async fn ask(
        &self,
        world: &World,
        index: &IndexName,
        command: SubjectCommand,
    ) -> Result<SubjectReply, StoreError> {
        self.asked.set(self.asked.get() + 1);
        let is_lost = self.loses_unlists.get() && matches!(command, SubjectCommand::Unlist { .. });
        if self.down.get() || self.down_alone.borrow().contains(index) || is_lost {
            return Err(StoreError);
        }
        // The command crosses as text, as it does between two isolates.
        let envelope = SubjectEnvelope { protocol: PROTOCOL, index: index.clone(), command };
        let envelope = serde_json::from_str(&serde_json::to_string(&envelope).unwrap()).unwrap();
        self.callers.set(self.callers.get() + 1);
        let caller = CallerId(self.callers.get());
        let (sender, receiver) = oneshot::channel();
        self.objects.borrow_mut().entry(index.clone()).or_default().waiting.insert(caller, sender);
        self.feed(world, index, SubjectInput::Command { caller, envelope });
        let reply = receiver.await.map_err(|_restarted| StoreError)?;
        let text = serde_json::to_string(&reply).unwrap();
        Ok(serde_json::from_str(&text).unwrap())
    }

    /// Every object loses its memory and keeps its row.
    pub(crate) fn restart(&self) {
        for object in self.objects.borrow_mut().values_mut() {
            object.machine = None;
            object.waiting.clear();
            object.life += 1;
        }
    }

    pub(crate) fn next_alarm(&self, until: Timestamp) -> Option<(Timestamp, IndexName)> {
        let objects = self.objects.borrow();
        let due = objects.iter().filter_map(|(name, object)| Some((object.alarm?, name.clone())));
        due.filter(|(due, _)| *due <= until).min()
    }

    pub(crate) fn ring(&self, world: &World, index: &IndexName) {
        self.objects.borrow_mut().get_mut(index).unwrap().alarm = None;
        self.feed(world, index, SubjectInput::Alarm);
    }

    /// Objects that keep anything.
    pub(crate) fn stored(&self) -> usize {
        self.objects.borrow().values().filter(|object| object.row.is_some()).count()
    }

    /// Rows written so far, over all objects.
    pub(crate) fn puts(&self) -> usize {
        self.objects.borrow().values().map(|object| object.puts).sum()
    }

    /// A dump of all that is stored.
    pub(crate) fn dump(&self) -> Vec<Vec<u8>> {
        self.objects.borrow().values().filter_map(|object| object.row.clone()).collect()
    }

    /// Puts something else where the rows were.
    pub(crate) fn overwrites(&self, with: impl Fn(&[u8]) -> Vec<u8>) {
        for object in self.objects.borrow_mut().values_mut() {
            object.row = object.row.as_deref().map(&with);
        }
        self.restart();
    }

    fn feed(&self, world: &World, index: &IndexName, input: SubjectInput) {
        let mut objects = self.objects.borrow_mut();
        let object = objects.entry(index.clone()).or_default();
        let keys = world.config().session.keys.clone();
        let machine =
            object.machine.get_or_insert_with(|| SubjectMachine::load(keys, object.row.as_deref()));
        let effects = machine.handle(input, world.now(), &mut |bytes| world.fill(bytes));
        for effect in effects {
            match effect {
                SubjectEffect::Put(row) => {
                    object.puts += 1;
                    object.row = Some(row);
                }
                SubjectEffect::DeleteAll => {
                    object.row = None;
                    object.alarm = None;
                }
                SubjectEffect::SetAlarm(alarm) => object.alarm = alarm,
                SubjectEffect::Ask(question) => ask(world, index, object.life, question),
                SubjectEffect::Reply(caller, reply) => {
                    // A caller that stopped waiting isn't there any more.
                    if let Some(waiting) = object.waiting.remove(&caller) {
                        drop(waiting.send(reply));
                    }
                }
                SubjectEffect::Audit(event) => world.record(event),
            }
        }
    }
}

/// Under `waitUntil`: goes on whoever stops waiting.
fn ask(world: &World, index: &IndexName, life: u64, question: Question) {
    let (task_world, index) = (world.clone(), index.clone());
    world.spawn(async move {
        let world = task_world;
        // Not through the Worker half's port: an object forgets no warm grants.
        let reply = world.objects.ask(&world, &question.session, question.command()).await;
        let word = question.word(reply.as_ref().ok());
        let objects = world.subjects.objects.borrow();
        let lives = objects.get(&index).is_some_and(|object| object.life == life);
        drop(objects);
        if lives {
            world.subjects.feed(&world, &index, SubjectInput::Answered(question, word));
        }
    });
}
