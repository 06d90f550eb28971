//! Sessions in KV, in several places: an end meets a write, and what one place knows is a minute
//! behind the other.

use std::time::Duration;

use serde_json::json;
use tokenkeep::{
    app::ports::SessionStore as _,
    session::{Command, EndReason, Reply},
};

use crate::{
    kv::{has, key_of, kv_world, session_of},
    support::*,
};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

async fn until(condition: impl Fn() -> bool) {
    for _ in 0..10_000 {
        if condition() {
            return;
        }
        pause().await;
    }
    panic!("it never came to that");
}

/// A call in one place that has to refresh, and a logout in another while the provider thinks. What
/// came of the call, and the one-time URL.
fn logs_out_during_a_refresh(world: &World, browser: &Browser) -> (Called, String) {
    let elsewhere = browser.served_by(&world.elsewhere());
    world.passes(301 * SECOND);
    world.provider.dawdles.set(true);
    let (called, shown) = world.run(async {
        futures::join!(browser.calling("/api/orders"), async {
            until(|| world.provider.calls(Endpoint::Refresh) == 1).await;
            let logout = elsewhere.sending("POST", "/auth/logout", FETCH, None);
            let shown = logout.await;
            // Beyond the second in which KV would not take the refresh.
            world.passes(2 * SECOND);
            world.provider.dawdles.set(false);
            shown
        })
    });
    assert_eq!(shown.status, 200);
    (called, shown.json()["logout_url"].as_str().unwrap().to_owned())
}

// The refresh would write the session again that has just ended.
#[test]
fn a_logout_elsewhere_during_a_refresh_ends_the_session_for_good() {
    let world = kv_world(&json!({}));
    world.objects.kv.lag.set(Duration::ZERO);
    let browser = world.browser();
    browser.logs_in();
    let (called, logout_url) = logs_out_during_a_refresh(&world, &browser);
    let Called::Answered(shown) = called else { panic!("{called:?}") };
    assert_eq!((shown.status, shown.code()), (401, "unauthenticated"));
    assert_eq!(browser.navigate(&logout_url).status, 303, "the ticket wasn't written over");
    for place in [&world, &world.elsewhere()] {
        assert!(!browser.served_by(place).is_logged_in());
        assert!(browser.served_by(place).token().is_none());
    }
    assert!(!has(&world, "s:"));
}

// The same where the place of the refresh remembers for a minute that there was no tombstone: it
// writes the session again. The tombstone outlasts every record.
#[test]
fn a_record_that_was_written_after_its_tombstone_is_no_session_once_that_is_seen() {
    let world = kv_world(&json!({}));
    let browser = world.browser();
    browser.logs_in();
    let (called, _) = logs_out_during_a_refresh(&world, &browser);
    assert!(matches!(called, Called::Forwarded(Some(_))), "a minute behind: {called:?}");
    assert!(has(&world, "s:") && has(&world, "t:"));
    assert!(browser.served_by(&world.elsewhere()).token().is_none(), "where the logout was");
    world.passes(61 * SECOND);
    let puts = world.objects.puts();
    for place in [&world, &world.elsewhere(), &world.elsewhere().elsewhere()] {
        assert!(browser.served_by(place).token().is_none());
        assert!(!browser.served_by(place).is_logged_in());
    }
    assert_eq!(world.objects.puts(), puts);
    // No record could outlast it.
    let tombstone = world.objects.kv.lasts(&key_of(&world, "t:"));
    assert!(tombstone >= world.objects.kv.lasts(&key_of(&world, "s:")));
    assert!(tombstone >= 23 * 60 * MINUTE);
}

