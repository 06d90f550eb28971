//! What is under way arrives, or doesn't.

use super::{
    ledger::Order,
    messages::{Asker, Flying, Said, ToIndex, ToSession, UnderWay},
    session::{Kind, tokens},
    steps::Crash,
    world::{Cause, System},
    *,
};
use crate::{
    audit::RefreshFailure,
    session::{
        Envelope, Input, LoginFailure, RefreshOutcome, Refreshed, RevocationOutcome, TokenKey,
    },
};

impl System<'_> {
    pub(super) fn deliver_all(&mut self) -> Verdict {
        for _ in 0..10_000 {
            if self.post.flying.is_empty() {
                return Ok(());
            }
            self.deliver(0, Crash::None)?;
        }
        promise(false, "what is under way comes to an end", || format!("{:?}", self.post.flying))
    }

    pub(super) fn deliver(&mut self, nth: usize, crash: Crash) -> Verdict {
        let flying = self.post.flying.remove(nth);
        self.tell(|| format!("  arrives: {flying:?}"));
        match flying {
            Flying::ToSession { request, session, asked } => {
                self.session_asked(request, session, asked, crash)
            }
            Flying::FromSession { request, word } => match self.post.answered(request) {
                Some(Asker::Index { index, life, question })
                    if self.indexes[&index].life == life =>
                {
                    let is_swept = word == SessionWord::Gone && question.close.is_none();
                    if is_swept {
                        self.see("swept");
                    }
                    let input = SubjectInput::Answered(question, word);
                    self.index_turn(&index, input, Cause::Else, crash)
                }
                _ => Ok(()),
            },
            Flying::ToIndex { request, index, asked } => {
                self.index_asked(request, index, asked, crash)
            }
            Flying::FromIndex { request, said } => match self.post.answered(request) {
                Some(Asker::Login { session, life, at }) if self.sessions[session].life == life => {
                    self.registered(session, at, said, crash)
                }
                _ => Ok(()),
            },
            Flying::Work { session, life, work } if self.sessions[session].life == life => {
                self.works(session, work, true, crash)
            }
            Flying::Work { .. } => Ok(()),
        }
    }

    pub(super) fn lose(&mut self, nth: usize) -> Verdict {
        self.see("lost");
        let flying = self.post.flying.remove(nth);
        self.tell(|| format!("  lost: {flying:?}"));
        match flying {
            Flying::ToSession { request, .. }
            | Flying::FromSession { request, .. }
            | Flying::ToIndex { request, .. }
            | Flying::FromIndex { request, .. } => {
                self.post.lost(request);
                Ok(())
            }
            Flying::Work { session, life, work } if self.sessions[session].life == life => {
                self.works(session, work, false, Crash::None)
            }
            Flying::Work { .. } => Ok(()),
        }
    }

    pub(super) fn session_asked(
        &mut self,
        request: u64,
        session: usize,
        asked: ToSession,
        crash: Crash,
    ) -> Verdict {
        let object = &mut self.sessions[session];
        if let Kind::Filler(lives) = &mut object.object {
            if let ToSession::Asked(question) = asked {
                *lives &= question.close.is_none();
                let last_seen = Some(object.began);
                let lives = object.lives(self.now);
                let word = if lives { SessionWord::Lives { last_seen } } else { SessionWord::Gone };
                self.post.flying.push(Flying::FromSession { request, word });
            }
            return Ok(());
        }
        let session_id = object.id.clone();
        let (command, question) = match asked {
            ToSession::Login => (object.login(), None),
            ToSession::Access => {
                let token = TokenKey::default();
                (Command::Access { session_id, token, refused_epoch: None }, None)
            }
            ToSession::Logout => {
                let reason = EndReason::Logout;
                (Command::End { session_id, reason, keep_id_token: false }, None)
            }
            ToSession::Asked(question) => (question.command(), Some(question)),
        };
        let session_key = object.key.clone();
        let envelope = Envelope { protocol: PROTOCOL, session_key, command };
        self.callers += 1;
        let caller = CallerId(self.callers);
        object.waiting.insert(caller, (request, question));
        self.session_turn(session, Input::Command { caller, envelope }, crash)
    }

    /// Work of a session's object is done, or came to nothing.
    pub(super) fn works(
        &mut self,
        session: usize,
        work: UnderWay,
        succeeds: bool,
        crash: Crash,
    ) -> Verdict {
        match (work, succeeds) {
            (UnderWay::Login, true) => {
                self.sessions[session].issued_at = Some(self.providers_time());
                self.registers(session, 0);
                Ok(())
            }
            (UnderWay::Login, false) => {
                let failed = Err(LoginFailure::ProviderUnavailable);
                self.session_turn(session, Input::LoginDone(Box::new(failed)), crash)
            }
            (UnderWay::Refresh, true) => {
                let new = Refreshed { response: tokens(), identity: None };
                let outcome = RefreshOutcome::Refreshed(Box::new(new));
                self.session_turn(session, Input::RefreshDone(outcome), crash)
            }
            (UnderWay::Refresh, false) => {
                let outcome = RefreshOutcome::Failed(RefreshFailure::InvalidGrant);
                self.session_turn(session, Input::RefreshDone(outcome), crash)
            }
            (UnderWay::Revocation, _) => {
                let outcome = RevocationOutcome::Done;
                self.session_turn(session, Input::RevocationDone(outcome), crash)
            }
        }
    }

    /// As the use case of a login does it: in the index of its `sub`, then in that of its `sid`.
    pub(super) fn registers(&mut self, session: usize, at: usize) {
        let object = &self.sessions[session];
        let asker = Asker::Login { session, life: object.life, at };
        let name = object.names.iter().nth(at).expect("one of its indexes").clone();
        self.post.asks_index(&name, ToIndex::Register { session }, asker);
    }

    pub(super) fn registered(
        &mut self,
        session: usize,
        at: usize,
        said: Said,
        crash: Crash,
    ) -> Verdict {
        let object = &self.sessions[session];
        let is_last = object.sid.is_none() || at == 1;
        let result = match said {
            Said::Registered if is_last => Ok(object.new_session()),
            Said::Registered => {
                self.registers(session, at + 1);
                return Ok(());
            }
            Said::LoggedOut => Err(LoginFailure::LoggedOut),
            Said::TooLate => Err(LoginFailure::Expired),
            Said::Nothing => Err(LoginFailure::IndexUnavailable),
            Said::Else => return promise(false, "an index takes every login", String::new),
        };
        self.session_turn(session, Input::LoginDone(Box::new(result)), crash)
    }

    pub(super) fn index_asked(
        &mut self,
        request: u64,
        index: IndexName,
        asked: ToIndex,
        crash: Crash,
    ) -> Verdict {
        let whose = self.indexes[&index].whose.clone();
        let (command, cause) = match asked {
            ToIndex::Register { session } => {
                let registration = self.sessions[session].registration(whose, self.now);
                (SubjectCommand::Register(Box::new(registration)), Cause::Register(session))
            }
            ToIndex::Unlist { session } => {
                let session = self.sessions[session].key.clone();
                (SubjectCommand::Unlist { session }, Cause::Else)
            }
            ToIndex::List { .. } => (SubjectCommand::List { whose }, Cause::Else),
            ToIndex::End(order) => {
                let Order { which, reason, bars, token, .. } = &self.ledger.orders[order];
                let order_text = EndSessions {
                    which: which.clone(),
                    reason: *reason,
                    bars: *bars,
                    token: token.clone(),
                };
                (SubjectCommand::End(Box::new(order_text)), Cause::End(order))
            }
        };
        self.callers += 1;
        let caller = CallerId(self.callers);
        self.indexes.get_mut(&index).unwrap().waiting.insert(caller, request);
        let envelope = SubjectEnvelope { protocol: PROTOCOL, index: index.clone(), command };
        self.index_turn(&index, SubjectInput::Command { caller, envelope }, cause, crash)
    }
}
