//! The key ring: `SESSION_KEYS` seals what is kept, `NAME_KEY` tags cookies and makes names.
//!
//! The first ring key seals, all open, records are sealed anew at their next write: that is a
//! rotation. A ring without the old keys is "everyone out". `NAME_KEY` stays, since it is in no
//! record and a change of it only makes the cookies that are out there strangers.

use std::fmt;

use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

use super::{
    SessionId, SessionKey,
    seal::{Purpose, SealKey},
};
use crate::{base64url, secret::Secret};

const COOKIE_TAG_LABEL: &str = "tokenkeep cookie tag v1";
const COOKIE_TAG: usize = 16;

/// `SESSION_KEYS` and `NAME_KEY`.
#[derive(Clone)]
pub struct KeyRing {
    /// Never empty; the first seals.
    first: RingKey,
    others: Vec<RingKey>,
    /// HMAC under `NAME_KEY`, begun: every call checks a cookie's tag.
    names: Hmac<Sha256>,
}

#[derive(Clone)]
struct RingKey {
    kid: String,
    root: Secret<[u8; 32]>,
}

/// What is wrong with `SESSION_KEYS` or `NAME_KEY`. Holds nothing of their values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyRingFault {
    /// `SESSION_KEYS` has no key at this place (from 1) or it lacks the colon.
    #[error("key {0} of SESSION_KEYS is not kid:base64url(32 bytes)")]
    Form(usize),
    /// A key id that isn't 1 to 16 of `A-Z a-z 0-9 - _`.
    #[error("the kid of key {0} of SESSION_KEYS is not 1 to 16 letters, digits, - or _")]
    Kid(usize),
    /// A key that isn't exactly 32 bytes of base64url without padding.
    #[error("key {0} of SESSION_KEYS is not base64url of 32 bytes, without padding")]
    Key(usize),
    /// A key of 32 equal bytes: a placeholder that was never replaced.
    #[error("key {0} of SESSION_KEYS is not random")]
    Placeholder(usize),
    /// Two keys under one id, or one key under two.
    #[error("key {0} of SESSION_KEYS repeats another one's kid or key")]
    Duplicate(usize),
    /// `NAME_KEY` isn't 32 random bytes of base64url.
    #[error("NAME_KEY is not base64url of 32 random bytes, without padding")]
    NameKey,
    /// `NAME_KEY` is one of `SESSION_KEYS`.
    #[error("NAME_KEY repeats a key of SESSION_KEYS")]
    NameKeyShared,
}

impl KeyRing {
    /// Reads `kid:base64url(32 bytes)`, several by comma, and the name key as base64url.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong, without the value.
    pub fn parse(session_keys: &str, name_key: &str) -> Result<Self, KeyRingFault> {
        let mut ring: Vec<RingKey> = Vec::new();
        for (place, text) in (1..).zip(session_keys.split(',')) {
            let (kid, key) = text.trim().split_once(':').ok_or(KeyRingFault::Form(place))?;
            let kid_is_right = (1..=16).contains(&kid.len())
                && kid.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
            if !kid_is_right {
                return Err(KeyRingFault::Kid(place));
            }
            let root: [u8; 32] = base64url::decode_array(key).ok_or(KeyRingFault::Key(place))?;
            if is_placeholder(&root) {
                return Err(KeyRingFault::Placeholder(place));
            }
            let root = Secret::new(root);
            if ring.iter().any(|other| other.kid == kid || other.root == root) {
                return Err(KeyRingFault::Duplicate(place));
            }
            ring.push(RingKey { kid: kid.to_owned(), root });
        }
        let name_key: [u8; 32] =
            base64url::decode_array(name_key.trim()).ok_or(KeyRingFault::NameKey)?;
        if is_placeholder(&name_key) {
            return Err(KeyRingFault::NameKey);
        }
        let name_key = Secret::new(name_key);
        if ring.iter().any(|key| key.root == name_key) {
            return Err(KeyRingFault::NameKeyShared);
        }
        let mut ring = ring.into_iter();
        let first = ring.next().ok_or(KeyRingFault::Form(1))?;
        #[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
        let names =
            Hmac::new_from_slice(name_key.expose()).expect("HMAC takes a key of any length");
        Ok(Self { first, others: ring.collect(), names })
    }

