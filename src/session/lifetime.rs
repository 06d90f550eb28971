//! How long a session and its tokens live: pure in `now`.
//!
//! `status` is the only way to an access token: what it gives as `Usable` may leave the
//! object, nothing else has a way out but what ends: `HeldToken::revocable`.
//!
//! | a token of 20 s | 60 s | 3600 s | unknown lifetime | |
//! |---|---|---|---|---|
//! | 16 s | 48 s | 2880 s | never | from here a call begins a refresh and takes the old token |
//! | 18 s | 55 s | 3595 s | never | from here a call waits for the refresh |
//! | 5 s | 15 s | 900 s | 30 s | before this the API's 401 is no reason to refresh |

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::protocol::{EndReason, GrantedToken, TokenKey};
use crate::{
    secret::{Secret, in_the_clear},
    time::Timestamp,
};

/// The longest time before a token's end in which calls wait for the new one.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// How long a token of unknown lifetime is young.
const YOUNG: Duration = Duration::from_secs(30);

/// How much older than the last write the stored activity must be for a touch to be written: the
/// limit is exact to max(60 s, idle/20), and never by more than half of itself, so that short
/// limits hold too. A session lives at least `idle` less this after its last call.
pub fn touch_step(idle: Duration) -> Duration {
    (idle / 20).max(Duration::from_secs(60)).min(idle / 2)
}

/// When a session ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Deadlines {
    /// Without a call.
    pub(super) idle: Timestamp,
    /// In any case.
    pub(super) absolute: Timestamp,
    /// With its access token, where there is no refresh token and the token's end is known.
    #[serde(default)]
    pub(super) token: Option<Timestamp>,
}

impl Deadlines {
    /// Whether and by which limit it has ended.
    pub(super) fn ended(&self, now: Timestamp) -> Option<EndReason> {
        if now >= self.absolute {
            Some(EndReason::Absolute)
        } else if now >= self.idle {
            Some(EndReason::Idle)
        } else if self.token.is_some_and(|end| now >= end) {
            Some(EndReason::TokenExpired)
        } else {
            None
        }
    }

    /// Holds the session to an absolute limit that the operator has made shorter since.
    pub(super) fn shorten(&mut self, absolute: Timestamp) {
        self.absolute = self.absolute.min(absolute);
    }

    /// The first of them.
    pub(super) fn earliest(&self) -> Timestamp {
        let limits = self.idle.min(self.absolute);
        self.token.map_or(limits, |token| token.min(limits))
    }

    /// Counts activity; says whether that is worth a write.
    pub(super) fn touch(&mut self, idle: Duration, now: Timestamp) -> bool {
        let step = touch_step(idle);
        let fresh = now.after(idle);
        // The second half is for an operator who has made the limit shorter.
        let moves = fresh >= self.idle.after(step) || fresh.after(step) <= self.idle;
        if moves {
            self.idle = fresh;
        }
        moves
    }

    /// From when on [`Self::touch`] moves it again.
    pub(super) fn next_touch(&self, idle: Duration) -> Timestamp {
        self.idle.after(touch_step(idle)).before(idle)
    }
}

/// An access token that is held for one (resource, scope).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct HeldToken {
    /// What it is for.
    pub(super) key: TokenKey,
    #[serde(with = "in_the_clear")]
    access_token: Secret<String>,
    /// The session's epoch when it came.
    pub(super) epoch: u64,
    issued_at: Timestamp,
    pub(super) expires_at: Option<Timestamp>,
    /// The API refused it when it was no longer young: this epoch has had its refresh for a 401,
    /// and a token of unknown lifetime has run out.
    #[serde(default)]
    refused: bool,
    /// When the provider first refused, definitely, to renew it.
    #[serde(default)]
    pub(super) renewal_refused: Option<Timestamp>,
}

impl HeldToken {
    /// `issued_at` is when the request for it left, so that it never ends later than believed.
    pub(super) fn new(
        key: TokenKey,
        access_token: Secret<String>,
        epoch: u64,
        issued_at: Timestamp,
        expires_in: Option<Duration>,
    ) -> Self {
        Self {
            key,
            access_token,
            epoch,
            issued_at,
            expires_at: expires_in.map(|lifetime| issued_at.after(lifetime)),
            refused: false,
            renewal_refused: None,
        }
    }

    /// Whether it is of no more use.
    pub(super) fn has_run_out(&self, now: Timestamp) -> bool {
        self.expires_at.map_or(self.refused, |end| now >= end)
    }

