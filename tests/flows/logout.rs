//! Logout: here first, at the provider after.

use std::time::Duration;

use serde_json::json;

use crate::support::*;

fn form() -> Vec<(&'static str, &'static str)> {
    NAVIGATION.iter().copied().chain([("origin", ORIGIN)]).collect()
}

#[test]
fn a_navigation_goes_on_to_the_provider_and_comes_back_confirmed() {
    let world = World::new();
    let browser = world.browser();
    browser.logs_in();
    let shown = browser.send("POST", "/auth/logout", &form(), None);
    assert_eq!(shown.status, 303);
    assert!(browser.session_cookie().is_none());
    let query = query_of(shown.location());
    assert!(shown.location().starts_with("https://id.example.com/realm/end?"));
    assert_eq!(query["client_id"], CLIENT_ID);
    assert_eq!(query["post_logout_redirect_uri"], "https://app.example.com/auth/logged-out");
    assert_eq!(query["id_token_hint"], world.provider.id_tokens.borrow()[0]);

    let back = format!("/auth/logged-out?state={}", query["state"]);
    let shown = browser.send("GET", &back, FROM_PROVIDER, None);
    assert_eq!((shown.status, shown.location()), (303, "/"));
    let shown = browser.send("GET", &back, FROM_PROVIDER, None);
    assert_eq!((shown.status, shown.location()), (303, "/"));
    let audit = world.audit.borrow().join("\n");
    assert_eq!(audit.matches("\"confirmed\":true").count(), 1);
    assert_eq!(audit.matches("\"confirmed\":false").count(), 1);
}

#[test]
fn a_foreign_state_confirms_no_logout() {
    let world = World::with(json!({ "post_logout_target": "/bye" }));
    let browser = world.browser();
    browser.logs_in();
    let shown = browser.send("POST", "/auth/logout", &form(), None);
    let state = query_of(shown.location())["state"].clone();
    for query in ["", "?state=", "?state=foreign", &format!("?state={state}&state={state}")] {
        let shown = browser.send("GET", &format!("/auth/logged-out{query}"), FROM_PROVIDER, None);
        assert_eq!(shown.location(), "/bye", "{query}");
    }
    assert!(!world.audit.borrow().join("\n").contains("\"confirmed\":true"));
}

#[test]
fn a_fetch_gets_a_url_that_works_once_and_holds_no_token() {
    let world = World::new();
    let browser = world.browser();
    browser.logs_in();
    let shown = browser.fetch("POST", "/auth/logout");
    assert_eq!(shown.status, 200);
    assert!(!browser.is_logged_in());
    let url = shown.json()["logout_url"].as_str().unwrap().to_owned();
    assert!(url.starts_with("/auth/logout?ticket="), "{url}");

    // Only a navigation of our own pages redeems it.
    assert_eq!(browser.fetch("GET", &url).status, 403);
    assert_eq!(browser.send("GET", &url, FROM_PROVIDER, None).status, 403);
    let shown = browser.navigate(&url);
    assert_eq!(shown.status, 303);
    assert!(query_of(shown.location()).contains_key("id_token_hint"));
    let shown = browser.navigate(&url);
    assert_eq!((shown.status, shown.code()), (410, "logout_link_used"));
    assert_eq!(shown.links(), ["/"], "a login is no answer to a logout");
}

#[test]
fn a_person_whose_logout_is_refused_gets_a_page_and_a_program_a_problem() {
    let world = World::new();
    let browser = world.browser();
    browser.logs_in();
    let url =
        browser.fetch("POST", "/auth/logout").json()["logout_url"].as_str().unwrap().to_owned();
    browser.logs_in();
    let typed = [("sec-fetch-site", "none"), NAVIGATION[1], NAVIGATION[2]];
    let foreign: Vec<_> =
        FROM_PROVIDER.iter().copied().chain([("origin", "https://evil.example")]).collect();
    let framed = [NAVIGATION[0], NAVIGATION[1], ("sec-fetch-dest", "iframe")];
    let (page, problem) = ("text/html; charset=utf-8", "application/problem+json");
    for (method, path, headers, code, kind) in [
        ("GET", url.as_str(), FROM_PROVIDER, "navigation_refused", page),
        ("GET", &url, &typed, "navigation_refused", page),
        ("GET", &url, &framed, "navigation_refused", problem),
        ("GET", &url, FETCH, "navigation_refused", problem),
        ("POST", "/auth/logout", &foreign, "csrf_cross_site", page),
        ("POST", "/auth/logout", &[("origin", "https://evil.example")], "csrf_origin", problem),
    ] {
        let shown = browser.send(method, path, headers, None);
        assert_eq!((shown.status, shown.code()), (403, code), "{headers:?}");
        assert_eq!(shown.header("content-type"), Some(kind), "{headers:?}");
        let expected: &[&str] = if kind == page { &["/"] } else { &[] };
        assert_eq!(shown.links(), expected);
    }
    world.objects.down.set(true);
    let shown = browser.send("POST", "/auth/logout", &form(), None);
    assert_eq!((shown.status, shown.code()), (503, "session_unavailable"));
    assert_eq!(shown.links(), ["/"]);
    world.objects.down.set(false);
    assert!(browser.is_logged_in(), "nothing was touched");
    assert_eq!(browser.navigate(&url).status, 303, "nor the link");
}

