//! A machine with an adapter in memory: the row, the alarm, the work under way, the replies.

mod ends;
mod logins;
mod model;
mod promises;
mod refreshes;
mod revocations;
mod storage;
mod versions;

use std::{collections::BTreeMap, time::Duration};

use super::*;
use crate::{
    base64url,
    config::{ClientAuth, ProviderConfig, SessionConfig, Store},
    oauth::{Metadata, pkce::CodeVerifier, revocation::TokenTypeHint, token::TokenResponse},
    secret::Secret,
    session::{
        EndReason, GrantedToken, Identity, IndexNames, Login, LoginFailure, Transaction,
        Unavailable,
        protocol::{EndedReply, LogoutTicketKey},
    },
};

pub(super) const T0: Timestamp = Timestamp::from_secs(1_800_000_000);

pub(super) fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

pub(super) fn ring_key(byte: u8) -> String {
    let mut bytes = [byte; 32];
    bytes[0] ^= 1;
    base64url::encode(bytes)
}

pub(super) fn ring(session_keys: &str) -> KeyRing {
    KeyRing::parse(session_keys, &ring_key(9)).unwrap()
}

pub(super) fn config() -> ObjectConfig {
    ObjectConfig {
        provider: ProviderConfig {
            issuer: "https://id.example.com/".to_owned(),
            client_id: "client".to_owned(),
            client_auth: ClientAuth::ClientSecretPost("client-secret".into()),
            scopes: vec!["openid".to_owned()],
            ..crate::oauth::testing::provider()
        },
        session: SessionConfig {
            store: Store::Durable,
            idle: secs(3600),
            absolute: secs(86_400),
            cache: secs(5),
            revocation_ticket: secs(3600),
            keys: ring(&format!("a:{}", ring_key(1))),
        },
    }
}

pub(super) fn session_id() -> SessionId {
    SessionId::from_bytes([7; 32])
}

pub(super) fn key_a() -> TokenKey {
    TokenKey { resource: Some("https://a.example.com".to_owned()), scope: None }
}

pub(super) fn key_b() -> TokenKey {
    TokenKey { resource: Some("https://b.example.com".to_owned()), scope: None }
}

pub(super) fn login(code: &str) -> Login {
    Login {
        transaction: Transaction {
            state: "the-state".into(),
            nonce: "the-nonce".into(),
            verifier: CodeVerifier::from_bytes([3; 32]),
            return_to: "/".to_owned(),
            issuer: "https://id.example.com/".to_owned(),
            redirect_uri: "https://app.example.com/auth/callback".to_owned(),
            origin: "https://app.example.com".to_owned(),
            session_id: session_id(),
            earlier: None,
            started: T0,
            max_age: None,
            acr_values: None,
        },
        code: code.into(),
        metadata: Metadata {
            issuer: "https://id.example.com/".to_owned(),
            authorization_endpoint: "https://id.example.com/authorize".to_owned(),
            token_endpoint: "https://id.example.com/token".to_owned(),
            jwks_uri: "https://id.example.com/jwks".to_owned(),
            userinfo_endpoint: None,
            revocation_endpoint: Some("https://id.example.com/revoke".to_owned()),
            end_session_endpoint: Some("https://id.example.com/end".to_owned()),
            authorization_response_iss_parameter_supported: true,
        },
        token: key_a(),
        device: crate::device::DeviceName::default(),
    }
}

pub(super) fn response(name: &str, expires_in: Option<u64>, refresh: bool) -> TokenResponse {
    TokenResponse {
        access_token: format!("access-{name}").into(),
        expires_in: expires_in.map(secs),
        refresh_token: refresh.then(|| format!("refresh-{name}").into()),
        id_token: Some(format!("id-{name}").into()),
        scope: None,
    }
}

pub(super) fn identity(groups: &str) -> Identity {
    Identity {
        issuer: "https://id.example.com/".to_owned(),
        subject: "the-subject".to_owned(),
        audience: vec!["client".to_owned()],
        sid: Some("the-sid".to_owned()),
        auth_time: Some(1_800_000_000),
        nonce: Some("the-nonce".to_owned()),
        claims: [("groups".to_owned(), groups.into())].into_iter().collect(),
    }
}