#[test]
fn a_logout_elsewhere_during_a_touch_ends_the_session_for_good() {
    // In the second in which KV doesn't take the touch, and after it.
    for (lag, gap) in [(0, 0), (0, 2), (60, 0), (60, 2)].map(|(a, b)| (a * SECOND, b * SECOND)) {
        let world = kv_world(&json!({}));
        world.provider.token_lifetime.set(Some(86_400));
        world.objects.kv.lag.set(lag);
        let browser = world.browser();
        browser.logs_in();
        let elsewhere = browser.served_by(&world.elsewhere());
        world.passes(10 * MINUTE);
        world.objects.kv.held.set(Some(world.place()));
        let (called, shown) = world.run(async {
            futures::join!(browser.calling("/api/orders"), async {
                // The touch has looked for a tombstone and is about to be written.
                until(|| world.objects.kv.waits.get()).await;
                let shown = elsewhere.sending("POST", "/auth/logout", FETCH, None).await;
                world.passes(gap);
                world.objects.kv.held.set(None);
                shown
            })
        });
        assert_eq!(shown.status, 200);
        let is_behind = !lag.is_zero();
        let went_out = matches!(called, Called::Forwarded(_));
        assert_eq!(went_out, is_behind, "{lag:?}, {gap:?}: {called:?}");
        world.passes(61 * SECOND);
        for place in [&world, &world.elsewhere()] {
            assert!(!browser.served_by(place).is_logged_in(), "{lag:?}, {gap:?}");
        }
    }
}

#[test]
fn a_session_that_was_ended_before_its_login_was_through_never_comes_to_be() {
    for lag in [Duration::ZERO, MINUTE] {
        let world = kv_world(&json!({}));
        world.objects.kv.lag.set(lag);
        let browser = world.browser();
        let authorized = browser.authorizes("/auth/login");
        let session = session_of(&browser, &world);
        let elsewhere = world.elsewhere();
        world.provider.dawdles.set(true);
        let (shown, ended) = world.run(async {
            let path = callback(&authorized);
            futures::join!(browser.sending("GET", &path, FROM_PROVIDER, None), async {
                world.provider.dawdles.set(false);
                until(|| world.provider.calls(Endpoint::Code) == 1).await;
                world.provider.dawdles.set(true);
                let close = Command::Close { reason: EndReason::Remote };
                let ended = elsewhere.ask(&session, close).await;
                world.provider.dawdles.set(false);
                ended
            })
        });
        assert!(matches!(ended, Ok(Reply::Ended(_))), "{ended:?}");
        if lag.is_zero() {
            assert_eq!(shown.code(), "login_already_used");
            assert!(!has(&world, "s:"));
            assert_eq!(world.provider.revoked.borrow().len(), 1, "what it brought is taken back");
        } else {
            assert_eq!(shown.status, 303, "a minute behind: {shown:?}");
        }
        world.passes(61 * SECOND);
        for place in [&world, &world.elsewhere()] {
            assert!(browser.served_by(place).token().is_none(), "{lag:?}");
        }
    }
}

// A person who logs out where the new session isn't known yet.
#[test]
fn a_logout_where_the_session_can_not_be_seen_yet_ends_it_all_the_same() {
    let world = kv_world(&json!({}));
    let browser = world.browser();
    let authorized = browser.authorizes("/auth/login");
    let session = session_of(&browser, &world);
    let elsewhere = world.elsewhere();
    // That place has asked before there was anything, and remembers.
    let close = || Command::Close { reason: EndReason::Logout };
    let nothing = world.run(async {
        let key = format!("s:{}", session.name());
        tokenkeep::app::ports::KeyValue::read(&elsewhere, [&key]).await
    });
    assert_eq!(nothing, Ok([None]));
    assert_eq!(browser.comes_back(&authorized).status, 303);
    assert!(browser.token().is_some());
    let there = browser.served_by(&elsewhere);
    assert_eq!(there.refusal(), "unauthenticated", "a session that is new is late elsewhere");
    assert!(matches!(world.run(elsewhere.ask(&session, close())), Ok(Reply::Ended(_))));
    world.passes(61 * SECOND);
    for place in [&world, &elsewhere] {
        assert!(browser.served_by(place).token().is_none());
    }
}

