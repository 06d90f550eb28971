//! Every rule has a case that goes red without it. Here: the whole and the environment.

mod kv;
mod routes;
mod sections;

use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::{http::Method, secret::Secret, session::TokenKey};

/// A configuration without a fault, with one of each kind of route.
fn right() -> Value {
    json!({
        "origin": ["https://app.example.com", "http://localhost:8787"],
        "provider": { "issuer": "https://id.example.com/", "client_id": "spa" },
        "dangerously_allow_loopback_http": true,
        "routes": [
            {
                "path": "/api/orders/*",
                "upstream": { "url": "https://orders.example.com/v1/" },
                "resource": "https://orders.example.com",
            },
            { "path": "/api/*", "upstream": { "service": "API" }, "resource": "urn:api" },
            {
                "path": "/files/*",
                "upstream": { "url": "http://127.0.0.1:9000" },
                "session": "anonymous",
            },
        ],
    })
}

const SESSION_KEYS: &str = "a:AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA";
const NAME_KEY: &str = "IAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

fn environment(tokenkeep: Value) -> Environment {
    Environment {
        tokenkeep: Some(tokenkeep),
        overrides: None,
        routes: None,
        client_secret: Some(Secret::from("s3cr3t")),
        session_keys: Some(Secret::from(SESSION_KEYS)),
        name_key: Some(Secret::from(NAME_KEY)),
        admin_secret: None,
        bindings: ["SESSIONS", "SUBJECTS", "API", "ASSETS"].map(str::to_owned).to_vec(),
        variables: Vec::new(),
        compatibility_flags: vec!["global_fetch_strictly_public".to_owned()],
    }
}

/// [`right`] with `patch` merged in.
fn with(patch: &Value) -> Environment {
    let mut tokenkeep = right();
    json::merge_patch(&mut tokenkeep, patch);
    environment(tokenkeep)
}

fn keys(environment: &Environment) -> Vec<String> {
    match parse(environment) {
        Ok(_) => Vec::new(),
        Err(ConfigFaults(faults)) => {
            assert!(!faults.is_empty(), "refused without a word");
            faults.into_iter().map(|fault| fault.key).collect()
        }
    }
}

#[track_caller]
fn accept(environment: &Environment) -> Config {
    match parse(environment) {
        Ok(config) => config,
        Err(faults) => panic!("{faults}"),
    }
}

#[test]
fn a_right_configuration_is_read_whole_with_its_defaults() {
    let config = accept(&environment(right()));
    let [https, http] = config.origins.as_slice() else { panic!("{:?}", config.origins) };
    assert_eq!(https.serialized, "https://app.example.com");
    assert_eq!((https.authority.as_str(), https.port), ("app.example.com", 443));
    assert!(!https.is_loopback_http);
    assert_eq!(http.serialized, "http://localhost:8787");
    assert_eq!((http.authority.as_str(), http.port), ("localhost:8787", 8787));
    assert!(http.is_loopback_http && config.allow_loopback_http);
    assert_eq!(config.base_path, "/auth");
    assert_eq!(config.post_logout_target, "/");
    assert_eq!(config.csrf, CsrfPolicy::FetchMetadata);
    assert_eq!(config.jurisdiction, None);
    assert!(!config.log_subject);

    let provider = &config.provider;
    assert_eq!(provider.issuer, "https://id.example.com/", "the slash is part of it");
    assert!(!provider.allow_http, "the switch alone doesn't allow http for an https issuer");
    let ClientAuth::ClientSecretBasic(secret) = &provider.client_auth else { panic!() };
    assert_eq!(secret.expose(), "s3cr3t");
    assert_eq!(provider.scopes, ["openid"]);
    assert!(provider.authorization_params.is_empty() && provider.login_params.is_empty());
    assert_eq!(provider.response_mode, ResponseMode::Query);
    assert_eq!(provider.id_token_alg, SigningAlg::RS256);
    assert!(!provider.userinfo && provider.id_token_hint);
    assert_eq!(provider.rotates_refresh_tokens, None);

    assert_eq!(config.session.store, Store::Durable);
    assert_eq!(config.session.idle, Duration::from_secs(60 * 60));
    assert_eq!(config.session.absolute, Duration::from_secs(24 * 60 * 60));
    assert_eq!(config.session.cache, Duration::from_secs(5));
    assert_eq!(config.session.revocation_ticket, Duration::from_secs(60 * 60));

    let [orders, api, files] = config.routes.as_slice() else { panic!() };
    assert_eq!(orders.path, RoutePath::Prefix("/api/orders".to_owned()));
    let (origin, path) = ("https://orders.example.com".to_owned(), "/v1".to_owned());
    assert_eq!(orders.upstream, Upstream::Url { origin, path });
    assert_eq!(orders.session, SessionRequirement::Required);
    assert_eq!(orders.navigation, Navigation::Refuse);
    assert_eq!(orders.connections, Connections::Refuse);
    assert_eq!(orders.timeout, None);
    assert_eq!(orders.token.resource.as_deref(), Some("https://orders.example.com"));
    assert!(!orders.strip_prefix && !orders.retry_after_401);
    let all_but_options: Vec<_> =
        Method::ALL.into_iter().filter(|method| *method != Method::Options).collect();
    assert_eq!(orders.methods, all_but_options);
    assert_eq!(api.upstream, Upstream::Service { binding: "API".to_owned() });
    let (origin, path) = ("http://127.0.0.1:9000".to_owned(), String::new());
    assert_eq!(files.upstream, Upstream::Url { origin, path });
    assert_eq!(files.token, TokenKey::default());
}