/// What a machine does, kept.
pub(super) struct World {
    pub(super) config: ObjectConfig,
    pub(super) machine: Machine,
    pub(super) now: Timestamp,
    pub(super) row: Option<Vec<u8>>,
    pub(super) alarm: Option<Timestamp>,
    /// Rows written: puts and alarms.
    pub(super) rows: usize,
    pub(super) puts: usize,
    pub(super) works: Vec<Work>,
    pub(super) replies: BTreeMap<CallerId, Vec<Reply>>,
    pub(super) unlisted: Vec<(SessionKey, IndexNames)>,
    pub(super) events: Vec<Event>,
    callers: u64,
    random: u64,
}

impl World {
    pub(super) fn new() -> Self {
        Self::with(config())
    }

    pub(super) fn with(config: ObjectConfig) -> Self {
        let machine = Machine::load(config.clone(), None);
        Self {
            config,
            machine,
            now: T0,
            row: None,
            alarm: None,
            rows: 0,
            puts: 0,
            works: Vec::new(),
            replies: BTreeMap::new(),
            unlisted: Vec::new(),
            events: Vec::new(),
            callers: 0,
            random: 0,
        }
    }

    /// A session with a token for [`key_a`].
    pub(super) fn logged_in(expires_in: Option<u64>, refresh: bool) -> Self {
        let mut world = Self::new();
        world.log_in(expires_in, refresh);
        world
    }

    pub(super) fn log_in(&mut self, expires_in: Option<u64>, refresh: bool) {
        let caller = self.ask(Command::Login(Box::new(login("code"))));
        assert!(matches!(self.works.pop(), Some(Work::Login(_))));
        self.login_done(Ok(NewSession {
            response: response("1", expires_in, refresh),
            identity: identity("staff"),
            issued_at: T0,
        }));
        assert!(matches!(self.reply(caller), Reply::LoggedIn { .. }));
    }

    pub(super) fn ask(&mut self, command: Command) -> CallerId {
        let session_key = session_id().key();
        self.deliver(Envelope { protocol: PROTOCOL, session_key, command })
    }

    pub(super) fn deliver(&mut self, envelope: Envelope) -> CallerId {
        self.callers += 1;
        let caller = CallerId(self.callers);
        self.input(Input::Command { caller, envelope });
        caller
    }

    pub(super) fn input(&mut self, input: Input) {
        let random = &mut self.random;
        let mut entropy = |bytes: &mut [u8]| {
            for byte in bytes {
                *random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                *byte = (*random >> 56) as u8;
            }
        };
        let effects = self.machine.handle(input, self.now, &mut entropy);
        let mut acted = false;
        for effect in effects {
            match effect {
                Effect::Put(row) => {
                    assert!(!acted, "written after it was acted on");
                    self.row = Some(row);
                    self.rows += 1;
                    self.puts += 1;
                }
                Effect::DeleteAll => {
                    assert!(!acted, "deleted after it was acted on");
                    self.row = None;
                    self.alarm = None;
                }
                Effect::SetAlarm(alarm) => {
                    self.alarm = alarm;
                    self.rows += 1;
                }
                Effect::Start(work) => {
                    acted = true;
                    self.works.push(work);
                }
                Effect::Reply(caller, reply) => {
                    acted = true;
                    self.replies.entry(caller).or_default().push(reply);
                }
                Effect::Unlist { session, names } => self.unlisted.push((session, names)),
                Effect::Audit(event) => self.events.push(event),
            }
        }
    }

    pub(super) fn access(&mut self, token: TokenKey, refused_epoch: Option<u64>) -> CallerId {
        self.ask(Command::Access { session_id: session_id(), token, refused_epoch })
    }

    pub(super) fn end(&mut self, reason: EndReason, keep_id_token: bool) -> CallerId {
        self.ask(Command::End { session_id: session_id(), reason, keep_id_token })
    }

    pub(super) fn is_alive(&mut self) -> bool {
        let caller = self.ask(Command::Status { session_id: session_id(), touch: false });
        matches!(self.reply(caller), Reply::Status(_))
    }

    pub(super) fn login_done(&mut self, result: Result<NewSession, LoginFailure>) {
        self.input(Input::LoginDone(Box::new(result)));
    }

