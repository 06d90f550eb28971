//! `application/x-www-form-urlencoded`, read strictly and written plainly.
//!
//! What comes from a browser is decoded once, here, and what doesn't decode is refused: a decoder
//! that guesses (`%zz`, bytes that aren't UTF-8) lets two parties read two different values.

use url::form_urlencoded;

/// Reads a query (without its `?`) or a form body into its pairs, in their order.
///
/// # Errors
///
/// [`FormError`] for a percent sign without two hex digits after it and for what isn't UTF-8.
pub fn parse(text: &str) -> Result<Vec<(String, String)>, FormError> {
    text.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decode(name)?, decode(value)?))
        })
        .collect()
}

/// Writes pairs as a form.
pub fn serialize(pairs: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

/// Adds pairs to an endpoint's URL. Its own query is kept as it is (RFC 6749 §3.1) but for
/// parameters of the same names: each may be there once only, and ours is the one that counts.
pub fn append_to(endpoint: &str, pairs: &[(&str, &str)]) -> String {
    let (base, query) = endpoint.split_once('?').unwrap_or((endpoint, ""));
    let kept = query.split('&').filter(|pair| !pair.is_empty()).filter(|pair| {
        let name = form_urlencoded::parse(pair.as_bytes()).next().map(|(name, _)| name);
        !pairs.iter().any(|(ours, _)| name.as_deref() == Some(*ours))
    });
    let ours = serialize(pairs);
    let query = kept.chain((!ours.is_empty()).then_some(ours.as_str())).collect::<Vec<_>>();
    format!("{base}?{}", query.join("&"))
}

/// Encodes one component and leaves exactly RFC 3986's unreserved characters alone: providers
/// that decode nothing still read an ordinary secret right, and `%20` is a space to every decoder
/// while `+` isn't.
pub fn encode_component(text: &str) -> String {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let digit = |nibble: u8| HEX.get(usize::from(nibble)).copied().map_or('0', char::from);
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            encoded.push(char::from(byte));
        } else {
            encoded.extend(['%', digit(byte >> 4), digit(byte & 0xf)]);
        }
    }
    encoded
}

/// A query or form that isn't properly encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormError {
    /// `%` without two hex digits.
    #[error("a percent sign is not followed by two hex digits")]
    Escape,
    /// The decoded bytes are no text.
    #[error("a decoded value is not UTF-8")]
    Utf8,
}

fn decode(text: &str) -> Result<String, FormError> {
    let hex = |byte: Option<u8>| {
        let digit = char::from(byte.ok_or(FormError::Escape)?).to_digit(16);
        digit.and_then(|digit| u8::try_from(digit).ok()).ok_or(FormError::Escape)
    };
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => hex(bytes.next())? << 4 | hex(bytes.next())?,
            other => other,
        });
    }
    String::from_utf8(decoded).map_err(|_| FormError::Utf8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn a_form_is_decoded_once_and_in_order() {
        let read = parse("b=1+2&a=%2B%3d%26&&c&d=&=e&f=x=y&g=%25zz&h=%c3%A9").unwrap();
        let expected = [
            pair("b", "1 2"),
            pair("a", "+=&"),
            pair("c", ""),
            pair("d", ""),
            pair("", "e"),
            pair("f", "x=y"),
            pair("g", "%zz"),
            pair("h", "é"),
        ];
        assert_eq!(read, expected);
        assert_eq!(parse(""), Ok(Vec::new()));
    }

    #[test]
    fn what_does_not_decode_is_refused() {
        for text in ["a=%", "a=%4", "a=%zz", "a=%+1", "%=a", "a=%%41", "a=%4é", "a=% 41", "a=%-1"]
        {
            assert_eq!(parse(text), Err(FormError::Escape), "{text}");
        }
        for text in ["a=%ff", "%c3=a", "a=%c0%af", "a=%ed%a0%80"] {
            assert_eq!(parse(text), Err(FormError::Utf8), "{text}");
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let pairs = [("a b", "ü&=+%"), ("c", "~-._*/:"), ("d", "\r\n\0")];
        let read = parse(&serialize(&pairs)).unwrap();
        assert_eq!(read, pairs.map(|(name, value)| pair(name, value)));
    }

    #[test]
    fn an_endpoints_own_query_is_kept_but_for_our_names() {
        for (endpoint, expected) in [
            ("https://e.example/a", "https://e.example/a?state=1"),
            ("https://e.example/a?", "https://e.example/a?state=1"),
            ("https://e.example/a?p=b%20c", "https://e.example/a?p=b%20c&state=1"),
            ("https://e.example/a?state=2&p", "https://e.example/a?p&state=1"),
            ("https://e.example/a?st%61te=2", "https://e.example/a?state=1"),
            ("https://e.example/a?p=x?y", "https://e.example/a?p=x?y&state=1"),
        ] {
            assert_eq!(append_to(endpoint, &[("state", "1")]), expected);
        }
    }

    #[test]
    fn a_component_leaves_unreserved_characters_alone() {
        let unreserved = "ABCXYZabcxyz0189-._~";
        assert_eq!(encode_component(unreserved), unreserved);
        assert_eq!(encode_component("a b:c%d+e/é"), "a%20b%3Ac%25d%2Be%2F%C3%A9");
    }
}
