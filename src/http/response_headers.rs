//! What becomes of an API's response headers (the answer of an API is data, not a page
//! of ours).
//!
//! The API was on another origin and now shares the SPA's. So whatever in a response acts on the
//! whole origin is removed (cookies, storage, service workers, reporting, CORS, transport policy:
//! `Strict-Transport-Security` too, since it would speak for our host), and the body is marked as
//! data. Where a token was attached, or a session was needed, nothing may land in a shared cache.
//!
//! [`edit`] does all of it, for every response.

use std::borrow::Cow;

use super::{
    forward::Location,
    problem::ProblemCode,
    request_headers::{ConnectionOptions, kinds},
};
use crate::config::Navigation;

/// Removed by name; sorted.
const DROPPED: &[&str] = &[
    "accept-ch",
    "activate-storage-access",
    "alt-svc",
    "attribution-reporting-register-source",
    "attribution-reporting-register-trigger",
    "clear-site-data",
    "connection",
    "critical-ch",
    "expect-ct",
    "keep-alive",
    "nel",
    "observe-browsing-topics",
    "proxy-authenticate",
    "proxy-authentication-info",
    "proxy-connection",
    "public-key-pins",
    "public-key-pins-report-only",
    "refresh",
    "report-to",
    "reporting-endpoints",
    "sec-session-challenge",
    "sec-session-registration",
    "sec-websocket-accept",
    "secure-session-challenge",
    "secure-session-registration",
    "service-worker-allowed",
    "set-cookie",
    "set-cookie2",
    "set-login",
    "speculation-rules",
    "strict-transport-security",
    "te",
    "tokenkeep-error",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "use-as-dictionary",
];

/// Removed by the beginning of the name.
const DROPPED_PREFIX: &str = "access-control-";

/// Removed besides from an answer for one person: they speak to shared caches past `Cache-Control`.
pub const DROPPED_IF_PERSONAL: &[&str] =
    &["cdn-cache-control", "cloudflare-cdn-cache-control", "surrogate-control"];

/// Whose values, or whose presence under one rule or another, decide about an edit, or about
/// whether it is all there is to do. Sorted.
const READ: &[&str] = &[
    "cache-control",
    "cdn-cache-control",
    "cloudflare-cdn-cache-control",
    "connection",
    "content-disposition",
    "content-security-policy-report-only",
    "content-type",
    "location",
    "surrogate-control",
    "vary",
    "www-authenticate",
];

/// What the entry is to do with a header of this (lower-case) name, in the bits of
/// [`super::request_headers::kinds`]: what it hands over is all that [`edit`] looks at.
pub fn kind(name: &str) -> u8 {
    if name == "connection" {
        return kinds::WHOLE | kinds::READ;
    }
    let read = if READ.binary_search(&name).is_ok() { kinds::READ } else { 0 };
    read | if is_always_dropped(name) { kinds::DROPPED } else { 0 }
}

/// How a call's response is to be treated; known before the call leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResponseRules {
    /// The route's.
    pub navigation: Navigation,
    /// Whether it is for one person's eyes: a token was attached, or the session was tested.
    pub is_personal: bool,
}

/// What is changed about a response's headers.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ResponseEdit<'a> {
    /// Names to delete, as they came.
    pub drop: Vec<&'a str>,
    /// Headers to set, after the deletions; each replaces what is there.
    pub set: Vec<(&'static str, Cow<'a, str>)>,
}

impl ResponseRules {
    /// All there are, by the text that stands for them.
    const TEXTS: [(&'static str, Self); 6] = [
        ("refuse", Self { navigation: Navigation::Refuse, is_personal: false }),
        ("refuse personal", Self { navigation: Navigation::Refuse, is_personal: true }),
        ("download", Self { navigation: Navigation::Download, is_personal: false }),
        ("download personal", Self { navigation: Navigation::Download, is_personal: true }),
        ("page", Self { navigation: Navigation::Page, is_personal: false }),
        ("page personal", Self { navigation: Navigation::Page, is_personal: true }),
    ];

    /// As a text, for the entry to come back with.
    pub fn as_str(self) -> &'static str {
        let own = Self::TEXTS.iter().find(|(_, rules)| *rules == self);
        own.map_or("", |(text, _)| *text)
    }

    /// What [`Self::as_str`] wrote.
    pub fn parse(text: &str) -> Option<Self> {
        Self::TEXTS.iter().find(|(own, _)| *own == text).map(|(_, rules)| *rules)
    }

    /// The edit of a response that needs nothing else, whatever call it answers; `None` where the
    /// call has to be looked at: for what isn't final, a 401, a redirect, a stream of events.
    ///
    /// It hangs on these arguments alone, and of the headers only on those of [`kind`].
    pub fn plain<'a>(
        self,
        status: u16,
        headers: &[(&'a str, &'a str)],
    ) -> Option<ResponseEdit<'a>> {
        let is_plain = matches!(status, 200..=599)
            && status != 401
            && find(headers, "location").is_none()
            && !is_event_stream(headers);
        if !is_plain {
            return None;
        }
        edit(self, status, headers, None).ok()
    }

    /// The headers that are set whatever the response says.
    const fn fixed(self) -> &'static [(&'static str, &'static str)] {
        match self.navigation {
            Navigation::Page => &[("x-content-type-options", "nosniff")],
            Navigation::Refuse | Navigation::Download => &[
                ("x-content-type-options", "nosniff"),
                ("cross-origin-resource-policy", "same-origin"),
                ("content-security-policy", "sandbox"),
            ],
        }
    }
}

