//! A login in a browser that has a session: a step-up, or somebody else's turn. The new session is
//! stored, then the earlier one ends, and nothing goes from one to the other.

use std::time::Duration;

use serde_json::{Map, Value, json};
use tokenkeep::app::ports::Clock as _;

use crate::support::*;

const MINUTE: Duration = Duration::from_secs(60);

/// Who logs in from now on.
fn logs_in_as(world: &World, claims: impl Fn(&mut Map<String, Value>) + 'static) {
    *world.provider.edit_id_token.borrow_mut() = Some(Box::new(claims));
}

fn session(browser: &Browser) -> Value {
    browser.fetch("GET", "/auth/session?touch=false").json()
}

/// Whoever has kept this browser's cookie.
fn keeper_of(world: &World, browser: &Browser) -> Browser {
    let keeper = world.browser();
    keeper.plants(SESSION_COOKIE, &browser.session_cookie().unwrap());
    keeper
}

fn position(world: &World, needle: &str) -> usize {
    world.audit.borrow().iter().rposition(|line| line.contains(needle)).unwrap()
}

#[test]
fn a_step_up_gives_the_same_person_a_new_session_and_ends_the_earlier_one() {
    let world = World::new();
    let browser = world.browser();
    logs_in_as(&world, |claims| drop(claims.insert("acr".to_owned(), json!("password"))));
    browser.logs_in();
    let earlier = keeper_of(&world, &browser);
    let before = session(&browser);
    let old_token = browser.token().unwrap();
    world.passes(50 * MINUTE);
    logs_in_as(&world, |claims| drop(claims.insert("acr".to_owned(), json!("hardware"))));
    let authorized = browser.authorizes("/auth/login?acr_values=hardware");
    assert!(earlier.is_logged_in(), "until the new one is there");
    assert_eq!(browser.comes_back(&authorized).status, 303);

    assert_ne!(browser.session_cookie(), earlier.session_cookie());
    assert!(!earlier.is_logged_in());
    assert!(earlier.token().is_none());
    let after = session(&browser);
    assert_eq!(after["user"]["sub"], before["user"]["sub"]);
    assert_eq!(after["user"]["acr"], "hardware");
    assert_ne!(browser.token().unwrap(), old_token);
    for deadline in ["created_at", "expires_at", "idle_expires_at"] {
        let moved = after[deadline].as_u64().unwrap() - before[deadline].as_u64().unwrap();
        assert_eq!(moved, 50 * 60, "{deadline}");
    }
    assert!(position(&world, "session_started") < position(&world, "\"reason\":\"replaced\""));
    // Some providers keep one grant for each person and client: the new session lives on it.
    assert!(world.provider.revoked.borrow().is_empty());
}

#[test]
fn somebody_else_in_the_same_browser_inherits_nothing() {
    let world = World::with(json!({ "provider": { "userinfo": true } }));
    let browser = world.browser();
    logs_in_as(&world, |claims| {
        claims["sid"] = json!("alices-sid");
        claims.insert("email".to_owned(), json!("alice@example.com"));
        claims.insert("groups".to_owned(), json!(["admins"]));
    });
    browser.logs_in();
    let earlier = keeper_of(&world, &browser);
    let old_token = browser.token().unwrap();
    world.passes(40 * MINUTE);

    "bob".clone_into(&mut world.provider.userinfo_sub.borrow_mut());
    logs_in_as(&world, |claims| {
        claims["sub"] = json!("bob");
        claims["name"] = json!("Bob Example");
        claims.remove("sid");
    });
    let now = world.now();
    browser.logs_in();
    assert!(!earlier.is_logged_in());
    let bobs = session(&browser);
    let mut claims: Vec<_> = bobs["user"].as_object().unwrap().keys().cloned().collect();
    claims.retain(|name| !matches!(name.as_str(), "auth_time" | "name" | "plan" | "sub"));
    assert!(claims.is_empty(), "{claims:?}");
    assert_eq!(
        (&bobs["user"]["sub"], &bobs["user"]["name"]),
        (&json!("bob"), &json!("Bob Example"))
    );
    let absolute = world.config().session.absolute;
    assert_eq!(bobs["created_at"].as_u64().unwrap(), now.as_secs());
    assert_eq!(bobs["expires_at"].as_u64().unwrap(), now.after(absolute).as_secs());
    let new_token = browser.token().unwrap();
    assert_ne!(new_token, old_token);

    // What is renewed, handed on at the logout and taken back is Bob's.
    world.passes(6 * MINUTE);
    let refreshed = browser.token().unwrap();
    assert!(refreshed != new_token && refreshed != old_token);
    let url = browser.fetch("POST", "/auth/logout").json()["logout_url"].clone();
    let hint =
        query_of(browser.navigate(url.as_str().unwrap()).location())["id_token_hint"].clone();
    assert_eq!(Some(&hint), world.provider.id_tokens.borrow().last());
    assert!(hint != world.provider.id_tokens.borrow()[0]);
    assert_eq!(world.provider.revoked_kinds(), ["refresh", "access"]);
    assert_eq!(world.provider.revoked.borrow()[1], refreshed);
    assert_eq!(world.audited("session_ended"), 2, "Alice's was replaced, Bob's logged out");
}

