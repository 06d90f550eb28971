//! The logout token (OpenID Connect Back-Channel Logout 1.0 §2.4) and its validation in the order
//! of §2.6.
//!
//! [`UntrustedLogoutToken`] → [`VerifiedLogoutToken`], as for ID tokens: nobody is logged out by
//! what somebody posted. No token is both, whatever its `typ`: a logout token must have `events`,
//! an ID token must not.

use std::{fmt, time::Duration};

use serde_json::Value;

use super::{
    claims::{ClaimError, Claims},
    id_token::{EXPIRY_LEEWAY, FUTURE_SKEW, MAX_TOKEN_AGE},
    json,
    jwk_set::JwkSet,
    jws::{JwsError, TokenKind, UntrustedJws},
};
use crate::{config::SigningAlg, secret::Secret, time::Timestamp};

/// How old a token without `exp` may be. §2.4 requires `exp`, and some providers leave it out; two
/// minutes is the longest lifetime that §4 recommends.
pub const MAX_AGE_WITHOUT_EXP: Duration = Duration::from_secs(2 * 60);

/// The longest `jti`: it is remembered until the token is too old.
pub const MAX_JTI: usize = 255;

/// The longest `sid`.
pub const MAX_SID: usize = 512;

/// The member of `events` that makes a token a logout token (§2.4).
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// What a logout token must fit: what an ID token of the same registration must (§2.6 steps 3, 4).
#[derive(Clone, Copy, Debug)]
pub struct LogoutTokenExpectations<'a> {
    /// The issuer of the configuration, byte for byte.
    pub issuer: &'a str,
    /// Our `client_id`.
    pub client_id: &'a str,
    /// `id_token_signed_response_alg` of the registration.
    pub alg: SigningAlg,
}

/// A logout token that was taken apart, nothing believed.
#[derive(Debug)]
pub struct UntrustedLogoutToken<'a> {
    jws: UntrustedJws<'a>,
    claims: Claims,
}

impl<'a> UntrustedLogoutToken<'a> {
    /// Takes a logout token apart. Whoever can reach the endpoint can send one, so its length is
    /// looked at before anything else ([`super::jws::MAX_TOKEN`]).
    ///
    /// # Errors
    ///
    /// [`LogoutTokenError::Jws`] and [`LogoutTokenError::NotClaims`].
    pub fn parse(token: &'a Secret<String>) -> Result<Self, LogoutTokenError> {
        // Step 1: a token of five segments is encrypted, which no registration of ours asks for;
        // its text isn't base64url with a dot in it, so it ends here.
        let jws = UntrustedJws::parse(token.expose(), TokenKind::LogoutToken)?;
        let claims = json::object(&jws.payload).map_err(|_| LogoutTokenError::NotClaims)?;
        Ok(Self { jws, claims: Claims(claims) })
    }

    /// §2.6, steps 2 to 7. Step 8 is the caller's, who remembers
    /// [`jti`](VerifiedLogoutToken::jti); steps 9 to 11 come with finding the sessions by issuer
    /// and `sid` or `sub`.
    ///
    /// # Errors
    ///
    /// [`LogoutTokenError`]. On [`LogoutTokenError::UnknownKey`] fetch the keys again, once, and
    /// verify once more; every other error is final.
    pub fn verify(
        self,
        keys: &JwkSet,
        expected: &LogoutTokenExpectations<'_>,
        now: Timestamp,
    ) -> Result<VerifiedLogoutToken, LogoutTokenError> {
        let Self { jws, claims } = self;

        // Step 4, `iss` and `aud`: first, as OpenID Connect Core §3.1.3.7 has them. What another
        // provider sent, or for another client, costs no signature and no search for keys.
        let issuer = claims.required_text("iss")?;
        if issuer != expected.issuer {
            return Err(LogoutTokenError::IssuerMismatch);
        }
        claims.check_audience(expected.client_id)?;

        // Step 3, before step 2: nothing is computed for an algorithm that isn't ours. `none` and
        // HS256 and its kin have no registration of ours.
        if !jws.has_alg(expected.alg) {
            return Err(LogoutTokenError::AlgorithmMismatch);
        }

        // Step 2.
        jws.verify(keys, expected.alg)?;

        // Step 4, `iat` and `exp`.
        let (issued_at, replay_until) = lifetime(&claims, now)?;

        // Step 5.
        let who = logout_subject(&claims)?;

        // Step 6.
        check_event(&claims)?;

        // Step 7. Present is present, also as `null`.
        if claims.0.contains_key("nonce") {
            return Err(LogoutTokenError::NoncePresent);
        }

        // For step 8; section 2.4 requires it.
        let jti = claims.required_text("jti")?;
        if jti.is_empty() || jti.len() > MAX_JTI {
            return Err(LogoutTokenError::Malformed("jti"));
        }

        Ok(VerifiedLogoutToken {
            issuer: issuer.to_owned(),
            who,
            issued_at,
            jti: jti.to_owned(),
            replay_until,
        })
    }
}

