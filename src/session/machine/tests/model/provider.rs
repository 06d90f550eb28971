//! The provider behind the model: its refresh tokens rotate, and one that comes a second time
//! after it was rotated away takes the whole grant with it, the newest token included
//! (RFC 9700 §4.14.2).

use std::collections::BTreeSet;

use super::*;

/// Stands in every text that must never be stored readable.
pub(super) const SECRET: &str = "model-secret";

#[derive(Debug, Default)]
pub(super) struct Provider {
    grants: Vec<Grant>,
    /// For what it has given a token.
    given: BTreeSet<TokenKey>,
    issued: u64,
}

/// What a login gave: one refresh token at a time.
#[derive(Debug)]
pub(super) struct Grant {
    current: String,
    spent: Vec<String>,
    pub(super) over: Option<Over>,
    /// Tokens of it went to somebody else: the provider's fault, and nothing that we can mend.
    pub(super) went_astray: bool,
}

/// Why a grant is no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Over {
    /// The provider took it back.
    Withdrawn,
    /// Somebody asked for its revocation.
    Revoked,
    /// A spent token came again.
    Reused,
}

/// What came of a request that was handled.
#[derive(Clone, Debug)]
pub(super) enum Handled {
    Tokens(Box<Brought>),
    InvalidGrant,
    Revoked,
}

/// How a request ended for the one who sent it, by the use case's reading.
#[derive(Debug)]
pub(super) enum Answered {
    Tokens(Box<Brought>),
    Revoked,
    InvalidGrant,
    Refused,
    RefusesClient,
    Overloaded,
    Lost,
    OfAnother,
}

/// Tokens, and what the ledger must know of them.
#[derive(Clone, Debug)]
pub(super) struct Brought {
    pub(super) access_token: String,
    pub(super) lifetime: Lifetime,
    pub(super) refresh_token: Option<String>,
    /// A verified ID token with these claims.
    pub(super) id_token: Option<(String, String)>,
    /// It is of the person who logged in, by the issuer who was asked.
    pub(super) is_own: bool,
}

impl Provider {
    /// Does what a work asks for.
    pub(super) fn handle(&mut self, work: &Work, gift: Gift, refresh_tokens: bool) -> Handled {
        match work {
            Work::Login(_) => Handled::Tokens(Box::new(self.exchange(gift, refresh_tokens))),
            Work::Refresh(work) => {
                self.given.insert(work.token.clone());
                self.refresh(work.refresh_token.expose(), gift)
            }
            Work::Revoke { token, .. } => {
                self.end_grant(token.expose(), Over::Revoked);
                Handled::Revoked
            }
        }
    }

    /// Ends a request as `answer` says; one that was handled before can only be answered or lost.
    pub(super) fn answer(
        &mut self,
        UnderWay { work, handled }: &UnderWay,
        answer: Answer,
        refresh_tokens: bool,
    ) -> Answered {
        let gift = match answer {
            Answer::Good(gift) => Some(gift),
            Answer::Lost { handled: true } | Answer::OfAnother { .. } | Answer::Withdrawn => {
                Some(Gift::PLAIN)
            }
            _ => None,
        };
        if handled.is_none() && matches!(answer, Answer::Withdrawn) {
            self.withdraw_all();
        }
        let handle = || gift.map(|gift| self.handle(work, gift, refresh_tokens));
        match (answer, handled.clone().or_else(handle)) {
            (Answer::Lost { .. }, _) => Answered::Lost,
            (Answer::Overloaded, None) => Answered::Overloaded,
            (Answer::RefusesClient, None) => Answered::RefusesClient,
            (Answer::NoConsent, None) if self.never_gave(work) => Answered::InvalidGrant,
            (_, None) => Answered::Refused,
            (Answer::OfAnother { found_out }, Some(Handled::Tokens(brought))) => {
                if let Work::Refresh(work) = work {
                    self.lead_astray(work.refresh_token.expose());
                }
                let id_token = Some((self.name("id"), self.name("claims")));
                let brought = Box::new(Brought { is_own: false, id_token, ..*brought });
                if found_out { Answered::OfAnother } else { Answered::Tokens(brought) }
            }
            (_, Some(Handled::Tokens(brought))) => Answered::Tokens(brought),
            (_, Some(Handled::InvalidGrant)) => Answered::InvalidGrant,
            (_, Some(Handled::Revoked)) => Answered::Revoked,
        }
    }

    fn never_gave(&self, work: &Work) -> bool {
        matches!(work, Work::Refresh(work) if !self.given.contains(&work.token))
    }

    pub(super) fn withdraw_all(&mut self) {
        for grant in &mut self.grants {
            grant.over.get_or_insert(Over::Withdrawn);
        }
    }

    /// Ends the grant that a refresh token is or was of.
    pub(super) fn end_grant(&mut self, token: &str, over: Over) {
        if let Some(grant) = self.grants.iter_mut().find(|grant| grant.knows(token)) {
            grant.over.get_or_insert(over);
        }
    }

    fn lead_astray(&mut self, token: &str) {
        if let Some(grant) = self.grants.iter_mut().find(|grant| grant.knows(token)) {
            grant.went_astray = true;
        }
    }

    pub(super) fn grant_of(&self, token: &str) -> Option<&Grant> {
        self.grants.iter().find(|grant| grant.knows(token))
    }