#[test]
fn every_setting_arrives() {
    let config = accept(&with(&json!({
        "origin": "https://app.example.com:8443",
        "base_path": "/a/b",
        "csrf": "fetch-metadata",
        "post_logout_target": "/bye",
        "jurisdiction": "eu",
        "log": { "subject": true },
        "provider": {
            "issuer": "http://[::1]:9443/realm",
            "client_auth": "client_secret_post",
            "scopes": ["openid", "offline_access"],
            "authorization_params": { "audience": "x", "prompt": "select_account" },
            "login_params": ["kc_idp_hint"],
            "response_mode": "form_post",
            "id_token_signed_response_alg": "EdDSA",
            "userinfo": true,
            "id_token_hint": false,
            "rotates_refresh_tokens": false,
        },
        "session": {
            "store": "durable",
            "idle_minutes": 0.05,
            "absolute_hours": 9600,
            "cache_seconds": 0,
            "revocation_ticket_minutes": 0,
        },
        "routes": [{
            "path": "/api/*",
            "upstream": { "service": "API", "timeout_seconds": 2.5 },
            "session": "optional",
            "navigation": "page",
            "connections": "bound",
            "scope": "read write",
            "methods": ["GET", "OPTIONS"],
            "strip_prefix": true,
            "retry_after_401": true,
        }],
    })));
    assert_eq!(config.origins.first().unwrap().port, 8443);
    assert_eq!(config.origins.first().unwrap().authority, "app.example.com:8443");
    assert_eq!((config.base_path.as_str(), config.post_logout_target.as_str()), ("/a/b", "/bye"));
    assert_eq!(config.csrf, CsrfPolicy::FetchMetadata);
    assert_eq!(accept(&with(&json!({ "csrf": "header" }))).csrf, CsrfPolicy::Header);
    assert_eq!(config.jurisdiction, Some(Jurisdiction::Eu));
    assert!(config.log_subject);
    let provider = &config.provider;
    assert_eq!(provider.issuer, "http://[::1]:9443/realm");
    assert!(provider.allow_http);
    assert!(matches!(provider.client_auth, ClientAuth::ClientSecretPost(_)));
    assert_eq!(provider.scopes, ["openid", "offline_access"]);
    assert_eq!(provider.fixed_param("audience"), Some("x"));
    assert_eq!(provider.login_params, ["kc_idp_hint"]);
    assert_eq!(provider.response_mode, ResponseMode::FormPost);
    assert_eq!(provider.id_token_alg, SigningAlg::EdDSA);
    assert!(provider.userinfo && !provider.id_token_hint);
    assert_eq!(provider.rotates_refresh_tokens, Some(false));
    assert_eq!(config.session.idle, Duration::from_secs(3));
    assert_eq!(config.session.absolute, Duration::from_secs(400 * 24 * 60 * 60));
    assert_eq!(config.session.cache, Duration::ZERO);
    assert_eq!(config.session.revocation_ticket, Duration::ZERO);
    let route = config.routes.first().unwrap();
    assert_eq!(route.session, SessionRequirement::Optional);
    assert_eq!(route.navigation, Navigation::Page);
    assert_eq!(route.connections, Connections::Bound);
    assert_eq!(route.timeout, Some(Duration::from_millis(2500)));
    assert_eq!(route.token.scope.as_deref(), Some("read write"));
    assert_eq!(route.methods, [Method::Get, Method::Options]);
    assert!(route.strip_prefix && route.retry_after_401);
}