    pub(super) fn refreshed(&mut self, name: &str, expires_in: Option<u64>, rotates: bool) {
        let response = TokenResponse { id_token: None, ..response(name, expires_in, rotates) };
        let new = Refreshed { response, identity: None };
        self.input(Input::RefreshDone(RefreshOutcome::Refreshed(Box::new(new))));
    }

    pub(super) fn refresh_failed(&mut self, failure: crate::audit::RefreshFailure) {
        self.input(Input::RefreshDone(RefreshOutcome::Failed(failure)));
    }

    pub(super) fn wait(&mut self, duration: Duration) {
        self.now = self.now.after(duration);
    }

    /// The platform's alarm, if it is due.
    pub(super) fn ring(&mut self) -> bool {
        let is_due = self.alarm.is_some_and(|alarm| alarm <= self.now);
        if is_due {
            self.alarm = None;
            self.input(Input::Alarm);
        }
        is_due
    }

    /// The object stops and starts again with what is stored. Work under way is lost.
    pub(super) fn restart(&mut self) {
        self.works.clear();
        self.machine = Machine::load(self.config.clone(), self.row.as_deref());
    }

    pub(super) fn restart_with(&mut self, config: ObjectConfig) {
        self.config = config;
        self.restart();
    }

    /// The one reply that this caller got.
    pub(super) fn reply(&mut self, caller: CallerId) -> Reply {
        let mut replies = self.replies.remove(&caller).unwrap_or_default();
        assert_eq!(replies.len(), 1, "{caller:?}: {replies:?}");
        replies.pop().unwrap()
    }

    pub(super) fn grant(&mut self, caller: CallerId) -> GrantedToken {
        match self.reply(caller) {
            Reply::Granted(grant) => *grant,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn ended(&mut self, caller: CallerId) -> EndedReply {
        match self.reply(caller) {
            Reply::Ended(ended) => *ended,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn is_waiting(&self, caller: CallerId) -> bool {
        !self.replies.contains_key(&caller)
    }

    /// The one refresh under way.
    pub(super) fn refresh_work(&mut self) -> RefreshWork {
        assert_eq!(self.works.len(), 1, "{:?}", self.works);
        match self.works.pop() {
            Some(Work::Refresh(work)) => *work,
            other => panic!("{other:?}"),
        }
    }

    /// The token of the one revocation under way.
    pub(super) fn revoked(&mut self) -> String {
        assert_eq!(self.works.len(), 1, "{:?}", self.works);
        match self.works.pop() {
            Some(Work::Revoke { token, endpoint, hint }) => {
                assert_eq!(endpoint, "https://id.example.com/revoke");
                let is_refresh_token = token.expose().starts_with("refresh-");
                assert_eq!(hint == TokenTypeHint::RefreshToken, is_refresh_token);
                token.expose().clone()
            }
            other => panic!("{other:?}"),
        }
    }

    /// Every revocation, answered so, in their order.
    pub(super) fn revokes_all(&mut self, outcome: RevocationOutcome) -> Vec<String> {
        let mut revoked = Vec::new();
        while !self.works.is_empty() {
            revoked.push(self.revoked());
            self.input(Input::RevocationDone(outcome));
        }
        revoked
    }

    pub(super) fn ended_because(&self) -> Vec<EndReason> {
        let reason = |event: &Event| match event {
            Event::SessionEnded { reason, .. } => Some(*reason),
            _ => None,
        };
        self.events.iter().filter_map(reason).collect()
    }
}

pub(super) fn unavailable(reply: &Reply) -> Option<Unavailable> {
    match reply {
        Reply::Unavailable(why) => Some(*why),
        _ => None,
    }
}

pub(super) fn text(secret: Option<&Secret<String>>) -> Option<&str> {
    secret.map(|secret| secret.expose().as_str())
}

pub(super) type Ticket = LogoutTicketKey;

/// What a refresh leaves that the provider was too busy for.
pub(crate) fn closed_gates() -> Gates {
    let mut world = World::logged_in(None, true);
    let _ = world.access(key_b(), None);
    world.refresh_failed(crate::audit::RefreshFailure::ProviderOverloaded);
    world.machine.gates()
}
