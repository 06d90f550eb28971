use super::*;
use crate::http::testing::{NOW, https_origin, loopback_origin};

const NAME: &str = "__Host-Http-tokenkeep";

// attack list 6.5, 91, 96.
#[test]
fn only_one_well_formed_session_cookie_counts() {
    for (cookie, expected) in [
        ("", None),
        (";;;", None),
        ("=", None),
        ("a", None),
        (" ;", None),
        ("__Host-Http-tokenkeep", None),
        ("__Host-Http-tokenkeep=v", Some("v")),
        ("a=1; __Host-Http-tokenkeep=v; b=2", Some("v")),
        ("a=1;__Host-Http-tokenkeep=v;b=2", Some("v")),
        ("a=1;\t__Host-Http-tokenkeep=v", Some("v")),
        ("__Host-Http-tokenkeep=", Some("")),
        ("__Host-Http-tokenkeep=v=w", Some("v=w")),
        ("__Host-Http-tokenkeep=\"v\"", Some("\"v\"")), // not unquoted: the tag won't fit
        ("__Host-Http-tokenkeep=%76", Some("%76")),     // not decoded
        ("__Host-Http-tokenkeep=v; __Host-Http-tokenkeep=w", None),
        ("__Host-Http-tokenkeep=v; __Host-Http-tokenkeep=v", None),
        // Two Cookie headers arrive joined with a comma.
        ("a=1, __Host-Http-tokenkeep=v", None),
        ("__Host-Http-tokenkeep=v, a=1", Some("v, a=1")),
        ("__Host-Http-tokenkeep=v, __Host-Http-tokenkeep=w", None),
        ("__Host-Http-tokenkeep=v; a=1, __Host-Http-tokenkeep=w", None),
        ("a=1, __Host-Http-tokenkeep=w; __Host-Http-tokenkeep=v", None),
        ("a=1,__Host-Http-tokenkeep =w; __Host-Http-tokenkeep=v", None),
        // A name is exact; a browser lets a plain page set some of these.
        ("__host-http-tokenkeep=v", None),
        ("__HOST-HTTP-TOKENKEEP=v", None),
        ("__Host-tokenkeep=v", None),
        ("__Http-tokenkeep=v", None),
        ("tokenkeep=v", None),
        ("__Host-Http-tokenkeep2=v", None),
        ("__Host-Http-tokenkeep =v", None),
        ("__Host-Http-tokenkeep-login-1-x=v", None),
        // A cookie without a name.
        ("=__Host-Http-tokenkeep=v", None),
        ("=__Host-Http-tokenkeep=w; __Host-Http-tokenkeep=v", Some("v")),
    ] {
        assert_eq!(session(Some(cookie), &https_origin()), expected, "{cookie:?}");
    }
    assert_eq!(session(None, &https_origin()), None);
}

#[test]
fn ten_thousand_cookies_are_read_once() {
    let many = "a=1; ".repeat(10_000);
    assert_eq!(session(Some(&format!("{many}{NAME}=v")), &https_origin()), Some("v"));
    assert_eq!(session(Some(&many), &https_origin()), None);
}

#[test]
fn on_loopback_the_port_is_in_the_name_and_the_prefix_is_not() {
    let origin = loopback_origin();
    assert_eq!(session_name(&origin), "tokenkeep-8787");
    assert_eq!(session(Some("tokenkeep-8787=v; tokenkeep-5173=w"), &origin), Some("v"));
    assert_eq!(session(Some("__Host-Http-tokenkeep=v"), &origin), None);
    let cookie = set_session(&origin, "v", Duration::from_secs(60));
    assert_eq!(cookie, "tokenkeep-8787=v; HttpOnly; SameSite=Strict; Path=/; Max-Age=60");
}

#[test]
fn the_session_cookie_has_every_attribute_also_when_it_is_deleted() {
    // CVE-2025-55162: without Secure and Path a browser keeps the prefixed cookie.
    assert_eq!(
        set_session(&https_origin(), "v", Duration::from_secs(86_400)),
        "__Host-Http-tokenkeep=v; HttpOnly; SameSite=Strict; Secure; Path=/; Max-Age=86400"
    );
    assert_eq!(
        delete_session(&https_origin()),
        "__Host-Http-tokenkeep=; HttpOnly; SameSite=Strict; Secure; Path=/; Max-Age=0"
    );
}

#[test]
fn a_transaction_is_found_by_its_state_alone() {
    let origin = https_origin();
    let mine = transaction_name(&origin, NOW, "mine");
    let other = transaction_name(&origin, NOW, "other");
    assert!(mine.starts_with("__Host-Http-tokenkeep-login-1800000000-"), "{mine}");
    let cookie = format!("{other}=b; {mine}=a; {NAME}=s");
    let found = transaction(Some(&cookie), &origin, "mine").unwrap();
    assert_eq!((found.name, found.value, found.issued), (mine.as_str(), "a", NOW));
    assert_eq!(transaction(Some(&cookie), &origin, "third"), None);
    assert_eq!(transaction(Some(&cookie), &origin, ""), None);
    assert_eq!(transaction(Some(&cookie), &loopback_origin(), "mine"), None);
    // Twice, or once more under another time: which one is meant?
    let doubled = format!("{mine}=a; {mine}=c");
    assert_eq!(transaction(Some(&doubled), &origin, "mine"), None);
    let later = transaction_name(&origin, NOW.after(Duration::from_secs(1)), "mine");
    assert_eq!(transaction(Some(&format!("{mine}=a; {later}=c")), &origin, "mine"), None);
}

