//! What one isolate remembers of its sessions in KV between two commands: values only.
//!
//! A promise or future that one request makes and another awaits is cancelled with the request
//! that made it. So whoever comes while a login or a refresh is out can't wait for that one; it
//! looks, by a clock of its own, whether it is back.

use std::{collections::VecDeque, time::Duration};

use crate::{
    session::{Gates, SessionKey},
    time::Timestamp,
};

/// How long a request may be out at most: longer than the provider is given to answer it.
const LONGEST_FLIGHT: Duration = Duration::from_secs(20);

/// More sessions than this are forgotten all together; they only ask the provider once more.
const MAX_SESSIONS: usize = 1024;

/// So many ends are remembered; the oldest goes, and KV has long known of it.
const MAX_ENDED: usize = 1024;

/// So many logins that came to nothing are remembered; the oldest goes. Whoever brings its code
/// once more has it sent once more.
const MAX_FAILED: usize = 256;

/// The memory of one isolate; lives in a static of the edge.
#[derive(Debug, Default)]
pub struct Isolate {
    /// Sessions that ended here: KV promises nobody to know at once what was written a moment ago.
    ended: VecDeque<SessionKey>,
    /// Logins that came to nothing here, each with what an object would have kept of it: KV keeps
    /// nothing for who brings an invented code.
    failed: VecDeque<(SessionKey, Vec<u8>)>,
    /// Few: those of which a login or refresh is out or was refused a moment ago.
    sessions: Vec<Remembered>,
}

#[derive(Debug)]
struct Remembered {
    session: SessionKey,
    gates: Gates,
    /// A login or refresh is out; not believed any longer than this.
    out_until: Option<Timestamp>,
}

impl Isolate {
    /// An empty memory.
    pub const fn new() -> Self {
        Self { ended: VecDeque::new(), failed: VecDeque::new(), sessions: Vec::new() }
    }

    /// What keeps the session's refreshes back.
    pub(super) fn gates(&self, session: &SessionKey) -> Gates {
        self.find(session).map(|kept| kept.gates.clone()).unwrap_or_default()
    }

    /// Remembers that.
    pub(super) fn keep_gates(&mut self, session: &SessionKey, gates: Gates) {
        if !gates.is_empty() || self.find(session).is_some() {
            self.change(session, |kept| kept.gates = gates);
        }
    }

    /// Whether a login or refresh of the session is out.
    pub(super) fn is_out(&self, session: &SessionKey, now: Timestamp) -> bool {
        self.find(session).and_then(|kept| kept.out_until).is_some_and(|until| now < until)
    }

    /// Notes that one goes out.
    pub(super) fn goes_out(&mut self, session: &SessionKey, now: Timestamp) {
        self.change(session, |kept| kept.out_until = Some(now.after(LONGEST_FLIGHT)));
    }

    /// Notes that it is back.
    pub(super) fn is_back(&mut self, session: &SessionKey) {
        self.change(session, |kept| kept.out_until = None);
    }

    /// Notes that a session's tombstone stands.
    pub(super) fn ends(&mut self, session: &SessionKey) {
        if !self.is_ended(session) {
            self.ended.truncate(MAX_ENDED - 1);
            self.ended.push_front(session.clone());
        }
    }

    /// Whether it was this isolate that ended the session.
    pub(super) fn is_ended(&self, session: &SessionKey) -> bool {
        self.ended.contains(session)
    }

    /// Notes that a login came to nothing.
    pub(super) fn login_fails(&mut self, session: &SessionKey, row: Vec<u8>) {
        self.failed.truncate(MAX_FAILED - 1);
        self.failed.push_front((session.clone(), row));
    }

    /// What is left of a login that came to nothing here.
    pub(super) fn failed_login(&self, session: &SessionKey) -> Option<Vec<u8>> {
        self.failed.iter().find(|(failed, _)| failed == session).map(|(_, row)| row.clone())
    }

    fn find(&self, session: &SessionKey) -> Option<&Remembered> {
        self.sessions.iter().find(|kept| kept.session == *session)
    }

    /// Changes what is remembered of a session, and forgets it where that is nothing any more.
    fn change(&mut self, session: &SessionKey, change: impl FnOnce(&mut Remembered)) {
        let known = self.sessions.iter().position(|kept| kept.session == *session);
        let mut kept = match known {
            Some(at) => self.sessions.swap_remove(at),
            None => {
                Remembered { session: session.clone(), gates: Gates::default(), out_until: None }
            }
        };
        change(&mut kept);
        if kept.gates.is_empty() && kept.out_until.is_none() {
            return;
        }
        if self.sessions.len() >= MAX_SESSIONS {
            self.sessions.clear();
        }
        self.sessions.push(kept);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::SessionId;

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

    fn session(n: u32) -> SessionKey {
        let mut bytes = [0; 32];
        bytes[..4].copy_from_slice(&n.to_be_bytes());
        SessionId::from_bytes(bytes).key()
    }

    #[test]
    fn what_is_out_is_out_until_it_is_back_or_can_not_be_out_any_more() {
        let mut isolate = Isolate::new();
        assert!(!isolate.is_out(&session(1), NOW));
        isolate.goes_out(&session(1), NOW);
        assert!(isolate.is_out(&session(1), NOW));
        assert!(!isolate.is_out(&session(2), NOW));
        assert!(!isolate.is_out(&session(1), NOW.after(LONGEST_FLIGHT)));
        isolate.is_back(&session(1));
        assert!(!isolate.is_out(&session(1), NOW));
        assert!(isolate.sessions.is_empty(), "nothing is left of it");
    }

    #[test]
    fn no_crowd_of_sessions_fills_the_memory() {
        let mut isolate = Isolate::new();
        for n in 0..3000 {
            isolate.goes_out(&session(n), NOW);
            isolate.ends(&session(n));
            isolate.ends(&session(n));
            isolate.login_fails(&session(n), vec![0]);
            assert!(isolate.sessions.len() <= MAX_SESSIONS);
            assert!(isolate.ended.len() <= MAX_ENDED);
            assert!(isolate.failed.len() <= MAX_FAILED);
        }
        assert!(isolate.is_out(&session(2999), NOW));
        assert!(isolate.is_ended(&session(2999)) && isolate.is_ended(&session(2000)));
        assert!(!isolate.is_ended(&session(3000)) && !isolate.is_ended(&session(0)));
    }
}
