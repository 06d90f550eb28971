//! The rows of one session in KV: what is read for a command, and what is written in which order.
//!
//! | key | what | kept |
//! |---|---|---|
//! | `s:<session>` | the record; after a logout, for the one-time URL, its ticket | to the first of the session's limits; the ticket's two minutes |
//! | `l:<session>` | the mark of a code that brought a session | as long as its login may take |
//! | `t:<session>` | the tombstone | to the session's absolute limit, or to where one could be that isn't seen |
//!
//! Another place may write the record again after its end, knowing of none. So the tombstone goes
//! first and stays as long as any record could, and a record beside a tombstone is no session.
//!
//! A login doesn't read `s:` before it has seen its mark: that nothing is there would be remembered
//! too, beyond the moment at which there is a session. The mark goes before the record, so that a
//! code that comes again isn't sent again; and after the exchange, since whoever brings an invented
//! code must not make a write.

use std::cell::{LazyCell, RefCell};

use super::{
    super::{
        context::{ObjectContext, ObjectPorts},
        ports::{KeyValue, StoreError},
    },
    isolate::Isolate,
    markers::{self, Marker},
    writes::{NEXT_WRITE, firmly, put_firmly, seconds_until},
};
use crate::{
    audit::Event,
    config::Store,
    session::{
        Command, EndReason, LiveOutline, LoginFailure, Outline, SessionId, SessionKey, Transaction,
        sign_in, subject::Named, tombstone_row,
    },
    time::Timestamp,
};

/// The rows of one session, for one command.
pub(super) struct Rows<'a, P, K> {
    ctx: &'a ObjectContext<'a, P>,
    store: &'a K,
    isolate: &'a RefCell<Isolate>,
    session: &'a SessionKey,
    record: String,
    login: String,
    tombstone: String,
    there: There,
    /// The mark of the login under way, and until when it is to be kept.
    mark: Option<(Vec<u8>, Timestamp)>,
    /// What KV didn't take at once.
    again: Option<(Vec<u8>, LiveOutline)>,
    /// Whoever sent the command has the cookie's, or is to get it.
    session_id: Option<SessionId>,
}

/// What is there of a session, as far as this place knows.
enum There {
    Nothing,
    Live(LiveOutline),
    Ended,
    Unreadable,
}

/// What was found for a command.
pub(super) struct Found {
    /// The row that the machine goes on from.
    pub(super) row: Option<Vec<u8>>,
    /// A marker says that the session is over.
    pub(super) over: Option<EndReason>,
}

/// What a machine wants written.
pub(super) enum Write {
    /// This row.
    Row(Vec<u8>),
    /// That there is none.
    Nothing,
}

/// What became of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Standing {
    /// It stands, as far as this place knows.
    Stands,
    /// The session has ended elsewhere; nothing is left of the write. What a login is told.
    IsOver(LoginFailure),
}

impl<'a, P: ObjectPorts, K: KeyValue> Rows<'a, P, K> {
    pub(super) fn new(
        ctx: &'a ObjectContext<'a, P>,
        store: &'a K,
        isolate: &'a RefCell<Isolate>,
        session: &'a SessionKey,
    ) -> Self {
        let name = session.name();
        Self {
            ctx,
            store,
            isolate,
            session,
            record: format!("s:{name}"),
            login: format!("l:{name}"),
            tombstone: format!("t:{name}"),
            there: There::Nothing,
            mark: None,
            again: None,
            session_id: None,
        }
    }

    /// Reads what `command` rests on.
    pub(super) async fn find(&mut self, command: &Command) -> Result<Found, StoreError> {
        let row = match command {
            Command::Login(login) => {
                self.session_id = Some(login.transaction.session_id.clone());
                self.find_login().await?
            }
            Command::RedeemLogout { .. } => self.find_record().await?,
            Command::Access { session_id, .. } | Command::Status { session_id, .. } => {
                self.session_id = Some(session_id.clone());
                return self.find_session().await;
            }
            Command::Probe => return self.find_session().await,
            Command::Close { .. } | Command::End { .. } => self.find_record_or_tombstone().await?,
        };
        self.note(row.as_deref());
        Ok(Found { row, over: None })
    }

    /// What a login before this one has left.
    async fn find_login(&self) -> Result<Option<Vec<u8>>, StoreError> {
        let [login, tombstone] = self.store.read([&self.login, &self.tombstone]).await?;
        let tombstone = tombstone.or_else(|| self.own_tombstone());
        if tombstone.is_some() {
            return Ok(tombstone);
        }
        if login.is_none() {
            return Ok(self.isolate.borrow().failed_login(self.session));
        }
        Ok(self.find_record().await?.or(login))
    }

