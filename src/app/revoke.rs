//! A revocation (RFC 7009), in the session's object.

use super::context::{ObjectContext, ObjectPorts};
use crate::{secret::Secret, session::RevocationOutcome};

/// Sends one revocation request.
pub async fn revoke<P: ObjectPorts>(
    ctx: &ObjectContext<'_, P>,
    endpoint: &str,
    token: &Secret<String>,
) -> RevocationOutcome {
    todo!()
}
