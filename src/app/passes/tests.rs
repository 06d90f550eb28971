use std::time::Duration;

use super::*;
use crate::{
    app::call::{Asking, Calls, Headers, Known, Step},
    config::{Config, Navigation, RoutePath, SessionRequirement},
    http::testing::{
        APP, NOW, config, config_with_routes, cookie_line, cookie_value, handed_over, route,
        session_id, token,
    },
    session::{Reply, TokenKey},
    time::Timestamp,
};

const LOOPBACK: &str = "http://localhost:8787";

fn text(method: &str, url: &str, headers: &[(&str, &str)]) -> String {
    format!("{method}\n{url}\n{}", handed_over(headers).0)
}

/// All that the edge writes down of a step: everything but URL and token.
fn written(head: &RequestHead<'_>, forward: &Forward<'_>) -> String {
    let Forward { route, binding, method, headers, response, replay, .. } = forward;
    let dropped = headers.dropped(head);
    format!(
        "{:?} {binding:?} {method:?} {headers:?} {response:?} {replay:?} {dropped:?}",
        route.path
    )
}

/// What is done next, as a text: with the pass of a call before it, if there is one, or decided.
fn decided(calls: &mut Calls, config: &Config, text: &str, now: Timestamp) -> (String, bool) {
    let unread = UnreadHead::parse(text).unwrap();
    if let Some(known) = calls.recall(config, &unread, now) {
        return (word(&known), true);
    }
    let head = unread.read().unwrap();
    let step = calls.begin(config, &head, now);
    let text = match &step {
        Step::Forward(forward, journey) => {
            let token = forward.attached.as_ref().map(|it| it.access_token.expose().clone());
            let carried = journey.carried.to_text();
            format!("{:?} {token:?} {carried} {}", forward.url, written(&head, forward))
        }
        Step::Ask(asking) => asked(asking),
        other => format!("{other:?}"),
    };
    if let Step::Forward(forward, _) = step {
        let plan = written(&head, &forward);
        calls.remember(config, &unread, &head, *forward, plan);
    }
    (text, false)
}

fn word(known: &Known<'_>) -> String {
    match known {
        Known::Forward { url, plan, access_token, carried } => {
            let token = Some(access_token.expose());
            format!("{url:?} {token:?} {} {plan}", carried.to_text())
        }
        Known::Ask(asking) => asked(asking),
    }
}

fn asked(asking: &Asking) -> String {
    let Asking { key, command, question } = asking;
    let command = serde_json::to_string(command).unwrap();
    format!("ask {} {command} {}", key.name(), serde_json::to_string(question).unwrap())
}

/// Brings in a warm grant of every route's token.
fn warm(calls: &mut Calls, config: &Config) {
    for route in &config.routes {
        let (RoutePath::Prefix(path) | RoutePath::Exact(path)) = &route.path;
        let text =
            format!("GET\n{APP}{path}\nsec-fetch-site: same-origin\n{}", cookie_line(config));
        let head = RequestHead::parse(&text).unwrap();
        if let Step::Ask(asking) = calls.begin(config, &head, NOW) {
            calls.replied(config, &head, &asking.question, Some(&granted()));
        }
    }
}

fn granted() -> Reply {
    Reply::Granted(Box::new(token(3, NOW)))
}

fn kinds_of_routes() -> Config {
    let prefix = |path: &str| route(RoutePath::Prefix(path.to_owned()));
    let mut optional = prefix("/maybe");
    optional.session = SessionRequirement::Optional;
    let mut anonymous = prefix("/open");
    anonymous.session = SessionRequirement::Anonymous;
    let mut page = prefix("/page");
    page.navigation = Navigation::Page;
    page.strip_prefix = true;
    let mut other = prefix("/other");
    other.token = TokenKey { resource: Some("urn:other".to_owned()), scope: None };
    config_with_routes([
        route(RoutePath::Exact("/exact".to_owned())),
        optional,
        anonymous,
        page,
        other,
        prefix("/api"),
    ])
}

