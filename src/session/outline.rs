//! A session's row as a store sees it that can't run the object's machine over time: what it is,
//! and until when it is worth keeping. Nothing is opened for it.

use super::{
    SessionKey,
    lifetime::Deadlines,
    record::{Row, Tombstone, encode_tombstone},
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
        /// When nothing of it is of use any more.
        until: Timestamp,
        /// It holds the place and nothing else.
        is_bare: bool,
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
    /// Under which names the person's sessions are found: by `sub` and, where the provider gives
    /// one, by `sid`.
    pub names: Vec<String>,
}

impl Outline {
    /// Reads a row; never fails.
    pub fn of(row: &[u8]) -> Self {
        match Row::decode(row) {
            Row::Live(closed) => {
                let Deadlines { absolute, .. } = closed.open.deadlines;
                let deadline = closed.open.deadlines.earliest();
                let names = closed.open.names;
                Self::Live(LiveOutline {
                    created: closed.open.created,
                    absolute_deadline: absolute,
                    deadline,
                    names: std::iter::once(names.subject).chain(names.sid).collect(),
                })
            }
            Row::Exchanging(marker) => Self::Exchanging { until: marker.until },
            Row::Ended(tombstone) => Self::ended(&tombstone),
            Row::Newer | Row::Damaged => Self::Unreadable,
        }
    }

    fn ended(tombstone: &Tombstone) -> Self {
        let Tombstone { until, login, revocations, logout, .. } = tombstone;
        let tickets = revocations.iter().map(|ticket| ticket.until);
        let tickets = tickets.chain(logout.iter().map(|ticket| ticket.until));
        Self::Ended {
            until: tickets.fold(*until, Timestamp::max),
            is_bare: login.is_none() && revocations.is_empty() && logout.is_none(),
        }
    }
}

/// The row that says of a session that it is over, and nothing else.
pub fn tombstone_row(session: &SessionKey, until: Timestamp) -> Option<Vec<u8>> {
    encode_tombstone(&Tombstone::new(session.clone(), until))
}
