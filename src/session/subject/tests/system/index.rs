//! A subject's object, with what it stores.

use super::*;

pub(super) struct IndexObject {
    pub(super) whose: Whose,
    machine: Option<SubjectMachine>,
    row: Option<Vec<u8>>,
    pub(super) alarm: Option<Timestamp>,
    /// Counts restarts: what was begun before one is lost with it.
    pub(super) life: u32,
    pub(super) waiting: BTreeMap<CallerId, u64>,
    /// The row as the next life will read it.
    pub(super) stored: Option<Index>,
}

impl IndexObject {
    pub(super) fn new(whose: Whose) -> Self {
        Self {
            whose,
            machine: None,
            row: None,
            alarm: None,
            life: 0,
            waiting: BTreeMap::new(),
            stored: None,
        }
    }

    pub(super) fn handle(
        &mut self,
        input: SubjectInput,
        keys: &KeyRing,
        now: Timestamp,
        entropy: &mut dyn FnMut(&mut [u8]),
    ) -> Vec<SubjectEffect> {
        let row = self.row.as_deref();
        let machine = self.machine.get_or_insert_with(|| SubjectMachine::load(keys.clone(), row));
        machine.handle(input, now, entropy)
    }

    pub(super) fn forgets(&mut self) {
        self.machine = None;
    }

    pub(super) fn stores(&mut self, row: Option<Vec<u8>>) {
        self.stored = row.as_deref().map(|row| match Row::decode(row) {
            Row::Listed(index) => index,
            other => panic!("{other:?}"),
        });
        self.row = row;
    }

    pub(super) fn entries(&self) -> &[record::Entry] {
        self.stored.as_ref().map_or(&[], |index| &index.entries)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.row.is_none()
    }

    pub(super) fn lists(&self, session: &SessionKey) -> bool {
        self.entries().iter().any(|entry| entry.session == *session)
    }
}
