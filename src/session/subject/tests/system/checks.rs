//! What must hold after a turn, and in the end.

use super::{
    world::{Cause, System},
    *,
};

impl System<'_> {
    /// What was written: an order's sessions are owed, and nobody else's end is written down but
    /// that of the oldest of too many.
    pub(super) fn is_written(
        &mut self,
        name: &IndexName,
        before: &[record::Entry],
        cause: Cause,
    ) -> Verdict {
        if let Cause::End(order) = cause {
            let numbers: Vec<_> = before.iter().map(|entry| self.number(&entry.session)).collect();
            let handles =
                before.iter().map(|entry| (self.number(&entry.session), entry.handle.clone()));
            let handles = handles.collect();
            self.ledger.is_written(order, &numbers, &self.sessions, &handles, self.now);
        }
        let after = self.indexes[name].entries();
        let living = after.iter().filter(|entry| entry.ending.is_none()).count();
        promise(living <= MAX_SESSIONS, "no more than a hundred live", || living.to_string())?;
        let was_ending = |session: &SessionKey| {
            before.iter().any(|entry| entry.session == *session && entry.ending.is_some())
        };
        let fresh = after.iter().filter(|e| e.ending.is_some() && !was_ending(&e.session));
        for entry in fresh {
            let number = self.number(&entry.session);
            if entry.ending.is_some_and(|ending| ending.reason == EndReason::TooMany) {
                let others = before.iter().filter(|entry| entry.ending.is_none());
                let is_oldest = others.clone().all(|other| entry.issued_at <= other.issued_at);
                let is_right = others.count() == MAX_SESSIONS && is_oldest;
                promise(is_right, "of too many the oldest ends", || format!("{number}"))?;
                self.see("too many");
                self.ledger.owed.insert(number);
            }
            let is_owed = self.ledger.owed.contains(&number);
            promise(is_owed, "none ends that no end names", || format!("session {number}"))?;
        }
        Ok(())
    }

    /// What is said and asked, whether or not it leaves.
    pub(super) fn index_says(
        &mut self,
        name: &IndexName,
        effect: &SubjectEffect,
        cause: Cause,
    ) -> Verdict {
        match effect {
            SubjectEffect::Ask(Question { session, close: Some(_) }) => {
                let number = self.number(session);
                let is_owed = self.ledger.owed.contains(&number);
                promise(is_owed, "none ends that no end names", || format!("session {number}"))
            }
            SubjectEffect::Reply(_, SubjectReply::Ended { sessions, left }) => {
                if *left > 0 {
                    self.see("left");
                }
                let numbers = sessions.iter().map(|session| self.number(session));
                let living = numbers.filter(|number| self.sessions[*number].lives(self.now));
                let living: Vec<_> = living.collect();
                promise(living.is_empty(), "what is said to have ended has", || {
                    format!("{living:?}")
                })
            }
            SubjectEffect::Reply(_, SubjectReply::Devices(devices)) => {
                if !devices.is_empty() {
                    self.see("listed");
                }
                let shown = |key: &SessionKey| devices.iter().any(|device| device.session == *key);
                let entries = self.indexes[name].entries().iter();
                let hidden = entries.filter(|entry| entry.ending.is_none()).find(|entry| {
                    let session = &self.sessions[self.number(&entry.session)];
                    session.lives(self.now) && !shown(&entry.session)
                });
                promise(hidden.is_none(), "a session that lives is a device", || {
                    format!("{hidden:?}")
                })
            }
            SubjectEffect::Reply(_, reply) => match cause {
                Cause::Register(session) => self.login_is_answered(name, session, reply),
                _ => Ok(()),
            },
            _ => Ok(()),
        }
    }

    pub(super) fn login_is_answered(
        &self,
        name: &IndexName,
        number: usize,
        reply: &SubjectReply,
    ) -> Verdict {
        let session = &self.sessions[number];
        let bar = self.ledger.bar(name, session, self.now);
        let is_owed = self.ledger.owed.contains(&number);
        let is_late = self.now >= session.began.after(Transaction::LIFETIME);
        let is_right = match reply {
            SubjectReply::Registered => bar.is_none(),
            SubjectReply::LoggedOut => bar.is_some() || is_owed,
            SubjectReply::TooLate => is_late,
            _ => false,
        };
        match (reply, bar.map(|bar| &bar.which)) {
            (SubjectReply::TooLate, _) => self.see("too late"),
            (SubjectReply::LoggedOut, Some(Which::Begun { .. })) => {
                self.see("barred by an administrator");
            }
            (SubjectReply::LoggedOut, Some(Which::All { .. })) => self.see("barred by a sid"),
            (SubjectReply::LoggedOut, Some(_)) => self.see("barred"),
            _ => {}
        }
        promise(is_right, "a login is refused where a logout bars it, and nowhere else", || {
            format!("session {number}: {reply:?}, {bar:?}")
        })
    }

    /// Wherever a session answers calls, its indexes have it in their rows.
    pub(super) fn each_session_is_listed(&self) -> Verdict {
        for (number, session) in self.sessions.iter().enumerate() {
            if session.lives(self.now) {
                let missing =
                    session.names.iter().find(|name| !self.indexes[*name].lists(&session.key));
                promise(missing.is_none(), "a session that lives is listed", || {
                    format!("session {number} is not in {missing:?}")
                })?;
            }
        }
        Ok(())
    }

    /// Everything was reached and has rung.
    pub(super) fn is_done(&self) -> Verdict {
        let living = self.ledger.owed.iter().filter(|n| self.sessions[**n].lives(self.now));
        let living: Vec<_> = living.collect();
        promise(living.is_empty(), "whatever an end names has ended", || format!("{living:?}"))?;
        for index in self.indexes.values() {
            let ending = index.entries().iter().filter(|entry| entry.ending.is_some()).count();
            promise(ending == 0, "what is to end is asked until it has", || ending.to_string())?;
            promise(index.waiting.is_empty(), "each caller gets one reply", || {
                format!("{:?}", index.waiting)
            })?;
        }
        for session in &self.sessions {
            // Whoever waits for a login or a token that is under way waits on.
            let waits = session.waiting.values().any(|(_, question)| question.is_some());
            promise(!waits, "each caller gets one reply", || format!("{:?}", session.waiting))?;
        }
        Ok(())
    }

    pub(super) fn is_gone(&self) -> Verdict {
        for (number, session) in self.sessions.iter().enumerate() {
            let is_gone = session.row.is_none() && session.alarm.is_none();
            promise(is_gone, "in the end nothing is left", || format!("session {number}"))?;
            promise(session.waiting.is_empty(), "each caller gets one reply", || {
                format!("session {number}: {:?}", session.waiting)
            })?;
        }
        for (name, index) in &self.indexes {
            let is_gone = index.is_empty() && index.alarm.is_none();
            promise(is_gone, "in the end nothing is left", || {
                format!("{name:?} {:?}", index.stored)
            })?;
        }
        Ok(())
    }
}
