//! A login: the code is exchanged once, and everyone who brings the same transaction and code gets
//! the same result.
//!
//! Before the exchange a marker is written. One that is found after a restart says that the code
//! may be spent and that its answer is lost: the person logs in again ([`LoginFailure::CodeRefused`]).
//! The same where the provider gave no usable answer: a code is never sent twice, since a provider
//! that has seen it revokes what it brought.

use super::{
    super::{
        SessionId, TokenKey, Transaction,
        lifetime::{Deadlines, HeldToken},
        protocol::{Login, LoginFailure, Reply},
        record::{Contents, Endpoints, FailedLogin, IndexNames, Marker, OpenPart, Tombstone},
        subject::SignIn,
    },
    CallerId, Machine, NewSession, Session, State, Turn, Work,
    revocation::Remains,
    to_the_hour,
};
use crate::{audit::Event, time::Timestamp};

/// A code exchange under way.
#[derive(Debug)]
pub(super) struct LoginFlight {
    pub(super) waiters: Vec<CallerId>,
    began: Timestamp,
    /// When the person was sent to the provider.
    started: Timestamp,
    session_id: SessionId,
    issuer: String,
    origin: String,
    endpoints: Endpoints,
    token: TokenKey,
}

impl Machine {
    pub(super) fn log_in(&mut self, caller: CallerId, login: Box<Login>, turn: &mut Turn<'_>) {
        let login_id = self.keys().keyed_hash(
            "login",
            &[login.transaction.state.expose().as_bytes(), login.code.expose().as_bytes()],
        );
        let is_expired = login.transaction.is_expired(turn.now);
        if ![&login.transaction.issuer, &login.metadata.issuer]
            .into_iter()
            .all(|issuer| self.is_own_provider(issuer))
        {
            // A Worker half of another configuration, while a deployment is on its way.
            return turn.reply(caller, Reply::Unsupported);
        }
        let reply = match &self.state {
            State::Empty if is_expired => Reply::LoginFailed(LoginFailure::Expired),
            State::Empty if self.login.is_some() => already_used(),
            State::Empty => return self.start_login(caller, login, login_id, turn),
            State::Exchanging(marker) if marker.login_id != login_id => already_used(),
            State::Exchanging(_) => match &mut self.login {
                Some(flight) => return flight.waiters.push(caller),
                None => Reply::LoginFailed(LoginFailure::CodeRefused),
            },
            State::Closed(_) | State::Open(_) => {
                self.already_logged_in(&login.transaction.session_id, &login_id, turn.now)
            }
            State::Ended(Tombstone { login: Some(failed), .. }) if failed.id == login_id => {
                Reply::LoginFailed(failed.failure)
            }
            State::Ended(_) | State::Damaged => already_used(),
            State::Newer { .. } => Reply::Unsupported,
        };
        turn.reply(caller, reply);
    }

    fn already_logged_in(&mut self, id: &SessionId, login_id: &str, now: Timestamp) -> Reply {
        match self.open(id) {
            Some(session)
                if session.contents.login_id == login_id && session.ended(now).is_none() =>
            {
                Reply::LoggedIn { absolute_deadline: session.open.deadlines.absolute }
            }
            _ => already_used(),
        }
    }

    fn start_login(
        &mut self,
        caller: CallerId,
        login: Box<Login>,
        login_id: String,
        turn: &mut Turn<'_>,
    ) {
        let Login { transaction, metadata, token, .. } = &*login;
        self.login = Some(LoginFlight {
            waiters: vec![caller],
            began: turn.now,
            started: transaction.started,
            session_id: transaction.session_id.clone(),
            issuer: transaction.issuer.clone(),
            origin: transaction.origin.clone(),
            endpoints: Endpoints {
                token: metadata.token_endpoint.clone(),
                jwks_uri: metadata.jwks_uri.clone(),
                revocation: metadata.revocation_endpoint.clone(),
                end_session: metadata.end_session_endpoint.clone(),
                userinfo: metadata.userinfo_endpoint.clone(),
            },
            token: token.clone(),
        });
        let until = transaction.started.after(Transaction::LIFETIME);
        let limit = self.config.session.idle.min(self.config.session.absolute);
        self.state = State::Exchanging(Marker {
            session: transaction.session_id.key(),
            login_id,
            began: turn.now,
            until,
            wake: until.min(turn.now.after(limit)),
        });
        turn.dirty = true;
        turn.starts.push(Work::Login(login));
    }

