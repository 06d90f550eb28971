//! The session object's states and commands as a pure function: a state, an input and a time give
//! a state and what to do.
//!
//! ```text
//!            Login            LoginDone(Ok)             Access, Status
//!   Empty ────────► Exchanging ───────────► Open ◄──────────────────── Closed
//!     │                 │                    │                            ▲
//!     │ End             │ LoginDone(Err)     │ End, a limit,              │ load
//!     ▼                 ▼                    ▼ a refused refresh          │
//!   Ended ◄─────────────┴────────────────────┘        (alarm) ──► Empty   row
//! ```
//!
//! How nothing is lost and nothing done twice: whatever an input changes is written in *one* row
//! before any work or reply that rests on it (`Turn::effects` puts the list in that order). The
//! object is the row's only writer and takes one input at a time, so a crash leaves the row of the
//! input before: a login finds its `Exchanging`, a refresh its `sending`. Work is single-flight:
//! whoever comes later waits for it, and everyone is answered exactly once, whatever ends first.

mod end;
mod login;
mod refresh;
mod revocation;
#[cfg(test)]
pub(crate) mod tests;
mod tokens;
mod turn;
mod work;

use std::{collections::VecDeque, time::Duration};

pub use work::{
    CallerId, Effect, Input, NewSession, RefreshOutcome, RefreshWork, Refreshed, RevocationOutcome,
    Work,
};

use self::{
    login::LoginFlight,
    refresh::{Gate, RefreshFlight},
    revocation::Revocation,
    turn::Turn,
};
use super::{
    KeyRing, SessionId, SessionKey, TokenKey,
    alarm::Alarm,
    lifetime::Deadlines,
    protocol::{Command, Envelope, ObjectConfig, PROTOCOL, Reply, StatusReply},
    record::{
        self, ClosedRecord, Contents, Marker, OpenPart, Row, Tombstone, encode_marker,
        encode_tombstone,
    },
    seal::NONCE,
};
use crate::{audit::Event, time::Timestamp};

/// How long a newer release's row is left before it is looked at again.
const NEWER_RECHECK: Duration = Duration::from_secs(600);

/// A session's object.
#[derive(Debug)]
pub struct Machine {
    config: ObjectConfig,
    state: State,
    alarm: Alarm,
    login: Option<LoginFlight>,
    refresh: Option<RefreshFlight>,
    /// Who waits for a token while one for another key is under way.
    queue: Vec<(TokenKey, Vec<CallerId>)>,
    /// What keeps refreshes back for a while.
    gates: Vec<Gate>,
    revoking: Option<Revocation>,
    revocations: VecDeque<Revocation>,
    /// A row could not be encoded: nothing that rests on it is answered any more.
    broken: bool,
}

#[derive(Debug)]
enum State {
    /// Nothing is stored.
    Empty,
    /// A code is being exchanged, or was when the object stopped.
    Exchanging(Marker),
    /// A session that nobody has opened since the object started.
    Closed(Box<ClosedRecord>),
    /// A session; kept open while the object lives.
    Open(Box<Session>),
    /// A tombstone.
    Ended(Tombstone),
    /// A newer release's row: left alone, and said so once.
    Newer { is_reported: bool },
    /// Nobody's row.
    Damaged,
}

/// What keeps refreshes back for a while, to be handed to the session's next machine where no
/// machine outlives its command.
#[derive(Clone, Debug, Default)]
pub struct Gates(Vec<Gate>);

impl Gates {
    /// Whether nothing is kept back.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// An opened session.
#[derive(Debug)]
struct Session {
    id: SessionId,
    open: OpenPart,
    contents: Contents,
}

impl Machine {
    /// From the object's one row, if it has one. Writes nothing, opens nothing.
    pub fn load(config: ObjectConfig, stored: Option<&[u8]>) -> Self {
        let (state, alarm) = match stored.map(Row::decode) {
            None => (State::Empty, None),
            Some(Row::Live(mut closed)) => {
                let OpenPart { created, alarm, ref mut deadlines, .. } = closed.open;
                deadlines.shorten(created.after(config.session.absolute));
                (State::Closed(closed), alarm)
            }
            Some(Row::Exchanging(marker)) => {
                let wake = marker.wake;
                (State::Exchanging(marker), Some(wake))
            }
            Some(Row::Ended(tombstone)) => {
                let alarm = tombstone.alarm;
                (State::Ended(tombstone), alarm)
            }
            Some(Row::Newer) => (State::Newer { is_reported: false }, None),
            Some(Row::Damaged) => (State::Damaged, None),
        };
        Self {
            config,
            state,
            alarm: Alarm::named(alarm),
            login: None,
            refresh: None,
            queue: Vec::new(),
            gates: Vec::new(),
            revoking: None,
            revocations: VecDeque::new(),
            broken: false,
        }
    }

    /// With what kept refreshes back in the session's machine before.
    #[must_use]
    pub fn with_gates(self, gates: Gates) -> Self {
        Self { gates: gates.0, ..self }
    }