/// The promise of this module: what is decided with a memory of all calls before is what is decided
/// with none.
#[test]
fn a_call_like_one_before_it_is_decided_like_it() {
    let config = kinds_of_routes();
    let (https, http) = (cookie_value(&config), cookie_value(&config));
    let forged = format!("__Host-Http-tokenkeep={}A", https.get(..63).unwrap());
    let cookies = [
        format!("__Host-Http-tokenkeep={https}"),
        format!("a=1; __Host-Http-tokenkeep={https}; b=2"),
        format!("tokenkeep-8787={http}"),
        format!("__Host-Http-tokenkeep={https}; __Host-Http-tokenkeep={https}"),
        forged,
        String::new(),
    ];
    let more: [&[(&str, &str)]; 14] = [
        &[("sec-fetch-site", "same-origin")],
        &[("sec-fetch-site", "same-origin"), ("accept-encoding", "gzip, br")],
        &[("sec-fetch-site", "same-origin"), ("connection", "keep-alive")],
        &[("sec-fetch-site", "same-origin"), ("connection", "close, x-a"), ("x-a", "1")],
        &[("sec-fetch-site", "same-origin"), ("content-length", "5")],
        &[("sec-fetch-site", "same-origin"), ("early-data", "1")],
        &[("sec-fetch-site", "same-origin"), ("sec-fetch-dest", "document"), ("referer", "x")],
        &[("sec-fetch-site", "cross-site"), ("sec-fetch-dest", "document")],
        &[("sec-fetch-site", "cross-site")],
        &[("origin", APP)],
        &[("origin", LOOPBACK)],
        &[("origin", "https://evil.example"), ("sec-fetch-site", "same-origin")],
        &[("x-tokenkeep", "1")],
        &[],
    ];
    let urls =
        ["/exact", "/exact?x=1", "/maybe/x", "/open/x", "/page/x", "/other", "/api/a", "/api/b?c"]
            .iter()
            .flat_map(|path| [format!("{APP}{path}"), format!("{LOOPBACK}{path}")])
            .chain([format!("{APP}/nowhere"), "https://evil.example/api/a".to_owned()])
            .collect::<Vec<_>>();
    let later = [NOW, NOW.after(Duration::from_secs(3)), NOW.after(Duration::from_secs(90))];
    let mut with_memory = Calls::default();
    let mut recalled = 0;
    for _ in 0..2 {
        for method in ["GET", "POST", "DELETE", "OPTIONS"] {
            for (cookie, more) in cookies.iter().flat_map(|cookie| more.map(|more| (cookie, more)))
            {
                let headers = [&[("cookie", cookie.as_str())], more].concat();
                for (url, now) in urls.iter().flat_map(|url| later.map(|now| (url, now))) {
                    // What a late look drops from the memory is brought in again.
                    if now == NOW {
                        warm(&mut with_memory, &config);
                    }
                    let text = text(method, url, &headers);
                    let (found, is_recalled) = decided(&mut with_memory, &config, &text, now);
                    let mut without = Calls::default();
                    warm(&mut without, &config);
                    let (expected, _) = decided(&mut without, &config, &text, now);
                    assert_eq!(found, expected, "{text} {now:?}");
                    recalled += usize::from(is_recalled);
                }
            }
        }
    }
    assert!(recalled > 1_000, "{recalled} were recalled");
}

/// A call of the app's that has come before, so that there is a pass for it.
fn known_call(config: &Config) -> (String, Calls) {
    let cookie = format!("__Host-Http-tokenkeep={}", cookie_value(config));
    let headers = [("cookie", cookie.as_str()), ("sec-fetch-site", "same-origin")];
    let text = text("GET", &format!("{APP}/api/x"), &headers);
    let mut calls = Calls::default();
    warm(&mut calls, config);
    decided(&mut calls, config, &text, NOW);
    assert!(decided(&mut calls, config, &text, NOW).1);
    (text, calls)
}

#[test]
fn headers_that_differ_in_any_byte_have_no_pass() {
    let config = config();
    let (text, mut calls) = known_call(&config);
    let headers_at = text.match_indices('\n').nth(1).unwrap().0 + 1;
    for at in headers_at..text.len() {
        for changed in ["", "\n", "x", "  "] {
            let changed = format!("{}{changed}{}", &text[..at], &text[at + 1..]);
            if let Ok(unread) = UnreadHead::parse(&changed)
                && changed != text
            {
                assert!(calls.recall(&config, &unread, NOW).is_none(), "{changed:?}");
            }
        }
    }
    let method = text.replacen("GET", "HEAD", 1);
    assert!(calls.recall(&config, &UnreadHead::parse(&method).unwrap(), NOW).is_none());
}

