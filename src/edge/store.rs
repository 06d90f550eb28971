//! [`SessionStore`] and [`SubjectStore`] over Durable Objects: the entry asks the object by RPC, once
//! more on a fresh stub if the object restarted under the call.

use js_sys::{Function, Promise};
use serde::{Serialize, de::DeserializeOwned};
use wasm_bindgen::{JsCast as _, JsValue};
use wasm_bindgen_futures::JsFuture;

use crate::{
    app::ports::{SessionStore, StoreError, SubjectStore},
    session::{
        Command, PROTOCOL, Reply, SessionKey,
        subject::{IndexName, SubjectCommand, SubjectReply},
    },
};

/// Objects of one class, asked through a function `(name, text) => Promise<text>` of the entry's.
#[derive(Clone)]
pub(super) struct Objects(Function);

impl Objects {
    /// Over a function of this request's, or of this object's.
    pub(super) const fn new(ask: Function) -> Self {
        Self(ask)
    }

    async fn ask<T: DeserializeOwned>(&self, name: &str, text: &str) -> Result<T, StoreError> {
        match self.deliver(name, text).await {
            // One that this release can't read is a store that didn't answer.
            Ok(Some(reply)) => read(&reply),
            Ok(None) | Err(_) => Err(StoreError),
        }
    }

    async fn deliver(&self, name: &str, text: &str) -> Result<Option<String>, JsValue> {
        let (name, text) = (JsValue::from_str(name), JsValue::from_str(text));
        let promise: Promise = self.0.call2(&JsValue::NULL, &name, &text)?.dyn_into()?;
        Ok(JsFuture::from(promise).await?.as_string())
    }
}

/// The sessions' objects.
impl SessionStore for Objects {
    async fn ask(&self, key: &SessionKey, command: Command) -> Result<Reply, StoreError> {
        Self::ask(self, &key.name(), &command_text(key, &command)?).await
    }
}

/// The subjects' objects.
impl SubjectStore for Objects {
    async fn ask_subject(
        &self,
        index: &IndexName,
        command: SubjectCommand,
    ) -> Result<SubjectReply, StoreError> {
        #[derive(Serialize)]
        struct Borrowed<'a> {
            protocol: u32,
            index: &'a IndexName,
            command: &'a SubjectCommand,
        }
        let text = text(&Borrowed { protocol: PROTOCOL, index, command: &command })?;
        Self::ask(self, index.as_str(), &text).await
    }
}

/// A command as it goes to a session's object.
pub(super) fn command_text(key: &SessionKey, command: &Command) -> Result<String, StoreError> {
    #[derive(Serialize)]
    struct Borrowed<'a> {
        protocol: u32,
        session_key: &'a SessionKey,
        command: &'a Command,
    }
    text(&Borrowed { protocol: PROTOCOL, session_key: key, command })
}

fn text<T: Serialize>(envelope: &T) -> Result<String, StoreError> {
    serde_json::to_string(envelope).map_err(|_| StoreError)
}

/// Reads what one half wrote for the other.
pub(super) fn read<T: DeserializeOwned>(text: &str) -> Result<T, StoreError> {
    crate::json::read(text.as_bytes()).map_err(|_| StoreError)
}
