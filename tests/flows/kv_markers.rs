//! Sessions in KV and ends that name a person or a provider's session: markers
//! (`kv_delayed_logout`).

use std::time::Duration;

use serde_json::{Value, json};
use tokenkeep::{
    app::{
        kv::end_before,
        ports::{Clock as _, StoreError, SubjectStore as _},
    },
    session::{
        EndReason, LiveOutline, Outline,
        subject::{EndSessions, SubjectCommand, SubjectReply, Which, Whose},
    },
    time::Timestamp,
};

use crate::{
    kv::{key_of, kv_world},
    support::*,
};

const SECOND: Duration = Duration::from_secs(1);

fn delayed() -> Value {
    json!({ "session": { "kv_delayed_logout": true } })
}

fn outline(world: &World) -> LiveOutline {
    match Outline::of(&world.objects.kv.stored()[&key_of(world, "s:")]) {
        Outline::Live(live) => live,
        other => panic!("{other:?}"),
    }
}

fn subject(world: &World) -> String {
    outline(world).names.subject.as_str().to_owned()
}

fn ends(world: &World, name: &str, before: Timestamp) -> Result<(), StoreError> {
    let (config, which) = (world.config(), Which::Before { issued: before });
    world.run(end_before(world, &config.session, name, &which, before, EndReason::BackChannel))
}

#[test]
fn a_marker_ends_a_persons_sessions_when_they_are_used_next_and_tells_the_provider() {
    for by_sid in [false, true] {
        let world = kv_world(&delayed());
        let browser = world.browser();
        browser.logs_in();
        let outline = outline(&world);
        let names = outline.names;
        let name = if by_sid { names.sid.unwrap() } else { names.subject };
        world.passes(10 * SECOND);
        assert_eq!(ends(&world, name.as_str(), world.now()), Ok(()));
        assert!(browser.session_cookie().is_some());
        assert_eq!(browser.refusal(), "unauthenticated", "by sid: {by_sid}");
        assert!(!browser.is_logged_in());
        let audit = world.audit.borrow().join("\n");
        assert_eq!(audit.matches("\"reason\":\"back_channel\"").count(), 1, "{audit}");
        assert_eq!(world.provider.revoked_kinds(), ["refresh", "access"]);
        // It is over for good, not only under the marker.
        world.passes(61 * SECOND);
        assert!(world.objects.kv.stored().contains_key(&key_of(&world, "t:")));
        // Who logs in again is meant no more.
        world.passes(SECOND);
        browser.logs_in();
        assert!(browser.token().is_some());
        world.passes(61 * SECOND);
        assert!(browser.token().is_some());
    }
}

// OpenID Connect Back-Channel Logout 1.0 §2.7: a logout token with a `sid` and a `sub`.
#[test]
fn a_logout_token_with_a_sid_reaches_sessions_without_one_and_spares_those_with_another() {
    for (sid, is_meant) in [(None, true), (Some("another"), false)] {
        let world = kv_world(&delayed());
        *world.provider.edit_id_token.borrow_mut() = Some(Box::new(move |claims| {
            claims.remove("sid");
            claims.extend(sid.map(|sid| ("sid".to_owned(), json!(sid))));
        }));
        let browser = world.browser();
        browser.logs_in();
        let keys = world.config().session.keys.clone();
        let person = Whose::subject(ISSUER, "alice").name(&keys);
        let session = Whose::provider_session(ISSUER, "the session there").name(&keys);
        let issued = world.now();
        for (index, which, bars) in [
            (session, Which::All { of: Some(person.clone()) }, true),
            (person, Which::BeforeWithoutSid { issued }, false),
        ] {
            let order = EndSessions { which, reason: EndReason::BackChannel, bars, token: None };
            let command = SubjectCommand::End(Box::new(order));
            let reply = world.run(world.ask_subject(&index, command));
            assert!(matches!(reply, Ok(SubjectReply::Ended { .. })), "{reply:?}");
        }
        assert_eq!(browser.token().is_none(), is_meant, "{sid:?}");
    }
}

// A `sid` is no secret, and whoever writes can use a day's writes up.
#[test]
fn who_is_neither_the_provider_nor_an_administrator_has_nothing_stored() {
    for (settings, bars) in [(delayed(), false), (json!({}), true)] {
        let world = kv_world(&settings);
        let keys = world.config().session.keys.clone();
        let index = Whose::provider_session(ISSUER, "guessed").name(&keys);
        let (which, reason) = (Which::All { of: None }, EndReason::FrontChannel);
        let order = EndSessions { which, reason, bars, token: None };
        let reply = world.run(world.ask_subject(&index, SubjectCommand::End(Box::new(order))));
        assert!(matches!(reply, Ok(SubjectReply::Unsupported)), "{reply:?}");
        assert!(world.objects.kv.stored().is_empty());
    }
}

