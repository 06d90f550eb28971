//! How a sequence comes to its end: all work is answered, a session that lives is served again,
//! and then time passes until nothing is left.

use super::*;

impl Model<'_> {
    /// The end of every sequence.
    pub(super) fn settle(&mut self) -> Verdict {
        if !matches!(self.setup.ending, Ending::Unanswered) {
            self.answer_all()?;
            promise(self.waiting.is_empty(), "nobody waits once all work is done", || {
                format!("{:?}", self.waiting)
            })?;
            promise(
                self.ledger.debts.owed().is_empty(),
                "what a session had, or what came after its end, is put to revocation",
                || format!("{:?}", self.ledger.debts.owed()),
            )?;
            self.serves_again()?;
        }
        self.leaves_nothing()
    }

    fn answer_all(&mut self) -> Verdict {
        for _ in 0..20 {
            if self.under_way.is_empty() {
                return Ok(());
            }
            self.answer(0, Answer::Good(Gift::PLAIN), None)?;
        }
        promise(false, "work comes to an end", || format!("{:?}", self.under_way))
    }

    /// A provider that was in trouble and isn't any more: everything goes on.
    fn serves_again(&mut self) -> Verdict {
        self.now = self.now.after(secs(31));
        let Some(live) = self.ledger.openable() else { return Ok(()) };
        let is_within = self.now.after(touch_step(self.ledger.idle()))
            < live.active.after(self.ledger.idle())
            && self.now < live.created.after(self.ledger.absolute());
        if live.refresh_token.is_none() || !is_within {
            return Ok(());
        }
        self.ask(Ask::Access(Key::A, Refused::None), None)?;
        self.answer_all()?;
        // By now it has a fresh token, or the provider has said that the grant is no more; which
        // end that may be called was checked on the way.
        let token = self.ledger.openable().and_then(|live| live.tokens.get(&key_a()));
        let serves = token.is_some_and(|held| held.expires_at.is_none_or(|end| self.now < end));
        let is_over = matches!(self.ledger.phase, Phase::Over(_));
        promise(serves || is_over, "once the provider is well again the session goes on", || {
            format!("{:?}", self.ledger.phase)
        })
    }

    /// Bounded: the absolute limit, then the longest ticket.
    fn leaves_nothing(&mut self) -> Verdict {
        let latest = self.now.after(self.ledger.absolute()).after(LONGEST_TICKET);
        // For a ticket that is still good then, an alarm comes in time.
        let soon = self.now.after(secs(601));
        self.ledger.debts.forget_what_was_asked();
        if matches!(self.setup.ending, Ending::Late) {
            self.now = latest;
        }
        let is_answered = !matches!(self.setup.ending, Ending::Unanswered);
        for _ in 0..200 {
            let Some(alarm) = self.alarm.filter(|alarm| *alarm <= latest) else { break };
            self.now = self.now.max(alarm);
            self.ring(None)?;
            // Whatever is tried again fails again, until it is given up.
            while is_answered && !self.under_way.is_empty() {
                self.answer(0, Answer::Overloaded, None)?;
            }
        }
        let is_on_time = matches!(self.setup.ending, Ending::OnTime);
        promise(
            !is_on_time || self.ledger.debts.forgotten(soon).is_empty(),
            "a logout's revocation is tried again until the provider has answered",
            || format!("{:?}", self.ledger.debts),
        )?;
        promise(
            self.row.is_none() && self.alarm.is_none(),
            "after the absolute limit and the longest ticket nothing is stored and no alarm is set",
            || format!("the alarm at {:?}", self.alarm),
        )?;
        self.now = self.now.max(T0.after(Transaction::LIFETIME));
        self.ask(Ask::Login { another_code: false }, None)?;
        self.ask(Ask::Access(Key::A, Refused::None), None)?;
        self.ask(Ask::Status { touch: true }, None)?;
        let is_left = is_answered && !self.under_way.is_empty();
        promise(self.row.is_none() && !is_left, "what comes after that makes nothing", || {
            format!("{:?}", self.under_way)
        })
    }
}
