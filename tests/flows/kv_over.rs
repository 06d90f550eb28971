//! Sessions in KV: what is over stays over, whatever a place remembers, however long a login took,
//! and whatever the operator has changed since; and what isn't over goes on.

use std::time::Duration;

use serde_json::json;
use tokenkeep::{
    app::{
        kv::end_before,
        ports::{Clock as _, KeyValue, SessionStore as _},
    },
    session::{Command, EndReason, Outline, subject::Which},
};

use crate::{
    kv::{has, key_of, kv_world, session_of},
    support::*,
};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// The index name of the person whose session is the only one that is kept.
fn subject(world: &World) -> String {
    match Outline::of(&world.objects.kv.stored()[&key_of(world, "s:")]) {
        Outline::Live(live) => live.names.subject.as_str().to_owned(),
        other => panic!("{other:?}"),
    }
}

async fn ends(world: &World, name: &str) {
    let config = world.config();
    let (which, reason) = (Which::Before { issued: world.now() }, EndReason::BackChannel);
    let ended = end_before(world, &config.session, name, &which, world.now(), reason).await;
    assert_eq!(ended, Ok(()));
}

/// Comes back from the provider, and `meanwhile` happens while it thinks about the code.
fn comes_back(world: &World, browser: &Browser, meanwhile: impl Future<Output = ()>) -> Shown {
    let authorized = browser.authorizes("/auth/login");
    let path = callback(&authorized);
    let codes = world.provider.calls(Endpoint::Code);
    world.run(async {
        futures::join!(browser.sending("GET", &path, FROM_PROVIDER, None), async {
            while world.provider.calls(Endpoint::Code) == codes {
                world.provider.dawdles.set(false);
                pause().await;
            }
            world.provider.dawdles.set(true);
            meanwhile.await;
            world.provider.dawdles.set(false);
        })
        .0
    })
}

// The person's other session is in use in the same place: that there was no marker a moment ago is
// remembered there, and the login doesn't find it. It is found a minute later.
#[test]
fn a_logout_token_during_a_login_means_it_also_where_it_is_seen_a_minute_late() {
    let world = kv_world(&json!({ "session": { "kv_delayed_logout": true } }));
    let first = world.browser();
    first.logs_in();
    let name = subject(&world);
    let late = world.browser();
    assert!(first.token().is_some());
    let elsewhere = world.elsewhere();
    let shown = comes_back(&world, &late, async {
        ends(&elsewhere, &name).await;
        world.passes(SECOND);
    });
    assert_eq!(shown.status, 303, "a minute behind: {shown:?}");
    world.passes(61 * SECOND);
    for browser in [&first, &late] {
        assert!(browser.token().is_none());
        assert!(!browser.is_logged_in());
    }
}

// The code is from before the logout and comes after it, to a place that doesn't know of it yet.
#[test]
fn a_code_that_was_held_back_is_over_also_where_its_logout_is_seen_a_minute_late() {
    let world = kv_world(&json!({ "session": { "kv_delayed_logout": true } }));
    let first = world.browser();
    first.logs_in();
    let held_back = world.browser();
    let authorized = held_back.authorizes("/auth/login");
    world.passes(SECOND);
    assert!(first.token().is_some());
    world.run(ends(&world.elsewhere(), &subject(&world)));
    world.passes(2 * SECOND);
    assert_eq!(held_back.comes_back(&authorized).status, 303, "a minute behind");
    assert!(held_back.token().is_some());
    world.passes(61 * SECOND);
    for browser in [&first, &held_back] {
        assert!(browser.token().is_none());
        assert!(!browser.is_logged_in());
    }
}

