//! [`SessionStore`] over Durable Objects: the entry asks the object by RPC, once more on a fresh
//! stub if the object restarted under the call.

use js_sys::{Function, Promise};
use serde::Serialize;
use wasm_bindgen::{JsCast as _, JsValue};
use wasm_bindgen_futures::JsFuture;

use crate::{
    app::ports::{SessionStore, StoreError},
    session::{Command, PROTOCOL, Reply, SessionKey},
};

/// Asks through the entry's `ask(name, text)`.
pub(super) struct DurableStore {
    ask: Function,
}

impl DurableStore {
    /// Over the entry's function of this request.
    pub(super) const fn new(ask: Function) -> Self {
        Self { ask }
    }

    async fn deliver(&self, key: &SessionKey, text: &str) -> Result<Option<String>, JsValue> {
        let promise: Promise = self
            .ask
            .call2(&JsValue::NULL, &JsValue::from_str(&key.name()), &JsValue::from_str(text))?
            .dyn_into()?;
        Ok(JsFuture::from(promise).await?.as_string())
    }
}

impl SessionStore for DurableStore {
    async fn ask(&self, key: &SessionKey, command: Command) -> Result<Reply, StoreError> {
        let text = command_text(key, &command)?;
        match self.deliver(key, &text).await {
            Ok(Some(reply)) => parse_reply(&reply),
            Ok(None) | Err(_) => Err(StoreError),
        }
    }
}

/// A command as it goes to the object.
pub(super) fn command_text(key: &SessionKey, command: &Command) -> Result<String, StoreError> {
    #[derive(Serialize)]
    struct Borrowed<'a> {
        protocol: u32,
        session_key: &'a SessionKey,
        command: &'a Command,
    }
    serde_json::to_string(&Borrowed { protocol: PROTOCOL, session_key: key, command })
        .map_err(|_| StoreError)
}

/// The object's reply; one that this release can't read is a store that didn't answer.
pub(super) fn parse_reply(text: &str) -> Result<Reply, StoreError> {
    serde_json::from_str(text).map_err(|_| StoreError)
}
