//! `GET login`: sends the browser to the provider (OpenID Connect Core 3.1.2.1), and stores
//! nothing: the whole login under way lives sealed in a cookie of its own.
//!
//! Only a top-level navigation that our own pages, or the person, began starts a login. One that
//! another site began gets a page with one button, or anybody could log a visitor in as somebody
//! else (CVE-2015-9284); a fetch gets the URL to navigate to; prefetch, prerender and frames get
//! nothing.

use serde_json::Value;

use super::{
    answer,
    context::{Context, Ports},
    login_query::{self, LoginQuery},
    metadata::metadata,
};
use crate::{
    audit::Event,
    base64url,
    config::{Config, Origin, SessionRequirement},
    http::{cookies, head::RequestHead, message::Answer, page, problem::ProblemCode},
    oauth::{AuthorizationRequest, CodeVerifier, Metadata},
    secret::Secret,
    session::{SessionId, TokenKey, Transaction},
};

/// How many logins may begin with less than [`cookies::ATTEMPTS_WINDOW`] between one and the next.
/// A success doesn't reset the count: the loop to break is the one whose logins all succeed and
/// whose session cookie doesn't stick.
const MAX_ATTEMPTS: u32 = 10;

/// Starts a login.
pub(super) async fn handle<P: Ports>(
    ctx: &Context<'_, P>,
    head: &RequestHead<'_>,
    origin: &Origin,
) -> Answer {
    let arrival = Arrival::of(head);
    let text = head.query.unwrap_or_default();
    let query = match (LoginQuery::parse(text, ctx.config, origin), arrival) {
        (_, Arrival::Speculative) => {
            return answer::problem(ctx, ProblemCode::LoginNotANavigation);
        }
        (Ok(query), _) => query,
        (Err(refused), Arrival::Own | Arrival::Foreign) => {
            let code = ProblemCode::LoginParameterInvalid;
            let again =
                page::login_url(ctx.config, &login_query::return_to(text, ctx.config, origin));
            return answer::error_page(ctx, origin, code, refused.parameter, Some(&again));
        }
        (Err(_), _) => return answer::problem(ctx, ProblemCode::LoginParameterInvalid),
    };
    match arrival {
        Arrival::Fetch => {
            let url = Value::String(format!("{}{}", origin.serialized, query.url(ctx.config)));
            let members = [("login_url".to_owned(), url)].into_iter().collect();
            answer::problem_with(ctx, ProblemCode::LoginNeedsNavigation, members)
        }
        Arrival::Embedded | Arrival::Speculative => {
            answer::problem(ctx, ProblemCode::LoginNotANavigation)
        }
        Arrival::Foreign => page::button(origin, &query.url(ctx.config)),
        Arrival::Own => start(ctx, head, origin, query).await,
    }
}

/// How a request came to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Arrival {
    /// Ahead of time: a prefetch, a prerender.
    Speculative,
    /// By a script.
    Fetch,
    /// Into a frame, an image, a worker, ….
    Embedded,
    /// A navigation that another site began, a sibling subdomain included.
    Foreign,
    /// A navigation that our own page or the person began.
    Own,
}

impl Arrival {
    fn of(head: &RequestHead<'_>) -> Self {
        if head.is_speculative() {
            return Self::Speculative;
        }
        if !head.is_document_navigation() {
            return match head.known.sec_fetch_dest {
                None | Some("empty") => Self::Fetch,
                Some(_) => Self::Embedded,
            };
        }
        match head.known.sec_fetch_site {
            None | Some("same-origin" | "none") => Self::Own,
            Some(_) => Self::Foreign,
        }
    }
}