    fn exchange(&mut self, gift: Gift, refresh_tokens: bool) -> Brought {
        self.given.insert(key_a());
        let refresh_token = refresh_tokens.then(|| self.name("refresh"));
        self.grants.extend(refresh_token.iter().map(|token| Grant {
            current: token.clone(),
            spent: Vec::new(),
            over: None,
            went_astray: false,
        }));
        let id_token = Some((self.name("id"), self.name("claims")));
        self.bring(gift, refresh_token, id_token)
    }

    fn refresh(&mut self, token: &str, gift: Gift) -> Handled {
        let Some(at) = self.grants.iter().position(|grant| grant.knows(token)) else {
            return Handled::InvalidGrant;
        };
        if self.grants[at].over.is_some() {
            return Handled::InvalidGrant;
        }
        if self.grants[at].current != token {
            self.grants[at].over = Some(Over::Reused);
            return Handled::InvalidGrant;
        }
        let refresh_token = match gift.rotation {
            Rotation::New => {
                let new = self.name("refresh");
                let spent = std::mem::replace(&mut self.grants[at].current, new.clone());
                self.grants[at].spent.push(spent);
                Some(new)
            }
            Rotation::None => None,
            Rotation::Same => Some(token.to_owned()),
        };
        let id_token = gift.id_token.then(|| (self.name("id"), self.name("claims")));
        Handled::Tokens(Box::new(self.bring(gift, refresh_token, id_token)))
    }

    fn bring(
        &mut self,
        gift: Gift,
        refresh_token: Option<String>,
        id_token: Option<(String, String)>,
    ) -> Brought {
        let access_token = self.name("access");
        Brought { access_token, lifetime: gift.lifetime, refresh_token, id_token, is_own: true }
    }

    fn name(&mut self, kind: &str) -> String {
        self.issued += 1;
        format!("{SECRET}-{kind}-{}", self.issued)
    }
}

impl Grant {
    /// Whether this token was rotated away.
    pub(super) fn is_spent(&self, token: &str) -> bool {
        self.spent.iter().any(|spent| spent == token)
    }

    fn knows(&self, token: &str) -> bool {
        self.current == token || self.is_spent(token)
    }
}

impl Answered {
    /// What the object is told of an exchange.
    pub(super) fn of_login(self) -> (Input, Said) {
        let done = match self {
            Self::Tokens(brought) => Ok(brought),
            Self::Revoked | Self::InvalidGrant | Self::Refused => Err(LoginFailure::CodeRefused),
            Self::RefusesClient => Err(LoginFailure::ProviderRefusesClient),
            Self::Overloaded | Self::Lost => Err(LoginFailure::ProviderUnavailable),
            Self::OfAnother => Err(LoginFailure::IdentityRefused),
        };
        let new = done.as_ref().map_err(|failure| *failure).map(|brought| NewSession {
            response: brought.response(),
            identity: brought.identity().unwrap_or_else(|| identity("")),
            issued_at: T0,
        });
        (Input::LoginDone(Box::new(new)), Said::LoginDone(done))
    }

    /// What the object is told of a refresh.
    pub(super) fn of_refresh(self) -> (Input, Said) {
        let done = match self {
            Self::Tokens(brought) => Ok(brought),
            Self::InvalidGrant => Err(RefreshFailure::InvalidGrant),
            Self::Revoked | Self::Refused => Err(RefreshFailure::Refused),
            Self::RefusesClient => Err(RefreshFailure::ProviderRefusesClient),
            Self::Overloaded => Err(RefreshFailure::ProviderOverloaded),
            Self::Lost => Err(RefreshFailure::ProviderUnavailable),
            Self::OfAnother => Err(RefreshFailure::IdentityRefused),
        };
        let outcome = match &done {
            Ok(brought) => RefreshOutcome::Refreshed(Box::new(Refreshed {
                response: brought.response(),
                identity: brought.identity(),
            })),
            Err(failure) => RefreshOutcome::Failed(*failure),
        };
        (Input::RefreshDone(outcome), Said::RefreshDone(done))
    }

    /// What the object is told of a revocation.
    pub(super) fn of_revocation(&self, token: &str) -> (Input, Said) {
        let outcome = match self {
            Self::Tokens(_) | Self::Revoked => RevocationOutcome::Done,
            Self::Overloaded => RevocationOutcome::RefusedForNow,
            Self::Lost => RevocationOutcome::Failed,
            _ => RevocationOutcome::Refused,
        };
        let is_final = matches!(outcome, RevocationOutcome::Done | RevocationOutcome::Refused);
        let said = Said::RevocationDone { token: token.to_owned(), is_final };
        (Input::RevocationDone(outcome), said)
    }
}

impl Brought {
    pub(super) fn response(&self) -> TokenResponse {
        TokenResponse {
            access_token: self.access_token.as_str().into(),
            expires_in: self.lifetime.map(secs),
            refresh_token: self.refresh_token.as_deref().map(Secret::from),
            id_token: self.id_token.as_ref().map(|(token, _)| token.as_str().into()),
            scope: None,
        }
    }

    /// Who the ID token is of.
    pub(super) fn identity(&self) -> Option<Identity> {
        let (_, claims) = self.id_token.as_ref()?;
        let own = Identity {
            subject: format!("{SECRET}-sub"),
            sid: Some(format!("{SECRET}-sid")),
            nonce: Some(format!("{SECRET}-nonce")),
            ..identity(claims)
        };
        Some(if self.is_own { own } else { Identity { issuer: "https://evil".to_owned(), ..own } })
    }
}
