//! Which sessions an end is about, those that are listed and those whose login is under way.
//!
//! A login that is under way when a logout comes would be out of its reach: it isn't listed yet. So
//! what the logout names is kept for as long as a login may take, and each session that is to be
//! listed meanwhile is held against it. A login that comes later than that is too late for itself.

use serde::{Deserialize, Serialize};

use super::{IndexName, Which, record::Bar};
use crate::{
    session::{SessionKey, Transaction},
    time::Timestamp,
};

/// How many bars are kept; the oldest goes. A logout of later replaces what it includes, so that
/// there are more than a few only where a provider's clock jumps about.
const MAX_BARS: usize = 16;

/// A session as an end names it, listed or about to be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Named<'a> {
    /// Its object.
    pub(crate) session: &'a SessionKey,
    /// Its name in the person's list, where it has one.
    pub(crate) handle: Option<&'a str>,
    /// The index of its `sub`.
    pub(crate) subject: &'a IndexName,
    /// The index of its `sid`, if the provider gave one.
    pub(crate) sid: Option<&'a IndexName>,
    /// How its person came in.
    pub(crate) sign_in: SignIn,
}

/// The times of a login that an end is measured against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignIn {
    /// When the login began, by our clock.
    pub began: Timestamp,
    /// `iat` of its ID token.
    pub issued_at: Timestamp,
    /// `auth_time`, where it is known.
    pub authenticated_at: Option<Timestamp>,
}

impl Bar {
    /// Whether a session is refused that comes at `now`.
    pub(crate) fn refuses(&self, session: &Named<'_>, now: Timestamp) -> bool {
        self.stands(now) && (self.which.names(session) || self.is_from_before(session))
    }

    /// Whether it refuses anybody who comes at `now`.
    pub(crate) fn stands(&self, now: Timestamp) -> bool {
        now < self.until
    }

    /// Whether a login that was under way at the logout comes of a sign-in that the logout is
    /// about: providers redeem codes from before it, and date the ID token by the exchange. One
    /// that began later may rest on a session at the provider that the logout left.
    fn is_from_before(&self, session: &Named<'_>) -> bool {
        let ordered = self.until.before(Transaction::LIFETIME);
        session.sign_in.authenticated_at.is_some_and(|issued_at| {
            let sign_in = SignIn { issued_at, ..session.sign_in };
            sign_in.began <= ordered && self.which.names(&Named { sign_in, ..*session })
        })
    }

    /// Adds one that stands for as long as a login may take.
    pub(crate) fn add(bars: &mut Vec<Self>, which: &Which, now: Timestamp) {
        bars.retain(|bar| bar.stands(now) && !which.includes(&bar.which));
        bars.push(Self { which: which.clone(), until: now.after(Transaction::LIFETIME) });
        let surplus = bars.len().saturating_sub(MAX_BARS);
        bars.drain(..surplus);
    }
}

impl Which {
    /// Whether a session is meant.
    pub(super) fn names(&self, session: &Named<'_>) -> bool {
        let SignIn { began, issued_at, .. } = session.sign_in;
        match self {
            Self::All { of } => of.as_ref().is_none_or(|subject| subject == session.subject),
            Self::Before { issued } => issued_at <= *issued,
            Self::BeforeWithoutSid { issued } => session.sid.is_none() && issued_at <= *issued,
            Self::Begun { by } => began <= *by,
            Self::Others { session: own } => session.session != own,
            Self::Handle { handle } => session.handle == Some(handle),
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
