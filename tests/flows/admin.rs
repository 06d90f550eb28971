//! An administrator ends all sessions of a person.

use std::time::Duration;

use serde_json::json;
use tokenkeep::{
    app::{
        call::{Calls, Step},
        end_subject::Admission,
        ports::Clock as _,
    },
    http::head::RequestHead,
};

use crate::support::*;

const PATH: &str = "/auth/admin/end-sessions";

#[test]
fn all_sessions_of_the_person_end_and_nobody_elses() {
    let world = World::new();
    let home = world.browser_of("alice", Some("at home"));
    let office = world.browser_of("alice", None);
    let bob = world.browser_of("bob", Some("at home"));
    let shown = world.administrator_ends("alice");
    assert_eq!((shown.status, shown.json()), (200, json!({ "ended": 2, "pending": 0 })));
    assert!(!home.is_logged_in() && !office.is_logged_in() && bob.is_logged_in());
    assert!(world.log().contains(r#""event":"subject_ended","subject":""#));
    assert!(world.log().contains(r#""reason":"remote""#));
    assert!(!world.log().contains("alice"));
    let shown = world.administrator_ends("nobody");
    assert_eq!((shown.status, shown.json()), (200, json!({ "ended": 0, "pending": 0 })));
}

// Our clock is all that an administrator has: the provider's may be ahead of it, or behind.
#[test]
fn a_provider_with_another_clock_saves_no_session() {
    for skew in [-50_i64, 0, 50] {
        let world = World::new();
        *world.provider.edit_id_token.borrow_mut() = Some(Box::new(move |claims| {
            let iat = claims["iat"].as_i64().unwrap() + skew;
            claims.insert("iat".to_owned(), json!(iat));
        }));
        let browser = world.browser_of("alice", None);
        world.passes(Duration::from_secs(1));
        assert_eq!(world.administrator_ends("alice").json()["ended"], 1, "{skew}");
        assert!(!browser.is_logged_in());
        // And whoever may logs in again at once.
        world.passes(Duration::from_secs(1));
        browser.logs_in();
        assert!(browser.is_logged_in(), "{skew}");
    }
}

#[test]
fn a_login_that_is_under_way_comes_to_nothing_at_any_moment() {
    for moment in 0..60 {
        let world = World::new();
        let browser = world.browser();
        let path = callback(&browser.authorizes("/auth/login"));
        world.run(async {
            futures::join!(browser.sending("GET", &path, FROM_PROVIDER, None), async {
                for _ in 0..moment {
                    pause().await;
                }
                let secret = format!("Bearer {}", admin_secret());
                let headers = [("authorization", &*secret), ("content-type", "application/json")];
                let body = Some(r#"{"sub":"alice"}"#);
                world.browser().sending("POST", PATH, &headers, body).await
            })
        });
        assert!(!browser.is_logged_in(), "moment {moment}");
        assert_eq!(world.provider.refresh_tokens_left(), 0, "{moment}: not revoked");
    }
}

#[test]
fn a_login_that_had_begun_is_refused_when_it_comes_back() {
    let world = World::new();
    let late = world.browser();
    let authorized = late.authorizes("/auth/login");
    world.passes(Duration::from_secs(5));
    world.administrator_ends("alice");
    world.passes_with_alarms(Duration::from_secs(500));
    assert_eq!(late.comes_back(&authorized).code(), "login_ended");
    late.logs_in();
    world.passes_with_alarms(Duration::from_secs(26 * 3600));
    assert_eq!(world.subjects.stored(), 0);
}

/// What comes of a request's head: the step in words.
fn step(world: &World, method: &str, path: &str, headers: &[(&str, &str)]) -> String {
    let head = world.browser().head(method, path, headers);
    let config = world.config();
    let head = RequestHead::parse(&head).unwrap();
    match Calls::default().begin(&config, &head, world.now()) {
        // What the edge answers then is what it answers to an unknown path.
        Step::Admit(Admission::Refused { .. }) => "not_found".to_owned(),
        Step::Answer(answer) => {
            let code = answer.headers.iter().find(|(name, _)| *name == "tokenkeep-error");
            code.unwrap().1.clone().into_owned()
        }
        other => format!("{other:?}"),
    }
}

#[test]
fn without_the_secret_the_endpoint_is_nowhere_to_be_seen() {
    let world = World::new();
    let browser = world.browser_of("alice", None);
    let secret = admin_secret();
    for method in ["GET", "POST", "PUT", "OPTIONS", "HEAD", "DELETE"] {
        for authorization in ["", "Bearer", "Bearer x", &secret, &format!("Basic {secret}")] {
            let headers = [("authorization", authorization), ("content-type", "application/json")];
            assert_eq!(step(&world, method, PATH, &headers), "not_found", "{method}");
        }
        assert_eq!(step(&world, method, PATH, &[]), "not_found", "{method}");
    }
    // A preflight too: what isn't there has no CORS answer.
    let preflight = [("origin", "https://evil.example"), ("access-control-request-method", "POST")];
    assert_eq!(step(&world, "OPTIONS", PATH, &preflight), "not_found");
    // The use case itself, byte for byte as for an unknown path.
    let body = Some(r#"{"sub":"alice"}"#);
    let shown = world.browser().send("POST", PATH, &[("authorization", "Bearer x")], body);
    let unknown = world.browser().send("POST", "/auth/admin/nothing", &[], body);
    assert_eq!((shown.status, &shown.body, &shown.headers), (404, &unknown.body, &unknown.headers));
    assert!(browser.is_logged_in());
}

#[test]
fn with_a_secret_that_is_not_configured_there_is_no_endpoint() {
    let world = World::new();
    world.has_no_admin_secret();
    let authorization = format!("Bearer {}", admin_secret());
    let headers = [("authorization", &*authorization), ("content-type", "application/json")];
    assert_eq!(step(&world, "POST", PATH, &headers), "not_found");
    let body = Some(r#"{"sub":"alice"}"#);
    assert_eq!(world.browser().send("POST", PATH, &headers, body).status, 404);
}

#[test]
fn a_body_names_one_sub_or_is_refused() {
    let world = World::new();
    let browser = world.browser_of("alice", None);
    for body in [
        "",
        "{}",
        "[]",
        r#"{"sub":""}"#,
        r#"{"sub":1}"#,
        r#"{"sub":["alice"]}"#,
        r#"{"sub":"alice","sid":"x"}"#,
        r#"{"sub":"alice","sub":"alice"}"#,
        r#"{"user":"alice"}"#,
    ] {
        let shown = world.asks_as_administrator(&admin_secret(), body);
        assert_eq!((shown.status, shown.code()), (400, "parameters_invalid"), "{body}");
    }
    assert!(browser.is_logged_in());
    assert_eq!(world.audited("subject_ended"), 0);
}

#[test]
fn what_can_not_be_written_down_is_503_and_what_can_not_be_reached_is_pending() {
    let world = World::new();
    let browser = world.browser_of("alice", None);
    world.subjects.down.set(true);
    let shown = world.administrator_ends("alice");
    assert_eq!((shown.status, shown.code()), (503, "session_unavailable"));
    world.subjects.down.set(false);
    world.objects.down.set(true);
    let shown = world.administrator_ends("alice");
    assert_eq!((shown.status, shown.json()), (200, json!({ "ended": 0, "pending": 1 })));
    world.objects.down.set(false);
    world.passes_with_alarms(Duration::from_secs(121));
    assert!(!browser.is_logged_in());
}