// The tombstone is older than the session that it is for.
#[test]
fn a_tombstone_from_before_its_session_outlasts_it() {
    let limits = json!({ "session": { "idle_minutes": 60, "absolute_hours": 1 } });
    let world = kv_world(&limits);
    let browser = world.browser();
    let elsewhere = world.elsewhere();
    let authorized = browser.authorizes("/auth/login");
    let session = session_of(&browser, &world);
    world.run(async {
        // This place has asked for it before there was one, and remembers.
        let tombstone = format!("t:{}", session.name());
        assert_eq!(KeyValue::read(&world, [&tombstone]).await, Ok([None]));
        let close = Command::Close { reason: EndReason::Remote };
        assert!(elsewhere.ask(&session, close).await.is_ok());
    });
    world.passes(10 * SECOND);
    assert_eq!(browser.comes_back(&authorized).status, 303, "a minute behind");
    world.passes(61 * SECOND);
    assert!(!browser.is_logged_in());
    world.passes(HOUR - 66 * SECOND);
    assert!(has(&world, "s:"), "KV has not swept it yet");
    assert!(!browser.is_logged_in());
    assert!(browser.token().is_none());
}

// A marker is kept as long as a session may live, by the configuration of when it was written.
#[test]
fn a_session_of_before_a_logout_token_does_not_come_back_when_the_marker_has_run_out() {
    let week = json!({ "idle_minutes": 7 * 24 * 60, "absolute_hours": 720 });
    let world = kv_world(&json!({ "session": week }));
    world.reconfigures(&json!({ "session": { "kv_delayed_logout": true } }));
    let browser = world.browser();
    browser.logs_in();
    let name = subject(&world);
    world.reconfigures(&json!({ "session": { "idle_minutes": 24 * 60, "absolute_hours": 24 } }));
    world.passes(HOUR);
    world.run(ends(&world, &name));
    world.passes(25 * HOUR);
    assert!(!has(&world, "out:") && has(&world, "s:"));
    assert!(!browser.is_logged_in());
    assert!(browser.token().is_none());
}

// What a place has read may be older than the last call elsewhere, also where the limit passes
// while the place still reads.
#[test]
fn a_limit_that_passes_between_two_reads_ends_no_session_that_is_used_elsewhere() {
    let world = kv_world(&json!({ "session": { "kv_delayed_logout": true } }));
    world.provider.token_lifetime.set(Some(86_400));
    let browser = world.browser();
    browser.logs_in();
    let elsewhere = browser.served_by(&world.elsewhere());
    world.passes(59 * MINUTE + 30 * SECOND);
    assert!(elsewhere.is_logged_in(), "it reads what says \"until 60 minutes\"");
    assert!(browser.token().is_some(), "a call here moves the limit");
    world.passes(30 * SECOND - Duration::from_millis(150));
    world.objects.kv.takes.set(Duration::from_millis(100));
    assert!(!elsewhere.is_logged_in(), "what it knows has run out");
    world.objects.kv.takes.set(Duration::ZERO);
    assert!(!has(&world, "t:"), "it has ended nothing");
    assert_eq!(world.provider.revoked.borrow().len(), 0);
    world.passes(61 * SECOND);
    for browser in [&browser, &elsewhere] {
        assert!(browser.token().is_some());
    }
}

// KV shows at once what was written in the same place, and says that nobody should build on that.
#[test]
fn a_logout_holds_at_once_in_the_isolate_that_was_asked_even_where_kv_does_not_show_it() {
    let world = kv_world(&json!({}));
    let browser = world.browser();
    browser.logs_in();
    assert!(browser.token().is_some());
    let cookie = browser.session_cookie().unwrap();
    world.objects.kv.forgets.set(true);
    assert_eq!(browser.fetch("POST", "/auth/logout").status, 200);
    browser.plants(SESSION_COOKIE, &cookie);
    assert!(browser.token().is_none());
    assert!(!browser.is_logged_in());
    // A touch would write the record again.
    world.passes(10 * SECOND);
    assert!(browser.token().is_none());
    world.passes(61 * SECOND);
    assert!(browser.token().is_none());
}

#[test]
fn a_login_whose_session_this_isolate_has_ended_never_comes_to_be_even_where_kv_does_not_show_it() {
    let world = kv_world(&json!({}));
    let browser = world.browser();
    world.objects.kv.forgets.set(true);
    let shown = comes_back(&world, &browser, async {
        let session = session_of(&browser, &world);
        let close = Command::Close { reason: EndReason::Remote };
        assert!(world.ask(&session, close).await.is_ok());
    });
    assert_eq!(shown.code(), "login_already_used");
    assert!(!has(&world, "s:"));
    assert_eq!(world.provider.revoked.borrow().len(), 1, "what it brought is taken back");
}
