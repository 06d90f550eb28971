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
    seal::{Purpose, SealKey, push_with_length},
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
    name_key: Secret<[u8; 32]>,
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
        Ok(Self { first, others: ring.collect(), name_key })
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
        let mut text = Vec::new();
        push_with_length(&mut text, label.as_bytes());
        parts.iter().for_each(|part| push_with_length(&mut text, part));
        #[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
        let mut mac = Hmac::<Sha256>::new_from_slice(self.name_key.expose())
            .expect("HMAC takes a key of any length");
        mac.update(&text);
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
