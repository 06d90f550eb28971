//! What the Worker half asks a session's object, and what it answers.
//!
//! One typed enum, as JSON in both directions, with a protocol number: deployments are gradual,
//! so a Worker and an object of different releases talk to each other. A command that an object
//! doesn't know is answered [`Reply::Unsupported`], never guessed at.

use serde::{Deserialize, Serialize};

use super::{SessionId, SessionKey, Transaction, subject::Whose};
use crate::{
    config::{ProviderConfig, SessionConfig},
    device::DeviceName,
    oauth::Metadata,
    secret::{Secret, in_the_clear},
    time::Timestamp,
};

/// The number of the protocol that this release speaks.
pub const PROTOCOL: u32 = 1;

/// A command with the number of the protocol that it is written in.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Envelope {
    /// [`PROTOCOL`] of the sender.
    pub protocol: u32,
    /// Which object is asked; the object refuses what isn't addressed to it.
    pub session_key: SessionKey,
    /// What is asked.
    pub command: Command,
}

impl Envelope {
    /// Reads a command's text, members that a later release has added left aside. `None` is a
    /// command that this release doesn't know, or knows otherwise: it is not guessed at but
    /// answered [`Reply::Unsupported`].
    pub fn parse(text: &str) -> Option<Self> {
        crate::json::read(text.as_bytes()).ok()
    }
}

/// Which access token of a session is meant.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TokenKey {
    /// The `resource` (RFC 8707) that the token is for; `None` is the provider's default.
    pub resource: Option<String>,
    /// The scopes that were asked for it, space-separated; `None` is what the login asked.
    pub scope: Option<String>,
}

/// What a session's object can be asked.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// Exchange the code, verify the ID token, keep the session. Whoever brings the same
    /// transaction and code gets the same result.
    Login(Box<Login>),
    /// An access token for a call. Counts as activity.
    Access {
        /// From the cookie.
        session_id: SessionId,
        /// Which token.
        token: TokenKey,
        /// The epoch of the token that the API refused with a 401, if that is why this is asked:
        /// an epoch that is no longer current gets the current token, the current one is
        /// refreshed if it isn't young.
        refused_epoch: Option<u64>,
    },
    /// Who is logged in, and until when.
    Status {
        /// From the cookie.
        session_id: SessionId,
        /// Whether this counts as activity.
        touch: bool,
    },
    /// End it, for a reason, with the cookie at hand.
    End {
        /// From the cookie or from a transaction.
        session_id: SessionId,
        /// Why.
        reason: EndReason,
        /// Keep the ID token for a one-time logout URL and answer with its ticket.
        keep_id_token: bool,
    },
    /// End it without the cookie: a verified logout token, an administrator, another device of the
    /// person's. Nothing is opened for it: the record goes as it is, and the refresh token is
    /// revoked only where the object holds it open anyway.
    Close {
        /// Why.
        reason: EndReason,
    },
    /// Whether there is a session, without the cookie. Counts as nothing.
    Probe,
    /// Give out, once, the ID token that a logout kept under this ticket's key.
    RedeemLogout {
        /// From the one-time URL.
        ticket: LogoutTicketKey,
    },
}

/// The key in a one-time logout URL: 32 random bytes as base64url.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LogoutTicketKey(#[serde(with = "in_the_clear")] pub Secret<String>);

/// All that the object needs for a login: it asks nobody else but the provider.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Login {
    /// The login under way, as it was sealed in the browser's cookie; holds the new SessionId.
    pub transaction: Transaction,
    /// The authorization code.
    #[serde(with = "in_the_clear")]
    pub code: Secret<String>,
    /// The provider's checked metadata.
    pub metadata: Metadata,
    /// Which token the code is to bring first.
    pub token: TokenKey,
    /// On what the session will run, for the person's list of devices.
    #[serde(default)]
    pub device: DeviceName,
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndReason {
    /// The person logged out here.
    Logout,
    /// A new login in the same browser took its place.
    Replaced,
    /// The idle limit.
    Idle,
    /// The absolute limit.
    Absolute,
    /// The provider answered a refresh with `invalid_grant`.
    InvalidGrant,
    /// The same, to the one retry of a refresh whose answer was lost.
    RefreshAnswerLost,
    /// The provider refused twice, in a way that isn't about the client or load.
    RefreshRefused,
    /// The access token ran out and there is no refresh token.
    TokenExpired,
    /// A verified logout token (OpenID Connect Back-Channel Logout).
    BackChannel,
    /// A frame of the provider's (OpenID Connect Front-Channel Logout): not authenticated.
    FrontChannel,
    /// An administrator, or the person from another device.
    Remote,
    /// The subject has too many sessions, and this was the oldest.
    TooMany,
}

