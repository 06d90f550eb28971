//! The code exchange, in the new session's object: code → tokens → checked ID token → session.

use super::context::{ObjectContext, ObjectPorts};
use crate::{
    http::message::TransportError,
    session::{Login, LoginFailure, NewSession},
};

/// Exchanges the code once, verifies the ID token, asks UserInfo if configured.
pub async fn login<P: ObjectPorts>(
    ctx: &ObjectContext<'_, P>,
    login: &Login,
) -> Result<NewSession, LoginFailure> {
    todo!()
}

/// The audit log's word for a transport error.
pub(crate) const fn transport_kind(error: TransportError) -> &'static str {
    match error {
        TransportError::Unreachable => "unreachable",
        TransportError::TimedOut => "timed_out",
        TransportError::TooLarge => "too_large",
    }
}
