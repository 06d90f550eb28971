//! The subject's object: the adapter around [`SubjectMachine`], which decides everything. As with a
//! session's object, effects are done in their order and the platform's output gate keeps what was
//! written before whatever leaves after it.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use js_sys::Function;
use wasm_bindgen::{JsValue, prelude::wasm_bindgen};

use super::{
    callers::Callers,
    platform::Platform,
    row::Row,
    session_object::{Configured, configured_objects},
    store::Objects,
};
use crate::{
    app::ports::{AuditLog as _, Clock as _, Entropy as _, SessionStore as _},
    session::subject::{
        Question, SubjectEffect, SubjectEnvelope, SubjectInput, SubjectMachine, SubjectReply,
    },
};

/// The struct behind the entry's `SubjectObject` class.
#[wasm_bindgen]
pub struct SubjectObject {
    object: Rc<Object>,
}

struct Object {
    row: Row,
    sessions: Objects,
    /// Loaded at the first input; gone again when storage failed under it.
    machine: RefCell<Option<SubjectMachine>>,
    callers: Callers<SubjectReply>,
    /// Counts the machines that storage failed under.
    life: Cell<u64>,
}

#[wasm_bindgen]
impl SubjectObject {
    /// Makes the struct for an object's `ctx`; `ask_sessions` reaches the sessions' objects. Writes
    /// nothing and reads nothing.
    #[wasm_bindgen(constructor)]
    pub fn new(ctx: JsValue, ask_sessions: Function) -> Self {
        Self {
            object: Rc::new(Object {
                row: Row::new(ctx),
                sessions: Objects::new(ask_sessions),
                machine: RefCell::new(None),
                callers: Callers::default(),
                life: Cell::new(0),
            }),
        }
    }

    /// Answers one command, see [`crate::session::subject::SubjectCommand`]: with the reply's text,
    /// or with a promise of it.
    pub fn command(&self, text: &str) -> Result<JsValue, JsValue> {
        let object = Rc::clone(&self.object);
        let Ok(envelope) = crate::json::read::<SubjectEnvelope>(text.as_bytes()) else {
            return Ok(JsValue::from_str("\"unsupported\""));
        };
        let Some(configured) = configured_objects() else {
            return Ok(JsValue::from_str("\"broken\""));
        };
        let (caller, reply) = self.object.callers.wait();
        object.feed(&configured, SubjectInput::Command { caller, envelope })?;
        Ok(reply.now_or_later().map_or_else(|later| later, JsValue::from))
    }

    /// The alarm: whatever is due.
    pub fn alarm(&self) -> Result<(), JsValue> {
        let Some(configured) = configured_objects() else {
            return self.object.row.put_alarm_off();
        };
        Rc::clone(&self.object).feed(&configured, SubjectInput::Alarm)
    }
}

impl Object {
    fn feed(
        self: Rc<Self>,
        configured: &Rc<Configured>,
        input: SubjectInput,
    ) -> Result<(), JsValue> {
        let done = self.effects(configured, input).and_then(|effects| {
            effects.into_iter().try_for_each(|effect| self.execute(configured, effect))
        });
        if done.is_err() {
            *self.machine.borrow_mut() = None;
            self.life.set(self.life.get().wrapping_add(1));
            self.callers.dismiss();
        }
        done
    }

    fn effects(
        &self,
        configured: &Configured,
        input: SubjectInput,
    ) -> Result<Vec<SubjectEffect>, JsValue> {
        let mut machine = self.machine.borrow_mut();
        if machine.is_none() {
            let stored = self.row.load()?;
            let keys = configured.config.session.keys.clone();
            *machine = Some(SubjectMachine::load(keys, stored.as_deref()));
        }
        let Some(machine) = machine.as_mut() else { return Ok(Vec::new()) };
        Ok(machine.handle(input, Platform.now(), &mut |bytes| Platform.fill(bytes)))
    }

    fn execute(
        self: &Rc<Self>,
        configured: &Rc<Configured>,
        effect: SubjectEffect,
    ) -> Result<(), JsValue> {
        match effect {
            SubjectEffect::Put(row) => self.row.put(&row),
            SubjectEffect::DeleteAll => self.row.delete_all(),
            SubjectEffect::SetAlarm(at) => self.row.set_alarm(at),
            SubjectEffect::Ask(question) => {
                self.ask(configured, question);
                Ok(())
            }
            SubjectEffect::Reply(caller, reply) => {
                self.callers.answer(caller, &reply);
                Ok(())
            }
            SubjectEffect::Audit(event) => {
                Platform.record(event);
                Ok(())
            }
        }
    }

    /// Whether or not anyone still waits for it. The answer to a question of a machine that is gone
    /// meanwhile is lost with it.
    fn ask(self: &Rc<Self>, configured: &Rc<Configured>, question: Question) {
        let (object, configured) = (Rc::clone(self), Rc::clone(configured));
        let life = self.life.get();
        self.row.wait_until(async move {
            let reply = object.sessions.ask(&question.session, question.command()).await;
            let word = question.word(reply.as_ref().ok());
            if object.life.get() == life {
                // What failed is stored nowhere; whoever waited is told by a dropped sender.
                let input = SubjectInput::Answered(question, word);
                let _failed = object.feed(&configured, input);
            }
        });
    }
}
