//! Sessions in KV, in one place: what is read and written, for how long, and what a value that
//! isn't ours is worth. Races and lag are in `kv_races`, ends without the cookie in `kv_markers`.

use std::time::Duration;

use serde_json::{Value, json};
use tokenkeep::{
    app::ports::{Clock as _, SessionStore as _},
    session::{Command, Outline, Reply, SessionKey},
};

use crate::support::*;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// A world that keeps sessions in KV, with `patch` over its configuration.
pub(crate) fn kv_world(patch: &Value) -> World {
    in_kv(|| World::with(patch.clone()))
}

/// The keys that are kept, by kind, and the name of the one session among them.
pub(crate) fn key_of(world: &World, kind: &str) -> String {
    let stored = world.objects.kv.stored();
    let mut keys = stored.keys().filter(|key| key.starts_with(kind));
    let key = keys.next().unwrap_or_else(|| panic!("no {kind} in {:?}", stored.keys())).clone();
    assert_eq!(keys.next(), None, "one session only");
    key
}

pub(crate) fn has(world: &World, kind: &str) -> bool {
    world.objects.kv.stored().keys().any(|key| key.starts_with(kind))
}

#[test]
fn a_login_writes_a_mark_and_a_record_under_keys_of_their_own() {
    let world = kv_world(&json!({}));
    world.browser().logs_in();
    assert_eq!(world.objects.puts(), 2);
    let row = &world.objects.kv.stored()[&key_of(&world, "s:")];
    assert!(matches!(Outline::of(row), Outline::Live(_)));
    // KV remembers for a minute that a key was missing: the record's is not asked for before there
    // is one.
    assert!(!world.objects.kv.reads.borrow().iter().any(|key| key.starts_with("s:")));
    // KV takes one write a second: nobody had to wait for the second one.
    assert_eq!(world.now().as_millis(), 1_763_900_000_000);
}

#[test]
fn a_call_reads_the_record_and_the_tombstone_and_writes_nothing() {
    let world = kv_world(&json!({}));
    let browser = world.browser();
    browser.logs_in();
    world.objects.kv.reads.borrow_mut().clear();
    let puts = world.objects.puts();
    assert!(browser.token().is_some());
    let (record, tombstone) = (key_of(&world, "s:"), key_of(&world, "s:").replacen('s', "t", 1));
    assert_eq!(*world.objects.kv.reads.borrow(), [record, tombstone]);
    assert_eq!(world.objects.puts(), puts);
}

// better-auth CVE-2025-71402: what we never issued is refused before a store is asked.
#[test]
fn a_cookie_that_we_never_issued_reads_nothing() {
    let world = kv_world(&json!({}));
    let thief = world.browser();
    for forged in ["", "x", &"A".repeat(64)] {
        thief.plants(SESSION_COOKIE, forged);
        assert_eq!(thief.refusal(), "unauthenticated");
        assert!(!thief.is_logged_in());
        assert_eq!(thief.fetch("POST", "/auth/logout").status, 200);
    }
    assert_eq!(*world.objects.kv.reads.borrow(), Vec::<String>::new());
}

// The table of docs/kv.md.
#[test]
fn each_thing_takes_the_reads_and_writes_that_the_docs_say() {
    for (is_delayed, markers) in [(false, 0), (true, 2)] {
        let world = kv_world(&json!({ "session": { "kv_delayed_logout": is_delayed } }));
        let browser = world.browser();
        let counts = |what: &str, reads: usize, writes: usize| {
            let kv = &world.objects.kv;
            let counted = (kv.reads.borrow_mut().drain(..).count(), kv.puts.replace(0));
            assert_eq!(counted, (reads, writes), "{what}, kv_delayed_logout = {is_delayed}");
            world.passes(2 * SECOND);
        };
        browser.logs_in();
        counts("a login", 4 + markers, 2);
        assert!(browser.token().is_some());
        counts("a call", 2 + markers, 0);
        browser.fetch("GET", "/auth/session");
        counts("the session", 2 + markers, 0);
        world.passes(200 * SECOND);
        assert!(browser.token().is_some());
        counts("a touch", 4 + markers, 1);
        world.passes(100 * SECOND);
        assert!(browser.token().is_some());
        assert_eq!(world.provider.calls(Endpoint::Refresh), 1);
        counts("a refresh", 4 + markers, 1);
        browser.logs_in();
        counts("a login in the place of a session", 4 + markers + 2, 2 + 2);
        let url = browser.fetch("POST", "/auth/logout").json()["logout_url"].clone();
        counts("a logout", 2, 2);
        assert_eq!(browser.navigate(url.as_str().unwrap()).status, 303);
        counts("its one-time URL", 1, 1);
    }
}