#[test]
fn after_a_logout_another_place_may_serve_the_session_for_a_minute_and_no_longer() {
    let world = kv_world(&json!({}));
    let browser = world.browser();
    browser.logs_in();
    let elsewhere = browser.served_by(&world.elsewhere());
    assert!(elsewhere.token().is_some());
    let cookie = browser.session_cookie().unwrap();
    assert_eq!(browser.fetch("POST", "/auth/logout").status, 200);
    browser.plants(SESSION_COOKIE, &cookie);
    assert!(browser.token().is_none(), "here at once");
    assert!(elsewhere.token().is_some(), "it has asked a moment ago");
    let fresh = browser.served_by(&world.elsewhere().elsewhere());
    assert!(fresh.token().is_none(), "it has never asked");
    world.passes(61 * SECOND);
    assert!(elsewhere.token().is_none());
}

// What is read may be older than the last call elsewhere: not a reason to end anything.
#[test]
fn a_place_that_is_behind_ends_no_session_that_is_used_elsewhere() {
    // KV keeps a record of the second for longer than its idle limit.
    for (idle, quiet) in [(3600, 3570), (30, 25)] {
        let limits = json!({ "idle_minutes": f64::from(idle) / 60.0 });
        let world = kv_world(&json!({ "session": limits }));
        world.provider.token_lifetime.set(Some(86_400));
        let browser = world.browser();
        browser.logs_in();
        let elsewhere = browser.served_by(&world.elsewhere());
        world.passes(quiet * SECOND);
        // It reads, without a touch, what says that the limit is near.
        assert!(elsewhere.is_logged_in(), "{idle}");
        assert!(browser.token().is_some(), "a call here moves the limit");
        let puts = world.objects.puts();
        world.passes(Duration::from_secs((idle - quiet).into()));
        assert_eq!(elsewhere.refusal(), "unauthenticated", "what it knows has run out");
        assert!(!elsewhere.is_logged_in());
        assert_eq!(world.objects.puts(), puts, "it has ended nothing");
        assert!(!has(&world, "t:"));
        assert!(browser.token().is_some(), "{idle}");
        assert_eq!(world.audited("session_ended"), 0);
    }
}

#[test]
fn two_places_may_refresh_at_the_same_time_and_both_go_on() {
    let world = kv_world(&json!({}));
    let browser = world.browser();
    browser.logs_in();
    let elsewhere = browser.served_by(&world.elsewhere());
    assert!(elsewhere.token().is_some());
    for round in 1..=3 {
        world.passes(301 * SECOND);
        let (here, there) = world.run(async {
            futures::join!(browser.calling("/api/orders"), elsewhere.calling("/api/orders"))
        });
        for called in [here, there] {
            assert!(matches!(called, Called::Forwarded(Some(_))), "round {round}: {called:?}");
        }
        assert_eq!(world.provider.calls(Endpoint::Refresh), 2 * round);
    }
    assert_eq!(world.audited("session_ended"), 0);
}

#[test]
fn a_callback_that_comes_to_two_places_fails_in_one_and_spoils_nothing_in_the_other() {
    let world = kv_world(&json!({}));
    let browser = world.browser();
    let authorized = browser.authorizes("/auth/login");
    let elsewhere = browser.served_by(&world.elsewhere());
    let path = callback(&authorized);
    // The one elsewhere sees no mark, and comes to the provider when the code is spent.
    world.objects.kv.held.set(Some(world.place()));
    let (here, there) = world.run(async {
        futures::join!(browser.sending("GET", &path, FROM_PROVIDER, None), async {
            until(|| world.objects.kv.waits.get()).await;
            let there = elsewhere.sending("GET", &path, FROM_PROVIDER, None).await;
            world.objects.kv.held.set(None);
            there
        })
    });
    assert_eq!((here.status, there.code()), (303, "code_refused"));
    for _ in 0..2 {
        assert!(browser.token().is_some());
        world.passes(61 * SECOND);
    }
}

/// The same callback comes again, so much later, while the provider has the code and doesn't answer:
/// both end in the same session, and the code has gone once.
fn a_second_callback_comes(later: Duration) {
    let world = kv_world(&json!({}));
    let browser = world.browser();
    let authorized = browser.authorizes("/auth/login");
    let twin = browser.served_by(&world);
    let path = callback(&authorized);
    // The metadata's own answer must come.
    let (first, second) = world.run(async {
        futures::join!(browser.sending("GET", &path, FROM_PROVIDER, None), async {
            until(|| world.provider.calls(Endpoint::Code) == 1).await;
            world.provider.dawdles.set(true);
            world.passes(later);
            futures::join!(twin.sending("GET", &path, FROM_PROVIDER, None), async {
                for _ in 0..100 {
                    pause().await;
                }
                world.provider.dawdles.set(false);
            })
            .0
        })
    });
    assert_eq!((first.status, second.status), (303, 303), "{second:?}");
    assert_eq!(twin.session_cookie(), browser.session_cookie());
    assert_eq!(world.provider.calls(Endpoint::Code), 1);
}

