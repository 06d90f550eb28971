//! What a run has seen: a promise that nothing ever put to the test isn't kept by being unbroken.

use std::cell::{Cell, RefCell};

use super::*;

#[derive(Debug, Default)]
pub(super) struct Coverage {
    pub(super) sequences: Cell<u64>,
    /// Whether what happens is written down.
    pub(super) traces: bool,
    pub(super) seen: RefCell<BTreeMap<String, u64>>,
}

impl Coverage {
    pub(super) fn count(&self, outcome: &Outcome) {
        let is_refused = |event: &Event| {
            matches!(event, Event::RefreshFailed { reason: RefreshFailure::InvalidGrant, .. })
        };
        if outcome.ended().is_none() && outcome.events().any(is_refused) {
            self.see("invalid_grant for a token that was never given");
        }
        for effect in &outcome.rest {
            match effect {
                Effect::Start(work) => self.see(match work {
                    Work::Login(_) => "exchange",
                    Work::Refresh(_) => "refresh",
                    Work::Revoke { .. } => "revocation",
                }),
                Effect::Audit(Event::SessionEnded { reason, .. }) => {
                    self.see(&format!("ended: {reason:?}"));
                }
                Effect::Audit(Event::RefreshFailed { reason, .. }) => {
                    self.see(&format!("refresh: {reason:?}"));
                }
                Effect::Audit(Event::RevocationFailed { will_retry, .. }) => {
                    self.see(if *will_retry { "revocation ticket" } else { "revocation given up" });
                }
                Effect::Reply(_, reply) => self.see(word(reply)),
                _ => {}
            }
        }
    }

    pub(super) fn see(&self, what: &str) {
        *self.seen.borrow_mut().entry(what.to_owned()).or_default() += 1;
    }

    /// What was never seen of what must be.
    pub(super) fn missing(&self) -> Vec<&'static str> {
        let seen = self.seen.borrow();
        ALL.into_iter().filter(|what| !seen.contains_key(*what)).collect()
    }
}

const ALL: [&str; 35] = [
    "exchange",
    "refresh",
    "revocation",
    "revocation ticket",
    "revocation given up",
    "granted",
    "unavailable",
    "status",
    "lives",
    "no session",
    "logged in",
    "login failed",
    "ended",
    "redeemed",
    "ended: Logout",
    "ended: Replaced",
    "ended: Idle",
    "ended: Absolute",
    "ended: InvalidGrant",
    "ended: RefreshAnswerLost",
    "ended: RefreshRefused",
    "ended: TokenExpired",
    "ended: BackChannel",
    "ended: FrontChannel",
    "ended: Remote",
    "ended: TooMany",
    "refresh: IdentityRefused",
    "refresh: ProviderUnavailable",
    "refresh: ProviderOverloaded",
    "refresh: ProviderRefusesClient",
    "invalid_grant for a token that was never given",
    "a steady reply",
    "tokens after the end",
    "a session that no key of the ring opens",
    "a crash that lost an answer",
];

const fn word(reply: &Reply) -> &'static str {
    match reply {
        Reply::Granted(_) => "granted",
        Reply::Unavailable(_) => "unavailable",
        Reply::Status(_) => "status",
        Reply::Lives { .. } => "lives",
        Reply::NoSession => "no session",
        Reply::LoggedIn { .. } => "logged in",
        Reply::LoginFailed(_) => "login failed",
        Reply::Ended(_) => "ended",
        Reply::LogoutRedeemed { .. } => "redeemed",
        Reply::Unsupported => "unsupported",
        Reply::Broken => "broken",
    }
}
