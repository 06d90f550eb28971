//! The ID token (OpenID Connect Core §2) and its validation in the order of §3.1.3.7.
//!
//! [`UntrustedIdToken`] → [`VerifiedIdToken`] → [`VerifiedIdentity`]: each can be had from the one
//! before only, so that there is no session without a checked signature and a checked nonce.

use std::time::Duration;

use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256, Sha512};
use subtle::ConstantTimeEq as _;

use super::{
    claims::{ClaimError, Claims, without_protocol_claims},
    json,
    jwk_set::JwkSet,
    jws::{JwsError, TokenKind, UntrustedJws},
    refreshed::RefreshedAgainst,
};
use crate::{base64url, config::SigningAlg, secret::Secret, time::Timestamp};

/// How far ahead of ours the provider's clock may be: `iat`, `nbf` and `auth_time` that are later
/// are refused (FAPI 2.0 §6 has the same 60 s).
pub const FUTURE_SKEW: Duration = Duration::from_secs(60);

/// How long after `exp`, and after `max_age`, a token is still taken.
pub const EXPIRY_LEEWAY: Duration = Duration::from_secs(10);

/// How old an ID token may be at a login (§3.1.3.7 step 10): it comes straight from the token
/// endpoint, so this is only for clocks that are off and for providers that issue it with the
/// code.
pub const MAX_TOKEN_AGE: Duration = Duration::from_secs(60 * 60);

/// The longest `sub` (§2).
pub const MAX_SUBJECT: usize = 255;

/// What an ID token must fit.
#[derive(Clone, Debug)]
pub struct IdTokenExpectations<'a> {
    /// The issuer of the configuration, byte for byte.
    pub issuer: &'a str,
    /// Our `client_id`.
    pub client_id: &'a str,
    /// `id_token_signed_response_alg` of the registration.
    pub alg: SigningAlg,
    /// The nonce of the login.
    pub nonce: Nonce<'a>,
    /// `max_age` of the authorization request, in seconds. It is held against `now`: who wants to
    /// measure from the request, as a person who reads a consent page does, adds the time since.
    pub max_age: Option<u64>,
    /// `acr_values` of the authorization request: the token's `acr` must be one of them.
    pub acr_values: Option<&'a [String]>,
    /// The access token that came along, for `at_hash`.
    pub access_token: Option<&'a Secret<String>>,
}

/// What `nonce` must be.
#[derive(Clone, Copy, Debug)]
pub enum Nonce<'a> {
    /// There, and this one: every login.
    Must(&'a str),
    /// Absent, or as [`RefreshedAgainst`] says: a refresh. No login passes with it.
    AsAtLogin,
}

/// An ID token that was taken apart, nothing believed.
#[derive(Debug)]
pub struct UntrustedIdToken<'a> {
    jws: UntrustedJws<'a>,
    claims: Claims,
}

impl<'a> UntrustedIdToken<'a> {
    /// Takes an ID token apart.
    ///
    /// # Errors
    ///
    /// [`IdTokenError::Jws`] and [`IdTokenError::NotClaims`].
    pub fn parse(token: &'a Secret<String>) -> Result<Self, IdTokenError> {
        // Step 1: a token of five segments is encrypted, which no registration of ours asks for;
        // its text isn't base64url with a dot in it, so it ends here.
        let jws = UntrustedJws::parse(token.expose(), TokenKind::IdToken)?;
        let claims = json::object(&jws.payload).map_err(|_| IdTokenError::NotClaims)?;
        Ok(Self { jws, claims: Claims(claims) })
    }

    /// OpenID Connect Core §3.1.3.7 for a token from the token endpoint, and §3.1.3.8.
    ///
    /// # Errors
    ///
    /// [`IdTokenError`]. On [`IdTokenError::UnknownKey`] fetch the keys again, once, and verify
    /// once more; every other error is final.
    pub fn verify(
        self,
        keys: &JwkSet,
        expected: &IdTokenExpectations<'_>,
        now: Timestamp,
    ) -> Result<VerifiedIdToken, IdTokenError> {
        let token = self.verify_common(keys, expected, now)?;

        // Step 10: too old to have been issued for this login.
        if token.issued_at.after(MAX_TOKEN_AGE) < now {
            return Err(IdTokenError::IssuedTooLongAgo);
        }

        // Step 11.
        let nonce = token.claims.text("nonce")?.ok_or(IdTokenError::Missing("nonce"))?;
        match expected.nonce {
            Nonce::Must(nonce_of_login) if is_same(nonce, nonce_of_login) => {}
            Nonce::Must(_) | Nonce::AsAtLogin => return Err(IdTokenError::NonceMismatch),
        }

        // Step 12.
        if let Some(asked) = expected.acr_values {
            let acr = token.claims.text("acr")?;
            if !asked.iter().any(|one| Some(one.as_str()) == acr) {
                return Err(IdTokenError::AcrMismatch);
            }
        }

        // Step 13.
        if let Some(max_age) = expected.max_age {
            let auth_time = token.auth_time.ok_or(IdTokenError::Missing("auth_time"))?;
            let latest = auth_time.after(Duration::from_secs(max_age)).after(EXPIRY_LEEWAY);
            if latest < now {
                return Err(IdTokenError::AuthenticatedTooLongAgo);
            }
        }
        Ok(token)
    }

