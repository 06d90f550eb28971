use super::*;

const WITH_TOKEN: ResponseRules =
    ResponseRules { navigation: Navigation::Refuse, is_personal: true };
const BARE: ResponseRules = ResponseRules { navigation: Navigation::Refuse, is_personal: false };

fn set<'a>(edit: &'a ResponseEdit<'_>, name: &str) -> Option<&'a str> {
    let mut found = edit.set.iter().filter(|(n, _)| *n == name).map(|(_, v)| v.as_ref());
    let value = found.next();
    assert_eq!(found.next(), None, "{name} is set twice");
    value
}

#[test]
fn what_acts_on_the_whole_origin_is_removed() {
    let hostile = [
        ("set-cookie", "__Host-Http-tokenkeep=x; Secure; Path=/"),
        ("clear-site-data", "\"*\""),
        ("service-worker-allowed", "/"),
        ("access-control-allow-origin", "*"),
        ("access-control-allow-credentials", "true"),
        ("access-control-expose-headers", "*"),
        ("nel", "{}"),
        ("report-to", "{}"),
        ("reporting-endpoints", "a=\"https://evil.example\""),
        ("tokenkeep-error", "unauthenticated"),
        ("alt-svc", "h3=\":443\""),
        ("strict-transport-security", "max-age=0"),
        ("public-key-pins", "x"),
        ("refresh", "0;url=https://evil.example"),
        ("secure-session-registration", "x"),
        ("use-as-dictionary", "match=\"/*\""),
        ("content-security-policy-report-only", "report-uri https://evil.example"),
        // Hop-by-hop (RFC 9110 §7.6.1).
        ("connection", "X-Hop"),
        ("x-hop", "1"),
        ("keep-alive", "timeout=5"),
        ("transfer-encoding", "chunked"),
        ("trailer", "x"),
        ("upgrade", "h2c"),
        ("proxy-authenticate", "Basic"),
        ("www-authenticate", "Basic realm=\"x\""),
        ("www-authenticate", "Bearer, Negotiate"),
    ];
    let edit = edit(BARE, 200, &hostile, None).unwrap();
    assert_eq!(edit.drop, hostile.map(|(name, _)| name));
}

#[test]
fn what_is_the_apis_own_business_stays() {
    let own = [
        ("content-type", "application/json"),
        ("etag", "\"x\""),
        ("www-authenticate", "Bearer error=\"invalid_token\""),
        ("cache-control", "public, max-age=60"),
        ("cdn-cache-control", "max-age=60"),
        ("vary", "Accept"),
        ("x-request-id", "1"),
        ("retry-after", "1"),
        ("link", "</x>; rel=next"),
        ("accept-ranges", "bytes"),
    ];
    let edit = edit(BARE, 200, &own, None).unwrap();
    assert!(edit.drop.is_empty(), "{:?}", edit.drop);
    assert_eq!(set(&edit, "cache-control"), None);
    assert_eq!(set(&edit, "vary"), None);
}

#[test]
fn the_list_is_in_the_order_that_the_search_needs() {
    assert!(DROPPED.is_sorted());
}

#[test]
fn data_is_marked_as_data_and_a_page_isnt() {
    for navigation in [Navigation::Refuse, Navigation::Download, Navigation::Page] {
        let rules = ResponseRules { navigation, is_personal: false };
        let edit = edit(rules, 200, &[("content-security-policy", "x")], None).unwrap();
        let is_page = navigation == Navigation::Page;
        assert_eq!(set(&edit, "x-content-type-options"), Some("nosniff"));
        assert_eq!(set(&edit, "content-security-policy"), (!is_page).then_some("sandbox"));
        assert_eq!(set(&edit, "cross-origin-resource-policy"), (!is_page).then_some("same-origin"));
        let attachment = (navigation == Navigation::Download).then_some("attachment");
        assert_eq!(set(&edit, "content-disposition"), attachment);
    }
}

#[test]
fn a_download_is_an_attachment_under_the_apis_own_file_name() {
    let rules = ResponseRules { navigation: Navigation::Download, is_personal: false };
    for (said, expected) in [
        ("inline", "attachment"),
        ("inline; filename=\"a.pdf\"", "attachment; filename=\"a.pdf\""),
        ("attachment; filename=a", "attachment; filename=a"),
        ("inline;", "attachment"),
        ("", "attachment"),
    ] {
        let headers = [("content-disposition", said)];
        let edit = edit(rules, 200, &headers, None).unwrap();
        assert_eq!(set(&edit, "content-disposition"), Some(expected), "{said}");
    }
}

