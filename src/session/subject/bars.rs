//! Which sessions an end is about, those that are listed and those whose login is under way.
//!
//! A login that is under way when a logout comes would be out of its reach: it isn't listed yet. So
//! what the logout names is kept for as long as a login may take, and each session that is to be
//! listed meanwhile is held against it. A login that comes later than that is too late for itself.

use super::{
    Which,
    record::{Bar, Entry},
};
use crate::{session::Transaction, time::Timestamp};

/// How many bars are kept; the oldest goes. A logout of later replaces what it includes, so that
/// there are more than a few only where a provider's clock jumps about.
const MAX_BARS: usize = 16;

impl Bar {
    /// Whether a session is refused, whose person signed in at that time, if that is known.
    pub(super) fn refuses(
        &self,
        entry: &Entry,
        authenticated_at: Option<Timestamp>,
        now: Timestamp,
    ) -> bool {
        now < self.until
            && (self.which.names(entry) || self.is_from_before(entry, authenticated_at))
    }

    /// Whether a login that was under way at the logout comes of a sign-in that the logout is
    /// about: providers redeem codes from before it, and date the ID token by the exchange. One
    /// that began later may rest on a session at the provider that the logout left.
    fn is_from_before(&self, entry: &Entry, authenticated_at: Option<Timestamp>) -> bool {
        let ordered = self.until.before(Transaction::LIFETIME);
        authenticated_at.is_some_and(|authenticated_at| {
            let mut earlier = entry.clone();
            earlier.issued_at = authenticated_at;
            entry.began <= ordered && self.which.names(&earlier)
        })
    }

    /// Adds one that stands for as long as a login may take.
    pub(super) fn add(bars: &mut Vec<Self>, which: &Which, now: Timestamp) {
        bars.retain(|bar| now < bar.until && !which.includes(&bar.which));
        bars.push(Self { which: which.clone(), until: now.after(Transaction::LIFETIME) });
        let surplus = bars.len().saturating_sub(MAX_BARS);
        bars.drain(..surplus);
    }
}

impl Which {
    /// Whether a session is meant.
    pub(super) fn names(&self, entry: &Entry) -> bool {
        match self {
            Self::All { of } => of.as_ref().is_none_or(|subject| *subject == entry.subject),
            Self::Before { issued } => entry.issued_at <= *issued,
            Self::BeforeWithoutSid { issued } => entry.sid.is_none() && entry.issued_at <= *issued,
            Self::Begun { by } => entry.began <= *by,
            Self::Others { session } => entry.session != *session,
            Self::Handle { handle } => entry.handle == *handle,
        }
    }

    /// Whether whatever `other` means is meant by this too.
    fn includes(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::All { of: None }, _) => true,
            (
                Self::Before { issued: time },
                Self::Before { issued: other } | Self::BeforeWithoutSid { issued: other },
            )
            | (Self::BeforeWithoutSid { issued: time }, Self::BeforeWithoutSid { issued: other })
            | (Self::Begun { by: time }, Self::Begun { by: other }) => time >= other,
            _ => self == other,
        }
    }
}
