//! The pages that a person sees: an error, the button before a login, the page that navigates
//! again. No script, nothing loaded from anywhere, one style that the policy knows by its hash.

use std::{borrow::Cow, fmt};

use super::{
    message::Answer,
    problem::{ProblemCode, common_headers, error_headers},
    return_to::ReturnTo,
};
use crate::config::{Config, Origin};

const STYLE: &str = include_str!("page.css");

/// A test computes the style's hash again. No `form-action` beyond our own; the pages use links,
/// which Chromium doesn't hold to `form-action` when they are redirected to the provider.
const POLICY: &str = "default-src 'none'; \
     style-src 'sha256-Tw7ZlSH92ai3RveqwAK30Z5YhvuptqrfQIycxuDioKU='; \
     form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

const ICON: &str = "<svg viewBox=\"0 0 40 40\" fill=\"none\" stroke=\"currentColor\" \
     stroke-width=\"3\" stroke-linecap=\"round\" aria-hidden=\"true\">\
     <circle cx=\"20\" cy=\"20\" r=\"17\"/><circle cx=\"20\" cy=\"17\" r=\"4\"/>\
     <path d=\"M20 21v8\"/></svg>";

/// An error, with the way back to the app and the id under which the log has it. `again` is the
/// URL of a login ([`login_url`]), where another one can be the answer. All text comes from the
/// code's row.
pub fn error(origin: &Origin, code: ProblemCode, event_id: &str, again: Option<&str>) -> Answer {
    let row = code.problem();
    let app = Some(("Back to the app", "/"));
    let again = again.map(|login| ("Try again", login));
    // A finished login's callback, opened again, ends there too: the person is logged in.
    let is_in_perhaps = code == ProblemCode::LoginNotFound;
    let links = if is_in_perhaps { [app, again] } else { [again, app] };
    let links: Vec<_> = links.into_iter().flatten().collect();
    let note = Note { event_id: Some(event_id), code: Some(code) };
    let mut page = html(origin, row.status, "", row.title, row.detail, &links, &note);
    error_headers(&mut page.headers, code);
    page
}

/// 401 for a document: where to log in. `return_to` is the path and query that were asked for.
pub fn unauthenticated(config: &Config, origin: &Origin, return_to: &str) -> Answer {
    let code = ProblemCode::Unauthenticated;
    let row = code.problem();
    let login = login_to(config, return_to);
    let links = [("Log in", login.as_str()), ("Back to the app", "/")];
    let note = Note { event_id: None, code: None };
    let mut page = html(origin, row.status, "", row.title, row.detail, &links, &note);
    error_headers(&mut page.headers, code);
    page
}

/// The page before a login that another site began: the person goes on, or doesn't. `href` is
/// the login's own URL; the link makes its GET same-origin.
pub fn button(origin: &Origin, href: &str) -> Answer {
    let links = [("Continue to login", href), ("Back to the app", "/")];
    let text = "Another site sent you here to log in. Go on only if that is what you want.";
    html(origin, 200, "", "Log in to this application?", text, &links, &Note::default())
}

/// The page that navigates to `href` again, once: a navigation that another site began doesn't
/// bring a `Strict` cookie, the one from this page does. The caller marks it with
/// [`super::cookies::set_reloaded`]. That this page sends no `Referer` tells its navigation from
/// the app's own: no token goes along with it.
pub fn reload(origin: &Origin, href: &str) -> Answer {
    let refresh = format!("<meta http-equiv=\"refresh\" content=\"0;url={}\">", Escaped(href));
    let links = [("Continue", href)];
    html(origin, 200, &refresh, "One moment", "Opening the page…", &links, &Note::default())
}

/// The answer to a frame of the provider's: nothing to see, and nobody else may frame it.
pub fn framed(provider_origin: &str) -> Answer {
    let policy = format!("default-src 'none'; base-uri 'none'; frame-ancestors {provider_origin}");
    let mut headers = common_headers();
    headers.push(("content-type", Cow::Borrowed("text/html; charset=utf-8")));
    headers.push(("content-security-policy", Cow::Owned(policy)));
    let body = "<!doctype html><html lang=\"en\"><title>Logged out</title></html>".to_owned();
    Answer { status: 200, headers, body }
}

/// The URL of a login, as a path of ours, that returns to `return_to`.
pub fn login_url(config: &Config, return_to: &ReturnTo) -> String {
    if *return_to == ReturnTo::root() {
        return format!("{}/login", config.base_path);
    }
    login_to(config, return_to.as_str())
}

fn login_to(config: &Config, return_to: &str) -> String {
    let query: String = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("return_to", return_to)
        .finish();
    format!("{}/login?{query}", config.base_path)
}

#[derive(Default)]
struct Note<'a> {
    event_id: Option<&'a str>,
    code: Option<ProblemCode>,
}

fn html(
    origin: &Origin,
    status: u16,
    head: &str,
    title: &str,
    text: &str,
    links: &[(&str, &str)],
    note: &Note<'_>,
) -> Answer {
    use fmt::Write as _;
    let (title, text) = (Escaped(title), Escaped(text));
    let mut body = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <meta name=\"robots\" content=\"noindex\">{head}<title>{title}</title>\
         <style>{STYLE}</style></head><body><main>{ICON}<h1>{title}</h1><p>{text}</p><nav>"
    );
    for (at, (label, href)) in links.iter().enumerate() {
        let class = if at == 0 { " class=\"key\"" } else { "" };
        let _ = write!(body, "<a{class} href=\"{}\">{}</a>", Escaped(href), Escaped(label));
    }
    body.push_str("</nav>");
    if let Some(event_id) = note.event_id {
        let code = note.code.map_or("", ProblemCode::as_str);
        let _ = write!(body, "<small>{code} · {}</small>", Escaped(event_id));
    }
    body.push_str("</main></body></html>");
    Answer { status, headers: page_headers(origin), body }
}

fn page_headers(origin: &Origin) -> Vec<(&'static str, Cow<'static, str>)> {
    let mut headers = common_headers();
    headers.extend([
        ("content-type", Cow::Borrowed("text/html; charset=utf-8")),
        ("content-security-policy", Cow::Borrowed(POLICY)),
        ("cross-origin-opener-policy", Cow::Borrowed("same-origin")),
        ("x-frame-options", Cow::Borrowed("DENY")),
    ]);
    if origin.serialized.starts_with("https:") {
        headers.push(("strict-transport-security", Cow::Borrowed("max-age=31536000")));
    }
    headers
}

/// Text as it may stand in an element or in a quoted attribute.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        while let Some(at) = rest.find(['&', '<', '>', '"', '\'']) {
            let (plain, tail) = rest.split_at(at);
            f.write_str(plain)?;
            let mut tail = tail.chars();
            f.write_str(match tail.next() {
                Some('&') => "&amp;",
                Some('<') => "&lt;",
                Some('>') => "&gt;",
                Some('"') => "&quot;",
                _ => "&#39;",
            })?;
            rest = tail.as_str();
        }
        f.write_str(rest)
    }
}

#[cfg(test)]
mod tests;