    /// What keeps refreshes back now.
    pub fn gates(&self) -> Gates {
        Gates(self.gates.clone())
    }

    /// Takes an input and says what to do, in order. `entropy` fills with random bytes of
    /// cryptographic quality.
    pub fn handle(
        &mut self,
        input: Input,
        now: Timestamp,
        entropy: &mut dyn FnMut(&mut [u8]),
    ) -> Vec<Effect> {
        let mut turn = Turn::new(now, entropy);
        let is_alarm = matches!(input, Input::Alarm);
        match input {
            Input::Command { caller, envelope } => self.command(caller, envelope, &mut turn),
            Input::LoginDone(result) => self.login_done(*result, &mut turn),
            Input::RefreshDone(outcome) => self.refresh_done(outcome, &mut turn),
            Input::RevocationDone(outcome) => self.revocation_done(outcome, &mut turn),
            Input::Alarm => self.alarm(&mut turn),
        }
        self.start_next_refresh(&mut turn);
        self.start_next_revocation(&mut turn);
        self.finish(turn, is_alarm)
    }

    fn command(&mut self, caller: CallerId, envelope: Envelope, turn: &mut Turn<'_>) {
        let Envelope { protocol, session_key, command } = envelope;
        if protocol != PROTOCOL {
            return turn.reply(caller, Reply::Unsupported);
        }
        if let State::Newer { is_reported } = &mut self.state {
            if !std::mem::replace(is_reported, true) {
                let session = self.config.session.keys.audit_name(&session_key);
                turn.events.push(Event::NewerRecord { session });
            }
            return turn.reply(caller, Reply::Unsupported);
        }
        if self.broken {
            return turn.reply(caller, Reply::Broken);
        }
        let is_addressed = command.session_id().is_none_or(|id| id.key() == session_key)
            && self.session_key().is_none_or(|own| *own == session_key);
        if !is_addressed {
            return turn.reply(caller, Reply::NoSession);
        }
        match command {
            Command::Login(login) => self.log_in(caller, login, turn),
            Command::Access { session_id, token, refused_epoch } => {
                self.access(caller, &session_id, token, refused_epoch, turn);
            }
            Command::Status { session_id, touch } => {
                let reply = self.status(&session_id, touch, turn);
                turn.reply(caller, reply);
            }
            Command::End { session_id, reason, keep_id_token } => {
                let reply = self.end(&session_id, reason, keep_id_token, turn);
                turn.reply(caller, reply);
            }
            Command::Close { reason } => {
                let reply = self.close(session_key, reason, turn);
                turn.reply(caller, reply);
            }
            Command::Probe => {
                let reply = self.probe(turn);
                turn.reply(caller, reply);
            }
            Command::RedeemLogout { ticket } => {
                let reply = self.redeem_logout(&ticket, turn);
                turn.reply(caller, reply);
            }
        }
    }

    fn status(&mut self, id: &SessionId, touch: bool, turn: &mut Turn<'_>) -> Reply {
        let idle = self.config.session.idle;
        let Some(session) = self.open(id) else { return Reply::NoSession };
        if let Some(reason) = session.ended(turn.now) {
            self.end_session(reason, false, turn);
            return Reply::NoSession;
        }
        if touch && session.touch(idle, turn.now) {
            turn.dirty = true;
        }
        Reply::Status(Box::new(StatusReply {
            claims: session.contents.identity.claims.clone(),
            created: session.open.created,
            idle_deadline: session.open.deadlines.idle,
            absolute_deadline: session.open.deadlines.absolute,
            whose: Some(session.contents.identity.whose()),
        }))
    }

    /// Whether there is a session, for who can't open it. One whose login was lost with an earlier
    /// life of the object will never come.
    fn probe(&mut self, turn: &mut Turn<'_>) -> Reply {
        let last_seen = match &self.state {
            State::Exchanging(_) if self.login.is_some() => {
                return Reply::Lives { last_seen: None };
            }
            State::Closed(closed) => closed.open.last_seen,
            State::Open(session) => session.open.last_seen,
            State::Empty
            | State::Exchanging(_)
            | State::Ended(_)
            | State::Newer { .. }
            | State::Damaged => return Reply::NoSession,
        };
        if let Some(reason) = self.deadlines().and_then(|limits| limits.ended(turn.now)) {
            self.end_without_cookie(reason, turn);
            return Reply::NoSession;
        }
        Reply::Lives { last_seen: Some(last_seen) }
    }

    /// The session, if this id opens it. Opens it once and keeps it open. One of a provider that
    /// isn't configured any more is none: its endpoints would be sent the new one's credentials.
    fn open(&mut self, id: &SessionId) -> Option<&mut Session> {
        if let State::Closed(closed) = &self.state {
            let mut contents = closed.open(&self.config.session.keys, id)?;
            if !self.is_own_provider(&contents.identity.issuer) {
                return None;
            }
            // One from before the operator said so.
            contents.refresh_token.take_if(|_| !self.config.keeps_refresh_tokens());
            let open = closed.open.clone();
            self.state = State::Open(Box::new(Session { id: id.clone(), open, contents }));
        }
        match &mut self.state {
            State::Open(session) if session.id == *id => Some(session),
            _ => None,
        }
    }

