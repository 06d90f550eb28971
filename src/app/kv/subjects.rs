//! What a subject's object is asked, where there is none: ends by markers, and no list.

use super::markers::{end_before, without_sid};
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
/// difference. (A logout token that comes late, or twice, ends what was made until then as well.)
async fn end<K: KeyValue>(
    store: &K,
    config: &SessionConfig,
    index: &IndexName,
    order: EndSessions,
    now: Timestamp,
) -> Result<SubjectReply, StoreError> {
    if !config.store.ends_without_cookie() {
        return Ok(SubjectReply::Unsupported);
    }
    let name = match order.which {
        Which::BeforeWithoutSid { .. } => without_sid(index.as_str()),
        Which::All { .. } | Which::Before { .. } | Which::Begun { .. } if order.bars => {
            index.as_str().to_owned()
        }
        // Whoever isn't known to be the provider or an administrator has nothing stored, and there
        // is no list of devices.
        _ => return Ok(SubjectReply::Unsupported),
    };
    end_before(store, config, &name, &order.which, now, order.reason).await?;
    Ok(SubjectReply::Ended { sessions: Vec::new(), left: 0 })
}
