//! Tickets: what is kept sealed beside a tombstone, for a while.
//!
//! A *logout ticket* is the ID token for `id_token_hint`, under a key that only the one-time URL
//! holds. A *revocation ticket* is a refresh token that the provider hasn't taken back yet at a
//! logout, under the root key alone: the one named exception to "a dump with the Worker's secrets
//! opens nothing", until the provider answers, at most an hour, off at 0.

use serde::{Deserialize, Serialize};

use super::{
    KeyRing, LogoutTicketKey, SessionKey,
    seal::{NONCE, Purpose},
};
use crate::{
    base64url,
    secret::{Secret, in_the_clear},
    time::Timestamp,
};

/// A sealed text beside a tombstone, bound to the session and to its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Sealed {
    kid: String,
    text: String,
}

impl Sealed {
    fn seal<T: Serialize>(
        keys: &KeyRing,
        purpose: Purpose,
        holder: &[u8],
        bound: (&SessionKey, Timestamp),
        content: &T,
        nonce: [u8; NONCE],
    ) -> Option<Self> {
        let plain = Secret::new(serde_json::to_vec(content).ok()?);
        let until = bound.1.as_millis().to_be_bytes();
        let text = keys.sealing(purpose, holder).seal(
            nonce,
            &[bound.0.as_bytes(), &until],
            plain.expose(),
        )?;
        Some(Self { kid: keys.first_kid().to_owned(), text: base64url::encode(text) })
    }

    fn open<T: for<'de> Deserialize<'de>>(
        &self,
        keys: &KeyRing,
        purpose: Purpose,
        holder: &[u8],
        bound: (&SessionKey, Timestamp),
    ) -> Option<T> {
        let until = bound.1.as_millis().to_be_bytes();
        let text = base64url::decode(&self.text)?;
        let key = keys.opening(purpose, &self.kid, holder)?;
        let plain = key.open(&[bound.0.as_bytes(), &until], &text)?;
        crate::json::read(plain.expose()).ok()
    }
}

/// What a one-time logout URL gives, once.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct LogoutContents {
    #[serde(default, with = "in_the_clear::option")]
    pub(super) id_token: Option<Secret<String>>,
    pub(super) end_session_endpoint: Option<String>,
    pub(super) origin: String,
}

/// An ID token that waits for its one-time URL.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LogoutTicket {
    sealed: Sealed,
    /// When it is of no more use.
    pub(super) until: Timestamp,
}

impl LogoutTicket {
    /// Draws nothing itself: `key` is 32 random bytes, for the URL.
    pub(super) fn seal(
        keys: &KeyRing,
        session: &SessionKey,
        until: Timestamp,
        contents: &LogoutContents,
        key: &[u8; 32],
        nonce: [u8; NONCE],
    ) -> Option<(Self, LogoutTicketKey)> {
        let bound = (session, until);
        let sealed = Sealed::seal(keys, Purpose::LogoutTicket, key, bound, contents, nonce)?;
        let ticket = LogoutTicketKey(Secret::new(base64url::encode(key)));
        Some((Self { sealed, until }, ticket))
    }

    /// Opens it with the key from the URL, before its time is up.
    pub(super) fn open(
        &self,
        keys: &KeyRing,
        session: &SessionKey,
        key: &LogoutTicketKey,
        now: Timestamp,
    ) -> Option<LogoutContents> {
        let key: Secret<[u8; 32]> = Secret::new(base64url::decode_array(key.0.expose())?);
        if now >= self.until {
            return None;
        }
        let bound = (session, self.until);
        self.sealed.open(keys, Purpose::LogoutTicket, key.expose(), bound)
    }
}

/// What is to be revoked where.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct RevocationContents {
    /// Whose endpoint it is: nobody else's credentials go there.
    pub(super) issuer: String,
    pub(super) endpoint: String,
    #[serde(with = "in_the_clear")]
    pub(super) refresh_token: Secret<String>,
}

/// A refresh token that waits for its revocation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RevocationTicket {
    sealed: Sealed,
    /// When the session ended.
    pub(super) since: Timestamp,
    /// When it is given up.
    pub(super) until: Timestamp,
    /// When it is tried next.
    pub(super) next: Timestamp,
}

impl RevocationTicket {
    /// Seals it under the root key.
    pub(super) fn seal(
        keys: &KeyRing,
        session: &SessionKey,
        (since, until, next): (Timestamp, Timestamp, Timestamp),
        contents: &RevocationContents,
        nonce: [u8; NONCE],
    ) -> Option<Self> {
        let bound = (session, until);
        let sealed = Sealed::seal(keys, Purpose::RevocationTicket, &[], bound, contents, nonce)?;
        Some(Self { sealed, since, until, next })
    }

    /// Opens it.
    pub(super) fn open(&self, keys: &KeyRing, session: &SessionKey) -> Option<RevocationContents> {
        self.sealed.open(keys, Purpose::RevocationTicket, &[], (session, self.until))
    }

    /// Whether both are the same ticket, whatever their next try is.
    pub(super) fn is(&self, other: &Self) -> bool {
        self.sealed == other.sealed
    }
}
