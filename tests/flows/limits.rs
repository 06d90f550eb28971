//! How long a session lives.

use std::time::Duration;

use serde_json::json;

use crate::support::*;

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn a_session_ends_at_its_idle_limit_and_not_before() {
    let world = World::new();
    let browser = world.browser();
    browser.logs_in();
    for _ in 0..4 {
        world.passes_with_alarms(50 * MINUTE);
        assert!(browser.token().is_some());
    }
    world.passes_with_alarms(56 * MINUTE);
    assert!(browser.is_logged_in(), "the limit is exact to idle/20");
    world.passes_with_alarms(5 * MINUTE);
    assert!(browser.token().is_none());
    assert!(!browser.is_logged_in());
    assert!(world.audit.borrow().iter().any(|line| line.contains("\"reason\":\"idle\"")));
}

// Calls that a warm grant serves touch nothing: it must not stay warm over the idle limit.
#[test]
fn a_session_in_use_does_not_end_because_its_calls_were_served_warm() {
    let world = World::with(json!({ "session": { "idle_minutes": 1, "cache_seconds": 60 } }));
    let browser = world.browser();
    browser.logs_in();
    for _ in 0..20 {
        assert!(browser.token().is_some());
        world.passes_with_alarms(world.config().session.cache);
    }
}

#[test]
fn looking_without_touching_does_not_keep_a_session_alive() {
    let world = World::new();
    let browser = world.browser();
    browser.logs_in();
    for _ in 0..6 {
        world.passes_with_alarms(10 * MINUTE);
        browser.fetch("GET", "/auth/session?touch=false");
    }
    assert!(!browser.is_logged_in());

    let browser = world.browser();
    browser.logs_in();
    for _ in 0..6 {
        world.passes_with_alarms(20 * MINUTE);
        browser.fetch("GET", "/auth/session");
    }
    assert!(browser.is_logged_in());
}

#[test]
fn a_session_ends_at_its_absolute_limit_however_busy_it_is() {
    let world = World::with(json!({ "session": { "absolute_hours": 2 } }));
    let browser = world.browser();
    browser.logs_in();
    for _ in 0..11 {
        world.passes_with_alarms(10 * MINUTE);
        assert!(browser.token().is_some());
    }
    world.passes_with_alarms(10 * MINUTE);
    assert!(browser.token().is_none());
    assert!(world.audit.borrow().iter().any(|line| line.contains("\"reason\":\"absolute\"")));
}

#[test]
fn nothing_is_left_of_sessions_that_nobody_uses() {
    let world = World::new();
    for _ in 0..3 {
        world.browser().logs_in();
    }
    assert_eq!(world.objects.stored(), 3);
    world.passes_with_alarms(Duration::from_secs(26 * 3600));
    assert_eq!(world.objects.stored(), 0);
}

#[test]
fn a_provider_without_refresh_tokens_gives_a_session_as_long_as_its_token() {
    let world = World::new();
    world.provider.gives_refresh_tokens.set(false);
    let browser = world.browser();
    browser.logs_in();
    world.passes_with_alarms(Duration::from_secs(290));
    assert!(browser.token().is_some());
    world.passes_with_alarms(Duration::from_secs(20));
    assert!(browser.token().is_none());
    assert!(!browser.is_logged_in());
}

over_kv!(
    a_session_in_use_does_not_end_because_its_calls_were_served_warm,
    looking_without_touching_does_not_keep_a_session_alive,
    a_provider_without_refresh_tokens_gives_a_session_as_long_as_its_token,
);
