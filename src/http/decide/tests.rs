use super::*;
use crate::{
    config::{CsrfPolicy, RoutePath},
    http::testing::{
        APP, NOW, api, config, config_with_routes, cookie_line, cookie_value, route as route_to,
        session_id, token,
    },
};

const SAME_ORIGIN: &str = "sec-fetch-site: same-origin\n";

/// What was decided, in a word; owned, so that a table can compare it.
fn decided(config: &Config, method: &str, target: &str, headers: &str) -> String {
    let text = format!("{method}\n{APP}{target}\n{headers}");
    let head = RequestHead::parse(&text).unwrap();
    word(&decide(config, &head))
}

fn word(decision: &Decision<'_, '_>) -> String {
    match decision {
        Decision::Forward(forward) if forward.attached.is_some() => "token".to_owned(),
        Decision::Forward(_) => "bare".to_owned(),
        Decision::Ask(ask) if ask.csrf.is_some() => "ask".to_owned(),
        Decision::Ask(_) => "test".to_owned(),
        Decision::Answer(answer) => {
            let code = answer.headers.iter().find(|(name, _)| *name == "tokenkeep-error");
            let is_page = answer.body.starts_with("<!doctype");
            let kind = if is_page { " page" } else { "" };
            format!(
                "{}{kind}",
                code.map_or_else(|| answer.status.to_string(), |(_, c)| c.to_string())
            )
        }
        Decision::Endpoint(endpoint, _) => endpoint.as_str().to_owned(),
        Decision::Elsewhere => "elsewhere".to_owned(),
    }
}

fn with_route(change: impl FnOnce(&mut Route)) -> Config {
    let mut route = api();
    change(&mut route);
    config_with_routes([route])
}

#[test]
fn a_call_with_a_session_asks_for_its_token() {
    let config = config();
    let headers = format!("{SAME_ORIGIN}{}", cookie_line(&config));
    let text = format!("GET\n{APP}/api/orders?x=1\n{headers}");
    let head = RequestHead::parse(&text).unwrap();
    let Decision::Ask(ask) = decide(&config, &head) else { panic!() };
    assert_eq!(ask.session_id, session_id());
    let grant = Grant { token: token(3, NOW), asked_at: NOW };
    let Ok(Decision::Forward(forward)) = ask.granted(&grant, NOW) else { panic!() };
    assert_eq!(forward.url.as_str(), "https://api.example.com/api/orders?x=1");
    assert_eq!(forward.headers.dropped(&head), ["sec-fetch-site", "cookie"]);
    let attached = forward.attached.unwrap();
    assert_eq!(attached.access_token.expose(), "the-access-token");
    assert!(!format!("{attached:?}").contains("the-access-token"));
    assert_eq!(attached.epoch, 3);
    assert!(forward.response.is_personal);
    assert_eq!(forward.binding, None);
}

#[test]
fn an_unknown_origin_is_misdirected_whatever_it_asks_for() {
    let config = config();
    for target in ["/", "/auth/login", "/api/x", "/auth/health"] {
        for origin in
            ["https://evil.example", "https://app.example.com:444", "https://u@app.example.com"]
        {
            let text = format!("GET\n{origin}{target}\nx-forwarded-host: app.example.com\n");
            let head = RequestHead::parse(&text).unwrap();
            assert_eq!(word(&decide(&config, &head)), "origin_unknown");
        }
    }
}

#[test]
fn endpoints_take_their_own_methods_only() {
    let config = config();
    for (method, target, expected) in [
        ("GET", "/auth/login", "login"),
        ("HEAD", "/auth/login", "method_not_allowed"),
        ("POST", "/auth/login", "method_not_allowed"),
        ("GET", "/auth/callback?code=x", "callback"),
        ("POST", "/auth/callback", "method_not_allowed"),
        ("POST", "/auth/logout", "logout"),
        ("DELETE", "/auth/logout", "method_not_allowed"),
        ("GET", "/auth/session", "session"),
        ("HEAD", "/auth/health", "health"),
        ("GET", "/auth/unknown", "not_found"),
        ("GET", "/auth", "not_found"),
        ("OPTIONS", "/auth/logout", "method_not_allowed"),
        ("GET", "/index.html", "elsewhere"),
        ("POST", "/index.html", "elsewhere"),
    ] {
        assert_eq!(decided(&config, method, target, ""), expected, "{method} {target}");
    }
}

