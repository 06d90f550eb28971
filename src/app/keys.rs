//! The provider's keys, kept in the object half's isolate.
//!
//! Kept for an hour, fetched again early when a signature's key isn't among them (at most once in
//! 30 s: a token with an invented `kid` must not make us hammer the provider; of many that come at once
//! a few), and used for up to
//! a day while the provider is down. Only values are kept, never a fetch under way: who comes while
//! another one's is can't wait for it, and fetches too.

use std::{collections::BTreeMap, time::Duration};

use super::context::{ObjectContext, ObjectPorts};
use crate::{
    audit::{Event, ProviderStep},
    jose::JwkSet,
    time::Timestamp,
};

/// How long keys are fresh.
const FRESH: Duration = Duration::from_secs(60 * 60);
/// How long they serve while the provider is down.
const STALE: Duration = Duration::from_secs(24 * 60 * 60);
/// How long a failed fetch isn't tried again.
const PAUSE: Duration = Duration::from_secs(5);
/// How far apart two searches for an unknown key are at least.
const SEARCH_INTERVAL: Duration = Duration::from_secs(30);
/// How many searches begin before the first has found something: whoever can post a token could make
/// us ask for the keys once for each otherwise, for as long as the provider takes to answer.
const MAX_SEARCHES: u32 = 16;
/// More providers than one come into a cache only while a configuration changes.
const MAX_ENTRIES: usize = 4;

/// Keys by `jwks_uri`; lives in a static of the edge.
#[derive(Clone, Debug, Default)]
pub struct KeyCache {
    entries: BTreeMap<String, Entry>,
}

#[derive(Clone, Debug, Default)]
struct Entry {
    kept: Option<(JwkSet, Timestamp)>,
    failed_at: Option<Timestamp>,
    searched_at: Option<Timestamp>,
    /// Since when searches are counted, and how many have begun.
    searches: Option<(Timestamp, u32)>,
}

impl KeyCache {
    /// An empty cache.
    pub const fn new() -> Self {
        Self { entries: BTreeMap::new() }
    }

    fn entry(&mut self, jwks_uri: &str) -> &mut Entry {
        if self.entries.len() >= MAX_ENTRIES && !self.entries.contains_key(jwks_uri) {
            self.entries.clear();
        }
        self.entries.entry(jwks_uri.to_owned()).or_default()
    }
}

impl Entry {
    fn younger_than(&self, age: Duration, now: Timestamp) -> Option<JwkSet> {
        self.kept
            .as_ref()
            .filter(|(_, fetched_at)| now.since(*fetched_at) < age)
            .map(|(set, _)| set.clone())
    }

    fn may_fetch(&self, now: Timestamp) -> bool {
        self.failed_at.is_none_or(|failed_at| now.since(failed_at) >= PAUSE)
    }

    /// Counts by their beginnings: one that a browser left, or a trap, never comes to an end.
    fn begins_search(&mut self, now: Timestamp) -> bool {
        let is_over = |since: Timestamp| now.since(since) >= SEARCH_INTERVAL;
        if !self.may_fetch(now) || !self.searched_at.is_none_or(is_over) {
            return false;
        }
        let (since, begun) =
            self.searches.filter(|(since, _)| !is_over(*since)).unwrap_or((now, 0));
        self.searches = Some((since, begun.saturating_add(1)));
        begun < MAX_SEARCHES
    }
}

/// The keys can't be had just now, and no copy is young enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the provider's keys can't be had")]
pub struct KeysUnavailable;

/// The provider's keys: from the cache, else fetched, else the old copy.
pub async fn keys<P: ObjectPorts>(
    ctx: &ObjectContext<'_, P>,
    jwks_uri: &str,
) -> Result<JwkSet, KeysUnavailable> {
    let now = ctx.ports.now();
    let (fresh, stale, may_fetch) = {
        let mut cache = ctx.keys.borrow_mut();
        let entry = cache.entry(jwks_uri);
        (entry.younger_than(FRESH, now), entry.younger_than(STALE, now), entry.may_fetch(now))
    };
    if let Some(set) = fresh {
        return Ok(set);
    }
    let fetched = if may_fetch { fetch(ctx, jwks_uri).await } else { None };
    fetched.or(stale).ok_or(KeysUnavailable)
}

/// Fetches the keys again because a signature's key isn't among those we have.
///
/// # Errors
///
/// That was done less than 30 s ago, too many are at it, or the provider doesn't answer: nobody knows then whether
/// the key is the provider's.
pub async fn search<P: ObjectPorts>(
    ctx: &ObjectContext<'_, P>,
    jwks_uri: &str,
) -> Result<JwkSet, KeysUnavailable> {
    let now = ctx.ports.now();
    if !ctx.keys.borrow_mut().entry(jwks_uri).begins_search(now) {
        return Err(KeysUnavailable);
    }
    let found = fetch(ctx, jwks_uri).await;
    // Only now: a login beside this one, its code spent, would be refused for keys that are coming.
    let now = ctx.ports.now();
    ctx.keys.borrow_mut().entry(jwks_uri).searched_at = Some(now);
    found.ok_or(KeysUnavailable)
}

async fn fetch<P: ObjectPorts>(ctx: &ObjectContext<'_, P>, jwks_uri: &str) -> Option<JwkSet> {
    let request = JwkSet::request(jwks_uri);
    let (status, set) = match ctx.ports.send(request).await {
        Ok(response) => {
            let status = response.status;
            (Some(status), JwkSet::parse(response).map_err(|_error| "unusable_keys"))
        }
        Err(error) => (None, Err(super::exchange::transport_kind(error))),
    };
    let now = ctx.ports.now();
    let mut cache = ctx.keys.borrow_mut();
    let entry = cache.entry(jwks_uri);
    match set {
        Ok(set) => {
            entry.kept = Some((set.clone(), now));
            entry.failed_at = None;
            Some(set)
        }
        Err(trouble) => {
            entry.failed_at = Some(now);
            ctx.ports.record(Event::ProviderTrouble { step: ProviderStep::Keys, trouble, status });
            None
        }
    }
}
