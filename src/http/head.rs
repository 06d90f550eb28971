//! The head of a request, parsed once (reading, deciding and doing are three rooms).
//!
//! The entry module writes it as one text, `METHOD\nURL\nname: value\nname: value\n`: a single
//! string crosses into wasm instead of one a header. Names are in lower case and a repeated
//! header is already joined with `, `, as the runtime does both; a value can hold no line break.
//! Headers that nobody here reads ([`Known::reads`]) may be left out, but where the head has
//! options of a connection in it ([`super::request_headers::kind`]).
//! Everything here borrows from that text.

use super::{Method, path::RequestPath, problem::ProblemCode};
use crate::config::{Config, Origin};

/// A request's head. Who has one has an allowed method and an unambiguous path.
#[derive(Debug)]
pub struct RequestHead<'a> {
    /// The method.
    pub method: Method,
    /// Scheme and authority as the runtime gives them: the `Host` header's word, so not to be
    /// trusted before [`RequestHead::our_origin`] has compared it.
    pub origin: &'a str,
    /// The path.
    pub path: RequestPath<'a>,
    /// What stands after the first `?`, visible ASCII only.
    pub query: Option<&'a str>,
    /// The headers that Tokenkeep itself reads.
    pub known: Known<'a>,
    headers: Vec<(&'a str, &'a str)>,
}

/// What is read of a request's headers: one list, so that what isn't in it can't be read, and
/// needn't be handed over.
macro_rules! known {
    ($($(#[$doc:meta])* $field:ident: $($name:literal)|+,)*) => {
        /// The headers that Tokenkeep reads, picked up while the head is parsed.
        #[derive(Debug, Default)]
        pub struct Known<'a> {
            $($(#[$doc])* pub $field: Option<&'a str>,)*
        }

        impl<'a> Known<'a> {
            /// Whether the value of a header of this (lower-case) name is read.
            pub fn reads(name: &str) -> bool {
                matches!(name, $($($name)|+)|*)
            }

            fn keep(&mut self, name: &str, value: &'a str) {
                match name {
                    $($($name)|+ => self.$field = Some(value),)*
                    _ => {}
                }
            }
        }
    };
}

known! {
    /// `Accept`
    accept: "accept",
    /// `Accept-Encoding`
    accept_encoding: "accept-encoding",
    /// `Access-Control-Request-Method`: makes an OPTIONS a preflight.
    access_control_request_method: "access-control-request-method",
    /// `Authorization`: the administrator's; a caller's own never goes on.
    authorization: "authorization",
    /// `CF-Connecting-IP`: the client's address, by the platform's word.
    cf_connecting_ip: "cf-connecting-ip",
    /// `Connection`
    connection: "connection",
    /// `Content-Length`
    content_length: "content-length",
    /// `Content-Type`
    content_type: "content-type",
    /// `Cookie`, all of them; two lines arrive joined with `, `.
    cookie: "cookie",
    /// `Early-Data` (RFC 8470)
    early_data: "early-data",
    /// `Origin`
    origin: "origin",
    /// `Purpose`, `Sec-Purpose` or `X-Moz`, whichever came: a prefetch or prerender.
    purpose: "purpose" | "sec-purpose" | "x-moz",
    /// `Referer`
    referer: "referer",
    /// `Sec-Fetch-Dest`
    sec_fetch_dest: "sec-fetch-dest",
    /// `Sec-Fetch-Mode`
    sec_fetch_mode: "sec-fetch-mode",
    /// `Sec-Fetch-Site`
    sec_fetch_site: "sec-fetch-site",
    /// `Sec-WebSocket-Key`
    sec_websocket_key: "sec-websocket-key",
    /// `Sec-WebSocket-Version`
    sec_websocket_version: "sec-websocket-version",
    /// `Service-Worker`: the script of one is asked for.
    service_worker: "service-worker",
    /// `Transfer-Encoding`
    transfer_encoding: "transfer-encoding",
    /// `Upgrade`
    upgrade: "upgrade",
    /// `User-Agent`
    user_agent: "user-agent",
    /// `X-Tokenkeep`, the static header of the CSRF layers.
    x_tokenkeep: "x-tokenkeep",
}

/// Why a head is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeadFault {
    /// A verb that isn't in the allow-list.
    #[error("the method is not supported")]
    MethodUnknown,
    /// The URL, the query or a header line isn't what a runtime sends.
    #[error("the request's head is malformed")]
    Malformed,
    /// The path can be read in more than one way.
    #[error("the path is ambiguous")]
    PathAmbiguous,
}

impl HeadFault {
    /// The problem that the fault is answered with.
    pub const fn code(self) -> ProblemCode {
        match self {
            Self::MethodUnknown => ProblemCode::MethodNotSupported,
            Self::Malformed => ProblemCode::RequestMalformed,
            Self::PathAmbiguous => ProblemCode::PathAmbiguous,
        }
    }
}

impl<'a> RequestHead<'a> {
    /// Parses the entry module's text.
    ///
    /// # Errors
    ///
    /// The first [`HeadFault`], in the order of the text.
    pub fn parse(text: &'a str) -> Result<Self, HeadFault> {
        let mut lines = text.split('\n');
        let method = lines.next().unwrap_or_default();
        let url = lines.next().unwrap_or_default();
        let method = Method::parse(method).ok_or(HeadFault::MethodUnknown)?;
        let (origin, path, query) = split_url(url)?;
        let path = RequestPath::parse(path).map_err(|_| HeadFault::PathAmbiguous)?;
        let mut known = Known::default();
        let mut headers = Vec::with_capacity(24);
        for line in lines {
            if line.is_empty() {
                continue;
            }
            let (name, value) = split_line(line).ok_or(HeadFault::Malformed)?;
            known.keep(name, value);
            headers.push((name, value));
        }
        Ok(Self { method, origin, path, query, known, headers })
    }

    /// All headers, in the order in which they came.
    pub fn headers(&self) -> impl Iterator<Item = (&'a str, &'a str)> + '_ {
        self.headers.iter().copied()
    }

    /// Which of the configured origins the request is for, compared byte for byte. `Host` is the
    /// sender's to choose: userinfo, lists and unknown hosts all end here (attack list 6.5).
    pub fn our_origin<'c>(&self, config: &'c Config) -> Option<&'c Origin> {
        config.origins.iter().find(|origin| origin.serialized == self.origin)
    }

    /// A document that a person navigated to in a window or tab of their own (not in a frame,
    /// not ahead of time). True where a browser sends no Fetch Metadata but asks for HTML.
    pub fn is_document_navigation(&self) -> bool {
        if self.is_speculative() {
            return false;
        }
        match (self.known.sec_fetch_mode, self.known.sec_fetch_dest) {
            (Some(mode), Some(dest)) => mode == "navigate" && dest == "document",
            (None, None) => self.known.accept.is_some_and(|accept| accept.contains("text/html")),
            _ => false,
        }
    }

    /// Sent by a prefetch, a prerender or a preview: must start nothing.
    pub const fn is_speculative(&self) -> bool {
        self.known.purpose.is_some()
    }

    /// A CORS preflight (Fetch Standard, "CORS-preflight request").
    pub fn is_preflight(&self) -> bool {
        self.method == Method::Options && self.known.access_control_request_method.is_some()
    }

    /// Whether a WebSocket is asked for (RFC 6455 §4.1), rightly or not.
    pub fn asks_for_socket(&self) -> bool {
        self.known.upgrade.is_some_and(|to| to.to_ascii_lowercase().contains("websocket"))
    }

    /// Whether a body comes along, or may: a length that isn't zero, or chunks.
    pub fn has_body(&self) -> bool {
        self.known.transfer_encoding.is_some()
            || self.known.content_length.is_some_and(|length| length != "0")
    }
}

