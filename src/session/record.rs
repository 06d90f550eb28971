//! The object's one row, versioned: version (1 byte), the open part's length (4 bytes) and its
//! JSON, then, for a live session, nonce and ciphertext.
//!
//! The open part is what must be known without the cookie: when things are due. The sealed part
//! opens only with a key of the ring and the SessionId together, and is bound to the open part.
//! A newer release's version is nobody's to judge: it is left alone.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, de::DeserializeOwned};

use super::{
    KeyRing, SessionId, SessionKey, TokenKey,
    lifetime::{Deadlines, HeldToken},
    protocol::{EndReason, LoginFailure},
    seal::{NONCE, Purpose, VERSION},
    subject::{IndexName, SignIn, Whose},
    ticket::{LogoutTicket, RevocationTicket},
};
use crate::{
    secret::{Secret, in_the_clear},
    time::Timestamp,
};

/// The longest row that is read: what an object can store, and far more than one ever holds. In a KV
/// namespace others may have put 25 MiB in a row's place.
const MAX_BYTES: usize = 2 * 1024 * 1024;

/// Who logged in, as verified at the login and renewed by every verified ID token since.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Identity {
    /// `iss`.
    pub issuer: String,
    /// `sub`.
    pub subject: String,
    /// `aud`, all of it.
    pub audience: Vec<String>,
    /// `sid`, for logout tokens.
    #[serde(default)]
    pub sid: Option<String>,
    /// `auth_time`, in seconds.
    #[serde(default)]
    pub auth_time: Option<u64>,
    /// `nonce` of the login.
    #[serde(default)]
    pub nonce: Option<String>,
    /// What `GET session` may show: protocol claims removed.
    pub claims: serde_json::Map<String, serde_json::Value>,
}

impl Identity {
    /// The person, as an index knows them.
    pub fn whose(&self) -> Whose {
        Whose::subject(&self.issuer, &self.subject)
    }

    /// Their session at the provider, where it has a name.
    pub fn whose_provider_session(&self) -> Option<Whose> {
        self.sid.as_deref().map(|sid| Whose::provider_session(&self.issuer, sid))
    }

    /// What is kept after a refresh: the new claims alone (Pomerium CVE-2021-41230 went on with the
    /// old ones), and of the login what a refreshed ID token needn't repeat.
    pub(super) fn renewed_from(self, login: &Self) -> Self {
        Self {
            sid: self.sid.or_else(|| login.sid.clone()),
            auth_time: login.auth_time.or(self.auth_time),
            nonce: login.nonce.clone(),
            audience: login.audience.clone(),
            ..self
        }
    }
}

/// Shows nothing of the person.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity([redacted])")
    }
}

/// The row, as far as it can be read without the cookie.
#[derive(Debug)]
pub(super) enum Row {
    /// A session.
    Live(Box<ClosedRecord>),
    /// A code that is being exchanged, or was when the object stopped.
    Exchanging(Marker),
    /// Nothing any more, and nothing to be.
    Ended(Tombstone),
    /// What a newer release wrote.
    Newer,
    /// What nobody wrote.
    Damaged,
}

/// A session's record, not opened.
#[derive(Debug)]
pub(super) struct ClosedRecord {
    /// Its open part.
    pub(super) open: OpenPart,
    /// The same, byte for byte as it was bound.
    open_bytes: Vec<u8>,
    sealed: Vec<u8>,
}

/// What is known of a session without the cookie.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct OpenPart {
    /// Under which ring key the rest is sealed.
    pub(super) kid: String,
    /// The object's name.
    pub(super) session: SessionKey,
    /// Counts refreshes.
    pub(super) epoch: u64,
    /// When it ends by itself.
    pub(super) deadlines: Deadlines,
    /// When the session was made.
    pub(super) created: Timestamp,
    /// Its last activity that was written, to the hour.
    pub(super) last_seen: Timestamp,
    /// Under which names the subject's objects list it.
    pub(super) names: IndexNames,
    /// What the alarm was last set to.
    #[serde(default)]
    pub(super) alarm: Option<Timestamp>,
}

/// The names of the subject's objects: keyed hashes, so that a dump names no subject.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexNames {
    /// By issuer and `sub`.
    pub subject: IndexName,
    /// By issuer and `sid`: a `sid` is never taken for a `sub`.
    #[serde(default)]
    pub sid: Option<IndexName>,
}

