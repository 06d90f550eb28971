//! What stays open for as long as its session lives, on a route whose `connections` is `bound`.
//!
//! Nobody tells an open socket or stream that its session has ended: the object that knows has no
//! way to it. So whoever holds it open asks, again and again, and an end is noticed one [`Watch`]'s
//! interval late at most (two, where the object takes its time). To ask is no use of the session:
//! an open socket doesn't keep a person logged in who has left.

use std::time::Duration;

use crate::{
    config::SessionConfig,
    session::{Command, Reply, SessionId, SessionKey},
};

/// The shortest interval. Each question is a call of an object, and counts against the platform's
/// limit for one connection.
const LEAST: Duration = Duration::from_secs(5);
/// The same where sessions are in KV, which knows of an end that late anyway, and bills each read.
const LEAST_IN_KV: Duration = Duration::from_secs(60);

/// The session has ended. In the range for applications (RFC 6455 §7.4.2); as 401 is to a call.
const SESSION_ENDED: u16 = 4401;
/// The store didn't say: try again later (IANA, WebSocket Close Code Number Registry).
const TRY_AGAIN_LATER: u16 = 1013;

/// A question to a session's object, to be asked again and again.
#[derive(Debug)]
pub struct Watch {
    /// Which object.
    pub key: SessionKey,
    /// What it is asked.
    pub command: Command,
    /// How often.
    pub every: Duration,
}

impl Watch {
    /// Watches this session.
    pub(super) fn new(config: &SessionConfig, session_id: SessionId) -> Self {
        let least = if config.store.is_kv() { LEAST_IN_KV } else { LEAST };
        Self {
            key: session_id.key(),
            command: Command::Status { session_id, touch: false },
            every: config.cache.max(least),
        }
    }

    /// What a reply means for what is open: nothing, or the code to close it with. `None` is a
    /// store that didn't answer. Nobody knows then; what is open is closed and comes back through
    /// the front door.
    pub const fn verdict(reply: Option<&Reply>) -> Option<u16> {
        match reply {
            Some(Reply::Status(_)) => None,
            Some(Reply::NoSession) => Some(SESSION_ENDED),
            _ => Some(TRY_AGAIN_LATER),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::Store,
        http::testing::{config, session_id},
        session::StatusReply,
        time::Timestamp,
    };

    #[test]
    fn to_ask_is_no_use_of_the_session() {
        let watch = Watch::new(&config().session, session_id());
        assert_eq!(watch.key, session_id().key());
        let Command::Status { touch: false, .. } = watch.command else { panic!("{watch:?}") };
    }

    #[test]
    fn it_is_asked_as_often_as_a_grant_is_renewed_but_no_oftener_than_the_store_bears() {
        let kv = Store::Kv { delayed_logout: false };
        for (store, cache, every) in
            [(Store::Durable, 0, 5), (Store::Durable, 5, 5), (Store::Durable, 30, 30), (kv, 5, 60)]
        {
            let mut config = config().session;
            (config.store, config.cache) = (store, Duration::from_secs(cache));
            let watch = Watch::new(&config, session_id());
            assert_eq!(watch.every, Duration::from_secs(every), "{store:?} {cache}");
        }
    }

    /// Only the word of a living session keeps anything open.
    #[test]
    fn what_is_open_stays_so_only_by_the_word_of_a_living_session() {
        let status = Reply::Status(Box::new(StatusReply {
            claims: serde_json::Map::new(),
            created: Timestamp::default(),
            idle_deadline: Timestamp::default(),
            absolute_deadline: Timestamp::default(),
            whose: None,
        }));
        assert_eq!(Watch::verdict(Some(&status)), None);
        assert_eq!(Watch::verdict(Some(&Reply::NoSession)), Some(4401));
        for reply in [None, Some(&Reply::Broken), Some(&Reply::Unsupported)] {
            assert_eq!(Watch::verdict(reply), Some(1013), "{reply:?}");
        }
    }
}
