//! The person's own devices: where they are signed in, and the end of that.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::*;

const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";

const MINUTE: Duration = Duration::from_secs(60);

fn named<'a>(devices: &'a [Value], member: &str) -> Vec<&'a Value> {
    devices.iter().map(|device| &device[member]).collect()
}

fn handle_of(browser: &Browser) -> String {
    let devices = browser.devices();
    let current = devices.iter().find(|device| device["current"] == true).unwrap();
    current["id"].as_str().unwrap().to_owned()
}

#[test]
fn the_list_has_this_device_first_and_then_the_newest() {
    let world = World::new();
    let mut browsers = Vec::new();
    for _ in 0..3 {
        world.passes(MINUTE);
        browsers.push(world.browser_of("alice", Some("at home")));
    }
    let _stranger = world.browser_of("bob", Some("at home"));
    let devices = browsers[1].devices();
    assert_eq!(named(&devices, "current"), [true, false, false]);
    let began = |minute: u64| 1_763_900_000 + 60 * minute;
    assert_eq!(named(&devices, "created_at"), [began(2), began(3), began(1)]);
    let names: std::collections::BTreeSet<_> =
        devices.iter().map(|device| device["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(names.len(), 3);
    for name in &names {
        assert_eq!(name.len(), 22, "16 random bytes");
    }
    for device in &devices {
        let members: Vec<_> = device.as_object().unwrap().keys().collect();
        assert_eq!(members, ["created_at", "current", "device", "id", "last_seen_at"]);
    }
}

#[test]
fn a_device_has_the_name_of_its_browser_and_the_hour_of_its_last_call() {
    let world = World::new();
    let browser = world.browser();
    let path = callback(&browser.authorizes("/auth/login"));
    let with_name = [FROM_PROVIDER, &[("user-agent", FIREFOX)]].concat();
    assert_eq!(browser.send("GET", &path, &with_name, None).status, 303);
    let devices = browser.devices();
    assert_eq!(devices[0]["device"], "Firefox on Linux");
    // To the hour, and never before it began.
    assert_eq!(devices[0]["last_seen_at"], devices[0]["created_at"]);
    world.passes(50 * MINUTE);
    assert!(browser.token().is_some());
    let seen = browser.devices()[0]["last_seen_at"].as_u64().unwrap();
    assert_eq!(seen % 3600, 0);
    assert!(seen > 1_763_900_000 && seen <= 1_763_900_000 + 3000);
}

#[test]
fn looking_at_the_list_keeps_no_session_alive() {
    let world = World::new();
    let browser = world.browser_of("alice", Some("at home"));
    for _ in 0..6 {
        world.passes_with_alarms(10 * MINUTE);
        browser.fetch("GET", "/auth/sessions");
    }
    assert_eq!(browser.fetch("GET", "/auth/sessions").code(), "unauthenticated");
}

#[test]
fn one_device_is_ended_by_its_name() {
    let world = World::new();
    let phone = world.browser_of("alice", Some("at home"));
    let laptop = world.browser_of("alice", Some("in the office"));
    let shown = laptop.ends(&json!({ "id": handle_of(&phone) }));
    assert_eq!((shown.status, shown.json()), (200, json!({ "ended": 1, "pending": 0 })));
    assert!(!phone.is_logged_in() && laptop.is_logged_in());
    assert_eq!(laptop.devices().len(), 1);
    assert!(world.log().contains(r#""reason":"remote""#));
    assert_eq!(world.audited("devices_ended"), 1);
    // What its object held open is taken back.
    assert_eq!(world.provider.refresh_tokens_revoked(), 1);
}

#[test]
fn a_name_that_is_gone_or_never_was_is_404() {
    let world = World::new();
    let phone = world.browser_of("alice", Some("at home"));
    let laptop = world.browser_of("alice", Some("in the office"));
    let handle = handle_of(&phone);
    laptop.ends(&json!({ "id": handle }));
    for handle in [&*handle, "", "x", &"A".repeat(22)] {
        let shown = laptop.ends(&json!({ "id": handle }));
        assert_eq!((shown.status, shown.code()), (404, "device_unknown"), "{handle}");
    }
    assert_eq!(world.audited("devices_ended"), 1);
}

// Nobody can name somebody else's.
#[test]
fn another_persons_device_has_no_name_here() {
    let world = World::new();
    let alice = world.browser_of("alice", Some("same sid"));
    let bob = world.browser_of("bob", Some("same sid"));
    let shown = bob.ends(&json!({ "id": handle_of(&alice) }));
    assert_eq!((shown.status, shown.code()), (404, "device_unknown"));
    assert!(alice.is_logged_in());
}

#[test]
fn a_device_has_another_name_in_another_index() {
    let world = World::new();
    let browser = world.browser_of("alice", Some("at home"));
    let handle = handle_of(&browser);
    let rows = world.subjects.dump();
    assert_eq!(rows.len(), 2);
    let holding = rows.iter().filter(|row| String::from_utf8_lossy(row).contains(&handle));
    assert_eq!(holding.count(), 1);
}

#[test]
fn all_other_devices_are_ended_and_this_one_stays() {
    let world = World::new();
    let browsers: Vec<_> = (0..4).map(|_| world.browser_of("alice", Some("at home"))).collect();
    let bob = world.browser_of("bob", Some("at home"));
    let shown = browsers[2].ends(&json!({ "others": true }));
    assert_eq!((shown.status, shown.json()), (200, json!({ "ended": 3, "pending": 0 })));
    let alive: Vec<_> = browsers.iter().map(Browser::is_logged_in).collect();
    assert_eq!(alive, [false, false, true, false]);
    assert!(bob.is_logged_in());
    let shown = browsers[2].ends(&json!({ "others": true }));
    assert_eq!(shown.json(), json!({ "ended": 0, "pending": 0 }));
}

#[test]
fn a_hundred_other_devices_are_ended_at_once() {
    let world = World::new();
    let browsers: Vec<_> = (0..100).map(|_| world.browser_of("alice", None)).collect();
    let shown = browsers[99].ends(&json!({ "others": true }));
    assert_eq!(shown.json(), json!({ "ended": 99, "pending": 0 }));
    assert!(browsers[99].is_logged_in() && !browsers[0].is_logged_in());
    assert_eq!(world.objects.stored(), 100, "tombstones, until their logins can't come any more");
    assert_eq!(browsers[99].devices().len(), 1);
}

#[test]
fn the_hundred_and_first_login_ends_the_oldest_session() {
    let world = World::new();
    let first = world.browser_of("alice", None);
    let mut browsers = Vec::new();
    for _ in 0..100 {
        world.passes(Duration::from_secs(1));
        browsers.push(world.browser_of("alice", None));
    }
    assert!(!first.is_logged_in());
    assert!(browsers.iter().all(Browser::is_logged_in));
    assert_eq!(browsers[0].devices().len(), 100);
    assert!(world.log().contains(r#""reason":"too_many""#));
}

#[test]
fn a_device_that_can_not_be_reached_is_pending_and_ends_later() {
    let world = World::new();
    let phone = world.browser_of("alice", Some("at home"));
    let laptop = world.browser_of("alice", Some("in the office"));
    let handle = handle_of(&phone);
    let head = laptop.head("POST", "/auth/sessions/end", JSON);
    // Down as soon as the person was let in.
    let shown = world.run(async {
        let body = json!({ "id": handle }).to_string();
        let asking = world.serve(&head, Some(&body));
        futures::join!(asking, async {
            for _ in 0..2 {
                pause().await;
            }
            world.objects.down.set(true);
        })
        .0
    });
    let shown: Value = serde_json::from_str(&shown.body).unwrap();
    assert_eq!(shown, json!({ "ended": 0, "pending": 1 }));
    world.objects.down.set(false);
    assert!(phone.is_logged_in());
    let devices = laptop.devices();
    assert_eq!(devices.len(), 1, "one that is to end is no device: {devices:?}");
    world.passes_with_alarms(2 * MINUTE);
    assert!(!phone.is_logged_in());
}

// The layers against CSRF, for what reads and for what ends.
#[test]
fn a_request_that_is_not_the_apps_own_shows_and_ends_nothing() {
    let world = World::new();
    let browser = world.browser_of("alice", Some("at home"));
    let handle = handle_of(&browser);
    for (headers, code) in [
        (&[("sec-fetch-site", "cross-site")][..], "csrf_cross_site"),
        (&[("sec-fetch-site", "same-site")], "csrf_same_site"),
        (&[("sec-fetch-site", "none")], "csrf_cross_site"),
        (&[("origin", "https://evil.example")], "csrf_origin"),
        (&[("origin", "null"), ("x-tokenkeep", "1")], "csrf_origin"),
        (&[], "csrf_header_missing"),
    ] {
        let headers = [headers, &[("content-type", "application/json")]].concat();
        // Also where the cookie comes along all the same.
        let cookie = format!("{SESSION_COOKIE}={}", browser.session_cookie().unwrap());
        let headers = [&headers[..], &[("cookie", &*cookie)]].concat();
        let stranger = world.browser();
        let shown = stranger.send("GET", "/auth/sessions", &headers, None);
        assert_eq!((shown.status, shown.code()), (403, code), "{headers:?}");
        for body in [json!({ "others": true }), json!({ "id": handle })] {
            let body = body.to_string();
            let shown = stranger.send("POST", "/auth/sessions/end", &headers, Some(&body));
            assert_eq!((shown.status, shown.code()), (403, code), "{headers:?}");
        }
    }
    assert!(browser.is_logged_in());
    assert_eq!(world.audited("devices_ended"), 0);
}

#[test]
fn whoever_is_not_logged_in_has_no_devices() {
    let world = World::new();
    let anonymous = world.browser();
    let out = world.browser_of("alice", None);
    let cookie = out.session_cookie().unwrap();
    out.fetch("POST", "/auth/logout");
    out.plants(SESSION_COOKIE, &cookie);
    let forged = world.browser();
    forged.plants(SESSION_COOKIE, &"A".repeat(64));
    let asked = world.subjects.asked.get();
    for browser in [anonymous, out, forged] {
        let shown = browser.fetch("GET", "/auth/sessions");
        assert_eq!((shown.status, shown.code()), (401, "unauthenticated"));
        let shown = browser.ends(&json!({ "others": true }));
        assert_eq!((shown.status, shown.code()), (401, "unauthenticated"));
    }
    assert_eq!(world.subjects.asked.get(), asked, "no index was asked");
}

#[test]
fn a_body_says_one_thing_or_is_refused() {
    let world = World::new();
    let browser = world.browser_of("alice", None);
    let _other = world.browser_of("alice", None);
    for body in [
        "",
        "x",
        "[]",
        "{}",
        r#"{"others":false}"#,
        r#"{"others":"true"}"#,
        r#"{"others":1}"#,
        r#"{"id":1}"#,
        r#"{"id":null}"#,
        r#"{"id":"x","others":true}"#,
        r#"{"others":true,"more":1}"#,
        r#"{"others":true,"others":true}"#,
        r#"{"session":"x"}"#,
    ] {
        let shown = browser.send("POST", "/auth/sessions/end", JSON, Some(body));
        assert_eq!((shown.status, shown.code()), (400, "parameters_invalid"), "{body}");
    }
    let shown = browser.send("POST", "/auth/sessions/end", JSON, None);
    assert_eq!((shown.status, shown.code()), (413, "body_too_large"));
    let shown = browser.send("POST", "/auth/sessions/end", FETCH, Some(r#"{"others":true}"#));
    assert_eq!((shown.status, shown.code()), (415, "content_type_unsupported"));
    assert_eq!(browser.fetch("GET", "/auth/sessions/end").status, 405);
    assert_eq!(browser.devices().len(), 2);
}

#[test]
fn a_login_that_takes_a_sessions_place_takes_its_place_in_the_list_too() {
    let world = World::new();
    let browser = world.browser_of("alice", Some("at home"));
    let before = handle_of(&browser);
    world.passes(MINUTE);
    browser.logs_in();
    let devices = browser.devices();
    assert_eq!(devices.len(), 1);
    assert_ne!(devices[0]["id"], before.as_str());
    assert_eq!(world.subjects.stored(), 2);
}

#[test]
fn a_session_that_ended_by_itself_or_by_a_logout_leaves_the_list() {
    let world = World::new();
    let idle = world.browser_of("alice", None);
    world.passes_with_alarms(30 * MINUTE);
    let left = world.browser_of("alice", None);
    let busy = world.browser_of("alice", None);
    assert_eq!(busy.devices().len(), 3);
    left.fetch("POST", "/auth/logout");
    assert_eq!(busy.devices().len(), 2);
    world.passes_with_alarms(20 * MINUTE);
    assert!(busy.token().is_some());
    world.passes_with_alarms(20 * MINUTE);
    assert!(!idle.is_logged_in());
    assert_eq!(busy.devices().len(), 1);
}

#[test]
fn an_end_whose_word_was_lost_is_found_out_by_the_next_list_or_by_the_sweep() {
    for looks in [true, false] {
        let world = World::new();
        let left = world.browser_of("alice", None);
        let other = world.browser_of("alice", None);
        world.subjects.loses_unlists.set(true);
        left.fetch("POST", "/auth/logout");
        let written = world.subjects.puts();
        if looks {
            assert_eq!(other.devices().len(), 1);
            assert_eq!(world.subjects.puts(), written + 1, "the list mends itself");
        }
        other.fetch("POST", "/auth/logout");
        world.passes_with_alarms(Duration::from_secs(25 * 3600));
        assert_eq!(world.subjects.stored(), 0, "looks: {looks}");
    }
}

#[test]
fn the_list_outlives_deployments_and_rotations() {
    let world = World::new();
    let one = world.browser();
    let path = callback(&one.authorizes("/auth/login"));
    let with_name = [FROM_PROVIDER, &[("user-agent", FIREFOX)]].concat();
    one.send("GET", &path, &with_name, None);
    world.deploys(&["second", "first"]);
    let two = world.browser_of("alice", None);
    assert_eq!(two.devices()[1]["device"], "Firefox on Linux");
    world.passes(Duration::from_secs(290));
    assert!(one.token().is_some() && two.token().is_some());
    world.settle();
    world.deploys(&["second"]);
    let devices = two.devices();
    assert_eq!(devices.len(), 2);
    assert_eq!(devices[1]["device"], "Firefox on Linux");
    let handle = devices[1]["id"].clone();
    assert_eq!(two.ends(&json!({ "id": handle })).json()["ended"], 1);
    assert!(!one.is_logged_in());
}

#[test]
fn an_index_that_does_not_answer_is_503_and_ends_nothing() {
    let world = World::new();
    let browser = world.browser_of("alice", None);
    let other = world.browser_of("alice", None);
    world.subjects.down.set(true);
    assert_eq!(browser.fetch("GET", "/auth/sessions").code(), "session_unavailable");
    let shown = browser.ends(&json!({ "others": true }));
    assert_eq!((shown.status, shown.code()), (503, "session_unavailable"));
    world.subjects.down.set(false);
    assert!(other.is_logged_in());
    world.objects.down.set(true);
    assert_eq!(browser.fetch("GET", "/auth/sessions").code(), "session_unavailable");
}
