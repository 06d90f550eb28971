//! Two releases at once: deployments are gradual, and they are taken back.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeSet,
    rc::Rc,
    time::Duration,
};

use serde_json::Value;

use crate::support::*;

const MINUTE: Duration = Duration::from_secs(60);

/// What release 0.1 said, by the names that its texts begin with.
struct Release {
    commands: Vec<Value>,
    replies: Vec<Value>,
}

impl Release {
    fn of_the_corpus() -> Self {
        let corpus: Value =
            serde_json::from_str(include_str!("../corpus/release_0_1.json")).unwrap();
        let texts = |kind: &str| corpus[kind].as_object().unwrap().values().cloned().collect();
        Self { commands: texts("commands"), replies: texts("replies") }
    }

    /// Our text with the members of the earlier release alone: as it would have written it, and as
    /// it reads it. What it would miss fails the test.
    fn says(&self, said: &Said<'_>) -> String {
        let (ours, theirs, word): (_, _, fn(&Value) -> String) = match said {
            Said::Command(text) => (text, &self.commands, |text| word(&text["command"])),
            Said::Reply(text) => (text, &self.replies, word),
        };
        let ours: Value = serde_json::from_str(ours).unwrap();
        let known = theirs.iter().find(|theirs| word(theirs) == word(&ours));
        let known = known.unwrap_or_else(|| panic!("release 0.1 doesn't know {ours}"));
        without_what_is_unknown(&ours, known).to_string()
    }
}

/// The name of an enum's variant.
fn word(text: &Value) -> String {
    let variant = text.as_object().map(|variant| variant.keys().next().unwrap().as_str());
    variant.or(text.as_str()).unwrap().to_owned()
}

fn without_what_is_unknown(ours: &Value, known: &Value) -> Value {
    match (ours, known) {
        (Value::Object(ours), Value::Object(known)) => known
            .iter()
            .map(|(name, known)| {
                let ours = ours.get(name).unwrap_or_else(|| panic!("no {name} in {ours:?}"));
                // Claims have whatever names they like.
                let is_free = name == "claims";
                let value =
                    if is_free { ours.clone() } else { without_what_is_unknown(ours, known) };
                (name.clone(), value)
            })
            .collect(),
        _ => ours.clone(),
    }
}

/// A person's day, every command of which passes.
fn a_day(world: &World) {
    let browser = world.browser();
    browser.logs_in();
    let first = browser.token().unwrap();
    world.passes(5 * MINUTE);
    let second = browser.token().unwrap();
    assert_ne!(first, second);
    assert_eq!(world.provider.calls(Endpoint::Refresh), 1);
    let third = browser.call_refused_by_the_api("/api/orders");
    assert_eq!(third, None, "a young token isn't refreshed");
    let session = browser.fetch("GET", "/auth/session").json();
    assert_eq!(session["user"]["name"], "Alice Example");
    let old = browser.session_cookie().unwrap();
    browser.logs_in();
    let thief = world.browser();
    thief.plants(SESSION_COOKIE, &old);
    assert!(!thief.is_logged_in(), "replaced");
    let url = browser.fetch("POST", "/auth/logout").json()["logout_url"].clone();
    let shown = browser.navigate(url.as_str().unwrap());
    assert!(query_of(shown.location()).contains_key("id_token_hint"), "{shown:?}");
    assert!(!browser.is_logged_in());
    assert_eq!(world.provider.revoked_kinds(), ["refresh", "access"]);
}

#[test]
fn two_releases_of_the_worker_stand_before_the_same_objects() {
    let mut spoken = BTreeSet::new();
    // Whichever of them it is that a command comes through.
    for turn in 0..2 {
        let world = World::new();
        let release = Release::of_the_corpus();
        let (said, words) = (Cell::new(turn), Rc::new(RefCell::new(Vec::new())));
        let heard = Rc::clone(&words);
        // A command and its reply pass the same Worker half.
        let is_theirs = Cell::new(false);
        *world.objects.on_the_way.borrow_mut() = Some(Box::new(move |text| {
            if let Said::Command(_) = text {
                said.set(said.get() + 1);
                is_theirs.set(said.get() % 2 == 0);
            }
            let (Said::Command(ours) | Said::Reply(ours)) = text;
            if !is_theirs.get() {
                return ours.to_owned();
            }
            let theirs = release.says(&text);
            if let Said::Command(_) = text {
                let theirs: Value = serde_json::from_str(&theirs).unwrap();
                heard.borrow_mut().push(word(&theirs["command"]));
            }
            theirs
        }));
        a_day(&world);
        assert!(words.borrow().len() >= 4, "{words:?}");
        spoken.extend(words.take());
    }
    let all = ["access", "end", "login", "redeem_logout", "status"];
    assert_eq!(spoken.iter().map(String::as_str).collect::<Vec<_>>(), all);
}

