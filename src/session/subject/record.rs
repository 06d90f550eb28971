//! The object's one row: version (1 byte), the first bytes of SHA-256 over the rest, and JSON.
//!
//! The sum is there because most of the row isn't sealed: a changed byte would be another session's
//! name, which ends a stranger's session or leaves the person's own, or another index's, which
//! nobody could ever log in to again.
//!
//! What is needed to end a session lies open, names of objects and times: an end must not depend on
//! a key that has left the ring, and the alarm knows no subject. What describes the person's device
//! is sealed under a key that needs the `sub`.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::{
    super::{
        EndReason, KeyRing, SessionKey, Transaction,
        record::known,
        seal::{NONCE, Purpose, VERSION},
    },
    bars::{Named, SignIn},
    protocol::{IndexName, Registration, SeenToken, Which, Whose},
};
use crate::{base64url, device::DeviceName, secret::Secret, time::Timestamp};

/// Bytes of the sum: it is against accidents, not against whoever can write here.
const SUM: usize = 8;

/// The row as it was read.
#[derive(Debug)]
pub(super) enum Row {
    /// An index.
    Listed(Index),
    /// A newer release's.
    Newer,
    /// Nobody's.
    Damaged,
}

/// All that the object keeps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Index {
    /// The object's own name.
    pub(super) name: IndexName,
    /// In the order of their registration.
    pub(super) entries: Vec<Entry>,
    /// What a login that was under way at a logout meets.
    #[serde(default, deserialize_with = "known_bars")]
    pub(super) bars: Vec<Bar>,
    /// Logout tokens that would still be accepted by their dates.
    #[serde(default)]
    pub(super) seen: Vec<SeenToken>,
    /// What the alarm was last set to.
    #[serde(default)]
    pub(super) alarm: Option<Timestamp>,
}

/// One session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    /// Its object.
    pub(super) session: SessionKey,
    /// Its name in the person's list.
    pub(super) handle: String,
    /// `iat` of its ID token.
    pub(super) issued_at: Timestamp,
    /// When its login began.
    pub(super) began: Timestamp,
    /// Nobody has seen its session yet.
    #[serde(default)]
    pub(super) is_pending: bool,
    /// The session's absolute limit.
    pub(super) expires: Timestamp,
    /// The index of its `sub`.
    pub(super) subject: IndexName,
    /// The index of its `sid`.
    #[serde(default)]
    pub(super) sid: Option<IndexName>,
    /// It is to end, and its object hasn't confirmed that yet.
    #[serde(default)]
    pub(super) ending: Option<Ending>,
    kid: String,
    sealed: String,
}

/// An end that was ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ending {
    /// Why.
    #[serde(deserialize_with = "known_reason")]
    pub(super) reason: EndReason,
    /// Since when.
    pub(super) since: Timestamp,
}

/// Logins that are refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Bar {
    /// Those that come to a session that is meant by this.
    pub(super) which: Which,
    /// As long as a login may take.
    pub(super) until: Timestamp,
}

/// What is sealed of an entry.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Description {
    /// When the session began.
    pub(super) created: Timestamp,
    /// On what it runs.
    pub(super) device: DeviceName,
}

impl Row {
    /// Reads a row; never fails.
    pub(super) fn decode(bytes: &[u8]) -> Self {
        match bytes.split_first() {
            Some((&VERSION, rest)) => Self::decode_v1(rest).map_or(Self::Damaged, Self::Listed),
            Some((&0, _)) | None => Self::Damaged,
            Some(_) => Self::Newer,
        }
    }

    fn decode_v1(rest: &[u8]) -> Option<Index> {
        let (found, json) = rest.split_first_chunk::<SUM>()?;
        if *found != sum(json)? {
            return None;
        }
        crate::json::read(json).ok()
    }
}

impl Index {
    /// One that lists nothing.
    pub(super) const fn new(name: IndexName) -> Self {
        Self { name, entries: Vec::new(), bars: Vec::new(), seen: Vec::new(), alarm: None }
    }

