//! What a subject's object is asked, where there is none: ends by markers, and no list.

use super::markers::end_before;
use crate::{
    app::ports::{KeyValue, StoreError},
    config::SessionConfig,
    session::subject::{EndSessions, IndexName, SubjectCommand, SubjectReply, Which},
    time::Timestamp,
};

/// Takes a command for the subject's object `index`.
///
/// # Errors
///
/// KV took no marker: nobody is logged out by this.
pub async fn ask_subject<K: KeyValue>(
    store: &K,
    config: &SessionConfig,
    index: &IndexName,
    command: SubjectCommand,
    now: Timestamp,
) -> Result<SubjectReply, StoreError> {
    match command {
        // A marker that was set meanwhile is found when the session is written.
        SubjectCommand::Register(_) => Ok(SubjectReply::Registered),
        SubjectCommand::Unlist { .. } => Ok(SubjectReply::Unlisted),
        SubjectCommand::List { .. } => Ok(SubjectReply::Unsupported),
        SubjectCommand::End(order) => end(store, config, index, *order, now).await,
    }
}

/// By our clock: that of the provider may be behind it, and a session must not slip through the
/// difference. (A logout token that comes twice ends what was made in between as well.)
async fn end<K: KeyValue>(
    store: &K,
    config: &SessionConfig,
    index: &IndexName,
    order: EndSessions,
    now: Timestamp,
) -> Result<SubjectReply, StoreError> {
    let is_possible = config.store.ends_without_cookie() && order.bars;
    match order.which {
        Which::All { .. } | Which::Before { .. } if is_possible => {
            end_before(store, config, index.as_str(), now, order.reason).await?;
        }
        // A marker under the `sub` would end the sessions of other `sid`s as well.
        Which::BeforeWithoutSid { .. } => {}
        _ => return Ok(SubjectReply::Unsupported),
    }
    Ok(SubjectReply::Ended { sessions: Vec::new(), left: 0 })
}
