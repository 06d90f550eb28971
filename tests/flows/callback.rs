//! The provider's answer: whose it is, and that it works once.

use std::time::Duration;

use serde_json::json;

use crate::support::*;

#[test]
fn a_replayed_callback_finds_no_login() {
    let world = World::new();
    let browser = world.browser();
    let authorized = browser.authorizes("/auth/login");
    assert_eq!(browser.comes_back(&authorized).status, 303);
    let shown = browser.comes_back(&authorized);
    assert_eq!((shown.status, shown.code()), (400, "login_not_found"));
    assert_eq!(shown.links(), ["/", "/auth/login"], "to the app first: the person is logged in");
    assert_eq!(world.provider.calls(Endpoint::Code), 1);
    assert!(browser.is_logged_in());
}

// OAuth state not bound to the browser (GHSA-h64q-xp38-pgwr).
#[test]
fn a_callback_from_another_browser_is_refused() {
    let world = World::new();
    let attacker = world.browser();
    let authorized = attacker.authorizes("/auth/login");
    let victim = world.browser();
    let shown = victim.comes_back(&authorized);
    assert_eq!((shown.status, shown.code()), (400, "login_not_found"));
    assert!(victim.session_cookie().is_none());
    // A victim with a login of their own under way is no better a target.
    victim.authorizes("/auth/login");
    let shown = victim.comes_back(&authorized);
    assert_eq!((shown.status, shown.code()), (400, "login_not_found"));
    assert_eq!(victim.transactions().len(), 1);
    assert_eq!(world.provider.calls(Endpoint::Code), 0);
}

#[test]
fn two_callbacks_at_once_end_in_one_session_and_one_exchange() {
    let world = World::new();
    let browser = world.browser();
    let authorized = browser.authorizes("/auth/login");
    let other_tab = browser.clone();
    let path = callback(&authorized);
    let (one, other) = world.run(async {
        futures::join!(
            browser.sending("GET", &path, FROM_PROVIDER, None),
            other_tab.sending("GET", &path, FROM_PROVIDER, None),
        )
    });
    assert_eq!((one.status, other.status), (303, 303));
    assert_eq!(browser.session_cookie(), other_tab.session_cookie());
    assert_eq!(world.provider.calls(Endpoint::Code), 1);
    assert!(browser.is_logged_in());
}

#[test]
fn a_browser_that_disconnects_and_asks_again_gets_the_session() {
    let world = World::new();
    let browser = world.browser();
    let authorized = browser.authorizes("/auth/login");
    let gone = browser.clone();
    let path = callback(&authorized);
    world.run(async {
        // The request is dropped in the middle; the object's work goes on.
        let request = Box::pin(gone.sending("GET", &path, FROM_PROVIDER, None));
        let moment = Box::pin(async {
            for _ in 0..6 {
                pause().await;
            }
        });
        drop(futures::future::select(request, moment).await);
    });
    world.settle();
    assert_eq!(browser.comes_back(&authorized).status, 303);
    assert_eq!(world.provider.calls(Endpoint::Code), 1);
    assert!(browser.is_logged_in());
}

// RFC 9207 §2.4.
#[test]
fn an_issuer_that_is_not_the_one_that_was_asked_is_refused() {
    for iss in [
        "https://id.example.com/realm",
        "https://ID.example.com/realm/",
        "https://id.example.com/realm/%20",
        "https://id.example.com:443/realm/",
        "https://evil.example/",
        "",
    ] {
        let world = World::new();
        let browser = world.browser();
        let authorized = browser.authorizes("/auth/login");
        for query in [
            format!("code={}&state={}&iss={}", authorized.code, authorized.state, encode(iss)),
            format!("error=access_denied&state={}&iss={}", authorized.state, encode(iss)),
        ] {
            let shown =
                browser.send("GET", &format!("/auth/callback?{query}"), FROM_PROVIDER, None);
            assert!(
                matches!(shown.code(), "login_issuer_mismatch" | "login_not_found"),
                "{query}: {shown:?}"
            );
        }
        assert_eq!(world.provider.calls(Endpoint::Code), 0);
    }
}