    /// Which object this is, once something is stored.
    const fn session_key(&self) -> Option<&SessionKey> {
        match &self.state {
            State::Empty | State::Newer { .. } | State::Damaged => None,
            State::Exchanging(marker) => Some(&marker.session),
            State::Closed(closed) => Some(&closed.open.session),
            State::Open(session) => Some(&session.open.session),
            State::Ended(tombstone) => Some(&tombstone.session),
        }
    }

    /// When the session ends by itself, if there is one.
    const fn deadlines(&self) -> Option<&Deadlines> {
        match &self.state {
            State::Closed(closed) => Some(&closed.open.deadlines),
            State::Open(session) => Some(&session.open.deadlines),
            State::Empty
            | State::Exchanging(_)
            | State::Ended(_)
            | State::Newer { .. }
            | State::Damaged => None,
        }
    }

    /// When the alarm is needed next.
    fn due(&self, now: Timestamp) -> Option<Timestamp> {
        match &self.state {
            State::Empty | State::Damaged => None,
            State::Newer { .. } => Some(now.after(NEWER_RECHECK)),
            State::Exchanging(marker) if marker.wake > now => Some(marker.wake),
            State::Exchanging(marker) => Some(marker.until),
            State::Closed(_) | State::Open(_) => {
                self.deadlines().map(|limits| limits.idle.min(limits.absolute))
            }
            State::Ended(tombstone) => {
                let tickets = tombstone.revocations.iter().map(|t| t.next.min(t.until));
                let logout = tombstone.logout.iter().map(|t| t.until);
                tickets.chain(logout).min().or(Some(tombstone.until))
            }
        }
    }

    /// Writes the row, if it has changed.
    fn finish(&mut self, mut turn: Turn<'_>, is_alarm: bool) -> Vec<Effect> {
        let due = self.due(turn.now);
        let alarm = self.alarm.set(due, turn.now, is_alarm, turn.dirty);
        let mut effects = Vec::new();
        if turn.dirty {
            match self.encode(&mut turn) {
                Some(effect) => effects.push(effect),
                None => {
                    self.broken = true;
                    self.dismiss_all(&mut turn);
                }
            }
        }
        effects.extend(alarm.map(Effect::SetAlarm));
        turn.effects(effects, self.broken)
    }

    fn encode(&mut self, turn: &mut Turn<'_>) -> Option<Effect> {
        let row = match &mut self.state {
            State::Empty => return Some(Effect::DeleteAll),
            State::Exchanging(marker) => encode_marker(marker)?,
            State::Ended(tombstone) => {
                tombstone.alarm = self.alarm.armed();
                encode_tombstone(tombstone)?
            }
            State::Open(session) => {
                session.open.alarm = self.alarm.armed();
                let keys = &self.config.session.keys;
                let Session { id, open, contents } = &mut **session;
                record::encode_live(keys, id, open, contents, turn.bytes::<NONCE>())?
            }
            State::Closed(_) | State::Newer { .. } | State::Damaged => return None,
        };
        Some(Effect::Put(row))
    }

    /// Nobody waits for work that will not be begun.
    fn dismiss_all(&mut self, turn: &mut Turn<'_>) {
        let login = self.login.take().map(|flight| flight.waiters);
        let refresh = self.refresh.take().map(|flight| flight.waiters);
        let queued = std::mem::take(&mut self.queue).into_iter().map(|(_, waiters)| waiters);
        for waiter in login.into_iter().chain(refresh).chain(queued).flatten() {
            turn.reply(waiter, Reply::Broken);
        }
    }

    /// Whether our credentials are for this provider.
    fn is_own_provider(&self, issuer: &str) -> bool {
        self.config.provider.issuer == issuer
    }

    const fn keys(&self) -> &KeyRing {
        &self.config.session.keys
    }
}

impl Session {
    /// Whether it has ended by a limit, or with a token that can't be renewed.
    fn ended(&self, now: Timestamp) -> Option<super::EndReason> {
        self.open.deadlines.ended(now)
    }

    /// Counts activity; says whether that is worth a write.
    fn touch(&mut self, idle: Duration, now: Timestamp) -> bool {
        let moved = self.open.deadlines.touch(idle, now);
        if moved {
            self.open.last_seen = to_the_hour(now);
        }
        moved
    }
}

/// Last activity is kept to the hour: enough for a list of devices.
const fn to_the_hour(now: Timestamp) -> Timestamp {
    Timestamp::from_secs(now.as_secs() / 3600 * 3600)
}

impl Command {
    /// The session that it is about, where it says so.
    const fn session_id(&self) -> Option<&SessionId> {
        match self {
            Self::Login(login) => Some(&login.transaction.session_id),
            Self::Access { session_id, .. }
            | Self::Status { session_id, .. }
            | Self::End { session_id, .. } => Some(session_id),
            Self::Close { .. } | Self::Probe | Self::RedeemLogout { .. } => None,
        }
    }
}
