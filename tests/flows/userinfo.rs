//! Who it is: the ID token's checks, seen from outside, and UserInfo.

use serde_json::{Map, Value, json};
use tokenkeep::app::ports::Clock as _;

use crate::support::*;

#[test]
fn userinfo_is_asked_exactly_once_a_login_and_adds_its_claims() {
    let world = World::with(json!({ "provider": { "userinfo": true } }));
    let browser = world.browser();
    browser.logs_in();
    let session = browser.fetch("GET", "/auth/session").json();
    assert_eq!(session["user"]["plan"], "gold");
    assert_eq!(session["user"]["name"], "Alice Example");
    for _ in 0..3 {
        world.passes(std::time::Duration::from_secs(299));
        assert!(browser.token().is_some());
    }
    assert!(world.provider.calls(Endpoint::Refresh) > 0);
    assert_eq!(world.provider.calls(Endpoint::UserInfo), 1);
    let session = browser.fetch("GET", "/auth/session").json();
    assert_eq!(session["user"]["plan"], "gold");
}

#[test]
fn what_was_signed_stands_and_userinfo_adds_to_it() {
    let world = World::with(json!({ "provider": { "userinfo": true } }));
    *world.provider.edit_id_token.borrow_mut() =
        Some(Box::new(|claims| drop(claims.insert("plan".to_owned(), json!("signed")))));
    let browser = world.browser();
    browser.logs_in();
    let session = browser.fetch("GET", "/auth/session").json();
    assert_eq!(session["user"]["plan"], "signed");
}

#[test]
fn userinfo_is_not_asked_where_it_is_not_configured() {
    let world = World::new();
    world.browser().logs_in();
    assert_eq!(world.provider.calls(Endpoint::UserInfo), 0);
}

// OpenID Connect Core 5.3.2.
#[test]
fn userinfo_about_somebody_else_logs_nobody_in() {
    let world = World::with(json!({ "provider": { "userinfo": true } }));
    "mallory".clone_into(&mut world.provider.userinfo_sub.borrow_mut());
    let browser = world.browser();
    let authorized = browser.authorizes("/auth/login");
    assert_eq!(browser.comes_back(&authorized).code(), "identity_refused");
    assert!(browser.session_cookie().is_none());
    assert!(!browser.is_logged_in());
    assert!(world.audit.borrow().iter().any(|line| line.contains("userinfo_subject_mismatch")));
    assert!(!world.audit.borrow().iter().any(|line| line.contains("mallory")));
}

#[test]
fn an_id_token_that_fails_a_check_logs_nobody_in_and_the_log_says_which() {
    type Edit = fn(&mut Map<String, Value>);
    let cases: [(&str, Edit); 11] = [
        ("iss", |claims| claims["iss"] = json!("https://id.example.com/realm")),
        ("aud", |claims| claims["aud"] = json!("another client")),
        ("aud", |claims| claims["aud"] = json!(["the client", "another client"])),
        ("azp", |claims| drop(claims.insert("azp".to_owned(), json!("another client")))),
        ("exp", |claims| claims["exp"] = json!(1)),
        ("iat", |claims| claims["iat"] = json!(4_000_000_000_u64)),
        ("nonce", |claims| claims["nonce"] = json!("another login's")),
        ("nonce", |claims| drop(claims.remove("nonce"))),
        ("at_hash", |claims| claims["at_hash"] = json!("AAAAAAAAAAAAAAAAAAAAAA")),
        ("sub", |claims| drop(claims.remove("sub"))),
        ("auth_time", |claims| drop(claims.remove("auth_time"))),
    ];
    for (check, edit) in cases {
        let world = World::new();
        *world.provider.edit_id_token.borrow_mut() = Some(Box::new(edit));
        let browser = world.browser();
        let authorized = browser.authorizes("/auth/login?max_age=999999999");
        let shown = browser.comes_back(&authorized);
        assert_eq!((shown.status, shown.code()), (502, "identity_refused"), "{check}");
        assert!(browser.session_cookie().is_none(), "{check}");
        let needle = format!("\"check\":\"{check}\"");
        assert!(world.audit.borrow().iter().any(|line| line.contains(&needle)), "{check}");
        // Nothing of the answer is kept.
        let browser_again = world.browser();
        assert!(!browser_again.is_logged_in());
    }
}

#[test]
fn a_token_among_the_claims_is_not_shown() {
    let world = World::new();
    world.knows_secret("the-other-providers-token".to_owned());
    *world.provider.edit_id_token.borrow_mut() = Some(Box::new(|claims| {
        claims.insert("idp_access_token".to_owned(), json!("the-other-providers-token"));
    }));
    let browser = world.browser();
    browser.logs_in();
    let session = browser.fetch("GET", "/auth/session").json();
    assert_eq!(session["user"]["name"], "Alice Example");
    assert!(session["user"].get("idp_access_token").is_none());
}