#[test]
fn an_announced_issuer_that_is_missing_is_refused() {
    let world = World::new();
    let browser = world.browser();
    let authorized = browser.authorizes("/auth/login");
    let path = format!("/auth/callback?code={}&state={}", authorized.code, authorized.state);
    let shown = browser.send("GET", &path, FROM_PROVIDER, None);
    assert_eq!(shown.code(), "login_issuer_mismatch");
}

// RFC 9207 §2.4; in the field `iss` comes where it isn't announced: it is checked wherever it is.
#[test]
fn an_issuer_that_is_not_announced_may_be_missing_and_may_not_be_wrong() {
    for announced in [json!(false), json!(null), json!("true")] {
        let world = World::new();
        *world.provider.edit_metadata.borrow_mut() = Some(Box::new(move |metadata| {
            metadata["authorization_response_iss_parameter_supported"] = announced.clone();
        }));
        for (iss, status) in [
            (String::new(), 303),
            (format!("&iss={}", encode(ISSUER)), 303),
            ("&iss=".to_owned(), 400),
            (format!("&iss={}", encode("https://evil.example/")), 400),
        ] {
            let browser = world.browser();
            let Authorized { code, state } = browser.authorizes("/auth/login");
            let path = format!("/auth/callback?code={code}&state={state}{iss}");
            let shown = browser.send("GET", &path, FROM_PROVIDER, None);
            assert_eq!(shown.status, status, "{iss}");
            assert_eq!(browser.is_logged_in(), status == 303, "{iss}");
        }
    }
}

#[test]
fn malformed_answers_get_a_page_and_reach_no_object() {
    let world = World::new();
    let browser = world.browser();
    let authorized = browser.authorizes("/auth/login");
    let (code, state, iss) = (&authorized.code, &authorized.state, encode(ISSUER));
    for query in [
        String::new(),
        "state=".to_owned(),
        format!("code={code}"),
        format!("code={code}&iss={iss}"),
        format!("code={code}&state={state}&state={state}&iss={iss}"),
        format!("code={code}&code=other&state={state}&iss={iss}"),
        format!("code={code}&state={state}x&iss={iss}"),
        format!("code={code}&state={}&iss={iss}", "A".repeat(43)),
        "code=%ff%fe&state=%00".to_owned(),
        "%".repeat(100),
        "a=".repeat(5_000),
    ] {
        let shown = browser.send("GET", &format!("/auth/callback?{query}"), FROM_PROVIDER, None);
        assert!((400..500).contains(&shown.status), "{query}: {shown:?}");
        assert!(shown.header("content-type").unwrap().starts_with("text/html"));
    }
    assert_eq!(world.objects.asked.get(), 0);
    // None of these has cost the login that is under way.
    assert_eq!(browser.comes_back(&authorized).status, 303);
}

#[test]
fn the_providers_errors_become_pages_in_our_own_words() {
    for (error, code, status) in [
        ("access_denied", "access_denied", 403),
        ("login_required", "interaction_required", 401),
        ("consent_required", "interaction_required", 401),
        ("temporarily_unavailable", "provider_overloaded", 503),
        ("invalid_scope", "provider_error", 502),
        ("<script>alert(1)</script>", "provider_error", 502),
    ] {
        let world = World::new();
        let browser = world.browser();
        let authorized = browser.authorizes("/auth/login?return_to=%2Finbox%3Fa%3Db%26c");
        let path = format!(
            "/auth/callback?error={}&error_description={}&state={}&iss={}",
            encode(error),
            encode("<b>call 555-1234</b>"),
            authorized.state,
            encode(ISSUER)
        );
        let shown = browser.send("GET", &path, FROM_PROVIDER, None);
        assert_eq!((shown.status, shown.code()), (status, code), "{error}");
        assert!(!shown.body.contains("555") && !shown.body.contains("<script"), "{error}");
        assert!(browser.transactions().is_empty(), "{error}");
        let again = "/auth/login?return_to=%2Finbox%3Fa%3Db%26c";
        assert_eq!(shown.links(), [again, "/"], "{error}: another try leads to the same place");
        let event_id = shown.body.split(" · ").nth(1).unwrap().get(..12).unwrap().to_owned();
        let audit = world.audit.borrow();
        assert!(audit.iter().any(|line| line.contains(&event_id)), "{error}");
    }
}