#[test]
fn the_earlier_session_outlives_a_login_that_fails_whatever_it_failed_by() {
    type Spoil = fn(&World);
    let failures: [(&str, Spoil, &str); 9] = [
        (
            "the provider's code endpoint is down",
            |world| world.provider.fails(Endpoint::Code, Failure::Answers(500, "<h1>oops</h1>")),
            "provider_unavailable",
        ),
        (
            "the code is refused",
            |world| {
                let refusal = Failure::Answers(400, r#"{"error":"invalid_grant"}"#);
                world.provider.fails(Endpoint::Code, refusal);
            },
            "code_refused",
        ),
        (
            "our credentials are refused",
            |world| {
                let refusal = Failure::Answers(401, r#"{"error":"invalid_client"}"#);
                world.provider.fails(Endpoint::Code, refusal);
            },
            "provider_refuses_client",
        ),
        (
            "the ID token is for another login",
            |world| logs_in_as(world, |claims| claims["nonce"] = json!("another")),
            "identity_refused",
        ),
        (
            "the ID token is for another client",
            |world| logs_in_as(world, |claims| claims["aud"] = json!("another")),
            "identity_refused",
        ),
        (
            "UserInfo is somebody else's",
            |world| "mallory".clone_into(&mut world.provider.userinfo_sub.borrow_mut()),
            "identity_refused",
        ),
        (
            "UserInfo is down",
            |world| world.provider.fails(Endpoint::UserInfo, Failure::Unreachable),
            "provider_unavailable",
        ),
        ("the store is down", |world| world.objects.down.set(true), "session_unavailable"),
        ("it took too long", |world| world.passes(11 * MINUTE), "login_not_found"),
    ];
    for (why, spoil, code) in failures {
        let world = World::with(json!({ "provider": { "userinfo": true } }));
        let browser = world.browser();
        browser.logs_in();
        let cookie = browser.session_cookie();
        let before = session(&browser);
        let authorized = browser.authorizes("/auth/login?prompt=login");
        spoil(&world);
        let shown = browser.comes_back(&authorized);
        assert_eq!(shown.code(), code, "{why}");
        world.objects.down.set(false);
        assert_eq!(browser.session_cookie(), cookie, "{why}");
        assert_eq!(session(&browser), before, "{why}");
        assert_eq!(world.audited("session_ended"), 0, "{why}");
    }
}

#[test]
fn a_person_who_says_no_keeps_the_session_they_had() {
    let world = World::new();
    let browser = world.browser();
    browser.logs_in();
    let cookie = browser.session_cookie();
    for error in ["access_denied", "login_required", "unmet_authentication_requirements"] {
        let Authorized { state, .. } = browser.authorizes("/auth/login?acr_values=hardware");
        let path = format!("/auth/callback?error={error}&state={state}&iss={}", encode(ISSUER));
        assert!(browser.send("GET", &path, FROM_PROVIDER, None).status >= 400, "{error}");
        assert_eq!(browser.session_cookie(), cookie, "{error}");
        assert!(browser.is_logged_in() && browser.token().is_some(), "{error}");
    }
}

// First stored, then ended: whatever the store answers in between, the person has a session.
#[test]
fn a_store_that_fails_between_the_new_session_and_the_earlier_ones_end_leaves_both() {
    let world = World::new();
    let browser = world.browser();
    browser.logs_in();
    let earlier = keeper_of(&world, &browser);
    let authorized = browser.authorizes("/auth/login");
    world.objects.answers_left.set(Some(1));
    assert_eq!(browser.comes_back(&authorized).status, 303);
    world.objects.answers_left.set(None);
    world.objects.down.set(false);
    assert_ne!(browser.session_cookie(), earlier.session_cookie());
    assert!(browser.is_logged_in() && earlier.is_logged_in());
    assert_eq!(world.audited("earlier_session_left"), 1);
    assert_eq!(world.audited("session_ended"), 0);
    // It ends by its own limits.
    world.passes_with_alarms(61 * MINUTE);
    assert!(!earlier.is_logged_in());
}

#[test]
fn a_store_that_fails_before_the_new_session_costs_nothing_and_the_login_can_go_on() {
    let world = World::new();
    let browser = world.browser();
    browser.logs_in();
    let earlier = keeper_of(&world, &browser);
    let authorized = browser.authorizes("/auth/login");
    world.objects.down.set(true);
    assert_eq!(browser.comes_back(&authorized).code(), "session_unavailable");
    assert_eq!(world.provider.calls(Endpoint::Code), 1, "of the first login");
    world.objects.down.set(false);
    assert!(browser.is_logged_in() && earlier.is_logged_in());
    assert_eq!(browser.comes_back(&authorized).status, 303);
    assert!(browser.is_logged_in() && !earlier.is_logged_in());
}

// An answer that isn't an end is none: whoever looks for the session that lives on finds its line.
#[test]
fn an_earlier_session_of_a_later_release_is_left_and_said() {
    let world = World::new();
    let browser = world.browser();
    browser.logs_in();
    let earlier = keeper_of(&world, &browser);
    let authorized = browser.authorizes("/auth/login");
    world.objects.rewrites_rows(|row| row[0] += 1);
    world.objects.restart();
    assert_eq!(browser.comes_back(&authorized).status, 303);
    assert!(browser.is_logged_in());
    assert_eq!(world.audited("earlier_session_left"), 1);
    assert_eq!(earlier.refusal(), "session_unavailable");
}

// `Strict` keeps the cookie away from the provider's navigation; where it comes along all the same
// (a callback that our own page opens), what it names by now is replaced too.
#[test]
fn the_session_that_the_cookie_names_by_now_is_replaced_as_well_as_the_one_of_before() {
    let world = World::new();
    let browser = world.browser();
    browser.logs_in();
    let first = keeper_of(&world, &browser);
    let slow = browser.authorizes("/auth/login");
    let elsewhere = world.browser();
    elsewhere.logs_in();
    browser.plants(SESSION_COOKIE, &elsewhere.session_cookie().unwrap());
    let shown = browser.send("GET", &callback(&slow), NAVIGATION, None);
    assert_eq!(shown.status, 303, "{shown:?}");
    assert!(browser.is_logged_in());
    assert!(!first.is_logged_in() && !elsewhere.is_logged_in());
    assert_eq!(world.audited("session_ended"), 2);
}

over_kv!(
    a_step_up_gives_the_same_person_a_new_session_and_ends_the_earlier_one,
    somebody_else_in_the_same_browser_inherits_nothing,
    the_earlier_session_outlives_a_login_that_fails_whatever_it_failed_by,
    a_person_who_says_no_keeps_the_session_they_had,
    a_store_that_fails_between_the_new_session_and_the_earlier_ones_end_leaves_both,
    a_store_that_fails_before_the_new_session_costs_nothing_and_the_login_can_go_on,
    the_session_that_the_cookie_names_by_now_is_replaced_as_well_as_the_one_of_before,
);