/// The status may go through: final, and one that the runtime can build a response of. (A 101 is
/// no answer: what asked for a WebSocket is looked at before this.)
///
/// # Errors
///
/// [`ProblemCode::UpstreamStatusInvalid`]: outside of 200..=599 the runtime throws.
pub const fn check_status(status: u16) -> Result<(), ProblemCode> {
    match status {
        200..=599 => Ok(()),
        _ => Err(ProblemCode::UpstreamStatusInvalid),
    }
}

/// The edit for a response with these headers (names in lower case). `location` is what
/// [`super::forward::map_location`] made of its `Location`, if it has one.
///
/// # Errors
///
/// [`ProblemCode::UpstreamRedirectRefused`] for a redirect that no route leads to.
pub fn edit<'a>(
    rules: ResponseRules,
    status: u16,
    headers: &[(&'a str, &'a str)],
    location: Option<Location>,
) -> Result<ResponseEdit<'a>, ProblemCode> {
    let header = |name| find(headers, name);
    let named = ConnectionOptions::parse(header("connection"));
    let drop = headers
        .iter()
        .filter(|(name, value)| is_dropped(rules, name, value) || named.contains(name))
        .map(|(name, _)| *name)
        .collect();
    let set = rules.fixed().iter().map(|(name, value)| (*name, Cow::Borrowed(*value))).collect();
    let mut edit = ResponseEdit { drop, set };
    match location {
        Some(Location::Ours(path)) => edit.set.push(("location", Cow::Owned(path))),
        Some(Location::Refused) if (300..400).contains(&status) => {
            return Err(ProblemCode::UpstreamRedirectRefused);
        }
        Some(Location::Refused) => edit.drop.push("location"),
        Some(Location::Foreign) | None => {}
    }
    if rules.navigation == Navigation::Download {
        let disposition = attachment(header("content-disposition"));
        edit.set.push(("content-disposition", disposition));
    }
    if rules.is_personal {
        edit.set.push(("cache-control", private(header("cache-control"))));
        edit.set.push(("vary", vary_cookie(header("vary"))));
    }
    Ok(edit)
}

fn is_always_dropped(name: &str) -> bool {
    DROPPED.binary_search(&name).is_ok() || name.starts_with(DROPPED_PREFIX)
}

fn is_dropped(rules: ResponseRules, name: &str, value: &str) -> bool {
    is_always_dropped(name)
        || (rules.is_personal && DROPPED_IF_PERSONAL.contains(&name))
        || (rules.navigation != Navigation::Page && name == "content-security-policy-report-only")
        || (name == "www-authenticate" && asks_for_a_password(value))
}

/// A challenge for which a browser shows its own password window, now in our name.
fn asks_for_a_password(challenge: &str) -> bool {
    let challenge = challenge.to_ascii_lowercase();
    ["basic", "digest", "negotiate", "ntlm"].iter().any(|scheme| challenge.contains(scheme))
}

/// `Cache-Control` for an answer that belongs to one person: what the API said, without what
/// speaks to shared caches, and `private`. `no-store` stays all there is.
pub fn private(cache_control: Option<&str>) -> Cow<'static, str> {
    // Without a word from the API a browser may guess a lifetime: not for somebody's data.
    let Some(said) = cache_control else { return Cow::Borrowed("private, no-cache") };
    let said = said.to_ascii_lowercase();
    let mut kept = String::from("private");
    // A comma within a quoted value (`no-cache="a, b"`) leaves pieces that mean nothing.
    for directive in said.split(',').map(str::trim) {
        match directive.split('=').next().unwrap_or_default().trim() {
            "no-store" => return Cow::Borrowed("no-store"),
            "" | "public" | "private" | "s-maxage" | "proxy-revalidate" => {}
            _ => {
                kept.push_str(", ");
                kept.push_str(directive);
            }
        }
    }
    Cow::Owned(kept)
}

/// `Vary` with `Cookie` in it.
pub fn vary_cookie(vary: Option<&str>) -> Cow<'_, str> {
    match vary.map(str::trim) {
        None | Some("") => Cow::Borrowed("Cookie"),
        Some(said) if said.split(',').any(|name| name.trim().eq_ignore_ascii_case("cookie")) => {
            Cow::Borrowed(said)
        }
        Some(said) if said.split(',').any(|name| name.trim() == "*") => Cow::Borrowed("*"),
        Some(said) => Cow::Owned(format!("{said}, Cookie")),
    }
}

/// `Content-Disposition` as an attachment; the API's own file name stays.
fn attachment(disposition: Option<&str>) -> Cow<'static, str> {
    let parameters = disposition.and_then(|said| said.split_once(';')).map(|(_, rest)| rest.trim());
    match parameters {
        Some(rest) if !rest.is_empty() => Cow::Owned(format!("attachment; {rest}")),
        _ => Cow::Borrowed("attachment"),
    }
}

/// Server-sent events (HTML Standard §9.2): an answer that has no end of its own.
pub fn is_event_stream(headers: &[(&str, &str)]) -> bool {
    const TYPE: &str = "text/event-stream";
    find(headers, "content-type")
        .and_then(|given| given.get(..TYPE.len()))
        .is_some_and(|given| given.eq_ignore_ascii_case(TYPE))
}

/// Whether the runtime decodes the body where it passes through a stream of ours. It knows these two
/// codings, by these names to the letter; of another one the bytes stay as they are.
///
/// Asked of all headers: [`kind`] hands this one over to nobody.
pub fn is_decoded(headers: &[(&str, &str)]) -> bool {
    headers.iter().any(|header| matches!(header, ("content-encoding", "gzip" | "br")))
}

fn find<'a>(headers: &[(&'a str, &'a str)], name: &str) -> Option<&'a str> {
    debug_assert!(kind(name) & kinds::READ != 0, "{name} isn't handed over");
    headers.iter().find(|(found, _)| *found == name).map(|(_, value)| *value)
}

#[cfg(test)]
mod tests;
