//! The access tokens of an open session: which one serves, and what a refresh brings.

use super::{
    super::{
        EndReason, TokenKey,
        lifetime::{self, HeldToken, SessionStatus},
        protocol::GrantedToken,
    },
    Refreshed, Session,
    refresh::RefreshFlight,
};
use crate::time::Timestamp;

/// What a call that asks for a token gets.
pub(super) enum Next {
    Grant(GrantedToken),
    Refresh { meanwhile: Option<GrantedToken>, wait: bool },
    End(EndReason),
}

impl Session {
    pub(super) const fn can_refresh(&self) -> bool {
        self.contents.refresh_token.is_some()
    }

    pub(super) fn next(
        &mut self,
        key: &TokenKey,
        refused_epoch: Option<u64>,
        is_flying: bool,
        now: Timestamp,
    ) -> Next {
        let can_refresh = self.can_refresh();
        let refused = refused_epoch.is_some_and(|epoch| {
            self.contents.token_mut(key).is_some_and(|held| {
                held.note_refusal(epoch, now)
                    || (is_flying && held.epoch == epoch && !held.is_young(now))
            })
        });
        let deadlines = &self.open.deadlines;
        let held = self.contents.token(key);
        match lifetime::status(deadlines, can_refresh, held, refused, now) {
            SessionStatus::Active(usable) => Next::Grant(usable.grant(deadlines)),
            SessionStatus::RefreshDue { meanwhile, wait } => {
                Next::Refresh { meanwhile: meanwhile.map(|usable| usable.grant(deadlines)), wait }
            }
            SessionStatus::Ended(reason) => Next::End(reason),
        }
    }

    /// The token as it is now, whether or not a refresh is due.
    pub(super) fn usable(&self, key: &TokenKey, now: Timestamp) -> Option<GrantedToken> {
        let deadlines = &self.open.deadlines;
        let held = self.contents.token(key);
        match lifetime::status(deadlines, self.can_refresh(), held, false, now) {
            SessionStatus::Active(usable)
            | SessionStatus::RefreshDue { meanwhile: Some(usable), .. } => {
                Some(usable.grant(deadlines))
            }
            SessionStatus::RefreshDue { meanwhile: None, .. } | SessionStatus::Ended(_) => None,
        }
    }

    /// Whether a refresh brought tokens of the one who logged in (OpenID Connect Core §12.2; the
    /// use case has checked, what is kept says so once more).
    pub(super) fn is_of(&self, new: &Refreshed) -> bool {
        let own = &self.contents.identity;
        new.identity
            .as_ref()
            .is_none_or(|new| new.issuer == own.issuer && new.subject == own.subject)
    }

    /// Takes what a refresh brought.
    pub(super) fn take(&mut self, new: Refreshed, flight: &RefreshFlight) {
        let Refreshed { response, identity } = new;
        self.open.epoch = self.open.epoch.saturating_add(1);
        let contents = &mut self.contents;
        contents.hold(HeldToken::new(
            flight.token.clone(),
            response.access_token,
            self.open.epoch,
            flight.began,
            response.expires_in,
        ));
        // None is sent where the old one stays good.
        if response.refresh_token.is_some() {
            contents.refresh_token = response.refresh_token;
        }
        // An ID token that nobody verified is not kept.
        if let Some(identity) = identity {
            contents.identity = identity.renewed_from(&contents.identity);
            if response.id_token.is_some() {
                contents.id_token = response.id_token;
            }
        }
        contents.sending = false;
        contents.lost = false;
        for held in &mut contents.tokens {
            held.renewal_refused = None;
        }
    }
}
