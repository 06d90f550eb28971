//! `GET login`: what starts a login, what doesn't, and what goes to the provider.

use serde_json::json;

use crate::support::*;

#[test]
fn a_login_call_and_logout_work_from_end_to_end() {
    let world = World::new();
    let browser = world.browser();
    assert!(!browser.is_logged_in());

    let shown = browser.logs_in();
    assert_eq!(shown.location(), "/inbox");
    assert_eq!(shown.header("cache-control"), Some("no-store"));
    assert_eq!(shown.header("referrer-policy"), Some("no-referrer"));
    assert!(browser.transactions().is_empty());

    let session = browser.fetch("GET", "/auth/session").json();
    assert_eq!(session["authenticated"], true);
    assert_eq!(session["user"]["sub"], "alice");
    assert_eq!(session["user"]["name"], "Alice Example");
    assert!(session["user"].get("nonce").is_none());

    assert!(browser.token().is_some());
    assert_eq!(browser.fetch("POST", "/auth/logout").status, 200);
    assert!(!browser.is_logged_in());
    assert!(browser.token().is_none());
    assert_eq!(world.provider.revoked_kinds(), ["refresh", "access"]);
    for event in ["login_started", "login_succeeded", "session_started", "session_ended"] {
        assert_eq!(world.audited(event), 1, "{event}");
    }
}

#[test]
fn the_authorization_request_has_what_the_standards_ask_for() {
    let world = World::with(json!({
        "routes": [
            {"path": "/a/*", "upstream": {"url": "https://a.example.com"}, "resource": "https://a.example.com"},
            {"path": "/b/*", "upstream": {"url": "https://b.example.com"}, "resource": "https://b.example.com"},
            {"path": "/c/*", "upstream": {"url": "https://b.example.com"}, "resource": "https://b.example.com"},
        ],
    }));
    let shown = world.browser().navigate("/auth/login?prompt=login&max_age=60&evil=1&state=mine");
    assert_eq!(shown.status, 302);
    let query = query_of(shown.location());
    assert_eq!(query["redirect_uri"], "https://app.example.com/auth/callback");
    assert_eq!(query["scope"], "openid offline_access");
    assert_eq!(query["prompt"], "login");
    assert_eq!(query["max_age"], "60");
    assert_eq!(query["state"].len(), 43);
    assert_eq!(query["nonce"].len(), 43);
    assert_ne!(query["state"], query["nonce"]);
    assert!(!query.contains_key("evil"));
    assert_eq!(shown.location().matches("resource=").count(), 2, "each once");
    assert_eq!(shown.body, "");
}

// RFC 9700 §2.1.1, RFC 7636 §4.1: specific to the transaction.
#[test]
fn each_login_has_a_state_a_nonce_and_a_challenge_of_its_own() {
    let world = World::new();
    let browser = world.browser();
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..4 {
        let query = query_of(browser.navigate("/auth/login").location());
        for name in ["state", "nonce", "code_challenge"] {
            assert_eq!(query[name].len(), 43, "256 bits: {name}");
            assert!(seen.insert(query[name].clone()), "{name} came before");
        }
    }
}

// RFC 8707 §2.2: one token for each resource, and the first call after a login has to wait for none.
#[test]
fn the_code_brings_the_token_of_the_first_route_that_carries_one() {
    let world = World::with(json!({
        "routes": [
            {"path": "/open/*", "upstream": {"url": "https://o.example.com"}, "session": "anonymous"},
            {"path": "/api/*", "upstream": {"url": "https://a.example.com"}, "resource": "https://a.example.com"},
            {"path": "/b/*", "upstream": {"url": "https://b.example.com"}, "resource": "https://b.example.com"},
        ],
    }));
    let browser = world.browser();
    browser.logs_in();
    assert!(browser.token().is_some());
    assert_eq!(world.provider.calls(Endpoint::Refresh), 0);
    let Called::Forwarded(Some(other)) = browser.call("/b/x") else { panic!() };
    assert_ne!(Some(other), browser.token());
    assert_eq!(world.provider.calls(Endpoint::Refresh), 1);
}

// RFC 10017 §6.3.3: exactly the registered one, on the origin that was asked.
#[test]
fn each_origin_of_ours_has_its_own_redirect_uri() {
    let world = World::new();
    for origin in [ORIGIN, "https://www.example.com"] {
        let head = world.browser().head("GET", "/auth/login", NAVIGATION).replace(ORIGIN, origin);
        let answer = world.run(world.serve(&head, None));
        let (_, location) = answer.headers.iter().find(|(name, _)| *name == "location").unwrap();
        assert_eq!(query_of(location)["redirect_uri"], format!("{origin}/auth/callback"));
    }
}

