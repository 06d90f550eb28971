//! The object with its storage, its alarm, its callers and the provider: what the platform and the
//! adapter make of one input, crashes included.

use super::*;

pub(super) struct Model<'a> {
    pub(super) config: ObjectConfig,
    machine: Machine,
    pub(super) now: Timestamp,
    pub(super) row: Option<Vec<u8>>,
    pub(super) alarm: Option<Timestamp>,
    pub(super) under_way: Vec<UnderWay>,
    /// Who waits for a reply, and what was asked.
    pub(super) waiting: BTreeMap<CallerId, Said>,
    pub(super) provider: Provider,
    pub(super) ledger: Ledger,
    pub(super) setup: Setup,
    steady: Option<Steady>,
    coverage: &'a Coverage,
    trace: Vec<String>,
    pub(super) callers: u64,
    random: u64,
    ring_keys: u8,
}

/// A request to the provider.
#[derive(Debug)]
pub(super) struct UnderWay {
    pub(super) work: Work,
    /// The provider has handled it; the answer is on its way.
    pub(super) handled: Option<Handled>,
}

/// A reply that the entry gives again without asking, until then or another command or alarm.
struct Steady {
    key: TokenKey,
    until: Timestamp,
    reply: GrantedToken,
}

/// Somebody else's id.
pub(super) fn stranger() -> SessionId {
    SessionId::from_bytes([8; 32])
}

impl<'a> Model<'a> {
    pub(super) fn new(setup: Setup, coverage: &'a Coverage) -> Self {
        let ring = vec![FIRST_KEY];
        let mut config = config();
        config.session.idle = secs(setup.limits.0);
        config.session.absolute = secs(setup.limits.1);
        config.session.keys = key_ring(&ring, 0);
        config.session.revocation_ticket =
            if setup.revocation_ticket { LONGEST_TICKET } else { Duration::ZERO };
        config.provider.id_token_hint = setup.id_token_hint;
        Self {
            machine: Machine::load(config.clone(), None),
            config,
            now: T0,
            row: None,
            alarm: None,
            under_way: Vec::new(),
            waiting: BTreeMap::new(),
            provider: Provider::default(),
            ledger: Ledger::new(setup, ring),
            setup,
            steady: None,
            coverage,
            trace: Vec::new(),
            callers: 0,
            random: 0,
            ring_keys: FIRST_KEY,
        }
    }

    /// What happened, a line each.
    pub(super) fn trace(&self) -> String {
        self.trace.join("\n")
    }

    pub(super) fn handle(&mut self, nth: Nth, gift: Gift) {
        let Some(at) = self.choose(nth) else { return };
        let (setup, under_way) = (self.setup, &mut self.under_way[at]);
        if under_way.handled.is_none() {
            let handled = self.provider.handle(&under_way.work, gift, setup.refresh_tokens);
            under_way.handled = Some(handled);
        }
    }

    fn choose(&self, nth: Nth) -> Option<usize> {
        usize::from(nth).checked_rem(self.under_way.len())
    }

    /// Brings one of the works under way to its end.
    pub(super) fn answer(&mut self, nth: Nth, answer: Answer, crash: Option<Crash>) -> Verdict {
        let Some(at) = self.choose(nth) else { return Ok(()) };
        let request = self.under_way.remove(at);
        let answered = self.provider.answer(&request, answer, self.setup.refresh_tokens);
        let (input, said) = match request.work {
            Work::Login(_) => answered.of_login(),
            Work::Refresh(_) => answered.of_refresh(),
            Work::Revoke { token, .. } => answered.of_revocation(token.expose()),
        };
        self.turn(input, said, crash)
    }

    /// The platform takes an alarm off as it rings, and rings again if the handler came to nothing.
    pub(super) fn ring(&mut self, crash: Option<Crash>) -> Verdict {
        let alarm = self.alarm.take();
        self.turn(Input::Alarm, Said::Alarm, crash)?;
        if crash.is_some_and(|crash| matches!(crash.at, CrashAt::BeforeTheWrite)) {
            self.alarm = alarm;
        }
        Ok(())
    }

    pub(super) fn turn(&mut self, input: Input, said: Said, crash: Option<Crash>) -> Verdict {
        let random = &mut self.random;
        let mut entropy = |bytes: &mut [u8]| {
            for byte in bytes {
                *random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                *byte = (*random >> 56) as u8;
            }
        };
        let effects = self.machine.handle(input, self.now, &mut entropy);
        self.note(|| {
            let effects: Vec<_> = effects.iter().map(brief).collect();
            format!("{said:?} → {}", effects.join(", "))
        });
        let outcome = Outcome::read(said, effects)?;
        self.stays_the_same(&outcome)?;
        let left = match crash.map(|crash| crash.at) {
            Some(CrashAt::BeforeTheWrite) => None,
            Some(CrashAt::After(effects)) => Some(effects.into()),
            None => Some(outcome.rest.len()),
        };
        if let Some(left) = left {
            self.commit(&outcome)?;
            for effect in outcome.rest.into_iter().take(left) {
                self.execute(effect)?;
            }
        }
        match crash {
            Some(crash) => self.restart(crash.stop),
            None => self.nobody_waits_for_nothing()?,
        }
        Ok(())
    }

