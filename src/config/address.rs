//! Origins, issuers, upstreams, resources and paths: texts that are compared or sent byte for
//! byte, so they must be written in the one form that they have after parsing. What the URL parser
//! would bend into shape is refused, with the form that would be right.

use url::{Host, Url};

use super::Origin;

/// The only hosts on which http is ever allowed, as they are written in a URL. No other name that
/// resolves to loopback: names can be made to resolve elsewhere.
const LOOPBACK_HOSTS: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// An https URL, or http on loopback, without user information, query and fragment.
pub(super) struct WebUrl<'a> {
    /// Scheme, host and port, in canonical form.
    pub(super) origin: String,
    /// Whether the origin was written in canonical form.
    pub(super) is_origin_canonical: bool,
    /// http, on exact loopback, under the switch.
    pub(super) is_loopback_http: bool,
    /// The port, given or default.
    pub(super) port: u16,
    /// All behind the origin as it was written: empty, or begins with `/`.
    pub(super) path: &'a str,
}

impl<'a> WebUrl<'a> {
    /// Parses `text`; the error is what would be right.
    pub(super) fn parse(text: &'a str, allow_loopback_http: bool) -> Result<Self, &'static str> {
        const SHAPE: &str = "an https URL in full, such as \"https://host.example/path\"";
        // The parser of the WHATWG drops tabs and line breaks and reads \ as /.
        if !text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\') {
            return Err("an https URL of printable ASCII characters without a backslash");
        }
        let (is_http, rest) = match text.split_once("://") {
            Some(("https", rest)) => (false, rest),
            Some(("http", rest)) => (true, rest),
            _ => return Err(SHAPE),
        };
        if rest.contains(['?', '#']) {
            return Err("a URL without query and fragment");
        }
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err("a URL without user information");
        }
        let url = Url::parse(text).map_err(|_| SHAPE)?;
        let (Some(host), Some(port)) = (url.host(), url.port_or_known_default()) else {
            return Err(SHAPE);
        };
        if matches!(host, Host::Domain(domain) if !is_host_name(domain)) {
            return Err("a URL with a whole host name (no wildcard, no trailing dot)");
        }
        // Dot segments, characters that would be sent percent-encoded, and `https:///host`, where
        // the parser takes the host from the path.
        if url.path() != path && !(path.is_empty() && url.path() == "/") {
            return Err("a URL whose path is in canonical form");
        }
        let origin = url.origin().ascii_serialization();
        let is_origin_canonical = text.strip_suffix(path) == Some(origin.as_str());
        if is_http {
            let is_loopback =
                is_origin_canonical && url.host_str().is_some_and(|h| LOOPBACK_HOSTS.contains(&h));
            if !is_loopback {
                return Err("https (http only on localhost, 127.0.0.1 or [::1], for development)");
            }
            if !allow_loopback_http {
                return Err("https, or dangerously_allow_loopback_http = true for development");
            }
        }
        Ok(Self { origin, is_origin_canonical, is_loopback_http: is_http, port, path })
    }

    /// What would be right if the origin wasn't written in canonical form.
    pub(super) fn canonical_hint(&self) -> String {
        format!("the canonical form \"{}\"", self.origin)
    }
}

impl Origin {
    /// Parses an origin as a browser writes it; the error is what would be right.
    pub(super) fn parse(text: &str, allow_loopback_http: bool) -> Result<Self, String> {
        let url = WebUrl::parse(text, allow_loopback_http)?;
        if !url.is_origin_canonical || !url.path.is_empty() {
            return Err(format!("the origin alone: \"{}\"", url.origin));
        }
        let authority = url.origin.split_once("://").map_or("", |(_, authority)| authority);
        Ok(Self {
            authority: authority.to_owned(),
            is_loopback_http: url.is_loopback_http,
            port: url.port,
            serialized: url.origin,
        })
    }
}

/// Whether this, already in lower case and ASCII, is a DNS name in full. The URL parser lets `*`
/// and `_` through; `_` names do exist.
fn is_host_name(domain: &str) -> bool {
    domain.split('.').all(|label| {
        !label.is_empty()
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    })
}

/// Whether `text` is a path in the one form that it has: absolute, no empty segment but the last,
/// no segment of dots alone, and only characters that are never percent-encoded. `;` isn't among them:
/// servers that cut parameters off a segment read `/..;/` as `/../`.
pub(super) fn is_canonical_path(text: &str) -> bool {
    let Some(segments) = text.strip_prefix('/') else { return false };
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()+,=:@/".contains(&byte);
    let is_dots = |segment: &str| !segment.is_empty() && segment.bytes().all(|byte| byte == b'.');
    text.bytes().all(is_plain) && !text.contains("//") && !segments.split('/').any(is_dots)
}

/// Whether `path` is `base_path` or below it.
pub(super) fn is_under(path: &str, base_path: &str) -> bool {
    path.strip_prefix(base_path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Whether `text` can be a `resource`: an absolute URI without a fragment (RFC 8707 §2).
pub(super) fn is_resource(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"<>\\^`{|}#".contains(&byte))
        && Url::parse(text).is_ok()
}

/// Whether `text` is a scope-token (RFC 6749 §3.3).
pub(super) fn is_scope_token(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\'))
}