// A login has just written the record when the page's first call needs a token of its own.
#[test]
fn what_kv_does_not_take_within_a_second_is_written_a_second_later_and_holds_nobody_up() {
    let route = |path: &str, resource: &str| {
        let upstream = json!({ "url": format!("https://{resource}.example.com") });
        json!({ "path": path, "upstream": upstream, "resource": format!("urn:{resource}") })
    };
    let world = kv_world(&json!({ "routes": [route("/api/*", "api"), route("/b/*", "b")] }));
    let browser = world.browser();
    browser.logs_in();
    world.objects.kv.time_stands.set(true);
    let called = world.run(async {
        let called = browser.calling("/b/x").await;
        world.objects.kv.time_stands.set(false);
        called
    });
    assert!(matches!(called, Called::Forwarded(Some(_))), "{called:?}");
    assert!(matches!(browser.call("/b/x"), Called::Forwarded(Some(_))));
    assert_eq!(world.provider.calls(Endpoint::Refresh), 1, "the token was kept");
    assert_eq!(world.audited("store_write_lost"), 0);
}

// Every write of every flow is held to KV's shortest time to live: `support::Inner::drop`.
#[test]
fn limits_of_a_few_seconds_fail_no_write_and_end_the_session_in_time() {
    let limits = json!({ "idle_minutes": 5.0 / 60.0, "absolute_hours": 20.0 / 3600.0 });
    let world = kv_world(&json!({ "session": limits }));
    let browser = world.browser();
    browser.logs_in();
    let record = key_of(&world, "s:");
    for _ in 0..6 {
        world.passes(3 * SECOND);
        assert!(browser.token().is_some());
        assert!(world.objects.kv.lasts(&record) >= 59 * SECOND);
    }
    // Twenty seconds after the login, and KV would keep it for another minute.
    world.passes(2 * SECOND);
    assert_eq!(browser.refusal(), "unauthenticated");
    assert!(!browser.is_logged_in());
    assert!(has(&world, "s:"));

    let idle = world.browser();
    idle.logs_in();
    world.passes(5 * SECOND);
    assert_eq!(idle.refusal(), "unauthenticated");
    assert_eq!(idle.fetch("POST", "/auth/logout").status, 200);
    assert_eq!(world.audited("store_write_lost"), 0);
}

#[test]
fn kv_keeps_a_record_to_its_idle_limit_and_a_tombstone_to_the_absolute_one() {
    let world = kv_world(&json!({}));
    let browser = world.browser();
    browser.logs_in();
    assert_eq!(world.objects.kv.lasts(&key_of(&world, "s:")), 60 * MINUTE);
    assert_eq!(world.objects.kv.lasts(&key_of(&world, "l:")), 10 * MINUTE);
    world.passes(50 * MINUTE);
    assert!(browser.token().is_some());
    assert_eq!(world.objects.kv.lasts(&key_of(&world, "s:")), 60 * MINUTE);
    world.passes(10 * MINUTE);
    assert_eq!(browser.send("POST", "/auth/logout", FETCH, None).status, 200);
    assert_eq!(world.objects.kv.lasts(&key_of(&world, "t:")), 23 * 60 * MINUTE);
    // What is left for the one-time URL.
    assert!(world.objects.kv.lasts(&key_of(&world, "s:")) <= 2 * MINUTE);
    world.passes(24 * 60 * MINUTE);
    assert!(world.objects.kv.stored().is_empty(), "swept by its times to live");
}