    async fn find_record(&self) -> Result<Option<Vec<u8>>, StoreError> {
        let [record] = self.store.read([&self.record]).await?;
        Ok(record)
    }

    /// A record counts only without a tombstone; what a logout left beside one does as well.
    async fn find_record_or_tombstone(&self) -> Result<Option<Vec<u8>>, StoreError> {
        let [record, tombstone] = self.store.read([&self.record, &self.tombstone]).await?;
        let is_left = record
            .as_deref()
            .is_some_and(|record| matches!(Outline::of(record), Outline::Ended { .. }));
        let tombstone = tombstone.or_else(|| self.own_tombstone());
        Ok(if is_left { record } else { tombstone.or(record) })
    }

    /// The tombstone that this isolate has written, and that KV doesn't show yet.
    fn own_tombstone(&self) -> Option<Vec<u8>> {
        let is_ended = self.isolate.borrow().is_ended(self.session);
        is_ended.then(|| tombstone_row(self.session, self.ctx.ports.now()))?
    }

    /// The session to use. One whose limits have passed is none, and nothing is written for that:
    /// KV sweeps it, and what was read here may be older than its last use elsewhere.
    async fn find_session(&mut self) -> Result<Found, StoreError> {
        let row = self.find_record_or_tombstone().await?;
        self.note(row.as_deref());
        let (There::Live(live), Some(record)) = (&self.there, &row) else {
            return Ok(Found { row, over: None });
        };
        let over = self.over_by_marker(record, live).await?;
        // As configured now: markers are kept no longer than that.
        let absolute = live.created.after(self.ctx.config.session.absolute);
        // Asked last: a limit that passed while the markers were read is none for the machine.
        if self.ctx.ports.now() >= live.deadline.min(absolute) {
            self.there = There::Nothing;
            return Ok(Found { row: None, over: None });
        }
        Ok(Found { row, over })
    }

    fn note(&mut self, row: Option<&[u8]>) {
        self.there = match row.map(Outline::of) {
            None | Some(Outline::Exchanging { .. }) => There::Nothing,
            Some(Outline::Live(live)) => There::Live(live),
            Some(Outline::Ended { .. }) => There::Ended,
            Some(Outline::Unreadable) => There::Unreadable,
        };
    }

    /// Why a session is over, if a marker says so. Asked before its record is written first, and
    /// whenever it is used: a marker may be seen here later than it was written.
    async fn over_by_marker(
        &self,
        row: &[u8],
        live: &LiveOutline,
    ) -> Result<Option<EndReason>, StoreError> {
        if self.ctx.config.session.store != (Store::Kv { delayed_logout: true }) {
            return Ok(None);
        }
        let (subject, sid) = (&live.names.subject, live.names.sid.as_ref());
        let person = markers::key(subject.as_str());
        let session = match sid {
            Some(sid) => markers::key(sid.as_str()),
            None => markers::key(&markers::without_sid(subject.as_str())),
        };
        let values = self.store.read([&person, &session]).await?;
        let named = LazyCell::new(|| {
            let keys = &self.ctx.config.session.keys;
            let sign_in = sign_in(row, keys, self.session_id.as_ref()?)?;
            Some(Named { session: self.session, handle: None, subject, sid, sign_in })
        });
        let mut markers = values.iter().flatten().filter_map(|value| Marker::read(value));
        let marker = markers.find(|marker| marker.ends(live.created, || *named));
        Ok(marker.map(|marker| marker.reason))
    }

    /// Writes what a machine wants written.
    pub(super) async fn write(&mut self, write: Write) -> Result<Standing, StoreError> {
        let row = match write {
            Write::Row(row) => row,
            Write::Nothing => return self.end(None).await,
        };
        match Outline::of(&row) {
            Outline::Live(live) => self.put_session(&row, live).await,
            Outline::Exchanging { until } => {
                self.mark = Some((row, until));
                Ok(Standing::Stands)
            }
            // The same login may have come to something elsewhere, so its word is written over
            // nothing.
            Outline::Ended { login_failed: true, .. } => {
                self.isolate.borrow_mut().login_fails(self.session, row);
                Ok(Standing::Stands)
            }
            Outline::Ended { ticket_until, .. } => {
                self.end(ticket_until.map(|until| (row.as_slice(), until))).await
            }
            // No machine writes such a row.
            Outline::Unreadable => Err(StoreError),
        }
    }