// attack list 28, 30, 32: neither a query nor a header takes part in choosing a route.
#[test]
fn no_query_and_no_header_opens_a_route() {
    let config = config();
    for (target, headers) in [
        ("/api/x?y=/index.html", ""),
        ("/api/x?/auth/health", ""),
        ("/api/x", "x-forwarded-uri: /index.html\n"),
        ("/api/x", "x-original-url: /auth/health\n"),
        ("/api/x", "x-rewrite-url: /\n"),
        ("/api/x", "user-agent: kube-probe/1.0\n"),
        ("/api/x", "x-middleware-subrequest: src/middleware\n"),
        ("/api/x", "authorization: Bearer anything\n"),
        ("/api/x", "x-forwarded-user: admin\n"),
        ("/api/x?_method=OPTIONS", "x-http-method-override: OPTIONS\n"),
    ] {
        let headers = format!("{SAME_ORIGIN}{headers}");
        assert_eq!(decided(&config, "GET", target, &headers), "unauthenticated", "{target}");
    }
}

#[test]
fn preflights_are_answered_here_without_cors_headers() {
    for session in [SessionRequirement::Required, SessionRequirement::Anonymous] {
        let config = with_route(|route| {
            route.session = session;
            route.methods = Method::ALL.to_vec();
        });
        for target in ["/api/x", "/auth/session", "/auth/logout"] {
            let text = format!(
                "OPTIONS\n{APP}{target}\norigin: https://evil.example\n\
                 access-control-request-method: DELETE\n"
            );
            let head = RequestHead::parse(&text).unwrap();
            let Decision::Answer(answer) = decide(&config, &head) else { panic!("{target}") };
            assert_eq!((answer.status, answer.body.as_str()), (204, ""));
            assert!(!answer.headers.iter().any(|(n, _)| n.starts_with("access-control")));
        }
    }
    // Any other OPTIONS needs the route's leave.
    assert_eq!(decided(&config(), "OPTIONS", "/api/x", SAME_ORIGIN), "method_not_allowed");
    let config = with_route(|route| {
        route.methods = vec![Method::Options];
        route.session = SessionRequirement::Anonymous;
    });
    assert_eq!(decided(&config, "OPTIONS", "/api/x", ""), "bare");
}

#[test]
fn a_websocket_passes_only_where_the_route_says_so_and_another_upgrade_is_dropped() {
    let config = with_route(|route| route.session = SessionRequirement::Anonymous);
    for upgrade in ["websocket", "WebSocket", "h2c, websocket"] {
        let headers = format!("origin: {APP}\nupgrade: {upgrade}\nconnection: upgrade\n");
        assert_eq!(decided(&config, "GET", "/api/x", &headers), "upgrade_not_supported");
    }
    assert_eq!(decided(&config, "GET", "/api/x", "upgrade: h2c\nconnection: upgrade\n"), "bare");
}

/// What is in the handshake of a browser, but for its origin.
const SOCKET: &str = "upgrade: websocket\nconnection: Upgrade\nsec-websocket-version: 13\n\
                      sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\n";

fn with_sockets(session: SessionRequirement) -> Config {
    with_route(|route| (route.session, route.connections) = (session, Connections::Pass))
}

/// Cross-site WebSocket hijacking: no CORS keeps another site from reading what a socket says.
#[test]
fn a_websocket_needs_our_origin_whatever_else_it_brings() {
    for session in
        [SessionRequirement::Required, SessionRequirement::Optional, SessionRequirement::Anonymous]
    {
        let config = with_sockets(session);
        let cookie = cookie_line(&config);
        for origin in [
            "",
            "origin: null\n",
            "origin: https://evil.example\n",
            "origin: http://app.example.com\n",
            "origin: https://app.example.com:443\n",
            "origin: https://app.example.com, https://app.example.com\n",
            // Another origin of ours isn't the one that was called.
            "origin: http://localhost:8787\n",
        ] {
            for site in ["", SAME_ORIGIN, "sec-fetch-site: cross-site\n"] {
                let headers = format!("{SOCKET}{origin}{site}{cookie}x-tokenkeep: 1\n");
                let found = decided(&config, "GET", "/api/x", &headers);
                assert_eq!(found, "csrf_origin", "{session:?} {headers}");
            }
        }
        let ours = format!("{SOCKET}origin: {APP}\n{cookie}");
        let is_anonymous = session == SessionRequirement::Anonymous;
        let expected = if is_anonymous { "bare" } else { "ask" };
        for site in ["", SAME_ORIGIN] {
            let headers = format!("{ours}{site}");
            assert_eq!(decided(&config, "GET", "/api/x", &headers), expected, "{session:?}");
        }
    }
    let config = with_sockets(SessionRequirement::Required);
    let headers = format!("{SOCKET}origin: {APP}\n");
    assert_eq!(decided(&config, "GET", "/api/x", &headers), "unauthenticated");
    // Fetch Metadata has its say too.
    let headers = format!("{headers}sec-fetch-site: cross-site\n{}", cookie_line(&config));
    assert_eq!(decided(&config, "GET", "/api/x", &headers), "csrf_cross_site");
}