#[test]
fn a_callback_that_comes_while_the_first_is_under_way_waits_for_it() {
    a_second_callback_comes(Duration::ZERO);
}

// A provider that is strict takes back what a code has brought when the code comes again.
#[test]
fn a_callback_that_comes_while_the_first_takes_all_the_time_there_is_sends_no_code_again() {
    a_second_callback_comes(45 * SECOND);
}

// What a call remembers that was under way already is older than what the refresh has shown.
#[test]
fn a_call_that_began_before_a_refresh_failed_does_not_undo_the_pause_after_it() {
    let route = |path: &str, resource: &str| {
        let upstream = json!({ "url": format!("https://{resource}.example.com") });
        json!({ "path": path, "upstream": upstream, "resource": format!("urn:{resource}") })
    };
    let world = kv_world(&json!({ "routes": [route("/api/*", "api"), route("/b/*", "b")] }));
    world.provider.token_lifetime.set(Some(86_400));
    let browser = world.browser();
    browser.logs_in();
    let refusal = Failure::Answers(400, r#"{"error":"invalid_target"}"#);
    world.provider.fails(Endpoint::Refresh, refusal);
    world.passes(10 * MINUTE);
    world.objects.kv.held.set(Some(world.place()));
    let (refreshes, touches, ()) = world.run(async {
        let refreshes = async {
            // The touch has read the record and is about to be written.
            until(|| world.objects.kv.waits.get()).await;
            browser.calling("/b/x").await
        };
        let goes_on = async {
            until(|| world.provider.calls(Endpoint::Refresh) == 1).await;
            for _ in 0..100 {
                pause().await;
            }
            world.objects.kv.held.set(None);
        };
        futures::join!(refreshes, browser.calling("/api/orders"), goes_on)
    });
    assert!(matches!(touches, Called::Forwarded(Some(_))), "{touches:?}");
    assert!(matches!(refreshes, Called::Answered(_)), "{refreshes:?}");
    assert!(matches!(browser.call("/b/x"), Called::Answered(_)));
    assert_eq!(world.provider.calls(Endpoint::Refresh), 1, "within the pause");
}

#[test]
fn a_callback_that_comes_again_later_gets_the_same_session() {
    let world = kv_world(&json!({}));
    let browser = world.browser();
    let authorized = browser.authorizes("/auth/login");
    let twin = browser.served_by(&world);
    assert_eq!(browser.comes_back(&authorized).status, 303);
    assert_eq!(twin.comes_back(&authorized).status, 303);
    assert_eq!(twin.session_cookie(), browser.session_cookie());
    assert_eq!(world.provider.calls(Endpoint::Code), 1);
}

#[test]
fn a_one_time_logout_url_is_weak_in_another_place_for_a_while() {
    let world = kv_world(&json!({}));
    let browser = world.browser();
    browser.logs_in();
    let shown = browser.fetch("POST", "/auth/logout").json();
    let url = shown["logout_url"].as_str().unwrap();
    let elsewhere = browser.served_by(&world.elsewhere());
    let key = key_of(&world, "s:");
    let read = world.run(tokenkeep::app::ports::KeyValue::read(&world.elsewhere(), [&key]));
    assert!(matches!(read, Ok([Some(_)])));
    assert_eq!(browser.navigate(url).status, 303);
    assert_eq!(browser.navigate(url).code(), "logout_link_used");
    assert_eq!(elsewhere.navigate(url).status, 303, "it has a copy of before");
    world.passes(61 * SECOND);
    assert_eq!(elsewhere.navigate(url).code(), "logout_link_used");
}