#[test]
fn a_session_ends_at_its_limits_and_nothing_is_written_for_that() {
    for (limits, quiet) in [
        (json!({}), 61 * MINUTE),
        (json!({ "idle_minutes": 120, "absolute_hours": 2 }), 120 * MINUTE),
    ] {
        let world = kv_world(&json!({ "session": limits }));
        let browser = world.browser();
        browser.logs_in();
        world.passes(quiet - 4 * MINUTE);
        assert!(browser.is_logged_in(), "{limits}");
        world.passes(4 * MINUTE);
        let puts = world.objects.puts();
        assert!(!browser.is_logged_in(), "{limits}");
        assert_eq!(browser.refusal(), "unauthenticated");
        assert_eq!(world.objects.puts(), puts, "{limits}");
    }
}

#[test]
fn where_the_provider_rotates_no_refresh_token_is_kept_and_none_is_used() {
    let world = kv_world(&json!({ "provider": { "rotates_refresh_tokens": true } }));
    world.provider.rotates.set(true);
    let browser = world.browser();
    browser.logs_in();
    assert_eq!(world.objects.kv.lasts(&key_of(&world, "s:")), 300 * SECOND, "the token's life");
    world.passes(299 * SECOND);
    assert!(browser.token().is_some());
    world.passes(SECOND);
    assert_eq!(browser.refusal(), "unauthenticated");
    assert_eq!(world.provider.calls(Endpoint::Refresh), 0);
    // A logout finds an access token to revoke, and nothing else.
    let browser = world.browser();
    browser.logs_in();
    assert_eq!(browser.fetch("POST", "/auth/logout").status, 200);
    assert_eq!(world.provider.revoked_kinds(), ["access"]);
}

#[test]
fn a_refresh_token_from_before_the_operator_said_that_the_provider_rotates_is_not_used() {
    let world = kv_world(&json!({}));
    let browser = world.browser();
    browser.logs_in();
    world.reconfigures(&json!({ "provider": { "rotates_refresh_tokens": true } }));
    world.passes(299 * SECOND);
    assert!(browser.token().is_some());
    world.passes(2 * SECOND);
    assert_eq!(browser.refusal(), "unauthenticated");
    assert_eq!(world.provider.calls(Endpoint::Refresh), 0);
}

#[test]
fn a_damaged_a_cut_and_a_foreign_record_are_no_session_and_never_a_crash() {
    let world = kv_world(&json!({}));
    let (browser, other) = (world.browser(), world.browser());
    other.logs_in();
    let foreign = world.objects.kv.stored()[&key_of(&world, "s:")].clone();
    world.passes(25 * 60 * MINUTE);
    browser.logs_in();
    let record = key_of(&world, "s:");
    let row = world.objects.kv.stored()[&record].clone();
    let flipped = (0..row.len()).map(|at| {
        let mut changed = row.clone();
        changed[at] ^= 1;
        changed
    });
    let cut = (0..row.len()).map(|length| row[..length].to_vec());
    let others = [foreign, b"null".to_vec(), b"{\"a\":1}".to_vec(), vec![1; 4096], vec![0xff; 9]];
    let puts = world.objects.puts();
    for value in flipped.chain(cut).chain(others) {
        world.objects.kv.plants(&record, &value);
        assert!(!browser.is_logged_in(), "{value:?}");
        assert!(browser.token().is_none(), "{value:?}");
    }
    assert_eq!(world.objects.puts(), puts, "what can't be read is not written over");
    world.objects.kv.plants(&record, &row);
    assert!(browser.token().is_some());
}

