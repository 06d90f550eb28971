//! When an object sets its one alarm: the rule that both kinds of objects keep.

use std::time::Duration;

use crate::time::Timestamp;

/// What an object's alarm is set to, as far as is known. The object's row names it, so that one that
/// restarts needn't set it anew.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Alarm(Option<Timestamp>);

impl Alarm {
    /// As the row names it.
    pub(super) const fn named(by_the_row: Option<Timestamp>) -> Self {
        Self(by_the_row)
    }

    /// What the row is to name.
    pub(super) const fn armed(self) -> Option<Timestamp> {
        self.0
    }

    /// What to set it to at the end of a turn, if anything: `due` is when it is needed next,
    /// `writes` whether a row is written.
    ///
    /// It is set only where it would ring too late: one that rings before anything is due is set
    /// anew then, so that a touch costs no second row.
    pub(super) fn set(
        &mut self,
        due: Option<Timestamp>,
        now: Timestamp,
        rings: bool,
        writes: bool,
    ) -> Option<Option<Timestamp>> {
        // One that the platform rang before its time is set as it was: the row says so, and after a
        // restart is believed as long as that time is still to come.
        let early = self.0.take_if(|_| rings).filter(|rang| *rang > now);
        let soon = now.after(Duration::from_millis(1));
        let due = due.map(|due| early.map_or(due, |early| due.min(early)).max(soon));
        let is_late = self.0.is_none_or(|armed| armed <= now || due < Some(armed));
        if due.is_some() && is_late && (writes || rings) {
            self.0 = due;
            return Some(due);
        }
        (writes && due.is_none() && self.0.take().is_some()).then_some(None)
    }
}
