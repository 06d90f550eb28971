//! A call like one before it: the entry comes with its [pass](crate::app::passes) and its URL.
//!
//! [`Calls::remember`] gives a pass to what was decided; [`Calls::recall`] stands in the place of
//! [`Calls::begin`] then, and [`Calls::recall_replied`] in the place of [`Calls::replied`]. What they can't
//! tell is decided as if there were no pass.

use super::{Calls, Carried, TokenFacts};
use crate::{
    app::passes::Kept,
    config::Config,
    http::{decide::Forward, head::RequestHead},
    secret::Secret,
    session::{GrantedToken, Reply},
    time::Timestamp,
};

/// What is to be done with a call that has a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recalled {
    /// Decide anew: there is no such pass, or the URL isn't one of its calls'.
    Unknown,
    /// Send it on with this grant.
    Granted {
        /// The grant's serial.
        serial: u64,
    },
    /// Ask the session's object.
    Ask {
        /// How many sessions this isolate has ended: a part of the question.
        ends: u64,
    },
}

/// What a call with a pass carries.
#[derive(Debug)]
pub struct Granted<'k> {
    /// The token's facts.
    pub carried: Carried,
    /// The token.
    pub access_token: &'k Secret<String>,
    /// The serial of the grant, if it is kept.
    pub serial: Option<u64>,
}

impl Calls {
    /// Keeps what was decided about a call, for the next one like it.
    pub fn remember<'c>(
        &mut self,
        config: &'c Config,
        head: &RequestHead<'_>,
        forward: Forward<'c>,
    ) -> Option<Kept<'c>> {
        self.passes.keep(config, head, forward)
    }

    /// How many sessions this isolate has ended.
    pub const fn ends(&self) -> u64 {
        self.ends
    }

    /// Decides about a call to `url` with the pass of this number.
    pub fn recall(&mut self, config: &Config, pass: u64, url: &str, now: Timestamp) -> Recalled {
        let Some((pass, route)) = self.passes.find(config, pass, url) else {
            return Recalled::Unknown;
        };
        match self.grants.find(&pass.session, &route.token, config.session.cache, now) {
            Some(kept) => Recalled::Granted { serial: kept.serial },
            None => Recalled::Ask { ends: self.ends },
        }
    }

    /// The grant that [`Self::recall`] just told the serial of.
    pub fn granted(&mut self, config: &Config, pass: u64, now: Timestamp) -> Option<Granted<'_>> {
        let (pass, route) = self.passes.found(config, pass)?;
        let kept = self.grants.find(&pass.session, &route.token, config.session.cache, now)?;
        Some(Granted::of(&kept.grant.token, Some(kept.serial)))
    }

    /// Goes on with a call after [`Self::recall`] said to ask, and its session's object was asked: nothing
    /// where the reply is no token, or the pass is gone.
    pub fn recall_replied<'k>(
        &mut self,
        config: &Config,
        pass: u64,
        asked_at: Timestamp,
        ends: u64,
        reply: Option<&'k Reply>,
    ) -> Option<Granted<'k>> {
        let Some(Reply::Granted(token)) = reply else { return None };
        let (pass, route) = self.passes.found(config, pass)?;
        let session = pass.session.clone();
        let serial = self.bring_in(config, session, &route.token, token, asked_at, ends);
        Some(Granted::of(token, serial))
    }
}

impl<'k> Granted<'k> {
    const fn of(token: &'k GrantedToken, serial: Option<u64>) -> Self {
        let carried = Carried { token: Some(TokenFacts::of(token)), is_renewed: false };
        Self { carried, access_token: &token.access_token, serial }
    }
}