    /// OpenID Connect Core §12.2 for a token that came with a refresh.
    ///
    /// # Errors
    ///
    /// [`IdTokenError`], as [`Self::verify`] has it.
    pub fn verify_refreshed(
        self,
        keys: &JwkSet,
        expected: &IdTokenExpectations<'_>,
        original: &RefreshedAgainst,
        now: Timestamp,
    ) -> Result<VerifiedIdToken, IdTokenError> {
        let token = self.verify_common(keys, expected, now)?;
        original.check(&token, expected.nonce)?;
        Ok(token)
    }

    /// What holds for every ID token, however it came.
    fn verify_common(
        self,
        keys: &JwkSet,
        expected: &IdTokenExpectations<'_>,
        now: Timestamp,
    ) -> Result<VerifiedIdToken, IdTokenError> {
        let Self { jws, claims } = self;

        // Step 2.
        if claims.required_text("iss")? != expected.issuer {
            return Err(IdTokenError::IssuerMismatch);
        }

        // Step 3. No other audience is trusted.
        claims.check_audience(expected.client_id)?;

        // Steps 4 and 5.
        if claims.text("azp")?.is_some_and(|azp| azp != expected.client_id) {
            return Err(IdTokenError::AuthorizedPartyMismatch);
        }

        // Step 7, before step 6: nothing is computed for an algorithm that isn't ours. Step 8
        // (HS256 and its kin) has no registration of ours.
        if !jws.has_alg(expected.alg) {
            return Err(IdTokenError::AlgorithmMismatch);
        }

        // Step 6.
        jws.verify(keys, expected.alg)?;

        // Step 9.
        let expires_at = claims.required_date("exp")?;
        if expires_at.after(EXPIRY_LEEWAY) <= now {
            return Err(IdTokenError::Expired);
        }

        // Step 10; `nbf` is RFC 7519 §4.1.5.
        let issued_at = claims.required_date("iat")?;
        let latest = now.after(FUTURE_SKEW);
        if issued_at > latest {
            return Err(IdTokenError::IssuedInTheFuture);
        }
        if claims.date("nbf")?.is_some_and(|not_before| not_before > latest) {
            return Err(IdTokenError::NotYetValid);
        }

        // Section 2: what `sub` may be, and what kind of token this is: an event says that it is
        // a logout token (Back-Channel Logout §2.4), whatever its `typ`.
        claims.subject()?.ok_or(IdTokenError::Missing("sub"))?;
        if claims.0.contains_key("events") {
            return Err(IdTokenError::NotAnIdToken);
        }
        let auth_time = claims.date("auth_time")?;
        if auth_time.is_some_and(|auth_time| auth_time > latest) {
            return Err(IdTokenError::AuthenticatedInTheFuture);
        }
        if claims.text("sid")?.is_some_and(str::is_empty) {
            return Err(IdTokenError::Malformed("sid"));
        }

        // Section 3.1.3.8: optional in the code flow; where it is there, it counts.
        if let (Some(at_hash), Some(access_token)) =
            (claims.text("at_hash")?, expected.access_token)
            && !is_same(at_hash, &left_half_hash(expected.alg, access_token))
        {
            return Err(IdTokenError::AccessTokenMismatch);
        }

        Ok(VerifiedIdToken { claims, issued_at, auth_time })
    }
}

/// An ID token whose signature, nonce and all else were checked. Only
/// [`UntrustedIdToken::verify`] and [`UntrustedIdToken::verify_refreshed`] make one.
#[derive(Debug)]
pub struct VerifiedIdToken {
    pub(super) claims: Claims,
    issued_at: Timestamp,
    pub(super) auth_time: Option<Timestamp>,
}

impl VerifiedIdToken {
    /// Whose token it is, and what it says of them.
    pub fn identity(self) -> VerifiedIdentity {
        let text = |name| self.claims.text(name).ok().flatten().map(str::to_owned);
        VerifiedIdentity {
            issuer: text("iss").unwrap_or_default(),
            subject: text("sub").unwrap_or_default(),
            sid: text("sid"),
            auth_time: self.auth_time,
            claims: without_protocol_claims(self.claims.0),
        }
    }

