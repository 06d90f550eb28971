//! Passes: what was decided about calls, kept by all that it hangs on.
//!
//! Whether a call may act with a session, and what is changed about its head, hangs on its origin,
//! route, method and headers, and on nothing else of its URL ([`decide`](crate::http::decide)). A
//! page sends the same headers with nearly every call, so what was decided is kept under a digest of
//! them: the next call's URL is read, and the rest is there.
//!
//! A pass holds no clock, no token and no word about the session's life. Whether it lives is found
//! out for each call, so nothing that ends a session has to end a pass. And it holds no secret: the
//! cookie can be read neither from it nor from its digest.

use std::{collections::HashMap, ops::Range};

use sha2::{Digest as _, Sha256};

use crate::{
    config::{Config, Origin, Route},
    http::{
        cookies,
        csrf::CsrfVerified,
        decide::Forward,
        head::{RequestHead, UnreadHead, our_origin},
        route::{self, Target},
    },
    session::{SessionId, SessionKey},
};

/// How many passes are kept at most; where there are more it begins anew.
pub const MAX_PASSES: usize = 4_096;

/// The longest headers that are looked for, in bytes: longer ones are read faster than hashed.
pub const MAX_HEADERS: usize = 1_024;

/// The passes of one isolate.
#[derive(Debug, Default)]
pub struct Passes {
    known: HashMap<[u8; 32], Pass>,
}

/// A call that may act with its session. Made only of one that was decided so.
#[derive(Debug)]
pub struct Pass {
    /// Whose it is.
    pub session: SessionKey,
    /// What the edge wrote down of everything but URL and token.
    pub plan: String,
    /// Where the headers hold the cookie's value. Its tag was right.
    cookie: Range<usize>,
    #[expect(dead_code, reason = "held as the proof that the call may act with the session")]
    proof: CsrfVerified,
}

/// What is looked at of a head to find its pass.
#[derive(Debug)]
pub struct Place<'c> {
    /// The origin that it came to.
    pub origin: &'c Origin,
    /// The route.
    pub route: &'c Route,
    digest: [u8; 32],
}

impl<'c> Place<'c> {
    /// `None` for what no pass is kept for: another origin, no route, long headers.
    pub fn of(config: &'c Config, head: &UnreadHead<'_>) -> Option<Self> {
        if head.headers.len() > MAX_HEADERS {
            return None;
        }
        let origin = our_origin(config, head.origin)?;
        let Target::Route(route) = route::choose(config, head.path) else { return None };
        let nth_origin = config.origins.iter().position(|own| std::ptr::eq(own, origin))?;
        let nth_route = config.routes.iter().position(|own| std::ptr::eq(own, route))?;
        // Each part ends where its length or the line break says, so no two heads make one text.
        let digest = Sha256::new()
            .chain_update((nth_origin as u64).to_be_bytes())
            .chain_update((nth_route as u64).to_be_bytes())
            .chain_update(head.method.as_str())
            .chain_update("\n")
            .chain_update(head.headers);
        Some(Self { origin, route, digest: digest.finalize().into() })
    }
}

impl Passes {
    /// The pass of a call, if one like it was decided before.
    pub fn find(&self, place: &Place<'_>) -> Option<&Pass> {
        self.known.get(&place.digest)
    }

    /// Keeps what was decided about a call with a token: `forward` is that, and `plan` what the edge
    /// wrote down of it. Not for a body or a socket, whose headers hardly come twice.
    pub fn keep(
        &mut self,
        config: &Config,
        unread: &UnreadHead<'_>,
        head: &RequestHead<'_>,
        forward: Forward<'_>,
        plan: String,
    ) {
        let pass = || {
            if head.has_body() || forward.headers.is_socket {
                return None;
            }
            let value = cookies::session(head.known.cookie, forward.origin)?;
            let session = config.session.keys.open_cookie(value)?.key();
            let at = unread.headers.find(value)?;
            let proof = forward.attached?.into_proof();
            Some(Pass { session, plan, cookie: at..at + value.len(), proof })
        };
        let Some(place) = Place::of(config, unread) else { return };
        let Some(pass) = pass() else { return };
        if self.known.len() >= MAX_PASSES {
            self.known.clear();
        }
        self.known.insert(place.digest, pass);
    }
}

impl Pass {
    /// The session's id, from the head that the pass was found by.
    pub fn session_id(&self, config: &Config, head: &UnreadHead<'_>) -> Option<SessionId> {
        config.session.keys.open_cookie(head.headers.get(self.cookie.clone())?)
    }
}

#[cfg(test)]
mod tests;