#[test]
fn a_handshake_that_can_be_read_in_two_ways_is_refused() {
    let config = with_sockets(SessionRequirement::Anonymous);
    for (method, upgrade) in [
        ("GET", "h2c, websocket"),
        ("GET", "websocket, websocket"),
        ("GET", "websocketx"),
        ("POST", "websocket"),
        ("HEAD", "websocket"),
    ] {
        let headers = format!("origin: {APP}\n{}", SOCKET.replacen("websocket", upgrade, 1));
        let found = decided(&config, method, "/api/x", &headers);
        assert_eq!(found, "request_malformed", "{method} {upgrade}");
    }
}

/// The runtime would refuse it later, with the API's socket open.
#[test]
fn a_handshake_needs_a_key_of_sixteen_bytes_and_the_version_of_the_standard() {
    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
    let config = with_sockets(SessionRequirement::Anonymous);
    let found = |key: Option<&str>, version: Option<&str>| {
        let line = |name, value: Option<&str>| {
            value.map_or_else(String::new, |value| format!("{name}: {value}\n"))
        };
        let key = line("sec-websocket-key", key);
        let version = line("sec-websocket-version", version);
        let headers =
            format!("origin: {APP}\nupgrade: websocket\nconnection: Upgrade\n{key}{version}");
        decided(&config, "GET", "/api/x", &headers)
    };
    assert_eq!(found(Some(KEY), Some("13")), "bare");
    for key in [
        None,
        Some(""),
        Some("dGhlIHNhbXBsZSBub25jZQ"),
        Some("dGhlIHNhbXBsZSBub25j"),
        Some("dGhlIHNhbXBsZSBub25jZSE="),
        Some("dGhlIHNhbXBsZSBub25jZSEh"),
        Some("dGhlIHNhbXBs ZSBub25jZQ=="),
        Some("________________________"),
        Some("dGhlIHNhbXBsZSBub25jZQ==, dGhlIHNhbXBsZSBub25jZQ=="),
    ] {
        assert_eq!(found(key, Some("13")), "request_malformed", "{key:?}");
    }
    for version in [None, Some(""), Some("8"), Some("013"), Some("13, 13"), Some("13, 8")] {
        assert_eq!(found(Some(KEY), version), "request_malformed", "{version:?}");
    }
}

#[test]
fn a_handshake_goes_on_with_the_token_and_what_was_offered_but_with_a_key_of_the_runtimes() {
    let config = with_sockets(SessionRequirement::Required);
    let text = format!(
        "GET\n{APP}/api/x\nconnection: keep-alive, Upgrade\nupgrade: WebSocket\norigin: {APP}\n\
         sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\nsec-websocket-version: 13\nsec-websocket-protocol: a, b\n\
         sec-websocket-extensions: permessage-deflate\nsec-websocket-accept: x\n{}",
        cookie_line(&config)
    );
    let head = RequestHead::parse(&text).unwrap();
    let Decision::Ask(ask) = decide(&config, &head) else { panic!() };
    let reply = Reply::Granted(Box::new(token(3, NOW)));
    let Decision::Forward(forward) = ask.replied(Some(&reply)) else { panic!() };
    assert!(forward.headers.is_socket && forward.attached.is_some());
    assert_eq!(
        forward.headers.dropped(&head),
        [
            "connection",
            "origin",
            "sec-websocket-key",
            "sec-websocket-version",
            "sec-websocket-accept",
            "cookie"
        ]
    );
}