#[test]
fn an_authentication_older_than_max_age_is_refused() {
    let world = World::new();
    let browser = world.browser();
    let authorized = browser.authorizes("/auth/login?max_age=60");
    assert_eq!(browser.comes_back(&authorized).code(), "identity_refused");
}

// A person may take minutes at a consent page: `max_age` is measured from when it was asked for.
#[test]
fn time_spent_at_the_provider_is_not_age_of_the_authentication() {
    for (before, status) in [(50, 303), (71, 502)] {
        let world = World::new();
        let auth_time = world.now().as_secs() - before;
        *world.provider.edit_id_token.borrow_mut() =
            Some(Box::new(move |claims| claims["auth_time"] = json!(auth_time)));
        let browser = world.browser();
        let authorized = browser.authorizes("/auth/login?max_age=60");
        world.passes(std::time::Duration::from_secs(300));
        assert_eq!(browser.comes_back(&authorized).status, status, "{before} s before the request");
    }
}

// OpenID Connect Core 3.1.3.7 steps 12 and 13 hold for what the operator asks for as well, and a
// caller of `login` can't ask for less (attack list 82).
#[test]
fn the_operators_max_age_and_acr_values_are_held_to() {
    let fixed = |name: &str, value: &str| {
        World::with(json!({ "provider": { "authorization_params": { name: value } } }))
    };
    let comes_back = |world: &World, login: &str| {
        let browser = world.browser();
        let authorized = browser.authorizes(login);
        browser.comes_back(&authorized)
    };
    for login in ["/auth/login", "/auth/login?max_age=999999999"] {
        assert_eq!(comes_back(&fixed("max_age", "60"), login).code(), "identity_refused");
        assert_eq!(comes_back(&fixed("max_age", "999999999"), login).status, 303);
    }
    for login in ["/auth/login", "/auth/login?acr_values=urn:pwd"] {
        let world = fixed("acr_values", "urn:mfa urn:hw");
        for (acr, status) in [("urn:pwd", 502), ("urn:hw", 303)] {
            *world.provider.edit_id_token.borrow_mut() =
                Some(Box::new(move |claims| drop(claims.insert("acr".to_owned(), json!(acr)))));
            assert_eq!(comes_back(&world, login).status, status, "{login} {acr}");
        }
    }
}

// RFC 9700 §4.5.3.2: the tokens of an answer whose ID token fails are disregarded.
#[test]
fn nothing_of_a_token_answer_is_used_before_its_id_token_is_verified() {
    let world = World::with(json!({ "provider": { "userinfo": true } }));
    *world.provider.edit_id_token.borrow_mut() =
        Some(Box::new(|claims| claims["nonce"] = json!("another login's")));
    let browser = world.browser();
    let authorized = browser.authorizes("/auth/login");
    assert_eq!(browser.comes_back(&authorized).code(), "identity_refused");
    assert_eq!(world.provider.calls(Endpoint::UserInfo), 0);
    assert_eq!(world.provider.calls(Endpoint::Refresh), 0);
    assert!(browser.token().is_none());
    assert_eq!(world.audited("session_started"), 0);
    assert_eq!(world.audited("subject_known"), 0);
}

#[test]
fn the_subject_is_logged_as_a_hash_unless_the_operator_asks_for_more() {
    let world = World::new();
    world.browser().logs_in();
    assert_eq!(world.audited("subject_known"), 1);
    assert!(!world.audit.borrow().iter().any(|line| line.contains("alice")));
    let world = World::with(json!({ "log": { "subject": true } }));
    world.browser().logs_in();
    assert!(world.audit.borrow().iter().any(|line| line.contains("\"sub\":\"alice\"")));
}

over_kv!(
    userinfo_is_asked_exactly_once_a_login_and_adds_its_claims,
    what_was_signed_stands_and_userinfo_adds_to_it,
    userinfo_is_not_asked_where_it_is_not_configured,
    userinfo_about_somebody_else_logs_nobody_in,
    an_id_token_that_fails_a_check_logs_nobody_in_and_the_log_says_which,
    a_token_among_the_claims_is_not_shown,
    an_authentication_older_than_max_age_is_refused,
    time_spent_at_the_provider_is_not_age_of_the_authentication,
    the_operators_max_age_and_acr_values_are_held_to,
    nothing_of_a_token_answer_is_used_before_its_id_token_is_verified,
    the_subject_is_logged_as_a_hash_unless_the_operator_asks_for_more,
);
