//! Which of a request's headers go on to an API (attack list 6.3, H1–H9).
//!
//! An API behind a proxy believes certain headers: who the user is, where the request comes from,
//! which path was meant. None of them may be the browser's to write. Names are compared in a
//! normal form, because `X_Forwarded_User` and `X.Forwarded.User` become `X-Forwarded-User` in
//! many servers (CVE-2025-64484).
//!
//! `Origin` and `Referer` stay here too: the API is called by us, server to server, and a check
//! of the browser's origin has been made. An API that sees none can't be led to treat the call
//! as a cross-origin one of its own.
//!
//! `Early-Data` goes on (RFC 8470 §5.1: an intermediary must not remove it): a call without a token
//! may come as early data, and then it is the API's to say 425.

use std::borrow::Cow;

use super::head::{Known, RequestHead};

/// Dropped by name, in normal form (lower case, `-` for `_` and `.`): ours and the browser's own,
/// hop-by-hop (RFC 9110 §7.6.1), and what tells an API who the user is, where the request comes
/// from, which path or method was meant. Sorted.
const DROPPED: &[&str] = &[
    "authorization",
    "cdn-loop",
    "client-cert",
    "client-cert-chain",
    "client-ip",
    "connection",
    "cookie",
    "cookie2",
    "dpop",
    "expect",
    "fastly-client-ip",
    "forwarded",
    "host",
    "http2-settings",
    "id-token",
    "keep-alive",
    "origin",
    "proxy",
    "referer",
    "te",
    "trailer",
    "transfer-encoding",
    "true-client-ip",
    "upgrade",
    "via",
    "x-access-token",
    "x-amzn-oidc-accesstoken",
    "x-amzn-oidc-data",
    "x-amzn-oidc-identity",
    "x-client-dn",
    "x-client-ip",
    "x-client-verify",
    "x-cluster-client-ip",
    "x-email",
    "x-forwarded",
    "x-groups",
    "x-host",
    "x-http-method",
    "x-http-method-override",
    "x-id-token",
    "x-identity",
    "x-jwt-assertion",
    "x-method-override",
    "x-middleware-subrequest",
    "x-original-forwarded-for",
    "x-original-host",
    "x-original-method",
    "x-original-uri",
    "x-original-url",
    "x-real-ip",
    "x-remote-addr",
    "x-remote-ip",
    "x-remote-user",
    "x-rewrite-url",
    "x-roles",
    "x-sendfile-type",
    "x-session",
    "x-tenant",
    "x-tokenkeep",
];

/// Dropped by the beginning of the name, in normal form. Sorted; none begins with another.
const DROPPED_PREFIXES: &[&str] = &[
    "access-control-request-",
    "cf-",
    "oidc-",
    "proxy-",
    "remote-",
    "sec-fetch-",
    "sec-websocket-",
    "ssl-",
    "tailscale-user-",
    "teleport-",
    "tokenkeep-",
    "x-accel-",
    "x-auth-",
    "x-authenticated-",
    "x-authentik-",
    "x-client-cert",
    "x-consumer-",
    "x-credential-",
    "x-envoy-",
    "x-forwarded-",
    "x-goog-authenticated-",
    "x-goog-iap-",
    "x-ms-client-principal",
    "x-ms-token-",
    "x-pomerium-",
    "x-remote-user-",
    "x-ssl-",
    "x-user",
    "x-vouch-",
    "x-webauth-",
];

/// What goes on of a WebSocket's handshake. The rest of it is between us and either side: the
/// runtime makes a key of its own.
const HANDSHAKE: [&str; 3] = ["sec-websocket-extensions", "sec-websocket-protocol", "upgrade"];

/// What there is to know of a request's header by its name alone: bits of [`kind`].
pub mod kinds {
    /// It is read.
    pub const READ: u8 = 1;
    /// It stays here.
    pub const DROPPED: u8 = 2;
    /// What goes on of the other headers hangs on its value: the core is to see all of them. (A
    /// `connection: keep-alive` says nothing about another header, and is itself not handed over.)
    pub const WHOLE: u8 = 4;
    /// With [`READ`]: that it came is read, but not its value.
    pub const BARE: u8 = 8;
}

