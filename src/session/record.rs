//! What is kept of a session.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

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
    pub sid: Option<String>,
    /// `auth_time`, in seconds.
    pub auth_time: Option<u64>,
    /// `nonce` of the login.
    pub nonce: Option<String>,
    /// What `GET session` may show: protocol claims removed.
    pub claims: BTreeMap<String, serde_json::Value>,
}

/// Shows nothing of the person.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity([redacted])")
    }
}