#[test]
fn whatever_stands_in_a_tombstones_place_is_one() {
    let world = kv_world(&json!({}));
    let browser = world.browser();
    browser.logs_in();
    let tombstone = key_of(&world, "s:").replacen('s', "t", 1);
    for value in [&b""[..], b"x", b"{}", &[1, 0, 0, 0, 9]] {
        world.objects.kv.plants(&tombstone, value);
        assert!(!browser.is_logged_in(), "{value:?}");
        assert!(browser.token().is_none(), "{value:?}");
    }
}

#[test]
fn a_login_whose_mark_is_nonsense_fails_and_the_next_one_works() {
    let world = kv_world(&json!({}));
    let browser = world.browser();
    let authorized = browser.authorizes("/auth/login");
    world.run(async {
        let session = session_of(&browser, &world);
        world.objects.kv.plants(&format!("l:{}", session.name()), b"nonsense");
    });
    assert_eq!(browser.comes_back(&authorized).code(), "login_already_used");
    assert_eq!(world.provider.calls(Endpoint::Code), 0);
    browser.logs_in();
    assert!(browser.is_logged_in());
}

/// The session that a login under way is to make.
pub(crate) fn session_of(browser: &Browser, world: &World) -> SessionKey {
    let name = browser.transactions().remove(0);
    let value = browser.cookie(&name).unwrap();
    let keys = &world.config().session.keys;
    keys.open_transaction(&value, &name).unwrap().session_id.key()
}

#[test]
fn a_ring_without_the_old_key_opens_no_record_of_before() {
    let world = kv_world(&json!({}));
    let browser = world.browser();
    browser.logs_in();
    world.deploys(&["second", "first"]);
    assert!(browser.is_logged_in());
    // A record that is written again is sealed under the new key.
    world.passes(5 * MINUTE);
    assert!(browser.token().is_some());
    world.deploys(&["second"]);
    assert!(browser.is_logged_in());
    world.deploys(&["third"]);
    assert!(!browser.is_logged_in());
    assert_eq!(browser.refusal(), "unauthenticated");
}

// The free plan has 1,000 writes a day.
#[test]
fn when_kv_takes_no_more_writes_sessions_go_on_and_logins_and_logouts_say_so() {
    let world = kv_world(&json!({}));
    let browser = world.browser();
    browser.logs_in();
    let late = world.browser();
    let authorized = late.authorizes("/auth/login");
    world.objects.kv.is_full.set(true);
    assert_eq!(late.comes_back(&authorized).code(), "session_unavailable");
    assert_eq!(world.provider.revoked_kinds(), ["refresh"], "nobody has it");
    assert_eq!(late.comes_back(&authorized).code(), "code_refused", "it is spent");
    world.objects.kv.is_full.set(false);
    late.logs_in();
    assert!(late.is_logged_in());

    world.objects.kv.is_full.set(true);
    for _ in 0..3 {
        world.passes(301 * SECOND);
        assert!(browser.token().is_some(), "refreshed, if only for this call");
    }
    assert!(world.audited("store_write_lost") >= 3);
    let shown = browser.fetch("POST", "/auth/logout");
    assert_eq!((shown.status, shown.code()), (503, "session_unavailable"));
    assert!(browser.session_cookie().is_some());
    world.objects.kv.is_full.set(false);
    assert_eq!(browser.fetch("POST", "/auth/logout").status, 200);
    assert!(!browser.is_logged_in());
}

// What stands is looked at again whenever it is used.
#[test]
fn a_look_that_fails_after_a_login_is_written_gives_nothing_of_it_back() {
    let world = kv_world(&json!({}));
    let browser = world.browser();
    let authorized = browser.authorizes("/auth/login");
    world.objects.kv.stumbles.set(Some(("s:", "t:")));
    assert_eq!(browser.comes_back(&authorized).status, 303);
    assert_eq!(world.objects.kv.stumbles.get(), None);
    assert!(world.provider.revoked.borrow().is_empty());
    assert!(browser.token().is_some());
}

