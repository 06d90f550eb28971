//! Back-channel logout: the provider says that a session there is over.

use std::time::Duration;

use serde_json::json;
use tokenkeep::app::ports::Clock as _;

use crate::support::*;

const MINUTE: Duration = Duration::from_secs(60);

fn second(world: &World) {
    world.passes(Duration::from_secs(1));
}

fn logged_in(browsers: &[&Browser]) -> Vec<bool> {
    browsers.iter().map(|browser| browser.is_logged_in()).collect()
}

#[test]
fn a_sid_ends_what_came_of_that_session_of_the_provider_in_every_browser_and_nothing_else() {
    let world = World::new();
    let phone = world.browser_of("alice", Some("at home"));
    let laptop = world.browser_of("alice", Some("at home"));
    let office = world.browser_of("alice", Some("in the office"));
    let bob = world.browser_of("bob", Some("bob's"));
    let shown = world.provider_logs_out(&json!({ "sid": "at home" }));
    assert_eq!((shown.status, &*shown.body), (200, ""));
    assert_eq!(logged_in(&[&phone, &laptop, &office, &bob]), [false, false, true, true]);
    assert!(phone.token().is_none() && office.token().is_some());
    assert!(world.log().contains(r#""event":"logout_token_accepted","ended":2,"left":0"#));
}

#[test]
fn a_sub_ends_all_sessions_of_that_person_and_of_nobody_else() {
    let world = World::new();
    let home = world.browser_of("alice", Some("at home"));
    let office = world.browser_of("alice", Some("in the office"));
    let without = world.browser_of("alice", None);
    let bob = world.browser_of("bob", Some("bob's"));
    assert_eq!(world.provider_logs_out(&json!({ "sub": "alice" })).status, 200);
    assert_eq!(logged_in(&[&home, &office, &without, &bob]), [false, false, false, true]);
    assert!(world.log().contains(r#""ended":3,"left":0"#));
}

// §2.7: one session at the provider. What came without a sid may have come of that one.
#[test]
fn a_sid_and_a_sub_together_end_that_session_and_what_came_of_the_person_without_a_sid() {
    let world = World::new();
    let home = world.browser_of("alice", Some("at home"));
    let office = world.browser_of("alice", Some("in the office"));
    let without = world.browser_of("alice", None);
    let bob = world.browser_of("bob", None);
    let shown = world.provider_logs_out(&json!({ "sub": "alice", "sid": "at home" }));
    assert_eq!(shown.status, 200);
    assert_eq!(logged_in(&[&home, &office, &without, &bob]), [false, true, false, true]);
    assert!(world.log().contains(r#""ended":2,"left":0"#));
}

// §2.6 step 10.
#[test]
fn a_sid_with_somebody_elses_sub_ends_nobody() {
    let world = World::new();
    let alice = world.browser_of("alice", Some("at home"));
    let bob = world.browser_of("bob", Some("bob's"));
    let shown = world.provider_logs_out(&json!({ "sub": "bob", "sid": "at home" }));
    assert_eq!(shown.status, 200);
    assert_eq!(logged_in(&[&alice, &bob]), [true, true]);
    // A sid is no sub, nor the other way round.
    world.provider_logs_out(&json!({ "sub": "at home" }));
    world.provider_logs_out(&json!({ "sid": "alice" }));
    assert_eq!(logged_in(&[&alice, &bob]), [true, true]);
}

#[test]
fn whoever_logged_in_after_the_logout_was_issued_stays() {
    let world = World::new();
    let before = world.browser_of("alice", Some("one"));
    second(&world);
    let token = world.provider.logout_token(&json!({ "sub": "alice" }), world.now());
    let at_once = world.browser_of("alice", Some("two"));
    second(&world);
    let after = world.browser_of("alice", Some("three"));
    assert_eq!(world.posts_logout_token(&token).status, 200);
    assert_eq!(logged_in(&[&before, &at_once, &after]), [false, false, true]);
    // And logs in again without any waiting.
    world.passes(Duration::from_millis(1));
    before.logs_in();
    assert!(before.is_logged_in());
}

#[test]
fn what_the_object_holds_open_is_revoked_and_what_it_does_not_is_gone_all_the_same() {
    for is_open in [true, false] {
        let world = World::new();
        let browser = world.browser_of("alice", Some("at home"));
        if !is_open {
            world.objects.restart();
        }
        world.provider_logs_out(&json!({ "sid": "at home" }));
        assert_eq!(world.provider.refresh_tokens_revoked(), usize::from(is_open));
        assert!(!browser.is_logged_in());
    }
}

// Promise 4, in a race with a refresh: at every moment of it.
#[test]
fn a_logout_during_a_refresh_wins_and_nobody_gets_the_new_token() {
    for who in [json!({ "sub": "alice" }), json!({ "sid": "at home" })] {
        let mut races = 0;
        for moment in 0..40 {
            let world = World::new();
            let browser = world.browser_of("alice", Some("at home"));
            world.passes(Duration::from_secs(301));
            let token = world.provider.logout_token(&who, world.now());
            let (called, shown) = world.run(async {
                let call = async {
                    for _ in 0..moment {
                        pause().await;
                    }
                    browser.calling("/api/orders").await
                };
                futures::join!(call, world.posting_logout_token(&token))
            });
            assert_eq!(shown.status, 200);
            assert!(!browser.is_logged_in(), "{moment}");
            assert!(browser.token().is_none(), "{moment}");
            assert_eq!(world.provider.refresh_tokens_left(), 0, "{moment}: not revoked");
            let was_answered = matches!(called, Called::Answered(_));
            races += usize::from(was_answered && world.provider.calls(Endpoint::Refresh) == 1);
        }
        assert!(races > 1, "no logout came between a refresh and its answer");
    }
}

// Promise 4, in a race with a callback: before it is listed, between that and its record, after it.
#[test]
fn a_logout_at_any_moment_of_a_login_wins() {
    for who in [
        json!({ "sub": "alice" }),
        json!({ "sid": "at home" }),
        json!({ "sub": "alice", "sid": "at home" }),
    ] {
        let mut outcomes = std::collections::BTreeSet::new();
        for moment in 0..60 {
            let world = World::new();
            *world.provider.sid.borrow_mut() = Some("at home".to_owned());
            let browser = world.browser();
            let path = callback(&browser.authorizes("/auth/login"));
            let token = world.provider.logout_token(&who, world.now());
            let (shown, logout) = world.run(async {
                futures::join!(browser.sending("GET", &path, FROM_PROVIDER, None), async {
                    for _ in 0..moment {
                        pause().await;
                    }
                    world.posting_logout_token(&token).await
                })
            });
            assert_eq!(logout.status, 200);
            outcomes.insert(match shown.status {
                303 => "ended".to_owned(),
                _ => shown.code().to_owned(),
            });
            assert!(!browser.is_logged_in(), "{who}, moment {moment}: {shown:?}");
            assert!(browser.token().is_none());
            assert_eq!(world.provider.refresh_tokens_left(), 0, "{moment}: not revoked");
            world.passes_with_alarms(Duration::from_secs(27 * 3600));
            assert_eq!((world.objects.stored(), world.subjects.stored()), (0, 0), "{moment}");
        }
        let expected = ["ended", "login_already_used", "login_ended"];
        assert_eq!(outcomes.iter().collect::<Vec<_>>(), expected, "{who}");
    }
}

#[test]
fn a_login_without_a_sid_does_not_slip_past_a_logout_that_names_one() {
    for moment in 0..60 {
        let world = World::new();
        *world.provider.sid.borrow_mut() = None;
        let browser = world.browser();
        let path = callback(&browser.authorizes("/auth/login"));
        let who = json!({ "sub": "alice", "sid": "at home" });
        let token = world.provider.logout_token(&who, world.now());
        world.run(async {
            futures::join!(browser.sending("GET", &path, FROM_PROVIDER, None), async {
                for _ in 0..moment {
                    pause().await;
                }
                world.posting_logout_token(&token).await
            })
        });
        assert!(!browser.is_logged_in(), "moment {moment}");
    }
}

#[test]
fn a_logout_while_a_callback_is_reloaded_leaves_no_session() {
    for moment in 0..60 {
        let world = World::new();
        let browser = world.browser();
        let path = callback(&browser.authorizes("/auth/login"));
        let token = world.provider.logout_token(&json!({ "sub": "alice" }), world.now());
        let other_tab = browser.clone();
        world.run(async {
            futures::join!(
                browser.sending("GET", &path, FROM_PROVIDER, None),
                async {
                    for _ in 0..moment {
                        pause().await;
                    }
                    world.posting_logout_token(&token).await
                },
                async {
                    for _ in 0..moment / 2 {
                        pause().await;
                    }
                    other_tab.sending("GET", &path, FROM_PROVIDER, None).await
                }
            )
        });
        let shown = other_tab.send("GET", &path, FROM_PROVIDER, None);
        assert!(!browser.is_logged_in() && !other_tab.is_logged_in(), "moment {moment}: {shown:?}");
        assert!(world.provider.calls(Endpoint::Code) <= 1, "moment {moment}");
        assert_eq!(world.provider.refresh_tokens_left(), 0, "{moment}: not revoked");
    }
}

// A person who was logged out while they typed their password.
#[test]
fn a_login_whose_code_is_older_than_the_logout_of_its_session_is_refused_for_ten_minutes() {
    let world = World::new();
    let browser = world.browser();
    let authorized = browser.authorizes("/auth/login");
    second(&world);
    world.provider_logs_out(&json!({ "sid": "provider-session" }));
    world.passes_with_alarms(9 * MINUTE);
    let shown = browser.comes_back(&authorized);
    assert_eq!((shown.status, shown.code()), (403, "login_ended"));
    assert!(shown.body.contains("log in again"), "{}", shown.body);
    assert!(browser.session_cookie().is_none());
    world.passes_with_alarms(2 * MINUTE);
    assert_eq!(world.subjects.stored(), 0);
}

#[test]
fn a_login_that_can_not_be_listed_is_no_session_and_the_page_says_so() {
    for lost in ["sub", "sid"] {
        let world = World::new();
        let index = [world.index_of("alice"), world.index_of_sid("provider-session")]
            [usize::from(lost == "sid")]
        .clone();
        world.subjects.down_alone.borrow_mut().insert(index);
        let browser = world.browser();
        let shown = browser.comes_back(&browser.authorizes("/auth/login"));
        assert_eq!((shown.status, shown.code()), (503, "session_unavailable"), "{lost}");
        assert!(browser.session_cookie().is_none() && !browser.is_logged_in());
        assert_eq!(world.provider.refresh_tokens_left(), 0, "what nobody has is revoked");
        assert!(world.log().contains("index_unavailable"));
        world.subjects.down_alone.borrow_mut().clear();
        browser.logs_in();
        assert!(browser.is_logged_in());
        // What was listed before is found out.
        assert_eq!(browser.devices().len(), 1);
    }
}

#[test]
fn a_logout_that_can_not_be_written_down_is_503_and_the_same_token_works_later() {
    for lost in ["both", "sub", "sid"] {
        let world = World::new();
        let browser = world.browser_of("alice", Some("at home"));
        let without = world.browser_of("alice", None);
        let token =
            world.provider.logout_token(&json!({ "sub": "alice", "sid": "at home" }), world.now());
        {
            let mut down = world.subjects.down_alone.borrow_mut();
            if lost != "sid" {
                down.insert(world.index_of("alice"));
            }
            if lost != "sub" {
                down.insert(world.index_of_sid("at home"));
            }
        }
        let shown = world.posts_logout_token(&token);
        assert_eq!((shown.status, shown.code()), (503, "session_unavailable"), "{lost}");
        // What could be written down is done.
        assert_eq!(logged_in(&[&browser, &without]), [lost != "sub", lost != "sid"], "{lost}");
        world.subjects.down_alone.borrow_mut().clear();
        assert_eq!(world.posts_logout_token(&token).status, 200, "{lost}");
        assert_eq!(logged_in(&[&browser, &without]), [false, false], "{lost}");
        assert_eq!(world.audited("logout_token_accepted"), 1);
    }
}

#[test]
fn a_session_that_can_not_be_reached_ends_later_whatever_happens_in_between() {
    for restarts in [false, true] {
        let world = World::new();
        let browser = world.browser_of("alice", Some("at home"));
        world.objects.down.set(true);
        let shown = world.provider_logs_out(&json!({ "sub": "alice" }));
        assert_eq!(shown.status, 200, "it is written down");
        assert!(world.log().contains(r#""ended":0,"left":1"#));
        for _ in 0..3 {
            if restarts {
                world.deploys(&["second", "first"]);
            }
            world.passes_with_alarms(MINUTE);
        }
        world.objects.down.set(false);
        assert!(browser.is_logged_in());
        world.passes_with_alarms(2 * MINUTE);
        assert!(!browser.is_logged_in(), "restarts: {restarts}");
        assert!(world.log().contains(r#""reason":"back_channel""#));
    }
}

#[test]
fn a_session_of_an_earlier_deployment_is_found() {
    let world = World::new();
    let browser = world.browser_of("alice", Some("at home"));
    world.deploys(&["second", "first"]);
    world.deploys(&["second"]);
    world.provider_logs_out(&json!({ "sid": "at home" }));
    assert_eq!(world.audited("session_ended"), 1);
    assert!(!browser.is_logged_in());
}

// §2.6 step 8.
#[test]
fn a_logout_token_is_good_once() {
    let world = World::new();
    let browser = world.browser_of("alice", Some("at home"));
    let token = world.provider.logout_token(&json!({ "sid": "at home" }), world.now());
    assert_eq!(world.posts_logout_token(&token).status, 200);
    let shown = world.posts_logout_token(&token);
    assert_eq!((shown.status, shown.code()), (400, "logout_token_invalid"));
    assert_eq!(shown.json()["error"], "invalid_request");
    assert!(world.log().contains(r#""check":"jti_replayed""#));
    second(&world);
    let again = world.browser_of("alice", Some("the next session"));
    assert_eq!(world.posts_logout_token(&token).status, 400);
    assert_eq!(logged_in(&[&browser, &again]), [false, true]);
}

#[test]
fn what_is_no_logout_token_of_this_provider_for_us_ends_nothing() {
    let world = World::new();
    let browser = world.browser_of("alice", Some("at home"));
    let id_token = world.provider.id_tokens.borrow()[0].clone();
    let edited = |name: &str, value: serde_json::Value| {
        let mut who = json!({ "sub": "alice" });
        who[name] = value;
        world.provider.logout_token(&who, world.now())
    };
    let late = world.now().as_secs() - 600;
    for (token, check) in [
        (id_token, "events"),
        (edited("aud", json!("another client")), "aud"),
        (edited("iss", json!("https://evil.example/")), "iss"),
        (edited("nonce", json!("n")), "nonce"),
        (edited("sub", json!(null)), "sub"),
        (edited("exp", json!(late)), "exp"),
        (edited("events", json!({})), "events"),
        ("x".to_owned(), "form"),
        (String::new(), "form"),
    ] {
        let before = world.audited("logout_token_refused");
        let shown = world.posts_logout_token(&token);
        assert_eq!((shown.status, shown.code()), (400, "logout_token_invalid"), "{check}");
        assert_eq!(shown.json()["error"], "invalid_request");
        assert_eq!(world.audited("logout_token_refused"), before + 1);
    }
    assert!(browser.is_logged_in());
    assert_eq!(world.subjects.asked.get(), 2, "the login's two");
}

// mod_auth_openidc 2026-08-12: duplicates; CVE-2021-20718: empty bodies.
#[test]
fn a_request_that_is_not_one_form_with_one_logout_token_is_refused() {
    let world = World::new();
    let browser = world.browser_of("alice", Some("at home"));
    let token = world.provider.logout_token(&json!({ "sub": "alice" }), world.now());
    let form = format!("logout_token={token}");
    let twice = format!("{form}&{form}");
    let json = json!({ "logout_token": token }).to_string();
    let no_type: &[(&str, &str)] = &[];
    let as_json: &[(&str, &str)] = &[("content-type", "application/json")];
    for (headers, body, check) in [
        (FORM, Some(&*twice), "logout_token_twice"),
        (FORM, Some(""), "logout_token_missing"),
        (FORM, Some("token=x"), "logout_token_missing"),
        (FORM, None, "body_too_large"),
        (no_type, Some(&*form), "content_type"),
        (as_json, Some(&*json), "content_type"),
    ] {
        let shown = world.browser().send("POST", "/auth/backchannel-logout", headers, body);
        assert_eq!((shown.status, shown.code()), (400, "logout_token_invalid"), "{check}");
        assert!(world.log().contains(&format!("\"check\":\"{check}\"")), "{check}");
    }
    let shown =
        world.browser().send("GET", &format!("/auth/backchannel-logout?{form}"), FORM, None);
    assert_eq!(shown.status, 405);
    assert!(browser.is_logged_in());
    // The same token, sent rightly.
    assert_eq!(world.posts_logout_token(&token).status, 200);
    assert!(!browser.is_logged_in());
}

#[test]
fn a_provider_whose_keys_can_not_be_had_is_told_to_come_again() {
    let world = World::new();
    let browser = world.browser_of("alice", Some("at home"));
    world.provider.fails(Endpoint::Keys, Failure::Unreachable);
    let token = world.provider.logout_token(&json!({ "sub": "alice" }), world.now());
    let shown = world.posts_logout_token(&token);
    assert_eq!((shown.status, shown.code()), (503, "provider_unavailable"));
    world.provider.works_again();
    world.passes(Duration::from_secs(6));
    assert_eq!(world.posts_logout_token(&token).status, 200);
    assert!(!browser.is_logged_in());
}

#[test]
fn a_key_that_the_provider_has_just_begun_to_use_is_found() {
    let world = World::new();
    let browser = world.browser_of("alice", Some("at home"));
    world.provider_logs_out(&json!({ "sub": "somebody" }));
    world.provider.rotates_its_key("k2");
    assert_eq!(world.provider_logs_out(&json!({ "sub": "alice" })).status, 200);
    assert!(!browser.is_logged_in());
}

#[test]
fn a_logout_of_nobody_we_know_is_a_success_that_leaves_nothing_for_long() {
    let world = World::new();
    for who in [json!({ "sub": "x" }), json!({ "sid": "y" }), json!({ "sub": "x", "sid": "y" })] {
        assert_eq!(world.provider_logs_out(&who).status, 200);
        assert!(world.subjects.stored() > 0);
        world.passes_with_alarms(11 * MINUTE);
        assert_eq!(world.subjects.stored(), 0);
    }
    assert_eq!(world.objects.asked.get(), 0);
}

#[test]
fn an_index_that_can_not_be_read_is_503_until_a_login_begins_it_anew() {
    let world = World::new();
    let browser = world.browser_of("alice", None);
    world.subjects.overwrites(|row| row[..row.len() / 2].to_vec());
    let shown = world.provider_logs_out(&json!({ "sub": "alice" }));
    assert_eq!((shown.status, shown.code()), (503, "session_unavailable"));
    assert_eq!(browser.fetch("GET", "/auth/sessions").status, 503);
    assert!(world.audited("index_damaged") > 0);
    second(&world);
    let other = world.browser_of("alice", None);
    assert_eq!(other.devices().len(), 1);
    assert_eq!(world.provider_logs_out(&json!({ "sub": "alice" })).status, 200);
    assert!(!other.is_logged_in());
}

#[test]
fn no_line_of_the_log_names_a_person_a_session_or_a_token() {
    let world = World::new();
    let one = world.browser_of("alice@example.com", Some("sid-at-home"));
    let two = world.browser_of("alice@example.com", Some("sid-in-the-office"));
    world.provider_logs_out(&json!({ "sid": "sid-at-home" }));
    world.provider_logs_out(&json!({ "sub": "alice@example.com", "sid": "sid-in-the-office" }));
    let token = world.provider.logout_token(&json!({ "sub": "alice@example.com" }), world.now());
    world.posts_logout_token(&token);
    world.posts_logout_token(&token);
    world.posts_logout_token(&format!("{token}x"));
    assert_eq!(logged_in(&[&one, &two]), [false, false]);
    let log = world.log();
    assert!(log.contains("logout_token_accepted") && log.contains("logout_token_refused"));
    for private in ["alice", "sid-at-home", "sid-in-the-office", "jti-", &token] {
        assert!(!log.contains(private), "{private}");
    }
}

#[test]
fn a_dump_of_the_indexes_names_nobody() {
    let world = World::new();
    let _one = world.browser_of("alice", Some("at home"));
    world.provider_logs_out(&json!({ "sub": "bob", "sid": "bob's" }));
    let dump = world.subjects.dump();
    assert_eq!(dump.len(), 4);
    let text = String::from_utf8_lossy(&dump.concat()).into_owned();
    for private in ["alice", "bob", "at home", "id.example.com", "jti-"] {
        assert!(!text.contains(private), "{private}");
    }
}

#[test]
fn a_login_writes_one_row_in_each_of_its_indexes() {
    let world = World::new();
    let _browser = world.browser_of("alice", Some("at home"));
    assert_eq!(world.subjects.puts(), 2);
    let _browser = world.browser_of("bob", None);
    assert_eq!(world.subjects.puts(), 3);
}
