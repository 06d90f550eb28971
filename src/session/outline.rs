//! A session's row as a store sees it that can't run the object's machine over time: what it is,
//! and until when it is worth keeping. Nothing is opened for that.

use super::{
    KeyRing, SessionId, SessionKey,
    record::{IndexNames, Row, Tombstone, encode_tombstone},
    subject::SignIn,
};
use crate::time::Timestamp;

/// What a row is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outline {
    /// A session.
    Live(LiveOutline),
    /// A code that is being exchanged, or was.
    Exchanging {
        /// When the transaction has run out.
        until: Timestamp,
    },
    /// What is left of a session, or of a login that came to nothing.
    Ended {
        /// Until when a ticket is of use that lies beside it.
        ticket_until: Option<Timestamp>,
        /// There was no session, only a login.
        login_failed: bool,
    },
    /// A newer release's row, or nobody's.
    Unreadable,
}

/// What the open part of a session's row says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveOutline {
    /// When the session was made.
    pub created: Timestamp,
    /// The absolute limit.
    pub absolute_deadline: Timestamp,
    /// When it ends if nothing else is done: the first of its limits.
    pub deadline: Timestamp,
    /// The index names by issuer and `sub`, and `sid` where the provider gives one.
    pub names: IndexNames,
}

impl Outline {
    /// Reads a row; never fails.
    pub fn of(row: &[u8]) -> Self {
        match Row::decode(row) {
            Row::Live(closed) => {
                let open = closed.open;
                Self::Live(LiveOutline {
                    created: open.created,
                    absolute_deadline: open.deadlines.absolute,
                    deadline: open.deadlines.earliest(),
                    names: open.names,
                })
            }
            Row::Exchanging(marker) => Self::Exchanging { until: marker.until },
            Row::Ended(Tombstone { login, revocations, logout, .. }) => {
                let revocations = revocations.iter().map(|ticket| ticket.until);
                let tickets = revocations.chain(logout.iter().map(|ticket| ticket.until));
                Self::Ended { ticket_until: tickets.max(), login_failed: login.is_some() }
            }
            Row::Newer | Row::Damaged => Self::Unreadable,
        }
    }
}

/// When the person of a session in KV signed in, for whoever has the cookie's id.
pub fn sign_in(row: &[u8], keys: &KeyRing, id: &SessionId) -> Option<SignIn> {
    let Row::Live(closed) = Row::decode(row) else { return None };
    closed.open(keys, id)?.sign_in
}

/// The row that says of a session that it is over, and nothing else.
pub fn tombstone_row(session: &SessionKey, until: Timestamp) -> Option<Vec<u8>> {
    encode_tombstone(&Tombstone::new(session.clone(), until))
}