/// What the entry is to do with a header of this (lower-case) name: hand its value over, leave it
/// out of what goes on to an API, or hand all headers over and leave the rest to [`edit`].
pub fn kind(name: &str) -> u8 {
    let bit = |is: bool, bit| if is { bit } else { 0 };
    let is_whole = matches!(name, "connection" | "upgrade");
    bit(Known::letter(name).is_some() && !is_whole, kinds::READ)
        | bit(is_dropped(name), kinds::DROPPED)
        | bit(is_whole, kinds::WHOLE)
        | bit(name == "referer", kinds::BARE)
}

/// What is changed about a request's headers on their way to an API, besides what stays here by its
/// name ([`RequestEdit::dropped`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestEdit {
    /// A WebSocket is asked for: its handshake goes on.
    pub is_socket: bool,
    /// What `Accept-Encoding` says then, where one came.
    pub accept_encoding: Option<&'static str>,
}

impl RequestEdit {
    /// The names to delete, as they came in `head`.
    pub fn dropped<'a>(&self, head: &RequestHead<'a>) -> Vec<&'a str> {
        let named = ConnectionOptions::parse(head.known.connection);
        let names = head.headers().map(|(name, _)| name);
        names
            .filter(|name| is_dropped(name) || named.contains(name))
            .filter(|name| !(self.is_socket && HANDSHAKE.contains(name)))
            .collect()
    }
}

/// Whether it hangs on more than each name which of the headers go on: see [`kinds::WHOLE`].
pub fn is_whole(head: &RequestHead<'_>) -> bool {
    head.known.upgrade.is_some()
        || head.known.connection.is_some_and(|options| options != "keep-alive")
}

/// The edit for `head`. (An access token is attached elsewhere: [`super::decide::Attached`].)
pub fn edit(head: &RequestHead<'_>) -> RequestEdit {
    // workerd decodes and encodes gzip and br only; the rest would come back as it is.
    let accept_encoding = head.known.accept_encoding.map(accept_encoding);
    RequestEdit { is_socket: head.asks_for_socket(), accept_encoding }
}

/// Whether a header of this name stays here.
pub(crate) fn is_dropped(name: &str) -> bool {
    let name = normal_form(name);
    // The greatest prefix that isn't after the name is the only one that it can begin with.
    let after = DROPPED_PREFIXES.partition_point(|prefix| *prefix <= name.as_ref());
    let prefix = after.checked_sub(1).and_then(|at| DROPPED_PREFIXES.get(at));
    prefix.is_some_and(|prefix| name.starts_with(prefix))
        || DROPPED.binary_search(&name.as_ref()).is_ok()
}

/// The names that a `Connection` header lists (RFC 9110 §7.6.1), to be looked up for every header:
/// in lower case and sorted, since whoever sends it can list thousands.
pub(crate) struct ConnectionOptions(Vec<String>);

impl ConnectionOptions {
    /// Of the header's value, if it came.
    pub(crate) fn parse(value: Option<&str>) -> Self {
        let mut options: Vec<String> = value
            .unwrap_or_default()
            .split(',')
            .map(|option| option.trim().to_ascii_lowercase())
            .filter(|option| !option.is_empty())
            .collect();
        options.sort_unstable();
        Self(options)
    }

    /// Whether the header of this (lower-case) name is among them.
    pub(crate) fn contains(&self, name: &str) -> bool {
        self.0.binary_search_by(|option| option.as_str().cmp(name)).is_ok()
    }
}

fn normal_form(name: &str) -> Cow<'_, str> {
    if name.bytes().any(|byte| byte.is_ascii_uppercase() || matches!(byte, b'_' | b'.')) {
        Cow::Owned(name.to_ascii_lowercase().replace(['_', '.'], "-"))
    } else {
        Cow::Borrowed(name)
    }
}

/// `gzip` and `br`, whichever the client accepts.
fn accept_encoding(accepted: &str) -> &'static str {
    let mut gzip = false;
    let mut br = false;
    for item in accepted.split(',') {
        let (coding, weight) = item.split_once(';').unwrap_or((item, ""));
        let refused = matches!(weight.trim(), "q=0" | "q=0." | "q=0.0" | "q=0.00" | "q=0.000");
        match coding.trim() {
            _ if refused => {}
            "gzip" => gzip = true,
            "br" => br = true,
            "*" => (gzip, br) = (true, true),
            _ => {}
        }
    }
    match (gzip, br) {
        (true, true) => "gzip, br",
        (true, false) => "gzip",
        (false, true) => "br",
        (false, false) => "identity",
    }
}

#[cfg(test)]
mod tests;
