//! How a turn whose writes are durable changes what is known, and what it may not do.

use super::*;

impl Ledger {
    /// A turn whose writes are durable.
    pub(in super::super) fn commit(
        &mut self,
        outcome: &Outcome,
        now: Timestamp,
        provider: &Provider,
    ) -> Verdict {
        let was_live = matches!(self.phase, Phase::Live(_));
        self.is_open |= outcome.said.brings_the_id() && self.openable().is_some();
        match &outcome.said {
            Said::LoginDone(done) => self.login_done(done, outcome, now)?,
            Said::RefreshDone(done) => self.refresh_done(done, now),
            Said::RevocationDone { token, is_final: true } => self.debts.settle(token),
            _ => {}
        }
        self.hear_of_a_401(&outcome.said, now);
        if let Some(reason) = outcome.ended() {
            self.end(reason, outcome, now, provider)?;
        }
        self.end_before_it_began(outcome);
        self.is_unlisted(outcome)?;
        self.count_activity(outcome, now)?;
        for work in outcome.starts() {
            self.leaves(work, now, provider)?;
        }
        replies::to_a_ticket(self, outcome, now)?;
        self.keep_logout_ticket(outcome, now);
        let seals = matches!(outcome.row, Some(Some(_)));
        if let (Phase::Live(live), true) = (&mut self.phase, seals) {
            live.sealed_under = self.ring[0];
        }
        replies::to_an_end(self, outcome, was_live)
    }

    fn login_done(
        &mut self,
        done: &Result<Box<Brought>, LoginFailure>,
        outcome: &Outcome,
        now: Timestamp,
    ) -> Verdict {
        self.is_exchanging = false;
        let began = self.attempt.as_ref().map_or(now, |attempt| attempt.began);
        let is_wanted = matches!(self.phase, Phase::Before);
        let makes = is_wanted && done.as_ref().is_ok_and(|brought| brought.is_own);
        let made = outcome.events().any(|event| matches!(event, Event::SessionStarted { .. }));
        promise(
            made == makes,
            "a login makes a session, unless an end came first: then it makes nothing",
            || format!("{:?}, and it made one: {made}", self.phase),
        )?;
        match done {
            Ok(brought) if makes => self.begin(brought, began, now),
            Ok(_) if is_wanted => self.fail(LoginFailure::IdentityRefused),
            // No cookie names a session that is still being made, so that none can be replaced.
            Ok(brought) => self.disown(brought, true, now),
            Err(failure) if is_wanted => self.fail(*failure),
            Err(_) => {}
        }
        Ok(())
    }

    fn begin(&mut self, brought: &Brought, began: Timestamp, now: Timestamp) {
        let (id_token, claims) = brought.id_token.clone().unzip();
        self.is_open = true;
        self.phase = Phase::Live(Box::new(Live {
            created: began,
            active: now,
            touched: now,
            epoch: 1,
            tokens: BTreeMap::from([(key_a(), Held::new(brought, 1, began))]),
            refresh_token: brought.refresh_token.clone(),
            id_token,
            claims: claims.unwrap_or_default(),
            tries: Vec::new(),
            first_refusals: BTreeMap::new(),
            sealed_under: self.ring[0],
        }));
    }

    fn fail(&mut self, failure: LoginFailure) {
        if let Some(attempt) = &mut self.attempt {
            attempt.failure = Some(failure);
        }
        self.phase = Phase::Over(None);
    }

    /// Tokens that come after the end.
    fn disown(&mut self, brought: &Brought, is_login: bool, now: Timestamp) {
        let Phase::Over(reason) = self.phase else { return };
        let revokes = is_login || reason.is_some_and(fates::revokes);
        if !revokes || !self.setup.revocation_endpoint {
            return;
        }
        self.debts.may_revoke(&brought.access_token);
        let Some(token) = &brought.refresh_token else { return };
        self.debts.may_revoke(token);
        if brought.is_own {
            let reason = reason.filter(|_| !is_login);
            self.owe(token, reason, now);
        }
    }