#[test]
fn there_is_no_list_of_devices_and_no_logout_token_is_taken_that_would_do_nothing() {
    for (settings, backchannel) in [(json!({}), 404), (delayed(), 400)] {
        let world = kv_world(&settings);
        let browser = world.browser();
        browser.logs_in();
        assert_eq!(browser.fetch("GET", "/auth/sessions").status, 404);
        assert_eq!(browser.fetch("POST", "/auth/sessions/end").status, 404);
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        let body = Some("logout_token=x");
        let shown = browser.send("POST", "/auth/backchannel-logout", &headers, body);
        assert_eq!(shown.status, backchannel, "{settings}");
    }
}

#[test]
fn a_marker_of_somebody_else_ends_nothing() {
    let world = kv_world(&delayed());
    let browser = world.browser();
    browser.logs_in();
    let name = "A".repeat(43);
    assert_eq!(ends(&world, &name, world.now()), Ok(()));
    assert!(browser.token().is_some());
}

#[test]
fn a_marker_is_kept_to_the_absolute_limit_of_a_login_under_way_and_an_earlier_one_takes_nothing_back()
 {
    let world = kv_world(&delayed());
    let browser = world.browser();
    browser.logs_in();
    let name = subject(&world);
    let now = world.now();
    assert_eq!(ends(&world, &name, now), Ok(()));
    let key = key_of(&world, "out:");
    assert_eq!(world.objects.kv.lasts(&key), Duration::from_secs(24 * 3600 + 600));
    world.passes(2 * SECOND);
    assert_eq!(ends(&world, &name, now.before(60 * SECOND)), Ok(()));
    assert!(browser.token().is_none());
    // Two in one second: KV takes the second one a second later.
    let later = world.now();
    for millis in [1, 2] {
        assert_eq!(ends(&world, &name, later.after(Duration::from_millis(millis))), Ok(()));
    }
}

#[test]
fn an_end_that_kv_does_not_take_is_told() {
    let world = kv_world(&delayed());
    world.objects.kv.is_full.set(true);
    assert_eq!(ends(&world, "name", world.now()), Err(StoreError));
}

#[test]
fn a_logout_token_during_a_login_means_that_login_as_well() {
    let world = kv_world(&delayed());
    let browser = world.browser();
    browser.logs_in();
    let name = subject(&world);
    world.passes(Duration::from_secs(25 * 3600));
    let late = world.browser();
    let authorized = late.authorizes("/auth/login");
    world.provider.dawdles.set(true);
    let path = callback(&authorized);
    let (shown, ended) = world.run(async {
        futures::join!(late.sending("GET", &path, FROM_PROVIDER, None), async {
            while world.provider.calls(Endpoint::Code) < 2 {
                world.provider.dawdles.set(false);
                pause().await;
            }
            world.provider.dawdles.set(true);
            let config = world.config();
            let before = world.now();
            let (which, reason) = (Which::Before { issued: before }, EndReason::BackChannel);
            let ended = end_before(&world, &config.session, &name, &which, before, reason).await;
            world.passes(SECOND);
            world.provider.dawdles.set(false);
            ended
        })
    });
    assert_eq!(ended, Ok(()));
    assert_eq!(shown.code(), "login_ended");
    assert!(late.session_cookie().is_none());
    assert_eq!(world.provider.revoked.borrow().len(), 1, "what it brought is taken back");
}

// By the rule of an index's bars: `src/session/subject/tests/bars.rs`.
#[test]
fn a_code_that_was_held_back_while_its_person_was_logged_out_logs_nobody_in() {
    let administrator = json!(null);
    let (sub, sid) = (json!({ "sub": "alice" }), json!({ "sid": "there" }));
    let both = json!({ "sub": "alice", "sid": "there" });
    let other = json!({ "sub": "alice", "sid": "another" });
    for (who, sid, signed_in, is_meant) in [
        (&sub, None, Some(-60), true),
        (&sub, None, Some(5), true),
        // Signed in again, at a page that was open when the logout came.
        (&sub, None, Some(6), false),
        // Nobody knows when; the ID token is from after the logout.
        (&sub, None, None, false),
        (&sid, Some("there"), None, true),
        (&sid, Some("another"), Some(-60), false),
        (&both, Some("there"), None, true),
        (&both, None, Some(-60), true),
        (&other, Some("there"), Some(-60), false),
        (&administrator, None, None, true),
        (&administrator, Some("there"), Some(6), true),
    ] {
        let case = format!("{who}, {sid:?}, {signed_in:?}");
        let world = kv_world(&delayed());
        *world.provider.sid.borrow_mut() = sid.map(str::to_owned);
        let signed_in = signed_in.map(|after| world.now().as_secs().saturating_add_signed(after));
        *world.provider.edit_id_token.borrow_mut() = Some(Box::new(move |claims| {
            claims.remove("auth_time");
            claims.extend(signed_in.map(|time| ("auth_time".to_owned(), json!(time))));
        }));
        let browser = world.browser();
        let authorized = browser.authorizes("/auth/login");
        world.passes(5 * SECOND);
        let shown = match who {
            Value::Null => world.administrator_ends("alice"),
            who => world.provider_logs_out(who),
        };
        assert_eq!(shown.status, 200, "{case}");
        world.passes(5 * SECOND);
        let shown = browser.comes_back(&authorized);
        if is_meant {
            assert_eq!(shown.code(), "login_ended", "{case}");
            assert!(browser.session_cookie().is_none(), "{case}");
            assert_eq!(world.provider.revoked.borrow().len(), 1, "what it brought is taken back");
        } else {
            assert_eq!(shown.status, 303, "{case}");
            assert!(browser.token().is_some(), "{case}");
        }
        // Who logs in again is meant no more, even on a session at the provider that was left.
        *world.provider.sid.borrow_mut() = Some("the next one".to_owned());
        browser.logs_in();
        for _ in 0..2 {
            assert!(browser.token().is_some(), "{case}");
            world.passes(61 * SECOND);
        }
    }
}

