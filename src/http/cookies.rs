//! Our cookies: names, the reading of `Cookie`, the writing of `Set-Cookie` (RFC 6265bis).
//!
//! On https every name has the prefix `__Host-Http-`: no sibling domain and no script can set
//! one. On loopback over http the prefix and `Secure` go and the port joins the name, since
//! cookies don't know ports and several projects share one localhost.
//!
//! Reading fails closed: a name that comes twice, or that hides behind a comma (two `Cookie`
//! headers arrive joined with `, `), counts as absent. Values are never decoded or unquoted. That
//! is why reading is done here. Writing is one line with the same attributes always; the `cookie`
//! crate's writer would bring a calendar for `Expires` along, and is held against it in the tests.

use std::{borrow::Cow, time::Duration};

use cookie::SameSite;
use sha2::{Digest as _, Sha256};

use crate::{
    base64url,
    config::{Origin, ResponseMode},
    time::Timestamp,
};

/// How many logins one browser may have under way; the oldest goes.
pub const MAX_TRANSACTIONS: usize = 5;
/// The window in which attempts to log in are counted.
pub const ATTEMPTS_WINDOW: Duration = Duration::from_secs(60);

const LOGOUT_STATE_LIFETIME: Duration = Duration::from_secs(600);
const RELOAD_LIFETIME: Duration = Duration::from_secs(10);
const HASH_BYTES: usize = 12;

/// A cookie of a login under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransactionCookie<'a> {
    /// Its whole name.
    pub name: &'a str,
    /// When it was issued, from the name: good for order, not to be trusted.
    pub issued: Timestamp,
    /// The sealed transaction.
    pub value: &'a str,
}

/// The session cookie's name.
pub fn session_name(origin: &Origin) -> Cow<'static, str> {
    if origin.is_loopback_http {
        Cow::Owned(format!("tokenkeep-{}", origin.port))
    } else {
        Cow::Borrowed("__Host-Http-tokenkeep")
    }
}

/// The name of a transaction's cookie: when it was issued and a hash of `state`.
pub fn transaction_name(origin: &Origin, issued: Timestamp, state: &str) -> String {
    format!("{}-login-{}-{}", session_name(origin), issued.as_secs(), state_hash(state))
}

/// The session cookie's value as it came; its tag is yet to be checked.
pub fn session<'a>(cookie: Option<&'a str>, origin: &Origin) -> Option<&'a str> {
    unique(cookie?, &session_name(origin))
}

/// The transaction whose name has the hash of this `state`.
pub fn transaction<'a>(
    cookie: Option<&'a str>,
    origin: &Origin,
    state: &str,
) -> Option<TransactionCookie<'a>> {
    let hash = state_hash(state);
    let cookie = cookie?;
    let prefix = transaction_prefix(origin);
    let mut found =
        transaction_names(cookie, &prefix).filter(|(_, name)| name.ends_with(hash.as_str()));
    match (found.next(), found.next()) {
        (Some((issued, name)), None) => {
            Some(TransactionCookie { name, issued, value: unique(cookie, name)? })
        }
        _ => None,
    }
}

/// The names to delete, oldest first, so that one more login stays within [`MAX_TRANSACTIONS`].
pub fn surplus_transactions<'a>(cookie: Option<&'a str>, origin: &Origin) -> Vec<&'a str> {
    let prefix = transaction_prefix(origin);
    let mut found: Vec<_> =
        cookie.into_iter().flat_map(|cookie| transaction_names(cookie, &prefix)).collect();
    found.sort_unstable();
    found.dedup();
    let surplus = (found.len() + 1).saturating_sub(MAX_TRANSACTIONS);
    found.into_iter().take(surplus).map(|(_, name)| name).collect()
}

/// How many logins this browser began within [`ATTEMPTS_WINDOW`], by its own word.
pub fn attempts(cookie: Option<&str>, origin: &Origin) -> u32 {
    let name = with_suffix(origin, "attempts");
    cookie.and_then(|cookie| unique(cookie, &name)).and_then(|n| n.parse().ok()).unwrap_or(0)
}

/// The `state` that a logout at the provider is to bring back.
pub fn logout_state<'a>(cookie: Option<&'a str>, origin: &Origin) -> Option<&'a str> {
    unique(cookie?, &with_suffix(origin, "logout"))
}

/// Whether the reload page was served a moment ago.
pub fn was_reloaded(cookie: Option<&str>, origin: &Origin) -> bool {
    // Any sign of it counts, doubled or not: the fault to avoid here is a loop.
    let name = with_suffix(origin, "reload");
    cookie.is_some_and(|cookie| pairs(cookie).any(|(found, _)| found == name))
}

/// `Set-Cookie` of the session; `lifetime` is the absolute limit.
pub fn set_session(origin: &Origin, value: &str, lifetime: Duration) -> String {
    set(origin, &session_name(origin), value, SameSite::Strict, lifetime)
}

