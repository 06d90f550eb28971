//! Calls: what a token needs to be attached, and what an API's 401 leads to.

use std::time::Duration;

use serde_json::json;

use crate::support::*;

#[test]
fn a_call_carries_the_access_token_and_an_anonymous_one_is_told_to_log_in() {
    let world = World::new();
    let browser = world.browser();
    assert_eq!(browser.refusal(), "unauthenticated");
    assert_eq!(world.objects.asked.get(), 0);
    browser.logs_in();
    let token = browser.token().unwrap();
    assert!(world.provider.secrets.borrow().contains(&token));
}

// better-auth CVE-2025-71402 and its kin: what we never issued is refused before a store is asked.
#[test]
fn a_forged_cookie_asks_no_object() {
    let world = World::new();
    let browser = world.browser();
    browser.logs_in();
    let cookie = browser.session_cookie().unwrap();
    let asked = world.objects.asked.get();
    let flipped = if cookie.ends_with('A') { 'B' } else { 'A' };
    for forged in [
        String::new(),
        "x".to_owned(),
        "A".repeat(64),
        format!("{}{flipped}", &cookie[..63]),
        format!("{cookie}A"),
        format!("\"{cookie}\""),
    ] {
        let thief = world.browser();
        thief.plants(SESSION_COOKIE, &forged);
        assert_eq!(thief.refusal(), "unauthenticated", "{forged}");
        assert!(!thief.is_logged_in(), "{forged}");
        assert_eq!(thief.fetch("POST", "/auth/logout").status, 200);
    }
    assert_eq!(world.objects.asked.get(), asked);
    assert!(browser.is_logged_in());
}

#[test]
fn an_apis_401_is_answered_with_a_refresh_once_the_token_is_not_young() {
    let world = World::new();
    let browser = world.browser();
    browser.logs_in();
    let old = browser.token().unwrap();
    // A young token: the API's own 401 goes through.
    assert_eq!(browser.call_refused_by_the_api("/api/orders"), None);
    assert_eq!(world.provider.calls(Endpoint::Refresh), 0);
    world.passes(Duration::from_secs(100));
    let new = browser.call_refused_by_the_api("/api/orders").unwrap();
    assert_ne!(new, old);
    assert_eq!(browser.token().unwrap(), new);
    // The new one is refused as well: that isn't about its age.
    assert_eq!(browser.call_refused_by_the_api("/api/orders"), None);
    assert_eq!(world.provider.calls(Endpoint::Refresh), 1);
}

#[test]
fn a_store_that_does_not_answer_is_not_taken_for_a_logout() {
    let world = World::new();
    let browser = world.browser();
    browser.logs_in();
    world.objects.down.set(true);
    assert_eq!(browser.refusal(), "session_unavailable");
    let shown = browser.fetch("GET", "/auth/session");
    assert_eq!((shown.status, shown.code()), (503, "session_unavailable"));
    assert!(browser.session_cookie().is_some());
    world.objects.down.set(false);
    assert!(browser.is_logged_in());
}

#[test]
fn the_session_shows_a_user_to_our_own_pages_only() {
    let world = World::new();
    let browser = world.browser();
    browser.logs_in();
    for headers in [
        &[("sec-fetch-site", "cross-site")][..],
        &[("sec-fetch-site", "same-site")],
        &[("sec-fetch-site", "same-origin"), ("origin", "https://evil.example")],
        &[("origin", "null"), ("x-tokenkeep", "1")],
        &[],
    ] {
        let shown = browser.send("GET", "/auth/session", headers, None);
        assert_eq!(shown.status, 200, "{headers:?}");
        assert_eq!(
            shown.json(),
            json!({"authenticated": false, "user": null, "login_url": "/auth/login"}),
            "{headers:?}"
        );
    }
    let shown = browser.send("GET", "/auth/session", &[("x-tokenkeep", "1")], None);
    assert_eq!(shown.json()["authenticated"], true);
}

over_kv!(
    a_call_carries_the_access_token_and_an_anonymous_one_is_told_to_log_in,
    a_forged_cookie_asks_no_object,
    an_apis_401_is_answered_with_a_refresh_once_the_token_is_not_young,
    a_store_that_does_not_answer_is_not_taken_for_a_logout,
    the_session_shows_a_user_to_our_own_pages_only,
);