#[test]
fn a_body_that_can_not_be_passed_on_is_refused() {
    let config = with_route(|route| route.session = SessionRequirement::Anonymous);
    for method in ["GET", "HEAD"] {
        for body in ["content-length: 5\n", "transfer-encoding: chunked\n"] {
            assert_eq!(decided(&config, method, "/api/x", body), "body_not_allowed");
        }
        assert_eq!(decided(&config, method, "/api/x", "content-length: 0\n"), "bare");
    }
    assert_eq!(decided(&config, "DELETE", "/api/x", "content-length: 5\n"), "bare");
}

#[test]
fn a_method_that_the_route_doesnt_list_is_told_which_it_does() {
    let config = with_route(|route| route.methods = vec![Method::Get, Method::Post]);
    let text = format!("DELETE\n{APP}/api/x\n");
    let head = RequestHead::parse(&text).unwrap();
    let Decision::Answer(answer) = decide(&config, &head) else { panic!() };
    assert_eq!(answer.status, 405);
    assert!(answer.headers.contains(&("allow", "GET, POST".into())));
}

/// Session requirement × what the request brings.
#[test]
fn a_session_is_required_optional_or_none_of_our_business() {
    let required = config();
    let optional = with_route(|route| route.session = SessionRequirement::Optional);
    let anonymous = with_route(|route| route.session = SessionRequirement::Anonymous);
    let good = cookie_line(&required);
    let value = cookie_value(&required);
    let name = "__Host-Http-tokenkeep";
    let forged = format!("{}{}", if value.starts_with('A') { "B" } else { "A" }, &value[1..]);
    for (headers, expected) in [
        (format!("{SAME_ORIGIN}{good}"), ["ask", "ask", "bare"]),
        (SAME_ORIGIN.to_owned(), ["unauthenticated", "bare", "bare"]),
        (good.clone(), ["csrf_header_missing", "bare", "bare"]),
        (format!("x-tokenkeep: 1\n{good}"), ["ask", "ask", "bare"]),
        (format!("x-tokenkeep: 1, 1\n{good}"), ["csrf_header_missing", "bare", "bare"]),
        (format!("origin: {APP}\n{good}"), ["ask", "ask", "bare"]),
        (format!("origin: null\n{SAME_ORIGIN}{good}"), ["csrf_origin", "bare", "bare"]),
        (format!("sec-fetch-site: cross-site\n{good}"), ["csrf_cross_site", "bare", "bare"]),
        (format!("sec-fetch-site: same-site\n{good}"), ["csrf_same_site", "bare", "bare"]),
        (format!("sec-fetch-site: none\n{good}"), ["csrf_cross_site", "bare", "bare"]),
        // Cookies that aren't one of ours, alone.
        (format!("{SAME_ORIGIN}cookie: {name}={forged}\n"), ["unauthenticated", "bare", "bare"]),
        (format!("{SAME_ORIGIN}cookie: {name}=\n"), ["unauthenticated", "bare", "bare"]),
        (
            format!("{SAME_ORIGIN}cookie: {name}={}\n", "A".repeat(60_000)),
            ["unauthenticated", "bare", "bare"],
        ),
        (
            format!("{SAME_ORIGIN}cookie: {name}={value}; {name}={value}\n"),
            ["unauthenticated", "bare", "bare"],
        ),
        (
            format!("{SAME_ORIGIN}cookie: a=1, {name}={value}\n"),
            ["unauthenticated", "bare", "bare"],
        ),
        (
            format!("{SAME_ORIGIN}cookie: {name}={value}, a=1\n"),
            ["unauthenticated", "bare", "bare"],
        ),
        (
            format!("{SAME_ORIGIN}cookie: {}={value}\n", name.to_lowercase()),
            ["unauthenticated", "bare", "bare"],
        ),
        (format!("{SAME_ORIGIN}cookie: ={name}={value}\n"), ["unauthenticated", "bare", "bare"]),
        (format!("{SAME_ORIGIN}cookie: {name}=\"{value}\"\n"), ["unauthenticated", "bare", "bare"]),
        (
            format!("{SAME_ORIGIN}cookie: tokenkeep-8787={value}\n"),
            ["unauthenticated", "bare", "bare"],
        ),
    ] {
        for (config, expected) in [&required, &optional, &anonymous].into_iter().zip(expected) {
            for method in ["GET", "POST", "DELETE"] {
                let found = decided(config, method, "/api/x", &headers);
                let requirement = config.routes[0].session;
                assert_eq!(found, expected, "{requirement:?} {method} {headers:.120}");
            }
        }
    }
}

