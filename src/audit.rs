//! Audit events: typed, one line of JSON each, and the only thing that Tokenkeep logs.
//!
//! No event can carry a secret by its type: sessions and subjects come as keyed hashes
//! ([`KeyRing::keyed_hash`](crate::session::KeyRing)), what a peer sent comes as the name of a
//! kind (`&'static str`, so it can't be built from input), and what a person saw comes with the
//! id that stood on the page.

use serde::Serialize;

use crate::{
    http::problem::{Owner, ProblemCode},
    session::{EndReason, LoginFailure},
    time::Timestamp,
};

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A browser was sent to the provider.
    LoginStarted {
        /// Keyed hash of the session to be.
        session: String,
    },
    /// The callback set a session cookie.
    LoginSucceeded {
        /// Keyed hash of the session.
        session: String,
    },
    /// An object refused a login for good.
    LoginFailed {
        /// Keyed hash of the session that was to be.
        session: String,
        /// Why.
        failure: LoginFailure,
    },
    /// A page of ours told a person what went wrong.
    ErrorShown {
        /// The id on the page.
        event_id: String,
        /// The problem code on the page.
        code: &'static str,
        /// What exactly, for the operator.
        detail: &'static str,
    },
    /// An ID token or UserInfo response failed a check; nothing of it was used.
    IdentityRefused {
        /// Keyed hash of the session.
        session: String,
        /// Which check.
        check: &'static str,
    },
    /// A session was stored.
    SessionStarted {
        /// Keyed hash of the session.
        session: String,
    },
    /// A session that a new login took the place of could not be ended at once; it ends by its
    /// own limits.
    EarlierSessionLeft {
        /// Keyed hash of the session.
        session: String,
    },
    /// What is stored of a session was written by a newer release: it is left alone, and calls get
    /// 503 until that release is back. Once in an object's life.
    NewerRecord {
        /// Keyed hash of the session.
        session: String,
    },
    /// Whose session it is: a keyed hash, and `sub` itself only where the operator asks for it.
    SubjectKnown {
        /// Keyed hash of the session.
        session: String,
        /// Keyed hash of issuer and `sub`.
        subject: String,
        /// `sub`, under `log_subject` only.
        #[serde(skip_serializing_if = "Option::is_none")]
        sub: Option<String>,
    },
    /// A session ended.
    SessionEnded {
        /// Keyed hash of the session.
        session: String,
        /// Why.
        reason: EndReason,
    },
    /// New tokens were stored.
    Refreshed {
        /// Keyed hash of the session.
        session: String,
    },
    /// A refresh brought nothing.
    RefreshFailed {
        /// Keyed hash of the session.
        session: String,
        /// Why.
        reason: RefreshFailure,
    },
    /// A refresh token could not be revoked at the provider, or the ticket for it was given up.
    RevocationFailed {
        /// Keyed hash of the session.
        session: String,
        /// Whether the alarm tries again.
        will_retry: bool,
    },
    /// KV didn't take a write (one a second for each key; the day's writes are used up). What it
    /// was for is done again at a later call, or left out.
    StoreWriteLost {
        /// Keyed hash of the session.
        session: String,
    },
    /// A person logged out here.
    LogoutRequested {
        /// Keyed hash of the session; `None` without a valid cookie.
        #[serde(skip_serializing_if = "Option::is_none")]
        session: Option<String>,
        /// Whether a live session was ended by it.
        ended: bool,
    },
    /// The browser came back from the provider's end-session endpoint.
    LogoutReturned {
        /// Whether `state` was the one that this browser left with.
        confirmed: bool,
    },
    /// A request to an endpoint or a route of ours was refused.
    CallRefused {
        /// The problem code.
        code: &'static str,
    },
    /// The provider could not be reached or answered what no provider may answer.
    ProviderTrouble {
        /// What was asked.
        step: ProviderStep,
        /// What went wrong.
        trouble: &'static str,
        /// The HTTP status, where there was one.
        #[serde(skip_serializing_if = "Option::is_none")]
        status: Option<u16>,
    },
    /// A subject's list of sessions can't be read: what it listed can't be ended from there.
    IndexDamaged {
        /// The object's name, a keyed hash.
        index: String,
    },
    /// A verified logout token ended sessions (OpenID Connect Back-Channel Logout).
    LogoutTokenAccepted {
        /// How many.
        ended: usize,
        /// How many are yet to end: their objects didn't answer.
        left: usize,
    },
    /// A logout token failed a check; nothing was ended.
    LogoutTokenRefused {
        /// Which check.
        check: &'static str,
    },
    /// A frame of the provider's ended sessions (OpenID Connect Front-Channel Logout).
    FrontChannelLogout {
        /// How many.
        ended: usize,
        /// How many are yet to end.
        left: usize,
    },
    /// A person ended other sessions of theirs.
    DevicesEnded {
        /// Keyed hash of the session that asked.
        session: String,
        /// How many.
        ended: usize,
        /// How many are yet to end.
        left: usize,
    },
    /// An administrator ended all sessions of a subject.
    SubjectEnded {
        /// Keyed hash of issuer and `sub`.
        subject: String,
        /// How many.
        ended: usize,
        /// How many are yet to end.
        left: usize,
    },
    /// Somebody without the administrator's secret tried; at most one line a minute and isolate.
    AdminRefused,
    /// The configuration is wrong; every request is answered 503.
    ConfigInvalid {
        /// One line a fault: key path, what was found (never a secret), what would be right.
        faults: Vec<String>,
    },
    /// A request for an origin that isn't configured was answered 421.
    OriginUnknown {
        /// What it was for: the caller's word without user information, cut to 200 characters.
        called: String,
        /// What is configured.
        configured: Vec<String>,
    },
    /// The WebAssembly instance trapped and was thrown away.
    Trapped {
        /// File, line and column in Tokenkeep's source, where the panic hook knew it.
        location: String,
    },
}