// CVE-2025-48947, RUSTSEC-2026-0035: nobody else's cache.
#[test]
fn with_a_token_nothing_lands_in_a_shared_cache() {
    for (said, expected) in [
        (None, "private, no-cache"),
        (Some(""), "private"),
        (Some("no-store"), "no-store"),
        (Some("public, No-Store, max-age=60"), "no-store"),
        (Some("public, max-age=60, s-maxage=600"), "private, max-age=60"),
        (Some("PUBLIC,S-MAXAGE=600"), "private"),
        (Some("private"), "private"),
        (Some("private=\"set-cookie\", max-age=1"), "private, max-age=1"),
        (Some("no-cache, must-revalidate"), "private, no-cache, must-revalidate"),
        (Some("proxy-revalidate, immutable"), "private, immutable"),
    ] {
        let headers: Vec<_> = said.map(|said| ("cache-control", said)).into_iter().collect();
        let edit = edit(WITH_TOKEN, 200, &headers, None).unwrap();
        assert_eq!(set(&edit, "cache-control"), Some(expected), "{said:?}");
    }
    let headers = [("cdn-cache-control", "max-age=60"), ("surrogate-control", "max-age=60")];
    assert_eq!(edit(WITH_TOKEN, 200, &headers, None).unwrap().drop.len(), 2);
}

#[test]
fn with_a_token_the_answer_varies_by_cookie() {
    for (said, expected) in [
        (None, "Cookie"),
        (Some(""), "Cookie"),
        (Some("Accept"), "Accept, Cookie"),
        (Some("accept, COOKIE"), "accept, COOKIE"),
        (Some("*"), "*"),
        (Some("Accept, *"), "*"),
    ] {
        assert_eq!(vary_cookie(said), expected, "{said:?}");
    }
}

#[test]
fn a_location_is_replaced_kept_or_refused() {
    let headers = [("location", "x")];
    let ours = edit(BARE, 302, &headers, Some(Location::Ours("/api/y".to_owned()))).unwrap();
    assert_eq!(set(&ours, "location"), Some("/api/y"));
    let foreign = edit(BARE, 302, &headers, Some(Location::Foreign)).unwrap();
    assert_eq!(set(&foreign, "location"), None);
    assert!(foreign.drop.is_empty());
    assert_eq!(
        edit(BARE, 302, &headers, Some(Location::Refused)),
        Err(ProblemCode::UpstreamRedirectRefused)
    );
    // A 201 isn't followed: its Location is merely of no use.
    assert_eq!(edit(BARE, 201, &headers, Some(Location::Refused)).unwrap().drop, ["location"]);
}

#[test]
fn only_statuses_that_the_runtime_can_build_go_through() {
    for status in [0, 99, 100, 101, 103, 199, 600, 999] {
        assert_eq!(check_status(status), Err(ProblemCode::UpstreamStatusInvalid), "{status}");
    }
    for status in [200, 204, 304, 418, 599] {
        assert_eq!(check_status(status), Ok(()), "{status}");
    }
}

/// What the entry hands over of a response, and what it drops without asking.
fn handed_over<'a>(headers: &[(&'a str, &'a str)]) -> (Vec<(&'a str, &'a str)>, Vec<&'a str>) {
    let whole = |name: &str, value: &str| kind(name) & kinds::WHOLE != 0 && value != "keep-alive";
    if headers.iter().any(|(name, value)| whole(name, value)) {
        return (headers.to_vec(), vec![]);
    }
    let read = headers.iter().filter(|(name, _)| kind(name) & kinds::READ != 0);
    let dropped = headers.iter().filter(|(name, _)| kind(name) & kinds::DROPPED != 0);
    (read.copied().collect(), dropped.map(|(name, _)| *name).collect())
}

#[test]
fn what_is_not_handed_over_changes_nothing_that_is_not_dropped_anyway() {
    let known = DROPPED.iter().chain(READ).chain(DROPPED_IF_PERSONAL).copied();
    let names: Vec<_> = known.chain(["access-control-allow-origin", "etag", "x-a"]).collect();
    let rules = ResponseRules::TEXTS.map(|(_, rules)| rules);
    for value in ["", "keep-alive", "x-a, etag", "basic", "public, max-age=60", "text/event-stream"]
    {
        for name in &names {
            let headers = [("vary", "accept"), (*name, value), ("x-a", "1"), ("etag", "2")];
            let (read, dropped) = handed_over(&headers);
            for rules in rules {
                let whole = edit(rules, 200, &headers, None).unwrap();
                let mut part = edit(rules, 200, &read, None).unwrap();
                assert_eq!(part.set, whole.set, "{name}: {value}");
                part.drop.extend(dropped.iter().copied());
                part.drop.sort_unstable();
                part.drop.dedup();
                let mut drop = whole.drop.clone();
                drop.sort_unstable();
                drop.dedup();
                assert_eq!(part.drop, drop, "{name}: {value}");
                assert_eq!(rules.plain(200, &headers), rules.plain(200, &read).map(|_| whole));
            }
        }
    }
}

#[test]
fn rules_come_back_as_they_went() {
    for (text, rules) in ResponseRules::TEXTS {
        assert_eq!((rules.as_str(), ResponseRules::parse(text)), (text, Some(rules)));
    }
    assert_eq!(ResponseRules::parse(""), None);
    assert!(READ.is_sorted() && DROPPED.is_sorted());
}
