//! The session's object: the adapter around [`Machine`], which decides everything.
//!
//! It executes the machine's effects in their order. The record is one value in the object's
//! synchronous key-value storage; the platform's output gate holds back every request and reply
//! until what was written before is durable, so "written before it leaves" is kept by the order of
//! the effects alone.

#![expect(unreachable_pub, reason = "what is exported is reached by the entry, from JavaScript")]

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use js_sys::Function;
use wasm_bindgen::{JsValue, prelude::wasm_bindgen};

use super::{
    callers::{Callers, reply_text},
    environment,
    platform::Platform,
    row::Row,
    store::Objects,
    work_ports::WorkPorts,
};
use crate::{
    app::{
        ObjectContext,
        context::session_hash,
        keys::KeyCache,
        ports::{AuditLog as _, Clock as _, Entropy as _, SubjectStore as _},
        work,
    },
    config,
    session::{
        Command, Effect, Envelope, IndexNames, Input, Machine, ObjectConfig, Reply, SessionKey,
        Work, subject::SubjectCommand,
    },
};

thread_local! {
    /// The object half's statics: values only, shared with no Worker half.
    static OBJECTS: RefCell<Option<Rc<Configured>>> = const { RefCell::new(None) };
}

/// What all objects of an isolate have in common.
pub(super) struct Configured {
    pub(super) config: ObjectConfig,
    log_subject: bool,
    keys: RefCell<KeyCache>,
}

/// The object half's configuration; nothing while it is faulty.
pub(super) fn configured_objects() -> Option<Rc<Configured>> {
    OBJECTS.with(|half| half.borrow().clone())
}

/// Configures the object half of this isolate. A faulty configuration leaves it without one, and
/// every command is answered [`Reply::Broken`]; the Worker half logs the faults. Returns the
/// jurisdiction that other objects are asked in, or nothing.
#[wasm_bindgen]
pub fn configure_objects(environment: &str) -> String {
    let config = config::parse(&environment::read(environment)).ok();
    let jurisdiction = config.as_ref().and_then(|config| config.jurisdiction);
    let objects = config.map(|config| {
        Rc::new(Configured {
            log_subject: config.log_subject,
            config: ObjectConfig { provider: config.provider, session: config.session },
            keys: RefCell::new(KeyCache::new()),
        })
    });
    OBJECTS.with(|half| *half.borrow_mut() = objects);
    jurisdiction.map_or_else(String::new, |jurisdiction| jurisdiction.as_str().to_owned())
}

/// The struct behind the entry's `SessionObject` class. Methods take `&self` and hold no borrow
/// across an await: calls interleave.
#[wasm_bindgen]
pub struct SessionObject {
    object: Rc<Object>,
}

struct Object {
    row: Row,
    subjects: Objects,
    /// Loaded at the first input; gone again when storage failed under it.
    machine: RefCell<Option<Machine>>,
    callers: Callers<Reply>,
    /// Counts the machines that storage failed under.
    life: Cell<u64>,
    /// Which session this is, once a command said so; for the log's hash only.
    session: RefCell<Option<SessionKey>>,
}

#[wasm_bindgen]
impl SessionObject {
    /// Makes the struct for an object's `ctx`; `ask_subjects` reaches the subjects' objects. Writes
    /// nothing and reads nothing.
    #[wasm_bindgen(constructor)]
    pub fn new(ctx: JsValue, ask_subjects: Function) -> Self {
        Self {
            object: Rc::new(Object {
                row: Row::new(ctx),
                subjects: Objects::new(ask_subjects),
                machine: RefCell::new(None),
                callers: Callers::default(),
                life: Cell::new(0),
                session: RefCell::new(None),
            }),
        }
    }