    /// A refresh token that must be revoked: at a logout until the provider has answered.
    fn owe(&mut self, token: &str, reason: Option<EndReason>, now: Timestamp) {
        self.debts.must_revoke(token);
        if reason == Some(EndReason::Logout) && self.setup.revocation_ticket {
            self.debts.keep_ticket(token, now.after(LONGEST_TICKET), self.ring[0]);
        }
    }

    fn refresh_done(&mut self, done: &Result<Box<Brought>, RefreshFailure>, now: Timestamp) {
        let Some((key, began)) = self.flight.take() else { return };
        let done = match done {
            Ok(brought) => {
                let Phase::Live(live) = &mut self.phase else {
                    return self.disown(brought, false, now);
                };
                if brought.is_own {
                    live.take(brought, &key, began);
                    self.trouble = None;
                    self.refusals.remove(&key);
                    return;
                }
                RefreshFailure::IdentityRefused
            }
            Err(failure) => *failure,
        };
        let Phase::Live(live) = &mut self.phase else { return };
        if let Some(answered) = live.tries.last_mut() {
            *answered = done != RefreshFailure::ProviderUnavailable;
        }
        let is_held = live.tokens.contains_key(&key);
        match done {
            RefreshFailure::Refused if is_held => {
                live.first_refusals.entry(key.clone()).or_insert(now);
                self.refusals.insert(key, now);
            }
            RefreshFailure::Refused | RefreshFailure::InvalidGrant if !is_held => {
                self.doubted |= done == RefreshFailure::InvalidGrant;
                self.refusals.insert(key, now);
            }
            _ => self.trouble = Some(now),
        }
    }

    fn end(
        &mut self,
        reason: EndReason,
        outcome: &Outcome,
        now: Timestamp,
        provider: &Provider,
    ) -> Verdict {
        let over = Phase::Over(Some(reason));
        let live = match std::mem::replace(&mut self.phase, over) {
            Phase::Live(live) => *live,
            other => {
                return promise(false, "a session ends once", || format!("{other:?}"));
            }
        };
        fates::is_due(self, &live, outcome, reason, now, provider)?;
        self.last_id_token = live.id_token;
        if !self.setup.revocation_endpoint || !fates::revokes(reason) {
            return Ok(());
        }
        for held in live.tokens.values() {
            self.debts.may_revoke(&held.text);
        }
        // What nobody has opened can't be taken back.
        if let Some(token) = live.refresh_token.filter(|_| self.is_open) {
            self.owe(&token, Some(reason), now);
        }
        Ok(())
    }

    /// An end before there was a session, or the end of what a login had left.
    fn end_before_it_began(&mut self, outcome: &Outcome) {
        let is_end = matches!(outcome.said, Said::End { .. } | Said::Close { .. });
        if matches!(self.phase, Phase::Before) && (is_end || outcome.row == Some(None)) {
            let reason = match outcome.said {
                Said::End { reason, .. } | Said::Close { reason } => Some(reason),
                _ => None,
            };
            self.phase = Phase::Over(reason);
        }
    }

    /// Its subject's objects are told of an end, and of nothing else.
    fn is_unlisted(&self, outcome: &Outcome) -> Verdict {
        let is_disowned = matches!(outcome.said, Said::LoginDone(Ok(_)))
            && matches!(self.phase, Phase::Over(_))
            && self.attempt.as_ref().is_none_or(|attempt| attempt.failure.is_none());
        let unlisted: Vec<_> = outcome.unlisted().collect();
        let expected = usize::from(outcome.ended().is_some() || is_disowned);
        let own = session_id().key();
        promise(
            unlisted.len() == expected && unlisted.iter().all(|session| **session == own),
            "a session that is over is taken off its subject's lists, and no other",
            || format!("{outcome:?}"),
        )
    }

    fn hear_of_a_401(&mut self, said: &Said, now: Timestamp) {
        let is_openable = self.openable().is_some();
        if let (Phase::Live(live), Said::Access { key, refused }, true) =
            (&mut self.phase, said, is_openable)
            && let Some(held) = live.tokens.get_mut(key)
        {
            held.api_refused |= *refused == Some(held.epoch) && !held.is_young(now);
        }
    }

