//! Every rule has a case that goes red without it.

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
        bindings: ["SESSIONS", "API", "ASSETS"].map(str::to_owned).to_vec(),
        compatibility_flags: vec!["global_fetch_strictly_public".to_owned()],
    }
}

/// [`right`] with `patch` merged in.
fn with(patch: &Value) -> Environment {
    let mut tokenkeep = right();
    json::merge_patch(&mut tokenkeep, patch);
    environment(tokenkeep)
}

/// [`right`] with one route in place of its routes.
fn with_route(patch: &Value) -> Environment {
    let mut route = json!({ "path": "/api/*", "upstream": { "service": "API" } });
    json::merge_patch(&mut route, patch);
    with(&json!({ "routes": [route] }))
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
        "csrf": "header",
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
            "upstream": { "service": "API" },
            "session": "optional",
            "navigation": "page",
            "scope": "read write",
            "methods": ["GET", "OPTIONS"],
            "strip_prefix": true,
            "retry_after_401": true,
        }],
    })));
    assert_eq!(config.origins.first().unwrap().port, 8443);
    assert_eq!(config.origins.first().unwrap().authority, "app.example.com:8443");
    assert_eq!((config.base_path.as_str(), config.post_logout_target.as_str()), ("/a/b", "/bye"));
    assert_eq!(config.csrf, CsrfPolicy::Header);
    assert_eq!(config.jurisdiction, Some(Jurisdiction::Eu));
    assert!(config.log_subject);
    let provider = &config.provider;
    assert_eq!(provider.issuer, "http://[::1]:9443/realm");
    assert!(provider.allow_http);
    assert!(matches!(provider.client_auth, ClientAuth::ClientSecretPost(_)));
    assert_eq!(provider.scopes, ["openid", "offline_access"]);
    assert_eq!(provider.authorization_params.get("audience").unwrap(), "x");
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
        "routes[0].path",
        "routes[0].upstream",
        "routes[0].session",
        "routes[1]",
        "routes[2].upstream.url",
        "routes[2].retry",
        "csrf",
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
        "SESSION_KEYS",
        "NAME_KEY",
        "CLIENT_SECRET",
        "TOKENKEEP",
    ];
    assert_eq!(keys(&Environment::default()), expected);
}