#[test]
fn the_header_policy_demands_the_header_always() {
    let mut config = config();
    config.csrf = CsrfPolicy::Header;
    let good = cookie_line(&config);
    let headers = format!("{SAME_ORIGIN}{good}");
    assert_eq!(decided(&config, "GET", "/api/x", &headers), "csrf_header_missing");
    let headers = format!("{SAME_ORIGIN}x-tokenkeep: 1\n{good}");
    assert_eq!(decided(&config, "GET", "/api/x", &headers), "ask");
}

#[test]
fn a_call_from_another_port_of_localhost_is_told_about_the_dev_server() {
    let config = config();
    let text = "GET\nhttp://localhost:8787/api/x\nsec-fetch-site: same-site\n\
                origin: http://localhost:5173\n";
    let head = RequestHead::parse(text).unwrap();
    assert_eq!(word(&decide(&config, &head)), "dev_server_not_proxied");
}

#[test]
fn early_data_carries_no_token_and_no_callback() {
    let config = config();
    let early = format!("early-data: 1\n{SAME_ORIGIN}");
    let with_cookie = format!("{early}{}", cookie_line(&config));
    assert_eq!(decided(&config, "GET", "/api/x", &with_cookie), "early_data");
    assert_eq!(decided(&config, "GET", "/auth/callback", &early), "early_data");
    assert_eq!(decided(&config, "GET", "/auth/session", &early), "session");
    let optional = with_route(|route| route.session = SessionRequirement::Optional);
    assert_eq!(decided(&optional, "GET", "/api/x", &early), "bare");
}

/// `navigation` × what is asked for × from where, with and without the cookie.
#[test]
fn a_document_gets_what_the_routes_navigation_says() {
    let by = |navigation| with_route(|route| route.navigation = navigation);
    let configs = [by(Navigation::Refuse), by(Navigation::Download), by(Navigation::Page)];
    let cookie = cookie_line(&configs[0]);
    let nr = "navigation_refused";
    let un = "unauthenticated page";
    for (method, headers, with_session, without) in [
        // A fetch is never a navigation.
        (
            "GET",
            "sec-fetch-dest: empty\nsec-fetch-site: same-origin\n",
            ["ask"; 3],
            ["unauthenticated"; 3],
        ),
        (
            "GET",
            "sec-fetch-dest: image\nsec-fetch-site: same-origin\n",
            ["ask"; 3],
            ["unauthenticated"; 3],
        ),
        (
            "GET",
            "sec-fetch-dest: script\nsec-fetch-site: same-origin\n",
            [nr, nr, "ask"],
            [nr, nr, "unauthenticated"],
        ),
        (
            "GET",
            "sec-fetch-dest: style\nsec-fetch-site: same-origin\n",
            [nr, nr, "ask"],
            [nr, nr, "unauthenticated"],
        ),
        (
            "GET",
            "sec-fetch-dest: worker\nsec-fetch-site: same-origin\n",
            [nr, nr, "ask"],
            [nr, nr, "unauthenticated"],
        ),
        (
            "GET",
            "sec-fetch-dest: image\nsec-fetch-site: cross-site\n",
            ["csrf_cross_site"; 3],
            ["csrf_cross_site"; 3],
        ),
        // Documents.
        (
            "GET",
            "sec-fetch-dest: document\nsec-fetch-site: same-origin\nreferer: https://app.example.com/\n",
            [nr, "ask", "ask"],
            [nr, "unauthenticated", un],
        ),
        // As our page sends again what another site began: it says same-origin, without a Referer.
        (
            "GET",
            "sec-fetch-dest: document\nsec-fetch-site: same-origin\n",
            [nr, "ask", "test"],
            [nr, "unauthenticated", un],
        ),
        ("GET", "sec-fetch-dest: document\nsec-fetch-site: none\n", [nr, nr, "test"], [nr, nr, un]),
        (
            "GET",
            "sec-fetch-dest: document\nsec-fetch-site: same-site\n",
            [nr, nr, "test"],
            [nr, nr, un],
        ),
        (
            "GET",
            "sec-fetch-dest: document\nsec-fetch-site: cross-site\n",
            [nr, nr, "test"],
            [nr, nr, "200 page"],
        ),
        (
            "HEAD",
            "sec-fetch-dest: document\nsec-fetch-site: cross-site\n",
            [nr, nr, "test"],
            [nr, nr, "200 page"],
        ),
        ("POST", "sec-fetch-dest: document\nsec-fetch-site: cross-site\n", [nr; 3], [nr; 3]),
        (
            "POST",
            "sec-fetch-dest: document\nsec-fetch-site: same-origin\n",
            [nr, "ask", "ask"],
            [nr, "unauthenticated", un],
        ),
        (
            "GET",
            "sec-fetch-mode: navigate\nsec-fetch-site: cross-site\n",
            [nr, nr, "test"],
            [nr, nr, "200 page"],
        ),
        // Frames and plug-ins.
        (
            "GET",
            "sec-fetch-dest: iframe\nsec-fetch-site: same-origin\n",
            [nr, "ask", "ask"],
            [nr, "unauthenticated", un],
        ),
        ("GET", "sec-fetch-dest: iframe\nsec-fetch-site: cross-site\n", [nr; 3], [nr; 3]),
        ("GET", "sec-fetch-dest: frame\nsec-fetch-site: none\n", [nr; 3], [nr; 3]),
        ("GET", "sec-fetch-dest: embed\nsec-fetch-site: same-origin\n", [nr; 3], [nr; 3]),
        ("GET", "sec-fetch-dest: object\nsec-fetch-site: same-origin\n", [nr; 3], [nr; 3]),
        // A service worker would own the origin.
        ("GET", "sec-fetch-dest: serviceworker\nsec-fetch-site: same-origin\n", [nr; 3], [nr; 3]),
        ("GET", "service-worker: script\n", [nr; 3], [nr; 3]),
    ] {
        for (at, config) in configs.iter().enumerate() {
            let navigation = config.routes[0].navigation;
            let found = decided(config, method, "/api/x", &format!("{headers}{cookie}"));
            assert_eq!(found, with_session[at], "{navigation:?} {method} {headers} with a session");
            let found = decided(config, method, "/api/x", headers);
            assert_eq!(found, without[at], "{navigation:?} {method} {headers} without");
        }
    }
}

