use std::time::Duration;

use super::*;
use crate::{
    app::call::{
        Asking, Calls, Headers, Step,
        recall::{Granted, Recalled},
    },
    config::{
        Config, Connections, CsrfPolicy, Navigation, RoutePath, SessionRequirement, Upstream,
    },
    http::{
        Method,
        forward::UpstreamUrl,
        testing::{
            APP, NOW, config, config_with_routes, cookie_line, cookie_value, handed_over, route,
            session_id, token,
        },
    },
    session::{Command, Reply, SessionKey, TokenKey},
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

/// An isolate: what is remembered here, and what the entry keeps.
#[derive(Default)]
struct Isolate {
    calls: Calls,
    known: HashMap<String, Entrys>,
}

/// A pass as the entry keeps it: what it needs to send a call on without having it decided.
struct Entrys {
    number: u64,
    begin: String,
    cut: usize,
    asking: String,
    written: String,
}

impl Isolate {
    /// What is done next, as a text, and whether a pass told it.
    fn next(&mut self, config: &Config, text: &str, now: Timestamp) -> (String, bool) {
        let (key, url) = split(text);
        if let Some(Entrys { number, begin, cut, asking, written }) = self.known.get(&key) {
            match self.calls.recall(config, *number, url, now) {
                Recalled::Granted { serial } => {
                    let granted = self.calls.granted(config, *number, now).unwrap();
                    assert_eq!(granted.serial, Some(serial));
                    let token = granted.access_token.expose();
                    let carried = granted.carried.to_text();
                    return (format!("{begin}{} {token} {carried} {written}", &url[*cut..]), true);
                }
                Recalled::Ask { ends } => {
                    return (format!("{asking} {};{ends};", now.as_millis()), true);
                }
                Recalled::Unknown => {}
            }
        }
        let head = RequestHead::parse(text).unwrap();
        let step = self.calls.begin(config, &head, now);
        let said = match &step {
            Step::Forward(forward, journey) => {
                let token = forward.attached.as_ref().map(|it| it.access_token.expose().as_str());
                let (url, carried) = (forward.url.as_str(), journey.carried.to_text());
                format!("{url} {} {carried} {}", token.unwrap_or_default(), written(&head, forward))
            }
            Step::Ask(asking) => {
                let Asking { key, command, question } = &**asking;
                format!("{} {}", asked(key, command), question.to_text())
            }
            other => format!("{other:?}"),
        };
        self.keep(config, key, &head, step);
        (said, false)
    }

    fn keep(&mut self, config: &Config, key: String, head: &RequestHead<'_>, step: Step<'_>) {
        let Step::Forward(forward, _) = step else { return };
        let written = written(head, &forward);
        let Some(kept) = self.calls.remember(config, head, *forward) else { return };
        let Kept { number, url, session_id, token } = kept;
        let session = session_id.key();
        let command = Command::Access { session_id, token: token.clone(), refused_epoch: None };
        let begin = format!("{}{}", url.origin, url.base);
        let asking = asked(&session, &command);
        self.known.insert(key, Entrys { number, begin, cut: url.cut, asking, written });
    }
}

/// Method and headers, by which the entry keeps a pass, and the URL.
fn split(text: &str) -> (String, &str) {
    let mut parts = text.splitn(3, '\n');
    let (method, url, headers) =
        (parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap());
    (format!("{method}\n{headers}"), url)
}

fn asked(key: &SessionKey, command: &Command) -> String {
    format!("ask {} {}", key.name(), serde_json::to_string(command).unwrap())
}

/// Brings in a warm grant of every route's token.
fn warm(calls: &mut Calls, config: &Config) {
    for route in &config.routes {
        let (RoutePath::Prefix(path) | RoutePath::Exact(path)) = &route.path;
        let text = format!(
            "GET\n{APP}{path}\nsec-fetch-site: same-origin\nx-tokenkeep: 1\n{}",
            cookie_line(config)
        );
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
    let mut service = prefix("/service");
    service.upstream = Upstream::Service { binding: "API".to_owned() };
    service.methods.push(Method::Options);
    let mut based = prefix("/based");
    based.upstream =
        Upstream::Url { origin: "https://b.example".to_owned(), path: "/v1".to_owned() };
    based.strip_prefix = true;
    based.connections = Connections::Pass;
    let mut sub = prefix("/api/sub");
    sub.retry_after_401 = true;
    config_with_routes([
        route(RoutePath::Exact("/exact".to_owned())),
        optional,
        anonymous,
        page,
        other,
        service,
        based,
        sub,
        prefix("/api"),
    ])
}

/// The promise of this module: what is decided with a memory of all calls before is what is decided
/// with none.
#[test]
fn a_call_like_one_before_it_is_decided_like_it() {
    let mut config = kinds_of_routes();
    let recalled = [CsrfPolicy::FetchMetadata, CsrfPolicy::Header].map(|policy| {
        config.csrf = policy;
        memory_changes_nothing(&config)
    });
    assert!(recalled.iter().all(|times| *times > 500), "{recalled:?} were recalled");
}

/// Gives how many calls had a pass.
fn memory_changes_nothing(config: &Config) -> usize {
    let (https, http) = (cookie_value(config), cookie_value(config));
    let forged = format!("__Host-Http-tokenkeep={}A", https.get(..63).unwrap());
    let cookies = [
        format!("__Host-Http-tokenkeep={https}"),
        format!("a=1; __Host-Http-tokenkeep={https}; b=2"),
        format!("tokenkeep-8787={http}"),
        format!("__Host-Http-tokenkeep={https}; __Host-Http-tokenkeep={https}"),
        forged,
        String::new(),
    ];
    let own = ("sec-fetch-site", "same-origin");
    let header = ("x-tokenkeep", "1");
    let socket = [
        own,
        ("connection", "Upgrade"),
        ("upgrade", "websocket"),
        ("origin", APP),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "AAAAAAAAAAAAAAAAAAAAAA=="),
    ];
    let more: [&[(&str, &str)]; 22] = [
        &[own],
        &[own, header],
        &[own, header, ("accept-encoding", "gzip, br")],
        &[own, header, ("connection", "keep-alive")],
        &[own, header, ("connection", "close, x-a"), ("x-a", "1")],
        &[own, header, ("content-length", "5")],
        &[own, header, ("content-length", "0")],
        &[own, header, ("transfer-encoding", "chunked")],
        &[own, header, ("early-data", "1")],
        &[own, header, ("service-worker", "script")],
        &[own, header, ("access-control-request-method", "PUT")],
        &socket,
        &[own, header, ("connection", "Upgrade"), ("upgrade", "h2c")],
        &[own, ("sec-fetch-dest", "document"), ("referer", "x")],
        &[own, ("sec-fetch-dest", "document"), ("sec-fetch-mode", "navigate")],
        &[("sec-fetch-site", "cross-site"), ("sec-fetch-dest", "document")],
        &[("sec-fetch-site", "cross-site")],
        &[("origin", APP)],
        &[("origin", LOOPBACK)],
        &[("origin", "https://evil.example"), own],
        &[header],
        &[],
    ];
    let paths = [
        "/exact",
        "/exact?x=1",
        "/maybe/x",
        "/open/x",
        "/page/x",
        "/page",
        "/page?q",
        "/other",
        "/service/x?y",
        "/based/x",
        "/based/",
        "/based?q",
        "/api/a",
        "/api/b?c",
        "/api/sub/x",
        "/apix",
        "/auth/session",
    ];
    let urls = paths
        .iter()
        .flat_map(|path| [format!("{APP}{path}"), format!("{LOOPBACK}{path}")])
        .chain([format!("{APP}/nowhere"), "https://evil.example/api/a".to_owned()])
        .collect::<Vec<_>>();
    let later = [NOW, NOW.after(Duration::from_secs(90))];
    let (mut with_memory, mut without) = (Isolate::default(), Isolate::default());
    let mut recalled = 0;
    for method in ["GET", "HEAD", "POST", "OPTIONS"] {
        for (cookie, more) in cookies.iter().flat_map(|cookie| more.map(|more| (cookie, more))) {
            let headers = [&[("cookie", cookie.as_str())], more].concat();
            for (url, now) in urls.iter().flat_map(|url| later.map(|now| (url, now))) {
                // What a late look drops from the memory is brought in again.
                if now == NOW {
                    warm(&mut with_memory.calls, config);
                    warm(&mut without.calls, config);
                }
                let text = text(method, url, &headers);
                let (found, is_recalled) = with_memory.next(config, &text, now);
                without.known.clear();
                let (expected, _) = without.next(config, &text, now);
                assert_eq!(found, expected, "{text} {now:?}");
                recalled += usize::from(is_recalled);
            }
        }
    }
    recalled
}

/// A call of the app's that has come before, with the number of its pass.
fn known_call(config: &Config) -> (String, Isolate, u64) {
    let cookie = format!("__Host-Http-tokenkeep={}", cookie_value(config));
    let headers = [("cookie", cookie.as_str()), ("sec-fetch-site", "same-origin")];
    let text = text("GET", URL, &headers);
    let mut isolate = Isolate::default();
    warm(&mut isolate.calls, config);
    isolate.next(config, &text, NOW);
    assert!(isolate.next(config, &text, NOW).1);
    let number = isolate.known.get(&split(&text).0).unwrap().number;
    (text, isolate, number)
}

const URL: &str = "https://app.example.com/api/x";

#[test]
fn a_pass_is_good_for_urls_of_its_origin_and_route_alone() {
    let config = kinds_of_routes();
    let (_, mut isolate, number) = known_call(&config);
    let mut recall = |url: &str| isolate.calls.recall(&config, number, url, NOW);
    let own = recall(URL);
    assert!(matches!(own, Recalled::Granted { .. }));
    for path in ["/api/y", "/api/x?a=/../b", "/api/x?", "/api", "/api/", "/api/a%20b"] {
        assert_eq!(recall(&format!("{APP}{path}")), own, "{path}");
    }
    for url in [
        "https://app.example.com/api/sub/x",
        "https://app.example.com/other",
        "https://app.example.com/exact",
        "https://app.example.com/open/x",
        "https://app.example.com/maybe/x",
        "https://app.example.com/apix",
        "https://app.example.com/auth/session",
        "https://app.example.com/",
        "https://app.example.com",
        "https://app.example.com/api/../other",
        "https://app.example.com/api/%2e%2e/other",
        "https://app.example.com//api/x",
        "https://app.example.com/api//x",
        "https://app.example.com/api/x?a b",
        "https://app.example.com/api/x#y",
        "https://app.example.com:443/api/x",
        "https://APP.example.com/api/x",
        "https://app.example.com.evil.example/api/x",
        "https://u@app.example.com/api/x",
        "http://app.example.com/api/x",
        "http://localhost:8787/api/x",
        "https://evil.example/api/x",
        "/api/x",
        "",
    ] {
        assert_eq!(recall(url), Recalled::Unknown, "{url}");
    }
}

/// The rule that a pass brings makes the URL that is made without one.
#[test]
fn the_rule_makes_the_url() {
    let config = kinds_of_routes();
    let mut reached = 0;
    for origin in &config.origins {
        for path in ["/exact", "/page/x", "/page/", "/page", "/based/x/y", "/based", "/service/x"] {
            for query in ["", "?", "?a=b", "?/based/x"] {
                let url = format!("{}{path}{query}", origin.serialized);
                let url_read = RequestUrl::parse(&url).unwrap();
                let Target::Route(route) = route::choose(&config, url_read.path) else { panic!() };
                let rule = UrlRule::new(route, origin);
                if !rule.reaches(url_read) {
                    continue;
                }
                let made = format!("{}{}{}", rule.origin, rule.base, &url[rule.cut..]);
                let whole = UpstreamUrl::new(route, origin, url_read.path, url_read.query);
                assert_eq!(made, whole.as_str());
                reached += 1;
            }
        }
    }
    assert_eq!(reached, 2 * 5 * 4, "all but `/page` and `/based`, of which no path is left");
}

#[test]
fn a_number_that_was_never_given_opens_nothing() {
    let config = config();
    let (_, mut isolate, number) = known_call(&config);
    for other in [0, number + 1, number + 2, u64::MAX] {
        assert_eq!(isolate.calls.recall(&config, other, URL, NOW), Recalled::Unknown);
        assert!(isolate.calls.granted(&config, other, NOW).is_none());
        let reply = granted();
        let replied = isolate.calls.recall_replied(&config, other, NOW, 0, Some(&reply));
        assert!(replied.is_none());
    }
}

// Two sessions never have one pass, nor do two heads, at whatever time they come.
#[test]
fn no_number_is_given_twice() {
    let config = config();
    let cookie = format!("__Host-Http-tokenkeep={}", cookie_value(&config));
    let mut isolate = Isolate::default();
    let mut last = 0;
    for (nth, now) in [NOW, NOW, NOW, NOW.after(Duration::from_secs(2)), NOW].iter().enumerate() {
        warm(&mut isolate.calls, &config);
        let cookie = format!("{cookie}; a={nth}");
        let text = text("GET", URL, &[("cookie", &cookie), ("sec-fetch-site", "same-origin")]);
        isolate.next(&config, &text, *now);
        let number = isolate.known.get(&split(&text).0).unwrap().number;
        assert!(number > last);
        last = number;
    }
}

/// The question of a call with this pass: how many sessions have ended.
fn ends(isolate: &mut Isolate, config: &Config, number: u64, now: Timestamp) -> u64 {
    let Recalled::Ask { ends } = isolate.calls.recall(config, number, URL, now) else { panic!() };
    ends
}

// Nothing that ends a session has to end its passes.
#[test]
fn a_pass_opens_nothing_when_the_session_has_ended() {
    let config = config();
    let (_, mut isolate, number) = known_call(&config);
    isolate.calls.forget(&session_id().key());
    let ends = ends(&mut isolate, &config, number, NOW);
    assert!(isolate.calls.granted(&config, number, NOW).is_none());
    for reply in [None, Some(Reply::NoSession), Some(Reply::Broken)] {
        let known = isolate.calls.recall_replied(&config, number, NOW, ends, reply.as_ref());
        assert!(known.is_none(), "{reply:?}");
    }
}

#[test]
fn what_a_call_brings_in_is_kept_only_if_no_session_ended_meanwhile() {
    let config = config();
    for ends_meanwhile in [false, true] {
        let (_, mut isolate, number) = known_call(&config);
        let late = NOW.after(Duration::from_secs(6));
        let ends = ends(&mut isolate, &config, number, late);
        if ends_meanwhile {
            isolate.calls.forget(&session_id().key());
        }
        let reply = granted();
        let known = isolate.calls.recall_replied(&config, number, late, ends, Some(&reply));
        let Some(Granted { serial, .. }) = known else { panic!("this call was let through") };
        assert_eq!(serial.is_none(), ends_meanwhile);
        let next = isolate.calls.recall(&config, number, URL, late);
        match serial {
            Some(serial) => assert_eq!(next, Recalled::Granted { serial }),
            None => assert!(matches!(next, Recalled::Ask { .. })),
        }
    }
}

#[test]
fn without_warm_grants_every_call_asks_and_nothing_is_kept() {
    let mut config = config();
    let (_, mut isolate, number) = known_call(&config);
    config.session.cache = Duration::ZERO;
    for _ in 0..3 {
        let ends = ends(&mut isolate, &config, number, NOW);
        let reply = granted();
        let known = isolate.calls.recall_replied(&config, number, NOW, ends, Some(&reply));
        assert!(matches!(known, Some(Granted { serial: None, .. })));
        assert!(isolate.calls.granted(&config, number, NOW).is_none());
    }
}

// A grant that was told once is told again only while it is the same.
#[test]
fn another_grant_has_another_serial() {
    let config = config();
    let (_, mut isolate, number) = known_call(&config);
    let first = isolate.calls.recall(&config, number, URL, NOW);
    assert_eq!(isolate.calls.recall(&config, number, URL, NOW), first);
    let late = NOW.after(Duration::from_secs(6));
    let ends = ends(&mut isolate, &config, number, late);
    let reply = granted();
    isolate.calls.recall_replied(&config, number, late, ends, Some(&reply)).unwrap();
    let second = isolate.calls.recall(&config, number, URL, late);
    assert!(matches!(second, Recalled::Granted { .. }));
    assert_ne!(second, first);
}

#[test]
fn no_pass_is_kept_for_what_hardly_comes_twice_or_has_no_token() {
    let config = kinds_of_routes();
    let cookie = format!("__Host-Http-tokenkeep={}", cookie_value(&config));
    let own = [("cookie", cookie.as_str()), ("sec-fetch-site", "same-origin")];
    let cases: [(&str, &str, &Headers<'_>); 5] = [
        ("POST", "/api/x", &[("content-length", "5")]),
        ("POST", "/api/x", &[("transfer-encoding", "chunked")]),
        ("GET", "/open/x", &[]),
        ("GET", "/maybe/x", &[("sec-fetch-dest", "document")]),
        ("GET", "/page/x", &[("sec-fetch-dest", "document")]),
    ];
    for (method, path, more) in cases {
        let text = text(method, &format!("{APP}{path}"), &[&own, more].concat());
        let mut isolate = Isolate::default();
        warm(&mut isolate.calls, &config);
        isolate.next(&config, &text, NOW);
        assert!(isolate.known.is_empty(), "{text}");
    }
}

#[test]
fn they_begin_anew_where_there_are_too_many() {
    let config = config();
    let (text, mut isolate, number) = known_call(&config);
    for n in 1..=MAX_PASSES {
        let other = format!("{text}:a{n}\n");
        assert_ne!(isolate.calls.recall(&config, number, URL, NOW), Recalled::Unknown, "{n}");
        assert!(!isolate.next(&config, &other, NOW).1);
    }
    assert_eq!(isolate.calls.recall(&config, number, URL, NOW), Recalled::Unknown);
}

#[test]
fn what_is_kept_has_no_cookie_in_it() {
    let config = config();
    let (_, isolate, _) = known_call(&config);
    let kept = format!("{:?}", isolate.calls);
    assert!(kept.contains("Pass"));
    assert!(!kept.contains(&cookie_value(&config)));
}