#[test]
fn every_wrong_key_is_named_at_once() {
    let mut environment = environment(json!({
        "origin": "https://app.example.com/",
        "base_path": "auth",
        "csrf": "off",
        "provider": { "issuer": "https://id.example.com?x", "client_auth": 1, "scopes": ["email"] },
        "session": { "idle_minutes": 0, "cache_seconds": 61, "idle": 5 },
        "routes": [
            { "path": "/api/../x", "upstream": {}, "session": "maybe" },
            7,
            { "path": "/x", "upstream": { "url": "ftp://x" }, "retry": true },
        ],
        "orgin": "https://app.example.com",
    }));
    environment.client_secret = None;
    environment.session_keys = Some(Secret::from("nonsense"));
    environment.name_key = Some(Secret::from("nonsense too"));
    environment.bindings.clear();
    environment.compatibility_flags.clear();
    let expected = [
        "compatibility_flags",
        "SESSIONS",
        "SUBJECTS",
        "SESSION_KEYS",
        "NAME_KEY",
        "CLIENT_SECRET",
        "origin",
        "base_path",
        "provider.issuer",
        "provider.client_id",
        "provider.client_auth",
        "provider.scopes",
        "session.idle_minutes",
        "session.cache_seconds",
        "session.idle",
        "csrf",
        "routes[0].path",
        "routes[0].upstream",
        "routes[0].session",
        "routes[1]",
        "routes[2].upstream.url",
        "routes[2].retry",
        "orgin",
    ];
    assert_eq!(keys(&environment), expected);
    let text = parse(&environment).unwrap_err().to_string();
    assert_eq!(text.lines().count(), expected.len(), "one line a fault:\n{text}");
    let line = "csrf: found \"off\", expected \"fetch-metadata\" or \"header\"";
    assert!(text.lines().any(|l| l == line), "{text}");
}

#[test]
fn nothing_at_all_is_answered_with_what_is_needed() {
    let expected = [
        "compatibility_flags",
        "SESSIONS",
        "SUBJECTS",
        "SESSION_KEYS",
        "NAME_KEY",
        "CLIENT_SECRET",
        "TOKENKEEP",
    ];
    assert_eq!(keys(&Environment::default()), expected);
}

