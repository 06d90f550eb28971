//! Rotation: of our own keys, and of the provider's.

use std::time::Duration;

use serde_json::json;
use tokenkeep::base64url;

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

/// The key that each record is sealed under, as it says itself.
fn kids(world: &World) -> Vec<String> {
    let kid = |row: Vec<u8>| {
        let text = String::from_utf8_lossy(&row).into_owned();
        text.split("\"kid\":\"").nth(1).unwrap().split('"').next().unwrap().to_owned()
    };
    let mut kids: Vec<_> = world.objects.dump().into_iter().map(kid).collect();
    kids.sort();
    kids
}

#[test]
fn taking_a_key_out_ends_exactly_the_sessions_that_only_it_opens() {
    let world = World::new();
    let logged_in = || {
        let browser = world.browser();
        browser.logs_in();
        browser
    };
    let (idle, busy) = (logged_in(), logged_in());
    world.deploys(&["second", "first"]);
    let middle = logged_in();
    world.passes(Duration::from_secs(200));
    // Used, so written anew under the first key; the other is only looked at.
    assert!(busy.token().is_some());
    assert!(idle.is_logged_in());
    world.deploys(&["third", "second", "first"]);
    let late = logged_in();
    assert_eq!(kids(&world), ["first", "second", "second", "third"]);
    let alive = || [&idle, &busy, &middle, &late].map(Browser::is_logged_in);
    assert_eq!(alive(), [true; 4], "all of them open");

    world.deploys(&["third", "second"]);
    assert_eq!(alive(), [false, true, true, true]);
    assert_eq!(idle.refusal(), "unauthenticated");
    world.passes(Duration::from_secs(200));
    assert!(middle.token().is_some());
    world.deploys(&["third"]);
    assert_eq!(alive(), [false, false, true, true]);
    for browser in [&middle, &late] {
        assert!(browser.token().is_some());
    }
    // The provider isn't told, and nothing is left here at the limits.
    assert!(world.provider.revoked.borrow().is_empty());
    world.passes_with_alarms(Duration::from_secs(25 * 3600));
    assert_eq!(world.objects.stored(), 0);
}

#[test]
fn a_rotation_can_be_taken_back() {
    let world = World::new();
    let old = world.browser();
    old.logs_in();
    world.deploys(&["second", "first"]);
    let new = world.browser();
    new.logs_in();
    world.deploys(&["first", "second"]);
    assert!(old.is_logged_in() && new.is_logged_in());
    world.passes(Duration::from_secs(200));
    assert!(new.token().is_some());
    assert_eq!(kids(&world), ["first", "first"]);
    world.deploys(&["first"]);
    assert!(old.is_logged_in() && new.is_logged_in());
}

// An operator who keeps the key's name and changes the key: as if it had been taken out.
#[test]
fn another_key_under_the_same_kid_opens_nothing_of_before() {
    let world = World::new();
    let browser = world.browser();
    browser.logs_in();
    let other = world.browser();
    let authorized = other.authorizes("/auth/login");
    let second = session_key("second");
    let (_, key) = second.split_once(':').unwrap();
    world.deploys_keys(&[format!("first:{key}")]);
    assert_eq!(browser.refusal(), "unauthenticated");
    assert!(!browser.is_logged_in());
    assert_eq!(other.comes_back(&authorized).code(), "login_not_found");
    browser.logs_in();
    assert!(browser.token().is_some());
}

#[test]
fn a_logout_url_works_for_as_long_as_its_key_is_in_the_ring() {
    for (ring, status) in [(&["second", "first"][..], 303), (&["second"], 410)] {
        let world = World::new();
        let browser = world.browser();
        browser.logs_in();
        let url = browser.fetch("POST", "/auth/logout").json()["logout_url"].clone();
        world.deploys(ring);
        assert_eq!(browser.navigate(url.as_str().unwrap()).status, status, "{ring:?}");
    }
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

// Whoever can reach the endpoint can send logout tokens; the provider is not theirs to flood.
#[test]
fn a_crowd_of_tokens_with_an_invented_key_has_us_ask_for_the_keys_a_few_times() {
    let world = World::new();
    let browser = world.browser();
    let encoded = |value: serde_json::Value| base64url::encode(value.to_string());
    let token = format!(
        "{}.{}.{}",
        encoded(json!({"alg": "ES256", "kid": "invented"})),
        encoded(json!({"iss": ISSUER, "aud": CLIENT_ID})),
        base64url::encode([1; 64])
    );
    let body = format!("logout_token={token}");
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    let send = || browser.sending("POST", "/auth/backchannel-logout", &headers, Some(&body));
    assert_eq!(world.run(send()).status, 400);
    assert_eq!(world.provider.calls(Endpoint::Keys), 2);
    for passed in [31, 62] {
        world.passes(Duration::from_secs(31));
        let before = world.provider.calls(Endpoint::Keys);
        let answers = world.run(futures::future::join_all((0..100).map(|_| send())));
        assert!(answers.iter().all(|answer| matches!(answer.status, 400 | 503)));
        let asked = world.provider.calls(Endpoint::Keys) - before;
        assert!((1..=16).contains(&asked), "after {passed} s: {asked}");
    }
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
    another_key_under_the_same_kid_opens_nothing_of_before,
    a_logout_url_works_for_as_long_as_its_key_is_in_the_ring,
    a_login_under_way_outlives_a_deployment,
    the_providers_new_key_is_found_at_once,
    the_providers_new_key_is_found_by_all_who_log_in_at_once,
    a_key_that_is_nowhere_is_searched_for_once_in_half_a_minute,
    metadata_and_keys_are_kept_for_an_hour,
);
