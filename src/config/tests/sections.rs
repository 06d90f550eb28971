//! The rules of the top level, of `provider` and of `session`.

use serde_json::json;

use super::{accept, keys, with};

#[test]
fn each_rule_of_the_top_level_and_the_sections_holds() {
    let cases = [
        // A patch to `right` that makes one fault, at this key.
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
        // Hosts in ASCII, as `xn--…`: what looks like another host can't be written.
        (json!({ "provider": { "issuer": "https://bücher.example" } }), "provider.issuer"),
        (json!({ "provider": { "issuer": "https://xn--example-.org" } }), "provider.issuer"),
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
            json!({ "provider": { "authorization_params": { "max_age": "1h" } } }),
            "provider.authorization_params.max_age",
        ),
        (
            json!({ "provider": { "authorization_params": { "acr_values": " " } } }),
            "provider.authorization_params.acr_values",
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
        "http://127.1",
        "http://LOCALHOST:9000",
        "https://id.exam\tple.com",
        "https://bücher.example",
        "https:///id.example.com",
    ] {
        let patch = json!({ "provider": { "issuer": issuer } });
        assert_eq!(keys(&with(&patch)), ["provider.issuer"], "{issuer}");
    }
}

// What people copy from the provider's pages.
#[test]
fn the_address_of_the_discovery_document_is_no_issuer() {
    for end in ["", "/"] {
        let issuer = format!("https://id.example.com/realm/.well-known/openid-configuration{end}");
        let faults = super::parse(&with(&json!({ "provider": { "issuer": issuer } }))).unwrap_err();
        let said = faults.to_string();
        assert!(
            said.starts_with("provider.issuer: ") && said.contains("leave /.well-known"),
            "{said}"
        );
        assert_eq!(faults.0.len(), 1);
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
fn a_host_in_its_ascii_form_is_taken_as_it_is() {
    let issuer = "https://xn--bcher-kva.example";
    let config = accept(&with(&json!({ "provider": { "issuer": issuer } })));
    assert_eq!(config.provider.issuer, issuer);
}