/// A patch to [`right`] that makes one fault, at this key.
#[test]
fn each_rule_of_the_top_level_and_the_sections_holds() {
    let cases = [
        (json!({ "origin": null }), "origin"),
        (json!({ "origin": [] }), "origin"),
        (json!({ "origin": "" }), "origin"),
        (json!({ "origin": 7 }), "origin"),
        (json!({ "origin": ["https://a.example", "https://a.example"] }), "origin[1]"),
        (json!({ "origin": ["https://a.example", 7] }), "origin[1]"),
        (json!({ "base_path": "/" }), "base_path"),
        (json!({ "base_path": "/auth/" }), "base_path"),
        (json!({ "base_path": "auth" }), "base_path"),
        (json!({ "base_path": "/a//b" }), "base_path"),
        (json!({ "base_path": "/a/.." }), "base_path"),
        (json!({ "base_path": "/a%2fb" }), "base_path"),
        (json!({ "base_path": "/a;b" }), "base_path"),
        (json!({ "base_path": "/a b" }), "base_path"),
        (json!({ "base_path": 1 }), "base_path"),
        (json!({ "csrf": "none" }), "csrf"),
        (json!({ "csrf": false }), "csrf"),
        (json!({ "post_logout_target": "https://evil.example/" }), "post_logout_target"),
        (json!({ "post_logout_target": "//evil.example" }), "post_logout_target"),
        (json!({ "post_logout_target": "/\\evil.example" }), "post_logout_target"),
        (json!({ "post_logout_target": "/auth/login" }), "post_logout_target"),
        (json!({ "post_logout_target": "/auth" }), "post_logout_target"),
        (
            json!({ "dangerously_allow_loopback_http": "yes", "origin": "https://a.example",
                 "routes": [] }),
            "dangerously_allow_loopback_http",
        ),
        (json!({ "jurisdiction": "us" }), "jurisdiction"),
        (json!({ "jurisdiction": "EU" }), "jurisdiction"),
        (json!({ "log": true }), "log"),
        (json!({ "log": { "subject": "no" } }), "log.subject"),
        (json!({ "log": { "sub": true } }), "log.sub"),
        (json!({ "unknown": null, "Origin": "x" }), "Origin"),
        (json!({ "a\nb": 1 }), "\"a\\nb\""),
        (json!({ "provider": null }), "provider"),
        (json!({ "provider": "https://id.example.com" }), "provider"),
        (json!({ "provider": { "client_secret": "x" } }), "provider.client_secret"),
        (json!({ "provider": { "issuer": null } }), "provider.issuer"),
        (json!({ "provider": { "client_id": null } }), "provider.client_id"),
        (json!({ "provider": { "client_id": "" } }), "provider.client_id"),
        (json!({ "provider": { "client_id": "spa\n" } }), "provider.client_id"),
        (json!({ "provider": { "client_id": " spa" } }), "provider.client_id"),
        (json!({ "provider": { "client_id": "späh" } }), "provider.client_id"),
        (json!({ "provider": { "client_auth": "none" } }), "provider.client_auth"),
        (json!({ "provider": { "client_auth": "private_key_jwt" } }), "provider.client_auth"),
        (
            json!({ "provider": { "client_auth": "client_secret_basic_unencoded",
                                  "client_id": "a:b" } }),
            "provider.client_auth",
        ),
        (json!({ "provider": { "scopes": "openid" } }), "provider.scopes"),
        (json!({ "provider": { "scopes": [] } }), "provider.scopes"),
        (json!({ "provider": { "scopes": ["email"] } }), "provider.scopes"),
        (json!({ "provider": { "scopes": ["openid", "a b"] } }), "provider.scopes[1]"),
        (json!({ "provider": { "scopes": ["openid", ""] } }), "provider.scopes[1]"),
        (json!({ "provider": { "scopes": ["openid", "openid"] } }), "provider.scopes[1]"),
        (json!({ "provider": { "authorization_params": ["x"] } }), "provider.authorization_params"),
        (
            json!({ "provider": { "authorization_params": { "max_age": 300 } } }),
            "provider.authorization_params.max_age",
        ),
        (
            json!({ "provider": { "authorization_params": { "a&state": "x" } } }),
            "provider.authorization_params.\"a&state\"",
        ),
        (
            json!({ "provider": { "authorization_params": { "return_to": "x" } } }),
            "provider.authorization_params.return_to",
        ),
        (json!({ "provider": { "login_params": "hint" } }), "provider.login_params"),
        (json!({ "provider": { "login_params": ["a b"] } }), "provider.login_params[0]"),
        (json!({ "provider": { "login_params": ["a", "a"] } }), "provider.login_params[1]"),
        (json!({ "provider": { "login_params": ["prompt"] } }), "provider.login_params[0]"),
        (json!({ "provider": { "login_params": ["return_to"] } }), "provider.login_params[0]"),
        (
            json!({ "provider": { "login_params": ["audience"],
                                  "authorization_params": { "audience": "x" } } }),
            "provider.login_params[0]",
        ),
        (json!({ "provider": { "response_mode": "fragment" } }), "provider.response_mode"),
        // `right` has an http origin.
        (json!({ "provider": { "response_mode": "form_post" } }), "provider.response_mode"),
        (
            json!({ "provider": { "id_token_signed_response_alg": "none" } }),
            "provider.id_token_signed_response_alg",
        ),
        (
            json!({ "provider": { "id_token_signed_response_alg": "HS256" } }),
            "provider.id_token_signed_response_alg",
        ),
        (json!({ "provider": { "userinfo": 1 } }), "provider.userinfo"),
        (json!({ "provider": { "id_token_hint": "false" } }), "provider.id_token_hint"),
        (
            json!({ "provider": { "rotates_refresh_tokens": "?" } }),
            "provider.rotates_refresh_tokens",
        ),
        (json!({ "session": [] }), "session"),
        (json!({ "session": { "store": "kv" } }), "session.store"),
        (json!({ "session": { "store": "memory" } }), "session.store"),
        (json!({ "session": { "store": true } }), "session.store"),
        (json!({ "session": { "idle_minutes": 0 } }), "session.idle_minutes"),
        (json!({ "session": { "idle_minutes": -60 } }), "session.idle_minutes"),
        (json!({ "session": { "idle_minutes": 0.0166 } }), "session.idle_minutes"),
        (json!({ "session": { "idle_minutes": "60" } }), "session.idle_minutes"),
        (
            json!({ "session": { "idle_minutes": 43_201, "absolute_hours": 9600 } }),
            "session.idle_minutes",
        ),
        (json!({ "session": { "idle_minutes": 1e300 } }), "session.idle_minutes"),
        (json!({ "session": { "idle_minutes": 1441 } }), "session.idle_minutes"),
        (json!({ "session": { "absolute_hours": 0.5 } }), "session.idle_minutes"),
        (json!({ "session": { "absolute_hours": 0 } }), "session.absolute_hours"),
        (json!({ "session": { "absolute_hours": 9600.1 } }), "session.absolute_hours"),
        (json!({ "session": { "cache_seconds": 60.1 } }), "session.cache_seconds"),
        (json!({ "session": { "cache_seconds": -1 } }), "session.cache_seconds"),
        (
            json!({ "session": { "revocation_ticket_minutes": 61 } }),
            "session.revocation_ticket_minutes",
        ),
        (
            json!({ "session": { "revocation_ticket_minutes": -0.1 } }),
            "session.revocation_ticket_minutes",
        ),
        (json!({ "routes": { "path": "/api/*" } }), "routes"),
        (json!({ "routes": ["/api/*"] }), "routes[0]"),
    ];
    for (patch, key) in cases {
        assert_eq!(keys(&with(&patch)), [key], "{patch}");
    }
}