impl IndexNames {
    /// The names for a session of `identity`.
    pub fn of(identity: &Identity, keys: &KeyRing) -> Self {
        Self {
            subject: identity.whose().name(keys),
            sid: identity.whose_provider_session().map(|whose| whose.name(keys)),
        }
    }

    /// Both, where there are two.
    pub fn iter(&self) -> impl Iterator<Item = &IndexName> {
        std::iter::once(&self.subject).chain(&self.sid)
    }
}

/// The sealed part.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Contents {
    /// One access token for each (resource, scope) that was asked for.
    pub(super) tokens: Vec<HeldToken>,
    /// The one refresh token.
    #[serde(default, with = "in_the_clear::option")]
    pub(super) refresh_token: Option<Secret<String>>,
    /// The last verified ID token, for `id_token_hint`.
    #[serde(default, with = "in_the_clear::option")]
    pub(super) id_token: Option<Secret<String>>,
    /// Who logged in.
    pub(super) identity: Identity,
    /// The provider's endpoints as they were at the login.
    pub(super) endpoints: Endpoints,
    /// Which of our origins the session was made for.
    pub(super) origin: String,
    /// Keyed hash of state and code: who brings the same gets the same answer.
    pub(super) login_id: String,
    /// A refresh left and its result isn't written.
    #[serde(default)]
    pub(super) sending: bool,
    /// The answer to a refresh with this refresh token was lost: it may be spent.
    #[serde(default)]
    pub(super) lost: bool,
    /// In KV: what a logout is held against that isn't seen yet where the session is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) sign_in: Option<SignIn>,
}

impl Contents {
    /// The token that is held for `key`.
    pub(super) fn token(&self, key: &TokenKey) -> Option<&HeldToken> {
        self.tokens.iter().find(|token| token.key == *key)
    }

    /// The same, to change it.
    pub(super) fn token_mut(&mut self, key: &TokenKey) -> Option<&mut HeldToken> {
        self.tokens.iter_mut().find(|token| token.key == *key)
    }

    /// Takes a token in the place of the one for the same key.
    pub(super) fn hold(&mut self, token: HeldToken) {
        self.tokens.retain(|held| held.key != token.key);
        // Keys come from the operator's routes; the bound is for configurations long gone.
        while self.tokens.len() >= MAX_TOKENS {
            self.tokens.remove(0);
        }
        self.tokens.push(token);
    }
}

const MAX_TOKENS: usize = 16;

/// The provider's endpoints as they were at the login.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Endpoints {
    /// `token_endpoint`.
    pub(super) token: String,
    /// `jwks_uri`.
    pub(super) jwks_uri: String,
    /// `revocation_endpoint`.
    #[serde(default)]
    pub(super) revocation: Option<String>,
    /// `end_session_endpoint`.
    #[serde(default)]
    pub(super) end_session: Option<String>,
    /// `userinfo_endpoint`.
    #[serde(default)]
    pub(super) userinfo: Option<String>,
}

/// A code is being exchanged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Marker {
    /// The object's name.
    pub(super) session: SessionKey,
    /// Keyed hash of state and code.
    pub(super) login_id: String,
    /// When the exchange began.
    pub(super) began: Timestamp,
    /// When the transaction has run out.
    pub(super) until: Timestamp,
    /// When the alarm is to ring first, so that the session's own deadline needs no second one.
    pub(super) wake: Timestamp,
}

/// What is left of a session, or of a login that came to nothing: a late create finds it taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tombstone {
    /// The object's name.
    pub(super) session: SessionKey,
    /// How long it is kept, tickets aside.
    pub(super) until: Timestamp,
    /// Why the session ended, if there was one.
    #[serde(default, deserialize_with = "known")]
    pub(super) reason: Option<EndReason>,
    /// The login that came to nothing, and how.
    #[serde(default, deserialize_with = "known")]
    pub(super) login: Option<FailedLogin>,
    /// Refresh tokens that wait for their revocation.
    #[serde(default)]
    pub(super) revocations: Vec<RevocationTicket>,
    /// The ID token that waits for a one-time URL.
    #[serde(default)]
    pub(super) logout: Option<LogoutTicket>,
    /// What the alarm was last set to.
    #[serde(default)]
    pub(super) alarm: Option<Timestamp>,
}

