//! One login under way. It lives, sealed, in a short-lived cookie of its own: nothing is stored
//! for an anonymous visitor, so nobody can fill the storage.
//!
//! state, nonce and verifier are bound here to the provider (Auth.js CVE-2026-73419), to the
//! cookie's name and to the browser that brings it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{
    KeyRing, SessionId,
    seal::{NONCE, Purpose},
};
use crate::{
    base64url,
    oauth::pkce::CodeVerifier,
    secret::{Secret, in_the_clear},
    time::Timestamp,
};

/// A cookie of 4096 bytes, its name included, is dropped by browsers without a word.
const MAX_VALUE: usize = 3_800;

/// One login under way.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Transaction {
    /// `state` of the authorization request.
    #[serde(with = "in_the_clear")]
    pub state: Secret<String>,
    /// `nonce` of the authorization request.
    #[serde(with = "in_the_clear")]
    pub nonce: Secret<String>,
    /// The PKCE `code_verifier`.
    pub verifier: CodeVerifier,
    /// Where the person wanted to go: a checked path of ours.
    pub return_to: String,
    /// The issuer that the browser was sent to.
    pub issuer: String,
    /// `redirect_uri` of the authorization request.
    pub redirect_uri: String,
    /// Which of our origins it began on, serialized.
    pub origin: String,
    /// The session to be.
    pub session_id: SessionId,
    /// The session that the browser had when it began: ended once the new one is stored.
    pub earlier: Option<SessionId>,
    /// When it began.
    pub started: Timestamp,
    /// `max_age` of the authorization request, in seconds.
    pub max_age: Option<u64>,
    /// `acr_values` of the authorization request.
    pub acr_values: Option<Vec<String>>,
}

/// Why a transaction can't be sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransactionFault {
    /// The cookie would be longer than browsers keep.
    #[error("the login is too large for a cookie")]
    TooLarge,
}

impl Transaction {
    /// How long a login may take.
    pub const LIFETIME: Duration = Duration::from_secs(600);

    /// Whether it is past its lifetime, or from a future that no clock skew explains.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        now >= self.started.after(Self::LIFETIME)
            || self.started > now.after(Duration::from_secs(60))
    }
}

impl KeyRing {
    /// The cookie's value: `kid.base64url(nonce ‖ ciphertext)`, bound to the cookie's name.
    ///
    /// # Errors
    ///
    /// [`TransactionFault::TooLarge`] past 3,800 bytes.
    pub fn seal_transaction(
        &self,
        transaction: &Transaction,
        cookie_name: &str,
        nonce: [u8; NONCE],
    ) -> Result<String, TransactionFault> {
        let plain = serde_json::to_vec(transaction).map(Secret::new);
        let plain = plain.map_err(|_| TransactionFault::TooLarge)?;
        let sealed = self
            .sealing(Purpose::Transaction, &[])
            .seal(nonce, &[cookie_name.as_bytes()], plain.expose())
            .ok_or(TransactionFault::TooLarge)?;
        let value = format!("{}.{}", self.first_kid(), base64url::encode(sealed));
        if value.len() > MAX_VALUE { Err(TransactionFault::TooLarge) } else { Ok(value) }
    }

    /// The transaction in a cookie of this name, if we sealed it and the ring still has the key.
    pub fn open_transaction(&self, value: &str, cookie_name: &str) -> Option<Transaction> {
        if value.len() > MAX_VALUE {
            return None;
        }
        let (kid, sealed) = value.split_once('.')?;
        let sealed = base64url::decode(sealed)?;
        let key = self.opening(Purpose::Transaction, kid, &[])?;
        let plain = key.open(&[cookie_name.as_bytes()], &sealed)?;
        serde_json::from_slice(plain.expose()).ok()
    }
}
