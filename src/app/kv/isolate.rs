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

/// How long a login may be out: longer than the token endpoint, the keys (asked twice) and UserInfo
/// are given one after the other, with the writes after them. A code that is sent again costs the
/// first its session.
pub(super) const LONGEST_LOGIN: Duration = Duration::from_secs(60);

/// How long a refresh is waited for; longer than the token endpoint is given. One that is sent again
/// costs nothing where the provider doesn't rotate, and a request that was cut off never says that
/// it is back.
pub(super) const LONGEST_REFRESH: Duration = Duration::from_secs(20);

/// How long what keeps refreshes back is remembered after it was last said: longer than any pause,
/// and as long again, so that the pauses of who comes again grow.
const LONGEST_GATES: Duration = Duration::from_secs(60);

/// So many sessions are remembered. What only keeps a refresh back goes first, the oldest before
/// the others: that session asks the provider once more.
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
    /// Few: those of which a login or refresh is out or was refused a moment ago. The one that was
    /// changed last is the last.
    sessions: Vec<Remembered>,
}

#[derive(Debug)]
struct Remembered {
    session: SessionKey,
    gates: Gates,
    /// Until when those may mean anything.
    gates_until: Timestamp,
    /// A login or refresh is out; not believed any longer than this.
    out_until: Option<Timestamp>,
}

impl Remembered {
    fn is_out(&self, now: Timestamp) -> bool {
        self.out_until.is_some_and(|until| now < until)
    }

    fn has_gates(&self, now: Timestamp) -> bool {
        !self.gates.is_empty() && now < self.gates_until
    }
}

impl Isolate {
    /// An empty memory.
    pub const fn new() -> Self {
        Self { ended: VecDeque::new(), failed: VecDeque::new(), sessions: Vec::new() }
    }

    /// What keeps the session's refreshes back.
    pub(super) fn gates(&self, session: &SessionKey, now: Timestamp) -> Gates {
        let kept = self.find(session).filter(|kept| kept.has_gates(now));
        kept.map(|kept| kept.gates.clone()).unwrap_or_default()
    }

    /// Remembers that. Only for whoever has the session's refresh out: another's may be older.
    pub(super) fn keep_gates(&mut self, session: &SessionKey, gates: Gates, now: Timestamp) {
        self.change(session, now, |kept| {
            kept.gates = gates;
            kept.gates_until = now.after(LONGEST_GATES);
        });
    }

    /// Whether a login or refresh of the session is out.
    pub(super) fn is_out(&self, session: &SessionKey, now: Timestamp) -> bool {
        self.find(session).is_some_and(|kept| kept.is_out(now))
    }

    /// Notes that one goes out, and is to be back after `longest` at most.
    pub(super) fn goes_out(&mut self, session: &SessionKey, longest: Duration, now: Timestamp) {
        self.change(session, now, |kept| kept.out_until = Some(now.after(longest)));
    }

    /// Notes that it is back.
    pub(super) fn is_back(&mut self, session: &SessionKey) {
        let own = self.sessions.iter_mut().find(|kept| kept.session == *session);
        if let Some(kept) = own {
            kept.out_until = None;
        }
        self.sessions.retain(|kept| kept.out_until.is_some() || !kept.gates.is_empty());
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
    fn change(
        &mut self,
        session: &SessionKey,
        now: Timestamp,
        change: impl FnOnce(&mut Remembered),
    ) {
        let known = self.sessions.iter().position(|kept| kept.session == *session);
        let mut kept = match known {
            Some(at) => self.sessions.remove(at),
            None => Remembered {
                session: session.clone(),
                gates: Gates::default(),
                gates_until: now,
                out_until: None,
            },
        };
        change(&mut kept);
        if !kept.is_out(now) && !kept.has_gates(now) {
            return;
        }
        if self.sessions.len() >= MAX_SESSIONS {
            self.sessions.retain(|kept| kept.is_out(now) || kept.has_gates(now));
        }
        if self.sessions.len() >= MAX_SESSIONS {
            let only_gates = self.sessions.iter().position(|kept| !kept.is_out(now));
            self.sessions.remove(only_gates.unwrap_or(0));
        }
        self.sessions.push(kept);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        app::kv::writes::NEXT_WRITE,
        jose::jwk_set,
        oauth::{token, userinfo},
        session::{SessionId, closed_gates},
    };

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
        for longest in [LONGEST_LOGIN, LONGEST_REFRESH] {
            isolate.goes_out(&session(1), longest, NOW);
            assert!(isolate.is_out(&session(1), NOW));
            assert!(!isolate.is_out(&session(2), NOW));
            assert!(!isolate.is_out(&session(1), NOW.after(longest)));
        }
        isolate.is_back(&session(1));
        assert!(!isolate.is_out(&session(1), NOW));
        assert!(isolate.sessions.is_empty(), "nothing is left of it");
    }

    #[test]
    fn a_login_may_take_all_the_time_that_the_provider_is_given() {
        let asked = token::TIMEOUT + jwk_set::TIMEOUT * 2 + userinfo::TIMEOUT;
        assert!(LONGEST_LOGIN > asked + NEXT_WRITE * 2);
        assert!(LONGEST_REFRESH > token::TIMEOUT + NEXT_WRITE);
    }

    #[test]
    fn what_keeps_refreshes_back_is_remembered_for_a_while_and_gone_with_a_success() {
        let mut isolate = Isolate::new();
        isolate.keep_gates(&session(1), closed_gates(), NOW);
        let last = NOW.after(LONGEST_GATES).before(Duration::from_millis(1));
        assert!(!isolate.gates(&session(1), last).is_empty());
        assert!(isolate.gates(&session(1), NOW.after(LONGEST_GATES)).is_empty());
        assert!(isolate.gates(&session(2), NOW).is_empty());
        isolate.keep_gates(&session(1), Gates::default(), NOW);
        assert!(isolate.sessions.is_empty(), "nothing is left of it");
    }

    // A route that is configured wrongly closes one for each session that calls it.
    #[test]
    fn a_crowd_of_refusals_forgets_no_login_that_is_out_and_not_what_was_refused_last() {
        let mut isolate = Isolate::new();
        isolate.goes_out(&session(0), LONGEST_LOGIN, NOW);
        for n in 1..3000 {
            isolate.keep_gates(&session(n), closed_gates(), NOW);
            assert!(isolate.sessions.len() <= MAX_SESSIONS);
        }
        assert!(isolate.is_out(&session(0), NOW));
        assert!(!isolate.gates(&session(2999), NOW).is_empty());
        assert!(!isolate.gates(&session(2000), NOW).is_empty(), "the oldest goes alone");
        let later = NOW.after(LONGEST_GATES);
        isolate.goes_out(&session(3000), LONGEST_LOGIN, later);
        assert_eq!(isolate.sessions.len(), 1, "what means nothing any more makes room first");
    }

    #[test]
    fn no_crowd_of_sessions_fills_the_memory() {
        let mut isolate = Isolate::new();
        for n in 0..3000 {
            isolate.goes_out(&session(n), LONGEST_LOGIN, NOW);
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
