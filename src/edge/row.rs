//! An object's storage: one row in its synchronous key-value storage, and one alarm.

use std::{pin::Pin, time::Duration};

use js_sys::{Reflect, Uint8Array};
use wasm_bindgen::{JsCast, JsValue, prelude::wasm_bindgen};
use worker::worker_sys;

use super::platform::Platform;
use crate::{app::ports::Clock as _, time::Timestamp};

/// The storage key of the one row.
const ROW: &str = "session";

/// How long an alarm is put off while the configuration is faulty.
const UNCONFIGURED_RECHECK: Duration = Duration::from_secs(600);

#[wasm_bindgen]
extern "C" {
    /// `ctx.storage.kv`: the synchronous key-value storage of an SQLite object.
    type SyncKv;

    #[wasm_bindgen(method, catch)]
    fn get(this: &SyncKv, key: &str) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(method, catch)]
    fn put(this: &SyncKv, key: &str, value: &Uint8Array) -> Result<(), JsValue>;
}

/// Over an object's `ctx`.
pub(super) struct Row(worker::State);

impl Row {
    /// Writes nothing and reads nothing.
    pub(super) fn new(ctx: JsValue) -> Self {
        Self(worker::State::from(ctx.unchecked_into::<worker_sys::DurableObjectState>()))
    }

    /// What is stored.
    pub(super) fn load(&self) -> Result<Option<Vec<u8>>, JsValue> {
        let value = self.kv()?.get(ROW)?;
        if value.is_undefined() {
            return Ok(None);
        }
        value.dyn_into::<Uint8Array>().map(|bytes| Some(bytes.to_vec()))
    }

    /// Writes the row.
    pub(super) fn put(&self, row: &[u8]) -> Result<(), JsValue> {
        self.kv()?.put(ROW, &Uint8Array::from(row))
    }

    /// Deletes all, the alarm as well.
    pub(super) fn delete_all(&self) -> Result<(), JsValue> {
        self.0.storage().as_raw().delete_all().map(drop)
    }

    /// Sets the alarm, or deletes it.
    pub(super) fn set_alarm(&self, at: Option<Timestamp>) -> Result<(), JsValue> {
        let storage = self.0.storage();
        match at {
            Some(at) => storage.as_raw().set_alarm(date(at), js_sys::Object::new()).map(drop),
            None => storage.as_raw().delete_alarm(js_sys::Object::new()).map(drop),
        }
    }

    /// Puts the alarm off, since the configuration may be mended. The platform gives an alarm that
    /// fails up after six tries, minutes later, and the row would stay for ever.
    pub(super) fn put_alarm_off(&self) -> Result<(), JsValue> {
        self.set_alarm(Some(Platform.now().after(UNCONFIGURED_RECHECK)))
    }

    /// Keeps the object alive until `future` is done. Boxed, so that the making of a promise is
    /// there once for them all.
    pub(super) fn wait_until(&self, future: impl Future<Output = ()> + 'static) {
        self.0.wait_until(Box::pin(future) as Pin<Box<dyn Future<Output = ()>>>);
    }

    fn kv(&self) -> Result<SyncKv, JsValue> {
        let storage = self.0.storage();
        Reflect::get(storage.as_raw(), &JsValue::from_str("kv")).map(JsCast::unchecked_into)
    }
}

fn date(at: Timestamp) -> js_sys::Date {
    js_sys::Date::new(&JsValue::from_f64(at.as_millis() as f64))
}
