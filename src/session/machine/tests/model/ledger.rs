//! What anyone outside can know of the session from what went in, what was written and what was
//! answered. It is kept in plain facts, by design and standard, not by the machine's own fields:
//! where both come to different ends, one of them is wrong.

mod commit;

use super::*;

/// How long a token of unknown lifetime is young.
const YOUNG: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(super) struct Ledger {
    pub(super) setup: Setup,
    pub(super) phase: Phase,
    pub(super) attempt: Option<Attempt>,
    /// The exchange is under way.
    pub(super) is_exchanging: bool,
    /// Somebody has come with the id since the object started.
    pub(super) is_open: bool,
    pub(super) logout_ticket: Option<KeptIdToken>,
    last_id_token: Option<String>,
    pub(super) debts: Debts,
    /// Which token the refresh under way is for, and when it began.
    pub(super) flight: Option<(TokenKey, Timestamp)>,
    /// When the provider was last in trouble, and when it last refused a token.
    trouble: Option<Timestamp>,
    refusals: BTreeMap<TokenKey, Timestamp>,
    /// It said `invalid_grant` for a token that it never gave: one that it gave may be renewed.
    doubted: bool,
    /// Keys of the ring, the one that seals first.
    pub(super) ring: Vec<u8>,
}

#[derive(Debug)]
pub(super) enum Phase {
    /// No session has been made yet.
    Before,
    Live(Box<Live>),
    /// None will be any more.
    Over(Option<EndReason>),
}

/// The one exchange.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) code: String,
    pub(super) began: Timestamp,
    pub(super) failure: Option<LoginFailure>,
}

#[derive(Debug)]
pub(super) struct KeptIdToken {
    pub(super) ticket: String,
    pub(super) id_token: Option<String>,
    pub(super) until: Timestamp,
    pub(super) is_spent: bool,
    sealed_under: u8,
}

/// A session, as it is written.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) created: Timestamp,
    /// The last call that counted.
    pub(super) active: Timestamp,
    touched: Timestamp,
    pub(super) epoch: u64,
    pub(super) tokens: BTreeMap<TokenKey, Held>,
    pub(super) refresh_token: Option<String>,
    pub(super) id_token: Option<String>,
    pub(super) claims: String,
    /// Each refresh that may have left with this refresh token: whether a definite answer to it
    /// was written.
    pub(super) tries: Vec<bool>,
    /// When the provider first refused to renew a token, with no success since.
    pub(super) first_refusals: BTreeMap<TokenKey, Timestamp>,
    sealed_under: u8,
}

/// An access token.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) text: String,
    pub(super) epoch: u64,
    pub(super) issued_at: Timestamp,
    pub(super) expires_at: Option<Timestamp>,
    /// The API refused it when it wasn't young.
    api_refused: bool,
    /// There was a refresh for that.
    refreshed_for_401: bool,
}

impl Ledger {
    pub(super) fn new(setup: Setup, ring: Vec<u8>) -> Self {
        Self {
            setup,
            phase: Phase::Before,
            attempt: None,
            is_exchanging: false,
            is_open: false,
            logout_ticket: None,
            last_id_token: None,
            debts: Debts::default(),
            flight: None,
            trouble: None,
            refusals: BTreeMap::new(),
            doubted: false,
            ring,
        }
    }

    /// The object stopped; what wasn't written is forgotten.
    pub(super) fn restart(&mut self, ring: Vec<u8>) {
        self.debts.restart(&ring);
        self.ring = ring;
        self.is_exchanging = false;
        self.is_open = false;
        self.flight = None;
        self.trouble = None;
        self.refusals.clear();
    }

    /// The session, if it lives and a key of the ring opens it.
    pub(super) fn openable(&self) -> Option<&Live> {
        match &self.phase {
            Phase::Live(live) if self.ring.contains(&live.sealed_under) => Some(live),
            _ => None,
        }
    }

    pub(super) fn idle(&self) -> Duration {
        secs(self.setup.limits.0)
    }

    pub(super) fn absolute(&self) -> Duration {
        secs(self.setup.limits.1)
    }

    /// When something must be done without a call.
    pub(super) fn due(&self, now: Timestamp) -> Option<Timestamp> {
        match &self.phase {
            Phase::Before => self.attempt.as_ref().map(|_| T0.after(Transaction::LIFETIME)),
            Phase::Live(live) => {
                let idle = live.active.after(self.idle());
                Some(idle.min(live.created.after(self.absolute())))
            }
            Phase::Over(_) => {
                let kept = self.logout_ticket.as_ref().filter(|kept| !kept.is_spent);
                kept.map(|kept| kept.until).filter(|until| now < *until)
            }
        }
    }

    /// What the one-time logout URL gives now.
    pub(super) fn redeemable(&self, ticket: &str, now: Timestamp) -> Option<&KeptIdToken> {
        self.logout_ticket.as_ref().filter(|kept| {
            kept.ticket == ticket
                && !kept.is_spent
                && now < kept.until
                && self.ring.contains(&kept.sealed_under)
        })
    }

    /// The ended session's ID token, where the browser may see it.
    pub(super) fn id_token_hint(&self) -> Option<String> {
        self.last_id_token.clone().filter(|_| self.setup.id_token_hint)
    }
}

impl Live {
    fn take(&mut self, brought: &Brought, key: &TokenKey, began: Timestamp) {
        self.epoch += 1;
        self.tokens.insert(key.clone(), Held::new(brought, self.epoch, began));
        if brought.refresh_token.is_some() {
            self.refresh_token.clone_from(&brought.refresh_token);
        }
        if let Some((id_token, claims)) = &brought.id_token {
            self.id_token = Some(id_token.clone());
            self.claims.clone_from(claims);
        }
        self.tries.clear();
        self.first_refusals.clear();
    }
}

impl Held {
    fn new(brought: &Brought, epoch: u64, began: Timestamp) -> Self {
        Self {
            text: brought.access_token.clone(),
            epoch,
            issued_at: began,
            expires_at: brought.lifetime.map(|lifetime| began.after(secs(lifetime))),
            api_refused: false,
            refreshed_for_401: false,
        }
    }

    /// One of unknown lifetime has run out when the API says so.
    pub(super) fn has_run_out(&self, now: Timestamp) -> bool {
        self.expires_at.map_or(self.api_refused, |end| now >= end)
    }

    fn lifetime(&self) -> Option<Duration> {
        self.expires_at.map(|end| end.since(self.issued_at))
    }

    fn is_young(&self, now: Timestamp) -> bool {
        now.since(self.issued_at) < self.lifetime().map_or(YOUNG, |lifetime| lifetime / 4)
    }

    /// Whether a refresh may be made for it; notes the one for a 401.
    fn is_due(&mut self, now: Timestamp) -> bool {
        let is_old =
            self.lifetime().is_some_and(|life| now.since(self.issued_at) >= life - life / 5);
        if self.has_run_out(now) || is_old {
            return true;
        }
        let first = self.api_refused && !self.refreshed_for_401;
        self.refreshed_for_401 = true;
        first
    }
}
