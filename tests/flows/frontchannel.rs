//! Front-channel logout: a frame on the provider's page, which anybody can make.

use std::time::Duration;

use serde_json::json;

use crate::support::*;

fn world() -> World {
    World::with(json!({ "provider": { "frontchannel_logout": true } }))
}

#[test]
fn it_is_off_unless_configured_and_then_nowhere_to_be_seen() {
    let world = World::new();
    let browser = world.browser_of("alice", Some("at home"));
    let shown = world.provider_frames(ISSUER, "at home");
    let unknown = browser.send("GET", "/auth/no-such-endpoint", FRAME, None);
    assert_eq!((shown.status, shown.code()), (404, "not_found"));
    assert_eq!((shown.body, shown.headers), (unknown.body, unknown.headers));
    assert!(browser.is_logged_in());
}

#[test]
fn a_frame_ends_the_sessions_of_that_session_of_the_provider_and_revokes_nothing() {
    let world = world();
    let phone = world.browser_of("alice", Some("at home"));
    let laptop = world.browser_of("alice", Some("at home"));
    let office = world.browser_of("alice", Some("in the office"));
    let shown = world.provider_frames(ISSUER, "at home");
    assert_eq!(shown.status, 200);
    assert!(!phone.is_logged_in() && !laptop.is_logged_in() && office.is_logged_in());
    assert!(phone.token().is_none());
    assert!(world.log().contains(r#""event":"front_channel_logout","ended":2,"left":0"#));
    assert!(world.log().contains(r#""reason":"front_channel""#));
    // mod_auth_openidc 2026: whoever knows a sid would revoke tokens at the provider.
    assert_eq!(world.provider.calls(Endpoint::Revocation), 0);
    world.passes_with_alarms(Duration::from_secs(1200));
    assert_eq!(world.provider.calls(Endpoint::Revocation), 0);
    assert!(!world.log().contains("at home"));
}

// The frame comes with no cookie of ours; one that brings any ends no more and no less.
#[test]
fn the_frame_needs_no_cookie_and_reads_none() {
    let world = world();
    let browser = world.browser_of("alice", Some("at home"));
    let other = world.browser_of("bob", Some("bob's"));
    let path = format!("/auth/frontchannel-logout?iss={}&sid=at+home", encode(ISSUER));
    let own: &[(&str, &str)] = &[("sec-fetch-site", "same-origin"), ("sec-fetch-dest", "iframe")];
    assert_eq!(other.send("GET", &path, own, None).status, 200);
    assert!(!browser.is_logged_in() && other.is_logged_in());
    assert!(other.session_cookie().is_some());
}

#[test]
fn only_the_provider_may_frame_the_answer_and_it_says_the_same_of_nobody() {
    let world = world();
    let _browser = world.browser_of("alice", Some("at home"));
    let ended = world.provider_frames(ISSUER, "at home");
    let nobody = world.provider_frames(ISSUER, "at home");
    assert_eq!((&ended.body, &ended.headers), (&nobody.body, &nobody.headers));
    let policy = ended.header("content-security-policy").unwrap();
    assert!(policy.contains("frame-ancestors https://id.example.com"), "{policy}");
    assert!(policy.contains("default-src 'none'"), "{policy}");
    assert!(ended.header("x-frame-options").is_none());
    assert_eq!(ended.header("cache-control"), Some("no-store"));
}

#[test]
fn an_unknown_sid_stores_nothing() {
    let world = world();
    for sid in ["unknown", "x", &"y".repeat(512)] {
        assert_eq!(world.provider_frames(ISSUER, sid).status, 200);
    }
    assert_eq!((world.subjects.stored(), world.subjects.puts()), (0, 0));
    assert_eq!(world.objects.asked.get(), 0);
    assert_eq!(world.audited("front_channel_logout"), 0);
    // And keeps nobody out who comes later.
    assert!(world.browser_of("alice", Some("unknown")).is_logged_in());
}

// Front-Channel Logout §2: both or neither, and the issuer is the one that we know.
#[test]
fn what_does_not_name_a_session_of_this_provider_ends_nothing() {
    let world = world();
    let browser = world.browser_of("alice", Some("at home"));
    let iss = encode(ISSUER);
    for query in [
        String::new(),
        "?".to_owned(),
        format!("?iss={iss}"),
        "?sid=at+home".to_owned(),
        format!("?iss={iss}&sid="),
        format!("?iss={}&sid=at+home", encode(ISSUER.trim_end_matches('/'))),
        format!("?iss={}&sid=at+home", encode("https://evil.example/")),
        format!("?iss={iss}&sid=at+home&sid=other"),
        format!("?iss={iss}&iss={iss}&sid=at+home"),
        format!("?iss={iss}&sid={}", "x".repeat(513)),
    ] {
        let path = format!("/auth/frontchannel-logout{query}");
        let shown = world.browser().send("GET", &path, FRAME, None);
        assert_eq!((shown.status, shown.code()), (400, "request_malformed"), "{query}");
    }
    assert!(browser.is_logged_in());
}

#[test]
fn only_a_frame_ends_anything() {
    let world = world();
    let browser = world.browser_of("alice", Some("at home"));
    let path = format!("/auth/frontchannel-logout?iss={}&sid=at+home", encode(ISSUER));
    for dest in ["image", "script", "empty", "document", "style"] {
        let headers = [("sec-fetch-site", "cross-site"), ("sec-fetch-dest", dest)];
        let shown = world.browser().send("GET", &path, &headers, None);
        assert_eq!((shown.status, shown.code()), (403, "navigation_refused"), "{dest}");
    }
    let prefetch = [&[("sec-purpose", "prefetch")], FRAME].concat();
    assert_eq!(world.browser().send("GET", &path, &prefetch, None).status, 403);
    assert_eq!(world.browser().send("POST", &path, FRAME, None).status, 405);
    assert!(browser.is_logged_in());
    // A browser of before Fetch Metadata.
    assert_eq!(world.browser().send("GET", &path, &[], None).status, 200);
    assert!(!browser.is_logged_in());
}

#[test]
fn an_index_that_does_not_answer_is_503_and_a_session_that_does_not_ends_later() {
    let world = world();
    let browser = world.browser_of("alice", Some("at home"));
    world.subjects.down.set(true);
    let shown = world.provider_frames(ISSUER, "at home");
    assert_eq!((shown.status, shown.code()), (503, "session_unavailable"));
    world.subjects.down.set(false);
    world.objects.down.set(true);
    assert_eq!(world.provider_frames(ISSUER, "at home").status, 200);
    assert!(world.log().contains(r#""ended":0,"left":1"#));
    world.objects.down.set(false);
    world.passes_with_alarms(Duration::from_secs(121));
    assert!(!browser.is_logged_in());
    assert_eq!(world.provider.calls(Endpoint::Revocation), 0);
}
