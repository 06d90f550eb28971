//! Warm grants: access tokens that this isolate may use for a few seconds without asking the
//! session's object again.
//!
//! Bounded in age, number and size, so that neither a logout elsewhere nor a crowd of sessions can
//! be felt for long: a grant is used at most `cache` after it was *asked for*, never past the
//! token's or the session's end; the oldest goes first.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use crate::{
    http::decide::Grant,
    session::{SessionKey, TokenKey},
    time::Timestamp,
};

/// How many grants are kept at most.
pub const MAX_GRANTS: usize = 4096;

/// How many bytes of tokens are kept at most.
pub const MAX_BYTES: usize = 16 * 1024 * 1024;

/// The grants of one isolate's Worker half.
#[derive(Debug, Default)]
pub struct WarmGrants {
    /// By session, since a call looks for one and a logout forgets all of one. A session has few:
    /// one for each resource and scope of the routes. None has an empty list.
    sessions: HashMap<SessionKey, Vec<Kept>>,
    /// What was kept, in that order, each with its serial: an entry whose serial isn't the kept
    /// one's is left over from a replaced or dropped grant.
    order: VecDeque<(SessionKey, u64)>,
    count: usize,
    bytes: usize,
    serial: u64,
}

/// A grant as it is kept.
#[derive(Debug)]
pub struct Kept {
    token: TokenKey,
    /// The grant.
    pub grant: Grant,
    /// No other grant of this isolate has it; never 0.
    pub serial: u64,
}

impl WarmGrants {
    /// The grant for a session and token, if there is one that may be used at `now`. Those of the
    /// session that may no longer be used are dropped.
    pub fn find(
        &mut self,
        session: &SessionKey,
        token: &TokenKey,
        cache: Duration,
        now: Timestamp,
    ) -> Option<&Kept> {
        self.drop_grants(session, |kept| !kept.grant.is_warm(cache, now));
        self.sessions.get(session)?.iter().find(|kept| kept.token == *token)
    }

    /// Keeps a grant, in the place of an earlier one; drops the oldest where there are too many.
    /// Gives its serial, or nothing where none is kept.
    pub fn keep(
        &mut self,
        session: SessionKey,
        token: TokenKey,
        grant: Grant,
        cache: Duration,
    ) -> Option<u64> {
        if cache.is_zero() {
            return None;
        }
        self.drop_grants(&session, |kept| kept.token == token);
        self.serial = self.serial.wrapping_add(1);
        self.count = self.count.saturating_add(1);
        self.bytes = self.bytes.saturating_add(size(&grant));
        self.order.push_back((session.clone(), self.serial));
        self.sessions.entry(session).or_default().push(Kept { token, grant, serial: self.serial });
        while self.count > MAX_GRANTS || self.bytes > MAX_BYTES || self.order.len() > 2 * MAX_GRANTS
        {
            let Some((oldest, serial)) = self.order.pop_front() else { break };
            self.drop_grants(&oldest, |kept| kept.serial == serial);
        }
        Some(self.serial)
    }

    /// Forgets every grant of a session: at its logout here, at once.
    pub fn forget(&mut self, session: &SessionKey) {
        self.drop_grants(session, |_| true);
    }

    fn drop_grants(&mut self, session: &SessionKey, is_dropped: impl Fn(&Kept) -> bool) {
        let Some(list) = self.sessions.get_mut(session) else { return };
        list.retain(|kept| {
            let dropped = is_dropped(kept);
            if dropped {
                self.count = self.count.saturating_sub(1);
                self.bytes = self.bytes.saturating_sub(size(&kept.grant));
            }
            !dropped
        });
        if list.is_empty() {
            self.sessions.remove(session);
        }
    }
}