#[test]
fn no_parameter_of_the_protocol_is_an_operators_or_a_callers_to_set() {
    for name in [
        "client_id",
        "redirect_uri",
        "response_type",
        "scope",
        "state",
        "nonce",
        "code_challenge",
        "code_challenge_method",
        "response_mode",
        "resource",
        "request",
        "request_uri",
        "State",
        "client_secret",
        "client_assertion",
        "id_token_hint",
        "dpop_jkt",
    ] {
        let fixed = json!({ "provider": { "authorization_params": { name: "x" } } });
        let key = format!("provider.authorization_params.{name}");
        assert_eq!(keys(&with(&fixed)), [key], "{name}");
        let passed = json!({ "provider": { "login_params": [name] } });
        assert_eq!(keys(&with(&passed)), ["provider.login_params[0]"], "{name}");
    }
}

#[test]
fn an_origin_is_written_as_a_browser_sends_it() {
    for origin in [
        "https://app.example.com",
        "https://app.example.com:8443",
        "https://xn--bcher-kva.example",
        "https://localhost",
        "https://192.0.2.1",
        "https://[2001:db8::1]:444",
        "http://localhost",
        "http://127.0.0.1:5173",
        "http://[::1]:3000",
    ] {
        let config = accept(&with(&json!({ "origin": origin })));
        assert_eq!(config.origins.first().unwrap().serialized, origin);
    }
    for origin in [
        "https://app.example.com/",
        "https://app.example.com/x",
        "https://app.example.com?x",
        "https://app.example.com#x",
        "https://App.example.com",
        "HTTPS://app.example.com",
        "https://app.example.com:443",
        "https://app.example.com:",
        "https://app.example.com:0443",
        "https://user@app.example.com",
        "https://@app.example.com",
        "https://*.example.com",
        "https://app.example.com.",
        "https://",
        "https:///app.example.com",
        "https:app.example.com",
        "https:\\\\app.example.com",
        "https://app\t.example.com",
        " https://app.example.com",
        "https://bücher.example",
        "https://app。example",
        "https://app.example.com:99999",
        "https://%61pp.example.com",
        "https://0x7f.1",
        "app.example.com",
        "*",
        "null",
        "http://app.example.com",
        "http://localhost.evil.example",
        "http://localhost.",
        "http://127.0.0.2",
        "http://127.1",
        "http://2130706433",
        "http://0.0.0.0",
        "http://[::]",
        "http://[::ffff:127.0.0.1]",
        "http://localhost:80",
        "http://LOCALHOST:8787",
        "http://app.localhost:8787",
        "ws://localhost",
        "file:///x",
        "javascript:alert(1)",
    ] {
        assert_eq!(keys(&with(&json!({ "origin": origin }))), ["origin"], "{origin}");
    }
}

