//! The configuration as the rest of Tokenkeep sees it: every invariant holds.
//!
//! Only [`super::parse`] makes one; whoever has a [`Config`] has a checked one.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{http::Method, secret::Secret, session::KeyRing};

/// All of it, secrets included.
#[derive(Clone, Debug)]
pub struct Config {
    /// The origins that the Worker answers on, exact; never empty. All share one SPA.
    pub origins: Vec<Origin>,
    /// Where our endpoints are: `/auth` by default; begins with `/`, doesn't end with one.
    pub base_path: String,
    /// The provider and our registration there.
    pub provider: ProviderConfig,
    /// A session's limits and keys.
    pub session: SessionConfig,
    /// The routes to APIs; the first whose path matches is the one.
    pub routes: Vec<Route>,
    /// Which layers CSRF demands.
    pub csrf: CsrfPolicy,
    /// Where `logged-out` sends the browser: a path of ours, `/` by default.
    pub post_logout_target: String,
    /// http on exact loopback is allowed: `dangerously_allow_loopback_http`.
    pub allow_loopback_http: bool,
    /// Where objects may live.
    pub jurisdiction: Option<Jurisdiction>,
    /// Whether `sub` itself is logged, beside its keyed hash.
    pub log_subject: bool,
    /// `ADMIN_SECRET`; without one there is no endpoint for administrators.
    pub admin_secret: Option<Secret<String>>,
}

/// An origin of ours, serialized as RFC 6454 §6.2 has it: `https://app.example.com`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    /// The whole origin, byte for byte what a browser sends in `Origin`.
    pub serialized: String,
    /// `host` or `host:port`, as in `Host`.
    pub authority: String,
    /// http on loopback: no prefix, no `Secure`.
    pub is_loopback_http: bool,
    /// The port, given or default.
    pub port: u16,
}

/// The provider and our registration there.
#[derive(Clone, Debug)]
pub struct ProviderConfig {
    /// The issuer identifier, byte for byte (a trailing slash is part of it).
    pub issuer: String,
    /// `client_id`.
    pub client_id: String,
    /// How we authenticate, with the secret that it needs.
    pub client_auth: ClientAuth,
    /// Scopes of the authorization request; always has `openid`.
    pub scopes: Vec<String>,
    /// Extra authorization parameters; none of ours among them.
    pub authorization_params: Vec<(String, String)>,
    /// Query parameters of `login` that are handed on, beyond those of OpenID Connect.
    pub login_params: Vec<String>,
    /// `response_mode`.
    pub response_mode: ResponseMode,
    /// `id_token_signed_response_alg` of the registration: the one algorithm that is accepted.
    pub id_token_alg: SigningAlg,
    /// Whether UserInfo is asked, once a login.
    pub userinfo: bool,
    /// Whether the ID token goes along to the end-session endpoint.
    pub id_token_hint: bool,
    /// Whether a frame of the provider's may end sessions (OpenID Connect Front-Channel Logout).
    pub frontchannel_logout: bool,
    /// Whether refresh responses bring a new refresh token is the provider's choice; this is
    /// the operator's word for it, which only [`Store::Kv`] needs and then always has.
    pub rotates_refresh_tokens: Option<bool>,
    /// http is allowed for this issuer (exact loopback under the switch).
    pub allow_http: bool,
}

impl ProviderConfig {
    /// What the operator fixed as the value of this parameter.
    pub fn fixed_param(&self, name: &str) -> Option<&str> {
        let fixed = self.authorization_params.iter().find(|(fixed, _)| fixed == name);
        fixed.map(|(_, value)| value.as_str())
    }
}

/// How we authenticate at the provider (RFC 6749 §2.3.1, OpenID Connect Core §9).
/// `private_key_jwt` will be a variant here.
#[derive(Clone, Debug)]
pub enum ClientAuth {
    /// `client_secret_basic`, credentials form-encoded as the RFC has it.
    ClientSecretBasic(Secret<String>),
    /// `client_secret_basic` for providers that want the credentials as they are.
    ClientSecretBasicUnencoded(Secret<String>),
    /// `client_secret_post`.
    ClientSecretPost(Secret<String>),
}

/// `response_mode` of the authorization request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResponseMode {
    /// Parameters in the query of a GET.
    #[default]
    Query,
    /// Parameters in the form of a cross-site POST (OAuth 2.0 Form Post Response Mode).
    FormPost,
}

