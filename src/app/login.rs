//! `GET login`: sends the browser to the provider (OpenID Connect Core 3.1.2.1), and stores
//! nothing: the whole login under way lives sealed in a cookie of its own.
//!
//! Only a top-level navigation that our own pages, or the person, began starts a login. One that
//! another site began gets a page with one button, or anybody could log a visitor in as somebody
//! else (CVE-2015-9284); a fetch gets the URL to navigate to; prefetch and prerender get nothing.

use super::{
    attempts,
    context::{Context, Ports},
    metadata::metadata,
    reply,
};
use crate::{
    audit::Event,
    base64url,
    config::{Config, Origin, ResponseMode},
    http::{
        Method, ReturnTo, cookies, head::RequestHead, message::Answer, page, problem::ProblemCode,
    },
    oauth::{Metadata, authorization::AuthorizationRequest, pkce::CodeVerifier},
    secret::Secret,
    session::{SessionId, TokenKey, Transaction},
};

/// Values of `prompt` (OpenID Connect Core 3.1.2.1, Prompt Create 1.0).
const PROMPTS: [&str; 5] = ["none", "login", "consent", "select_account", "create"];
/// A parameter that goes on to the provider is at most this long.
const MAX_PARAMETER: usize = 512;

/// Starts a login.
pub async fn handle<P: Ports>(
    ctx: &Context<'_, P>,
    head: &RequestHead<'_>,
    origin: &Origin,
) -> Answer {
    if head.method != Method::Get {
        return reply::method_not_allowed(ctx, "GET");
    }
    let Some(query) = LoginQuery::parse(head.query.unwrap_or_default(), ctx.config, origin) else {
        return reply::error_page(ctx, ProblemCode::LoginParametersInvalid, "login_parameters");
    };
    match Arrival::of(head) {
        Arrival::Speculative => return reply::problem(ctx, ProblemCode::SpeculativeRequest),
        Arrival::Fetch => return reply::login_required(ctx, &query.url(ctx.config)),
        Arrival::Embedded => return reply::problem(ctx, ProblemCode::NavigationRequired),
        Arrival::Foreign => return page::button_page(&query.url(ctx.config)),
        Arrival::Own => {}
    }
    let now = ctx.ports.now();
    let Some(attempt) = attempts::next(head, origin, now) else {
        return reply::error_page(ctx, ProblemCode::LoginLoop, "login_loop");
    };
    let Ok(metadata) = metadata(ctx).await else {
        return reply::error_page(ctx, ProblemCode::ProviderUnavailable, "no_metadata");
    };
    start(ctx, head, origin, query, &metadata, attempt)
}
