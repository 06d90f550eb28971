//! The ports: all that a use case may ask of the world. Natively they are in memory, on wasm32
//! the edge implements them.

use std::time::Duration;

use crate::{
    audit::Event,
    http::message::{HttpRequest, HttpResponse, TransportError},
    session::{
        Command, Reply, SessionKey,
        subject::{IndexName, SubjectCommand, SubjectReply},
    },
    time::Timestamp,
};

/// Sends a request to the provider: no redirect followed, body and time bounded as it says.
#[expect(async_fn_in_trait, reason = "one thread on wasm32: a Send bound would only be in the way")]
pub trait HttpClient {
    /// Sends `request`; any status is an `Ok`.
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, TransportError>;
}

/// Asks a session's object.
#[expect(async_fn_in_trait, reason = "one thread on wasm32: a Send bound would only be in the way")]
pub trait SessionStore {
    /// Delivers `command` to the object that `key` names.
    async fn ask(&self, key: &SessionKey, command: Command) -> Result<Reply, StoreError>;
}

/// Asks a subject's object.
#[expect(async_fn_in_trait, reason = "one thread on wasm32: a Send bound would only be in the way")]
pub trait SubjectStore {
    /// Delivers `command` to the object that `index` names.
    async fn ask_subject(
        &self,
        index: &IndexName,
        command: SubjectCommand,
    ) -> Result<SubjectReply, StoreError>;
}

/// Values by key, where what is read may be older than what was written elsewhere, and a key may
/// still be missing there (Workers KV).
#[expect(async_fn_in_trait, reason = "one thread on wasm32: a Send bound would only be in the way")]
pub trait KeyValue {
    /// What is under `keys`, asked for all at once.
    async fn read<const N: usize>(
        &self,
        keys: [&str; N],
    ) -> Result<[Option<Vec<u8>>; N], StoreError>;

    /// Keeps `value` under `key` for `seconds`, 60 at least. Refused where the same key was written
    /// less than a second ago.
    async fn put(&self, key: &str, value: &[u8], seconds: u64) -> Result<(), StoreError>;

    /// Keeps nothing under `key` any more.
    async fn delete(&self, key: &str) -> Result<(), StoreError>;

    /// Lets `time` pass.
    async fn wait(&self, time: Duration);
}

/// The store didn't answer: an overloaded or restarting object, a lost connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the session store did not answer")]
pub struct StoreError;

/// The clock.
pub trait Clock {
    /// Now.
    fn now(&self) -> Timestamp;
}

/// Randomness of cryptographic quality.
pub trait Entropy {
    /// Fills `bytes`.
    fn fill(&self, bytes: &mut [u8]);

    /// `N` fresh bytes.
    fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.fill(&mut bytes);
        bytes
    }
}

/// Where audit events go: the only thing that is logged.
pub trait AuditLog {
    /// Writes one event.
    fn record(&self, event: Event);
}
