//! What the use cases order of the indexes.

use super::{
    ledger::Order,
    messages::{Asker, ToIndex},
    session::SessionObject,
    steps::End,
    world::{System, at},
    *,
};

impl System<'_> {
    /// What the use cases order of the indexes.
    pub(super) fn order(&mut self, end: End) {
        let number = self.ledger.orders.len();
        let token = |system: &Self| SeenToken {
            jti: format!("jti {number}"),
            until: system.now.after(secs(120)),
            delivery: format!("delivery {number}"),
        };
        let issued = |system: &Self, age: u8| system.providers_time().before(secs(age.into()));
        match end {
            End::Sub { person, age } => {
                let (which, token) = (Which::Before { issued: issued(self, age) }, token(self));
                let index = self.index_of(person);
                self.sends(index, which, EndReason::BackChannel, true, Some(token));
            }
            End::Sid { sid, person, age } => {
                let token = token(self);
                if let Some(person) = person {
                    let which = Which::BeforeWithoutSid { issued: issued(self, age) };
                    let index = self.index_of(person);
                    self.sends(index, which, EndReason::BackChannel, true, None);
                }
                let of = person.map(|person| self.index_of(person));
                let index = self.index_of_sid(sid);
                self.sends(index, Which::All { of }, EndReason::BackChannel, true, Some(token));
            }
            End::Frame { sid } => {
                let index = self.index_of_sid(sid);
                self.sends(index, all(), EndReason::FrontChannel, false, None);
            }
            End::Others(nth) => {
                let Some(session) = at(nth, self.sessions.len()) else { return };
                let SessionObject { person, key, .. } = &self.sessions[session];
                let which = Which::Others { session: key.clone() };
                let index = self.index_of(*person);
                self.sends(index, which, EndReason::Remote, false, None);
            }
            End::Handle { person, nth } => {
                let index = self.index_of(person);
                let entries = self.indexes[&index].entries();
                let handle = at(nth, entries.len()).map(|nth| entries[nth].handle.clone());
                let which = Which::Handle { handle: handle.unwrap_or_default() };
                self.sends(index, which, EndReason::Remote, false, None);
            }
            End::Administrator { person } => {
                let index = self.index_of(person);
                let which = Which::Begun { by: self.now };
                self.sends(index, which, EndReason::Remote, true, None);
            }
        }
    }

    pub(super) fn sends(
        &mut self,
        index: IndexName,
        which: Which,
        reason: EndReason,
        bars: bool,
        token: Option<SeenToken>,
    ) {
        let order = self.ledger.orders.len();
        self.post.asks_index(&index, ToIndex::End(order), Asker::Nobody);
        self.ledger.orders.push(Order { index, which, reason, bars, token });
    }
}