/// Why a refresh brought nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RefreshFailure {
    /// `invalid_grant`: the session ends.
    InvalidGrant,
    /// Another definite refusal.
    Refused,
    /// The provider is at odds with our credentials.
    ProviderRefusesClient,
    /// 408, 425, 429 or 503.
    ProviderOverloaded,
    /// No answer, or an unusable one.
    ProviderUnavailable,
    /// The new ID token failed a check of OpenID Connect Core §12.2.
    IdentityRefused,
}

/// What the provider was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ProviderStep {
    /// Its metadata.
    Discovery,
    /// Its keys.
    Keys,
    /// To exchange a code.
    CodeExchange,
    /// To refresh.
    Refresh,
    /// UserInfo.
    UserInfo,
    /// To revoke a refresh token.
    Revocation,
    /// To revoke an access token, which a provider need not do.
    AccessTokenRevocation,
    /// An authorization response came with an error, or not as one.
    Authorization,
}

/// How loud a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Nobody has to do anything.
    Info,
    /// Somebody attacks, or somebody else is down.
    Warn,
    /// The operator has to act.
    Error,
}

impl Event {
    /// The event as one line of JSON, without a line break at its end; `now` goes into `time` in
    /// milliseconds.
    pub fn line(&self, now: Timestamp) -> String {
        #[derive(Serialize)]
        struct Line<'a> {
            level: Level,
            time: Timestamp,
            #[serde(flatten)]
            event: &'a Event,
        }
        // Only maps with other than string keys can fail here, and no event has one.
        serde_json::to_string(&Line { level: self.level(), time: now, event: self })
            .unwrap_or_default()
    }

    /// How loud it is.
    pub fn level(&self) -> Level {
        match self {
            Self::CallRefused { code } => refusal_level(code),
            Self::ConfigInvalid { .. }
            | Self::IndexDamaged { .. }
            | Self::Trapped { .. }
            | Self::LoginFailed { failure: LoginFailure::ProviderRefusesClient, .. }
            | Self::RefreshFailed { reason: RefreshFailure::ProviderRefusesClient, .. } => {
                Level::Error
            }
            Self::ProviderTrouble { step: ProviderStep::AccessTokenRevocation, .. } => Level::Info,
            Self::AdminRefused
            | Self::EarlierSessionLeft { .. }
            | Self::ErrorShown { .. }
            | Self::IdentityRefused { .. }
            | Self::LoginFailed { .. }
            | Self::LogoutTokenRefused { .. }
            | Self::NewerRecord { .. }
            | Self::OriginUnknown { .. }
            | Self::ProviderTrouble { .. }
            | Self::RefreshFailed { .. }
            | Self::RevocationFailed { .. }
            | Self::StoreWriteLost { .. } => Level::Warn,
            Self::DevicesEnded { .. }
            | Self::FrontChannelLogout { .. }
            | Self::LoginStarted { .. }
            | Self::LoginSucceeded { .. }
            | Self::LogoutRequested { .. }
            | Self::LogoutReturned { .. }
            | Self::LogoutTokenAccepted { .. }
            | Self::Refreshed { .. }
            | Self::SessionEnded { .. }
            | Self::SessionStarted { .. }
            | Self::SubjectEnded { .. }
            | Self::SubjectKnown { .. } => Level::Info,
        }
    }
}

/// A call that was refused is as loud as whose move it is.
fn refusal_level(code: &str) -> Level {
    match ProblemCode::ALL.iter().find(|known| known.as_str() == code).map(|code| code.owner()) {
        Some(Owner::Operator) => Level::Error,
        Some(Owner::Api | Owner::Provider | Owner::Us) => Level::Warn,
        _ => Level::Info,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_line_of_json_with_level_time_and_event() {
        let event = Event::SessionEnded { session: "h".to_owned(), reason: EndReason::Idle };
        assert_eq!(
            event.line(Timestamp::from_millis(7)),
            r#"{"level":"info","time":7,"event":"session_ended","session":"h","reason":"idle"}"#
        );
    }

    #[test]
    fn a_line_break_in_a_value_can_not_begin_a_second_line() {
        let event = Event::ConfigInvalid { faults: vec!["a\n{\"event\":\"forged\"}".to_owned()] };
        assert!(!event.line(Timestamp::from_millis(0)).contains('\n'));
    }

    #[test]
    fn a_refused_call_is_as_loud_as_whose_move_it_is() {
        for (code, level) in [
            ("config_invalid", Level::Error),
            ("upstream_unreachable", Level::Warn),
            ("csrf_cross_site", Level::Info),
            ("unauthenticated", Level::Info),
        ] {
            assert_eq!(Event::CallRefused { code }.level(), level, "{code}");
        }
    }

    #[test]
    fn what_the_operator_must_mend_is_an_error() {
        let failed = |reason| Event::RefreshFailed { session: String::new(), reason }.level();
        assert_eq!(failed(RefreshFailure::ProviderRefusesClient), Level::Error);
        assert_eq!(failed(RefreshFailure::ProviderUnavailable), Level::Warn);
    }
}
