//! Sealing: XChaCha20-Poly1305 under keys that HKDF-SHA256 derives, one key a purpose.
//!
//! Every seal binds, each with its length before it, the format's version, the key's id, the
//! purpose and whatever the caller names (Envoy CVE-2023-35941 joined without separators, so that
//! bytes could move between fields). There is one failure, `None`, for whatever is wrong with a
//! sealed text (Envoy CVE-2026-47775 told a padding from a MAC), and nothing is parsed before the
//! tag was checked (auth0-PHP CVE-2025-48951). The nonce is an argument: 24 random bytes never
//! meet twice.

use chacha20poly1305::{
    KeyInit as _, XChaCha20Poly1305, XNonce,
    aead::{Aead as _, Payload},
};
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroize as _;

use crate::secret::Secret;

/// The version of all sealed formats.
pub(super) const VERSION: u8 = 1;

/// Bytes of a nonce.
pub(super) const NONCE: usize = 24;

/// Bytes of a tag.
const TAG: usize = 16;

/// What a seal is for: what was sealed for one purpose never opens for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A session's record.
    Record,
    /// A login under way, in the browser's cookie.
    Transaction,
    /// An ID token that waits for a one-time logout URL.
    LogoutTicket,
    /// A refresh token that waits for its revocation.
    RevocationTicket,
    /// What describes a session in its subject's index.
    IndexEntry,
}

impl Purpose {
    const fn label(self) -> &'static [u8] {
        match self {
            Self::Record => b"tokenkeep record v1",
            Self::Transaction => b"tokenkeep transaction v1",
            Self::LogoutTicket => b"tokenkeep logout ticket v1",
            Self::RevocationTicket => b"tokenkeep revocation ticket v1",
            Self::IndexEntry => b"tokenkeep index entry v1",
        }
    }
}

/// A key for one purpose, and who it belongs to.
pub(super) struct SealKey {
    purpose: Purpose,
    kid: String,
    key: Secret<[u8; 32]>,
}

impl SealKey {
    /// HKDF-SHA256 with the purpose's label as salt, `root` as input and `holder` as info: the
    /// secret that somebody other than us holds (a SessionId, a ticket), or nothing.
    pub(super) fn derive(purpose: Purpose, kid: &str, root: &[u8; 32], holder: &[u8]) -> Self {
        let mut key = [0; 32];
        #[expect(clippy::expect_used, reason = "HKDF-SHA256 gives up to 8160 bytes; these are 32")]
        Hkdf::<Sha256>::new(Some(purpose.label()), root)
            .expand(holder, &mut key)
            .expect("32 bytes are within HKDF's bounds");
        let derived = Self { purpose, kid: kid.to_owned(), key: Secret::new(key) };
        key.zeroize();
        derived
    }

    /// nonce ‖ ciphertext ‖ tag. `None` only for a text of hundreds of gigabytes.
    pub(super) fn seal(
        &self,
        nonce: [u8; NONCE],
        bound: &[&[u8]],
        plain: &[u8],
    ) -> Option<Vec<u8>> {
        let aad = self.aad(bound);
        let payload = Payload { msg: plain, aad: &aad };
        let text = self.cipher().encrypt(XNonce::from_slice(&nonce), payload).ok()?;
        let mut sealed = Vec::with_capacity(NONCE + text.len());
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(&text);
        Some(sealed)
    }

    /// What was sealed, if it was sealed under this key, for this purpose, with the same bounds.
    pub(super) fn open(&self, bound: &[&[u8]], sealed: &[u8]) -> Option<Secret<Vec<u8>>> {
        if sealed.len() < NONCE + TAG {
            return None;
        }
        let (nonce, text) = sealed.split_at_checked(NONCE)?;
        let aad = self.aad(bound);
        let payload = Payload { msg: text, aad: &aad };
        self.cipher().decrypt(XNonce::from_slice(nonce), payload).ok().map(Secret::new)
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(self.key.expose().into())
    }