#[test]
fn an_issuer_is_kept_byte_for_byte() {
    for issuer in [
        "https://id.example.com",
        "https://id.example.com/",
        "https://id.example.com:8443/realms/a",
        "https://id.example.com/tenant/v2.0/",
        "https://ID.example.com",
        "http://localhost:9000",
    ] {
        let config = accept(&with(&json!({ "provider": { "issuer": issuer } })));
        assert_eq!(config.provider.issuer, issuer);
        assert_eq!(config.provider.allow_http, issuer.starts_with("http://"), "{issuer}");
    }
    for issuer in [
        "",
        "id.example.com",
        "http://id.example.com",
        "https://id.example.com?tenant=a",
        "https://id.example.com#x",
        "https://id.example.com/?",
        "https://u:p@id.example.com",
        "https://id.example.com/a/../b",
        "https://id.example.com/%2e%2e/b",
        "https://login.example.com/{tenantid}/v2.0",
        "https://id.example.com /",
        "https://id.example.com/\n",
        "https://id.example.com\\a",
        "http://127.0.0.1.evil.example",
    ] {
        let patch = json!({ "provider": { "issuer": issuer } });
        assert_eq!(keys(&with(&patch)), ["provider.issuer"], "{issuer}");
    }
}

#[test]
fn http_needs_the_switch_everywhere() {
    let patch = json!({
        "dangerously_allow_loopback_http": false,
        "origin": "http://localhost:8787",
        "provider": { "issuer": "http://localhost:9000" },
        "routes": [{ "path": "/api/*", "upstream": { "url": "http://localhost:9001" } }],
    });
    let expected = ["origin", "provider.issuer", "routes[0].upstream.url"];
    assert_eq!(keys(&with(&patch)), expected);
    let off_by_default = json!({ "dangerously_allow_loopback_http": null });
    assert_eq!(keys(&with(&off_by_default)), ["origin[1]", "routes[2].upstream.url"]);
}

#[test]
fn each_rule_of_a_route_holds() {
    let cases = [
        (json!({ "path": null }), "path"),
        (json!({ "path": "" }), "path"),
        (json!({ "upstream": null }), "upstream"),
        (json!({ "upstream": "https://api.example.com" }), "upstream"),
        (json!({ "upstream": { "url": "https://api.example.com" } }), "upstream"),
        (json!({ "upstream": { "service": null } }), "upstream"),
        (json!({ "upstream": { "service": "ELSEWHERE" } }), "upstream.service"),
        (json!({ "upstream": { "service": "SESSIONS" } }), "upstream.service"),
        (json!({ "upstream": { "service": "" } }), "upstream.service"),
        (json!({ "upstream": { "host": "x" } }), "upstream.host"),
        (json!({ "session": "none" }), "session"),
        (json!({ "navigation": "allow" }), "navigation"),
        (json!({ "resource": "api" }), "resource"),
        (json!({ "resource": "https://api.example.com#x" }), "resource"),
        (json!({ "resource": "https://api.example.com /x" }), "resource"),
        (json!({ "resource": "" }), "resource"),
        (json!({ "scope": "a  b" }), "scope"),
        (json!({ "scope": " a" }), "scope"),
        (json!({ "scope": ["a"] }), "scope"),
        (json!({ "methods": [] }), "methods"),
        (json!({ "methods": "GET" }), "methods"),
        (json!({ "methods": ["GET", "get"] }), "methods[1]"),
        (json!({ "methods": ["GET", "GET"] }), "methods[1]"),
        (json!({ "methods": ["TRACE"] }), "methods[0]"),
        (json!({ "methods": ["CONNECT"] }), "methods[0]"),
        (json!({ "strip_prefix": 1 }), "strip_prefix"),
        (json!({ "strip_prefix": true, "path": "/api/x" }), "strip_prefix"),
        (json!({ "retry_after_401": "true" }), "retry_after_401"),
        (json!({ "share_token": "true" }), "share_token"),
        (json!({ "session": "anonymous", "resource": "urn:a" }), "resource"),
        (json!({ "session": "anonymous", "scope": "a" }), "scope"),
        (json!({ "session": "anonymous", "retry_after_401": true }), "retry_after_401"),
        (json!({ "session": "anonymous", "share_token": true }), "share_token"),
        (json!({ "Authorization": "Bearer x" }), "Authorization"),
    ];
    accept(&with_route(&json!({})));
    for (patch, key) in cases {
        assert_eq!(keys(&with_route(&patch)), [format!("routes[0].{key}")], "{patch}");
    }
}