/// A logout token that passed every check. Only [`UntrustedLogoutToken::verify`] makes one.
pub struct VerifiedLogoutToken {
    issuer: String,
    who: LogoutSubject,
    issued_at: Timestamp,
    jti: String,
    replay_until: Timestamp,
}

impl VerifiedLogoutToken {
    /// `iss`: `sub`, `sid` and `jti` are unique for it only.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Whose sessions are to end.
    pub const fn who(&self) -> &LogoutSubject {
        &self.who
    }

    /// `iat`; at most [`FUTURE_SKEW`] ahead of us.
    pub const fn issued_at(&self) -> Timestamp {
        self.issued_at
    }

    /// The token's own name, 1 to [`MAX_JTI`] bytes. A second token of the same name, before
    /// [`Self::replay_until`], is this one again (§2.6 step 8).
    pub fn jti(&self) -> &str {
        &self.jti
    }

    /// From when on the token is refused for its age, leeway included: until then `jti` must be
    /// remembered, and no longer. At most [`MAX_TOKEN_AGE`] after [`Self::issued_at`].
    pub const fn replay_until(&self) -> Timestamp {
        self.replay_until
    }
}

/// Shows nothing of the person.
impl fmt::Debug for VerifiedLogoutToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VerifiedLogoutToken([redacted])")
    }
}

/// Whose sessions are to end (§2.4, §2.7). A `sid` is never taken for a `sub`.
#[derive(Clone, PartialEq, Eq)]
pub enum LogoutSubject {
    /// One session at the provider.
    Session {
        /// `sid`, 1 to [`MAX_SID`] bytes.
        sid: String,
        /// `sub`, where there was one too: the session must then be this person's (§2.6 step 10).
        sub: Option<String>,
    },
    /// All sessions of a person: there was no `sid`.
    Subject {
        /// `sub`, 1 to 255 ASCII characters.
        sub: String,
    },
}

/// Shows nothing of the person.
impl fmt::Debug for LogoutSubject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Session { .. } => "Session([redacted])",
            Self::Subject { .. } => "Subject([redacted])",
        })
    }
}

/// Why a logout token isn't believed; the answer is 400 (§2.6).
/// [`LogoutTokenError::UnknownKey`] asks for the keys to be fetched once more; the others are the
/// provider's fault, or an attack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogoutTokenError {
    /// No known key made the signature: fetch the keys again, once.
    #[error("no known key of the provider made the logout token's signature")]
    UnknownKey,
    /// No JWS, of another kind, or not properly signed.
    #[error("logout token: {0}")]
    Jws(JwsError),
    /// The payload isn't a JSON object with each member once.
    #[error("the logout token's payload is not a JSON object")]
    NotClaims,
    /// A claim that must be there isn't.
    #[error("the logout token has no {0}")]
    Missing(&'static str),
    /// A claim is of the wrong type or out of its range; never taken for absent.
    #[error("the logout token's {0} is malformed")]
    Malformed(&'static str),
    /// Step 3.
    #[error("the logout token's algorithm is not the configured one")]
    AlgorithmMismatch,
    /// Step 4.
    #[error("the logout token comes from another issuer")]
    IssuerMismatch,
    /// Step 4: we aren't among them, or somebody else is.
    #[error("the logout token is not for this client alone")]
    AudienceMismatch,
    /// Step 4.
    #[error("the logout token has expired")]
    Expired,
    /// Step 4.
    #[error("the logout token was issued in the future")]
    IssuedInTheFuture,
    /// Step 4: older than [`MAX_TOKEN_AGE`], or [`MAX_AGE_WITHOUT_EXP`].
    #[error("the logout token was issued too long ago")]
    IssuedTooLongAgo,
    /// `nbf`.
    #[error("the logout token is not valid yet")]
    NotYetValid,
    /// Step 5: neither `sub` nor `sid`.
    #[error("the logout token names neither a subject nor a session")]
    NobodyNamed,
    /// Step 6: an event, and not this one.
    #[error("the token is not a logout token")]
    NotALogoutToken,
    /// Step 7.
    #[error("the logout token has a nonce")]
    NoncePresent,
}

impl LogoutTokenError {
    /// The log's word for the check that failed: never a value of the token's.
    pub const fn kind(self) -> &'static str {
        match self {
            Self::UnknownKey => JwsError::UnknownKey.kind(),
            Self::Jws(error) => error.kind(),
            Self::NotClaims => "payload",
            // Names of claims, from our own code.
            Self::Missing(claim) | Self::Malformed(claim) => claim,
            Self::AlgorithmMismatch => "alg",
            Self::IssuerMismatch => "iss",
            Self::AudienceMismatch => "aud",
            Self::Expired => "exp",
            Self::IssuedInTheFuture | Self::IssuedTooLongAgo => "iat",
            Self::NotYetValid => "nbf",
            Self::NobodyNamed => "sub_or_sid",
            Self::NotALogoutToken => "events",
            Self::NoncePresent => "nonce",
        }
    }
}

