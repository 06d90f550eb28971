//! Refreshing: once, in time, and what ends a session.

use std::time::Duration;

use serde_json::json;

use crate::support::*;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn twenty_calls_at_expiry_make_one_refresh_and_get_the_same_token() {
    let world = World::new();
    let browser = world.browser();
    browser.logs_in();
    let old = browser.token().unwrap();
    world.passes(301 * SECOND);
    let calls = (0..20).map(|_| browser.calling("/api/orders"));
    let called = world.run(futures::future::join_all(calls));
    let mut tokens: Vec<_> = called
        .into_iter()
        .map(|called| match called {
            Called::Forwarded(token) => token.unwrap(),
            Called::Answered(shown) => panic!("{shown:?}"),
        })
        .collect();
    tokens.dedup();
    assert_eq!(tokens.len(), 1);
    assert_ne!(tokens[0], old);
    assert_eq!(world.provider.calls(Endpoint::Refresh), 1);
    assert_eq!(world.audited("refreshed"), 1);
}

#[test]
fn a_token_near_its_end_still_serves_while_the_new_one_is_fetched() {
    let world = World::new();
    let browser = world.browser();
    browser.logs_in();
    let old = browser.token().unwrap();
    world.passes(250 * SECOND);
    assert_eq!(browser.token().unwrap(), old);
    world.settle();
    let new = browser.token().unwrap();
    assert_ne!(new, old);
    assert_eq!(world.provider.calls(Endpoint::Refresh), 1);
}

#[test]
fn refreshing_goes_on_with_rotation_and_without() {
    for rotates in [true, false] {
        let world = World::new();
        world.provider.rotates.set(rotates);
        let browser = world.browser();
        browser.logs_in();
        for round in 1..=5 {
            world.passes(300 * SECOND);
            assert!(browser.token().is_some(), "rotates: {rotates}, round {round}");
            assert_eq!(world.provider.calls(Endpoint::Refresh), round);
        }
        assert!(browser.is_logged_in());
    }
}

#[test]
fn a_browser_that_goes_away_does_not_lose_the_refresh() {
    let world = World::new();
    let browser = world.browser();
    browser.logs_in();
    world.passes(301 * SECOND);
    world.run(async {
        let call = Box::pin(browser.calling("/api/orders"));
        let moment = Box::pin(async {
            for _ in 0..3 {
                pause().await;
            }
        });
        drop(futures::future::select(call, moment).await);
    });
    world.settle();
    assert!(browser.token().is_some());
    assert_eq!(world.provider.calls(Endpoint::Refresh), 1);
}

#[test]
fn invalid_grant_ends_the_session_at_once() {
    let world = World::new();
    let browser = world.browser();
    browser.logs_in();
    world.provider.forgets_everything();
    world.passes(301 * SECOND);
    assert_eq!(browser.refusal(), "unauthenticated");
    assert!(!browser.is_logged_in());
    // A 401 never deletes the cookie: a late one would delete the next login's.
    assert!(browser.session_cookie().is_some());
    assert!(world.audit.borrow().iter().any(|line| line.contains("\"reason\":\"invalid_grant\"")));
    browser.logs_in();
    assert!(browser.token().is_some());
}

