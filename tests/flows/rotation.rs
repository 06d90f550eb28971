//! Rotation: of our own keys, and of the provider's.

use std::time::Duration;

use crate::support::*;

#[test]
fn a_live_session_outlives_the_rotation_of_session_keys() {
    let world = World::new();
    let browser = world.browser();
    browser.logs_in();
    world.deploys(&["second", "first"]);
    assert!(browser.is_logged_in());
    // Written again under the new key, the session needs the old one no longer.
    world.passes(Duration::from_secs(290));
    assert!(browser.token().is_some());
    world.settle();
    world.deploys(&["second"]);
    assert!(browser.is_logged_in());
    assert!(browser.token().is_some());
}

#[test]
fn a_ring_without_the_old_keys_logs_everybody_out() {
    let world = World::new();
    let browser = world.browser();
    browser.logs_in();
    let late = world.browser();
    let authorized = late.authorizes("/auth/login");
    world.deploys(&["second"]);
    assert!(!browser.is_logged_in());
    assert!(browser.token().is_none());
    assert_eq!(late.comes_back(&authorized).code(), "login_not_found");
    browser.logs_in();
    assert!(browser.is_logged_in());
}

#[test]
fn a_login_under_way_outlives_a_deployment() {
    let world = World::new();
    let browser = world.browser();
    let authorized = browser.authorizes("/auth/login");
    world.deploys(&["second", "first"]);
    assert_eq!(browser.comes_back(&authorized).status, 303);
    assert!(browser.is_logged_in());
}

#[test]
fn the_providers_new_key_is_found_at_once() {
    let world = World::new();
    world.browser().logs_in();
    assert_eq!(world.provider.calls(Endpoint::Keys), 1);
    world.provider.rotates_its_key("k2");
    world.browser().logs_in();
    assert_eq!(world.provider.calls(Endpoint::Keys), 2);
}

#[test]
fn the_providers_new_key_is_found_by_all_who_log_in_at_once() {
    let world = World::new();
    world.browser().logs_in();
    world.provider.rotates_its_key("k2");
    let (one, two) = (world.browser(), world.browser());
    let (first, second) = (one.authorizes("/auth/login"), two.authorizes("/auth/login"));
    let (first, second) = (callback(&first), callback(&second));
    let (first, second) = world.run(async {
        futures::join!(
            one.sending("GET", &first, FROM_PROVIDER, None),
            two.sending("GET", &second, FROM_PROVIDER, None),
        )
    });
    assert_eq!((first.status, second.status), (303, 303), "{first:?} {second:?}");
}

#[test]
fn a_key_that_is_nowhere_is_searched_for_once_in_half_a_minute() {
    let world = World::new();
    world.browser().logs_in();
    world.provider.keys_lag.set(true);
    world.provider.rotates_its_key("k2");
    for expected in [2, 2, 2] {
        let browser = world.browser();
        let authorized = browser.authorizes("/auth/login");
        assert!(browser.comes_back(&authorized).status >= 400);
        assert!(browser.session_cookie().is_none());
        assert_eq!(world.provider.calls(Endpoint::Keys), expected);
    }
    world.passes(Duration::from_secs(31));
    world.provider.keys_lag.set(false);
    world.browser().logs_in();
    assert_eq!(world.provider.calls(Endpoint::Keys), 3);
}

#[test]
fn metadata_and_keys_are_kept_for_an_hour() {
    let world = World::new();
    for _ in 0..3 {
        world.browser().logs_in();
        world.passes(Duration::from_secs(60));
    }
    assert_eq!(world.provider.calls(Endpoint::Discovery), 1);
    assert_eq!(world.provider.calls(Endpoint::Keys), 1);
    world.passes(Duration::from_secs(3600));
    world.browser().logs_in();
    assert_eq!(world.provider.calls(Endpoint::Discovery), 2);
    assert_eq!(world.provider.calls(Endpoint::Keys), 2);
}

over_kv!(
    a_live_session_outlives_the_rotation_of_session_keys,
    a_ring_without_the_old_keys_logs_everybody_out,
    a_login_under_way_outlives_a_deployment,
    the_providers_new_key_is_found_at_once,
    the_providers_new_key_is_found_by_all_who_log_in_at_once,
    a_key_that_is_nowhere_is_searched_for_once_in_half_a_minute,
    metadata_and_keys_are_kept_for_an_hour,
);