#[test]
fn a_command_of_a_later_release_is_unsupported_and_touches_nothing() {
    let world = World::new();
    let browser = world.browser();
    browser.logs_in();
    let before = world.objects.dump();
    *world.objects.on_the_way.borrow_mut() = Some(Box::new(|said| match said {
        Said::Command(text) => text.replacen("\"access\"", "\"access_later\"", 1),
        Said::Reply(text) => text.to_owned(),
    }));
    match browser.call("/api/orders") {
        Called::Answered(shown) => {
            assert_eq!((shown.status, shown.code()), (503, "session_unavailable"));
            assert!(shown.header("retry-after").is_some());
        }
        Called::Forwarded(_) => panic!("the call went out"),
    }
    assert_eq!(world.objects.dump(), before);
    *world.objects.on_the_way.borrow_mut() = None;
    assert!(browser.token().is_some());
}

// A deployment that is taken back finds what the newer release has written.
#[test]
fn a_later_releases_record_is_left_alone_until_that_release_is_back() {
    let world = World::new();
    let browser = world.browser();
    browser.logs_in();
    let cookie = browser.session_cookie();
    world.objects.rewrites_rows(|row| row[0] += 1);
    world.objects.restart();
    let before = world.objects.dump();
    let shown = match browser.call("/api/orders") {
        Called::Answered(shown) => shown,
        Called::Forwarded(_) => panic!("the call went out"),
    };
    let session = browser.fetch("GET", "/auth/session");
    let logout = browser.fetch("POST", "/auth/logout");
    for shown in [shown, session, logout] {
        assert_eq!((shown.status, shown.code()), (503, "session_unavailable"));
        assert!(shown.header("retry-after").is_some());
        assert!(shown.header("set-cookie").is_none());
    }
    // Not even its alarm, which may be what that release waits for.
    world.passes_with_alarms(50 * MINUTE);
    assert_eq!(world.objects.dump(), before);
    assert_eq!(world.audited("newer_record"), 1);
    assert_eq!(world.audited("session_ended"), 0);
    assert!(browser.session_cookie() == cookie);

    world.objects.rewrites_rows(|row| row[0] -= 1);
    world.objects.restart();
    assert!(browser.is_logged_in());
    assert!(browser.token().is_some());
}

#[test]
fn a_deployment_before_a_refresh_is_sent_costs_nothing() {
    for rotates in [true, false] {
        let world = World::new();
        world.provider.rotates.set(rotates);
        let browser = world.browser();
        browser.logs_in();
        let old = browser.token().unwrap();
        world.passes(5 * MINUTE);
        world.restarts.set(Some(Moment::BeforeItIsSent));
        assert_ne!(browser.token().unwrap(), old);
        assert_eq!(world.restarts.get(), None);
        assert_eq!(world.provider.calls(Endpoint::Refresh), 1);
        assert_eq!(world.audited("refreshed"), 1);
    }
}

// The one window of promise 3: a provider that rotates has spent the token, and its answer went
// with the object that had asked.
#[test]
fn a_deployment_before_a_refreshs_answer_costs_the_session_where_the_provider_rotates_alone() {
    for rotates in [false, true] {
        let world = World::new();
        world.provider.rotates.set(rotates);
        let browser = world.browser();
        browser.logs_in();
        world.passes(5 * MINUTE);
        world.restarts.set(Some(Moment::BeforeItsAnswer));
        assert_eq!(browser.token().is_some(), !rotates);
        assert_eq!(world.provider.calls(Endpoint::Refresh), 2, "exactly one more try");
        assert_eq!(browser.is_logged_in(), !rotates);
        let audit = world.audit.borrow().join("\n");
        assert_eq!(audit.contains("\"reason\":\"refresh_answer_lost\""), rotates, "{audit}");
    }
}

// The calls that come while the token is good don't wait for the answer, nor for its loss.
#[test]
fn a_deployment_in_a_refresh_ahead_of_expiry_is_not_noticed_while_the_token_is_good() {
    for moment in [Moment::BeforeItIsSent, Moment::BeforeItsAnswer] {
        let world = World::new();
        world.provider.rotates.set(false);
        let browser = world.browser();
        browser.logs_in();
        let old = browser.token().unwrap();
        world.passes(4 * MINUTE + MINUTE / 6);
        world.restarts.set(Some(moment));
        assert_eq!(browser.token().unwrap(), old, "{moment:?}");
        world.settle();
        assert_eq!(world.restarts.get(), None, "{moment:?}");
        assert_eq!(browser.token().unwrap(), old, "{moment:?}");
        world.settle();
        assert_ne!(browser.token().unwrap(), old, "{moment:?}");
        assert!(browser.is_logged_in(), "{moment:?}");
    }
}

over_kv!();