impl Tombstone {
    /// One that holds nothing but the place.
    pub(super) const fn new(session: SessionKey, until: Timestamp) -> Self {
        Self {
            session,
            until,
            reason: None,
            login: None,
            revocations: Vec::new(),
            logout: None,
            alarm: None,
        }
    }
}

/// What this release knows; a later one's word is none, and no reason to throw the tombstone away
/// with the tickets beside it.
pub(super) fn known<'de, D: Deserializer<'de>, T: DeserializeOwned>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    let value = serde_json::Value::deserialize(deserializer)?;
    Ok(crate::json::from_value(&value).ok())
}

/// A login that came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FailedLogin {
    /// Keyed hash of state and code.
    pub(super) id: String,
    /// What everyone who brings them is told.
    pub(super) failure: LoginFailure,
}

#[derive(Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
enum OpenRef<'a> {
    Live(&'a OpenPart),
    Exchanging(&'a Marker),
    Ended(&'a Tombstone),
}

/// Which of them it is. Read on its own: serde would buffer the whole to look at the tag first, and
/// every type in it would be compiled a second time for that.
#[derive(Deserialize)]
struct OpenState {
    state: State,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Live,
    Exchanging,
    Ended,
}

impl Row {
    /// Reads a row; never fails, never opens anything.
    pub(super) fn decode(bytes: &[u8]) -> Self {
        match bytes.split_first() {
            Some(_) if bytes.len() > MAX_BYTES => Self::Damaged,
            Some((&VERSION, rest)) => Self::decode_v1(rest).unwrap_or(Self::Damaged),
            // Control characters, so that somebody's text is never taken for a release to come.
            Some((2..=0x1f, _)) => Self::Newer,
            Some(_) | None => Self::Damaged,
        }
    }

    fn decode_v1(rest: &[u8]) -> Option<Self> {
        let (length, rest) = rest.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let (open_bytes, sealed) = rest.split_at_checked(length)?;
        let OpenState { state } = crate::json::read(open_bytes).ok()?;
        Some(match state {
            State::Live => Self::Live(Box::new(ClosedRecord {
                open: crate::json::read(open_bytes).ok()?,
                open_bytes: open_bytes.to_vec(),
                sealed: sealed.to_vec(),
            })),
            State::Exchanging => Self::Exchanging(crate::json::read(open_bytes).ok()?),
            State::Ended => Self::Ended(crate::json::read(open_bytes).ok()?),
        })
    }
}

impl ClosedRecord {
    /// Opens it; `None` if the ring hasn't the key or the id isn't this session's.
    pub(super) fn open(&self, keys: &KeyRing, id: &SessionId) -> Option<Contents> {
        let key = keys.opening(Purpose::Record, &self.open.kid, id.expose())?;
        let plain = key.open(&[id.key().as_bytes(), &self.open_bytes], &self.sealed)?;
        crate::json::read(plain.expose()).ok()
    }
}

/// A live session's row. Seals under the ring's first key and says so in `open`.
pub(super) fn encode_live(
    keys: &KeyRing,
    id: &SessionId,
    open: &mut OpenPart,
    contents: &Contents,
    nonce: [u8; NONCE],
) -> Option<Vec<u8>> {
    keys.first_kid().clone_into(&mut open.kid);
    let open_bytes = serde_json::to_vec(&OpenRef::Live(open)).ok()?;
    let plain = Secret::new(serde_json::to_vec(contents).ok()?);
    let key = keys.sealing(Purpose::Record, id.expose());
    let sealed = key.seal(nonce, &[id.key().as_bytes(), &open_bytes], plain.expose())?;
    frame(&open_bytes, &sealed)
}

/// A marker's row.
pub(super) fn encode_marker(marker: &Marker) -> Option<Vec<u8>> {
    frame(&serde_json::to_vec(&OpenRef::Exchanging(marker)).ok()?, &[])
}

/// A tombstone's row.
pub(super) fn encode_tombstone(tombstone: &Tombstone) -> Option<Vec<u8>> {
    frame(&serde_json::to_vec(&OpenRef::Ended(tombstone)).ok()?, &[])
}

fn frame(open: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    let mut row = Vec::with_capacity(5 + open.len() + sealed.len());
    row.push(VERSION);
    row.extend_from_slice(&u32::try_from(open.len()).ok()?.to_be_bytes());
    row.extend_from_slice(open);
    row.extend_from_slice(sealed);
    Some(row)
}
