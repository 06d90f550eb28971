//! Session objects in memory: the real machine, its effects executed in order, its work done by
//! the real use cases, as the edge does it. Or KV in their place.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
};

use futures::channel::oneshot;
use tokenkeep::{
    app::{
        ObjectContext, context::session_hash, kv, ports::AuditLog as _, ports::Clock as _,
        ports::Entropy as _, ports::StoreError, ports::SubjectStore as _, work,
    },
    session::{
        CallerId, Command, Effect, Envelope, IndexNames, Input, Machine, ObjectConfig, PROTOCOL,
        Reply, SessionKey, Work, subject::SubjectCommand,
    },
    time::Timestamp,
};

use super::{World, kv::Kv};

pub(crate) struct Objects {
    pub(crate) kv: Kv,
    objects: RefCell<BTreeMap<SessionKey, Object>>,
    callers: Cell<u64>,
    /// The store answers nothing.
    pub(crate) down: Cell<bool>,
    /// How many more commands it answers before it is down; none is no end.
    pub(crate) answers_left: Cell<Option<usize>>,
    /// What becomes of texts on their way: a Worker half of another release.
    pub(crate) on_the_way: RefCell<Option<Rewrite>>,
    /// How often any object was asked.
    pub(crate) asked: Cell<usize>,
}

