//! Ends of many sessions at once, by their subject's object: what the logout endpoints, the person's
//! devices and the administrator have in common.

use super::context::{Context, Ports};
use crate::session::subject::{EndSessions, IndexName, SubjectCommand, SubjectReply};

/// What came of it.
pub(super) enum Ended {
    /// It is written down; this many have ended, and this many objects are asked until they answer.
    Sessions { ended: usize, left: usize },
    /// The logout token was used before.
    Replayed,
    /// Nothing was written down: it has to be asked for again.
    Unavailable,
}

/// Has the object that `index` names end sessions.
pub(super) async fn end_sessions<P: Ports>(
    ctx: &Context<'_, P>,
    index: &IndexName,
    order: EndSessions,
) -> Ended {
    match ctx.ports.ask_subject(index, SubjectCommand::End(Box::new(order))).await {
        Ok(SubjectReply::Ended { sessions, left }) => {
            Ended::Sessions { ended: sessions.len(), left }
        }
        Ok(SubjectReply::Replayed) => Ended::Replayed,
        Ok(_) | Err(_) => Ended::Unavailable,
    }
}