/// Origin, path and query. Not by a URL parser: that would repair what has to be refused.
fn split_url(url: &str) -> Result<(&str, &str, Option<&str>), HeadFault> {
    let authority_at = url.find("://").ok_or(HeadFault::Malformed)? + 3;
    let authority = url.get(authority_at..).ok_or(HeadFault::Malformed)?;
    // `http://app.example*` and `http://app.example?x` have no path of their own: refused.
    let end = authority.find(['/', '?', '#', '\\']).ok_or(HeadFault::Malformed)?;
    let (origin, target) = url.split_at_checked(authority_at + end).ok_or(HeadFault::Malformed)?;
    if !target.starts_with('/') {
        return Err(HeadFault::Malformed);
    }
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    };
    // `#` would end the query at the upstream; the runtime cuts fragments off, so none arrives.
    match query {
        Some(query) if query.bytes().any(|byte| !byte.is_ascii_graphic() || byte == b'#') => {
            Err(HeadFault::Malformed)
        }
        _ => Ok((origin, path, query)),
    }
}

/// Name and value of a line `name: value`; the value may be empty.
fn split_line(line: &str) -> Option<(&str, &str)> {
    let (name, rest) = line.split_once(':')?;
    let value = rest.strip_prefix(' ').unwrap_or(rest);
    let plain = |byte: u8| byte.is_ascii_graphic() && !byte.is_ascii_uppercase();
    (!name.is_empty() && name.bytes().all(plain)).then_some((name, value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::testing;

    #[test]
    fn a_head_is_read_from_one_text() {
        let text = "GET\nhttps://app.example.com/api/x?y=1?z\ncookie: a=1\nx-a: b: c\nx-empty: \n";
        let head = RequestHead::parse(text).unwrap();
        assert_eq!(head.method, Method::Get);
        assert_eq!(head.origin, "https://app.example.com");
        assert_eq!(head.path.as_str(), "/api/x");
        assert_eq!(head.query, Some("y=1?z"));
        assert_eq!(head.known.cookie, Some("a=1"));
        let headers: Vec<_> = head.headers().collect();
        assert_eq!(headers, [("cookie", "a=1"), ("x-a", "b: c"), ("x-empty", "")]);
    }

    #[test]
    fn an_empty_query_is_still_a_query() {
        let head = RequestHead::parse("GET\nhttps://a.example/x?\n").unwrap();
        assert_eq!(head.query, Some(""));
    }

    #[test]
    fn malformed_heads_are_refused() {
        use HeadFault::{Malformed, MethodUnknown, PathAmbiguous};
        for (text, fault) in [
            ("", MethodUnknown),
            ("get\nhttps://a.example/\n", MethodUnknown),
            ("PROPFIND\nhttps://a.example/\n", MethodUnknown),
            ("GET", Malformed),
            ("GET\n/x\n", Malformed),
            ("OPTIONS\nhttp://app.example*\n", Malformed), // attack list 6.5: `GET *`
            ("GET\nhttp://app.example\n", Malformed),
            ("GET\nhttp://app.example?x=/y\n", Malformed),
            ("GET\nhttp://app.example#/y\n", Malformed),
            ("GET\nhttp://app.example\\x/y\n", Malformed),
            ("GET\nhttps://a.example/x?a\u{7f}\n", Malformed),
            ("GET\nhttps://a.example/x?a b\n", Malformed),
            ("GET\nhttps://a.example/x?é\n", Malformed),
            ("GET\nhttps://a.example/x?a#b\n", Malformed),
            ("GET\nhttps://a.example/x#b\n", PathAmbiguous),
            ("GET\nhttps://a.example/../x\n", PathAmbiguous),
            ("GET\nhttps://a.example/x\nno colon\n", Malformed),
            ("GET\nhttps://a.example/x\n: v\n", Malformed),
            ("GET\nhttps://a.example/x\nx-user : v\n", Malformed),
            ("GET\nhttps://a.example/x\nCookie: v\n", Malformed), // never from this runtime
        ] {
            assert_eq!(RequestHead::parse(text).unwrap_err(), fault, "{text:?}");
        }
    }

    #[test]
    fn only_an_origin_of_ours_is_ours() {
        let config = testing::config();
        for (url, ours) in [
            ("https://app.example.com/", true),
            ("http://localhost:8787/", true),
            ("https://app.example.com:443/", false),
            ("https://APP.example.com/", false),
            ("http://app.example.com/", false),
            ("https://app.example.com./", false),
            ("https://app.example.com.evil.example/", false),
            ("https://u@app.example.com/", false), // userinfo reaches the Worker (6.5)
            ("https://u@app.example.com:99/", false),
            ("https://app.example.com, b.example/", false), // two Host headers
            ("https://xn--app-.example.com/", false),       // CVE-2024-12224
            ("http://localhost:8788/", false),
            ("http://127.0.0.1:8787/", false),
        ] {
            let text = format!("GET\n{url}\n");
            let head = RequestHead::parse(&text).unwrap();
            assert_eq!(head.our_origin(&config).is_some(), ours, "{url}");
        }
    }

    #[test]
    fn a_document_navigation_is_told_from_everything_else() {
        for (headers, expected) in [
            ("sec-fetch-mode: navigate\nsec-fetch-dest: document\n", true),
            ("sec-fetch-mode: navigate\nsec-fetch-dest: iframe\n", false),
            ("sec-fetch-mode: cors\nsec-fetch-dest: empty\naccept: text/html\n", false),
            ("sec-fetch-mode: navigate\nsec-fetch-dest: document\nsec-purpose: prefetch\n", false),
            ("sec-fetch-mode: navigate\nsec-fetch-dest: document\npurpose: prefetch\n", false),
            ("sec-fetch-mode: navigate\nsec-fetch-dest: document\nx-moz: prefetch\n", false),
            ("sec-fetch-mode: navigate\naccept: text/html\n", false),
            ("accept: text/html,*/*\n", true),
            ("accept: application/json\n", false),
            ("", false),
        ] {
            let text = format!("GET\nhttps://app.example.com/auth/login\n{headers}");
            let head = RequestHead::parse(&text).unwrap();
            assert_eq!(head.is_document_navigation(), expected, "{headers}");
        }
    }

    #[test]
    fn a_body_shows_in_its_length_or_in_chunks() {
        for (headers, expected) in [
            ("", false),
            ("content-length: 0\n", false),
            ("content-length: 1\n", true),
            ("content-length: 0, 5\n", true),
            ("transfer-encoding: chunked\n", true),
        ] {
            let text = format!("DELETE\nhttps://app.example.com/x\n{headers}");
            assert_eq!(RequestHead::parse(&text).unwrap().has_body(), expected, "{headers}");
        }
    }
}
