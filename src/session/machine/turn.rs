//! What one input leads to, gathered in the order in which it may be done.

use super::{
    super::{SessionKey, protocol::Reply, record::IndexNames},
    CallerId, Effect, Work,
};
use crate::{audit::Event, time::Timestamp};

/// One input's worth of time, randomness and things to do.
pub(super) struct Turn<'a> {
    pub(super) now: Timestamp,
    pub(super) entropy: &'a mut dyn FnMut(&mut [u8]),
    /// The state differs from the row.
    pub(super) dirty: bool,
    pub(super) starts: Vec<Work>,
    pub(super) replies: Vec<(CallerId, Reply)>,
    /// Sessions that their subjects' objects needn't list any more.
    pub(super) unlists: Vec<(SessionKey, IndexNames)>,
    pub(super) events: Vec<Event>,
}

impl<'a> Turn<'a> {
    pub(super) fn new(now: Timestamp, entropy: &'a mut dyn FnMut(&mut [u8])) -> Self {
        Self {
            now,
            entropy,
            dirty: false,
            starts: Vec::new(),
            replies: Vec::new(),
            unlists: Vec::new(),
            events: Vec::new(),
        }
    }

    pub(super) fn reply(&mut self, caller: CallerId, reply: Reply) {
        self.replies.push((caller, reply));
    }

    pub(super) fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        (self.entropy)(&mut bytes);
        bytes
    }

    /// Writes first, then work, then replies, then the log.
    pub(super) fn effects(self, writes: Vec<Effect>, broken: bool) -> Vec<Effect> {
        let mut effects = writes;
        // What could not be written must not be acted on.
        let starts = if broken { Vec::new() } else { self.starts };
        effects.extend(starts.into_iter().map(Effect::Start));
        effects.extend(self.replies.into_iter().map(|(caller, reply)| {
            Effect::Reply(caller, if broken { Reply::Broken } else { reply })
        }));
        let unlists = if broken { Vec::new() } else { self.unlists };
        effects
            .extend(unlists.into_iter().map(|(session, names)| Effect::Unlist { session, names }));
        effects.extend(self.events.into_iter().map(Effect::Audit));
        effects
    }
}
