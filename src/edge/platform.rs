//! Clock, randomness and the log of the platform.

use wasm_bindgen::{JsValue, prelude::wasm_bindgen};

use crate::{
    app::ports::{AuditLog, Clock, Entropy},
    audit::Event,
    time::Timestamp,
};

/// Replaces the default panic hook, which would log message and stack: a panic is a defect, and
/// its text may hold what a request brought. Only the place in the source is told.
#[wasm_bindgen(start)]
fn start() {
    std::panic::set_hook(Box::new(|panic| {
        let location = panic.location().map_or_else(String::new, ToString::to_string);
        Platform.record(Event::Trapped { location });
    }));
}

/// The clock, the source of randomness, the log and the network, as the platform gives them.
pub(super) struct Platform;

/// Who has them too.
pub(super) trait OnPlatform {}

impl OnPlatform for Platform {}

impl<T: OnPlatform> Clock for T {
    fn now(&self) -> Timestamp {
        timestamp(js_sys::Date::now())
    }
}

impl<T: OnPlatform> Entropy for T {
    #[expect(clippy::disallowed_methods, reason = "the one place where randomness enters")]
    #[expect(clippy::panic, reason = "a platform without randomness must not go on")]
    fn fill(&self, bytes: &mut [u8]) {
        if getrandom::fill(bytes).is_err() {
            panic!("the platform gave no randomness");
        }
    }
}

impl<T: OnPlatform> AuditLog for T {
    fn record(&self, event: Event) {
        let line = event.line(self.now());
        web_sys::console::log_1(&JsValue::from_str(&line));
    }
}

/// A JavaScript time value as a [`Timestamp`]: milliseconds, positive and far below 2^53.
pub(super) fn timestamp(millis: f64) -> Timestamp {
    Timestamp::from_millis(millis as u64)
}
