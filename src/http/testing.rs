//! A configuration and heads for the tests of this room.

use std::time::Duration;

use super::{
    Method,
    head::Known,
    request_headers::{kind, kinds},
};
use crate::{
    config::{
        ClientAuth, Config, Connections, CsrfPolicy, Navigation, Origin, ProviderConfig, Route,
        RoutePath, SessionConfig, SessionRequirement, Store, Upstream,
    },
    secret::Secret,
    session::{GrantedToken, KeyRing, SessionId, TokenKey},
    time::Timestamp,
};

pub(crate) const APP: &str = "https://app.example.com";
pub(crate) const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

pub(crate) fn https_origin() -> Origin {
    Origin {
        serialized: APP.to_owned(),
        authority: "app.example.com".to_owned(),
        is_loopback_http: false,
        port: 443,
    }
}

pub(crate) fn loopback_origin() -> Origin {
    Origin {
        serialized: "http://localhost:8787".to_owned(),
        authority: "localhost:8787".to_owned(),
        is_loopback_http: true,
        port: 8787,
    }
}

pub(crate) fn route(path: RoutePath) -> Route {
    Route {
        path,
        upstream: Upstream::Url {
            origin: "https://api.example.com".to_owned(),
            path: String::new(),
        },
        timeout: None,
        session: SessionRequirement::Required,
        navigation: Navigation::Refuse,
        connections: Connections::Refuse,
        token: TokenKey::default(),
        methods: vec![Method::Get, Method::Head, Method::Post, Method::Put, Method::Delete],
        strip_prefix: false,
        retry_after_401: false,
    }
}

pub(crate) fn api() -> Route {
    route(RoutePath::Prefix("/api".to_owned()))
}

pub(crate) fn config() -> Config {
    config_with_routes([api()])
}

pub(crate) fn config_with_routes(routes: impl IntoIterator<Item = Route>) -> Config {
    let key = |seed: u8| {
        crate::base64url::encode(std::array::from_fn::<u8, 32, _>(|at| {
            seed.wrapping_add(u8::try_from(at).unwrap().wrapping_mul(37))
        }))
    };
    Config {
        origins: vec![https_origin(), loopback_origin()],
        base_path: "/auth".to_owned(),
        provider: ProviderConfig {
            issuer: "https://id.example.com".to_owned(),
            client_id: "client".to_owned(),
            client_auth: ClientAuth::ClientSecretBasic(Secret::from("secret")),
            scopes: vec!["openid".to_owned()],
            ..crate::oauth::testing::provider()
        },
        session: SessionConfig {
            store: Store::Durable,
            idle: Duration::from_secs(3600),
            absolute: Duration::from_secs(86_400),
            cache: Duration::from_secs(5),
            revocation_ticket: Duration::ZERO,
            keys: KeyRing::parse(&format!("k1:{}", key(1)), &key(2)).unwrap(),
        },
        routes: routes.into_iter().collect(),
        csrf: CsrfPolicy::FetchMetadata,
        post_logout_target: "/".to_owned(),
        allow_loopback_http: true,
        jurisdiction: None,
        log_subject: false,
        admin_secret: None,
    }
}

pub(crate) fn session_id() -> SessionId {
    SessionId::from_bytes([9; 32])
}

/// The session cookie's value.
pub(crate) fn cookie_value(config: &Config) -> String {
    config.session.keys.cookie_value(&session_id())
}

/// `cookie: …` with a session.
pub(crate) fn cookie_line(config: &Config) -> String {
    format!("cookie: __Host-Http-tokenkeep={}\n", cookie_value(config))
}

pub(crate) fn token(epoch: u64, issued_at: Timestamp) -> GrantedToken {
    GrantedToken {
        access_token: Secret::from("the-access-token"),
        epoch,
        issued_at,
        expires_at: Some(issued_at.after(Duration::from_secs(400))),
        session_deadline: NOW.after(Duration::from_secs(3600)),
    }
}

/// The headers as the entry hands them over, and the names that it drops without asking.
pub(crate) fn handed_over(headers: &[(&str, &str)]) -> (String, Vec<String>) {
    let is = |name: &str, bit| kind(name) & bit != 0;
    if headers.iter().any(|(name, value)| is(name, kinds::WHOLE) && *value != "keep-alive") {
        let lines = headers.iter().map(|(name, value)| format!("{name}: {value}\n"));
        return (lines.collect(), vec![]);
    }
    let mut text = String::new();
    for (name, value) in headers.iter().filter(|(name, _)| is(name, kinds::READ)) {
        let letter = char::from(Known::letter(name).unwrap());
        let value = if is(name, kinds::BARE) { "" } else { value };
        text.push_str(&format!(":{letter}{value}\n"));
    }
    let dropped = headers.iter().filter(|(name, _)| is(name, kinds::DROPPED));
    (text, dropped.map(|(name, _)| (*name).to_owned()).collect())
}
