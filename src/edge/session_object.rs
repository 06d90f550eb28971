//! The session's object: the adapter around [`Machine`], which decides everything.
//!
//! It executes the machine's effects in their order. The record is one value in the object's
//! synchronous key-value storage; the platform's output gate holds back every request and reply
//! until what was written before is durable, so "written before it leaves" is kept by the order of
//! the effects alone.

#![expect(unreachable_pub, reason = "what is exported is reached by the entry, from JavaScript")]

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
    time::Duration,
};

use futures_channel::oneshot;
use js_sys::{Reflect, Uint8Array};
use wasm_bindgen::{JsCast, JsValue, prelude::wasm_bindgen};
use wasm_bindgen_futures::future_to_promise;
use worker::worker_sys;

use super::{environment, platform::Platform};
use crate::{
    app::{
        ObjectContext,
        context::session_hash,
        keys::KeyCache,
        ports::{AuditLog as _, Clock as _, Entropy as _},
        work,
    },
    config,
    session::{CallerId, Effect, Envelope, Input, Machine, ObjectConfig, Reply, SessionKey, Work},
    time::Timestamp,
};

/// The storage key of the object's one row.
const ROW: &str = "session";

/// How long an alarm is put off while the configuration is faulty.
const UNCONFIGURED_RECHECK: Duration = Duration::from_secs(600);

thread_local! {
    /// The object half's statics: values only, shared with no Worker half.
    static OBJECTS: RefCell<Option<Rc<Objects>>> = const { RefCell::new(None) };
}

struct Objects {
    config: ObjectConfig,
    log_subject: bool,
    keys: RefCell<KeyCache>,
}

/// Configures the object half of this isolate. A faulty configuration leaves it without one, and
/// every command is answered [`Reply::Broken`]; the Worker half logs the faults.
#[wasm_bindgen]
pub fn configure_objects(environment: &str) {
    let objects = config::parse(&environment::read(environment)).ok().map(|config| {
        Rc::new(Objects {
            log_subject: config.log_subject,
            config: ObjectConfig { provider: config.provider, session: config.session },
            keys: RefCell::new(KeyCache::new()),
        })
    });
    OBJECTS.with(|half| *half.borrow_mut() = objects);
}

#[wasm_bindgen]
extern "C" {
    /// `ctx.storage.kv`: the synchronous key-value storage of an SQLite object.
    type SyncKv;

    #[wasm_bindgen(method, catch)]
    fn get(this: &SyncKv, key: &str) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(method, catch)]
    fn put(this: &SyncKv, key: &str, value: &Uint8Array) -> Result<(), JsValue>;
}

/// The struct behind the entry's `SessionObject` class. Methods take `&self` and hold no borrow
/// across an await: calls interleave.
#[wasm_bindgen]
pub struct SessionObject {
    object: Rc<Object>,
}

struct Object {
    state: worker::State,
    /// Loaded at the first input; gone again when storage failed under it.
    machine: RefCell<Option<Machine>>,
    callers: RefCell<BTreeMap<CallerId, oneshot::Sender<String>>>,
    next_caller: Cell<u64>,
    /// Counts the machines that storage failed under.
    life: Cell<u64>,
    /// Which session this is, once a command said so; for the log's hash only.
    session: RefCell<Option<SessionKey>>,
}

#[wasm_bindgen]
impl SessionObject {
    /// Makes the struct for an object's `ctx`. Writes nothing and reads nothing.
    #[wasm_bindgen(constructor)]
    pub fn new(ctx: JsValue) -> Self {
        let state = worker::State::from(ctx.unchecked_into::<worker_sys::DurableObjectState>());
        Self {
            object: Rc::new(Object {
                state,
                machine: RefCell::new(None),
                callers: RefCell::new(BTreeMap::new()),
                next_caller: Cell::new(0),
                life: Cell::new(0),
                session: RefCell::new(None),
            }),
        }
    }

    /// Answers one command, see [`crate::session::Command`]: with the reply's text where it is at
    /// hand, which is the rule, or with a promise of it where the provider is asked first.
    pub fn command(&self, text: &str) -> Result<JsValue, JsValue> {
        let object = Rc::clone(&self.object);
        // A command of a later release is not guessed at.
        let Ok(envelope) = serde_json::from_str::<Envelope>(text) else {
            return Ok(reply_text(&Reply::Unsupported).into());
        };
        let Some(objects) = OBJECTS.with(|half| half.borrow().clone()) else {
            return Ok(reply_text(&Reply::Broken).into());
        };
        *object.session.borrow_mut() = Some(envelope.session_key.clone());
        let caller = CallerId(object.next_caller.get());
        object.next_caller.set(caller.0.wrapping_add(1));
        let (sender, mut receiver) = oneshot::channel();
        object.callers.borrow_mut().insert(caller, sender);
        object.feed(&objects, Input::Command { caller, envelope })?;
        if let Ok(Some(reply)) = receiver.try_recv() {
            return Ok(reply.into());
        }
        Ok(future_to_promise(async move {
            receiver.await.map(JsValue::from).map_err(|_| JsValue::from_str("no reply"))
        })
        .into())
    }

