//! The rules of routes, and those across routes.

use serde_json::{Value, json};

use super::{super::*, accept, keys, with};

/// [`right`] with one route in place of its routes.
fn with_route(patch: &Value) -> Environment {
    let mut route = json!({ "path": "/api/*", "upstream": { "service": "API" } });
    json::merge_patch(&mut route, patch);
    with(&json!({ "routes": [route] }))
}

#[test]
fn documents_with_a_session_do_not_go_with_the_header_that_no_navigation_brings() {
    for (session, navigation, expected) in [
        ("required", "page", vec!["routes[0].navigation"]),
        ("optional", "download", vec!["routes[0].navigation"]),
        ("anonymous", "page", vec![]),
        ("required", "refuse", vec![]),
    ] {
        let route = json!({
            "path": "/api/*",
            "upstream": { "service": "API" },
            "session": session,
            "navigation": navigation,
        });
        let environment = with(&json!({ "csrf": "header", "routes": [route.clone()] }));
        assert_eq!(parse(&environment).map_or_else(|_| keys(&environment), |_| vec![]), expected);
        accept(&with(&json!({ "csrf": "fetch-metadata", "routes": [route] })));
    }
}

#[test]
fn sockets_with_a_session_do_not_go_with_the_header_that_no_socket_brings() {
    for (session, connections, expected) in [
        ("required", "pass", vec!["routes[0].connections"]),
        ("optional", "bound", vec!["routes[0].connections"]),
        ("anonymous", "pass", vec![]),
        ("required", "refuse", vec![]),
    ] {
        let route = json!({ "session": session, "connections": connections });
        let mut environment = with_route(&route);
        json::merge_patch(environment.tokenkeep.as_mut().unwrap(), &json!({ "csrf": "header" }));
        assert_eq!(keys(&environment), expected, "{session} {connections}");
        accept(&with_route(&route));
    }
}

#[test]
fn each_rule_of_a_route_holds() {
    let cases = [
        (json!({ "path": null }), "path"),
        (json!({ "path": "" }), "path"),
        (json!({ "upstream": null }), "upstream"),
        (json!({ "upstream": "https://api.example.com" }), "upstream"),
        (json!({ "upstream": { "url": "https://api.example.com" } }), "upstream"),
        (json!({ "upstream": { "service": null } }), "upstream"),
        (json!({ "upstream": { "service": "ELSEWHERE" } }), "upstream.service"),
        (json!({ "upstream": { "service": "SESSIONS" } }), "upstream.service"),
        (json!({ "upstream": { "service": "" } }), "upstream.service"),
        (json!({ "upstream": { "host": "x" } }), "upstream.host"),
        (json!({ "upstream": { "timeout_seconds": 0 } }), "upstream.timeout_seconds"),
        (json!({ "upstream": { "timeout_seconds": 601 } }), "upstream.timeout_seconds"),
        (json!({ "upstream": { "timeout_seconds": "10" } }), "upstream.timeout_seconds"),
        (json!({ "session": "none" }), "session"),
        (json!({ "navigation": "allow" }), "navigation"),
        (json!({ "connections": true }), "connections"),
        (json!({ "session": "anonymous", "connections": "bound" }), "connections"),
        (json!({ "resource": "api" }), "resource"),
        (json!({ "resource": "https://api.example.com#x" }), "resource"),
        (json!({ "resource": "https://api.example.com /x" }), "resource"),
        (json!({ "resource": "" }), "resource"),
        (json!({ "scope": "a  b" }), "scope"),
        (json!({ "scope": " a" }), "scope"),
        (json!({ "scope": ["a"] }), "scope"),
        (json!({ "methods": [] }), "methods"),
        (json!({ "methods": "GET" }), "methods"),
        (json!({ "methods": ["GET", "get"] }), "methods[1]"),
        (json!({ "methods": ["GET", "GET"] }), "methods[1]"),
        (json!({ "methods": ["TRACE"] }), "methods[0]"),
        (json!({ "methods": ["CONNECT"] }), "methods[0]"),
        (json!({ "strip_prefix": 1 }), "strip_prefix"),
        (json!({ "strip_prefix": true, "path": "/api/x" }), "strip_prefix"),
        (json!({ "retry_after_401": "true" }), "retry_after_401"),
        (json!({ "share_token": "true" }), "share_token"),
        (json!({ "session": "anonymous", "resource": "urn:a" }), "resource"),
        (json!({ "session": "anonymous", "scope": "a" }), "scope"),
        (json!({ "session": "anonymous", "retry_after_401": true }), "retry_after_401"),
        (json!({ "session": "anonymous", "share_token": true }), "share_token"),
        (json!({ "Authorization": "Bearer x" }), "Authorization"),
    ];
    accept(&with_route(&json!({})));
    for (patch, key) in cases {
        assert_eq!(keys(&with_route(&patch)), [format!("routes[0].{key}")], "{patch}");
    }
}

