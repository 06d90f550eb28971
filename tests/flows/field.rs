//! What providers in the field do that the standards' happy path doesn't have. The refused refresh
//! and its faces are in `refresh.rs`, `iss` in `callback.rs`, revocation and end-session in
//! `logout.rs`.

use std::time::Duration;

use serde_json::json;

use crate::support::*;

const SECOND: Duration = Duration::from_secs(1);

// Discovery is not the whole truth: what it leaves out, or doesn't list, may work.
#[test]
fn what_the_metadata_does_not_list_is_tried_all_the_same() {
    let world = World::with(json!({ "provider": { "response_mode": "form_post" } }));
    *world.provider.edit_metadata.borrow_mut() = Some(Box::new(|metadata| {
        for name in [
            "code_challenge_methods_supported",
            "id_token_signing_alg_values_supported",
            "response_types_supported",
            "subject_types_supported",
        ] {
            metadata.remove(name);
        }
        for (name, listed) in [
            ("grant_types_supported", json!(["authorization_code"])),
            ("response_modes_supported", json!(["fragment"])),
            ("scopes_supported", json!(["openid"])),
            ("token_endpoint_auth_methods_supported", json!(["private_key_jwt"])),
        ] {
            metadata.insert(name.to_owned(), listed);
        }
    }));
    let browser = world.browser();
    let authorized = browser.authorizes("/auth/login");
    let headers = [
        ("content-type", "application/x-www-form-urlencoded"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-mode", "navigate"),
    ];
    let shown = browser.send("POST", "/auth/callback", &headers, Some(&authorized.form()));
    assert_eq!(shown.status, 303);
    world.passes(301 * SECOND);
    assert!(browser.token().is_some());
    assert_eq!(world.provider.calls(Endpoint::Refresh), 1);
}

// No refresh token, no scope, a type in capitals, members that nobody asked for, an opaque token.
#[test]
fn a_refresh_is_taken_with_whatever_more_or_less_it_brings() {
    const OPAQUE: &str = "opaque.~+/=";
    let world = World::new();
    let browser = world.browser();
    browser.logs_in();
    let spare = r#"{"access_token":"opaque.~+/=","token_type":"BEARER","expires_in":60,
        "refresh_expires_in":1800,"not-before-policy":0,"session_state":"x","more":{"a":[null]}}"#;
    world.provider.fails(Endpoint::Refresh, Failure::Answers(200, spare));
    world.passes(301 * SECOND);
    assert_eq!(browser.token().as_deref(), Some(OPAQUE));
    // The old refresh token was kept: the provider still knows it, and no other.
    world.provider.works_again();
    world.passes(61 * SECOND);
    let token = browser.token().unwrap();
    assert_ne!(token, OPAQUE);
    assert_eq!(world.provider.calls(Endpoint::Refresh), 2);
    assert!(browser.is_logged_in());
}

// Lifetimes of 20–60 s: ahead of expiry is a fraction, and a young token is left alone.
#[test]
fn a_short_life_is_used_before_it_is_renewed() {
    for lifetime in [20, 60] {
        let world = World::new();
        world.provider.token_lifetime.set(Some(lifetime));
        let browser = world.browser();
        browser.logs_in();
        for second in 0..240 {
            assert!(browser.token().is_some(), "{lifetime} s: at {second} s");
            world.settle();
            world.passes(SECOND);
        }
        let refreshes = world.provider.calls(Endpoint::Refresh);
        let most = usize::try_from(240 * 5 / (lifetime * 4)).unwrap();
        assert!((most - 1..=most).contains(&refreshes), "{lifetime} s: {refreshes} refreshes");
        assert_eq!(world.audited("refreshed"), refreshes);

        let world = World::new();
        world.provider.token_lifetime.set(Some(lifetime));
        let browser = world.browser();
        browser.logs_in();
        world.passes(SECOND * u32::try_from(lifetime / 4 - 1).unwrap());
        assert_eq!(browser.call_refused_by_the_api("/api/orders"), None, "{lifetime} s");
        assert_eq!(world.provider.calls(Endpoint::Refresh), 0, "{lifetime} s");
    }
}

over_kv!(
    what_the_metadata_does_not_list_is_tried_all_the_same,
    a_refresh_is_taken_with_whatever_more_or_less_it_brings,
    a_short_life_is_used_before_it_is_renewed,
);