async fn start<P: Ports>(
    ctx: &Context<'_, P>,
    head: &RequestHead<'_>,
    origin: &Origin,
    query: LoginQuery,
) -> Answer {
    let now = ctx.ports.now();
    let attempts = cookies::attempts(head.known.cookie, origin);
    if attempts >= MAX_ATTEMPTS {
        // Another login is what it is about.
        return answer::error_page(ctx, origin, ProblemCode::LoginLoop, "login_loop", None);
    }
    let Ok(metadata) = metadata(ctx).await else {
        let code = ProblemCode::ProviderUnavailable;
        let again = query.url(ctx.config);
        return answer::error_page(ctx, origin, code, "metadata_unavailable", Some(&again));
    };
    let transaction = transaction(ctx, head, origin, &query);
    let location = authorization_url(ctx.config, &metadata, &transaction, &query);
    let name = cookies::transaction_name(origin, now, transaction.state.expose());
    let nonce = ctx.ports.bytes();
    let sealed = ctx.config.session.keys.seal_transaction(&transaction, &name, nonce);
    let Ok(sealed) = sealed else {
        let code = ProblemCode::LoginParameterInvalid;
        let again = page::login_url(ctx.config, &query.return_to);
        return answer::error_page(ctx, origin, code, "transaction_too_large", Some(&again));
    };
    let session = ctx.session_hash(&transaction.session_id.key());
    ctx.ports.record(Event::LoginStarted { session });
    let mut answer = answer::redirect(302, location);
    let mode = ctx.config.provider.response_mode;
    for oldest in cookies::surplus_transactions(head.known.cookie, origin) {
        answer::set_cookie(&mut answer, cookies::delete_transaction(origin, oldest, mode));
    }
    let lifetime = Transaction::LIFETIME;
    let cookie = cookies::set_transaction(origin, &name, &sealed, mode, lifetime);
    answer::set_cookie(&mut answer, cookie);
    answer::set_cookie(&mut answer, cookies::set_attempts(origin, attempts + 1));
    answer
}

fn transaction<P: Ports>(
    ctx: &Context<'_, P>,
    head: &RequestHead<'_>,
    origin: &Origin,
    query: &LoginQuery,
) -> Transaction {
    let secret = || Secret::new(base64url::encode(ctx.ports.bytes::<32>()));
    Transaction {
        state: secret(),
        nonce: secret(),
        verifier: CodeVerifier::from_bytes(ctx.ports.bytes()),
        return_to: query.return_to.as_str().to_owned(),
        issuer: ctx.config.provider.issuer.clone(),
        // From the configuration, never from the request's Host.
        redirect_uri: ctx.endpoint_url(origin, "callback"),
        origin: origin.serialized.clone(),
        // Always a new one: what the browser brought is never taken over (CVE-2021-41246).
        session_id: SessionId::from_bytes(ctx.ports.bytes()),
        earlier: ctx.session_id(head, origin),
        started: ctx.ports.now(),
        max_age: query.max_age,
        acr_values: query.acr_values.clone(),
    }
}

fn authorization_url(
    config: &Config,
    metadata: &Metadata,
    transaction: &Transaction,
    query: &LoginQuery,
) -> String {
    let resources = resources(config);
    AuthorizationRequest {
        provider: &config.provider,
        metadata,
        redirect_uri: &transaction.redirect_uri,
        state: &transaction.state,
        nonce: &transaction.nonce,
        challenge: &transaction.verifier.challenge(),
        resources: &resources,
        extra: &query.extra,
    }
    .url()
}

/// The resources of all routes that attach a token: the grant must cover each (RFC 8707 §2.1).
fn resources(config: &Config) -> Vec<String> {
    let mut resources: Vec<String> = Vec::new();
    for resource in tokens(config).filter_map(|token| token.resource.as_ref()) {
        if !resources.contains(resource) {
            resources.push(resource.clone());
        }
    }
    resources
}

/// The token that the code brings first: for the first route's resource, and with all scopes of
/// the login (RFC 6749 §4.1.3 has no `scope`). A route that asks for fewer gets one by a refresh.
/// With UserInfo it is the provider's own: a token for an API's `resource` isn't one for UserInfo,
/// and the API's comes at its first call.
pub(super) fn first_token(config: &Config) -> TokenKey {
    if config.provider.userinfo {
        return TokenKey::default();
    }
    let resource = tokens(config).next().and_then(|token| token.resource.clone());
    TokenKey { resource, scope: None }
}

fn tokens(config: &Config) -> impl Iterator<Item = &TokenKey> {
    config
        .routes
        .iter()
        .filter(|route| route.session != SessionRequirement::Anonymous)
        .map(|route| &route.token)
}
