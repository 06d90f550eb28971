//! The provider's metadata, kept in the Worker half's isolate.
//!
//! Kept for an hour; after that the next login fetches it anew. While the provider is down the
//! old copy serves for up to a day, and a failed fetch isn't tried again for five seconds, so that
//! a provider in trouble isn't stampeded. Only values are kept, never a fetch under way: an
//! isolate may not wait on another request's I/O.

use std::time::Duration;

use super::context::{Context, Ports};
use crate::{
    audit::{Event, ProviderStep},
    oauth::{Metadata, MetadataError},
    time::Timestamp,
};

/// How long a copy is fresh.
const FRESH: Duration = Duration::from_secs(60 * 60);
/// How long a copy serves while the provider is down.
const STALE: Duration = Duration::from_secs(24 * 60 * 60);
/// How long a failed fetch isn't tried again.
const PAUSE: Duration = Duration::from_secs(5);
/// How long an answer of the provider counts as a sign of life.
const SURELY_UP: Duration = Duration::from_secs(30);

/// What is known of the provider; lives in a static of the edge.
#[derive(Clone, Debug, Default)]
pub struct MetadataCache {
    kept: Option<Kept>,
    failed_at: Option<Timestamp>,
}

#[derive(Clone, Debug)]
struct Kept {
    metadata: Metadata,
    fetched_at: Timestamp,
}

impl MetadataCache {
    /// An empty cache.
    pub const fn new() -> Self {
        Self { kept: None, failed_at: None }
    }

    fn younger_than(&self, age: Duration, issuer: &str, now: Timestamp) -> Option<Metadata> {
        self.kept
            .as_ref()
            .filter(|kept| kept.metadata.issuer == issuer && now.since(kept.fetched_at) < age)
            .map(|kept| kept.metadata.clone())
    }

    fn may_fetch(&self, now: Timestamp) -> bool {
        self.failed_at.is_none_or(|failed_at| now.since(failed_at) >= PAUSE)
    }

    fn keep(&mut self, metadata: Metadata, now: Timestamp) {
        self.kept = Some(Kept { metadata, fetched_at: now });
        self.failed_at = None;
    }
}

/// The provider's metadata can't be had just now, and no copy is young enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the provider's metadata can't be had")]
pub struct MetadataUnavailable;

/// The provider's metadata: from the cache, else fetched, else the old copy.
pub async fn metadata<P: Ports>(ctx: &Context<'_, P>) -> Result<Metadata, MetadataUnavailable> {
    let provider = &ctx.config.provider;
    let now = ctx.ports.now();
    if let Some(metadata) = ctx.metadata.borrow().younger_than(FRESH, &provider.issuer, now) {
        return Ok(metadata);
    }
    if ctx.metadata.borrow().may_fetch(now)
        && let Some(metadata) = renew(ctx).await
    {
        return Ok(metadata);
    }
    ctx.metadata.borrow().younger_than(STALE, &provider.issuer, now).ok_or(MetadataUnavailable)
}

/// Whether the provider answers; asks it at most once in 30 s.
pub(super) async fn provider_answers<P: Ports>(ctx: &Context<'_, P>) -> bool {
    let now = ctx.ports.now();
    let issuer = &ctx.config.provider.issuer;
    if ctx.metadata.borrow().younger_than(SURELY_UP, issuer, now).is_some() {
        return true;
    }
    let may_fetch = ctx.metadata.borrow().may_fetch(now);
    may_fetch && renew(ctx).await.is_some()
}

/// Fetches, and keeps what came of it.
async fn renew<P: Ports>(ctx: &Context<'_, P>) -> Option<Metadata> {
    let fetched = fetch(ctx).await;
    let now = ctx.ports.now();
    let mut cache = ctx.metadata.borrow_mut();
    match fetched {
        Ok(metadata) => {
            cache.keep(metadata.clone(), now);
            Some(metadata)
        }
        Err(trouble) => {
            cache.failed_at = Some(now);
            ctx.ports.record(trouble);
            None
        }
    }
}

async fn fetch<P: Ports>(ctx: &Context<'_, P>) -> Result<Metadata, Event> {
    let provider = &ctx.config.provider;
    let trouble =
        |trouble, status| Event::ProviderTrouble { step: ProviderStep::Discovery, trouble, status };
    let response = match ctx.ports.send(Metadata::request(provider)).await {
        Ok(response) => response,
        Err(error) => return Err(trouble(super::exchange::transport_kind(error), None)),
    };
    let status = response.status;
    Metadata::parse(provider, response).map_err(|error| trouble(kind(error), Some(status)))
}

/// The log's word for what is wrong with a document.
const fn kind(error: MetadataError) -> &'static str {
    match error {
        MetadataError::Status(_) => "status",
        MetadataError::NotAnObject => "not_an_object",
        MetadataError::IssuerMismatch => "issuer_mismatch",
        MetadataError::EndpointMissing(_) => "endpoint_missing",
        MetadataError::EndpointForbidden(_) => "endpoint_forbidden",
        MetadataError::NoS256 => "no_s256",
        MetadataError::SigningAlg => "signing_alg",
    }
}
