//! A refresh, in the session's object.

use super::context::{ObjectContext, ObjectPorts};
use crate::session::{RefreshOutcome, RefreshWork};

/// Sends one refresh request and checks what comes back.
pub async fn refresh<P: ObjectPorts>(
    ctx: &ObjectContext<'_, P>,
    work: &RefreshWork,
) -> RefreshOutcome {
    todo!()
}
