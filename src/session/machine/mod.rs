//! The session object's states and commands as a pure function.

mod work;

pub use work::{
    CallerId, Effect, Input, NewSession, RefreshOutcome, RefreshWork, Refreshed,
    RevocationOutcome, Work,
};

use super::protocol::ObjectConfig;
use crate::time::Timestamp;

/// The session object's state.
#[derive(Debug)]
pub struct Machine {}

impl Machine {
    /// From the object's one row, if it has one.
    pub fn load(config: ObjectConfig, stored: Option<&[u8]>) -> Self {
        let _ = (config, stored);
        Self {}
    }

    /// Takes an input and says what to do, in order.
    pub fn handle(
        &mut self,
        input: Input,
        now: Timestamp,
        entropy: &mut dyn FnMut(&mut [u8]),
    ) -> Vec<Effect> {
        let _ = (input, now, entropy);
        Vec::new()
    }
}
