use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha2::{Digest as _, Sha256};

use super::*;
use crate::http::testing::{config, https_origin, loopback_origin};

fn header<'a>(answer: &'a Answer, name: &str) -> Option<&'a str> {
    answer.headers.iter().find(|(n, _)| *n == name).map(|(_, v)| v.as_ref())
}

fn pages() -> Vec<Answer> {
    let (config, origin) = (config(), https_origin());
    let mut pages: Vec<_> =
        ProblemCode::ALL.iter().map(|code| error(&origin, *code, "01JD-EVENT", None)).collect();
    pages.push(unauthenticated(&config, &origin, "/reports"));
    pages.push(button(&origin, "/auth/login?return_to=%2F"));
    pages.push(reload(&origin, "/reports"));
    pages
}

#[test]
fn the_policy_knows_the_style_by_its_hash() {
    let hash = STANDARD.encode(Sha256::digest(STYLE));
    assert!(POLICY.contains(&format!("style-src 'sha256-{hash}'")), "{hash}");
    assert!(!STYLE.contains('<') && !STYLE.contains("url("));
}

// attack list H15.
#[test]
fn every_page_has_the_strict_headers_and_no_script() {
    for page in pages() {
        let policy = header(&page, "content-security-policy").unwrap();
        for part in [
            "default-src 'none'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
            "form-action 'self'",
        ] {
            assert!(policy.contains(part), "{policy}");
        }
        assert!(!policy.contains("unsafe"));
        assert_eq!(header(&page, "content-type"), Some("text/html; charset=utf-8"));
        assert_eq!(header(&page, "cache-control"), Some("no-store"));
        assert_eq!(header(&page, "referrer-policy"), Some("no-referrer"));
        assert_eq!(header(&page, "x-content-type-options"), Some("nosniff"));
        assert_eq!(header(&page, "cross-origin-opener-policy"), Some("same-origin"));
        assert!(header(&page, "strict-transport-security").is_some());
        for forbidden in ["<script", "javascript:", " on", "style=", "<img", "<link", "src="] {
            let hit = page.body.to_lowercase().contains(forbidden);
            assert!(!hit || forbidden == " on" && !page.body.contains(" onload"), "{forbidden}");
        }
        assert_eq!(page.body.matches("<main>").count(), 1);
        assert!(page.body.ends_with("</main></body></html>"));
    }
}

#[test]
fn an_error_page_says_its_code_and_the_event_id() {
    let login = login_url(&config(), &ReturnTo::root());
    let page = error(&https_origin(), ProblemCode::LoginExpired, "01JD-EVENT", Some(&login));
    assert_eq!(page.status, 400);
    assert_eq!(header(&page, "tokenkeep-error"), Some("login_expired"));
    assert!(page.body.contains("login_expired · 01JD-EVENT"));
    assert_eq!(links(&page), [("/auth/login", "Try again"), ("/", "Back to the app")]);
}

/// The links of a page, the one that is offered first in front.
fn links(page: &Answer) -> Vec<(&str, &str)> {
    let link = |part| -> Option<(&str, &str)> {
        let (_, link): (&str, &str) = str::split_once(part, "href=\"")?;
        let (href, label) = link.split_once("\">")?;
        Some((href, label.split_once("</a>")?.0))
    };
    let found: Vec<_> = page.body.split("<a").skip(1).filter_map(link).collect();
    assert_eq!(page.body.matches("class=\"key\"").count(), 1);
    assert!(page.body.contains("<nav><a class=\"key\""), "the first is the one to take");
    found
}

#[test]
fn another_try_is_offered_where_it_is_an_answer_and_leads_back_to_where_the_login_would_have() {
    let (config, origin) = (config(), https_origin());
    let app = ("/", "Back to the app");
    assert_eq!(links(&error(&origin, ProblemCode::LogoutLinkUsed, "id", None)), [app]);
    let inbox = ReturnTo::parse("/inbox?x=1&y=2#top", &origin, "/auth").unwrap();
    let login = login_url(&config, &inbox);
    let again = ("/auth/login?return_to=%2Finbox%3Fx%3D1%26y%3D2%23top", "Try again");
    let page = error(&origin, ProblemCode::CodeRefused, "id", Some(&login));
    assert_eq!(links(&page), [again, app]);
    let page = error(&origin, ProblemCode::LoginNotFound, "id", Some(&login));
    assert_eq!(links(&page), [app, again], "the person may be logged in");
}

#[test]
fn nothing_that_a_url_holds_becomes_markup() {
    let hostile = "/x?a=\"><script>alert('1')</script>&b=<img>";
    for page in [
        button(&https_origin(), hostile),
        reload(&https_origin(), hostile),
        error(&https_origin(), ProblemCode::Internal, hostile, None),
        error(&https_origin(), ProblemCode::Internal, "id", Some(hostile)),
    ] {
        assert!(!page.body.contains("<script") && !page.body.contains("<img"), "{}", page.body);
        let escaped =
            "/x?a=&quot;&gt;&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&amp;b=&lt;img&gt;";
        assert!(page.body.contains(escaped), "{}", page.body);
    }
    let page = unauthenticated(&config(), &https_origin(), "/a?x=1&scope=admin#\"");
    assert!(page.body.contains("/auth/login?return_to=%2Fa%3Fx%3D1%26scope%3Dadmin%23%22\""));
}

#[test]
fn the_reload_page_navigates_by_itself_and_offers_a_link() {
    let page = reload(&https_origin(), "/reports?x=1");
    assert_eq!(page.status, 200);
    assert!(page.body.contains("http-equiv=\"refresh\" content=\"0;url=/reports?x=1\""));
    assert!(page.body.contains("<a class=\"key\" href=\"/reports?x=1\">"));
}

#[test]
fn loopback_gets_no_transport_policy() {
    assert_eq!(header(&button(&loopback_origin(), "/x"), "strict-transport-security"), None);
}

#[test]
fn a_page_is_small() {
    for page in pages() {
        assert!(page.body.len() < 4096, "{}", page.body.len());
    }
}