    fn count_activity(&mut self, outcome: &Outcome, now: Timestamp) -> Verdict {
        let (idle, absolute) = (self.idle(), self.absolute());
        let is_call = match outcome.said {
            Said::Access { .. } | Said::Status { .. } => self.openable().is_some(),
            Said::Probe => true,
            _ => false,
        };
        let wrote = outcome.row.is_some();
        let Phase::Live(live) = &mut self.phase else { return Ok(()) };
        if !is_call {
            return Ok(());
        }
        promise(
            now < live.active.after(idle) && now < live.created.after(absolute),
            "the idle and the absolute limit end a session",
            || format!("{live:?}"),
        )?;
        if outcome.said.is_activity() {
            live.active = now;
        }
        if wrote && outcome.refresh().is_none() {
            let step = touch_step(idle);
            promise(
                outcome.said.is_activity() && now >= live.touched.after(step),
                "a touch writes at most one row a step, and what isn't one none",
                || format!("the last at {:?}", live.touched),
            )?;
            live.touched = now;
        }
        Ok(())
    }

    /// Work that may leave from now on.
    fn leaves(&mut self, work: &Work, now: Timestamp, provider: &Provider) -> Verdict {
        match work {
            Work::Login(login) => {
                promise(
                    self.attempt.is_none() && matches!(self.phase, Phase::Before),
                    "a code is exchanged at most once, and none after an end",
                    || format!("{:?} after {:?}", login.code.expose(), self.attempt),
                )?;
                let code = login.code.expose().clone();
                self.is_exchanging = true;
                self.attempt = Some(Attempt { code, began: now, failure: None });
                Ok(())
            }
            Work::Refresh(work) => self.refresh_leaves(work, now, provider),
            Work::Revoke { token, hint, .. } => self.debts.ask(token.expose(), *hint),
        }
    }

    fn refresh_leaves(
        &mut self,
        work: &RefreshWork,
        now: Timestamp,
        provider: &Provider,
    ) -> Verdict {
        let is_gated = self.trouble.is_some_and(|at| now < at.after(secs(1)))
            || self.refusals.get(&work.token).is_some_and(|at| now < at.after(secs(5)));
        promise(!is_gated, "a provider in trouble isn't asked again by the next call", || {
            format!("{:?}, {:?}", self.trouble, self.refusals)
        })?;
        let Phase::Live(live) = &mut self.phase else {
            return promise(false, "nothing is refreshed after the end", String::new);
        };
        let token = work.refresh_token.expose();
        promise(
            live.refresh_token.as_ref() == Some(token),
            "the refresh token that is sent is the newest that was written",
            || format!("{token}, not {:?}", live.refresh_token),
        )?;
        let grant = provider.grant_of(token);
        let may_be_spent = live.tries.contains(&false) || grant.is_some_and(|it| it.went_astray);
        promise(
            may_be_spent || !grant.is_some_and(|grant| grant.is_spent(token)),
            "a refresh token that was rotated away is sent again only where its answer was lost",
            || token.clone(),
        )?;
        let is_due = match live.tokens.get_mut(&work.token) {
            None => true,
            Some(held) => std::mem::take(&mut self.doubted) || held.is_due(now),
        };
        promise(
            is_due,
            "a token is refreshed when it is time, or once for a 401 when it isn't young",
            || format!("{:?}", live.tokens.get(&work.token)),
        )?;
        live.tries.push(false);
        self.flight = Some((work.token.clone(), now));
        Ok(())
    }

    fn keep_logout_ticket(&mut self, outcome: &Outcome, now: Timestamp) {
        for reply in outcome.replies() {
            match reply {
                Reply::Ended(ended) => {
                    if let Some(ticket) = &ended.ticket {
                        self.logout_ticket = Some(KeptIdToken {
                            ticket: ticket.0.expose().clone(),
                            id_token: self.id_token_hint(),
                            until: now.after(secs(120)),
                            is_spent: false,
                            sealed_under: self.ring[0],
                        });
                    }
                }
                Reply::LogoutRedeemed { .. } => {
                    if let Some(kept) = &mut self.logout_ticket {
                        kept.is_spent = true;
                    }
                }
                _ => {}
            }
        }
    }
}
