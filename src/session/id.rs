//! The session's two names: the secret one that only the cookie holds, and the one derived from
//! it that names the object.
//!
//! Whoever reads the storage, a log of object names or the platform's dashboard sees
//! [`SessionKey`]s and can't get from one to the [`SessionId`] that opens the record. No ring key
//! goes into the derivation, so that rotation doesn't move objects.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use sha2::{Digest as _, Sha256};

use crate::{base64url, secret::Secret};

const KEY_LABEL: &[u8] = b"tokenkeep session key v1";

/// The session's secret name: 32 random bytes, in the browser's cookie and nowhere else.
#[derive(Clone, PartialEq, Eq)]
pub struct SessionId(Secret<[u8; 32]>);

impl SessionId {
    /// From 32 bytes of a cryptographic source.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Secret::new(bytes))
    }

    /// The name of its object: SHA-256(label ‖ id).
    pub fn key(&self) -> SessionKey {
        let digest = Sha256::new().chain_update(KEY_LABEL).chain_update(self.0.expose());
        SessionKey(digest.finalize().into())
    }

    /// For the derivation of the record's key and for the cookie.
    pub(super) const fn expose(&self) -> &[u8; 32] {
        self.0.expose()
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionId([redacted])")
    }
}

/// As base64url: for a sealed transaction and for commands to our own object.
impl Serialize for SessionId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&base64url::encode(self.0.expose()))
    }
}

impl<'de> Deserialize<'de> for SessionId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        bytes(deserializer).map(Self::from_bytes)
    }
}

/// The name of a session's object; says nothing about the cookie.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionKey([u8; 32]);

impl SessionKey {
    /// From the object's name.
    pub fn from_name(name: &str) -> Option<Self> {
        base64url::decode_array(name).map(Self)
    }

    /// The object's name: 43 characters of base64url.
    pub fn name(&self) -> String {
        base64url::encode(self.0)
    }

    pub(super) const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionKey({})", self.name())
    }
}

impl Serialize for SessionKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.name())
    }
}

impl<'de> Deserialize<'de> for SessionKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        bytes(deserializer).map(Self)
    }
}

fn bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; 32], D::Error> {
    let text = String::deserialize(deserializer)?;
    base64url::decode_array(&text).ok_or_else(|| D::Error::custom("not 32 bytes of base64url"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_stable_and_differs_from_the_id() {
        let id = SessionId::from_bytes([7; 32]);
        assert_eq!(id.key(), SessionId::from_bytes([7; 32]).key());
        assert_ne!(id.key().as_bytes(), id.expose());
        assert_ne!(id.key(), SessionId::from_bytes([8; 32]).key());
        // Objects of the release before must be found again.
        assert_eq!(id.key().name(), "cPTF0jnd6Qt1GGeWcgQ-pQvXnrvgNG-VVj74GOF5-c4");
    }

    #[test]
    fn an_id_shows_itself_to_nobody() {
        let id = SessionId::from_bytes([7; 32]);
        assert_eq!(format!("{id:?}"), "SessionId([redacted])");
    }

    #[test]
    fn both_names_survive_json_and_nothing_else_is_taken_for_one() {
        let id = SessionId::from_bytes([7; 32]);
        let text = serde_json::to_string(&id).unwrap();
        assert_eq!(serde_json::from_str::<SessionId>(&text).unwrap(), id);
        let text = serde_json::to_string(&id.key()).unwrap();
        assert_eq!(serde_json::from_str::<SessionKey>(&text).unwrap(), id.key());
        for bad in ["\"\"", "\"AA\"", "7", "null", &format!("\"{}\"", "A".repeat(44))] {
            assert!(serde_json::from_str::<SessionId>(bad).is_err(), "{bad}");
        }
    }
}