    /// Answers one command, see [`crate::session::Command`]: with the reply's text where it is at
    /// hand, which is the rule, or with a promise of it where the provider is asked first. A reply
    /// that stays the same ([`Machine::steady_until`]) has a line before it: until when, in
    /// milliseconds.
    pub fn command(&self, text: &str) -> Result<JsValue, JsValue> {
        let object = Rc::clone(&self.object);
        let Some(envelope) = Envelope::parse(text) else {
            return Ok(reply_text(&Reply::Unsupported).into());
        };
        let Some(objects) = configured_objects() else {
            return Ok(reply_text(&Reply::Broken).into());
        };
        *object.session.borrow_mut() = Some(envelope.session_key.clone());
        let token = match &envelope.command {
            Command::Access { token, refused_epoch: None, .. } => Some(token.clone()),
            _ => None,
        };
        let (caller, reply) = self.object.callers.wait();
        object.feed(&objects, Input::Command { caller, envelope })?;
        let until = token.and_then(|token| {
            self.object.machine.borrow().as_ref()?.steady_until(&token, Platform.now())
        });
        Ok(match (reply.now_or_later(), until) {
            (Ok(reply), Some(until)) => format!("{}\n{reply}", until.as_millis()).into(),
            (Ok(reply), None) => reply.into(),
            (Err(later), _) => later,
        })
    }

    /// The alarm: whatever is due.
    pub fn alarm(&self) -> Result<(), JsValue> {
        let Some(objects) = configured_objects() else {
            return self.object.row.put_alarm_off();
        };
        Rc::clone(&self.object).feed(&objects, Input::Alarm)
    }
}

impl Object {
    /// One input through the machine, and its effects done. A storage failure forgets the
    /// machine, whose memory is then ahead of the storage, and everyone who waits.
    fn feed(self: Rc<Self>, objects: &Rc<Configured>, input: Input) -> Result<(), JsValue> {
        let done = self.effects(objects, input).and_then(|effects| {
            effects.into_iter().try_for_each(|effect| self.execute(objects, effect))
        });
        if done.is_err() {
            *self.machine.borrow_mut() = None;
            self.life.set(self.life.get().wrapping_add(1));
            self.callers.dismiss();
        }
        done
    }

    fn effects(&self, objects: &Configured, input: Input) -> Result<Vec<Effect>, JsValue> {
        let mut machine = self.machine.borrow_mut();
        if machine.is_none() {
            let stored = self.row.load()?;
            *machine = Some(Machine::load(objects.config.clone(), stored.as_deref()));
        }
        let Some(machine) = machine.as_mut() else { return Ok(Vec::new()) };
        Ok(machine.handle(input, Platform.now(), &mut |bytes| Platform.fill(bytes)))
    }

    fn execute(self: &Rc<Self>, objects: &Rc<Configured>, effect: Effect) -> Result<(), JsValue> {
        match effect {
            Effect::Put(row) => self.row.put(&row),
            Effect::DeleteAll => self.row.delete_all(),
            Effect::SetAlarm(at) => self.row.set_alarm(at),
            Effect::Start(work) => {
                self.start(objects, work);
                Ok(())
            }
            Effect::Reply(caller, reply) => {
                self.callers.answer(caller, &reply);
                Ok(())
            }
            Effect::Unlist { session, names } => {
                self.unlist(session, names);
                Ok(())
            }
            Effect::Audit(event) => {
                Platform.record(event);
                Ok(())
            }
        }
    }

    fn unlist(&self, session: SessionKey, names: IndexNames) {
        let subjects = self.subjects.clone();
        self.row.wait_until(async move {
            for name in names.iter() {
                let command = SubjectCommand::Unlist { session: session.clone() };
                // What is lost of this the subject's object finds out by asking.
                let _lost = subjects.ask_subject(name, command).await;
            }
        });
    }

    /// Talks to the provider, whether or not anyone still waits for it. What a machine asked for
    /// that is gone meanwhile is lost with it: to the next one it would be the result of whatever
    /// it has under way itself, a token for one API in the place of another's.
    fn start(self: &Rc<Self>, objects: &Rc<Configured>, work: Work) {
        let object = Rc::clone(self);
        let objects = Rc::clone(objects);
        let life = self.life.get();
        self.row.wait_until(async move {
            let session =
                object.session.borrow().as_ref().map_or_else(String::new, |key| {
                    session_hash(&objects.config.session.keys, key)
                });
            let ctx = ObjectContext {
                config: &objects.config,
                ports: &WorkPorts::Objects(&object.subjects),
                keys: &objects.keys,
                session,
                log_subject: objects.log_subject,
            };
            let input = work::done(&ctx, work).await;
            if object.life.get() == life {
                // What failed is stored nowhere; whoever waited is told by a dropped sender.
                let _failed = object.feed(&objects, input);
            }
        });
    }
}