    /// Whether a 401 for it can't be its age: younger than a quarter of its life.
    pub(super) fn is_young(&self, now: Timestamp) -> bool {
        now.since(self.issued_at) < self.lifetime().map_or(YOUNG, |lifetime| lifetime / 4)
    }

    /// Notes that the API refused the token of `epoch`; says whether that is reason for a refresh:
    /// once an epoch, and not for a young token.
    pub(super) fn note_refusal(&mut self, epoch: u64, now: Timestamp) -> bool {
        let first = epoch == self.epoch && !self.refused && !self.is_young(now);
        self.refused |= first;
        first
    }

    /// The token for the provider to take back, if it is of any more use.
    pub(super) fn revocable(self, now: Timestamp) -> Option<Secret<String>> {
        (!self.has_run_out(now)).then_some(self.access_token)
    }

    /// Until when [`status`] is `Active`, as long as no refusal is noted.
    pub(super) fn active_until(&self, can_refresh: bool) -> Option<Timestamp> {
        let (end, lifetime) = (self.expires_at?, self.lifetime()?);
        Some(if can_refresh { end.before(lifetime / 5) } else { end })
    }

    fn lifetime(&self) -> Option<Duration> {
        self.expires_at.map(|end| end.since(self.issued_at))
    }
}

/// A token that may be used now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Usable<'a>(&'a HeldToken);

impl Usable<'_> {
    /// On loan until the session's deadline.
    pub(super) fn grant(self, deadlines: &Deadlines) -> GrantedToken {
        GrantedToken {
            access_token: self.0.access_token.clone(),
            epoch: self.0.epoch,
            issued_at: self.0.issued_at,
            expires_at: self.0.expires_at,
            session_deadline: deadlines.earliest(),
        }
    }
}

/// What a call gets.
#[derive(Clone, Copy, Debug)]
pub(super) enum SessionStatus<'a> {
    /// This token.
    Active(Usable<'a>),
    /// A refresh is due.
    RefreshDue {
        /// What can be used until then, and if the refresh comes to nothing.
        meanwhile: Option<Usable<'a>>,
        /// Whether the call waits for it.
        wait: bool,
    },
    /// Nothing.
    Ended(EndReason),
}