#[test]
fn form_post_works_where_it_is_configured_and_nowhere_else() {
    let world = World::with(json!({ "provider": { "response_mode": "form_post" } }));
    let form = ("content-type", "application/x-www-form-urlencoded");
    let headers: Vec<_> =
        FROM_PROVIDER.iter().copied().chain([form, ("origin", "https://id.example.com")]).collect();
    let browser = world.browser();
    let authorized = browser.authorizes("/auth/login");
    // The parameters in the query are another response mode.
    assert_eq!(browser.comes_back(&authorized).code(), "login_response_invalid");
    let json = [("content-type", "application/json")];
    let shown = browser.send("POST", "/auth/callback", &json, Some(&authorized.form()));
    assert_eq!(shown.code(), "content_type_unsupported");
    let shown = browser.send("POST", "/auth/callback", &headers, None);
    assert_eq!(shown.code(), "body_too_large");
    let shown = browser.send("POST", "/auth/callback", &headers, Some(&authorized.form()));
    assert_eq!(shown.status, 303, "{shown:?}");
    assert!(browser.is_logged_in());

    let world = World::new();
    let browser = world.browser();
    let authorized = browser.authorizes("/auth/login");
    let shown = browser.send("POST", "/auth/callback", &headers, Some(&authorized.form()));
    assert_eq!(shown.status, 405);
}

// oidcc-client-test-form-post-error.
#[test]
fn an_error_that_is_posted_becomes_a_page_too() {
    let world = World::with(json!({ "provider": { "response_mode": "form_post" } }));
    let browser = world.browser();
    let authorized = browser.authorizes("/auth/login?prompt=none&max_age=0");
    let form = ("content-type", "application/x-www-form-urlencoded");
    let headers: Vec<_> =
        FROM_PROVIDER.iter().copied().chain([form, ("origin", "https://id.example.com")]).collect();
    let error = format!(
        "error=login_required&error_description=x&state={}&iss={}",
        authorized.state,
        encode(ISSUER)
    );
    let shown = browser.send("POST", "/auth/callback", &headers, Some(&error));
    assert_eq!((shown.status, shown.code()), (401, "interaction_required"));
    assert!(shown.header("content-type").unwrap().starts_with("text/html"));
    assert!(browser.session_cookie().is_none());
    assert!(browser.transactions().is_empty());
    assert_eq!(world.provider.calls(Endpoint::Code), 0);
}

#[test]
fn a_login_that_takes_longer_than_ten_minutes_is_over() {
    let world = World::new();
    let browser = world.browser();
    let authorized = browser.authorizes("/auth/login");
    let cookie = browser.transactions().remove(0);
    let value = browser.cookie(&cookie).unwrap();
    world.passes(Duration::from_secs(601));
    assert_eq!(browser.comes_back(&authorized).code(), "login_not_found");
    // A browser that keeps the cookie for longer, or somebody who has it.
    browser.plants(&cookie, &value);
    assert_eq!(browser.comes_back(&authorized).code(), "login_expired");
    assert_eq!(world.objects.asked.get(), 0);
    assert_eq!(world.provider.calls(Endpoint::Code), 0);
}

