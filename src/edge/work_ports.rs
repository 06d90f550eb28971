//! The ports of a session's work, wherever the session is kept. One type for both stores: another
//! one would compile logins and refreshes a second time.

use super::{kv_store::KvNamespace, platform::OnPlatform, store::Objects};
use crate::{
    app::{
        kv,
        ports::{Clock as _, StoreError, SubjectStore},
    },
    config::SessionConfig,
    session::subject::{IndexName, SubjectCommand, SubjectReply},
};

/// Where a session's subject is asked.
pub(super) enum WorkPorts<'a> {
    /// In its object.
    Objects(&'a Objects),
    /// In KV, by markers.
    Kv { namespace: &'a KvNamespace, config: &'a SessionConfig },
}

impl OnPlatform for WorkPorts<'_> {}

impl SubjectStore for WorkPorts<'_> {
    async fn ask_subject(
        &self,
        index: &IndexName,
        command: SubjectCommand,
    ) -> Result<SubjectReply, StoreError> {
        match self {
            Self::Objects(subjects) => subjects.ask_subject(index, command).await,
            Self::Kv { namespace, config } => {
                kv::ask_subject(*namespace, config, index, command, self.now()).await
            }
        }
    }
}
