//! How a sequence is played: each step made into what it means at that point.

use super::*;

impl Model<'_> {
    /// All of a sequence, and its end.
    pub(super) fn play(&mut self, steps: &[Step]) -> Verdict {
        if let Some(lifetime) = self.setup.logged_in {
            self.ask(Ask::Login { another_code: false }, None)?;
            self.answer(0, Answer::Good(Gift { lifetime, ..Gift::PLAIN }), None)?;
        }
        for step in steps {
            self.step(step)?;
        }
        self.settle()
    }

    fn step(&mut self, step: &Step) -> Verdict {
        match *step {
            Step::Ask(ask, crash) => self.ask(ask, crash),
            Step::Wait(wait) => {
                self.wait(wait);
                Ok(())
            }
            Step::Answer(nth, answer, crash) => self.answer(nth, answer, crash),
            Step::Handle(nth, gift) => {
                self.handle(nth, gift);
                Ok(())
            }
            Step::Ring { early, crash } => {
                if !early {
                    self.wait(Wait::To(Mark::Alarm, 0));
                }
                self.ring(crash)
            }
            Step::Restart(stop) => {
                self.restart(stop);
                Ok(())
            }
            Step::Withdraw => {
                self.note(|| "the provider withdraws all grants".to_owned());
                self.provider.withdraw_all();
                Ok(())
            }
        }
    }

    pub(super) fn ask(&mut self, ask: Ask, crash: Option<Crash>) -> Verdict {
        let (own, session_id) = (session_id().key(), session_id());
        let (session_key, command, said) = match ask {
            Ask::Access(key, refused) => {
                let token = key.token();
                let refused_epoch = self.refused_epoch(&token, refused);
                let said = Said::Access { key: token.clone(), refused: refused_epoch };
                (own, Command::Access { session_id, token, refused_epoch }, said)
            }
            Ask::Status { touch } => {
                (own, Command::Status { session_id, touch }, Said::Status { touch })
            }
            Ask::Login { another_code } => {
                let code = if another_code { CODES[1] } else { CODES[0] };
                let login = Command::Login(Box::new(self.login(code)));
                (own, login, Said::Login { code: code.to_owned() })
            }
            Ask::End { replaced, keep_id_token } => {
                let reason = if replaced { EndReason::Replaced } else { EndReason::Logout };
                let said = Said::End { reason, keep_id_token };
                (own, Command::End { session_id, reason, keep_id_token }, said)
            }
            Ask::Probe => (own, Command::Probe, Said::Probe),
            Ask::Close(closed) => {
                let reason = closed.reason();
                (own, Command::Close { reason }, Said::Close { reason })
            }
            Ask::RedeemLogout { wrong } => {
                let kept = self.ledger.logout_ticket.as_ref().filter(|_| !wrong);
                let ticket =
                    kept.map_or_else(|| base64url::encode([1; 32]), |kept| kept.ticket.clone());
                let key = LogoutTicketKey(ticket.as_str().into());
                (own, Command::RedeemLogout { ticket: key }, Said::RedeemLogout { ticket })
            }
            Ask::Stranger(kind) => {
                let (session_key, command) = self.strange(kind);
                (session_key, command, Said::Stranger)
            }
        };
        self.callers += 1;
        let caller = CallerId(self.callers);
        self.waiting.insert(caller, said.clone());
        let envelope = Envelope { protocol: PROTOCOL, session_key, command };
        self.turn(Input::Command { caller, envelope }, said, crash)
    }

    fn strange(&self, kind: Stranger) -> (SessionKey, Command) {
        let (own, other) = (session_id().key(), stranger().key());
        let touch = true;
        match kind {
            Stranger::AccessWithAnotherId => {
                let (token, refused_epoch) = (key_a(), None);
                (own, Command::Access { session_id: stranger(), token, refused_epoch })
            }
            Stranger::EndWithAnotherId => {
                let (reason, keep_id_token) = (EndReason::Logout, true);
                (own, Command::End { session_id: stranger(), reason, keep_id_token })
            }
            Stranger::CloseOfAnotherObject => {
                // An empty object can't know that it isn't meant; the platform's routing does.
                let is_known = self.row.is_some();
                let reason = EndReason::BackChannel;
                let ticket = LogoutTicketKey("x".into());
                let harmless = Command::RedeemLogout { ticket };
                (other, if is_known { Command::Close { reason } } else { harmless })
            }
            Stranger::LoginOfAnotherObject => {
                (other, Command::Login(Box::new(self.login(CODES[0]))))
            }
            Stranger::StatusOfAnotherObject => {
                (other, Command::Status { session_id: session_id(), touch })
            }
        }
    }

    fn login(&self, code: &str) -> Login {
        let mut login = login(code);
        login.transaction.state = format!("{SECRET}-state").into();
        login.transaction.nonce = format!("{SECRET}-nonce").into();
        login.metadata.revocation_endpoint.take_if(|_| !self.setup.revocation_endpoint);
        login
    }

    fn refused_epoch(&self, token: &TokenKey, refused: Refused) -> Option<u64> {
        let held = match &self.ledger.phase {
            Phase::Live(live) => live.tokens.get(token),
            _ => None,
        };
        let current = held.map_or(1, |held| held.epoch);
        match refused {
            Refused::None => None,
            Refused::Current => Some(current),
            Refused::Stale => Some(current.saturating_sub(1)),
            Refused::NeverIssued => Some(current + 7),
        }
    }

    fn wait(&mut self, wait: Wait) {
        let until = match wait {
            Wait::Millis(millis) => Some(self.now.after(Duration::from_millis(millis))),
            Wait::Secs(duration) => Some(self.now.after(secs(duration))),
            Wait::To(mark, offset) => self.time_of(mark).map(|at| {
                let millis = at.as_millis().saturating_add_signed(offset.into());
                Timestamp::from_millis(millis)
            }),
        };
        self.now = self.now.max(until.unwrap_or(self.now));
    }

    fn time_of(&self, mark: Mark) -> Option<Timestamp> {
        let live = match &self.ledger.phase {
            Phase::Live(live) => Some(live),
            _ => None,
        };
        let token = |key: Key| live.and_then(|live| live.tokens.get(&key.token()));
        match mark {
            Mark::Alarm => self.alarm,
            Mark::RefreshDue(key) => token(key).and_then(|held| {
                let life = held.expires_at?.since(held.issued_at);
                Some(held.issued_at.after(life - life / 5))
            }),
            Mark::TokenEnd(key) => token(key).and_then(|held| held.expires_at),
            Mark::Idle => live.map(|live| live.active.after(self.ledger.idle())),
            Mark::Absolute => live.map(|live| live.created.after(self.ledger.absolute())),
            Mark::Transaction => Some(T0.after(Transaction::LIFETIME)),
        }
    }
}
