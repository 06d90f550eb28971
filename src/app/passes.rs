//! Passes: what was decided about calls, for the entry to recognise the next one like it.
//!
//! Whether a call may act with a session, and what is changed about its head, hangs on its origin,
//! route, method and headers, and on nothing else of its URL ([`decide`](crate::http::decide)). A
//! page sends the same headers with nearly every call. So the entry keeps what was decided under
//! method and headers, byte for byte, with the number of a pass; of the next call that has the same
//! only number and URL come here.
//!
//! A pass holds no clock, no token and no word about the session's life. Whether it lives is found
//! out for each call, so nothing that ends a session has to end a pass. And it holds no secret: the
//! session's key is its object's name. (The entry's half holds what calls are recognised by, the
//! cookie among it.)

use std::collections::HashMap;

use crate::{
    config::{Config, Route},
    http::{
        cookies,
        csrf::CsrfVerified,
        decide::Forward,
        forward::UrlRule,
        head::{RequestHead, RequestUrl},
        route::{self, Target},
    },
    session::{SessionId, SessionKey, TokenKey},
};

/// How many passes are kept at most; where there are more it begins anew.
pub const MAX_PASSES: usize = 16_384;

/// The passes of one isolate.
#[derive(Debug, Default)]
pub struct Passes {
    known: HashMap<u64, Pass>,
    last: u64,
}

/// Calls that may act with a session. Made only of one that was decided so.
#[derive(Debug)]
pub struct Pass {
    /// Whose they are.
    pub session: SessionKey,
    /// Which origin they come to, and by which route they go, as places in the configuration.
    origin: usize,
    route: usize,
    #[expect(dead_code, reason = "held as the proof that the calls may act with the session")]
    proof: CsrfVerified,
}

/// A pass as the entry needs it.
#[derive(Debug)]
pub struct Kept<'c> {
    /// The pass's number, which no other pass of this instance has or had. Never 0.
    pub number: u64,
    /// Where the calls go.
    pub url: UrlRule<'c>,
    /// Whose they are.
    pub session_id: SessionId,
    /// Which token they carry.
    pub token: &'c TokenKey,
}

impl Passes {
    /// The pass of this number, if a call to this URL has it, with its route.
    pub fn find<'c>(
        &self,
        config: &'c Config,
        number: u64,
        url: &str,
    ) -> Option<(&Pass, &'c Route)> {
        let url = RequestUrl::parse(url).ok()?;
        let pass = self.known.get(&number)?;
        let origin = config.origins.get(pass.origin)?;
        let Target::Route(route) = route::choose(config, url.path) else { return None };
        let is_meant = origin.serialized == url.origin
            && std::ptr::eq(route, config.routes.get(pass.route)?)
            && UrlRule::new(route, origin).reaches(url);
        is_meant.then_some((pass, route))
    }

    /// The pass of this number, where its call was found to have it.
    pub fn found<'c>(&self, config: &'c Config, number: u64) -> Option<(&Pass, &'c Route)> {
        let pass = self.known.get(&number)?;
        Some((pass, config.routes.get(pass.route)?))
    }

    /// Keeps what was decided about a call with a token. Not for a body or a socket, whose headers
    /// hardly come twice, and not where KV is asked for every call: that takes the whole head.
    pub fn keep<'c>(
        &mut self,
        config: &'c Config,
        head: &RequestHead<'_>,
        forward: Forward<'c>,
    ) -> Option<Kept<'c>> {
        let Forward { route, origin, .. } = forward;
        let url = UrlRule::new(route, origin);
        let RequestHead { origin: called, path, query, .. } = *head;
        if (config.session.store.is_kv() && config.session.cache.is_zero())
            || head.has_body()
            || forward.headers.is_socket
            || !url.reaches(RequestUrl { origin: called, path, query })
        {
            return None;
        }
        let value = cookies::session(head.known.cookie, origin)?;
        let session_id = config.session.keys.open_cookie(value)?;
        let pass = Pass {
            session: session_id.key(),
            origin: config.origins.iter().position(|own| std::ptr::eq(own, origin))?,
            route: config.routes.iter().position(|own| std::ptr::eq(own, route))?,
            proof: forward.attached?.into_proof(),
        };
        if self.known.len() >= MAX_PASSES {
            self.known.clear();
        }
        self.last = self.last.saturating_add(1);
        self.known.insert(self.last, pass);
        Some(Kept { number: self.last, url, session_id, token: &route.token })
    }
}

#[cfg(test)]
mod tests;