impl From<ClaimError> for LogoutTokenError {
    fn from(error: ClaimError) -> Self {
        match error {
            ClaimError::Missing(claim) => Self::Missing(claim),
            ClaimError::Malformed(claim) => Self::Malformed(claim),
            ClaimError::AudienceMismatch => Self::AudienceMismatch,
        }
    }
}

impl From<JwsError> for LogoutTokenError {
    fn from(error: JwsError) -> Self {
        match error {
            JwsError::UnknownKey => Self::UnknownKey,
            other => Self::Jws(other),
        }
    }
}

/// Step 4: when the token was issued, and from when on it is refused for its age. `nbf` is RFC 7519
/// §4.1.5.
fn lifetime(claims: &Claims, now: Timestamp) -> Result<(Timestamp, Timestamp), LogoutTokenError> {
    let issued_at = claims.required_date("iat")?;
    let latest = now.after(FUTURE_SKEW);
    if issued_at > latest {
        return Err(LogoutTokenError::IssuedInTheFuture);
    }
    if claims.date("nbf")?.is_some_and(|not_before| not_before > latest) {
        return Err(LogoutTokenError::NotYetValid);
    }
    let expired_at = claims.date("exp")?.map(|expires_at| expires_at.after(EXPIRY_LEEWAY));
    if expired_at.is_some_and(|expired_at| expired_at <= now) {
        return Err(LogoutTokenError::Expired);
    }
    // With an `exp` too, however late: else a `jti` would have to be remembered for as long.
    let max_age = if expired_at.is_some() { MAX_TOKEN_AGE } else { MAX_AGE_WITHOUT_EXP };
    let too_old_at = issued_at.after(max_age);
    if too_old_at <= now {
        return Err(LogoutTokenError::IssuedTooLongAgo);
    }
    Ok((issued_at, expired_at.map_or(too_old_at, |expired_at| expired_at.min(too_old_at))))
}

/// Step 5: `sub`, `sid` or both.
fn logout_subject(claims: &Claims) -> Result<LogoutSubject, LogoutTokenError> {
    let sub = claims.subject()?.map(str::to_owned);
    let sid = claims.text("sid")?;
    if sid.is_some_and(|sid| sid.is_empty() || sid.len() > MAX_SID) {
        return Err(LogoutTokenError::Malformed("sid"));
    }
    match (sid, sub) {
        (Some(sid), sub) => Ok(LogoutSubject::Session { sid: sid.to_owned(), sub }),
        (None, Some(sub)) => Ok(LogoutSubject::Subject { sub }),
        (None, None) => Err(LogoutTokenError::NobodyNamed),
    }
}

/// Step 6. The event is a member of an object, and an object itself (§2.4), empty or not. Others
/// may stand beside it: they say more of the same event (RFC 8417 §2.2).
fn check_event(claims: &Claims) -> Result<(), LogoutTokenError> {
    match claims.0.get("events") {
        None => Err(LogoutTokenError::Missing("events")),
        Some(Value::Object(events)) => match events.get(EVENT) {
            None => Err(LogoutTokenError::NotALogoutToken),
            Some(Value::Object(_)) => Ok(()),
            Some(_) => Err(LogoutTokenError::Malformed("events")),
        },
        Some(_) => Err(LogoutTokenError::Malformed("events")),
    }
}

#[cfg(test)]
mod tests;