    /// `iat`.
    pub const fn issued_at(&self) -> Timestamp {
        self.issued_at
    }

    /// What a later ID token of the same session is held against (§12.2); the session keeps it.
    pub fn original(&self) -> RefreshedAgainst {
        RefreshedAgainst::of(self)
    }
}

/// Who logged in: the only way to a session.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct VerifiedIdentity {
    /// `iss`.
    pub issuer: String,
    /// `sub`: 1 to 255 ASCII characters, unique for the issuer only.
    pub subject: String,
    /// `sid`: the provider's name for its session, where it sends one. Never a `sub`.
    pub sid: Option<String>,
    /// When the person was authenticated, where the provider says so.
    pub auth_time: Option<Timestamp>,
    /// The claims about the person and the authentication (`sub`, `acr`, `amr`, `auth_time`
    /// among them), without those about the token.
    pub claims: Map<String, Value>,
}

/// Why an ID token isn't believed. [`IdTokenError::UnknownKey`] asks for the keys to be fetched
/// once more; the others are the provider's fault, or an attack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdTokenError {
    /// No known key made the signature: fetch the keys again, once.
    #[error("no known key of the provider made the ID token's signature")]
    UnknownKey,
    /// No JWS, or not properly signed.
    #[error("ID token: {0}")]
    Jws(JwsError),
    /// The payload isn't a JSON object with each member once.
    #[error("the ID token's payload is not a JSON object")]
    NotClaims,
    /// A claim that must be there isn't.
    #[error("the ID token has no {0}")]
    Missing(&'static str),
    /// A claim is of the wrong type or out of its range; never taken for absent.
    #[error("the ID token's {0} is malformed")]
    Malformed(&'static str),
    /// Step 2.
    #[error("the ID token comes from another issuer")]
    IssuerMismatch,
    /// Step 3: we aren't among them, or somebody else is.
    #[error("the ID token is not for this client alone")]
    AudienceMismatch,
    /// Step 5.
    #[error("the ID token was issued to another client")]
    AuthorizedPartyMismatch,
    /// Step 7.
    #[error("the ID token's algorithm is not the configured one")]
    AlgorithmMismatch,
    /// Step 9.
    #[error("the ID token has expired")]
    Expired,
    /// Step 10.
    #[error("the ID token was issued in the future")]
    IssuedInTheFuture,
    /// Step 10.
    #[error("the ID token was issued too long ago")]
    IssuedTooLongAgo,
    /// `nbf`.
    #[error("the ID token is not valid yet")]
    NotYetValid,
    /// Step 11.
    #[error("the ID token belongs to another login")]
    NonceMismatch,
    /// Step 12.
    #[error("the ID token's acr is none of those asked for")]
    AcrMismatch,
    /// `auth_time`.
    #[error("the ID token's authentication is in the future")]
    AuthenticatedInTheFuture,
    /// Step 13.
    #[error("the authentication is older than max_age")]
    AuthenticatedTooLongAgo,
    /// §3.1.3.8.
    #[error("the ID token was issued with another access token")]
    AccessTokenMismatch,
    /// A logout token, or another event.
    #[error("the token is not an ID token")]
    NotAnIdToken,
    /// §12.2: this claim isn't what it was at the login.
    #[error("the refreshed ID token's {0} is not the one of the login")]
    ChangedAtRefresh(&'static str),
}

impl From<ClaimError> for IdTokenError {
    fn from(error: ClaimError) -> Self {
        match error {
            ClaimError::Missing(claim) => Self::Missing(claim),
            ClaimError::Malformed(claim) => Self::Malformed(claim),
            ClaimError::AudienceMismatch => Self::AudienceMismatch,
        }
    }
}

impl From<JwsError> for IdTokenError {
    fn from(error: JwsError) -> Self {
        match error {
            JwsError::UnknownKey => Self::UnknownKey,
            other => Self::Jws(other),
        }
    }
}

/// Compared in constant time: a nonce and a hash of a token are secrets of a kind.
pub(super) fn is_same(a: &str, b: &str) -> bool {
    a.as_bytes().ct_eq(b.as_bytes()).into()
}

/// `at_hash` (§3.1.3.6): the left half of the hash that the algorithm uses; Ed25519 uses SHA-512
/// (RFC 8032).
fn left_half_hash(alg: SigningAlg, access_token: &Secret<String>) -> String {
    let token = access_token.expose();
    let left_half = |hash: &[u8]| base64url::encode(hash.split_at(hash.len() / 2).0);
    match alg {
        SigningAlg::RS256 | SigningAlg::PS256 | SigningAlg::ES256 => {
            left_half(&Sha256::digest(token))
        }
        SigningAlg::EdDSA => left_half(&Sha512::digest(token)),
    }
}

#[cfg(test)]
mod tests;
