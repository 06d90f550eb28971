//! Who waits for an object's reply.

use std::{
    cell::{Cell, RefCell},
    marker::PhantomData,
};

use futures_channel::oneshot;
use serde::Serialize;
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::future_to_promise;

use crate::session::CallerId;

/// Callers of an object that answers with `R`.
pub(super) struct Callers<R> {
    waiting: RefCell<Vec<(CallerId, oneshot::Sender<String>)>>,
    next: Cell<u64>,
    replies: PhantomData<R>,
}

/// A reply to come.
pub(super) struct Waiting(oneshot::Receiver<String>);

impl<R> Default for Callers<R> {
    fn default() -> Self {
        Self { waiting: RefCell::default(), next: Cell::new(0), replies: PhantomData }
    }
}

impl<R: Serialize> Callers<R> {
    /// One more caller.
    pub(super) fn wait(&self) -> (CallerId, Waiting) {
        let caller = CallerId(self.next.get());
        self.next.set(caller.0.wrapping_add(1));
        let (sender, receiver) = oneshot::channel();
        self.waiting.borrow_mut().push((caller, sender));
        (caller, Waiting(receiver))
    }

    /// Answers one. A caller that stopped waiting is no fault.
    pub(super) fn answer(&self, caller: CallerId, reply: &R) {
        let mut waiting = self.waiting.borrow_mut();
        if let Some(at) = waiting.iter().position(|(waiter, _)| *waiter == caller) {
            let (_, sender) = waiting.swap_remove(at);
            let _gone = sender.send(reply_text(reply));
        }
    }

    /// Tells everybody that there will be no reply.
    pub(super) fn dismiss(&self) {
        self.waiting.borrow_mut().clear();
    }
}

impl Waiting {
    /// The reply's text where it is at hand, which is the rule.
    ///
    /// # Errors
    ///
    /// A promise of it.
    pub(super) fn now_or_later(mut self) -> Result<String, JsValue> {
        if let Ok(Some(reply)) = self.0.try_recv() {
            return Ok(reply);
        }
        Err(future_to_promise(async move {
            self.0.await.map(JsValue::from).map_err(|_| JsValue::from_str("no reply"))
        })
        .into())
    }
}

/// A reply as it goes back.
pub(super) fn reply_text<R: Serialize>(reply: &R) -> String {
    // Replies hold text, numbers and maps with text keys: nothing in them can fail to be written.
    serde_json::to_string(reply).unwrap_or_else(|_| "\"broken\"".to_owned())
}
