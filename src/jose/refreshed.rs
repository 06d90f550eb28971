//! ID tokens that come with a refresh (OpenID Connect Core §12.2): still the same person, of the
//! same provider, by the same login.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::id_token::{IdTokenError, Nonce, VerifiedIdToken, is_same};
use crate::time::Timestamp;

/// The first ID token's claims that later ones are held against. From
/// [`VerifiedIdToken::original`], kept in the sealed part of the session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefreshedAgainst {
    /// `iss`.
    pub iss: String,
    /// `sub`.
    pub sub: String,
    /// `aud`, in the order of the token; one audience is a list of one.
    pub aud: Vec<String>,
    /// `azp`, where there was one.
    pub azp: Option<String>,
    /// `auth_time`, where there was one.
    pub auth_time: Option<Timestamp>,
    /// `nonce` of the login.
    pub nonce: Option<String>,
}

impl RefreshedAgainst {
    pub(super) fn of(token: &VerifiedIdToken) -> Self {
        let text = |name| token.claims.text(name).ok().flatten().map(str::to_owned);
        Self {
            iss: text("iss").unwrap_or_default(),
            sub: text("sub").unwrap_or_default(),
            aud: audiences(token),
            azp: text("azp"),
            auth_time: token.auth_time,
            nonce: text("nonce"),
        }
    }

    /// The list of §12.2, in its order. `iat` (a new one) and `exp` were checked before.
    pub(super) fn check(
        &self,
        token: &VerifiedIdToken,
        nonce: Nonce<'_>,
    ) -> Result<(), IdTokenError> {
        let changed = |name| Err(IdTokenError::ChangedAtRefresh(name));
        if token.claims.required_text("iss")? != self.iss {
            return changed("iss");
        }
        if token.claims.required_text("sub")? != self.sub {
            return changed("sub");
        }
        let audiences = audiences(token);
        if !self.aud.iter().all(|original| audiences.contains(original)) {
            return changed("aud");
        }
        // Its value is the time of the original authentication, to the second; either may lack it,
        // and then there is nothing to compare.
        let seconds = |time: Option<Timestamp>| time.map(Timestamp::as_secs);
        if let (Some(time), Some(original)) = (seconds(token.auth_time), seconds(self.auth_time))
            && time != original
        {
            return changed("auth_time");
        }
        // It should not be there at all; where it is, it is the login's.
        let expected = match nonce {
            Nonce::Must(nonce) => Some(nonce),
            Nonce::AsAtLogin => self.nonce.as_deref(),
        };
        if let Some(found) = token.claims.text("nonce")?
            && !expected.is_some_and(|expected| is_same(found, expected))
        {
            return changed("nonce");
        }
        if token.claims.text("azp")? != self.azp.as_deref() {
            return changed("azp");
        }
        Ok(())
    }
}

fn audiences(token: &VerifiedIdToken) -> Vec<String> {
    match token.claims.0.get("aud") {
        Some(Value::String(audience)) => vec![audience.clone()],
        Some(Value::Array(audiences)) => {
            audiences.iter().filter_map(Value::as_str).map(str::to_owned).collect()
        }
        _ => Vec::new(),
    }
}
