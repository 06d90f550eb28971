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
        crate::json::read(plain.expose()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "__Host-Http-tokenkeep-login-1-abc";

    fn key(byte: u8) -> String {
        let mut bytes = [byte; 32];
        bytes[0] ^= 1;
        base64url::encode(bytes)
    }

    fn ring(session_keys: &str) -> KeyRing {
        KeyRing::parse(session_keys, &key(9)).unwrap()
    }

    fn transaction() -> Transaction {
        Transaction {
            state: "the-state".into(),
            nonce: "the-nonce".into(),
            verifier: CodeVerifier::from_bytes([3; 32]),
            return_to: "/inbox".to_owned(),
            issuer: "https://id.example.com/".to_owned(),
            redirect_uri: "https://app.example.com/auth/callback".to_owned(),
            origin: "https://app.example.com".to_owned(),
            session_id: SessionId::from_bytes([7; 32]),
            earlier: Some(SessionId::from_bytes([8; 32])),
            started: Timestamp::from_secs(1_800_000_000),
            max_age: Some(60),
            acr_values: Some(vec!["gold".to_owned()]),
        }
    }

    #[test]
    fn a_transaction_comes_back_whole_also_after_a_rotation() {
        let before = ring(&format!("a:{}", key(1)));
        let value = before.seal_transaction(&transaction(), NAME, [5; 24]).unwrap();
        let after = ring(&format!("b:{},a:{}", key(2), key(1)));
        let opened = after.open_transaction(&value, NAME).unwrap();
        let json = |transaction: &Transaction| serde_json::to_string(transaction).unwrap();
        assert_eq!(json(&opened), json(&transaction()));
        assert!(value.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)));
    }

    #[test]
    fn a_transaction_under_another_name_or_a_lost_key_is_none() {
        let keys = ring(&format!("a:{}", key(1)));
        let value = keys.seal_transaction(&transaction(), NAME, [5; 24]).unwrap();
        assert!(keys.open_transaction(&value, "__Host-Http-tokenkeep-login-1-abd").is_none());
        assert!(ring(&format!("b:{}", key(1))).open_transaction(&value, NAME).is_none());
        assert!(ring(&format!("a:{}", key(2))).open_transaction(&value, NAME).is_none());
    }

    // mod_auth_openidc CVE-2024-24814, CVE-2023-28625: crafted cookies.
    #[test]
    fn a_crafted_transaction_is_none() {
        let keys = ring(&format!("a:{}", key(1)));
        let value = keys.seal_transaction(&transaction(), NAME, [5; 24]).unwrap();
        let long = format!("a.{}", "A".repeat(100_000));
        for bad in ["", ".", "a", "a.", "a.AAAA", "a.=", "a..", "\u{e9}.x", &value[1..], &long] {
            assert!(keys.open_transaction(bad, NAME).is_none(), "{bad}");
        }
        for at in 0..value.len() {
            let mut changed = value.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert!(keys.open_transaction(&changed, NAME).is_none(), "character {at}");
        }
    }

    #[test]
    fn a_transaction_that_no_browser_would_keep_is_refused() {
        let keys = ring(&format!("a:{}", key(1)));
        let mut large = transaction();
        large.return_to = format!("/{}", "x".repeat(1023));
        let value = keys.seal_transaction(&large, NAME, [5; 24]).unwrap();
        assert!(value.len() < 4000);
        large.return_to = "x".repeat(4000);
        let refused = keys.seal_transaction(&large, NAME, [5; 24]);
        assert_eq!(refused.unwrap_err(), TransactionFault::TooLarge);
    }

    #[test]
    fn debug_shows_no_secret() {
        let text = format!("{:?}", transaction());
        assert!(!text.contains("the-state") && !text.contains("the-nonce"), "{text}");
    }

    #[test]
    fn a_transaction_has_its_time() {
        let transaction = transaction();
        let started = transaction.started;
        let at = |secs| started.after(Duration::from_secs(secs));
        assert!(!transaction.is_expired(at(599)));
        assert!(transaction.is_expired(at(600)));
        assert!(!transaction.is_expired(started.before(Duration::from_secs(60))));
        assert!(transaction.is_expired(started.before(Duration::from_secs(61))));
    }
}