// Its tokens are given back: a record that held them would be a session of nothing.
#[test]
fn a_login_whose_record_is_stored_although_kv_denies_it_leaves_none_behind() {
    for takes_it_back in [true, false] {
        let world = kv_world(&json!({}));
        let browser = world.browser();
        let authorized = browser.authorizes("/auth/login");
        world.objects.kv.denies.set(Some("s:"));
        let path = callback(&authorized);
        let (shown, ()) = world.run(async {
            futures::join!(browser.sending("GET", &path, FROM_PROVIDER, None), async {
                while !has(&world, "s:") {
                    pause().await;
                }
                world.objects.kv.is_full.set(!takes_it_back);
            })
        });
        assert_eq!(shown.code(), "session_unavailable");
        assert_eq!(world.provider.revoked_kinds(), ["refresh"]);
        assert_eq!(has(&world, "s:"), !takes_it_back);
        assert_eq!(world.audited("store_write_lost"), usize::from(!takes_it_back));
        // Its browser still has the transaction, and comes again.
        assert_eq!(browser.comes_back(&authorized).code(), "login_already_used");
        assert_eq!(world.provider.calls(Endpoint::Code), 1);
        assert!(browser.session_cookie().is_none());
    }
}

#[test]
fn a_failed_revocation_is_logged_and_nothing_is_kept_for_it() {
    let world = kv_world(&json!({}));
    let browser = world.browser();
    browser.logs_in();
    world.provider.fails(Endpoint::Revocation, Failure::Unreachable);
    let stored = world.objects.kv.stored().len();
    assert_eq!(browser.send("POST", "/auth/logout", FETCH, None).status, 200);
    assert!(world.audit.borrow().join("\n").contains("\"will_retry\":false"));
    world.passes(3 * MINUTE);
    assert_eq!(world.objects.kv.stored().len(), stored, "the tombstone for the record");
    assert_eq!(world.provider.calls(Endpoint::Revocation), 1);
}