#[test]
fn the_table_may_come_as_a_text_and_only_as_strict_json() {
    accept(&environment(Value::String(right().to_string())));
    let twice = right().to_string().replacen('{', r#"{"origin":"https://evil.example","#, 1);
    for tokenkeep in
        [json!(twice), json!("{"), json!(""), json!("[]"), json!([]), json!(7), json!(null)]
    {
        assert_eq!(keys(&environment(tokenkeep.clone())), ["TOKENKEEP"], "{tokenkeep}");
    }
}

#[test]
fn overrides_are_merged_and_then_checked_like_the_rest() {
    let overridden = |text: &str| {
        let mut environment = environment(right());
        environment.overrides = Some(text.to_owned());
        environment
    };
    let config = accept(&overridden(
        r#"{"origin": "http://localhost:5173", "session": {"idle_minutes": 1}, "csrf": null,
            "provider": {"issuer": "http://localhost:9000"}}"#,
    ));
    assert_eq!(config.origins.len(), 1);
    assert_eq!(config.session.idle, Duration::from_secs(60));
    assert_eq!(config.provider.issuer, "http://localhost:9000");
    assert_eq!(config.provider.client_id, "spa", "what isn't overridden stays");
    for (text, key) in [
        ("", "TOKENKEEP_OVERRIDES"),
        ("[]", "TOKENKEEP_OVERRIDES"),
        ("null", "TOKENKEEP_OVERRIDES"),
        (r#"{"csrf": "header", "csrf": "fetch-metadata"}"#, "TOKENKEEP_OVERRIDES"),
        (r#"{"csrf": "off"}"#, "csrf"),
        (r#"{"crsf": "header"}"#, "crsf"),
        (r#"{"provider": {"issuer": null}}"#, "provider.issuer"),
    ] {
        assert_eq!(keys(&overridden(text)), [key], "{text}");
    }
}

#[test]
fn routes_come_from_one_place() {
    let mut both = environment(right());
    both.routes = Some(r#"[{ "path": "/api/*", "upstream": { "service": "API" } }]"#.to_owned());
    assert_eq!(keys(&both), ["TOKENKEEP_ROUTES"]);

    let mut one = with(&json!({ "routes": null }));
    assert!(accept(&one).routes.is_empty(), "an SPA without an API is fine");
    one.routes.clone_from(&both.routes);
    assert_eq!(accept(&one).routes.len(), 1);
    for (text, key) in [
        ("", "TOKENKEEP_ROUTES"),
        ("{}", "TOKENKEEP_ROUTES"),
        (r#"[{ "path": "/api/*" }]"#, "TOKENKEEP_ROUTES[0].upstream"),
    ] {
        one.routes = Some(text.to_owned());
        assert_eq!(keys(&one), [key], "{text}");
    }
}

#[test]
fn a_variable_of_ours_that_is_misspelt_is_refused() {
    let mut environment = environment(right());
    let named = |names: &[&str]| names.iter().copied().map(str::to_owned).collect();
    environment.variables = named(&["TOKENKEEP_OVERRIDES", "TOKENKEEP_ROUTES", "OTHER"]);
    accept(&environment);
    environment.variables = named(&["TOKENKEEP_OVERRIDE", "TOKENKEEP_", "TOKENKEEP_routes"]);
    assert_eq!(keys(&environment), ["TOKENKEEP_OVERRIDE", "TOKENKEEP_", "TOKENKEEP_routes"]);
    let said = parse(&environment).unwrap_err().to_string();
    assert!(said.contains("expected TOKENKEEP, TOKENKEEP_OVERRIDES or TOKENKEEP_ROUTES"), "{said}");
}

#[test]
fn secrets_bindings_and_flags_are_demanded() {
    type Spoil = fn(&mut Environment);
    let cases: [(Spoil, &[&str]); 14] = [
        (|e| e.client_secret = None, &["CLIENT_SECRET"]),
        (|e| e.client_secret = Some(Secret::from("")), &["CLIENT_SECRET"]),
        (|e| e.client_secret = Some(Secret::from("s3cr3t\n")), &["CLIENT_SECRET"]),
        (|e| e.client_secret = Some(Secret::from("gehéim")), &["CLIENT_SECRET"]),
        (|e| e.session_keys = None, &["SESSION_KEYS"]),
        (|e| e.session_keys = Some(Secret::from("")), &["SESSION_KEYS"]),
        (|e| e.session_keys = Some(Secret::from("a:short")), &["SESSION_KEYS"]),
        // One kid for two keys.
        (
            |e| {
                let another = SESSION_KEYS.replacen("AQID", "AQIE", 1);
                e.session_keys = Some(Secret::new(format!("{SESSION_KEYS},{another}")));
            },
            &["SESSION_KEYS"],
        ),
        (|e| e.name_key = None, &["NAME_KEY"]),
        (|e| e.name_key = Some(Secret::from("short")), &["NAME_KEY"]),
        (
            |e| e.name_key = e.session_keys.as_ref().map(|k| Secret::from(&k.expose()[2..])),
            &["NAME_KEY"],
        ),
        (
            |e| (e.session_keys, e.name_key) = (None, Some(Secret::from("short"))),
            &["SESSION_KEYS", "NAME_KEY"],
        ),
        (|e| e.bindings.retain(|name| name != "SESSIONS"), &["SESSIONS"]),
        (|e| e.compatibility_flags = vec!["nodejs_compat".to_owned()], &["compatibility_flags"]),
    ];
    for (index, (spoil, expected)) in cases.into_iter().enumerate() {
        let mut environment = environment(right());
        spoil(&mut environment);
        assert_eq!(keys(&environment), expected, "case {index}");
    }
}

#[test]
fn a_fault_shows_no_secret_and_stays_one_line() {
    let mut environment = with(&json!({
        "client_secret": "hunter2",
        "provider": { "issuer": "https://u:hunter2@id.example.com", "client_secret": "hunter2" },
        "routes": [
            { "path": "/a", "upstream": { "url": "https://a.example?key=hunter2" } },
            { "path": "/b", "upstream": { "service": "API", "token": ["hunter2"] } },
            { "path": "x".repeat(5000) + "\nhunter2", "upstream": { "service": "API" } },
        ],
    }));
    environment.client_secret = Some(Secret::from("hunter2\n"));
    environment.session_keys = Some(Secret::from("hunter2"));
    environment.name_key = Some(Secret::from("hunter2"));
    environment.overrides = Some("hunter2".to_owned());
    let faults = parse(&environment).unwrap_err();
    let text = faults.to_string();
    assert!(!text.contains("hunter2"), "{text}");
    assert_eq!(text.lines().count(), faults.0.len());
    assert!(text.lines().all(|line| line.len() < 400), "{text}");
    assert!(!format!("{environment:?}").contains("s3cr3t"));
}
