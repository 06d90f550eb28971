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

fn ends(world: &World, name: &str, before: Timestamp) -> Result<(), StoreError> {
    let config = world.config();
    world.run(end_before(world, &config.session, name, before, EndReason::BackChannel))
}

#[test]
fn a_marker_ends_a_persons_sessions_when_they_are_used_next_and_tells_the_provider() {
    for by_sid in [false, true] {
        let world = kv_world(&delayed());
        let browser = world.browser();
        browser.logs_in();
        let outline = outline(&world);
        let name = if by_sid { outline.sid.unwrap() } else { outline.subject };
        world.passes(10 * SECOND);
        assert_eq!(ends(&world, &name, world.now()), Ok(()));
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
fn a_marker_is_kept_to_the_absolute_limit_and_an_earlier_one_takes_nothing_back() {
    let world = kv_world(&delayed());
    let browser = world.browser();
    browser.logs_in();
    let name = outline(&world).subject;
    let now = world.now();
    assert_eq!(ends(&world, &name, now), Ok(()));
    let key = key_of(&world, "out:");
    assert_eq!(world.objects.kv.lasts(&key), Duration::from_secs(24 * 3600));
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
    let name = outline(&world).subject;
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
            let reason = EndReason::BackChannel;
            let ended = end_before(&world, &config.session, &name, before, reason).await;
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

#[test]
fn a_login_that_had_begun_is_meant_by_an_administrator_and_not_by_the_provider() {
    for (reason, is_meant) in [(EndReason::Remote, true), (EndReason::BackChannel, false)] {
        let world = kv_world(&delayed());
        let name = Whose::subject(ISSUER, "alice").name(&world.config().session.keys);
        let browser = world.browser();
        let authorized = browser.authorizes("/auth/login");
        world.passes(SECOND);
        let (config, now) = (world.config(), world.now());
        let ended = world.run(end_before(&world, &config.session, name.as_str(), now, reason));
        assert_eq!(ended, Ok(()));
        world.passes(SECOND);
        let shown = browser.comes_back(&authorized);
        if is_meant {
            assert_eq!(shown.code(), "login_ended");
        } else {
            assert_eq!(shown.status, 303);
            assert!(browser.token().is_some());
        }
        browser.logs_in();
        assert!(browser.token().is_some(), "{reason:?}");
    }
}

#[test]
fn markers_are_looked_for_only_where_the_operator_asked_for_them() {
    for (settings, looks) in [(delayed(), 2), (json!({}), 0)] {
        let world = kv_world(&settings);
        let browser = world.browser();
        browser.logs_in();
        let name = outline(&world).subject;
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
    let key = format!("out:{}", outline(&world).subject);
    for value in ["", "{}", "null", "{\"before\":\"x\"}", "\u{1}"] {
        world.objects.kv.plants(&key, value.as_bytes());
        assert!(browser.token().is_some(), "{value}");
    }
}