// Nothing that ends a session has to end its passes.
#[test]
fn a_pass_opens_nothing_when_the_session_has_ended() {
    let config = config();
    let (text, mut calls) = known_call(&config);
    let unread = UnreadHead::parse(&text).unwrap();
    calls.forget(&session_id().key());
    let Some(Known::Ask(asking)) = calls.recall(&config, &unread, NOW) else { panic!() };
    for reply in [None, Some(Reply::NoSession), Some(Reply::Broken)] {
        let known = calls.recall_replied(&config, &unread, &asking.question, reply.as_ref());
        assert!(known.is_none(), "{reply:?}");
    }
}

#[test]
fn what_a_call_brings_in_is_kept_only_if_no_session_ended_meanwhile() {
    let config = config();
    for ends_meanwhile in [false, true] {
        let (text, mut calls) = known_call(&config);
        let unread = UnreadHead::parse(&text).unwrap();
        let late = NOW.after(Duration::from_secs(6));
        let Some(Known::Ask(asking)) = calls.recall(&config, &unread, late) else { panic!() };
        if ends_meanwhile {
            calls.forget(&session_id().key());
        }
        let reply = granted();
        let known = calls.recall_replied(&config, &unread, &asking.question, Some(&reply));
        assert!(matches!(known, Some(Known::Forward { .. })), "this call was let through");
        let next = calls.recall(&config, &unread, late);
        assert_eq!(matches!(next, Some(Known::Ask(_))), ends_meanwhile);
    }
}

// After a 401 the same token may come back: that is for `replied` to see.
#[test]
fn another_try_is_never_recalled() {
    let config = config();
    let (text, mut calls) = known_call(&config);
    let (unread, head) = (UnreadHead::parse(&text).unwrap(), RequestHead::parse(&text).unwrap());
    let Step::Forward(_, journey) = calls.begin(&config, &head, NOW) else { panic!() };
    let old = NOW.after(Duration::from_secs(300));
    let asked = calls.answered(&config, &head, &journey, 401, &[], old);
    let Err(Step::Ask(asking)) = asked else { panic!() };
    let reply = granted();
    assert!(calls.recall_replied(&config, &unread, &asking.question, Some(&reply)).is_none());
}

#[test]
fn no_pass_is_kept_for_what_hardly_comes_twice_or_has_no_token() {
    let config = kinds_of_routes();
    let cookie = format!("__Host-Http-tokenkeep={}", cookie_value(&config));
    let own = [("cookie", cookie.as_str()), ("sec-fetch-site", "same-origin")];
    let long = "x".repeat(MAX_HEADERS);
    let cases: [(&str, &str, &Headers<'_>); 5] = [
        ("POST", "/api/x", &[("content-length", "5")]),
        ("GET", "/api/x", &[("accept-encoding", &long)]),
        ("GET", "/open/x", &[]),
        ("GET", "/maybe/x", &[("sec-fetch-dest", "document")]),
        ("GET", "/page/x", &[("sec-fetch-dest", "document")]),
    ];
    for (method, path, more) in cases {
        let text = text(method, &format!("{APP}{path}"), &[&own, more].concat());
        let mut calls = Calls::default();
        warm(&mut calls, &config);
        decided(&mut calls, &config, &text, NOW);
        assert!(!decided(&mut calls, &config, &text, NOW).1, "{text}");
    }
}

#[test]
fn they_begin_anew_where_there_are_too_many() {
    let config = config();
    let (text, mut calls) = known_call(&config);
    let unread = UnreadHead::parse(&text).unwrap();
    for n in 1..=MAX_PASSES {
        assert!(calls.recall(&config, &unread, NOW).is_some(), "{n}");
        let other = format!("{text}:a{n}\n");
        assert!(!decided(&mut calls, &config, &other, NOW).1);
    }
    assert!(calls.recall(&config, &unread, NOW).is_none());
}

#[test]
fn what_is_kept_has_no_cookie_in_it() {
    let config = config();
    let (_, calls) = known_call(&config);
    let kept = format!("{calls:?}");
    assert!(kept.contains("Pass"));
    assert!(!kept.contains(&cookie_value(&config)));
}