    /// The alarm: whatever is due.
    pub fn alarm(&self) -> Result<(), JsValue> {
        let Some(objects) = OBJECTS.with(|half| half.borrow().clone()) else {
            // Put off, since the configuration may be mended. The platform gives an alarm that fails
            // up after six tries, minutes later, and the row would stay for ever.
            return self.object.set_alarm(Platform.now().after(UNCONFIGURED_RECHECK));
        };
        Rc::clone(&self.object).feed(&objects, Input::Alarm)
    }
}

impl Object {
    /// One input through the machine, and its effects done. A storage failure forgets the
    /// machine, whose memory is then ahead of the storage, and everyone who waits.
    fn feed(self: Rc<Self>, objects: &Rc<Objects>, input: Input) -> Result<(), JsValue> {
        let done = self.effects(objects, input).and_then(|effects| {
            effects.into_iter().try_for_each(|effect| self.execute(objects, effect))
        });
        if done.is_err() {
            *self.machine.borrow_mut() = None;
            self.life.set(self.life.get().wrapping_add(1));
            self.callers.borrow_mut().clear();
        }
        done
    }

    fn effects(&self, objects: &Objects, input: Input) -> Result<Vec<Effect>, JsValue> {
        let mut machine = self.machine.borrow_mut();
        if machine.is_none() {
            let stored = self.load()?;
            *machine = Some(Machine::load(objects.config.clone(), stored.as_deref()));
        }
        let Some(machine) = machine.as_mut() else { return Ok(Vec::new()) };
        Ok(machine.handle(input, Platform.now(), &mut |bytes| Platform.fill(bytes)))
    }

    fn execute(self: &Rc<Self>, objects: &Rc<Objects>, effect: Effect) -> Result<(), JsValue> {
        let storage = self.state.storage();
        match effect {
            Effect::Put(row) => self.kv()?.put(ROW, &Uint8Array::from(row.as_slice())),
            Effect::DeleteAll => storage.as_raw().delete_all().map(drop),
            Effect::SetAlarm(Some(at)) => self.set_alarm(at),
            Effect::SetAlarm(None) => {
                storage.as_raw().delete_alarm(js_sys::Object::new()).map(drop)
            }
            Effect::Start(work) => {
                self.start(objects, work);
                Ok(())
            }
            Effect::Reply(caller, reply) => {
                if let Some(sender) = self.callers.borrow_mut().remove(&caller) {
                    // A caller that stopped waiting is no fault.
                    let _gone = sender.send(reply_text(&reply));
                }
                Ok(())
            }
            Effect::Audit(event) => {
                Platform.record(event);
                Ok(())
            }
        }
    }

    /// Talks to the provider, whether or not anyone still waits for it. What a machine asked for
    /// that is gone meanwhile is lost with it: to the next one it would be the result of whatever
    /// it has under way itself, a token for one API in the place of another's.
    fn start(self: &Rc<Self>, objects: &Rc<Objects>, work: Work) {
        let object = Rc::clone(self);
        let objects = Rc::clone(objects);
        let life = self.life.get();
        self.state.wait_until(async move {
            let session =
                object.session.borrow().as_ref().map_or_else(String::new, |key| {
                    session_hash(&objects.config.session.keys, key)
                });
            let ctx = ObjectContext {
                config: &objects.config,
                ports: &Platform,
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

    fn set_alarm(&self, at: Timestamp) -> Result<(), JsValue> {
        let storage = self.state.storage();
        storage.as_raw().set_alarm(date(at), js_sys::Object::new()).map(drop)
    }

    fn kv(&self) -> Result<SyncKv, JsValue> {
        let storage = self.state.storage();
        Reflect::get(storage.as_raw(), &JsValue::from_str("kv")).map(JsCast::unchecked_into)
    }

    fn load(&self) -> Result<Option<Vec<u8>>, JsValue> {
        let value = self.kv()?.get(ROW)?;
        if value.is_undefined() {
            return Ok(None);
        }
        value.dyn_into::<Uint8Array>().map(|bytes| Some(bytes.to_vec()))
    }
}

fn reply_text(reply: &Reply) -> String {
    // Replies hold text, numbers and maps with text keys: nothing in them can fail to be written.
    serde_json::to_string(reply).unwrap_or_else(|_| "\"broken\"".to_owned())
}

fn date(at: Timestamp) -> js_sys::Date {
    js_sys::Date::new(&JsValue::from_f64(at.as_millis() as f64))
}