    /// Whether nothing hangs on it.
    pub(super) const fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.bars.is_empty() && self.seen.is_empty()
    }

    /// The row's bytes.
    pub(super) fn encode(&self) -> Option<Vec<u8>> {
        let json = serde_json::to_vec(self).ok()?;
        let mut row = Vec::with_capacity(1 + SUM + json.len());
        row.push(VERSION);
        row.extend(sum(&json)?);
        row.extend(json);
        Some(row)
    }
}

impl Entry {
    /// Seals what describes the session.
    pub(super) fn new(
        registration: &Registration,
        handle: String,
        keys: &KeyRing,
        nonce: [u8; NONCE],
    ) -> Option<Self> {
        let mut entry = Self {
            session: registration.session.clone(),
            handle,
            issued_at: registration.issued_at,
            began: registration.began,
            is_pending: true,
            expires: registration.expires,
            subject: registration.subject.clone(),
            sid: registration.sid.clone(),
            ending: None,
            kid: String::new(),
            sealed: String::new(),
        };
        let description =
            Description { created: registration.created, device: registration.device };
        entry.seal(&description, &registration.whose, keys, nonce)?;
        Some(entry)
    }

    /// As an end names it. `auth_time` isn't kept: it counts while the login is under way.
    pub(super) fn named(&self, authenticated_at: Option<Timestamp>) -> Named<'_> {
        let (began, issued_at) = (self.began, self.issued_at);
        Named {
            session: &self.session,
            handle: Some(&self.handle),
            subject: &self.subject,
            sid: self.sid.as_ref(),
            sign_in: SignIn { began, issued_at, authenticated_at },
        }
    }

    /// Until when its session must have been stored; nothing once it was seen.
    pub(super) fn pending_until(&self) -> Option<Timestamp> {
        self.is_pending.then(|| self.began.after(Transaction::LIFETIME))
    }

    fn seal(
        &mut self,
        description: &Description,
        whose: &Whose,
        keys: &KeyRing,
        nonce: [u8; NONCE],
    ) -> Option<()> {
        let plain = Secret::new(serde_json::to_vec(description).ok()?);
        let key = keys.sealing(Purpose::IndexEntry, &whose.holder());
        let sealed = key.seal(nonce, &self.bound(), plain.expose())?;
        keys.first_kid().clone_into(&mut self.kid);
        self.sealed = base64url::encode(sealed);
        Some(())
    }

    /// Opens it for who knows whose it is.
    pub(super) fn open(&self, whose: &Whose, keys: &KeyRing) -> Option<Description> {
        let sealed = base64url::decode(&self.sealed)?;
        let key = keys.opening(Purpose::IndexEntry, &self.kid, &whose.holder())?;
        let plain = key.open(&self.bound(), &sealed)?;
        crate::json::read(plain.expose()).ok()
    }

    /// Whether it is sealed under another key than the ring's first.
    pub(super) fn is_old(&self, keys: &KeyRing) -> bool {
        self.kid != keys.first_kid()
    }

    /// Seals it anew, if it can be opened; says whether it was.
    pub(super) fn renew(&mut self, whose: &Whose, keys: &KeyRing, nonce: [u8; NONCE]) -> bool {
        let Some(description) = self.open(whose, keys) else { return false };
        self.seal(&description, whose, keys, nonce).is_some()
    }

    fn bound(&self) -> [&[u8]; 2] {
        [self.session.as_bytes(), self.handle.as_bytes()]
    }
}

/// A later release's reason is one all the same: for its word the list isn't thrown away.
fn known_reason<'de, D: Deserializer<'de>>(deserializer: D) -> Result<EndReason, D::Error> {
    known(deserializer).map(|reason| reason.unwrap_or(EndReason::Remote))
}

/// Without a later release's: what it refuses can't be told, and the others go on refusing.
fn known_bars<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Bar>, D::Error> {
    let bars = Vec::<Value>::deserialize(deserializer)?;
    Ok(bars.into_iter().filter_map(|bar| crate::json::from_value(&bar).ok()).collect())
}

fn sum(json: &[u8]) -> Option<[u8; SUM]> {
    Sha256::digest(json).first_chunk().copied()
}