#[test]
fn a_navigation_is_refused_on_anonymous_routes_too() {
    let config = with_route(|route| route.session = SessionRequirement::Anonymous);
    let headers = "sec-fetch-dest: document\nsec-fetch-site: same-origin\n";
    assert_eq!(decided(&config, "GET", "/api/x", headers), "navigation_refused");
}

#[test]
fn a_gated_page_that_another_site_opens_is_asked_for_again_once() {
    let config = with_route(|route| route.navigation = Navigation::Page);
    let from_elsewhere = "sec-fetch-dest: document\nsec-fetch-site: cross-site\n";
    let text = format!("GET\n{APP}/api/report?x=1&y=<\n{from_elsewhere}");
    let head = RequestHead::parse(&text).unwrap();
    let Decision::Answer(answer) = decide(&config, &head) else { panic!() };
    assert!(answer.body.contains("0;url=/api/report?x=1&amp;y=&lt;"), "{}", answer.body);
    let (_, mark) = answer.headers.iter().find(|(name, _)| *name == "set-cookie").unwrap();
    let mark = mark.split(';').next().unwrap();
    let again = format!("{from_elsewhere}cookie: {mark}\n");
    assert_eq!(decided(&config, "GET", "/api/report", &again), "unauthenticated page");
}

#[test]
fn a_page_for_a_visitor_from_elsewhere_is_tested_but_goes_on_bare() {
    let config = with_route(|route| route.navigation = Navigation::Page);
    let cookie = cookie_line(&config);
    let text =
        format!("GET\n{APP}/api/x\nsec-fetch-dest: document\nsec-fetch-site: cross-site\n{cookie}");
    let head = RequestHead::parse(&text).unwrap();
    let ask = || match decide(&config, &head) {
        Decision::Ask(ask) => ask,
        _ => panic!(),
    };
    let Decision::Forward(forward) = ask().replied(Some(&Reply::Granted(Box::new(token(1, NOW)))))
    else {
        panic!()
    };
    assert!(forward.attached.is_none());
    assert!(forward.response.is_personal, "what needs a session is for no shared cache");
    assert_eq!(word(&ask().replied(Some(&Reply::NoSession))), "200 page");
}