// Back-Channel Logout §2.6.8 is OPTIONAL, and a list of tokens that several places write loses some.
#[test]
fn a_logout_token_that_comes_again_is_not_noticed_and_ends_what_was_made_since() {
    let world = kv_world(&delayed());
    let token = world.provider.logout_token(&json!({ "sub": "alice" }), world.now());
    assert_eq!(world.posts_logout_token(&token).status, 200);
    world.passes(2 * SECOND);
    let browser = world.browser();
    browser.logs_in();
    world.passes(2 * SECOND);
    assert_eq!(world.posts_logout_token(&token).status, 200);
    world.passes(61 * SECOND);
    assert!(browser.token().is_none());
}

// KV keeps one value under a name: what it says of logins under way is added to.
#[test]
fn an_administrators_end_is_not_forgotten_for_a_logout_token_that_comes_after_it() {
    let world = kv_world(&delayed());
    let browser = world.browser();
    let authorized = browser.authorizes("/auth/login");
    world.passes(SECOND);
    assert_eq!(world.administrator_ends("alice").status, 200);
    world.passes(2 * SECOND);
    let earlier = world.now().before(60 * SECOND);
    assert_eq!(ends(&world, world.index_of("alice").as_str(), earlier), Ok(()));
    world.passes(SECOND);
    assert_eq!(browser.comes_back(&authorized).code(), "login_ended");
}

// The provider's lock, which the administrator's end follows in the same second, or the other way
// round: what waits for its write must not be written over what came first.
#[test]
fn two_ends_at_the_same_moment_both_count_for_a_login_under_way() {
    for administrator_first in [true, false] {
        let world = kv_world(&delayed());
        *world.provider.edit_id_token.borrow_mut() = Some(Box::new(|claims| {
            claims.remove("auth_time");
        }));
        let browser = world.browser();
        let authorized = browser.authorizes("/auth/login");
        world.passes(SECOND);
        let (config, name, now) = (world.config(), world.index_of("alice"), world.now());
        let (begun, before) = (Which::Begun { by: now }, Which::Before { issued: now });
        let end = |which| {
            let (world, config, name) = (&world, &config, &name);
            async move {
                let reason = EndReason::BackChannel;
                end_before(world, &config.session, name.as_str(), &which, now, reason).await
            }
        };
        let (first, second) = if administrator_first { (begun, before) } else { (before, begun) };
        let ended = world.run(async { futures::join!(end(first), end(second)) });
        assert_eq!(ended, (Ok(()), Ok(())));
        world.passes(5 * SECOND);
        assert_eq!(browser.comes_back(&authorized).code(), "login_ended", "{administrator_first}");
    }
}

#[test]
fn markers_are_looked_for_only_where_the_operator_asked_for_them() {
    for (settings, looks) in [(delayed(), 2), (json!({}), 0)] {
        let world = kv_world(&settings);
        let browser = world.browser();
        browser.logs_in();
        let name = subject(&world);
        assert_eq!(ends(&world, &name, world.now()), Ok(()));
        world.objects.kv.reads.borrow_mut().clear();
        assert_eq!(browser.token().is_some(), looks == 0, "{settings}");
        let reads = world.objects.kv.reads.borrow();
        let markers = reads.iter().filter(|key| key.starts_with("out:")).count();
        assert_eq!(markers, looks, "{reads:?}");
    }
}

#[test]
fn a_marker_that_says_nothing_ends_nothing_and_crashes_nothing() {
    let world = kv_world(&delayed());
    let browser = world.browser();
    browser.logs_in();
    let key = format!("out:{}", subject(&world));
    for value in ["", "{}", "null", "{\"before\":\"x\"}", "\u{1}"] {
        world.objects.kv.plants(&key, value.as_bytes());
        assert!(browser.token().is_some(), "{value}");
    }
}
