//! What the object's adapter hands in and is told to do.

use super::super::{
    SessionKey,
    protocol::{Envelope, Login, LoginFailure, Reply, TokenKey},
    record::{Identity, IndexNames},
};
use crate::{
    audit::{Event, RefreshFailure},
    oauth::{revocation::TokenTypeHint, token::TokenResponse},
    secret::Secret,
    time::Timestamp,
};

/// Who waits for a reply; the adapter's number for a call under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallerId(pub u64);

/// What happened.
#[derive(Debug)]
pub enum Input {
    /// Somebody asks. Gets exactly one [`Effect::Reply`], now or later.
    Command {
        /// Who.
        caller: CallerId,
        /// What.
        envelope: Envelope,
    },
    /// [`Work::Login`] is done.
    LoginDone(Box<Result<NewSession, LoginFailure>>),
    /// [`Work::Refresh`] is done.
    RefreshDone(RefreshOutcome),
    /// [`Work::Revoke`] is done.
    RevocationDone(RevocationOutcome),
    /// The alarm rang.
    Alarm,
}

/// What the adapter does, in order. There is at most one write of the row in a list, and it
/// stands before every piece of work and every reply that rests on it: where a write fails, the
/// rest of the list must not be done, and the object begins anew from what is stored.
#[derive(Debug)]
pub enum Effect {
    /// Write the object's one row.
    Put(Vec<u8>),
    /// Delete all that is stored.
    DeleteAll,
    /// Set the alarm, or delete it.
    SetAlarm(Option<Timestamp>),
    /// Begin this under `waitUntil` and hand its result in as an [`Input`].
    Start(Work),
    /// Answer a caller.
    Reply(CallerId, Reply),
    /// Tell the subject's objects that this session has ended, once and under `waitUntil`: what is
    /// lost of this they find out by asking.
    Unlist {
        /// Which session.
        session: SessionKey,
        /// The objects.
        names: IndexNames,
    },
    /// Log this.
    Audit(Event),
}

/// What only the outside can do. At most one of each kind is under way at a time.
#[derive(Debug)]
pub enum Work {
    /// Exchange the code and check what comes back.
    Login(Box<Login>),
    /// Refresh and check what comes back.
    Refresh(Box<RefreshWork>),
    /// Revoke a token (RFC 7009).
    Revoke {
        /// The revocation endpoint as it was at the login.
        endpoint: String,
        /// The token.
        token: Secret<String>,
        /// Which kind it is.
        hint: TokenTypeHint,
    },
}

/// One refresh request.
#[derive(Debug)]
pub struct RefreshWork {
    /// The token endpoint as it was at the login.
    pub token_endpoint: String,
    /// The keys for a new ID token, as they were at the login.
    pub jwks_uri: String,
    /// The refresh token.
    pub refresh_token: Secret<String>,
    /// Which access token is wanted.
    pub token: TokenKey,
    /// Who logged in: what a new ID token is measured against (OpenID Connect Core §12.2).
    pub identity: Identity,
}

/// What a login brought.
#[derive(Debug)]
pub struct NewSession {
    /// The token response.
    pub response: TokenResponse,
    /// Who it is: from the verified ID token, and UserInfo where it is asked.
    pub identity: Identity,
    /// `iat` of the ID token.
    pub issued_at: Timestamp,
}

/// How a refresh went.
#[derive(Debug)]
pub enum RefreshOutcome {
    /// New tokens.
    Refreshed(Box<Refreshed>),
    /// None. `ProviderUnavailable` says that an answer may have been given and lost.
    Failed(RefreshFailure),
}

/// What a refresh brought.
#[derive(Debug)]
pub struct Refreshed {
    /// The token response.
    pub response: TokenResponse,
    /// From a new ID token that was verified (§12.2); replaces the claims. Without one the old
    /// claims and the old ID token stay.
    pub identity: Option<Identity>,
}

/// How a revocation went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RevocationOutcome {
    /// The provider has revoked it, or didn't know it.
    Done,
    /// The provider refused for good.
    Refused,
    /// It answered, and may do it later: load, or credentials that the operator can mend.
    RefusedForNow,
    /// No answer.
    Failed,
}