    /// The session cookie's value: SessionId ‖ tag, 64 characters of base64url.
    pub fn cookie_value(&self, id: &SessionId) -> String {
        let mut value = id.expose().to_vec();
        value.extend_from_slice(&self.cookie_tag(id));
        let value = Secret::new(value);
        base64url::encode(value.expose())
    }

    /// The SessionId in a cookie that we issued; `None` for all else, before any store is asked
    /// (better-auth CVE-2025-71402: a forged cookie that ends strangers' sessions).
    pub fn open_cookie(&self, value: &str) -> Option<SessionId> {
        // 48 bytes are exactly 64 characters: nothing longer is decoded.
        if value.len() != 64 {
            return None;
        }
        let bytes: Secret<[u8; 32 + COOKIE_TAG]> = Secret::new(base64url::decode_array(value)?);
        let (id, tag) = bytes.expose().split_first_chunk::<32>()?;
        let id = SessionId::from_bytes(*id);
        bool::from(self.cookie_tag(&id).as_slice().ct_eq(tag)).then_some(id)
    }

    /// HMAC under `NAME_KEY` of a kind and parts, each with its length before it: 43 characters
    /// of base64url. Names the subject's object; stands for sessions and subjects in audit lines.
    pub fn keyed_hash(&self, kind: &str, parts: &[&[u8]]) -> String {
        base64url::encode(self.mac(kind, parts))
    }

    /// The session's name in audit lines.
    pub(super) fn audit_name(&self, key: &SessionKey) -> String {
        self.keyed_hash("audit session", &[key.name().as_bytes()])
    }

    /// The id of the key that seals now.
    pub(super) fn first_kid(&self) -> &str {
        &self.first.kid
    }

    /// A key to seal with.
    pub(super) fn sealing(&self, purpose: Purpose, holder: &[u8]) -> SealKey {
        SealKey::derive(purpose, &self.first.kid, self.first.root.expose(), holder)
    }

    /// A key to open with; `None` for a kid that isn't in the ring (any more).
    pub(super) fn opening(&self, purpose: Purpose, kid: &str, holder: &[u8]) -> Option<SealKey> {
        let key = std::iter::once(&self.first).chain(&self.others).find(|key| key.kid == kid)?;
        Some(SealKey::derive(purpose, &key.kid, key.root.expose(), holder))
    }

    fn cookie_tag(&self, id: &SessionId) -> [u8; COOKIE_TAG] {
        let mac = self.mac(COOKIE_TAG_LABEL, &[id.expose()]);
        let mut tag = [0; COOKIE_TAG];
        tag.iter_mut().zip(mac).for_each(|(to, from)| *to = from);
        tag
    }

    fn mac(&self, label: &str, parts: &[&[u8]]) -> [u8; 32] {
        let mut mac = self.names.clone();
        for part in std::iter::once(label.as_bytes()).chain(parts.iter().copied()) {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }
}

/// Key ids and nothing else.
impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kids: Vec<_> =
            std::iter::once(&self.first).chain(&self.others).map(|key| &key.kid).collect();
        f.debug_struct("KeyRing").field("kids", &kids).finish_non_exhaustive()
    }
}