#[test]
fn a_path_has_one_form_and_stays_off_the_endpoints() {
    // CVE-2026-33494 and the rest of attack list §6.2: what could be read in two ways.
    for path in [
        "api/*",
        "/api*",
        "/api/*/x",
        "/api/**",
        "*",
        "/api//*",
        "//api/*",
        "/api/./x",
        "/api/../x",
        "/api/.../x",
        "/api/%2e%2e/x",
        "/api%2fx",
        "/api\\x",
        "/api;a=b/*",
        "/api/..;/x",
        "/api?x",
        "/api#x",
        "/api x",
        "/äpi",
        "/api/%41",
        "https://api.example.com/*",
        "/api/\u{0}",
        "/auth",
        "/auth/*",
        "/auth/login",
        "/auth/",
    ] {
        let patch = json!({ "path": path });
        assert_eq!(keys(&with_route(&patch)), ["routes[0].path"], "{path:?}");
    }
    for (text, path) in [
        ("/*", RoutePath::Prefix(String::new())),
        ("/api/*", RoutePath::Prefix("/api".to_owned())),
        ("/authors/*", RoutePath::Prefix("/authors".to_owned())),
        ("/api/v1.0/*", RoutePath::Prefix("/api/v1.0".to_owned())),
        ("/", RoutePath::Exact("/".to_owned())),
        ("/api/x", RoutePath::Exact("/api/x".to_owned())),
        ("/api/x/", RoutePath::Exact("/api/x/".to_owned())),
        ("/.well-known/x", RoutePath::Exact("/.well-known/x".to_owned())),
    ] {
        let config = accept(&with_route(&json!({ "path": text })));
        assert_eq!(config.routes.first().unwrap().path, path, "{text}");
    }
    let moved = json!({ "base_path": "/api/auth", "routes": [
        { "path": "/api/auth/x", "upstream": { "service": "API" } },
        { "path": "/auth/*", "upstream": { "service": "API" } },
    ] });
    assert_eq!(keys(&with(&moved)), ["routes[0].path"]);
}

#[test]
fn an_upstream_is_https_and_in_canonical_form() {
    for url in [
        "http://api.example.com",
        "https://u:p@api.example.com",
        "https://api.example.com?key=x",
        "https://api.example.com/#x",
        "https://API.example.com",
        "https://api.example.com:443",
        "https://api.example.com/a/../b",
        "https://api.example.com/a//b",
        "https://api.example.com//",
        "https://api.example.com/a;b",
        "https://api.example.com/%2e",
        "https://*.example.com",
        "https://api.example.com.",
        "https:///api.example.com",
        "",
        "/api",
        "http://10.0.0.1",
        "http://169.254.169.254",
        "http://localhost@evil.example",
        "ftp://api.example.com",
        "https://api.example.com\\@evil.example",
    ] {
        let patch = json!({ "upstream": { "service": null, "url": url } });
        assert_eq!(keys(&with_route(&patch)), ["routes[0].upstream.url"], "{url:?}");
    }
    for (url, origin, path) in [
        ("https://api.example.com", "https://api.example.com", ""),
        ("https://api.example.com/", "https://api.example.com", ""),
        ("https://api.example.com:8443/a/b/", "https://api.example.com:8443", "/a/b"),
        ("http://[::1]:9000/v1", "http://[::1]:9000", "/v1"),
    ] {
        let config = accept(&with_route(&json!({ "upstream": { "service": null, "url": url } })));
        let upstream = Upstream::Url { origin: origin.to_owned(), path: path.to_owned() };
        assert_eq!(config.routes.first().unwrap().upstream, upstream, "{url}");
    }
}

#[test]
fn a_route_that_is_never_reached_is_named() {
    let cases = [
        (["/api/*", "/api/*"], true),
        (["/api/x", "/api/x"], true),
        (["/api/*", "/api/x"], true),
        (["/api/*", "/api"], true),
        (["/api/*", "/api/"], true),
        (["/api/*", "/api/x/*"], true),
        (["/*", "/x"], true),
        (["/api/x", "/api/*"], false),
        (["/api/x", "/api/x/"], false),
        (["/api/x", "/api/x/*"], false),
        (["/api/*", "/apis/*"], false),
        (["/api/x/*", "/*"], false),
    ];
    for (paths, is_fault) in cases {
        let routes = paths.map(|path| json!({ "path": path, "upstream": { "service": "API" } }));
        let expected: &[&str] = if is_fault { &["routes[1].path"] } else { &[] };
        assert_eq!(keys(&with(&json!({ "routes": routes }))), expected, "{paths:?}");
    }
}

#[test]
fn a_token_goes_to_several_upstreams_only_where_that_is_said() {
    let (a, b) = (json!({ "url": "https://a.example" }), json!({ "url": "https://b.example" }));
    let route = |path: &str, upstream: &Value, more: &Value| {
        let mut route = json!({ "path": path, "upstream": upstream });
        json::merge_patch(&mut route, more);
        route
    };
    let (bare, service, assets) =
        (json!({}), json!({"service": "API"}), json!({"service": "ASSETS"}));
    let resource = json!({ "resource": "urn:x" });
    let shared = json!({ "share_token": true });
    let anonymous = json!({ "session": "anonymous" });
    let optional = json!({ "session": "optional" });
    let same = json!({ "url": "https://a.example/v2" });
    let cases: [(&Value, &Value, &Value, &Value, &[usize]); 11] = [
        (&a, &bare, &b, &bare, &[0, 1]),
        (&a, &resource, &b, &bare, &[1]),
        (&a, &resource, &b, &resource, &[]),
        (&a, &shared, &b, &shared, &[]),
        (&a, &shared, &b, &resource, &[]),
        (&a, &shared, &b, &bare, &[1]),
        (&a, &bare, &b, &anonymous, &[]),
        (&a, &bare, &b, &optional, &[0, 1]),
        (&a, &bare, &same, &bare, &[]),
        (&a, &bare, &service, &bare, &[0, 1]),
        (&a, &bare, &assets, &bare, &[]),
    ];
    for (first, more_first, second, more_second, faulty) in cases {
        let routes = [route("/a/*", first, more_first), route("/b/*", second, more_second)];
        let expected: Vec<_> = faulty.iter().map(|i| format!("routes[{i}].resource")).collect();
        assert_eq!(keys(&with(&json!({ "routes": routes }))), expected, "{routes:?}");
    }
}
