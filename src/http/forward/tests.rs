use super::*;
use crate::http::testing::{APP, api, config_with_routes, https_origin, route as route_to};

fn upstream(route: &mut Route, path: &str) {
    route.upstream =
        Upstream::Url { origin: "https://api.example.com".to_owned(), path: path.to_owned() };
}

fn url(route: &Route, path: &str, query: Option<&str>) -> String {
    let url = UpstreamUrl::new(route, &https_origin(), RequestPath::parse(path).unwrap(), query);
    url.as_str().to_owned()
}

#[test]
fn the_path_goes_on_byte_for_byte_below_the_base() {
    let mut plain = api();
    assert_eq!(url(&plain, "/api/x%20y", None), "https://api.example.com/api/x%20y");
    assert_eq!(url(&plain, "/api/x", Some("")), "https://api.example.com/api/x?");
    assert_eq!(url(&plain, "/api/x", Some("a=/../b")), "https://api.example.com/api/x?a=/../b");
    upstream(&mut plain, "/v1");
    assert_eq!(url(&plain, "/api/x", None), "https://api.example.com/v1/api/x");
    plain.strip_prefix = true;
    assert_eq!(url(&plain, "/api/x", None), "https://api.example.com/v1/x");
    assert_eq!(url(&plain, "/api", Some("q")), "https://api.example.com/v1?q");
    assert_eq!(url(&plain, "/api/", None), "https://api.example.com/v1/");
    upstream(&mut plain, "");
    assert_eq!(url(&plain, "/api", Some("q")), "https://api.example.com/?q");
    let mut exact = route_to(RoutePath::Exact("/api/x".to_owned()));
    exact.strip_prefix = true;
    assert_eq!(url(&exact, "/api/x", None), "https://api.example.com/api/x");
}

// attack list 6.2: `https://api.example` + `.evil.com`, `@evil.com/`, `:8080`.
#[test]
fn no_path_changes_the_host() {
    let mut everything = route_to(RoutePath::Prefix(String::new()));
    for strip in [false, true] {
        everything.strip_prefix = strip;
        for path in ["/@evil.com/x", "/.evil.com", "/:8080/x", "/%5Bx", "/a@b:1"] {
            let Ok(parsed) = RequestPath::parse(path) else { continue };
            let url = UpstreamUrl::new(&everything, &https_origin(), parsed, None);
            let url = Url::parse(url.as_str()).unwrap();
            assert_eq!(url.host_str(), Some("api.example.com"), "{path}");
            assert_eq!((url.path(), url.port(), url.username()), (path, None, ""), "{path}");
        }
    }
}

#[test]
fn a_service_is_asked_under_our_own_origin() {
    let mut service = api();
    service.upstream = Upstream::Service { binding: "API".to_owned() };
    assert_eq!(url(&service, "/api/x", Some("q")), format!("{APP}/api/x?q"));
}

fn mapped(route: Route, path: &str, location: &str) -> Location {
    // A second route takes part of the first's paths: it lies before it.
    let before = route_to(RoutePath::Prefix("/api/other".to_owned()));
    let config = config_with_routes([before, route]);
    let route = &config.routes[1];
    let url =
        UpstreamUrl::new(route, &https_origin(), RequestPath::parse(path).unwrap(), Some("q=1"));
    map_location(&config, route, APP, &url, location)
}

#[test]
fn a_location_maps_back_into_its_route_or_not_at_all() {
    let ours = |path: &str| Location::Ours(path.to_owned());
    for (location, expected) in [
        ("/api/y", ours("/api/y")),
        ("y", ours("/api/y")),
        ("./y?a=b#c", ours("/api/y?a=b#c")),
        ("../api/y", ours("/api/y")),
        ("?p=2", ours("/api/x?p=2")),
        ("", ours("/api/x?q=1")),
        ("https://api.example.com/api/y", ours("/api/y")),
        ("https://API.example.com:443/api/y", ours("/api/y")),
        ("//api.example.com/api/y", ours("/api/y")),
        ("/login", Location::Refused),
        ("/", Location::Refused),
        ("/apiary", Location::Refused),
        ("../../etc", Location::Refused),
        ("/api/other/y", Location::Refused), // another route's
        ("/api//evil.example", Location::Refused),
        ("/api/%2e%2e%2fadmin", Location::Refused),
        ("https://other.example/x", Location::Foreign),
        ("//other.example/x", Location::Foreign),
        ("/\\other.example/x", Location::Foreign), // as a browser reads it
        ("http://api.example.com/api/y", Location::Foreign),
        ("https://api.example.com:444/api/y", Location::Foreign),
        ("https://api.example.com.evil.example/api", Location::Foreign),
        ("https://u:p@api.example.com/api/y", Location::Refused),
        ("https://:p@api.example.com/api/y", Location::Refused),
        ("https://api.example.com@evil.example/", Location::Refused),
        ("javascript:alert(1)", Location::Refused),
        ("data:text/html,x", Location::Refused),
        ("https://", Location::Refused),
    ] {
        assert_eq!(mapped(api(), "/api/x", location), expected, "{location}");
    }
}

#[test]
fn a_location_gets_the_prefix_back_that_was_cut_off() {
    let mut stripped = api();
    stripped.strip_prefix = true;
    upstream(&mut stripped, "/v1");
    for (location, expected) in [
        ("/v1/y", Some("/api/y")),
        ("/v1", Some("/api")),
        ("/v1/", Some("/api/")),
        ("y", Some("/api/y")),
        ("/v1/auth/login", Some("/api/auth/login")),
        ("/v1x/y", None),
        ("/v2/y", None),
        ("/v1/other/y", None), // would come to the other route
        ("/", None),
    ] {
        let expected = expected.map_or(Location::Refused, |path| Location::Ours(path.to_owned()));
        assert_eq!(mapped(stripped.clone(), "/api/x", location), expected, "{location}");
    }
}

#[test]
fn a_redirect_never_leads_to_our_own_endpoints() {
    let everything = route_to(RoutePath::Prefix(String::new()));
    for location in ["/auth/logout", "/auth/login", "/auth", "//api.example.com/auth/callback"] {
        assert_eq!(mapped(everything.clone(), "/x", location), Location::Refused, "{location}");
    }
    assert_eq!(mapped(everything, "/x", "/y"), Location::Ours("/y".to_owned()));
}

#[test]
fn a_query_doesnt_show_in_debug() {
    let url = UpstreamUrl::new(
        &api(),
        &https_origin(),
        RequestPath::parse("/api/x").unwrap(),
        Some("code=1"),
    );
    assert!(!format!("{url:?}").contains("code"));
}