/// What a call gets now. `refused` says that the API's 401 is reason for a refresh.
pub(super) fn status<'a>(
    deadlines: &Deadlines,
    can_refresh: bool,
    token: Option<&'a HeldToken>,
    refused: bool,
    now: Timestamp,
) -> SessionStatus<'a> {
    if let Some(reason) = deadlines.ended(now) {
        return SessionStatus::Ended(reason);
    }
    let Some(token) = token else {
        return SessionStatus::RefreshDue { meanwhile: None, wait: true };
    };
    match (token.has_run_out(now), can_refresh) {
        (true, true) => return SessionStatus::RefreshDue { meanwhile: None, wait: true },
        (true, false) => return SessionStatus::Ended(EndReason::TokenExpired),
        (false, false) => return SessionStatus::Active(Usable(token)),
        (false, true) => {}
    }
    let (Some(end), Some(lifetime)) = (token.expires_at, token.lifetime()) else {
        return SessionStatus::Active(Usable(token));
    };
    let left = end.since(now);
    if !refused && left > lifetime / 5 {
        return SessionStatus::Active(Usable(token));
    }
    let wait = refused || left <= (lifetime / 10).min(LONGEST_WAIT);
    SessionStatus::RefreshDue { meanwhile: Some(Usable(token)), wait }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T0: Timestamp = Timestamp::from_secs(1_800_000_000);

    fn at(millis: u64) -> Timestamp {
        T0.after(Duration::from_millis(millis))
    }

    fn token(expires_in: Option<u64>) -> HeldToken {
        let expires_in = expires_in.map(Duration::from_secs);
        HeldToken::new(TokenKey::default(), "at".into(), 1, T0, expires_in)
    }

    fn deadlines() -> Deadlines {
        Deadlines { idle: at(86_400_000), absolute: at(86_400_000), token: None }
    }

    fn word(token: &HeldToken, refused: bool, now: Timestamp) -> &'static str {
        match status(&deadlines(), true, Some(token), refused, now) {
            SessionStatus::Active(_) => "active",
            SessionStatus::RefreshDue { meanwhile: Some(_), wait: false } => "ahead",
            SessionStatus::RefreshDue { meanwhile: Some(_), wait: true } => "wait, has old",
            SessionStatus::RefreshDue { meanwhile: None, wait: true } => "wait",
            SessionStatus::RefreshDue { meanwhile: None, wait: false } => "nonsense",
            SessionStatus::Ended(_) => "ended",
        }
    }

    #[test]
    fn a_refresh_starts_ahead_by_a_fraction_and_calls_wait_only_at_the_very_end() {
        for (lifetime, ahead, wait) in [
            (20, 16_000, 18_000),
            (60, 48_000, 55_000),
            (300, 240_000, 295_000),
            (3_600, 2_880_000, 3_595_000),
        ] {
            let token = token(Some(lifetime));
            for (millis, expected) in [
                (0, "active"),
                (ahead - 1, "active"),
                (ahead, "ahead"),
                (wait - 1, "ahead"),
                (wait, "wait, has old"),
                (lifetime * 1000 - 1, "wait, has old"),
                (lifetime * 1000, "wait"),
            ] {
                assert_eq!(word(&token, false, at(millis)), expected, "{lifetime} s at {millis}");
            }
        }
        assert_eq!(word(&token(None), false, at(80_000_000)), "active");
        assert_eq!(word(&token(Some(0)), false, T0), "wait");
    }

    #[test]
    fn a_young_token_is_not_refreshed_because_of_a_401() {
        for (lifetime, young) in
            [(Some(20), 5_000), (Some(60), 15_000), (Some(3_600), 900_000), (None, 30_000)]
        {
            let mut token = token(lifetime);
            assert!(!token.note_refusal(1, at(young - 1)), "{lifetime:?}");
            assert!(token.note_refusal(1, at(young)), "{lifetime:?}");
        }
    }

    #[test]
    fn a_401_counts_once_an_epoch_and_only_for_the_current_one() {
        let mut token = token(Some(60));
        assert!(!token.note_refusal(0, at(30_000)));
        assert!(!token.note_refusal(2, at(30_000)));
        assert!(token.note_refusal(1, at(30_000)));
        assert!(!token.note_refusal(1, at(30_000)));
    }

    #[test]
    fn an_unknown_lifetime_has_run_out_at_the_first_401() {
        let mut token = token(None);
        assert!(!token.has_run_out(at(80_000_000)));
        assert!(token.note_refusal(1, at(30_000)));
        assert!(token.has_run_out(at(30_000)));
        assert_eq!(word(&token, true, at(30_000)), "wait");
    }

    #[test]
    fn without_a_refresh_token_the_session_ends_with_the_access_token() {
        let token = token(Some(60));
        let at_end = |millis| status(&deadlines(), false, Some(&token), false, at(millis));
        assert!(matches!(at_end(59_999), SessionStatus::Active(_)));
        assert!(matches!(at_end(60_000), SessionStatus::Ended(EndReason::TokenExpired)));
    }

    #[test]
    fn each_limit_ends_the_session_to_the_millisecond() {
        let limits = Deadlines { idle: at(1000), absolute: at(2000), token: Some(at(500)) };
        for (millis, expected) in [
            (499, None),
            (500, Some(EndReason::TokenExpired)),
            (1000, Some(EndReason::Idle)),
            (2000, Some(EndReason::Absolute)),
        ] {
            assert_eq!(limits.ended(at(millis)), expected, "at {millis}");
        }
        assert_eq!(limits.earliest(), at(500));
    }

    #[test]
    fn a_touch_is_written_once_a_step_and_the_limit_is_exact_to_the_step() {
        for (idle, step) in [(2, 1), (60, 30), (120, 60), (3_600, 180), (600, 60)] {
            let idle = Duration::from_secs(idle);
            assert_eq!(touch_step(idle), Duration::from_secs(step), "{idle:?}");
            let mut limits = Deadlines { idle: T0.after(idle), ..deadlines() };
            assert!(!limits.touch(idle, at(step * 1000 - 1)), "{idle:?}");
            assert_eq!(limits.idle, T0.after(idle));
            assert!(limits.touch(idle, at(step * 1000)), "{idle:?}");
            assert_eq!(limits.idle, at(step * 1000).after(idle));
            assert!(!limits.touch(idle, at(step * 1000)), "{idle:?}");
        }
    }

    #[test]
    fn a_shorter_idle_limit_of_the_operator_takes_hold_at_the_next_call() {
        let mut limits = Deadlines { idle: at(3_600_000), ..deadlines() };
        assert!(limits.touch(Duration::from_secs(60), at(1000)));
        assert_eq!(limits.idle, at(61_000));
    }
}
