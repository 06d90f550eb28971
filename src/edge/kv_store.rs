//! Sessions in Workers KV: [`KeyValue`] over the namespace `SESSIONS_KV`, and the entry's way to
//! [`kv::ask`].
//!
//! Runs in the Worker half's isolates, beside it: its statics are its own.

#![expect(unreachable_pub, reason = "what is exported is reached by the entry, from JavaScript")]

use std::{cell::RefCell, rc::Rc, time::Duration};

use js_sys::{Array, Function, Object, Promise, Reflect, Uint8Array};
use wasm_bindgen::{JsCast as _, JsValue, prelude::wasm_bindgen};
use wasm_bindgen_futures::JsFuture;

use super::{callers::reply_text, store::read, work_ports::WorkPorts};
use crate::{
    app::{
        ObjectContext,
        context::session_hash,
        keys::KeyCache,
        kv::{self, Isolate},
        ports::{KeyValue, StoreError, SubjectStore as _},
    },
    config::Config,
    session::{
        Envelope, ObjectConfig, Reply,
        subject::{SubjectEnvelope, SubjectReply},
    },
};

/// For how long a place may go on with what it has read, in seconds: the least that KV takes.
const CACHE_TTL: u32 = 30;

thread_local! {
    static SESSIONS: RefCell<Option<Rc<Sessions>>> = const { RefCell::new(None) };
}

struct Sessions {
    config: ObjectConfig,
    log_subject: bool,
    keys: RefCell<KeyCache>,
    isolate: RefCell<Isolate>,
}

/// Makes this isolate ready, or unready where sessions aren't kept in KV.
pub(super) fn configure(config: Option<&Config>) {
    let sessions = config.filter(|config| config.session.store.is_kv()).map(|config| {
        Rc::new(Sessions {
            config: ObjectConfig {
                provider: config.provider.clone(),
                session: config.session.clone(),
            },
            log_subject: config.log_subject,
            keys: RefCell::new(KeyCache::new()),
            isolate: RefCell::new(Isolate::new()),
        })
    });
    SESSIONS.with(|kept| *kept.borrow_mut() = sessions);
}

/// Takes one command, see [`crate::session::Command`], and hands the reply's text to `answer` as
/// soon as it is known. The promise settles when all is done that the command led to; to be kept
/// alive by `waitUntil`.
#[wasm_bindgen]
pub async fn ask_kv(namespace: KvNamespace, text: String, answer: Function) {
    let answer = |reply: &Reply| {
        // It settles a promise; there is nothing that it could throw.
        let _settled = answer.call1(&JsValue::NULL, &JsValue::from_str(&reply_text(reply)));
    };
    let Ok(envelope) = read::<Envelope>(&text) else {
        return answer(&Reply::Unsupported);
    };
    let Some(sessions) = SESSIONS.with(|kept| kept.borrow().clone()) else {
        return answer(&Reply::Broken);
    };
    let ctx = ObjectContext {
        config: &sessions.config,
        ports: &work_ports(&namespace, &sessions),
        keys: &sessions.keys,
        session: session_hash(&sessions.config.session.keys, &envelope.session_key),
        log_subject: sessions.log_subject,
    };
    kv::ask(&ctx, &namespace, &sessions.isolate, envelope, |reply| answer(&reply)).await;
}

/// The same for what a subject's object would be asked, see
/// [`crate::session::subject::SubjectCommand`].
#[wasm_bindgen]
pub async fn ask_kv_subject(namespace: KvNamespace, text: String, answer: Function) {
    let sessions = SESSIONS.with(|kept| kept.borrow().clone());
    let reply = match (read::<SubjectEnvelope>(&text), sessions) {
        (Ok(SubjectEnvelope { index, command, .. }), Some(sessions)) => {
            let ports = work_ports(&namespace, &sessions);
            ports.ask_subject(&index, command).await.unwrap_or(SubjectReply::Broken)
        }
        (Err(StoreError), _) => SubjectReply::Unsupported,
        (Ok(_), None) => SubjectReply::Broken,
    };
    let _settled = answer.call1(&JsValue::NULL, &JsValue::from_str(&reply_text(&reply)));
}

fn work_ports<'a>(namespace: &'a KvNamespace, sessions: &'a Sessions) -> WorkPorts<'a> {
    WorkPorts::Kv { namespace, config: &sessions.config.session }
}

#[wasm_bindgen]
extern "C" {
    /// A KV namespace's binding.
    pub type KvNamespace;

    #[wasm_bindgen(method, catch)]
    fn get(this: &KvNamespace, key: &str, options: &Object) -> Result<Promise, JsValue>;

    #[wasm_bindgen(method, catch, js_name = put)]
    async fn put_value(
        this: &KvNamespace,
        key: &str,
        value: &Uint8Array,
        options: &Object,
    ) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(method, catch, js_name = delete)]
    async fn delete_value(this: &KvNamespace, key: &str) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(js_namespace = scheduler, js_name = wait, catch)]
    async fn scheduler_wait(millis: f64) -> Result<JsValue, JsValue>;
}

impl KvNamespace {
    async fn values(&self, keys: &[&str]) -> Result<Array, JsValue> {
        let options = Object::new();
        Reflect::set(&options, &"type".into(), &"arrayBuffer".into())?;
        Reflect::set(&options, &"cacheTtl".into(), &CACHE_TTL.into())?;
        let promises = Array::new();
        for key in keys {
            promises.push(&self.get(key, &options)?.into());
        }
        JsFuture::from(Promise::all(&promises)).await?.dyn_into()
    }
}

impl KeyValue for KvNamespace {
    async fn read<const N: usize>(
        &self,
        keys: [&str; N],
    ) -> Result<[Option<Vec<u8>>; N], StoreError> {
        let values = self.values(&keys).await.map_err(|_| StoreError)?;
        let mut values = values.iter();
        Ok(keys.map(|_| {
            let value = values.next().filter(|value| !value.is_null())?;
            Some(Uint8Array::new(&value).to_vec())
        }))
    }

    async fn put(&self, key: &str, value: &[u8], seconds: u64) -> Result<(), StoreError> {
        let options = Object::new();
        // Far below 2^53: at most the 400 days of an absolute limit.
        let seconds = JsValue::from_f64(seconds as f64);
        Reflect::set(&options, &"expirationTtl".into(), &seconds).map_err(|_| StoreError)?;
        let put = self.put_value(key, &Uint8Array::from(value), &options).await;
        put.map(drop).map_err(|_| StoreError)
    }

    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        self.delete_value(key).await.map(drop).map_err(|_| StoreError)
    }

    async fn wait(&self, time: Duration) {
        // A platform that can't wait goes on at once.
        let _waited = scheduler_wait(time.as_secs_f64() * 1000.0).await;
    }
}