#[test]
fn the_sessions_object_has_the_last_word() {
    let required = config();
    let optional = with_route(|route| route.session = SessionRequirement::Optional);
    let replies = [
        (Some(Reply::Granted(Box::new(token(1, NOW)))), ["token", "token"]),
        (Some(Reply::NoSession), ["unauthenticated", "bare"]),
        (Some(Reply::Unavailable(Unavailable::ProviderUnavailable)), ["provider_unavailable"; 2]),
        (Some(Reply::Unavailable(Unavailable::ProviderOverloaded)), ["provider_overloaded"; 2]),
        (
            Some(Reply::Unavailable(Unavailable::ProviderRefusesClient)),
            ["provider_refuses_client"; 2],
        ),
        (Some(Reply::Unsupported), ["session_unavailable"; 2]),
        (Some(Reply::Broken), ["session_unavailable"; 2]),
        (Some(Reply::LoggedIn { absolute_deadline: NOW }), ["session_unavailable"; 2]),
        (None, ["session_unavailable"; 2]),
    ];
    for (reply, expected) in replies {
        for (config, expected) in [&required, &optional].into_iter().zip(expected) {
            let text = format!("GET\n{APP}/api/x\n{SAME_ORIGIN}{}", cookie_line(config));
            let head = RequestHead::parse(&text).unwrap();
            let Decision::Ask(ask) = decide(config, &head) else { panic!() };
            assert_eq!(word(&ask.replied(reply.as_ref())), expected, "{reply:?}");
        }
    }
}

#[test]
fn a_grant_is_warm_for_as_long_as_it_may_be() {
    let secs = Duration::from_secs;
    let cache = secs(5);
    let grant = Grant { token: token(1, NOW), asked_at: NOW };
    assert!(grant.is_warm(cache, NOW));
    assert!(grant.is_warm(cache, NOW.after(secs(5))));
    assert!(!grant.is_warm(cache, NOW.after(Duration::from_millis(5001))));
    assert!(!grant.is_warm(Duration::ZERO, NOW));
    assert!(!grant.is_warm(cache, NOW.before(Duration::from_millis(1))));
    // Never past the token's or the session's end.
    let mut ending = grant.clone();
    ending.token.expires_at = Some(NOW.after(secs(2)));
    assert!(
        ending.is_warm(cache, NOW.after(secs(1))) && !ending.is_warm(cache, NOW.after(secs(2)))
    );
    let mut ending = grant;
    ending.token.session_deadline = NOW.after(secs(2));
    assert!(
        ending.is_warm(cache, NOW.after(secs(1))) && !ending.is_warm(cache, NOW.after(secs(2)))
    );
}

#[test]
fn a_grant_that_went_cold_gives_the_question_back() {
    let config = config();
    let text = format!("GET\n{APP}/api/x\n{SAME_ORIGIN}{}", cookie_line(&config));
    let head = RequestHead::parse(&text).unwrap();
    let Decision::Ask(ask) = decide(&config, &head) else { panic!() };
    let grant = Grant { token: token(1, NOW), asked_at: NOW };
    let ask = ask.granted(&grant, NOW.after(Duration::from_secs(6))).unwrap_err();
    assert_eq!(ask.session_id, session_id());
}

/// Method × body × the route's word → whether a 401 is worth another token.
#[test]
fn a_401_is_followed_by_one_refresh_where_the_call_can_be_repeated() {
    for (method, body, retry, replay) in [
        ("GET", "", false, Replay::Bare),
        ("GET", "content-length: 0\n", false, Replay::Bare),
        ("HEAD", "", false, Replay::Bare),
        ("DELETE", "", false, Replay::Bare),
        ("DELETE", "content-length: 5\n", false, Replay::Never),
        ("PUT", "content-length: 0\n", false, Replay::Bare),
        ("PUT", "content-length: 5\n", false, Replay::Never),
        ("PUT", "content-length: 5\n", true, Replay::KeepBody),
        ("PUT", "content-length: 65537\n", true, Replay::Never),
        ("PUT", "transfer-encoding: chunked\n", true, Replay::Never),
        ("POST", "", false, Replay::Never),
        ("POST", "", true, Replay::Bare),
        ("POST", "content-length: 5\n", true, Replay::KeepBody),
        ("POST", "content-length: 5, 5\n", true, Replay::Never),
    ] {
        let config = with_route(|route| route.retry_after_401 = retry);
        let text = format!("{method}\n{APP}/api/x\n{SAME_ORIGIN}{body}{}", cookie_line(&config));
        let head = RequestHead::parse(&text).unwrap();
        let Decision::Ask(ask) = decide(&config, &head) else { panic!() };
        // Its life is 400 s: young for 100.
        let reply = Reply::Granted(Box::new(token(7, NOW)));
        let Decision::Forward(forward) = ask.replied(Some(&reply)) else { panic!() };
        assert_eq!(forward.replay, replay, "{method} {body} {retry}");
        let old = NOW.after(Duration::from_secs(100));
        let expected = match replay {
            Replay::Never => After401::PassThrough,
            Replay::Bare | Replay::KeepBody => After401::Refresh { epoch: 7 },
        };
        assert_eq!(forward.after_401(old), expected, "{method} {body} {retry}");
        assert_eq!(forward.after_401(NOW.after(Duration::from_secs(99))), After401::PassThrough);
    }
}