// What providers in the field do.
#[test]
fn a_refusal_that_is_not_about_the_token_ends_nothing() {
    for (status, body, code) in [
        (401, r#"{"error":"invalid_client"}"#, "provider_refuses_client"),
        (401, r#"{"error":"unauthorized_client"}"#, "provider_refuses_client"),
        (400, r#"{"error":"unauthorized_client"}"#, "provider_refuses_client"),
        (403, "<h1>WAF</h1>", "provider_refuses_client"),
        (429, "", "provider_overloaded"),
        (503, "", "provider_overloaded"),
        (500, "", "provider_unavailable"),
        (502, "<html>", "provider_unavailable"),
        (302, "", "provider_unavailable"),
        (200, "not json", "provider_unavailable"),
        (200, "{}", "provider_unavailable"),
    ] {
        let world = World::new();
        let browser = world.browser();
        browser.logs_in();
        world.provider.fails(Endpoint::Refresh, Failure::Answers(status, body));
        world.passes(301 * SECOND);
        assert_eq!(browser.refusal(), code, "{status} {body}");
        assert!(browser.is_logged_in(), "{status} {body}");
        world.provider.works_again();
        world.passes(60 * SECOND);
        assert!(browser.token().is_some(), "{status} {body}");
    }
}

#[test]
fn a_definite_refusal_ends_the_session_the_second_time() {
    for body in ["", r#"{"error":"invalid_request"}"#] {
        let world = World::new();
        let browser = world.browser();
        browser.logs_in();
        world.provider.fails(Endpoint::Refresh, Failure::Answers(400, body));
        world.passes(301 * SECOND);
        assert_eq!(browser.refusal(), "provider_unavailable");
        assert!(browser.is_logged_in());
        world.passes(30 * SECOND);
        assert_eq!(browser.refusal(), "unauthenticated");
        assert!(!browser.is_logged_in());
        let audit = world.audit.borrow().join("\n");
        assert!(audit.contains("\"reason\":\"refresh_refused\""), "{audit}");
    }
}

// What stands in front of the token endpoint has no word on the grant, however often it says it.
#[test]
fn a_router_that_restarts_ends_no_session() {
    for (status, body) in [
        (404, ""),
        (404, r#"{"status":404,"error":"Not Found","path":"/realm/token"}"#),
        (405, "<html>"),
        (421, ""),
    ] {
        let world = World::new();
        let browser = world.browser();
        browser.logs_in();
        world.provider.fails(Endpoint::Refresh, Failure::Answers(status, body));
        world.passes(301 * SECOND);
        for round in 0..5 {
            assert_eq!(browser.refusal(), "provider_unavailable", "{status} {body}, {round}");
            assert!(browser.is_logged_in(), "{status} {body}, {round}");
            world.passes(31 * SECOND);
        }
        assert_eq!(world.provider.calls(Endpoint::Refresh), 5);
        world.provider.works_again();
        assert!(browser.token().is_some(), "{status} {body}");
    }
}

#[test]
fn an_answer_that_was_lost_gets_one_more_try() {
    // Without rotation the second try works; with it the provider's reuse detection ends it.
    let world = World::new();
    world.provider.rotates.set(false);
    let browser = world.browser();
    browser.logs_in();
    world.provider.fails(Endpoint::Refresh, Failure::AnswerLost);
    world.passes(301 * SECOND);
    assert_eq!(browser.refusal(), "provider_unavailable");
    world.provider.works_again();
    world.passes(10 * SECOND);
    assert!(browser.token().is_some());

    let world = World::new();
    let browser = world.browser();
    browser.logs_in();
    world.provider.fails(Endpoint::Refresh, Failure::AnswerLost);
    world.passes(301 * SECOND);
    assert_eq!(browser.refusal(), "provider_unavailable");
    world.provider.works_again();
    world.passes(10 * SECOND);
    assert_eq!(browser.refusal(), "unauthenticated");
    let audit = world.audit.borrow().join("\n");
    assert!(audit.contains("\"reason\":\"refresh_answer_lost\""), "{audit}");
    assert_eq!(world.provider.calls(Endpoint::Refresh), 2);
}

// OpenID Connect Core 12.2; mod_auth_openidc 2026: a refreshed ID token stored unchecked.
#[test]
fn a_refreshed_id_token_of_somebody_else_is_not_used() {
    for (claim, value) in [
        ("sub", json!("mallory")),
        ("iss", json!("https://evil.example")),
        ("aud", json!("another client")),
        ("nonce", json!("another")),
        ("auth_time", json!(1_760_000_001)),
        ("at_hash", json!("AAAAAAAAAAAAAAAAAAAAAA")),
    ] {
        let world = World::new();
        let browser = world.browser();
        browser.logs_in();
        *world.provider.edit_id_token.borrow_mut() =
            Some(Box::new(move |claims| claims[claim] = value.clone()));
        world.passes(301 * SECOND);
        assert!(browser.token().is_none(), "{claim}");
        let needle = format!("\"check\":\"{claim}\"");
        assert!(world.audit.borrow().iter().any(|line| line.contains(&needle)), "{claim}");
        let session = browser.fetch("GET", "/auth/session").json();
        assert_ne!(session["user"]["sub"], "mallory");
    }
}

// CVE-2021-41230: claims that weren't updated after a refresh.
#[test]
fn a_refreshed_id_token_brings_its_new_claims() {
    let world = World::new();
    let browser = world.browser();
    browser.logs_in();
    *world.provider.edit_id_token.borrow_mut() = Some(Box::new(|claims| {
        claims["name"] = json!("Alice Married");
        claims.remove("nonce");
        claims.remove("auth_time");
        claims.insert("azp".to_owned(), json!(CLIENT_ID));
    }));
    world.passes(301 * SECOND);
    assert!(browser.token().is_some());
    let session = browser.fetch("GET", "/auth/session").json();
    assert_eq!(session["user"]["name"], "Alice Married");
}

#[test]
fn a_refresh_need_not_bring_an_id_token() {
    let world = World::new();
    world.provider.id_token_on_refresh.set(false);
    let browser = world.browser();
    browser.logs_in();
    world.passes(301 * SECOND);
    assert!(browser.token().is_some());
    let session = browser.fetch("GET", "/auth/session").json();
    assert_eq!(session["user"]["name"], "Alice Example");
}

#[test]
fn an_outage_of_the_keys_alone_costs_no_rotated_refresh_token() {
    let world = World::new();
    let browser = world.browser();
    browser.logs_in();
    world.provider.rotates_its_key("k2");
    world.provider.fails(Endpoint::Keys, Failure::Unreachable);
    for _ in 0..3 {
        world.passes(301 * SECOND);
        assert!(browser.token().is_some());
    }
    assert!(browser.is_logged_in());
    assert_eq!(world.provider.calls(Endpoint::Refresh), 3);
}

// A key set that lags behind the signer (a CDN before the jwks_uri) is an outage of the keys too.
#[test]
fn a_key_that_is_not_published_yet_costs_no_rotated_refresh_token() {
    let world = World::new();
    let browser = world.browser();
    browser.logs_in();
    world.provider.keys_lag.set(true);
    world.provider.rotates_its_key("k2");
    *world.provider.edit_id_token.borrow_mut() =
        Some(Box::new(|claims| claims["name"] = json!("Nobody has checked")));
    for _ in 0..3 {
        world.passes(301 * SECOND);
        assert!(browser.token().is_some());
    }
    assert_eq!(world.provider.calls(Endpoint::Refresh), 3);
    let session = browser.fetch("GET", "/auth/session").json();
    assert_eq!(session["user"]["name"], "Alice Example");
}

#[test]
fn a_token_of_unknown_lifetime_is_refreshed_at_the_apis_first_401() {
    let world = World::new();
    world.provider.token_lifetime.set(None);
    let browser = world.browser();
    browser.logs_in();
    world.passes(1200 * SECOND);
    let old = browser.token().unwrap();
    assert_eq!(world.provider.calls(Endpoint::Refresh), 0);
    let new = browser.call_refused_by_the_api("/api/orders").unwrap();
    assert_ne!(new, old);
}

#[test]
fn a_refresh_takes_the_rows_that_it_needs() {
    let world = World::new();
    let browser = world.browser();
    browser.logs_in();
    let before = world.objects.puts();
    world.passes(301 * SECOND);
    assert!(browser.token().is_some());
    // `sending` before it leaves, the result before anyone sees it.
    assert!(world.objects.puts() - before <= 2, "{}", world.objects.puts() - before);
}

#[test]
fn the_logins_token_does_not_stand_in_for_one_of_fewer_scopes() {
    let world = World::with(json!({ "routes": [{
        "path": "/api/*",
        "upstream": { "url": "https://api.example.com" },
        "scope": "orders.read",
    }] }));
    let browser = world.browser();
    browser.logs_in();
    assert!(browser.token().is_some());
    // The code's exchange can't ask for fewer scopes than the authorization request did.
    assert_eq!(world.provider.calls(Endpoint::Refresh), 1);
}

// Some say "it doesn't run out" so (golang.org/x/oauth2 reads it so); taken at its word, each call
// would be a refresh that brings nothing.
#[test]
fn a_lifetime_of_zero_seconds_is_unknown_and_no_call_is_a_refresh() {
    let world = World::new();
    world.provider.token_lifetime.set(Some(0));
    let browser = world.browser();
    browser.logs_in();
    for _ in 0..5 {
        assert!(browser.token().is_some());
    }
    assert_eq!(world.provider.calls(Endpoint::Refresh), 0);
}

over_kv!(
    twenty_calls_at_expiry_make_one_refresh_and_get_the_same_token,
    a_token_near_its_end_still_serves_while_the_new_one_is_fetched,
    refreshing_goes_on_with_rotation_and_without,
    a_browser_that_goes_away_does_not_lose_the_refresh,
    invalid_grant_ends_the_session_at_once,
    a_refusal_that_is_not_about_the_token_ends_nothing,
    a_definite_refusal_ends_the_session_the_second_time,
    a_refreshed_id_token_of_somebody_else_is_not_used,
    a_refreshed_id_token_brings_its_new_claims,
    a_refresh_need_not_bring_an_id_token,
    an_outage_of_the_keys_alone_costs_no_rotated_refresh_token,
    a_key_that_is_not_published_yet_costs_no_rotated_refresh_token,
    a_token_of_unknown_lifetime_is_refreshed_at_the_apis_first_401,
    a_refresh_takes_the_rows_that_it_needs,
    the_logins_token_does_not_stand_in_for_one_of_fewer_scopes,
);
