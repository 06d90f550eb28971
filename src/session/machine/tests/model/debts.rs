//! What a session leaves at the provider: which tokens it must be asked to take back at the end,
//! which it may be asked for, and which never.

use std::collections::BTreeSet;

use super::*;

#[derive(Debug, Default)]
pub(super) struct Debts {
    /// Refresh tokens that are asked for by an object that goes on.
    owed: BTreeSet<String>,
    /// A logout's: also by one that stopped and starts again.
    tickets: BTreeMap<String, Ticket>,
    /// All that may be asked for.
    revocable: BTreeSet<String>,
}

#[derive(Debug)]
struct Ticket {
    until: Timestamp,
    sealed_under: u8,
    is_asked: bool,
}

impl Debts {
    pub(super) fn may_revoke(&mut self, token: &str) {
        self.revocable.insert(token.to_owned());
    }

    pub(super) fn must_revoke(&mut self, refresh_token: &str) {
        self.may_revoke(refresh_token);
        self.owed.insert(refresh_token.to_owned());
    }

    /// From a logout: kept until the provider has answered.
    pub(super) fn keep_ticket(&mut self, refresh_token: &str, until: Timestamp, sealed_under: u8) {
        let ticket = Ticket { until, sealed_under, is_asked: false };
        self.tickets.insert(refresh_token.to_owned(), ticket);
    }

    /// A revocation that may leave now.
    pub(super) fn ask(&mut self, token: &str, hint: TokenTypeHint) -> Verdict {
        promise(
            self.revocable.contains(token),
            "nothing is revoked that a session lives on: not its own token while it lives, not that \
             of one which was replaced",
            || token.to_owned(),
        )?;
        self.owed.remove(token);
        promise(
            hint == TokenTypeHint::RefreshToken || self.owed.is_empty(),
            "a refresh token is revoked before access tokens",
            || format!("{token} before {:?}", self.owed),
        )?;
        if let Some(ticket) = self.tickets.get_mut(token) {
            ticket.is_asked = true;
        }
        if hint == TokenTypeHint::AccessToken {
            // Once: it runs out by itself.
            self.revocable.remove(token);
        }
        Ok(())
    }

    /// The provider has said yes or no.
    pub(super) fn settle(&mut self, token: &str) {
        self.tickets.remove(token);
    }

    /// The object stopped: what it had in hand is lost, what a ticket keeps is asked for again.
    pub(super) fn restart(&mut self, ring: &[u8]) {
        self.owed.clear();
        self.tickets.retain(|_, ticket| ring.contains(&ticket.sealed_under));
        self.forget_what_was_asked();
    }

    pub(super) fn forget_what_was_asked(&mut self) {
        for ticket in self.tickets.values_mut() {
            ticket.is_asked = false;
        }
    }

    /// What should have been asked for by now.
    pub(super) fn owed(&self) -> Vec<&String> {
        self.owed.iter().collect()
    }

    /// What should have been asked for again, if it was still good at `since`.
    pub(super) fn forgotten(&self, since: Timestamp) -> Vec<&String> {
        let is_forgotten = |ticket: &Ticket| !ticket.is_asked && since < ticket.until;
        let tickets = self.tickets.iter().filter(|(_, ticket)| is_forgotten(ticket));
        tickets.map(|(token, _)| token).collect()
    }
}