#[test]
fn a_token_of_unknown_life_is_young_for_half_a_minute() {
    let config = config();
    let text = format!("GET\n{APP}/api/x\n{SAME_ORIGIN}{}", cookie_line(&config));
    let head = RequestHead::parse(&text).unwrap();
    let Decision::Ask(ask) = decide(&config, &head) else { panic!() };
    let mut granted = token(1, NOW);
    granted.expires_at = None;
    let Decision::Forward(forward) = ask.replied(Some(&Reply::Granted(Box::new(granted)))) else {
        panic!()
    };
    let after = |secs| forward.after_401(NOW.after(Duration::from_secs(secs)));
    assert_eq!(after(29), After401::PassThrough);
    assert_eq!(after(30), After401::Refresh { epoch: 1 });
}

#[test]
fn a_bare_call_has_nothing_to_refresh() {
    let config = with_route(|route| route.session = SessionRequirement::Anonymous);
    let text = format!("GET\n{APP}/api/x\n");
    let head = RequestHead::parse(&text).unwrap();
    let Decision::Forward(forward) = decide(&config, &head) else { panic!() };
    assert_eq!(forward.after_401(NOW), After401::PassThrough);
}

#[test]
fn a_service_binding_is_named() {
    let config = config_with_routes([{
        let mut route = route_to(RoutePath::Prefix(String::new()));
        route.session = SessionRequirement::Anonymous;
        route.upstream = Upstream::Service { binding: "API".to_owned() };
        route
    }]);
    let text = format!("GET\n{APP}/x?y\n");
    let head = RequestHead::parse(&text).unwrap();
    let Decision::Forward(forward) = decide(&config, &head) else { panic!() };
    assert_eq!(forward.binding, Some("API"));
    assert_eq!(forward.url.as_str(), "https://app.example.com/x?y");
}

/// The hostile paths once more, against routes: whatever is forwarded keeps its path, and nothing
/// without a session reaches the API but by the one public route.
#[test]
fn no_hostile_path_reaches_the_api_without_a_session() {
    let config = config_with_routes([
        {
            let mut public = route_to(RoutePath::Prefix("/api/public".to_owned()));
            public.session = SessionRequirement::Anonymous;
            public
        },
        api(),
    ]);
    let corpus: Vec<serde_json::Value> =
        serde_json::from_str(include_str!("../../../tests/corpus/paths.json")).unwrap();
    let more = [
        "/api/public/../x",
        "/api/public/%2e%2e/x",
        "/api/public/..%2fx",
        "/api/public/..;/x",
        "/api/public/%252e%252e/x",
        "/api/public\\..\\x",
        "/api/public//x",
        "/api/public%2f..%2fx",
    ];
    let targets = corpus.iter().map(|case| case["target"].as_str().unwrap()).chain(more);
    for target in targets {
        let text = format!("GET\n{APP}{target}\n{SAME_ORIGIN}");
        let Ok(head) = RequestHead::parse(&text) else { continue };
        match decide(&config, &head) {
            Decision::Forward(forward) => {
                let path = forward.url.as_str().strip_prefix("https://api.example.com").unwrap();
                assert_eq!(path, target);
                assert!(path.starts_with("/api/public"), "{target}");
            }
            decision => {
                let word = word(&decision);
                assert!(
                    matches!(
                        word.as_str(),
                        "unauthenticated" | "elsewhere" | "not_found" | "origin_unknown"
                    ),
                    "{target} {word}"
                );
            }
        }
    }
}
