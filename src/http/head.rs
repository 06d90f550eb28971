//! The head of a request, parsed once (reading, deciding and doing are three rooms).
//!
//! The entry module writes it as one text: method, URL, and a line for each header. A single string
//! crosses into wasm instead of one a header. Names are in lower case and a repeated header is
//! already joined with `, `, as the runtime does both; a value can hold no line break.
//!
//! A line is `name: value`, or `:xvalue` with the letter of a header that is read here
//! ([`Known::letter`]): no name is empty, so one can't be taken for the other. Headers that nobody
//! here reads may be left out, but where the head has options of a connection in it
//! ([`super::request_headers::kind`]): then all come, by their names. So they do for an endpoint of ours,
//! which may look at any of them ([`RequestHead::header`]).
//! Everything here borrows from that text.

use super::{Method, path::RequestPath, problem::ProblemCode};
use crate::config::{Config, Origin};

/// A request's URL. Who has one has an unambiguous path.
#[derive(Clone, Copy, Debug)]
pub struct RequestUrl<'a> {
    /// Scheme and authority, as in [`RequestHead`].
    pub origin: &'a str,
    /// The path.
    pub path: RequestPath<'a>,
    /// The query, as in [`RequestHead`].
    pub query: Option<&'a str>,
}

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
    /// The headers that decide about a call.
    pub known: Known<'a>,
    headers: Vec<(&'a str, &'a str)>,
}