#[test]
fn a_logout_url_is_good_for_two_minutes() {
    let world = World::new();
    let browser = world.browser();
    browser.logs_in();
    let shown = browser.fetch("POST", "/auth/logout").json();
    world.passes_with_alarms(Duration::from_secs(121));
    let shown = browser.navigate(shown["logout_url"].as_str().unwrap());
    assert_eq!(shown.code(), "logout_link_used");
}

#[test]
fn invented_logout_urls_lead_nowhere() {
    let world = World::new();
    let browser = world.browser();
    browser.logs_in();
    let url =
        browser.fetch("POST", "/auth/logout").json()["logout_url"].as_str().unwrap().to_owned();
    let (key, _) = url.split_once('.').unwrap();
    for invented in [
        "/auth/logout?ticket=".to_owned(),
        "/auth/logout?ticket=a.b".to_owned(),
        format!("{key}.{}", "A".repeat(43)),
        format!("/auth/logout?ticket={0}.{0}", "A".repeat(43)),
        format!("{url}&x=y"),
    ] {
        let shown = browser.navigate(&invented);
        assert_eq!(shown.code(), "logout_link_used", "{invented}");
    }
    assert_eq!(browser.navigate(&url).status, 303);
}

// What we never issued is refused before an object is asked: anybody could make objects otherwise.
#[test]
fn an_invented_logout_url_asks_no_object() {
    let world = World::new();
    let browser = world.browser();
    browser.logs_in();
    let url =
        browser.fetch("POST", "/auth/logout").json()["logout_url"].as_str().unwrap().to_owned();
    let (start, tag) = url.rsplit_once('.').unwrap();
    let asked = world.objects.asked.get();
    for invented in [
        format!("/auth/logout?ticket={0}.{0}", "A".repeat(43)),
        format!("/auth/logout?ticket={0}.{0}.{0}", "A".repeat(43)),
        format!("/auth/logout?ticket={0}.{0}.{tag}", "A".repeat(43)),
        format!("{start}.{}", "A".repeat(43)),
        start.to_owned(),
    ] {
        assert_eq!(browser.navigate(&invented).code(), "logout_link_used", "{invented}");
    }
    assert_eq!(world.objects.asked.get(), asked);
    assert_eq!(browser.navigate(&url).status, 303);
}

