//! The session: its names, its keys, what is kept of it and for how long, and the states of the
//! object that keeps it.
//!
//! Pure and synchronous: time, randomness and the provider's answers are arguments. What a dump of
//! the storage is worth without the browser's cookie is decided here: nothing.

mod alarm;
pub mod id;
pub mod keys;
pub mod lifetime;
pub mod machine;
pub mod outline;
pub mod protocol;
pub mod record;
mod seal;
pub mod subject;
mod ticket;
pub mod transaction;

pub use id::{SessionId, SessionKey};
pub use keys::{KeyRing, KeyRingFault};
#[cfg(test)]
pub(crate) use machine::tests::closed_gates;
pub use machine::{
    CallerId, Effect, Gates, Input, Machine, NewSession, RefreshOutcome, RefreshWork, Refreshed,
    RevocationOutcome, Work,
};
pub use outline::{LiveOutline, Outline, sign_in, tombstone_row};
pub use protocol::{
    Command, EndReason, EndedReply, Envelope, GrantedToken, Login, LoginFailure, LogoutTicketKey,
    ObjectConfig, PROTOCOL, Reply, StatusReply, TokenKey, Unavailable,
};
pub use record::{Identity, IndexNames};
pub use transaction::{Transaction, TransactionFault};
