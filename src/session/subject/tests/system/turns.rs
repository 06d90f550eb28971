//! Turns of objects. What one turn writes is durable together, before anything else of it leaves.

use super::{
    messages::{Asker, Flying, Said, ToIndex, ToSession, UnderWay},
    steps::Crash,
    world::{Cause, System, fill},
    *,
};
use crate::session::{Effect, Input, LoginFailure, Work};

impl System<'_> {
    pub(super) fn session_turn(&mut self, session: usize, input: Input, crash: Crash) -> Verdict {
        let object = &mut self.sessions[session];
        let rang = if matches!(input, Input::Alarm) { object.alarm.take() } else { None };
        let random = &mut self.random;
        let mut entropy = |bytes: &mut [u8]| fill(random, bytes);
        let effects = object.handle(input, &self.config, self.now, &mut entropy);
        if crash == Crash::BeforeTheWrite {
            // The platform rings an alarm again whose turn came to nothing.
            object.alarm = object.alarm.or(rang);
            self.see("crash: before the write");
            self.session_stops(session);
            return Ok(());
        }
        let is_write = |effect: &Effect| {
            matches!(effect, Effect::Put(_) | Effect::DeleteAll | Effect::SetAlarm(_))
        };
        let (writes, rest): (Vec<_>, Vec<_>) = effects.into_iter().partition(is_write);
        for write in writes {
            match write {
                Effect::Put(row) => object.stores(Some(row)),
                Effect::DeleteAll => object.stores(None),
                Effect::SetAlarm(alarm) => object.alarm = alarm,
                _ => {}
            }
        }
        self.each_session_is_listed()?;
        let done = if let Crash::After(done) = crash { done.into() } else { rest.len() };
        for effect in rest.into_iter().take(done) {
            self.session_does(session, effect)?;
        }
        if crash != Crash::None {
            self.see("crash: between effects");
            self.session_stops(session);
        }
        Ok(())
    }

    pub(super) fn session_does(&mut self, session: usize, effect: Effect) -> Verdict {
        let object = &mut self.sessions[session];
        match effect {
            Effect::Start(work) => {
                let work = match work {
                    Work::Login(_) => UnderWay::Login,
                    Work::Refresh(_) => UnderWay::Refresh,
                    Work::Revoke { .. } => UnderWay::Revocation,
                };
                let life = object.life;
                self.post.flying.push(Flying::Work { session, life, work });
            }
            Effect::Reply(caller, reply) => {
                let waiting = object.waiting.remove(&caller);
                promise(waiting.is_some(), "each caller gets one reply", || format!("{reply:?}"))?;
                let (request, question) = waiting.expect("it was looked at");
                let word = question.map_or(SessionWord::Silent, |asked| asked.word(Some(&reply)));
                self.post.flying.push(Flying::FromSession { request, word });
                match reply {
                    Reply::LoggedIn { .. } => self.see("session"),
                    Reply::LoginFailed(LoginFailure::AlreadyUsed) => {
                        self.see("login ended before it was stored");
                    }
                    _ => {}
                }
            }
            Effect::Unlist { names, .. } => {
                for name in names.iter() {
                    self.post.asks_index(name, ToIndex::Unlist { session }, Asker::Nobody);
                }
            }
            Effect::Audit(Event::SessionEnded { reason, .. }) => self.see(match reason {
                EndReason::BackChannel => "ended: BackChannel",
                EndReason::FrontChannel => "ended: FrontChannel",
                EndReason::Remote => "ended: Remote",
                EndReason::Logout => "ended: Logout",
                EndReason::InvalidGrant => "ended: InvalidGrant",
                _ => "ended: by itself",
            }),
            _ => {}
        }
        Ok(())
    }

    pub(super) fn session_stops(&mut self, session: usize) {
        let object = &mut self.sessions[session];
        object.forgets();
        object.life += 1;
        for (request, _) in std::mem::take(&mut object.waiting).into_values() {
            self.post.lost(request);
        }
        self.tell(|| format!("  session {session} stops"));
    }

    pub(super) fn index_turn(
        &mut self,
        name: &IndexName,
        input: SubjectInput,
        cause: Cause,
        crash: Crash,
    ) -> Verdict {
        let index = self.indexes.get_mut(name).unwrap();
        let is_alarm = matches!(input, SubjectInput::Alarm);
        let rang = if is_alarm { index.alarm.take() } else { None };
        let random = &mut self.random;
        let mut entropy = |bytes: &mut [u8]| fill(random, bytes);
        let effects = index.handle(input, &self.keys, self.now, &mut entropy);
        if crash == Crash::BeforeTheWrite {
            index.alarm = index.alarm.or(rang);
            self.see("crash: before the write");
            self.index_stops(name);
            return Ok(());
        }
        let is_write = |effect: &SubjectEffect| {
            use SubjectEffect::{DeleteAll, Put, SetAlarm};
            matches!(effect, Put(_) | DeleteAll | SetAlarm(_))
        };
        let first = effects.iter().position(|effect| !is_write(effect)).unwrap_or(effects.len());
        let is_in_order = !effects[first..].iter().any(is_write);
        promise(is_in_order, "what is acted on was written", || format!("{effects:?}"))?;
        let before = index.entries().to_vec();
        let (writes, rest): (Vec<_>, Vec<_>) = effects.into_iter().partition(is_write);
        for write in writes {
            match write {
                SubjectEffect::Put(row) => index.stores(Some(row)),
                SubjectEffect::DeleteAll => {
                    index.stores(None);
                    index.alarm = None;
                }
                SubjectEffect::SetAlarm(alarm) => index.alarm = alarm,
                _ => {}
            }
        }
        self.is_written(name, &before, cause)?;
        self.each_session_is_listed()?;
        let done = if let Crash::After(done) = crash { done.into() } else { rest.len() };
        for (nth, effect) in rest.into_iter().enumerate() {
            self.index_says(name, &effect, cause)?;
            if nth < done {
                self.index_does(name, effect)?;
            }
        }
        if crash != Crash::None {
            self.see("crash: between effects");
            self.index_stops(name);
        }
        Ok(())
    }

    pub(super) fn index_does(&mut self, name: &IndexName, effect: SubjectEffect) -> Verdict {
        let index = self.indexes.get_mut(name).unwrap();
        match effect {
            SubjectEffect::Ask(question) => {
                let asker = Asker::Index {
                    index: name.clone(),
                    life: index.life,
                    question: question.clone(),
                };
                let number = self.number(&question.session);
                self.post.asks_session(number, ToSession::Asked(question), asker);
            }
            SubjectEffect::Reply(caller, reply) => {
                let request = index.waiting.remove(&caller);
                promise(request.is_some(), "each caller gets one reply", || format!("{reply:?}"))?;
                let request = request.expect("it was looked at");
                let said = match reply {
                    SubjectReply::Registered => Said::Registered,
                    SubjectReply::LoggedOut => Said::LoggedOut,
                    SubjectReply::TooLate => Said::TooLate,
                    _ => Said::Else,
                };
                self.post.flying.push(Flying::FromIndex { request, said });
            }
            _ => {}
        }
        Ok(())
    }

    pub(super) fn index_stops(&mut self, name: &IndexName) {
        let index = self.indexes.get_mut(name).unwrap();
        index.forgets();
        index.life += 1;
        for request in std::mem::take(&mut index.waiting).into_values() {
            self.post.lost(request);
        }
        self.tell(|| format!("  index {} stops", name.as_str()));
    }
}