#[test]
fn a_path_has_one_form_and_stays_off_the_endpoints() {
    // CVE-2026-33494 and the rest of attacks.md §6.2: what could be read in two ways.
    for path in [
        "api/*",
        "/api*",
        "/api/*/x",
        "/api/**",
        "*",
        "/api//*",
        "//api/*",
        "/api/./x",
        "/api/../x",
        "/api/.../x",
        "/api/%2e%2e/x",
        "/api%2fx",
        "/api\\x",
        "/api;a=b/*",
        "/api/..;/x",
        "/api?x",
        "/api#x",
        "/api x",
        "/äpi",
        "/api/%41",
        "https://api.example.com/*",
        "/api/\u{0}",
        "/auth",
        "/auth/*",
        "/auth/login",
        "/auth/",
    ] {
        let patch = json!({ "path": path });
        assert_eq!(keys(&with_route(&patch)), ["routes[0].path"], "{path:?}");
    }
    for (text, path) in [
        ("/*", RoutePath::Prefix(String::new())),
        ("/api/*", RoutePath::Prefix("/api".to_owned())),
        ("/authors/*", RoutePath::Prefix("/authors".to_owned())),
        ("/api/v1.0/*", RoutePath::Prefix("/api/v1.0".to_owned())),
        ("/", RoutePath::Exact("/".to_owned())),
        ("/api/x", RoutePath::Exact("/api/x".to_owned())),
        ("/api/x/", RoutePath::Exact("/api/x/".to_owned())),
        ("/.well-known/x", RoutePath::Exact("/.well-known/x".to_owned())),
    ] {
        let config = accept(&with_route(&json!({ "path": text })));
        assert_eq!(config.routes.first().unwrap().path, path, "{text}");
    }
    let moved = json!({ "base_path": "/api/auth", "routes": [
        { "path": "/api/auth/x", "upstream": { "service": "API" } },
        { "path": "/auth/*", "upstream": { "service": "API" } },
    ] });
    assert_eq!(keys(&with(&moved)), ["routes[0].path"]);
}

#[test]
fn an_upstream_is_https_and_in_canonical_form() {
    for url in [
        "http://api.example.com",
        "https://u:p@api.example.com",
        "https://api.example.com?key=x",
        "https://api.example.com/#x",
        "https://API.example.com",
        "https://api.example.com:443",
        "https://api.example.com/a/../b",
        "https://api.example.com/a//b",
        "https://api.example.com//",
        "https://api.example.com/a;b",
        "https://api.example.com/%2e",
        "https://*.example.com",
        "https://api.example.com.",
        "https:///api.example.com",
        "",
        "/api",
        "http://10.0.0.1",
        "http://169.254.169.254",
        "http://localhost@evil.example",
        "ftp://api.example.com",
        "https://api.example.com\\@evil.example",
    ] {
        let patch = json!({ "upstream": { "service": null, "url": url } });
        assert_eq!(keys(&with_route(&patch)), ["routes[0].upstream.url"], "{url:?}");
    }
    for (url, origin, path) in [
        ("https://api.example.com", "https://api.example.com", ""),
        ("https://api.example.com/", "https://api.example.com", ""),
        ("https://api.example.com:8443/a/b/", "https://api.example.com:8443", "/a/b"),
        ("http://[::1]:9000/v1", "http://[::1]:9000", "/v1"),
    ] {
        let config = accept(&with_route(&json!({ "upstream": { "service": null, "url": url } })));
        let upstream = Upstream::Url { origin: origin.to_owned(), path: path.to_owned() };
        assert_eq!(config.routes.first().unwrap().upstream, upstream, "{url}");
    }
}

