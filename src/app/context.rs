//! What a use case has at hand: the configuration, the ports, and the caches that the edge keeps.
//!
//! The Worker half and the object half have a context each: on the network they don't share an
//! isolate, so they must not share a cache.

use std::cell::RefCell;

use super::{
    keys::KeyCache,
    metadata::MetadataCache,
    ports::{AuditLog, Clock, Entropy, HttpClient, SessionStore, SubjectStore},
};
use crate::{
    base64url,
    config::{Config, Origin},
    http::{cookies, head::RequestHead},
    session::{KeyRing, ObjectConfig, SessionId, SessionKey},
};

/// All ports of the Worker half.
pub trait Ports: ObjectPorts + SessionStore {}

impl<T: ObjectPorts + SessionStore> Ports for T {}

/// All ports of the object half: it asks no other session's object.
pub trait ObjectPorts: HttpClient + SubjectStore + Clock + Entropy + AuditLog {}

impl<T: HttpClient + SubjectStore + Clock + Entropy + AuditLog> ObjectPorts for T {}

/// The Worker half's context, made for each request.
#[derive(Debug)]
pub struct Context<'a, P> {
    /// The checked configuration.
    pub config: &'a Config,
    /// The world.
    pub ports: &'a P,
    /// This isolate's copy of the provider's metadata. Never borrowed across an await.
    pub metadata: &'a RefCell<MetadataCache>,
    /// This isolate's copy of the provider's keys, for logout tokens. Never borrowed across an
    /// await.
    pub keys: &'a RefCell<KeyCache>,
}

/// The object half's context, made for each work.
#[derive(Debug)]
pub struct ObjectContext<'a, P> {
    /// The object's side of the configuration.
    pub config: &'a ObjectConfig,
    /// The world.
    pub ports: &'a P,
    /// This isolate's copy of the provider's keys. Never borrowed across an await.
    pub keys: &'a RefCell<KeyCache>,
    /// Keyed hash of the session, for audit lines ([`session_hash`]).
    pub session: String,
    /// Whether `sub` itself is logged ([`Config::log_subject`]).
    pub log_subject: bool,
}

impl<P: Ports> Context<'_, P> {
    /// Keyed hash of a session, for audit lines.
    pub(crate) fn session_hash(&self, key: &SessionKey) -> String {
        session_hash(&self.config.session.keys, key)
    }

    /// The id of an error that a person sees: on the page and in the log, 12 characters.
    pub(crate) fn event_id(&self) -> String {
        event_id(self.ports)
    }

    /// The session that the request's cookie names, if we issued that cookie. No store is asked.
    pub(crate) fn session_id(&self, head: &RequestHead<'_>, origin: &Origin) -> Option<SessionId> {
        let value = cookies::session(head.known.cookie, origin)?;
        self.config.session.keys.open_cookie(value)
    }

    /// A URL of ours on `origin`: never from the request's `Host`.
    pub(crate) fn endpoint_url(&self, origin: &Origin, endpoint: &str) -> String {
        format!("{}{}/{endpoint}", origin.serialized, self.config.base_path)
    }
}

/// An id for what a person sees on a page, to find it in the log: 12 characters.
pub fn event_id<E: Entropy>(entropy: &E) -> String {
    base64url::encode(entropy.bytes::<9>())
}

/// Keyed hash of a session, for audit lines: tells lines of one session together and opens nothing.
pub fn session_hash(keys: &KeyRing, key: &SessionKey) -> String {
    keys.keyed_hash("audit session", &[key.name().as_bytes()])
}