#[test]
fn at_most_five_logins_stay_under_way_and_the_oldest_goes() {
    let origin = https_origin();
    let names: Vec<_> = (0..6)
        .map(|at| transaction_name(&origin, NOW.after(Duration::from_secs(at)), &at.to_string()))
        .collect();
    let cookie =
        |range: &[String]| range.iter().rev().map(|n| format!("{n}=x; ")).collect::<String>();
    assert!(surplus_transactions(Some(&cookie(&names[..4])), &origin).is_empty());
    assert_eq!(surplus_transactions(Some(&cookie(&names[..5])), &origin), [&names[0]]);
    assert_eq!(surplus_transactions(Some(&cookie(&names)), &origin), [&names[0], &names[1]]);
    assert!(surplus_transactions(None, &origin).is_empty());
}

// attack list 96: the work for a header must not grow with its square. It took seconds on wasm.
#[test]
fn thousands_of_transactions_in_one_header_are_read_once() {
    let origin = https_origin();
    let mine = transaction_name(&origin, NOW, "mine");
    let names = (0..20_000_u64).map(|at| transaction_name(&origin, NOW, &at.to_string()));
    let mut cookie = names.map(|name| format!("{name}=x; ")).collect::<String>();
    cookie.push_str("a=");
    cookie.push_str(&",".repeat(100_000));
    assert_eq!(transaction(Some(&cookie), &origin, "other"), None);
    assert_eq!(surplus_transactions(Some(&cookie), &origin).len(), 20_000 + 1 - MAX_TRANSACTIONS);
    let cookie = format!("{cookie}; {mine}=v");
    assert_eq!(transaction(Some(&cookie), &origin, "mine").unwrap().value, "v");
}

#[test]
fn what_only_looks_like_a_transaction_is_none() {
    const PREFIX: &str = "__Host-Http-tokenkeep-login-";

    for name in [
        "__Host-Http-tokenkeep-login-",
        "__Host-Http-tokenkeep-login-x-AAAAAAAAAAAAAAAA",
        "__Host-Http-tokenkeep-login-1",
        "__Host-Http-tokenkeep-login-1-short",
        "__Host-Http-tokenkeep-login-99999999999999999999999-AAAAAAAAAAAAAAAA",
        "__host-http-tokenkeep-login-1-AAAAAAAAAAAAAAAA",
    ] {
        assert_eq!(transaction_names(&format!("{name}=v"), PREFIX).count(), 0, "{name}");
    }
    let good = "__Host-Http-tokenkeep-login-1-AAAAAAAAAAAAAAAA=v";
    assert_eq!(transaction_names(good, PREFIX).count(), 1);
}

#[test]
fn a_posted_callback_needs_a_cookie_that_other_sites_bring() {
    let lifetime = Duration::from_secs(600);
    let lax = set_transaction(&https_origin(), "n", "v", ResponseMode::Query, lifetime);
    assert_eq!(lax, "n=v; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=600");
    let none = set_transaction(&https_origin(), "n", "v", ResponseMode::FormPost, lifetime);
    assert_eq!(none, "n=v; HttpOnly; SameSite=None; Secure; Path=/; Max-Age=600");
    let gone = delete_transaction(&https_origin(), "n", ResponseMode::FormPost);
    assert_eq!(gone, "n=; HttpOnly; SameSite=None; Secure; Path=/; Max-Age=0");
}

#[test]
fn attempts_logout_state_and_the_reload_mark_come_back() {
    let origin = https_origin();
    for (cookie, expected) in [
        ("__Host-Http-tokenkeep-attempts=3", 3),
        ("__Host-Http-tokenkeep-attempts=-1", 0),
        ("__Host-Http-tokenkeep-attempts=99999999999", 0),
        ("a=1", 0),
    ] {
        assert_eq!(attempts(Some(cookie), &origin), expected, "{cookie}");
    }
    assert_eq!(
        set_attempts(&origin, 2),
        "__Host-Http-tokenkeep-attempts=2; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=60"
    );
    let set = set_logout_state(&origin, "s");
    assert_eq!(logout_state(set.split(';').next(), &origin), Some("s"));
    let set = set_reloaded(&origin);
    assert!(was_reloaded(set.split(';').next(), &origin));
    assert!(!was_reloaded(Some("a=1"), &origin));
    assert!(!was_reloaded(None, &origin));
}

#[test]
fn what_is_written_is_what_the_cookie_crate_writes() {
    for origin in [https_origin(), loopback_origin()] {
        for (mode, same_site) in
            [(ResponseMode::Query, SameSite::Lax), (ResponseMode::FormPost, SameSite::None)]
        {
            let written = set_transaction(&origin, "n", "v", mode, Duration::from_secs(600));
            let cookie = cookie::Cookie::build(("n", "v"))
                .path("/")
                .max_age(cookie::time::Duration::seconds(600))
                .http_only(true)
                .secure(!origin.is_loopback_http)
                .same_site(same_site);
            assert_eq!(written, cookie.to_string());
        }
    }
}