#[test]
fn a_route_that_is_never_reached_is_named() {
    let cases = [
        (["/api/*", "/api/*"], true),
        (["/api/x", "/api/x"], true),
        (["/api/*", "/api/x"], true),
        (["/api/*", "/api"], true),
        (["/api/*", "/api/"], true),
        (["/api/*", "/api/x/*"], true),
        (["/*", "/x"], true),
        (["/api/x", "/api/*"], false),
        (["/api/x", "/api/x/"], false),
        (["/api/x", "/api/x/*"], false),
        (["/api/*", "/apis/*"], false),
        (["/api/x/*", "/*"], false),
    ];
    for (paths, is_fault) in cases {
        let routes = paths.map(|path| json!({ "path": path, "upstream": { "service": "API" } }));
        let expected: &[&str] = if is_fault { &["routes[1].path"] } else { &[] };
        assert_eq!(keys(&with(&json!({ "routes": routes }))), expected, "{paths:?}");
    }
}

#[test]
fn a_token_goes_to_several_upstreams_only_where_that_is_said() {
    let (a, b) = (json!({ "url": "https://a.example" }), json!({ "url": "https://b.example" }));
    let route = |path: &str, upstream: &Value, more: &Value| {
        let mut route = json!({ "path": path, "upstream": upstream });
        json::merge_patch(&mut route, more);
        route
    };
    let (bare, service, assets) =
        (json!({}), json!({"service": "API"}), json!({"service": "ASSETS"}));
    let resource = json!({ "resource": "urn:x" });
    let shared = json!({ "share_token": true });
    let anonymous = json!({ "session": "anonymous" });
    let optional = json!({ "session": "optional" });
    let same = json!({ "url": "https://a.example/v2" });
    let cases: [(&Value, &Value, &Value, &Value, &[usize]); 11] = [
        (&a, &bare, &b, &bare, &[0, 1]),
        (&a, &resource, &b, &bare, &[1]),
        (&a, &resource, &b, &resource, &[]),
        (&a, &shared, &b, &shared, &[]),
        (&a, &shared, &b, &resource, &[]),
        (&a, &shared, &b, &bare, &[1]),
        (&a, &bare, &b, &anonymous, &[]),
        (&a, &bare, &b, &optional, &[0, 1]),
        (&a, &bare, &same, &bare, &[]),
        (&a, &bare, &service, &bare, &[0, 1]),
        (&a, &bare, &assets, &bare, &[]),
    ];
    for (first, more_first, second, more_second, faulty) in cases {
        let routes = [route("/a/*", first, more_first), route("/b/*", second, more_second)];
        let expected: Vec<_> = faulty.iter().map(|i| format!("routes[{i}].resource")).collect();
        assert_eq!(keys(&with(&json!({ "routes": routes }))), expected, "{routes:?}");
    }
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
fn secrets_bindings_and_flags_are_demanded() {
    type Spoil = fn(&mut Environment);
    let cases: [(Spoil, &[&str]); 13] = [
        (|e| e.client_secret = None, &["CLIENT_SECRET"]),
        (|e| e.client_secret = Some(Secret::from("")), &["CLIENT_SECRET"]),
        (|e| e.client_secret = Some(Secret::from("s3cr3t\n")), &["CLIENT_SECRET"]),
        (|e| e.client_secret = Some(Secret::from("gehéim")), &["CLIENT_SECRET"]),
        (|e| e.session_keys = None, &["SESSION_KEYS"]),
        (|e| e.session_keys = Some(Secret::from("")), &["SESSION_KEYS"]),
        (|e| e.session_keys = Some(Secret::from("a:short")), &["SESSION_KEYS"]),
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