/// A JWS algorithm that we accept (RFC 7518 §3.1, RFC 8037).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum SigningAlg {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    #[default]
    RS256,
    /// RSASSA-PSS with SHA-256.
    PS256,
    /// ECDSA on P-256 with SHA-256.
    ES256,
    /// Ed25519.
    EdDSA,
}

/// Where sessions are kept, their limits and keys.
#[derive(Clone, Debug)]
pub struct SessionConfig {
    /// Where they are kept.
    pub store: Store,
    /// How long a session lives without a call.
    pub idle: Duration,
    /// How long it lives at all.
    pub absolute: Duration,
    /// How long a warm grant may be used; zero is off; at most 60 s.
    pub cache: Duration,
    /// How long a refresh token is kept after a logout until it is revoked; zero is off; at most
    /// 60 minutes.
    pub revocation_ticket: Duration,
    /// `SESSION_KEYS` and `NAME_KEY`.
    pub keys: KeyRing,
}

/// Where sessions are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Store {
    /// A Durable Object each (binding `SESSIONS`).
    Durable,
    /// Workers KV (binding `SESSIONS_KV`): no compare-and-swap, and what was written elsewhere is
    /// seen late.
    Kv {
        /// Whether an end that the provider or an administrator asks for is looked for at every
        /// read, for two reads more.
        delayed_logout: bool,
    },
}

impl Store {
    /// Whether it is KV.
    pub const fn is_kv(self) -> bool {
        matches!(self, Self::Kv { .. })
    }

    /// Whether sessions can be ended without their cookies: at once in objects, after a while in KV,
    /// where the operator accepts that.
    pub const fn ends_without_cookie(self) -> bool {
        matches!(self, Self::Durable | Self::Kv { delayed_logout: true })
    }
}

/// Which layers CSRF demands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CsrfPolicy {
    /// Fetch Metadata, else Origin, else the header.
    #[default]
    FetchMetadata,
    /// The same and the header `X-Tokenkeep: 1` always.
    Header,
}

/// Where objects may live (a Durable Object jurisdiction).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Jurisdiction {
    /// The European Union.
    Eu,
    /// FedRAMP.
    Fedramp,
}

impl Jurisdiction {
    /// The platform's word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Eu => "eu",
            Self::Fedramp => "fedramp",
        }
    }
}

/// A route from a path of ours to an API.
#[derive(Clone, Debug)]
pub struct Route {
    /// What it matches.
    pub path: RoutePath,
    /// Where it goes.
    pub upstream: Upstream,
    /// How long the head of a response may take; for ever if nothing is said.
    pub timeout: Option<Duration>,
    /// Whether a session is needed.
    pub session: SessionRequirement,
    /// What happens to documents, frames and service workers.
    pub navigation: Navigation,
    /// Whether WebSockets pass, and what a session's end means to what stays open.
    pub connections: Connections,
    /// `resource` and scope of the token that is attached.
    pub token: crate::session::TokenKey,
    /// The methods that pass; OPTIONS preflights never do.
    pub methods: Vec<Method>,
    /// Whether the route's own prefix is cut off before the path is added to the upstream's.
    pub strip_prefix: bool,
    /// Whether calls that aren't idempotent are tried again after the API's 401 as well.
    pub retry_after_401: bool,
}

/// A route's path: `/api/orders` is that path alone, `/api/*` is `/api` and all below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoutePath {
    /// This path alone.
    Exact(String),
    /// This path (no trailing slash; empty for `/*`) and all below it.
    Prefix(String),
}

/// Where a route goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Upstream {
    /// An https URL (http on loopback under the switch): origin and a path without a trailing
    /// slash, both in canonical form.
    Url {
        /// Scheme, host and port.
        origin: String,
        /// Begins with `/` or is empty.
        path: String,
    },
    /// A service binding of the Worker; the path starts at its root.
    Service {
        /// The binding's name.
        binding: String,
    },
}

/// Whether a route needs a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionRequirement {
    /// No session: 401.
    #[default]
    Required,
    /// No session, or a layer of CSRF missing: the call goes on bare.
    Optional,
    /// Always bare; the cookie isn't read.
    Anonymous,
}

/// What may stay open on a route, and for how long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Connections {
    /// No WebSockets. Event streams pass like any answer.
    #[default]
    Refuse,
    /// WebSockets pass too; what is open outlives its session.
    Pass,
    /// The same, but WebSockets and event streams end with their session.
    Bound,
}

/// What happens when a document asks for an API's path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Navigation {
    /// 403.
    #[default]
    Refuse,
    /// Same-origin, as a download.
    Download,
    /// A page of the API's.
    Page,
}