    pub(super) fn login_done(
        &mut self,
        result: Result<NewSession, LoginFailure>,
        turn: &mut Turn<'_>,
    ) {
        let Some(mut flight) = self.login.take() else { return };
        let marker = match &self.state {
            State::Exchanging(marker) => marker.clone(),
            // Ended while it was under way: nobody owns what it brought.
            _ => return self.disown(result.ok(), flight, turn),
        };
        // The issuer is the use case's to check; what is kept says so once more.
        let result = match result {
            Ok(new) if new.identity.issuer != flight.issuer => Err(LoginFailure::IdentityRefused),
            other => other,
        };
        let waiters = std::mem::take(&mut flight.waiters);
        let session_name = self.keys().audit_name(&marker.session);
        let result = match result {
            Ok(new) => {
                let session = self.new_session(flight, marker, new, turn.now);
                let deadline = session.open.deadlines.absolute;
                self.state = State::Open(Box::new(session));
                turn.dirty = true;
                turn.events.push(Event::SessionStarted { session: session_name });
                Ok(deadline)
            }
            Err(failure) => {
                turn.events.push(Event::LoginFailed { session: session_name, failure });
                let login = Some(FailedLogin { id: marker.login_id, failure });
                let tombstone = Tombstone::new(marker.session, marker.until);
                self.state = State::Ended(Tombstone { login, ..tombstone });
                turn.dirty = true;
                Err(failure)
            }
        };
        for waiter in waiters {
            turn.reply(
                waiter,
                match result {
                    Ok(absolute_deadline) => Reply::LoggedIn { absolute_deadline },
                    Err(failure) => Reply::LoginFailed(failure),
                },
            );
        }
    }

    fn new_session(
        &self,
        flight: LoginFlight,
        marker: Marker,
        new: NewSession,
        now: Timestamp,
    ) -> Session {
        let NewSession { mut response, identity, issued_at } = new;
        response.refresh_token.take_if(|_| !self.config.keeps_refresh_tokens());
        let token = HeldToken::new(
            flight.token,
            response.access_token,
            1,
            flight.began,
            response.expires_in,
        );
        let ends_with_token = response.refresh_token.is_none().then_some(token.expires_at);
        let open = OpenPart {
            kid: self.keys().first_kid().to_owned(),
            session: marker.session,
            epoch: 1,
            deadlines: Deadlines {
                idle: now.after(self.config.session.idle),
                absolute: flight.began.after(self.config.session.absolute),
                token: ends_with_token.flatten(),
            },
            // A logout that came while the code was exchanged means this session as well.
            created: flight.began,
            last_seen: to_the_hour(now),
            names: IndexNames::of(&identity, self.keys()),
            alarm: None,
        };
        // An object's session was held against all logouts when it was listed.
        let sign_in = self.config.session.store.is_kv().then(|| SignIn {
            began: flight.started,
            issued_at,
            authenticated_at: identity.auth_time.map(Timestamp::from_secs),
        });
        let contents = Contents {
            tokens: vec![token],
            refresh_token: response.refresh_token,
            id_token: response.id_token,
            identity,
            endpoints: flight.endpoints,
            origin: flight.origin,
            login_id: marker.login_id,
            sending: false,
            lost: false,
            sign_in,
        };
        Session { id: flight.session_id, open, contents }
    }

    /// Revokes what a login brought after its session had been ended.
    fn disown(&mut self, new: Option<NewSession>, flight: LoginFlight, turn: &mut Turn<'_>) {
        let Some(new) = new else { return };
        let names = IndexNames::of(&new.identity, self.keys());
        turn.unlists.push((flight.session_id.key(), names));
        let Some(endpoint) = flight.endpoints.revocation else { return };
        let remains = Remains {
            session: flight.session_id.key(),
            issuer: flight.issuer,
            endpoint,
            refresh_token: new.response.refresh_token,
            access_tokens: vec![new.response.access_token],
        };
        // Nobody has logged out of a session that never was: no ticket, one try.
        let _none = self.revoke(None, remains, turn);
    }

    /// Tells everyone who waits for a login that it came to nothing; what it brings is disowned.
    pub(super) fn cancel_login(&mut self, failure: LoginFailure, turn: &mut Turn<'_>) {
        let Some(flight) = &mut self.login else { return };
        for waiter in std::mem::take(&mut flight.waiters) {
            turn.reply(waiter, Reply::LoginFailed(failure));
        }
    }
}

const fn already_used() -> Reply {
    Reply::LoginFailed(LoginFailure::AlreadyUsed)
}