/// What of a request's headers decides about a call, each with a letter of its own: one list, so that
/// what isn't in it can't be read, and needn't be handed over.
macro_rules! known {
    ($($(#[$doc:meta])* $letter:literal $field:ident: $name:literal,)*) => {
        /// The headers that decide about a call, picked up while the head is parsed.
        #[derive(Debug, Default)]
        pub struct Known<'a> {
            $($(#[$doc])* pub $field: Option<&'a str>,)*
        }

        impl<'a> Known<'a> {
            /// The letter that stands for a (lower-case) name, if the header is read.
            pub fn letter(name: &str) -> Option<u8> {
                match name {
                    $($name => Some($letter),)*
                    _ => None,
                }
            }

            /// Keeps a value by its letter; `None` if that is nobody's.
            fn keep(&mut self, letter: u8, value: &'a str) -> Option<()> {
                match letter {
                    $($letter => self.$field = Some(value),)*
                    _ => return None,
                }
                Some(())
            }
        }
    };
}

known! {
    /// `Accept-Encoding`
    b'a' accept_encoding: "accept-encoding",
    /// `Access-Control-Request-Method`: makes an OPTIONS a preflight.
    b'b' access_control_request_method: "access-control-request-method",
    /// `Authorization`: the administrator's; a caller's own never goes on.
    b'c' authorization: "authorization",
    /// `CF-Connecting-IP`: the client's address, by the platform's word.
    b'd' cf_connecting_ip: "cf-connecting-ip",
    /// `Connection`
    b'e' connection: "connection",
    /// `Content-Length`
    b'f' content_length: "content-length",
    /// `Cookie`, all of them; two lines arrive joined with `, `.
    b'g' cookie: "cookie",
    /// `Early-Data` (RFC 8470)
    b'h' early_data: "early-data",
    /// `Origin`
    b'i' origin: "origin",
    /// `Referer`: that one came. By its letter it comes without its value.
    b'j' referer: "referer",
    /// `Sec-Fetch-Dest`
    b'k' sec_fetch_dest: "sec-fetch-dest",
    /// `Sec-Fetch-Mode`
    b'l' sec_fetch_mode: "sec-fetch-mode",
    /// `Sec-Fetch-Site`
    b'm' sec_fetch_site: "sec-fetch-site",
    /// `Sec-WebSocket-Key`
    b'n' sec_websocket_key: "sec-websocket-key",
    /// `Sec-WebSocket-Version`
    b'o' sec_websocket_version: "sec-websocket-version",
    /// `Service-Worker`: the script of one is asked for.
    b'p' service_worker: "service-worker",
    /// `Transfer-Encoding`
    b'q' transfer_encoding: "transfer-encoding",
    /// `Upgrade`
    b'r' upgrade: "upgrade",
    /// `X-Tokenkeep`, the static header of the CSRF layers.
    b's' x_tokenkeep: "x-tokenkeep",
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

impl<'a> RequestUrl<'a> {
    /// Parses a URL as the runtime gives it.
    ///
    /// # Errors
    ///
    /// [`HeadFault::Malformed`] or [`HeadFault::PathAmbiguous`].
    pub fn parse(url: &'a str) -> Result<Self, HeadFault> {
        let (origin, path, query) = split_url(url)?;
        let path = RequestPath::parse(path).map_err(|_| HeadFault::PathAmbiguous)?;
        Ok(Self { origin, path, query })
    }

    /// See [`RequestHead::our_origin`].
    pub fn our_origin<'c>(&self, config: &'c Config) -> Option<&'c Origin> {
        config.origins.iter().find(|own| own.serialized == self.origin)
    }
}

impl<'a> RequestHead<'a> {
    /// Parses the entry module's text.
    ///
    /// # Errors
    ///
    /// The first [`HeadFault`], in the order of the text.
    pub fn parse(text: &'a str) -> Result<Self, HeadFault> {
        let mut rest = text;
        let method = Method::parse(line(&mut rest)).ok_or(HeadFault::MethodUnknown)?;
        let RequestUrl { origin, path, query } = RequestUrl::parse(line(&mut rest))?;
        let mut known = Known::default();
        let mut headers = Vec::new();
        while !rest.is_empty() {
            let line = line(&mut rest);
            if let [b':', letter, ..] = line.as_bytes() {
                let value = line.get(2..).unwrap_or_default();
                known.keep(*letter, value).ok_or(HeadFault::Malformed)?;
            } else if !line.is_empty() {
                let (name, value) = split_line(line).ok_or(HeadFault::Malformed)?;
                Known::letter(name).and_then(|letter| known.keep(letter, value));
                headers.push((name, value));
            }
        }
        Ok(Self { method, origin, path, query, known, headers })
    }

    /// The value of any header, by its (lower-case) name: for endpoints of ours, since all headers come
    /// with those. What decides about a call is in [`Self::known`].
    pub fn header(&self, name: &str) -> Option<&'a str> {
        self.headers().find(|(found, _)| *found == name).map(|(_, value)| value)
    }

    /// The headers that came by their names, in the order in which they came.
    pub fn headers(&self) -> impl Iterator<Item = (&'a str, &'a str)> + '_ {
        self.headers.iter().copied()
    }

    /// Which of the configured origins the request is for, compared byte for byte. `Host` is the
    /// sender's to choose: userinfo, lists and unknown hosts all end here (attack list 6.5).
    pub fn our_origin<'c>(&self, config: &'c Config) -> Option<&'c Origin> {
        let Self { origin, path, query, .. } = *self;
        RequestUrl { origin, path, query }.our_origin(config)
    }

    /// A document that a person navigated to in a window or tab of their own (not in a frame,
    /// not ahead of time). True where a browser sends no Fetch Metadata but asks for HTML.
    pub fn is_document_navigation(&self) -> bool {
        if self.is_speculative() {
            return false;
        }
        match (self.known.sec_fetch_mode, self.known.sec_fetch_dest) {
            (Some(mode), Some(dest)) => mode == "navigate" && dest == "document",
            (None, None) => self.header("accept").is_some_and(|it| it.contains("text/html")),
            _ => false,
        }
    }

    /// Sent by a prefetch, a prerender or a preview (`Purpose`, `Sec-Purpose` or `X-Moz`, whichever came):
    /// must start nothing.
    pub fn is_speculative(&self) -> bool {
        ["purpose", "sec-purpose", "x-moz"].iter().any(|name| self.header(name).is_some())
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

/// Takes a line off the text.
fn line<'a>(text: &mut &'a str) -> &'a str {
    let end = text.bytes().position(|byte| byte == b'\n');
    let (line, rest) = match end {
        Some(end) => (text.get(..end), text.get(end + 1..)),
        None => (Some(*text), None),
    };
    *text = rest.unwrap_or_default();
    line.unwrap_or_default()
}

/// Origin, path and query. Not by a URL parser: that would repair what has to be refused.
fn split_url(url: &str) -> Result<(&str, &str, Option<&str>), HeadFault> {
    let scheme = url.bytes().position(|byte| byte == b':').ok_or(HeadFault::Malformed)?;
    let authority = url.get(scheme..).and_then(|rest| rest.strip_prefix("://"));
    let authority = authority.ok_or(HeadFault::Malformed)?;
    // `http://app.example*` and `http://app.example?x` have no path of their own: refused.
    let end = authority.bytes().position(|byte| matches!(byte, b'/' | b'?' | b'#' | b'\\'));
    let origin_end = scheme + 3 + end.ok_or(HeadFault::Malformed)?;
    let (origin, target) = url.split_at_checked(origin_end).ok_or(HeadFault::Malformed)?;
    if !target.starts_with('/') {
        return Err(HeadFault::Malformed);
    }
    let (path, query) = match target.bytes().position(|byte| byte == b'?') {
        Some(mark) => (target.get(..mark).unwrap_or_default(), target.get(mark + 1..)),
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