    fn aad(&self, bound: &[&[u8]]) -> Vec<u8> {
        let mut aad = vec![VERSION];
        for part in [self.kid.as_bytes(), self.purpose.label()].iter().chain(bound) {
            push_with_length(&mut aad, part);
        }
        aad
    }
}

/// Appends `part` with its length before it.
pub(super) fn push_with_length(out: &mut Vec<u8>, part: &[u8]) {
    out.extend_from_slice(&(part.len() as u64).to_be_bytes());
    out.extend_from_slice(part);
}

#[cfg(test)]
mod tests {
    use super::*;

    const PURPOSES: [Purpose; 5] = [
        Purpose::Record,
        Purpose::Transaction,
        Purpose::LogoutTicket,
        Purpose::RevocationTicket,
        Purpose::IndexEntry,
    ];

    fn key(purpose: Purpose) -> SealKey {
        SealKey::derive(purpose, "a", &[1; 32], b"holder")
    }

    #[test]
    fn what_is_sealed_for_one_purpose_opens_for_no_other() {
        for purpose in PURPOSES {
            let sealed = key(purpose).seal([9; 24], &[b"x"], b"plain").unwrap();
            for other in PURPOSES {
                let opened = key(other).open(&[b"x"], &sealed);
                assert_eq!(opened.is_some(), other == purpose, "{purpose:?} as {other:?}");
            }
        }
    }

    #[test]
    fn the_purpose_is_bound_even_where_a_key_is_the_same() {
        let sealed = key(Purpose::Record).seal([9; 24], &[], b"plain").unwrap();
        let SealKey { kid, key, .. } = key(Purpose::Record);
        let confused = SealKey { purpose: Purpose::LogoutTicket, kid, key };
        assert!(confused.open(&[], &sealed).is_none());
    }

    // Envoy CVE-2023-35941: bytes that move between fields.
    #[test]
    fn no_byte_moves_between_what_is_bound() {
        let sealed = key(Purpose::Record).seal([9; 24], &[b"ab", b"c"], b"plain").unwrap();
        for bound in [&[&b"a"[..], b"bc"][..], &[b"abc"], &[b"abc", b""], &[b"ab", b"c", b""]] {
            assert!(key(Purpose::Record).open(bound, &sealed).is_none(), "{bound:?}");
        }
        assert!(key(Purpose::Record).open(&[b"ab", b"c"], &sealed).is_some());
    }

    #[test]
    fn another_kid_root_or_holder_opens_nothing() {
        let sealed = key(Purpose::Record).seal([9; 24], &[], b"plain").unwrap();
        for other in [
            SealKey::derive(Purpose::Record, "b", &[1; 32], b"holder"),
            SealKey::derive(Purpose::Record, "a", &[2; 32], b"holder"),
            SealKey::derive(Purpose::Record, "a", &[1; 32], b"Holder"),
            SealKey::derive(Purpose::Record, "a", &[1; 32], b""),
        ] {
            assert!(other.open(&[], &sealed).is_none());
        }
    }

    // auth0-PHP CVE-2025-47275: short tags. And every other change of every byte.
    #[test]
    fn every_cut_and_every_flipped_bit_is_refused() {
        let key = key(Purpose::Record);
        let sealed = key.seal([9; 24], &[], b"plain").unwrap();
        for length in 0..sealed.len() {
            assert!(key.open(&[], &sealed[..length]).is_none(), "cut to {length}");
        }
        for position in 0..sealed.len() {
            for bit in 0..8 {
                let mut changed = sealed.clone();
                changed[position] ^= 1 << bit;
                assert!(key.open(&[], &changed).is_none(), "bit {bit} of byte {position}");
            }
        }
    }

    // mod_auth_openidc CVE-2021-32791: a static nonce.
    #[test]
    fn the_same_text_under_another_nonce_is_another_ciphertext() {
        let key = key(Purpose::Record);
        let one = key.seal([1; 24], &[], b"plain").unwrap();
        let two = key.seal([2; 24], &[], b"plain").unwrap();
        assert_ne!(one[NONCE..], two[NONCE..]);
    }
}