fn is_placeholder(key: &[u8; 32]) -> bool {
    key.iter().all(|byte| Some(byte) == key.first())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> String {
        let mut bytes = [byte; 32];
        bytes[0] ^= 1;
        base64url::encode(bytes)
    }

    fn ring(session_keys: &str) -> Result<KeyRing, KeyRingFault> {
        KeyRing::parse(session_keys, &key(9))
    }

    #[test]
    fn a_ring_is_read_and_its_first_key_seals() {
        let ring = ring(&format!("new:{}, old-1:{}", key(1), key(2))).unwrap();
        assert_eq!(ring.first_kid(), "new");
        assert!(ring.opening(Purpose::Record, "old-1", b"").is_some());
        assert!(ring.opening(Purpose::Record, "older", b"").is_none());
    }

    // auth0-PHP CVE-2026-34236: keys of little entropy.
    #[test]
    fn whatever_is_wrong_with_a_ring_is_named_without_its_value() {
        let (a, b) = (key(1), key(2));
        let short = base64url::encode([1; 31]);
        let zero = base64url::encode([0; 32]);
        for (text, fault) in [
            (String::new(), KeyRingFault::Form(1)),
            (a.clone(), KeyRingFault::Form(1)),
            (format!("a:{a},"), KeyRingFault::Form(2)),
            (format!(":{a}"), KeyRingFault::Kid(1)),
            (format!("a b:{a}"), KeyRingFault::Kid(1)),
            (format!("a.b:{a}"), KeyRingFault::Kid(1)),
            (format!("{}:{a}", "k".repeat(17)), KeyRingFault::Kid(1)),
            (format!("a:{short}"), KeyRingFault::Key(1)),
            (format!("a:{a}="), KeyRingFault::Key(1)),
            (format!("a:{a},b:{b}AA"), KeyRingFault::Key(2)),
            ("a:password".to_owned(), KeyRingFault::Key(1)),
            (format!("a:{zero}"), KeyRingFault::Placeholder(1)),
            (format!("a:{a},a:{b}"), KeyRingFault::Duplicate(2)),
            (format!("a:{a},b:{a}"), KeyRingFault::Duplicate(2)),
            (format!("a:{}", key(9)), KeyRingFault::NameKeyShared),
        ] {
            let found = ring(&text).unwrap_err();
            assert_eq!(found, fault, "{text}");
            assert!(!found.to_string().contains(&a), "{text}");
        }
        for name_key in ["", "x", &short, &zero] {
            let found = KeyRing::parse(&format!("a:{a}"), name_key).unwrap_err();
            assert_eq!(found, KeyRingFault::NameKey, "{name_key}");
        }
    }

    #[test]
    fn debug_shows_key_ids_and_no_key() {
        let ring = ring(&format!("a:{}", key(1))).unwrap();
        assert_eq!(format!("{ring:?}"), r#"KeyRing { kids: ["a"], .. }"#);
    }

    #[test]
    fn a_cookie_is_64_characters_and_opens_to_its_id() {
        let ring = ring(&format!("a:{}", key(1))).unwrap();
        let id = SessionId::from_bytes([7; 32]);
        let value = ring.cookie_value(&id);
        assert_eq!(value.len(), 64);
        assert_eq!(ring.open_cookie(&value), Some(id));
    }

    // better-auth CVE-2025-71402, auth0-PHP CVE-2025-47275: forged values and short tags.
    #[test]
    fn a_cookie_that_we_never_issued_opens_to_nothing() {
        let ring = ring(&format!("a:{}", key(1))).unwrap();
        let value = ring.cookie_value(&SessionId::from_bytes([7; 32]));
        let bytes = base64url::decode(&value).unwrap();
        for position in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[position] ^= 1;
            assert_eq!(ring.open_cookie(&base64url::encode(changed)), None, "byte {position}");
        }
        for length in 0..bytes.len() {
            assert_eq!(ring.open_cookie(&base64url::encode(&bytes[..length])), None, "{length}");
        }
        let long = format!("{value}AAAA");
        let padded = format!("{}==", &value[..62]);
        let foreign = KeyRing::parse(&format!("a:{}", key(1)), &key(8)).unwrap();
        let theirs = foreign.cookie_value(&SessionId::from_bytes([7; 32]));
        for bad in [&long, &padded, &theirs, &"A".repeat(64), &"\u{e9}".repeat(32), &String::new()]
        {
            assert_eq!(ring.open_cookie(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_rotation_of_the_ring_moves_neither_cookies_nor_names() {
        let before = ring(&format!("a:{}", key(1))).unwrap();
        let after = ring(&format!("b:{},a:{}", key(2), key(1))).unwrap();
        let id = SessionId::from_bytes([7; 32]);
        assert_eq!(before.cookie_value(&id), after.cookie_value(&id));
        assert_eq!(before.keyed_hash("k", &[b"v"]), after.keyed_hash("k", &[b"v"]));
    }

    // Envoy CVE-2023-35941: no byte moves between kind and parts.
    #[test]
    fn a_keyed_hash_tells_its_parts_apart() {
        let ring = ring(&format!("a:{}", key(1))).unwrap();
        let hashes = [
            ring.keyed_hash("k", &[b"ab", b"c"]),
            ring.keyed_hash("k", &[b"a", b"bc"]),
            ring.keyed_hash("k", &[b"abc"]),
            ring.keyed_hash("ka", &[b"b", b"c"]),
            ring.keyed_hash("k", &[b"ab", b"c", b""]),
        ];
        let distinct: std::collections::BTreeSet<_> = hashes.iter().collect();
        assert_eq!(distinct.len(), hashes.len());
    }
}