fn size(grant: &Grant) -> usize {
    grant.token.access_token.expose().len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{secret::Secret, session::GrantedToken, session::SessionId};

    const CACHE: Duration = Duration::from_secs(5);

    fn session(n: u32) -> SessionKey {
        let mut bytes = [0; 32];
        bytes[..4].copy_from_slice(&n.to_be_bytes());
        SessionId::from_bytes(bytes).key()
    }

    fn at(secs: u64) -> Timestamp {
        Timestamp::from_secs(1_000_000 + secs)
    }

    fn grant(asked: u64, expires: Option<u64>, session_end: u64, bytes: usize) -> Grant {
        Grant {
            token: GrantedToken {
                access_token: Secret::new("t".repeat(bytes)),
                epoch: 1,
                issued_at: at(0),
                expires_at: expires.map(at),
                session_deadline: at(session_end),
            },
            asked_at: at(asked),
        }
    }

    #[test]
    fn a_grant_is_used_until_the_first_of_its_ends() {
        let cases = [
            ("young", grant(10, Some(100), 100, 1), 14, true),
            ("as old as the cache allows", grant(10, Some(100), 100, 1), 15, true),
            ("older than that", grant(10, Some(100), 100, 1), 16, false),
            ("at the token's end", grant(10, Some(12), 100, 1), 12, false),
            ("at the session's end", grant(10, None, 12, 1), 12, false),
            ("asked for in the future", grant(20, None, 100, 1), 14, false),
        ];
        for (case, grant, now, usable) in cases {
            let mut grants = WarmGrants::default();
            grants.keep(session(1), TokenKey::default(), grant, CACHE);
            let found = grants.find(&session(1), &TokenKey::default(), CACHE, at(now)).is_some();
            assert_eq!(found, usable, "{case}");
            assert_eq!(grants.count, usize::from(usable), "{case}: dropped at look-up");
        }
    }

    // CVE-2025-26620, CVE-2026-33496: a cache that ignores what the token is for.
    #[test]
    fn a_grant_serves_its_own_session_resource_and_scope_only() {
        let mut grants = WarmGrants::default();
        let orders = TokenKey { resource: Some("urn:orders".to_owned()), scope: None };
        let billing = TokenKey { resource: Some("urn:billing".to_owned()), scope: None };
        let narrow = TokenKey { scope: Some("read".to_owned()), ..orders.clone() };
        grants.keep(session(1), orders.clone(), grant(0, None, 100, 1), CACHE);
        assert!(grants.find(&session(1), &orders, CACHE, at(1)).is_some());
        assert!(grants.find(&session(1), &billing, CACHE, at(1)).is_none());
        assert!(grants.find(&session(1), &narrow, CACHE, at(1)).is_none());
        assert!(grants.find(&session(2), &orders, CACHE, at(1)).is_none());
    }

    #[test]
    fn a_logout_forgets_every_grant_of_its_session_and_no_other() {
        let mut grants = WarmGrants::default();
        let other = TokenKey { resource: Some("urn:b".to_owned()), scope: None };
        grants.keep(session(1), TokenKey::default(), grant(0, None, 100, 1), CACHE);
        grants.keep(session(1), other.clone(), grant(0, None, 100, 1), CACHE);
        grants.keep(session(2), other.clone(), grant(0, None, 100, 1), CACHE);
        grants.forget(&session(1));
        assert!(grants.find(&session(1), &TokenKey::default(), CACHE, at(1)).is_none());
        assert!(grants.find(&session(1), &other, CACHE, at(1)).is_none());
        assert!(grants.find(&session(2), &other, CACHE, at(1)).is_some());
        assert_eq!((grants.sessions.len(), grants.count, grants.bytes), (1, 1, 1));
    }

    #[test]
    fn the_oldest_goes_where_there_are_too_many() {
        let mut grants = WarmGrants::default();
        for n in 0..=u32::try_from(MAX_GRANTS).unwrap() {
            grants.keep(session(n), TokenKey::default(), grant(0, None, 100, 1), CACHE);
        }
        assert_eq!((grants.count, grants.sessions.len()), (MAX_GRANTS, MAX_GRANTS));
        assert!(grants.find(&session(0), &TokenKey::default(), CACHE, at(1)).is_none());
        assert!(grants.find(&session(1), &TokenKey::default(), CACHE, at(1)).is_some());
    }

    #[test]
    fn the_oldest_goes_where_they_are_too_large() {
        let mut grants = WarmGrants::default();
        for n in 0..5 {
            grants.keep(session(n), TokenKey::default(), grant(0, None, 100, MAX_BYTES / 4), CACHE);
        }
        assert_eq!(grants.count, 4);
        assert!(grants.bytes <= MAX_BYTES);
        assert!(grants.find(&session(0), &TokenKey::default(), CACHE, at(1)).is_none());
    }

    #[test]
    fn one_session_that_is_kept_again_and_again_takes_one_place() {
        let mut grants = WarmGrants::default();
        for _ in 0..5 * MAX_GRANTS {
            grants.keep(session(1), TokenKey::default(), grant(0, None, 100, 3), CACHE);
        }
        assert_eq!((grants.count, grants.bytes), (1, 3));
        assert!(grants.order.len() <= 2 * MAX_GRANTS);
        assert!(grants.find(&session(1), &TokenKey::default(), CACHE, at(1)).is_some());
    }

    #[test]
    fn no_grant_is_kept_where_the_cache_is_off() {
        let mut grants = WarmGrants::default();
        grants.keep(session(1), TokenKey::default(), grant(0, None, 100, 1), Duration::ZERO);
        assert!(grants.sessions.is_empty());
    }
}
