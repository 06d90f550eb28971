//! What a request wants to make of an API's answer (Fetch Metadata, `Sec-Fetch-Dest`), and whether
//! the route's `navigation` lets it.
//!
//! An API's answer is data. As a document, a frame, a worker or a script it would act as our origin:
//! what somebody uploaded to an API would run past the page's `script-src 'self'`.

use super::{Method, head::RequestHead, problem::ProblemCode};
use crate::config::Navigation;

/// What kind of request it is, seen from the route's `navigation`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Visit {
    /// A call by the app, or a document that the app itself opened.
    Call,
    /// A document on a `page` route that didn't come from the app.
    Page,
}

impl Visit {
    pub(crate) fn of(head: &RequestHead<'_>, navigation: Navigation) -> Result<Self, ProblemCode> {
        let refused = Err(ProblemCode::NavigationRefused);
        if navigation != Navigation::Page && is_code(head) {
            return refused;
        }
        let Some(dest) = self::dest(head) else { return Ok(Self::Call) };
        let from_us = head.known.sec_fetch_site == Some("same-origin");
        let is_page = matches!(dest, "document" | "iframe" | "frame" | "fencedframe");
        let is_safe = matches!(head.method, Method::Get | Method::Head);
        // Our page that navigates again (`page::reload`) sends no `Referer`: what another site
        // began stays that site's, though it says `same-origin` by now.
        let from_the_app = from_us && head.known.referer.is_some();
        match navigation {
            Navigation::Refuse => refused,
            Navigation::Page if dest == "document" && is_safe && !from_the_app => Ok(Self::Page),
            Navigation::Download | Navigation::Page if from_us && is_page => Ok(Self::Call),
            Navigation::Download | Navigation::Page => refused,
        }
    }
}

/// The destination, where what is asked for would become a document, a frame or a service worker
/// of our origin.
pub(crate) fn dest<'h>(head: &RequestHead<'h>) -> Option<&'h str> {
    let known = &head.known;
    // Older browsers mark the script of a service worker with this header only.
    if known.service_worker.is_some() {
        return Some("serviceworker");
    }
    match known.sec_fetch_dest {
        Some(
            dest @ ("document" | "iframe" | "frame" | "fencedframe" | "embed" | "object"
            | "serviceworker"),
        ) => Some(dest),
        _ if known.sec_fetch_mode == Some("navigate") => Some("document"),
        _ => None,
    }
}

/// What is asked for would run as code of the page, or restyle it (a style sheet can read).
fn is_code(head: &RequestHead<'_>) -> bool {
    matches!(
        head.known.sec_fetch_dest,
        Some(
            "script"
                | "style"
                | "worker"
                | "sharedworker"
                | "audioworklet"
                | "paintworklet"
                | "xslt"
        )
    )
}
