//! A provider that is down, or wrong.

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::support::*;

#[test]
fn a_provider_that_is_down_at_login_gives_a_page_with_a_code() {
    let world = World::new();
    world.provider.goes_down();
    let browser = world.browser();
    let shown = browser.navigate("/auth/login");
    assert_eq!((shown.status, shown.code()), (503, "provider_unavailable"));
    assert!(shown.header("content-type").unwrap().starts_with("text/html"));
    assert!(shown.header("retry-after").is_some());
    assert!(browser.transactions().is_empty());
    // Not asked by every visitor.
    browser.navigate("/auth/login");
    browser.navigate("/auth/login");
    assert_eq!(world.provider.calls(Endpoint::Discovery), 1);
    world.provider.works_again();
    world.passes(Duration::from_secs(6));
    browser.logs_in();
}

#[test]
fn a_short_outage_of_discovery_and_keys_goes_unnoticed() {
    let world = World::new();
    world.browser().logs_in();
    for endpoint in [Endpoint::Discovery, Endpoint::Keys] {
        world.provider.fails(endpoint, Failure::Unreachable);
    }
    world.passes(Duration::from_secs(3 * 3600));
    world.browser().logs_in();
    assert_eq!(world.provider.calls(Endpoint::Discovery), 2);
    // A day later the copies are too old to be believed.
    world.passes(Duration::from_secs(25 * 3600));
    let shown = world.browser().navigate("/auth/login");
    assert_eq!(shown.code(), "provider_unavailable");
}

#[test]
fn keys_that_can_not_be_had_log_nobody_in() {
    let world = World::new();
    world.provider.fails(Endpoint::Keys, Failure::Unreachable);
    let browser = world.browser();
    let authorized = browser.authorizes("/auth/login");
    let shown = browser.comes_back(&authorized);
    assert_eq!((shown.status, shown.code()), (503, "provider_unavailable"));
    assert!(!browser.is_logged_in());
    world.provider.works_again();
    world.passes(Duration::from_secs(6));
    browser.logs_in();
}

#[test]
fn a_token_endpoint_that_fails_at_login_gives_its_code() {
    for (failure, code) in [
        (Failure::Unreachable, "provider_unavailable"),
        (Failure::AnswerLost, "provider_unavailable"),
        (Failure::Answers(500, "<h1>stack trace</h1>"), "provider_unavailable"),
        (
            Failure::Answers(200, r#"{"access_token":"x","token_type":"mac"}"#),
            "provider_unavailable",
        ),
        (
            Failure::Answers(200, r#"{"access_token":"x","token_type":"bearer"}"#),
            "identity_refused",
        ),
        (Failure::Answers(401, r#"{"error":"invalid_client"}"#), "provider_refuses_client"),
        (Failure::Answers(400, r#"{"error":"invalid_grant"}"#), "code_refused"),
        (Failure::Answers(400, ""), "code_refused"),
    ] {
        let world = World::new();
        world.provider.fails(Endpoint::Code, failure.clone());
        let browser = world.browser();
        let authorized = browser.authorizes("/auth/login");
        let shown = browser.comes_back(&authorized);
        assert_eq!(shown.code(), code, "{failure:?}");
        assert!(!shown.body.contains("stack trace"));
        assert!(browser.session_cookie().is_none());
        assert!(browser.transactions().is_empty(), "a code is never tried twice");
        world.provider.works_again();
        browser.logs_in();
    }
}

#[test]
fn a_store_that_is_down_at_the_callback_costs_no_login() {
    let world = World::new();
    let browser = world.browser();
    let authorized = browser.authorizes("/auth/login");
    world.objects.down.set(true);
    let shown = browser.comes_back(&authorized);
    assert_eq!((shown.status, shown.code()), (503, "session_unavailable"));
    assert_eq!(browser.transactions().len(), 1);
    world.objects.down.set(false);
    assert_eq!(browser.comes_back(&authorized).status, 303);
    assert!(browser.is_logged_in());
}

// CVE-2026-73421: what fails must fail closed.
#[test]
fn a_provider_whose_metadata_is_wrong_is_not_used() {
    type Edit = fn(&mut Map<String, Value>);
    let cases: [(&str, Edit); 4] = [
        ("issuer_mismatch", |m| m["issuer"] = json!("https://id.example.com/realm")),
        ("endpoint_forbidden", |m| m["token_endpoint"] = json!("http://id.example.com/token")),
        ("endpoint_missing", |m| drop(m.remove("jwks_uri"))),
        ("no_s256", |m| m["code_challenge_methods_supported"] = json!(["plain"])),
    ];
    for (trouble, edit) in cases {
        let world = World::new();
        *world.provider.edit_metadata.borrow_mut() = Some(Box::new(edit));
        let shown = world.browser().navigate("/auth/login");
        assert_eq!(shown.code(), "provider_unavailable", "{trouble}");
        let needle = format!("\"trouble\":\"{trouble}\"");
        assert!(world.audit.borrow().iter().any(|line| line.contains(&needle)), "{trouble}");
    }
}

#[test]
fn the_refresh_path_needs_no_discovery() {
    let world = World::new();
    let browser = world.browser();
    browser.logs_in();
    world.deploys(&["first"]);
    world.provider.fails(Endpoint::Discovery, Failure::Unreachable);
    world.passes(Duration::from_secs(301));
    assert!(browser.token().is_some());
    assert_eq!(browser.fetch("POST", "/auth/logout").status, 200);
}

#[test]
fn an_outage_at_refresh_is_named_and_survived() {
    let world = World::new();
    let browser = world.browser();
    browser.logs_in();
    world.provider.goes_down();
    world.passes(Duration::from_secs(250));
    assert!(browser.token().is_some(), "the old token serves while it lives");
    world.passes(Duration::from_secs(60));
    assert_eq!(browser.refusal(), "provider_unavailable");
    assert!(browser.is_logged_in());
}

over_kv!(
    a_provider_that_is_down_at_login_gives_a_page_with_a_code,
    a_short_outage_of_discovery_and_keys_goes_unnoticed,
    keys_that_can_not_be_had_log_nobody_in,
    a_token_endpoint_that_fails_at_login_gives_its_code,
    a_store_that_is_down_at_the_callback_costs_no_login,
    a_provider_whose_metadata_is_wrong_is_not_used,
    the_refresh_path_needs_no_discovery,
    an_outage_at_refresh_is_named_and_survived,
);