/// What the object answers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// [`Command::Login`] succeeded (now, or before with the same transaction and code).
    LoggedIn {
        /// When the session ends at the latest.
        absolute_deadline: Timestamp,
    },
    /// [`Command::Login`] failed for good.
    LoginFailed(LoginFailure),
    /// [`Command::Access`] has a token.
    Granted(Box<GrantedToken>),
    /// [`Command::Status`] of a live session.
    Status(Box<StatusReply>),
    /// There is no such session (never was, ended, or not this cookie's).
    NoSession,
    /// The session lives but has no usable token just now, and whose fault that is.
    Unavailable(Unavailable),
    /// [`Command::Probe`]: there is one, or its login is under way.
    Lives {
        /// When it was last used, to the hour; nothing while its login is under way.
        last_seen: Option<Timestamp>,
    },
    /// [`Command::End`] is done, or there was nothing to end.
    Ended(Box<EndedReply>),
    /// [`Command::RedeemLogout`]: the ID token, this once.
    LogoutRedeemed {
        /// For `id_token_hint`.
        #[serde(with = "in_the_clear::option")]
        id_token: Option<Secret<String>>,
        /// The end-session endpoint as it was at the login.
        end_session_endpoint: Option<String>,
        /// Which of our origins the session was made for.
        origin: String,
    },
    /// The object speaks another protocol; answered with 503 and Retry-After.
    Unsupported,
    /// The object's own configuration is faulty or its storage failed; 503.
    Broken,
}

/// An access token on loan to the Worker half.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantedToken {
    /// The token.
    #[serde(with = "in_the_clear")]
    pub access_token: Secret<String>,
    /// Counts refreshes; what a late 401 is measured against.
    pub epoch: u64,
    /// When it came from the provider.
    pub issued_at: Timestamp,
    /// When it ends, where the provider said so.
    pub expires_at: Option<Timestamp>,
    /// When the session ends if nothing else is done: the earlier of both limits.
    pub session_deadline: Timestamp,
}

/// What `GET session` may show.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StatusReply {
    /// The identity's claims, protocol claims removed.
    pub claims: serde_json::Map<String, serde_json::Value>,
    /// When the session was made.
    pub created: Timestamp,
    /// The idle limit as it stands now.
    pub idle_deadline: Timestamp,
    /// The absolute limit.
    pub absolute_deadline: Timestamp,
    /// Whose session it is; the Worker half alone sees this.
    #[serde(default)]
    pub whose: Option<Whose>,
}

/// What a logout leaves to do.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct EndedReply {
    /// Whether a live session was ended by this.
    pub ended: bool,
    /// For `id_token_hint`, where no ticket was asked for.
    #[serde(with = "in_the_clear::option")]
    pub id_token: Option<Secret<String>>,
    /// The key for a one-time URL, where one was asked for.
    pub ticket: Option<LogoutTicketKey>,
    /// The end-session endpoint as it was at the login.
    pub end_session_endpoint: Option<String>,
}

/// Why a session that lives can't serve a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unavailable {
    /// The provider is down, slow, or answered what no provider may answer.
    ProviderUnavailable,
    /// The provider is at odds with our credentials: the operator's to mend.
    ProviderRefusesClient,
    /// The provider is overloaded (429, 503).
    ProviderOverloaded,
}

/// Why a login came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LoginFailure {
    /// The code was used, ran out, or isn't ours (`invalid_grant`).
    CodeRefused,
    /// The provider is at odds with our credentials.
    ProviderRefusesClient,
    /// The provider couldn't be reached or gave an unusable answer.
    ProviderUnavailable,
    /// The ID token, or UserInfo, failed a check; the log says which.
    IdentityRefused,
    /// Another code was exchanged for this transaction, or the session has ended since.
    AlreadyUsed,
    /// The transaction is older than its lifetime.
    Expired,
    /// A logout at the provider, or an administrator's, came between the login and its end.
    LoggedOut,
    /// The session could not be listed under its subject, so that no logout would have reached it.
    IndexUnavailable,
}

/// What the object's own side of the configuration is: given at its construction.
#[derive(Clone, Debug)]
pub struct ObjectConfig {
    /// The provider, for refresh and revocation.
    pub provider: ProviderConfig,
    /// The limits.
    pub session: SessionConfig,
}

impl ObjectConfig {
    /// Whether a session keeps its refresh token. Not in KV where the provider rotates: two of its
    /// places could spend one token, and the provider would take that for a theft.
    pub(super) fn keeps_refresh_tokens(&self) -> bool {
        !self.session.store.is_kv() || self.provider.rotates_refresh_tokens == Some(false)
    }
}
