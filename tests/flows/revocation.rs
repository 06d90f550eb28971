//! What the provider is asked to take back after a logout, whatever happens in between.

use std::time::Duration;

use serde_json::json;

use crate::support::*;

const MINUTE: Duration = Duration::from_secs(60);

fn lines(world: &World, needle: &str) -> Vec<String> {
    world.audit.borrow().iter().filter(|line| line.contains(needle)).cloned().collect()
}

#[test]
fn every_access_token_that_a_session_has_is_taken_back_after_its_refresh_token() {
    let route = |path: &str, api: &str| {
        json!({
            "path": format!("/{path}/*"),
            "upstream": { "url": api },
            "resource": api,
        })
    };
    let world = World::with(json!({ "routes": [
        route("api", "https://api.example.com"),
        route("billing", "https://billing.example.com"),
    ] }));
    let browser = world.browser();
    browser.logs_in();
    assert!(browser.token().is_some());
    assert!(matches!(browser.call("/billing/x"), Called::Forwarded(Some(_))));
    browser.fetch("POST", "/auth/logout");
    assert_eq!(world.provider.revoked_kinds(), ["refresh", "access", "access"]);

    // One that has run out is of no use to anybody.
    let browser = world.browser();
    browser.logs_in();
    world.passes(6 * MINUTE);
    world.provider.revoked.borrow_mut().clear();
    browser.fetch("POST", "/auth/logout");
    assert_eq!(world.provider.revoked_kinds(), ["refresh"]);
}

// RFC 7009 §2.2.1 lets a provider say `unsupported_token_type`, and many do.
#[test]
fn a_provider_that_takes_no_access_token_back_is_no_warning() {
    let world = World::new();
    world.provider.takes_access_tokens_back.set(false);
    for logouts in 1..=3 {
        let browser = world.browser();
        browser.logs_in();
        assert_eq!(browser.fetch("POST", "/auth/logout").status, 200);
        world.passes_with_alarms(2 * MINUTE);
        assert_eq!(world.provider.revoked.borrow().len(), logouts, "the refresh token");
        assert_eq!(world.provider.calls(Endpoint::Revocation), 2 * logouts, "asked once");
    }
    let said = lines(&world, "access_token_revocation");
    assert_eq!(said.len(), 3);
    assert!(said.iter().all(|line| line.contains("\"level\":\"info\"")), "{said:?}");
    assert!(lines(&world, "\"level\":\"warn\"").is_empty());
    assert_eq!(world.audited("revocation_failed"), 0);
    world.passes_with_alarms(20 * MINUTE);
    assert_eq!(world.objects.stored(), 0);
}

#[test]
fn a_deployment_in_the_middle_of_a_logout_loses_no_revocation() {
    for moment in [Moment::BeforeItIsSent, Moment::BeforeItsAnswer] {
        for age in [Duration::ZERO, 30 * MINUTE] {
            let world = World::new();
            let browser = world.browser();
            browser.logs_in();
            world.passes(age);
            world.restarts.set(Some(moment));
            assert_eq!(browser.fetch("POST", "/auth/logout").status, 200);
            assert_eq!(world.restarts.get(), None, "{moment:?}");
            assert_eq!(world.objects.stored(), 1, "{moment:?}");
            world.passes_with_alarms(MINUTE);
            // Twice is no harm: a token that the provider doesn't know is a success (RFC 7009 §2.2).
            let twice = moment == Moment::BeforeItsAnswer;
            let kinds = world.provider.revoked_kinds();
            let expected: &[&str] = if twice { &["refresh", "refresh"] } else { &["refresh"] };
            assert_eq!(kinds, expected, "{moment:?}");
            assert_eq!(world.audited("revocation_failed"), 0);
            world.passes_with_alarms(20 * MINUTE);
            assert_eq!(world.objects.stored(), 0, "{moment:?}");
        }
    }
}

#[test]
fn with_no_ticket_minutes_a_logout_keeps_no_token_and_is_tried_once() {
    let world = World::with(json!({ "session": { "revocation_ticket_minutes": 0 } }));
    let browser = world.browser();
    browser.logs_in();
    world.provider.fails(Endpoint::Revocation, Failure::Unreachable);
    browser.send("POST", "/auth/logout", NAVIGATION, None);
    assert_eq!(world.audited("revocation_failed"), 1);
    assert!(world.objects.dump().iter().all(|row| !String::from_utf8_lossy(row).contains("kid")));
    world.passes_with_alarms(120 * MINUTE);
    assert_eq!(world.provider.calls(Endpoint::Revocation), 1);
    assert_eq!(world.objects.stored(), 0);
}

#[test]
fn a_logout_takes_two_rows() {
    let world = World::new();
    let browser = world.browser();
    browser.logs_in();
    let before = world.objects.puts();
    browser.fetch("POST", "/auth/logout");
    assert_eq!(world.objects.puts() - before, 2, "the tombstone with its ticket, and without it");
}

// Nobody else will ever tell that the token lives on at the provider.
#[test]
fn a_revocation_that_is_given_up_is_said_once() {
    let gives_up = |what: &str, world: &World| {
        world.passes_with_alarms(120 * MINUTE);
        let said = lines(world, "\"event\":\"revocation_failed\"");
        let last: Vec<_> =
            said.iter().filter(|line| line.contains("\"will_retry\":false")).collect();
        assert_eq!(last.len(), 1, "{what}: {said:?}");
        assert_eq!(said.last(), Some(last[0]), "{what}");
        assert_eq!(world.objects.stored(), 0, "{what}");
    };
    let logged_out = || {
        let world = World::new();
        let browser = world.browser();
        browser.logs_in();
        world.provider.fails(Endpoint::Revocation, Failure::Unreachable);
        browser.fetch("POST", "/auth/logout");
        assert_eq!(world.audited("revocation_failed"), 1);
        world
    };
    gives_up("the provider never came back", &logged_out());
    let world = logged_out();
    world.deploys(&["second"]);
    world.provider.works_again();
    gives_up("its key left the ring", &world);
    assert!(world.provider.revoked.borrow().is_empty());
    let world = logged_out();
    world.reconfigures(&json!({ "provider": { "issuer": "https://other.example.com" } }));
    world.objects.restart();
    world.provider.works_again();
    gives_up("the provider was replaced", &world);
    assert!(world.provider.revoked.borrow().is_empty());
}

over_kv!(
    every_access_token_that_a_session_has_is_taken_back_after_its_refresh_token,
    a_logout_takes_two_rows,
);