    /// Holds a turn against what was said to be steady before it, and notes what is from now on.
    fn stays_the_same(&mut self, outcome: &Outcome) -> Verdict {
        let before = self.steady.take();
        let replies = || {
            outcome.replies().filter_map(|reply| match reply {
                Reply::Granted(token) => Some(&**token),
                _ => None,
            })
        };
        let key = match &outcome.said {
            Said::Access { key, refused: None } => key,
            Said::LoginDone(_) | Said::RefreshDone(_) | Said::RevocationDone { .. } => {
                return promise(
                    before.is_none(),
                    "nothing is under way where a reply is steady",
                    || format!("{outcome:?}"),
                );
            }
            _ => return Ok(()),
        };
        if let Some(steady) = before.filter(|it| it.key == *key && self.now < it.until) {
            self.coverage.see("a steady reply");
            let is_same = replies().eq([&steady.reply]) && outcome.rest.len() == 1;
            promise(
                is_same && outcome.row.is_none() && outcome.alarm.is_none(),
                "a reply that is steady until a time stays the same until then, and changes nothing",
                || format!("{outcome:?}"),
            )?;
        }
        let until = self.machine.steady_until(key, self.now);
        self.steady = until.zip(replies().next().cloned()).map(|(until, reply)| Steady {
            key: key.clone(),
            until,
            reply,
        });
        promise(
            until.is_none() == self.steady.is_none(),
            "what is steady is a token that was given",
            || format!("{outcome:?}"),
        )
    }

    fn commit(&mut self, outcome: &Outcome) -> Verdict {
        if let Some(row) = &outcome.row {
            self.row.clone_from(row);
            if row.is_none() {
                self.alarm = None;
            }
        }
        if let Some(alarm) = outcome.alarm {
            self.alarm = alarm;
        }
        self.coverage.count(outcome);
        if matches!(outcome.said, Said::Stranger) {
            let changes =
                outcome.row.is_some() || outcome.alarm.is_some() || outcome.rest.len() > 1;
            promise(!changes, "who isn't this session's changes nothing", || {
                format!("{outcome:?}")
            })?;
        }
        self.ledger.commit(outcome, self.now, &self.provider)?;
        let brought = matches!(outcome.said, Said::LoginDone(Ok(_)) | Said::RefreshDone(Ok(_)));
        if brought && matches!(self.ledger.phase, Phase::Over(_)) {
            self.coverage.see("tokens after the end");
        }
        storage::is_right(self, outcome)
    }

    fn execute(&mut self, effect: Effect) -> Verdict {
        match effect {
            Effect::Start(work) => {
                self.under_way.push(UnderWay { work, handled: None });
                let count = |is: fn(&Work) -> bool| {
                    self.under_way.iter().filter(|under_way| is(&under_way.work)).count()
                };
                let tokens = count(|work| !matches!(work, Work::Revoke { .. }));
                let revocations = count(|work| matches!(work, Work::Revoke { .. }));
                promise(
                    tokens <= 1 && revocations <= 1,
                    "one refresh or exchange is under way at a time, and one revocation",
                    || format!("{:?}", self.under_way),
                )
            }
            Effect::Reply(caller, reply) => {
                let Some(asked) = self.waiting.remove(&caller) else {
                    return promise(false, "everyone is answered once", || format!("{reply:?}"));
                };
                replies::is_right(&self.ledger, &asked, &reply, self.now)
            }
            _ => Ok(()),
        }
    }

    fn nobody_waits_for_nothing(&self) -> Verdict {
        let is_under_way = |is: fn(&Work) -> bool| self.under_way.iter().any(|it| is(&it.work));
        let logs_in = is_under_way(|work| matches!(work, Work::Login(_)));
        let refreshes = is_under_way(|work| matches!(work, Work::Refresh(_)));
        let forgotten = self.waiting.iter().find(|(_, asked)| match asked {
            Said::Login { .. } => !logs_in,
            Said::Access { .. } => !refreshes,
            _ => true,
        });
        promise(forgotten.is_none(), "who isn't answered waits for work that is under way", || {
            format!("{forgotten:?}")
        })
    }

    /// The object stops and starts again from what is stored.
    pub(super) fn restart(&mut self, stop: Stop) {
        self.note(|| format!("{stop:?}"));
        for UnderWay { work, handled } in self.under_way.drain(..) {
            if handled.is_none() && stop.handled {
                let _to_nobody =
                    self.provider.handle(&work, Gift::PLAIN, self.setup.refresh_tokens);
            }
            if matches!(work, Work::Refresh(_)) && (handled.is_some() || stop.handled) {
                self.coverage.see("a crash that lost an answer");
            }
        }
        self.waiting.clear();
        let mut ring = std::mem::take(&mut self.ledger.ring);
        match stop.ring {
            NewRing::Same => {}
            NewRing::Rotated => {
                self.ring_keys += 1;
                ring.insert(0, self.ring_keys);
            }
            NewRing::OldRemoved => ring.truncate(1),
            NewRing::RolledBack => {
                if ring.len() > 1 {
                    ring.remove(0);
                }
            }
        }
        self.config.session.keys = key_ring(&ring, 0);
        self.ledger.restart(ring);
        if matches!(self.ledger.phase, Phase::Live(_)) && self.ledger.openable().is_none() {
            self.coverage.see("a session that no key of the ring opens");
        }
        self.machine = Machine::load(self.config.clone(), self.row.as_deref());
        self.steady = None;
    }

    /// The same key ids as now, other keys.
    pub(super) fn other_ring(&self) -> KeyRing {
        key_ring(&self.ledger.ring, 100)
    }

    pub(super) fn note(&mut self, line: impl FnOnce() -> String) {
        if self.coverage.traces {
            self.trace.push(format!("{:>9} ms  {}", self.now.since(T0).as_millis(), line()));
        }
    }
}