// CVE-2021-41246, GHSA-f24x-5g9q-753f: session fixation.
#[test]
fn a_planted_session_is_neither_taken_over_nor_kept() {
    let world = World::new();
    let attacker = world.browser();
    attacker.logs_in();
    let planted = attacker.session_cookie().unwrap();

    let victim = world.browser();
    victim.plants(SESSION_COOKIE, &planted);
    victim.logs_in();
    assert_ne!(victim.session_cookie().unwrap(), planted);
    assert!(victim.is_logged_in());
    // The earlier session of this browser has ended, after the new one was stored.
    assert!(!attacker.is_logged_in());
    let audit = world.audit.borrow().join("\n");
    assert!(audit.contains("\"reason\":\"replaced\""), "{audit}");
    // Replaced, not revoked: some providers keep one grant a user and client.
    assert!(world.provider.revoked.borrow().is_empty());
}

// CVE-2026-73419: checks that aren't bound to the provider.
#[test]
fn a_forged_or_moved_transaction_cookie_is_no_login() {
    let world = World::new();
    let browser = world.browser();
    let one = browser.authorizes("/auth/login");
    let name = browser.transactions().remove(0);
    let value = browser.cookie(&name).unwrap();
    let other = browser.authorizes("/auth/login?return_to=%2Fother");
    let other_name = browser.transactions().into_iter().find(|n| *n != name).unwrap();
    // One login's seal under another login's name.
    browser.plants(&other_name, &value);
    assert_eq!(browser.comes_back(&other).code(), "login_not_found");
    for forged in ["", "first.", "first.AAAA", "nokid.AAAA", &value[..value.len() - 1], "x"] {
        browser.plants(&name, forged);
        assert_eq!(browser.comes_back(&one).code(), "login_not_found", "{forged}");
    }
    assert_eq!(world.objects.asked.get(), 0);
}

#[test]
fn a_login_takes_at_most_three_rows() {
    let world = World::new();
    world.browser().logs_in();
    assert!(world.objects.puts() <= 3, "{}", world.objects.puts());
    assert_eq!(world.objects.stored(), 1);
}

// CVE-2026-73419 (mix-up): a login is bound to the provider that it was started with.
#[test]
fn a_login_that_began_at_another_provider_is_refused() {
    let world = World::new();
    let browser = world.browser();
    let authorized = browser.authorizes("/auth/login");
    world.reconfigures(&json!({ "provider": { "issuer": "https://other.example.com" } }));
    assert_eq!(browser.comes_back(&authorized).code(), "login_issuer_mismatch");
    assert_eq!(world.objects.asked.get(), 0);
}

#[test]
fn a_login_that_began_on_another_origin_of_ours_is_refused() {
    let world = World::new();
    let browser = world.browser();
    let authorized = browser.authorizes("/auth/login");
    let head = browser.head("GET", &callback(&authorized), FROM_PROVIDER);
    let head = head.replace(ORIGIN, "https://www.example.com");
    let answer = world.run(world.serve(&head, None));
    assert_eq!(answer.status, 400);
    assert_eq!(world.objects.asked.get(), 0);
    assert_eq!(world.provider.calls(Endpoint::Code), 0);
}

over_kv!(
    a_replayed_callback_finds_no_login,
    a_callback_from_another_browser_is_refused,
    two_callbacks_at_once_end_in_one_session_and_one_exchange,
    a_browser_that_disconnects_and_asks_again_gets_the_session,
    an_issuer_that_is_not_the_one_that_was_asked_is_refused,
    an_announced_issuer_that_is_missing_is_refused,
    an_issuer_that_is_not_announced_may_be_missing_and_may_not_be_wrong,
    malformed_answers_get_a_page_and_reach_no_object,
    the_providers_errors_become_pages_in_our_own_words,
    form_post_works_where_it_is_configured_and_nowhere_else,
    an_error_that_is_posted_becomes_a_page_too,
    a_login_that_takes_longer_than_ten_minutes_is_over,
    a_planted_session_is_neither_taken_over_nor_kept,
    a_forged_or_moved_transaction_cookie_is_no_login,
    a_login_that_began_at_another_provider_is_refused,
    a_login_that_began_on_another_origin_of_ours_is_refused,
);