#[test]
fn whoever_refuses_the_refresh_token_is_asked_for_the_access_token_and_who_is_silent_is_not() {
    for (failure, asked) in [
        (Failure::Answers(400, r#"{"error":"unsupported_token_type"}"#), 2),
        (Failure::Answers(400, r#"{"error":"invalid_client"}"#), 2),
        (Failure::Answers(401, ""), 2),
        (Failure::Answers(403, ""), 2),
        (Failure::Answers(404, ""), 2),
        (Failure::Answers(503, ""), 2),
        (Failure::Unreachable, 1),
    ] {
        let world = kv_world(&json!({}));
        let browser = world.browser();
        browser.logs_in();
        world.provider.fails(Endpoint::Revocation, failure.clone());
        assert_eq!(browser.fetch("POST", "/auth/logout").status, 200);
        assert_eq!(world.provider.calls(Endpoint::Revocation), asked, "{failure:?}");
        assert_eq!(world.audited("revocation_failed"), 1, "{failure:?}");
    }
}

// The second in which KV takes no other write of the key would be a second of the person's.
#[test]
fn a_one_time_logout_url_leads_on_at_once() {
    let world = kv_world(&json!({}));
    let browser = world.browser();
    browser.logs_in();
    world.passes(2 * SECOND);
    let url = browser.fetch("POST", "/auth/logout").json()["logout_url"].clone();
    world.objects.kv.time_stands.set(true);
    let shown = world.run(async {
        let shown = browser.sending("GET", url.as_str().unwrap(), NAVIGATION, None).await;
        world.objects.kv.time_stands.set(false);
        shown
    });
    assert_eq!(shown.status, 303);
    assert_eq!(browser.navigate(url.as_str().unwrap()).code(), "logout_link_used");
}

#[test]
fn a_session_in_use_while_the_provider_is_down_does_not_run_into_its_idle_limit() {
    let world = kv_world(&json!({}));
    let browser = world.browser();
    browser.logs_in();
    world.provider.fails(Endpoint::Refresh, Failure::Unreachable);
    for _ in 0..9 {
        world.passes(10 * MINUTE);
        assert_eq!(browser.refusal(), "provider_unavailable");
    }
    world.provider.works_again();
    world.passes(MINUTE);
    assert!(browser.token().is_some());
}

// A slow provider is no reason to let a person wait: the session is gone already.
#[test]
fn a_logout_does_not_wait_for_the_revocation() {
    let world = kv_world(&json!({}));
    let browser = world.browser();
    browser.logs_in();
    world.provider.dawdles.set(true);
    let shown = world.run(async {
        let shown = browser.sending("POST", "/auth/logout", FETCH, None).await;
        world.provider.dawdles.set(false);
        shown
    });
    assert_eq!(shown.status, 200);
    world.settle();
    assert_eq!(world.provider.revoked_kinds(), ["refresh", "access"]);
}

#[test]
fn a_token_near_its_end_serves_at_once_and_is_refreshed_behind_the_call() {
    let world = kv_world(&json!({}));
    let browser = world.browser();
    browser.logs_in();
    let old = browser.token().unwrap();
    world.passes(250 * SECOND);
    world.provider.dawdles.set(true);
    let called = world.run(async {
        let calls = (0..6).map(|_| browser.calling("/api/orders"));
        let called = futures::future::join_all(calls).await;
        world.provider.dawdles.set(false);
        called
    });
    for called in called {
        let Called::Forwarded(token) = called else { panic!("{called:?}") };
        assert_eq!(token.as_ref(), Some(&old));
    }
    world.settle();
    assert_ne!(browser.token().unwrap(), old);
    assert_eq!(world.provider.calls(Endpoint::Refresh), 1, "the six are of one isolate");
}

// Nobody is let hammer a provider that is down: what the object would remember the isolate does.
#[test]
fn between_two_tries_of_one_isolate_stands_a_pause() {
    let world = kv_world(&json!({}));
    let browser = world.browser();
    browser.logs_in();
    world.provider.fails(Endpoint::Refresh, Failure::Answers(503, ""));
    world.passes(301 * SECOND);
    for _ in 0..20 {
        assert_eq!(browser.refusal(), "provider_overloaded");
    }
    assert_eq!(world.provider.calls(Endpoint::Refresh), 1);
    world.passes(2 * SECOND);
    world.provider.works_again();
    assert!(browser.token().is_some());
}

#[test]
fn the_store_answers_for_a_session_that_never_was_without_writing() {
    let world = kv_world(&json!({}));
    let reply = world.run(async {
        let session_id = tokenkeep::session::SessionId::from_bytes([0; 32]);
        let key = session_id.key();
        world.ask(&key, Command::Status { session_id, touch: true }).await
    });
    assert!(matches!(reply, Ok(Reply::NoSession)), "{reply:?}");
    assert_eq!(world.objects.puts(), 0);
}

// Anybody can bring a code of his own, and the free plan has 1,000 writes a day.
#[test]
fn a_callback_whose_code_the_provider_refuses_writes_nothing() {
    let world = kv_world(&json!({}));
    world.provider.fails(Endpoint::Code, Failure::Answers(400, r#"{"error":"invalid_grant"}"#));
    for callbacks in 1..=3 {
        let browser = world.browser();
        let authorized = browser.authorizes("/auth/login");
        let again = [browser.served_by(&world), browser.served_by(&world.elsewhere())];
        world.objects.kv.reads.borrow_mut().clear();
        assert_eq!(browser.comes_back(&authorized).code(), "code_refused");
        assert_eq!(world.objects.kv.reads.borrow().len(), 2);
        // Who brings it once more: an isolate sends no code twice.
        for (again, codes) in again.iter().zip([2 * callbacks - 1, 2 * callbacks]) {
            assert_eq!(again.comes_back(&authorized).code(), "code_refused");
            assert_eq!(world.provider.calls(Endpoint::Code), codes);
        }
        assert_eq!(world.objects.puts(), 0);
    }
}