/// From a text to what another release would have made of it.
pub(crate) type Rewrite = Box<dyn Fn(Said<'_>) -> String>;

/// What is on its way between a Worker half and an object.
pub(crate) enum Said<'a> {
    Command(&'a str),
    Reply(&'a str),
}

#[derive(Default)]
struct Object {
    /// The one row: what survives a restart.
    row: Option<Vec<u8>>,
    alarm: Option<Timestamp>,
    /// In memory only.
    machine: Option<Machine>,
    waiting: BTreeMap<CallerId, oneshot::Sender<Reply>>,
    puts: usize,
    /// Counts restarts: a result of work begun before one is lost with it.
    life: u64,
}

impl Objects {
    pub(crate) fn new(kv: Kv) -> Self {
        Self {
            kv,
            objects: RefCell::default(),
            callers: Cell::default(),
            down: Cell::default(),
            answers_left: Cell::default(),
            on_the_way: RefCell::default(),
            asked: Cell::default(),
        }
    }

    pub(crate) async fn ask(
        &self,
        world: &World,
        key: &SessionKey,
        command: Command,
    ) -> Result<Reply, StoreError> {
        self.asked.set(self.asked.get() + 1);
        if let Some(left) = self.answers_left.get() {
            self.down.set(left == 0);
            self.answers_left.set(Some(left.saturating_sub(1)));
        }
        if self.down.get() {
            return Err(StoreError);
        }
        // The command crosses as text, as it does between two isolates.
        let envelope = Envelope { protocol: PROTOCOL, session_key: key.clone(), command };
        if world.is_in_kv() {
            let envelope = Envelope::parse(&serde_json::to_string(&envelope).unwrap()).unwrap();
            return ask_kv(world, key, envelope).await;
        }
        let text = self.rewritten(Said::Command(&serde_json::to_string(&envelope).unwrap()));
        let reply = match self.deliver(world, key, &text).await {
            // The entry asks once more, on a fresh stub.
            Err(StoreError) => self.deliver(world, key, &text).await?,
            Ok(reply) => reply,
        };
        Ok(serde_json::from_str(&self.rewritten(Said::Reply(&reply))).unwrap())
    }

    fn rewritten(&self, said: Said<'_>) -> String {
        match (&*self.on_the_way.borrow(), said) {
            (Some(rewrite), said) => rewrite(said),
            (None, Said::Command(text) | Said::Reply(text)) => text.to_owned(),
        }
    }

    /// One delivery of a command's text: the reply's, or a restart in the way.
    pub(crate) async fn deliver(
        &self,
        world: &World,
        key: &SessionKey,
        text: &str,
    ) -> Result<String, StoreError> {
        let Some(envelope) = Envelope::parse(text) else {
            return Ok(serde_json::to_string(&Reply::Unsupported).unwrap());
        };
        self.callers.set(self.callers.get() + 1);
        let caller = CallerId(self.callers.get());
        let (sender, receiver) = oneshot::channel();
        self.objects.borrow_mut().entry(key.clone()).or_default().waiting.insert(caller, sender);
        self.feed(world, key, Input::Command { caller, envelope });
        let reply = receiver.await.map_err(|_restarted| StoreError)?;
        Ok(serde_json::to_string(&reply).unwrap())
    }

    /// Every object loses its memory and keeps its row, as at a deployment.
    pub(crate) fn restart(&self) {
        self.kv.forgets_isolates();
        for object in self.objects.borrow_mut().values_mut() {
            object.machine = None;
            object.waiting.clear();
            object.life += 1;
        }
    }

    pub(crate) fn next_alarm(&self, until: Timestamp) -> Option<(Timestamp, SessionKey)> {
        let objects = self.objects.borrow();
        let due = objects.iter().filter_map(|(key, object)| Some((object.alarm?, key.clone())));
        due.filter(|(due, _)| *due <= until).min()
    }

    pub(crate) fn ring(&self, world: &World, key: &SessionKey) {
        self.objects.borrow_mut().get_mut(key).unwrap().alarm = None;
        self.feed(world, key, Input::Alarm);
    }

    /// Objects that keep anything.
    pub(crate) fn stored(&self) -> usize {
        let objects = self.objects.borrow();
        objects.values().filter(|object| object.row.is_some()).count() + self.kv.stored().len()
    }

    /// Rows written so far, over all objects.
    pub(crate) fn puts(&self) -> usize {
        self.objects.borrow().values().map(|object| object.puts).sum::<usize>() + self.kv.puts.get()
    }

    /// A dump of all that is stored.
    pub(crate) fn dump(&self) -> Vec<Vec<u8>> {
        let objects = self.objects.borrow();
        let rows = objects.values().filter_map(|object| object.row.clone());
        rows.chain(self.kv.stored().into_values()).collect()
    }

    /// Changes every row: what another release has written.
    pub(crate) fn rewrites_rows(&self, rewrite: impl Fn(&mut [u8])) {
        for object in self.objects.borrow_mut().values_mut() {
            if let Some(row) = &mut object.row {
                rewrite(row);
            }
        }
    }

    fn feed(&self, world: &World, key: &SessionKey, input: Input) {
        let mut objects = self.objects.borrow_mut();
        let object = objects.entry(key.clone()).or_default();
        let machine = object
            .machine
            .get_or_insert_with(|| Machine::load(object_config(world), object.row.as_deref()));
        let effects = machine.handle(input, world.now(), &mut |bytes| world.fill(bytes));
        for effect in effects {
            match effect {
                Effect::Put(row) => {
                    object.puts += 1;
                    object.row = Some(row);
                }
                Effect::DeleteAll => object.row = None,
                Effect::SetAlarm(alarm) => object.alarm = alarm,
                Effect::Start(work) => start(world, key, object.life, work),
                Effect::Reply(caller, reply) => {
                    // A caller that stopped waiting isn't there any more.
                    if let Some(waiting) = object.waiting.remove(&caller) {
                        drop(waiting.send(reply));
                    }
                }
                Effect::Unlist { session, names } => unlist(world, session, names),
                Effect::Audit(event) => world.record(event),
            }
        }
    }
}

fn object_config(world: &World) -> ObjectConfig {
    let config = world.config();
    ObjectConfig { provider: config.provider.clone(), session: config.session.clone() }
}

/// Under `waitUntil`, and nobody hears what came of it.
fn unlist(world: &World, session: SessionKey, names: IndexNames) {
    let task_world = world.clone();
    world.spawn(async move {
        for name in names.iter() {
            let command = SubjectCommand::Unlist { session: session.clone() };
            drop(task_world.ask_subject(name, command).await);
        }
    });
}

/// Under `waitUntil`: goes on whoever stops waiting.
fn start(world: &World, key: &SessionKey, life: u64, work: Work) {
    let (task_world, key) = (world.clone(), key.clone());
    world.spawn(async move {
        let world = task_world;
        let config = object_config(&world);
        let ctx = ObjectContext {
            config: &config,
            ports: &world,
            keys: &world.keys,
            session: session_hash(&config.session.keys, &key),
            log_subject: world.config().log_subject,
        };
        let input = work::done(&ctx, work).await;
        let lives = world.objects.objects.borrow().get(&key).is_some_and(|o| o.life == life);
        if lives {
            world.objects.feed(&world, &key, input);
        }
    });
}

/// As the edge does it: the reply as soon as it is there, the rest under `waitUntil`.
async fn ask_kv(world: &World, key: &SessionKey, envelope: Envelope) -> Result<Reply, StoreError> {
    let (sender, receiver) = oneshot::channel();
    let (task_world, key) = (world.clone(), key.clone());
    world.spawn(async move {
        let world = task_world;
        let config = object_config(&world);
        let ctx = ObjectContext {
            config: &config,
            ports: &world,
            keys: &world.keys,
            session: session_hash(&config.session.keys, &key),
            log_subject: world.config().log_subject,
        };
        let isolate = world.objects.kv.isolate(world.place());
        kv::ask(&ctx, &world, &isolate, envelope, |reply| drop(sender.send(reply))).await;
    });
    receiver.await.map_err(|_silent| StoreError)
}