// Attacks 23, 26, 34 and H7: CVE-2020-15129, CVE-2026-33495, CVE-2025-4143.
#[test]
fn no_header_moves_a_location_of_ours() {
    const HOSTILE: [(&str, &str); 11] = [
        ("x-forwarded-host", "evil.example"),
        ("x-forwarded-server", "evil.example"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-port", "666"),
        ("x-forwarded-prefix", "https://evil.example"),
        ("x-forwarded-uri", "https://evil.example/"),
        ("x-original-url", "https://evil.example/"),
        ("x-rewrite-url", "https://evil.example/"),
        ("x-host", "evil.example"),
        ("forwarded", "host=evil.example;proto=http"),
        ("referer", "https://evil.example/"),
    ];
    let world = World::new();
    let browser = world.browser();
    let with = |headers: &[(&'static str, &'static str)]| [headers, &HOSTILE[..]].concat();
    let mut shown = Vec::new();
    let begun = browser.send("GET", "/auth/login?return_to=%2Fx", &with(NAVIGATION), None);
    let authorized = world.provider.authorize(begun.location());
    shown.push(begun);
    shown.push(browser.send("GET", "/auth/login", &with(FROM_PROVIDER), None));
    shown.push(browser.send("GET", "/auth/login", &with(FETCH), None));
    shown.push(browser.send("GET", &callback(&authorized), &with(FROM_PROVIDER), None));
    assert!(browser.is_logged_in());
    let form = with(&[NAVIGATION, &[("origin", ORIGIN)]].concat());
    shown.push(browser.send("POST", "/auth/logout", &form, None));
    shown.push(browser.send("GET", "/auth/logged-out", &with(FROM_PROVIDER), None));
    for shown in shown {
        let text = format!("{shown:?}");
        for moved in ["evil.example", "http://", "http%3A", "666"] {
            assert!(!text.contains(moved), "{moved}: {text}");
        }
    }
}

// Attacks 11, CVE-2021-39191: OpenID Connect Core 4 isn't offered, so its parameters are nothing.
#[test]
fn a_third_party_does_not_say_where_a_login_goes_or_ends() {
    let world = World::new();
    let browser = world.browser();
    let login =
        "/auth/login?iss=https%3A%2F%2Fevil.example&target_link_uri=https%3A%2F%2Fevil.example";
    assert_eq!(browser.send("GET", login, FROM_PROVIDER, None).status, 200, "a button, no more");
    let authorized = browser.authorizes(login);
    assert_eq!(browser.comes_back(&authorized).location(), "/");
}

// GHSA-8rr3-2ghc-h3xw and its kin: what the browser says of the host decides nothing.
#[test]
fn a_host_that_is_not_configured_gets_no_login() {
    let world = World::new();
    let head = "GET\nhttps://evil.example/auth/login\naccept: text/html\n";
    let answer = world.run(world.serve(head, None));
    assert_eq!(answer.status, 421);
    assert_eq!(world.provider.calls(Endpoint::Discovery), 0);
}

// CVE-2015-9284: login CSRF.
#[test]
fn a_navigation_that_another_site_began_gets_a_button_and_starts_nothing() {
    let world = World::new();
    for site in ["cross-site", "same-site"] {
        let browser = world.browser();
        let headers = [
            ("sec-fetch-site", site),
            ("sec-fetch-mode", "navigate"),
            ("sec-fetch-dest", "document"),
        ];
        let shown = browser.send("GET", "/auth/login?return_to=%2Fx%3Fa%3D%22", &headers, None);
        assert_eq!(shown.status, 200);
        assert!(shown.body.contains("/auth/login?return_to=%2F"), "{}", shown.body);
        assert!(browser.transactions().is_empty());
    }
    assert_eq!(world.audited("login_started"), 0);
}

#[test]
fn a_fetch_is_told_where_to_navigate_to_and_never_redirected() {
    let world = World::new();
    let browser = world.browser();
    let shown = browser.fetch("GET", "/auth/login?return_to=%2Finbox&prompt=none");
    assert_eq!(shown.status, 401);
    assert_eq!(shown.code(), "login_needs_navigation");
    let url = shown.json()["login_url"].as_str().unwrap().to_owned();
    assert_eq!(url, "https://app.example.com/auth/login?return_to=%2Finbox&prompt=none");
    assert!(shown.header("location").is_none());
    let shown = browser.navigate(url.strip_prefix(ORIGIN).unwrap());
    assert_eq!(shown.status, 302);
}

#[test]
fn what_is_no_document_or_comes_ahead_of_time_starts_nothing() {
    let world = World::new();
    let cases: [&[(&str, &str)]; 8] = [
        &[NAVIGATION[0], NAVIGATION[1], NAVIGATION[2], ("sec-purpose", "prefetch")],
        &[NAVIGATION[0], NAVIGATION[1], NAVIGATION[2], ("sec-purpose", "prefetch;prerender")],
        &[
            ("sec-fetch-site", "same-origin"),
            ("sec-fetch-mode", "navigate"),
            ("sec-fetch-dest", "iframe"),
        ],
        &[
            ("sec-fetch-site", "same-origin"),
            ("sec-fetch-mode", "no-cors"),
            ("sec-fetch-dest", "image"),
        ],
        &[("sec-purpose", "prefetch;prerender"), ("accept", "text/html")],
        &[("purpose", "prefetch"), ("accept", "text/html")],
        &[("accept", "application/json")],
        &[],
    ];
    for headers in cases {
        let browser = world.browser();
        let shown = browser.send("GET", "/auth/login", headers, None);
        assert!(shown.status >= 400, "{headers:?}: {shown:?}");
        assert!(browser.transactions().is_empty(), "{headers:?}");
    }
    assert_eq!(world.audited("login_started"), 0);
    for method in ["POST", "HEAD", "PUT", "DELETE"] {
        let shown = world.browser().send(method, "/auth/login", NAVIGATION, None);
        assert_eq!(shown.status, 405, "{method}");
    }
    assert_eq!(world.audited("login_started"), 0);
}

// attack list 4a, 6.1.
#[test]
fn a_login_leads_back_to_a_path_of_ours_only() {
    for (return_to, expected) in [
        ("/inbox?a=b#c", "/inbox?a=b#c"),
        ("//evil.example", "/"),
        ("https://evil.example/", "/"),
        ("/\\evil.example", "/"),
        ("\\/evil.example", "/"),
        ("/%09/evil.example", "/%09/evil.example"),
        ("/\t/evil.example", "/"),
        ("/..//evil.example", "/"),
        ("javascript:alert(1)", "/"),
        ("/auth/logout", "/"),
        ("/auth/login", "/"),
        ("@evil.example", "/"),
        ("", "/"),
    ] {
        let world = World::new();
        let browser = world.browser();
        let login = format!("/auth/login?return_to={}", encode(return_to));
        let authorized = browser.authorizes(&login);
        let location = browser.comes_back(&authorized).location().to_owned();
        let stays = !location.starts_with("//") && location.starts_with('/');
        assert!(stays, "{return_to}: {location}");
        if !return_to.contains('%') {
            assert_eq!(location, expected, "{return_to}");
        }
    }
}

#[test]
fn parameters_that_are_doubled_or_not_of_their_kind_are_refused() {
    let world = World::with(json!({ "provider": { "login_params": ["organization"] } }));
    for (query, status) in [
        ("prompt=none", 302),
        ("prompt=login%20consent", 302),
        ("prompt=create", 302),
        ("organization=acme", 302),
        ("redirect_uri=https%3A%2F%2Fevil.example", 302),
        ("prompt=none%20login", 400),
        ("prompt=evil", 400),
        ("max_age=-1", 400),
        ("max_age=1e3", 400),
        ("max_age=", 400),
        ("login_hint=a&login_hint=b", 400),
        ("return_to=/a&return_to=/b", 400),
        ("login_hint=a%0d%0aSet-Cookie:%20x", 400),
    ] {
        let shown = world.browser().navigate(&format!("/auth/login?{query}"));
        assert_eq!(shown.status, status, "{query}");
    }
    let shown = world.browser().navigate("/auth/login?organization=acme&redirect_uri=https://evil");
    let query = query_of(shown.location());
    assert_eq!(query["organization"], "acme");
    assert_eq!(query["redirect_uri"], "https://app.example.com/auth/callback");
}

#[test]
fn a_refused_login_says_in_the_log_which_parameter_it_was_and_on_the_page_how_to_go_on() {
    let world = World::with(json!({ "provider": { "login_params": ["organization"] } }));
    for (query, named) in [
        ("prompt=evil&return_to=/inbox", "prompt"),
        ("return_to=/inbox&max_age=-1", "max_age"),
        ("return_to=/inbox&return_to=/b", "return_to"),
        ("return_to=/inbox&login_hint=", "login_hint"),
        ("acr_values=a&acr_values=b&return_to=/inbox", "acr_values"),
        ("return_to=/inbox&organization=", "login_params"),
    ] {
        let shown = world.browser().navigate(&format!("/auth/login?{query}"));
        assert_eq!(shown.code(), "login_parameter_invalid", "{query}");
        assert_eq!(shown.links(), ["/auth/login?return_to=%2Finbox", "/"], "{query}");
        let audit = world.audit.borrow();
        assert!(audit.last().unwrap().contains(&format!("\"detail\":\"{named}\"")), "{audit:?}");
    }
    // An address that isn't ours leads nowhere from there either.
    let shown = world.browser().navigate("/auth/login?prompt=evil&return_to=//evil.example");
    assert_eq!(shown.links(), ["/auth/login", "/"]);
}

#[test]
fn another_try_at_a_login_that_could_not_begin_is_the_same_login() {
    let world = World::new();
    world.provider.fails(Endpoint::Discovery, Failure::Answers(503, ""));
    let shown = world.browser().navigate("/auth/login?prompt=create&return_to=/inbox%23top");
    assert_eq!((shown.status, shown.code()), (503, "provider_unavailable"));
    assert_eq!(shown.links(), ["/auth/login?return_to=%2Finbox%23top&prompt=create", "/"]);
}

#[test]
fn logins_that_go_in_circles_are_stopped_and_start_again_after_a_minute() {
    let world = World::new();
    let browser = world.browser();
    // The worst loop: each login succeeds and the session cookie doesn't stick.
    for _ in 0..10 {
        browser.logs_in();
        world.passes(std::time::Duration::from_secs(2));
    }
    let shown = browser.navigate("/auth/login");
    assert_eq!((shown.status, shown.code()), (429, "login_loop"));
    assert_eq!(shown.links(), ["/"], "another login is what it is about");
    world.passes(std::time::Duration::from_secs(61));
    assert_eq!(browser.navigate("/auth/login").status, 302);
}

#[test]
fn at_most_five_logins_are_under_way_and_the_oldest_goes() {
    let world = World::new();
    let browser = world.browser();
    let mut authorized = Vec::new();
    for _ in 0..7 {
        authorized.push(browser.authorizes("/auth/login"));
        world.passes(std::time::Duration::from_secs(1));
    }
    assert_eq!(browser.transactions().len(), 5);
    assert_eq!(browser.comes_back(&authorized[0]).code(), "login_not_found");
    assert_eq!(browser.comes_back(&authorized[6]).status, 303);
    // Two tabs: the other one's login still works, and takes the first one's place.
    assert_eq!(browser.comes_back(&authorized[5]).status, 303);
    assert!(browser.is_logged_in());
    world.passes_with_alarms(std::time::Duration::from_secs(3600));
    assert_eq!(world.audited("session_started"), 2);
}

#[test]
fn nothing_is_stored_for_an_anonymous_visitor() {
    let world = World::new();
    for _ in 0..20 {
        world.browser().authorizes("/auth/login");
    }
    assert_eq!(world.objects.asked.get(), 0);
    assert_eq!(world.objects.stored(), 0);
}

over_kv!(
    a_login_call_and_logout_work_from_end_to_end,
    the_authorization_request_has_what_the_standards_ask_for,
    each_login_has_a_state_a_nonce_and_a_challenge_of_its_own,
    the_code_brings_the_token_of_the_first_route_that_carries_one,
    each_origin_of_ours_has_its_own_redirect_uri,
    no_header_moves_a_location_of_ours,
    a_third_party_does_not_say_where_a_login_goes_or_ends,
    a_host_that_is_not_configured_gets_no_login,
    a_navigation_that_another_site_began_gets_a_button_and_starts_nothing,
    a_fetch_is_told_where_to_navigate_to_and_never_redirected,
    what_is_no_document_or_comes_ahead_of_time_starts_nothing,
    a_login_leads_back_to_a_path_of_ours_only,
    parameters_that_are_doubled_or_not_of_their_kind_are_refused,
    logins_that_go_in_circles_are_stopped_and_start_again_after_a_minute,
    at_most_five_logins_are_under_way_and_the_oldest_goes,
    nothing_is_stored_for_an_anonymous_visitor,
);
