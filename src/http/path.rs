//! A request's path that can be read in one way only.
//!
//! A proxy that decides on one reading of a path and forwards another is the oldest hole of its
//! kind (attack list 4b). The runtime hands over the raw target and every outgoing `fetch`
//! normalises (`/api/../admin` leaves as `/admin`), so a path is accepted only if no later reader
//! can see another: not the runtime's URL parser, not a server that decodes before it resolves,
//! not one that decodes twice, cuts `;parameters` off or merges slashes. All else is refused.

use std::fmt;

/// A path, byte for byte as it came: begins with `/`, RFC 3986 `pchar` and `/`, and raw `|`, `[`,
/// `]`, which browsers leave as they are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RequestPath<'a>(&'a str);

/// The path has a second reading, or isn't one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the path is ambiguous")]
pub struct AmbiguousPath;

impl<'a> RequestPath<'a> {
    /// Accepts `path`, or refuses it; never repairs. A trailing slash is significant.
    ///
    /// # Errors
    ///
    /// [`AmbiguousPath`] for everything that has a second reading.
    pub fn parse(path: &'a str) -> Result<Self, AmbiguousPath> {
        let segments = path.strip_prefix('/').ok_or(AmbiguousPath)?;
        let mut rest = segments.as_bytes();
        loop {
            let end = rest.iter().position(|byte| *byte == b'/');
            let (segment, next) = rest.split_at(end.unwrap_or(rest.len()));
            // Only the last segment may be empty: that is a trailing slash, all else is `//`.
            if is_ambiguous_segment(segment) && !(segment.is_empty() && end.is_none()) {
                return Err(AmbiguousPath);
            }
            let Some((_slash, next)) = next.split_first() else { break };
            rest = next;
        }
        Ok(Self(path))
    }

    /// The path as it came.
    pub const fn as_str(self) -> &'a str {
        self.0
    }

    /// Whether the path is `prefix` or lies below it, on a segment's boundary. `prefix` has no
    /// trailing slash; the empty one has everything below it.
    pub fn is_within(self, prefix: &str) -> bool {
        match self.0.strip_prefix(prefix) {
            Some(rest) => rest.is_empty() || rest.starts_with('/'),
            None => false,
        }
    }
}

impl fmt::Debug for RequestPath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.0, f)
    }
}

/// `unreserved / sub-delims / ":" / "@"` (RFC 3986 §3.3).
const fn is_pchar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'-' | b'.'
                | b'_'
                | b'~'
                | b'!'
                | b'$'
                | b'&'
                | b'\''
                | b'('
                | b')'
                | b'*'
                | b'+'
                | b','
                | b';'
                | b'='
                | b':'
                | b'@'
        )
}

fn is_ambiguous_segment(segment: &[u8]) -> bool {
    // What most segments are: plain from the first byte on.
    let mut is_plain = !matches!(segment.first(), None | Some(b'.' | b';'));
    for byte in segment {
        match byte {
            b'%' => is_plain = false,
            b'|' | b'[' | b']' => {}
            _ if is_pchar(*byte) => {}
            _ => return true,
        }
    }
    if is_plain {
        return false;
    }
    let Some(decoded) = decode(segment) else { return true };
    is_dots(&decoded)
        || decoded.iter().any(|byte| matches!(byte, 0..=0x1f | 0x7f | b'/' | b'\\'))
        || holds_another_encoding(&decoded)
        || std::str::from_utf8(&decoded).is_err()
}

/// Nothing, or nothing but dots and spaces, once `;parameters` are cut off: `..`, `..;x`, `..%20`,
/// and the empty segment, also as `;x`, which makes a `//`.
fn is_dots(segment: &[u8]) -> bool {
    let name = segment.split(|byte| *byte == b';').next().unwrap_or_default();
    let is_dotty = name.iter().all(|byte| matches!(byte, b'.' | b' '));
    is_dotty && (name.is_empty() || name.contains(&b'.'))
}

/// Whether a second decoding would make a dot, a slash or a backslash (`%252e`), a third
/// (`%25252e`) included.
fn holds_another_encoding(decoded: &[u8]) -> bool {
    let mut rest = decoded;
    while let Some(at) = rest.iter().position(|byte| *byte == b'%') {
        rest = rest.get(at + 1..).unwrap_or_default();
        let mut code = rest;
        while let Some(inner) = code.strip_prefix(b"25") {
            code = inner;
        }
        if let [high, low, ..] = code
            && matches!((*high, low.to_ascii_lowercase()), (b'2', b'e' | b'f') | (b'5', b'c'))
        {
            return true;
        }
    }
    false
}

/// Decodes once; `None` if a `%` isn't followed by two hexadecimal digits.
fn decode(segment: &[u8]) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(segment.len());
    let mut bytes = segment.iter().copied();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
            let value = digit(bytes.next())? * 16 + digit(bytes.next())?;
            decoded.push(u8::try_from(value).ok()?);
        } else {
            decoded.push(byte);
        }
    }
    Some(decoded)
}

#[cfg(test)]
mod tests;