    /// The tombstone is looked for before and after. What KV doesn't take of a session that was there
    /// before (a touch, a refresh) holds nobody up: see [`Self::write_again`].
    async fn put_session(&mut self, row: &[u8], live: LiveOutline) -> Result<Standing, StoreError> {
        if self.has_tombstone().await? {
            return Ok(Standing::IsOver(LoginFailure::AlreadyUsed));
        }
        let is_old = matches!(self.there, There::Live(_));
        if !is_old && self.over_by_marker(row, &live).await?.is_some() {
            return Ok(Standing::IsOver(LoginFailure::LoggedOut));
        }
        if let Some((mark, until)) = self.mark.take() {
            self.put_firmly(&self.login, &mark, until).await?;
        }
        let seconds = seconds_until(live.deadline, self.ctx.ports.now());
        let again = (row.to_vec(), live.clone());
        // Whatever KV says next, it may be there.
        self.there = There::Live(live);
        let written = if is_old {
            self.store.put(&self.record, row, seconds).await
        } else {
            put_firmly(self.store, &self.record, row, seconds).await
        };
        match written {
            Err(StoreError) if is_old => self.again = Some(again),
            written => written?,
        }
        // It is written: a look that fails now is no reason to give back what stands. Each use of
        // it looks again.
        if !self.has_tombstone().await.unwrap_or(false) {
            return Ok(Standing::Stands);
        }
        self.again = None;
        if written.is_ok() && self.delete_record().await.is_err() {
            self.lost();
        }
        Ok(Standing::IsOver(LoginFailure::AlreadyUsed))
    }

    /// What is given back of a login that failed here must not be found again: KV may have stored
    /// what it said that it didn't take, and this isolate knows better than KV from now on.
    pub(super) async fn take_back(&self) {
        if !matches!(self.there, There::Live(_)) {
            return;
        }
        self.isolate.borrow_mut().ends(self.session);
        if self.delete_record().await.is_err() {
            self.lost();
        }
    }

    /// Writes, when the command has its answer, what KV didn't take at once. What it doesn't take
    /// now either is done again at a later call.
    pub(super) async fn write_again(&mut self) -> Result<(), StoreError> {
        let Some((row, live)) = self.again.take() else { return Ok(()) };
        self.store.wait(NEXT_WRITE).await;
        let _told_already = self.put_session(&row, live).await?;
        if self.again.is_some() {
            self.lost();
        }
        Ok(())
    }

    async fn has_tombstone(&self) -> Result<bool, StoreError> {
        let read = self.store.read([&self.tombstone]).await;
        if self.isolate.borrow().is_ended(self.session) {
            return Ok(true);
        }
        read.map(|[tombstone]| tombstone.is_some())
    }

    /// Ends what is there. Once the tombstone stands the rest may fail: nobody is let in any more.
    async fn end(&mut self, left: Option<(&[u8], Timestamp)>) -> Result<Standing, StoreError> {
        let before = std::mem::replace(&mut self.there, There::Ended);
        let longest = self.ctx.ports.now().after(self.ctx.config.session.absolute);
        let until = match &before {
            There::Live(live) => Some(live.absolute_deadline),
            // Not to be seen from here, perhaps, and alive elsewhere, or about to be.
            There::Nothing => Some(longest.after(Transaction::LIFETIME)),
            There::Ended | There::Unreadable => None,
        };
        if let Some(until) = until {
            let row = tombstone_row(self.session, until).ok_or(StoreError)?;
            self.put_firmly(&self.tombstone, &row, until).await?;
            self.isolate.borrow_mut().ends(self.session);
        }
        let rest = match left {
            Some((row, until)) => self.put_firmly(&self.record, row, until).await,
            None if matches!(before, There::Nothing) => Ok(()),
            None => self.delete_record().await,
        };
        match rest {
            Err(StoreError) if until.is_some() => self.lost(),
            rest => rest?,
        }
        Ok(Standing::Stands)
    }

    async fn put_firmly(&self, key: &str, row: &[u8], until: Timestamp) -> Result<(), StoreError> {
        let seconds = seconds_until(until, self.ctx.ports.now());
        put_firmly(self.store, key, row, seconds).await
    }

    async fn delete_record(&self) -> Result<(), StoreError> {
        firmly(self.store, &self.record, None).await
    }

    fn lost(&self) {
        self.ctx.ports.record(Event::StoreWriteLost { session: self.ctx.session.clone() });
    }
}
