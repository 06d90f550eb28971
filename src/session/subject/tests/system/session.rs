//! A session's object, the machine as it is; and one that only says whether it lives, of which a
//! hundred are cheap.

use super::*;
use crate::{
    config::{SessionConfig, Store},
    oauth::{Metadata, pkce::CodeVerifier, token::TokenResponse},
    session::{
        Identity, Input, Login, Machine, NewSession, ObjectConfig, TokenKey,
        lifetime::Deadlines,
        record::{IndexNames, Row as SessionRow},
    },
};

pub(super) struct SessionObject {
    pub(super) id: SessionId,
    pub(super) key: SessionKey,
    pub(super) person: u8,
    pub(super) sid: Option<u8>,
    /// The names of its indexes.
    pub(super) names: IndexNames,
    pub(super) began: Timestamp,
    /// `iat` of its ID token, once there is one.
    pub(super) issued_at: Option<Timestamp>,
    pub(super) object: Kind,
    pub(super) row: Option<Vec<u8>>,
    pub(super) alarm: Option<Timestamp>,
    /// Counts restarts: what was begun before one is lost with it.
    pub(super) life: u32,
    pub(super) waiting: BTreeMap<CallerId, (u64, Option<Question>)>,
    /// Of the session in the row, if there is one.
    deadlines: Option<Deadlines>,
}

pub(super) enum Kind {
    Real(Option<Box<Machine>>),
    /// Whether it lives.
    Filler(bool),
}

impl SessionObject {
    pub(super) fn new(
        nth: u32,
        person: u8,
        sid: Option<u8>,
        names: IndexNames,
        began: Timestamp,
    ) -> Self {
        let mut id = [7; 32];
        id[..4].copy_from_slice(&nth.to_be_bytes());
        let id = SessionId::from_bytes(id);
        Self {
            key: id.key(),
            id,
            person,
            sid,
            names,
            began,
            issued_at: None,
            object: Kind::Real(None),
            row: None,
            alarm: None,
            life: 0,
            waiting: BTreeMap::new(),
            deadlines: None,
        }
    }

    pub(super) fn filler(nth: u32, names: IndexNames, issued_at: Timestamp) -> Self {
        let began = T0.before(secs(300));
        let object = Kind::Filler(true);
        Self { object, issued_at: Some(issued_at), ..Self::new(nth, 0, None, names, began) }
    }

    /// What the machine makes of an input.
    pub(super) fn handle(
        &mut self,
        input: Input,
        config: &ObjectConfig,
        now: Timestamp,
        entropy: &mut dyn FnMut(&mut [u8]),
    ) -> Vec<crate::session::Effect> {
        let Kind::Real(machine) = &mut self.object else { return Vec::new() };
        let row = self.row.as_deref();
        let machine = machine.get_or_insert_with(|| Box::new(Machine::load(config.clone(), row)));
        machine.handle(input, now, entropy)
    }

    pub(super) fn forgets(&mut self) {
        if let Kind::Real(machine) = &mut self.object {
            *machine = None;
        }
    }

    pub(super) fn stores(&mut self, row: Option<Vec<u8>>) {
        self.deadlines = match row.as_deref().map(SessionRow::decode) {
            Some(SessionRow::Live(closed)) => Some(closed.open.deadlines),
            _ => None,
        };
        self.row = row;
    }

    /// Whether it answers calls.
    pub(super) fn lives(&self, now: Timestamp) -> bool {
        match self.object {
            Kind::Filler(lives) => lives && now < self.began.after(ABSOLUTE),
            Kind::Real(_) => self.deadlines.is_some_and(|limits| limits.ended(now).is_none()),
        }
    }

    pub(super) fn identity(&self) -> Identity {
        Identity {
            issuer: ISSUER.to_owned(),
            subject: format!("person {}", self.person),
            audience: Vec::new(),
            sid: self.sid.map(|sid| format!("sid {sid}")),
            auth_time: None,
            nonce: None,
            claims: serde_json::Map::new(),
        }
    }

    /// What the use case of a login has listed, for its `at`th index.
    pub(super) fn registration(&self, whose: Whose, now: Timestamp) -> Registration {
        let names = self.names.clone();
        Registration {
            authenticated_at: None,
            whose,
            session: self.key.clone(),
            issued_at: self.issued_at.expect("it is registered after its ID token came"),
            began: self.began,
            created: now,
            expires: now.after(ABSOLUTE),
            device: DeviceName::default(),
            subject: names.subject,
            sid: names.sid,
        }
    }

    pub(super) fn login(&self) -> Command {
        let nth = self.key.name();
        Command::Login(Box::new(Login {
            transaction: Transaction {
                state: nth.clone().into(),
                nonce: "nonce".into(),
                verifier: CodeVerifier::from_bytes([3; 32]),
                return_to: "/".to_owned(),
                issuer: ISSUER.to_owned(),
                redirect_uri: "https://app.example.com/auth/callback".to_owned(),
                origin: "https://app.example.com".to_owned(),
                session_id: self.id.clone(),
                earlier: None,
                started: self.began,
                max_age: None,
                acr_values: None,
            },
            code: nth.into(),
            metadata: Metadata {
                issuer: ISSUER.to_owned(),
                authorization_endpoint: String::new(),
                token_endpoint: String::new(),
                jwks_uri: String::new(),
                userinfo_endpoint: None,
                revocation_endpoint: Some("https://id.example.com/revoke".to_owned()),
                end_session_endpoint: None,
                authorization_response_iss_parameter_supported: true,
            },
            token: TokenKey::default(),
            device: DeviceName::default(),
        }))
    }

    pub(super) fn new_session(&self) -> NewSession {
        let issued_at = self.issued_at.unwrap_or(self.began);
        NewSession { response: tokens(), identity: self.identity(), issued_at }
    }
}

pub(super) fn tokens() -> TokenResponse {
    TokenResponse {
        access_token: "access".into(),
        expires_in: Some(secs(30)),
        refresh_token: Some("refresh".into()),
        id_token: None,
        scope: None,
    }
}

/// Long limits: what ends early ends for another reason.
pub(super) fn config(keys: &KeyRing) -> ObjectConfig {
    ObjectConfig {
        provider: crate::config::ProviderConfig {
            issuer: ISSUER.to_owned(),
            ..crate::oauth::testing::provider()
        },
        session: SessionConfig {
            store: Store::Durable,
            idle: secs(72_000),
            absolute: ABSOLUTE,
            cache: secs(5),
            revocation_ticket: secs(0),
            keys: keys.clone(),
        },
    }
}
