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
