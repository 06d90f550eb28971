//! What is under way between objects, browsers and the provider.

use super::*;

pub(super) type RequestId = u64;

/// Something that may arrive, late or never.
#[derive(Clone, Debug)]
pub(super) enum Flying {
    ToSession {
        request: RequestId,
        session: usize,
        asked: ToSession,
    },
    FromSession {
        request: RequestId,
        word: SessionWord,
    },
    ToIndex {
        request: RequestId,
        index: IndexName,
        asked: ToIndex,
    },
    FromIndex {
        request: RequestId,
        said: Said,
    },
    /// Work of a session's object, in one of its lives.
    Work {
        session: usize,
        life: u32,
        work: UnderWay,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ToSession {
    Login,
    Access,
    Logout,
    Asked(Question),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ToIndex {
    Register {
        session: usize,
    },
    Unlist {
        session: usize,
    },
    List {
        person: u8,
    },
    /// One of the orders that there were.
    End(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UnderWay {
    Login,
    Refresh,
    Revocation,
}

/// What an index answers, as far as anybody acts on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    Registered,
    LoggedOut,
    TooLate,
    Else,
    /// Nothing came back, from the second try neither.
    Nothing,
}

/// Who asked.
#[derive(Clone, Debug)]
pub(super) enum Asker {
    /// Somebody who does nothing about the answer.
    Nobody,
    /// An index, in one of its lives.
    Index { index: IndexName, life: u32, question: Question },
    /// A login, in one of its object's lives: its first or its second registration.
    Login { session: usize, life: u32, at: usize },
}

/// A request that has no answer yet.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) asker: Asker,
    /// Of it and of its answers, those that are still under way or waited for.
    pub(super) copies: usize,
}

/// The requests that there are.
#[derive(Debug, Default)]
pub(super) struct Post {
    pub(super) flying: Vec<Flying>,
    requests: BTreeMap<RequestId, Request>,
    last: RequestId,
}

impl Post {
    pub(super) fn asks_session(&mut self, session: usize, asked: ToSession, asker: Asker) {
        let request = self.request(asker);
        self.flying.push(Flying::ToSession { request, session, asked });
    }

    pub(super) fn asks_index(&mut self, index: &IndexName, asked: ToIndex, asker: Asker) {
        let request = self.request(asker);
        self.flying.push(Flying::ToIndex { request, index: index.clone(), asked });
    }

    fn request(&mut self, asker: Asker) -> RequestId {
        self.last += 1;
        self.requests.insert(self.last, Request { asker, copies: 1 });
        self.last
    }

    /// The entry asks once more, on a fresh stub.
    pub(super) fn repeat(&mut self, nth: usize) -> bool {
        let again = self.flying[nth].clone();
        let (Flying::ToSession { request, .. } | Flying::ToIndex { request, .. }) = &again else {
            return false;
        };
        if let Some(request) = self.requests.get_mut(request) {
            request.copies += 1;
        }
        self.flying.push(again);
        true
    }

    /// The first answer counts.
    pub(super) fn answered(&mut self, request: RequestId) -> Option<Asker> {
        self.requests.remove(&request).map(|request| request.asker)
    }

    /// One of a request and its answers is no more. Whoever asked learns of the last one.
    pub(super) fn lost(&mut self, id: RequestId) {
        let Some(request) = self.requests.get_mut(&id) else { return };
        request.copies -= 1;
        if request.copies > 0 {
            return;
        }
        request.copies = 1;
        match request.asker {
            Asker::Nobody => drop(self.requests.remove(&id)),
            Asker::Index { .. } => {
                self.flying.push(Flying::FromSession { request: id, word: SessionWord::Silent });
            }
            Asker::Login { .. } => {
                self.flying.push(Flying::FromIndex { request: id, said: Said::Nothing });
            }
        }
    }
}