/// Deletes the session cookie. Only an accepted logout and the callback may.
pub fn delete_session(origin: &Origin) -> String {
    set(origin, &session_name(origin), "", SameSite::Strict, Duration::ZERO)
}

/// `Set-Cookie` of a transaction: `Lax`, since the provider's navigation has to bring it, `None`
/// where that navigation is a POST.
pub fn set_transaction(
    origin: &Origin,
    name: &str,
    value: &str,
    mode: ResponseMode,
    lifetime: Duration,
) -> String {
    set(origin, name, value, transaction_same_site(mode), lifetime)
}

/// Deletes a transaction's cookie by its name.
pub fn delete_transaction(origin: &Origin, name: &str, mode: ResponseMode) -> String {
    set(origin, name, "", transaction_same_site(mode), Duration::ZERO)
}

/// `Set-Cookie` of the count of attempts.
pub fn set_attempts(origin: &Origin, attempts: u32) -> String {
    let name = with_suffix(origin, "attempts");
    set(origin, &name, &attempts.to_string(), SameSite::Lax, ATTEMPTS_WINDOW)
}

/// `Set-Cookie` of the logout's `state`.
pub fn set_logout_state(origin: &Origin, state: &str) -> String {
    set(origin, &with_suffix(origin, "logout"), state, SameSite::Lax, LOGOUT_STATE_LIFETIME)
}

/// Deletes the logout's `state`.
pub fn delete_logout_state(origin: &Origin) -> String {
    set(origin, &with_suffix(origin, "logout"), "", SameSite::Lax, Duration::ZERO)
}

/// `Set-Cookie` of the mark that the reload page was served; short, so that the next visit may
/// get the page again.
pub fn set_reloaded(origin: &Origin) -> String {
    set(origin, &with_suffix(origin, "reload"), "1", SameSite::Lax, RELOAD_LIFETIME)
}

const fn transaction_same_site(mode: ResponseMode) -> SameSite {
    match mode {
        ResponseMode::Query => SameSite::Lax,
        ResponseMode::FormPost => SameSite::None,
    }
}

fn with_suffix(origin: &Origin, suffix: &str) -> String {
    format!("{}-{suffix}", session_name(origin))
}

/// The line is ours to write: the crate's writer brings a calendar along for `Expires`. A deletion is
/// the same with no time to live; without its `Secure` a prefixed cookie would stay (CVE-2025-55162).
fn set(
    origin: &Origin,
    name: &str,
    value: &str,
    same_site: SameSite,
    lifetime: Duration,
) -> String {
    let secure = if origin.is_loopback_http { "" } else { "; Secure" };
    let seconds = lifetime.as_secs();
    format!("{name}={value}; HttpOnly; SameSite={same_site}{secure}; Path=/; Max-Age={seconds}")
}

/// Names and values of a `Cookie` header. What has no `=` is no cookie of ours; neither is what
/// has no name (`=__Host-…=value` comes from a nameless cookie).
fn pairs(cookie: &str) -> impl Iterator<Item = (&str, &str)> {
    cookie.split(';').filter_map(|piece| {
        let (name, value) = piece.trim_matches([' ', '\t']).split_once('=')?;
        Some((name, value))
    })
}

/// When each login under way was issued, and its cookie's name, in the order of the header. One
/// pass and no look at the values: a header of 100 KB can hold thousands of such names, and
/// anybody may send it.
fn transaction_names<'a>(
    cookie: &'a str,
    prefix: &str,
) -> impl Iterator<Item = (Timestamp, &'a str)> {
    pairs(cookie).filter_map(move |(name, _)| {
        let (issued, hash) = name.strip_prefix(prefix)?.split_once('-')?;
        base64url::decode_array::<HASH_BYTES>(hash)?;
        Some((Timestamp::from_secs(issued.parse().ok()?), name))
    })
}

fn transaction_prefix(origin: &Origin) -> String {
    with_suffix(origin, "login-")
}

/// The value of the one cookie of this name.
fn unique<'a>(cookie: &'a str, name: &str) -> Option<&'a str> {
    let mut value = None;
    for (found, content) in pairs(cookie) {
        if found == name && value.replace(content).is_some() {
            return None;
        }
        // The same name behind a comma is a second `Cookie` header: which one was meant?
        let mut behind = content.split(',').skip(1);
        if behind.any(|part| part.split('=').next().is_some_and(|part| part.trim() == name)) {
            return None;
        }
    }
    value
}

/// The start of SHA-256(`state`): enough to find a cookie by, and what is sealed in it is
/// compared again.
fn state_hash(state: &str) -> String {
    base64url::encode(Sha256::digest(state).iter().copied().take(HASH_BYTES).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests;