// A GET must log nobody out; logout CSRF.
#[test]
fn a_logout_that_is_not_ours_touches_nothing() {
    let world = World::new();
    let browser = world.browser();
    browser.logs_in();
    assert_eq!(browser.navigate("/auth/logout").status, 405);
    for headers in [
        &[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")][..],
        &[("sec-fetch-site", "same-site"), ("sec-fetch-mode", "navigate")],
        &[("sec-fetch-site", "none"), ("sec-fetch-mode", "navigate")],
        &[("origin", "https://evil.example")],
        &[("origin", "null"), ("x-tokenkeep", "1")],
        &[("sec-fetch-site", "same-origin"), ("origin", "https://evil.example")],
        &[],
    ] {
        let shown = browser.send("POST", "/auth/logout", headers, None);
        assert_eq!(shown.status, 403, "{headers:?}");
        assert!(shown.header("set-cookie").is_none(), "{headers:?}");
    }
    assert!(browser.is_logged_in());
    assert_eq!(world.audited("logout_requested"), 0);
}

#[test]
fn a_logout_never_claims_what_it_did_not_do() {
    let world = World::new();
    let browser = world.browser();
    browser.logs_in();
    world.objects.down.set(true);
    let shown = browser.fetch("POST", "/auth/logout");
    assert_eq!((shown.status, shown.code()), (503, "session_unavailable"));
    assert!(shown.header("set-cookie").is_none());
    assert!(browser.session_cookie().is_some());
    world.objects.down.set(false);
    assert_eq!(browser.fetch("POST", "/auth/logout").status, 200);
    assert!(browser.session_cookie().is_none());
}

#[test]
fn a_logout_without_a_session_is_a_success() {
    let world = World::new();
    let browser = world.browser();
    let shown = browser.fetch("POST", "/auth/logout");
    assert_eq!((shown.status, shown.json()), (200, json!({"logout_url": "/"})));
    let shown = browser.send("POST", "/auth/logout", &form(), None);
    assert_eq!((shown.status, shown.location()), (303, "/"));
    assert_eq!(world.objects.asked.get(), 0);
}

#[test]
fn a_provider_without_an_end_session_endpoint_is_left_out() {
    let world = World::with(json!({ "post_logout_target": "/bye" }));
    world.provider.end_session.set(false);
    let browser = world.browser();
    browser.logs_in();
    let shown = browser.send("POST", "/auth/logout", &form(), None);
    assert_eq!((shown.status, shown.location()), (303, "/bye"));
    browser.logs_in();
    assert_eq!(browser.fetch("POST", "/auth/logout").json()["logout_url"], "/bye");
}

// In the field: some lose `post_logout_redirect_uri`, some let the person stay.
#[test]
fn a_person_who_never_comes_back_from_the_provider_is_logged_out_all_the_same() {
    let world = World::new();
    for headers in [&form()[..], FETCH] {
        let browser = world.browser();
        browser.logs_in();
        let cookie = browser.session_cookie().unwrap();
        let shown = browser.send("POST", "/auth/logout", headers, None);
        assert!(shown.status < 400, "{shown:?}");
        assert!(browser.session_cookie().is_none());
        browser.plants(SESSION_COOKIE, &cookie);
        assert!(browser.token().is_none());
        assert!(!browser.is_logged_in());
    }
    assert_eq!(world.provider.revoked_kinds(), ["refresh", "access", "refresh", "access"]);
}

// In the field: revocation may be absent or refused.
#[test]
fn a_provider_that_does_not_revoke_stops_no_logout() {
    for refusal in [
        None,
        Some((400, r#"{"error":"unsupported_token_type"}"#)),
        Some((400, "")),
        Some((401, r#"{"error":"invalid_client"}"#)),
        Some((403, "<html>")),
        Some((404, "")),
        Some((405, "")),
        Some((302, "")),
    ] {
        let world = World::new();
        match refusal {
            None => {
                *world.provider.edit_metadata.borrow_mut() =
                    Some(Box::new(|metadata| drop(metadata.remove("revocation_endpoint"))));
            }
            Some((status, body)) => {
                world.provider.fails(Endpoint::Revocation, Failure::Answers(status, body));
            }
        }
        let browser = world.browser();
        browser.logs_in();
        let cookie = browser.session_cookie().unwrap();
        let shown = browser.fetch("POST", "/auth/logout");
        assert_eq!(shown.status, 200, "{refusal:?}");
        assert!(shown.json()["logout_url"].as_str().unwrap().contains("ticket="), "{refusal:?}");
        browser.plants(SESSION_COOKIE, &cookie);
        assert!(browser.token().is_none(), "{refusal:?}");
        world.passes_with_alarms(Duration::from_secs(2 * 3600));
        let tries = world.provider.calls(Endpoint::Revocation);
        let expected = match refusal {
            None => 0..=0,
            // A definite refusal stays one: each kind of token once.
            Some((302 | 400, _)) => 2..=2,
            // What a router says by itself, and credentials that can be mended: for an hour.
            Some(_) => 10..=20,
        };
        assert!(expected.contains(&tries), "{refusal:?}: {tries}");
        assert_eq!(world.objects.stored(), 0, "{refusal:?}");
    }
}

// RP-Initiated Logout §2: an ID token in a URL has a size that servers refuse.
#[test]
fn a_hint_that_makes_the_whole_url_too_long_is_left_out() {
    for (padding, hinted) in [(100, true), (4_000, false)] {
        let world = World::new();
        *world.provider.edit_metadata.borrow_mut() = Some(Box::new(move |metadata| {
            let endpoint = format!("https://id.example.com/realm/end?p={}", "p".repeat(padding));
            metadata["end_session_endpoint"] = json!(endpoint);
        }));
        *world.provider.edit_id_token.borrow_mut() =
            Some(Box::new(|claims| claims["name"] = json!("n".repeat(3_500))));
        let browser = world.browser();
        browser.logs_in();
        let shown = browser.send("POST", "/auth/logout", &form(), None);
        let query = query_of(shown.location());
        assert!(shown.location().len() <= 8 * 1024);
        assert_eq!(query.contains_key("id_token_hint"), hinted, "{padding}");
        for name in ["client_id", "post_logout_redirect_uri", "state"] {
            assert!(query.contains_key(name), "{name}");
        }
    }
}

#[test]
fn a_logout_leads_back_to_the_origin_that_it_was_asked_on() {
    let world = World::new();
    let www = "https://www.example.com";
    let location = |head: &str| {
        let answer = world.run(world.serve(&head.replace(ORIGIN, www), None));
        let location = answer.headers.iter().find(|(name, _)| *name == "location");
        location.map(|(_, value)| query_of(value)["post_logout_redirect_uri"].clone())
    };
    let browser = world.browser();
    browser.logs_in();
    let head = browser.head("POST", "/auth/logout", &form());
    assert_eq!(location(&head).unwrap(), format!("{www}/auth/logged-out"));
    // The one-time URL is good on the origin of its session alone.
    browser.logs_in();
    let shown = browser.fetch("POST", "/auth/logout").json();
    let head = browser.head("GET", shown["logout_url"].as_str().unwrap(), NAVIGATION);
    assert_eq!(location(&head), None);
}

#[test]
fn no_id_token_goes_along_where_the_operator_says_so() {
    let world = World::with(json!({ "provider": { "id_token_hint": false } }));
    let browser = world.browser();
    browser.logs_in();
    let shown = browser.send("POST", "/auth/logout", &form(), None);
    assert!(!query_of(shown.location()).contains_key("id_token_hint"));
    browser.logs_in();
    let url =
        browser.fetch("POST", "/auth/logout").json()["logout_url"].as_str().unwrap().to_owned();
    let shown = browser.navigate(&url);
    assert_eq!(shown.status, 303);
    assert!(!query_of(shown.location()).contains_key("id_token_hint"));
}

#[test]
fn a_session_is_dead_here_when_the_revocation_fails_and_is_revoked_later() {
    let world = World::new();
    let browser = world.browser();
    browser.logs_in();
    let cookie = browser.session_cookie().unwrap();
    world.provider.fails(Endpoint::Revocation, Failure::Unreachable);
    assert_eq!(browser.fetch("POST", "/auth/logout").status, 200);
    browser.plants(SESSION_COOKIE, &cookie);
    assert!(!browser.is_logged_in());
    assert!(browser.token().is_none());
    assert!(world.audit.borrow().join("\n").contains("\"will_retry\":true"));

    world.objects.restart();
    world.provider.works_again();
    world.passes_with_alarms(Duration::from_secs(600));
    assert_eq!(world.provider.revoked.borrow().len(), 1);
    let tries = world.provider.calls(Endpoint::Revocation);
    world.passes_with_alarms(Duration::from_secs(7200));
    assert_eq!(world.provider.calls(Endpoint::Revocation), tries);
    assert_eq!(world.objects.stored(), 0);
}

#[test]
fn a_revocation_is_given_up_after_an_hour() {
    let world = World::new();
    let browser = world.browser();
    browser.logs_in();
    world.provider.fails(Endpoint::Revocation, Failure::Answers(503, ""));
    browser.fetch("POST", "/auth/logout");
    world.passes_with_alarms(Duration::from_secs(2 * 3600));
    let tries = world.provider.calls(Endpoint::Revocation);
    assert!((2..20).contains(&tries), "{tries}");
    world.passes_with_alarms(Duration::from_secs(48 * 3600));
    assert_eq!(world.provider.calls(Endpoint::Revocation), tries);
    assert_eq!(world.objects.stored(), 0);
}

// WSO2 CVE-2025-13173, Spring CVE-2023-20862.
#[test]
fn a_cookie_kept_over_a_logout_opens_nothing() {
    let world = World::new();
    let browser = world.browser();
    browser.logs_in();
    let cookie = browser.session_cookie().unwrap();
    browser.fetch("POST", "/auth/logout");
    let thief = world.browser();
    thief.plants(SESSION_COOKIE, &cookie);
    assert!(thief.token().is_none());
    assert!(!thief.is_logged_in());
}

over_kv!(
    a_navigation_goes_on_to_the_provider_and_comes_back_confirmed,
    a_foreign_state_confirms_no_logout,
    a_fetch_gets_a_url_that_works_once_and_holds_no_token,
    a_logout_url_is_good_for_two_minutes,
    invented_logout_urls_lead_nowhere,
    an_invented_logout_url_asks_no_object,
    a_logout_that_is_not_ours_touches_nothing,
    a_logout_never_claims_what_it_did_not_do,
    a_logout_without_a_session_is_a_success,
    a_provider_without_an_end_session_endpoint_is_left_out,
    a_person_who_never_comes_back_from_the_provider_is_logged_out_all_the_same,
    a_hint_that_makes_the_whole_url_too_long_is_left_out,
    a_logout_leads_back_to_the_origin_that_it_was_asked_on,
    no_id_token_goes_along_where_the_operator_says_so,
    a_cookie_kept_over_a_logout_opens_nothing,
);
