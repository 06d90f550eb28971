//! What is known from outside: which sessions are to end and by whose word, and which logins are
//! barred.

use super::{session::SessionObject, *};

/// An end that somebody ordered.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) index: IndexName,
    pub(super) which: Which,
    pub(super) reason: EndReason,
    pub(super) bars: bool,
    pub(super) token: Option<SeenToken>,
}

#[derive(Debug, Default)]
pub(super) struct Ledger {
    pub(super) orders: Vec<Order>,
    /// Bars that are written down: of which order, and since when.
    bars: Vec<(usize, Timestamp)>,
    /// Sessions that an end which is written down names.
    pub(super) owed: BTreeSet<usize>,
}

impl Ledger {
    /// An order was written down, when these were listed.
    pub(super) fn is_written(
        &mut self,
        order: usize,
        listed: &[usize],
        sessions: &[SessionObject],
        handles: &BTreeMap<usize, String>,
        now: Timestamp,
    ) {
        let Order { which, bars, .. } = &self.orders[order];
        for session in listed {
            if names(which, &sessions[*session], handles.get(session)) {
                self.owed.insert(*session);
            }
        }
        if *bars {
            self.bars.push((order, now));
        }
    }

    /// Which order keeps this login out of this index, if any does: one that names it and that it
    /// could have been under way at.
    pub(super) fn bar(
        &self,
        index: &IndexName,
        session: &SessionObject,
        now: Timestamp,
    ) -> Option<&Order> {
        let bars = self.bars.iter().filter(|(_, since)| {
            now < since.after(Transaction::LIFETIME) || session.began <= *since
        });
        let mut orders = bars.map(|(order, _)| &self.orders[*order]);
        orders.find(|order| order.index == *index && names(&order.which, session, None))
    }
}

/// Whether an end is about a session, in the words of design §4 and Back-Channel Logout §2.7.
fn names(which: &Which, session: &SessionObject, handle: Option<&String>) -> bool {
    let issued_at = session.issued_at.expect("it is listed");
    match which {
        Which::All { of: None } => true,
        Which::All { of: Some(subject) } => session.names.subject == *subject,
        Which::Before { issued } => issued_at <= *issued,
        Which::BeforeWithoutSid { issued } => session.sid.is_none() && issued_at <= *issued,
        Which::Begun { by } => session.began <= *by,
        Which::Others { session: own } => session.key != *own,
        Which::Handle { handle: wanted } => handle == Some(wanted),
    }
}
