//! Base64url without padding (RFC 4648 §5, RFC 7515 §2), strict: no padding, no white space, no
//! leftover bits.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

/// Encodes `bytes`.
pub fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Decodes `text`, or `None` if it is not strict base64url.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// Decodes `text` to exactly `N` bytes.
pub fn decode_array<const N: usize>(text: &str) -> Option<[u8; N]> {
    decode(text)?.try_into().ok()
}
