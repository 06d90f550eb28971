//! Workers KV in memory, as Cloudflare describes it: one truth, and in each place a copy of what
//! was asked for there, which may be a minute behind. That a key is missing is such a copy too. A
//! place knows at once what was written in it, as a rule ([`Kv::forgets`]). A key takes one write a
//! second, and nothing is kept for less than a minute.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
    time::Duration,
};

use serde_json::{Value, json};
use tokenkeep::app::{
    kv::Isolate,
    ports::{KeyValue, StoreError},
};

use super::{World, pause};

/// Where a request is served: the network's locations, counted.
pub(crate) type Place = usize;

thread_local! {
    static ASKED_FOR: Cell<bool> = const { Cell::new(false) };
}

/// Runs `flow`, whose worlds keep sessions in KV.
pub(crate) fn in_kv<T>(flow: impl FnOnce() -> T) -> T {
    struct Asked;
    impl Drop for Asked {
        fn drop(&mut self) {
            ASKED_FOR.set(false);
        }
    }
    ASKED_FOR.set(true);
    let _asked = Asked;
    flow()
}

/// Runs flows of a file in KV too: what stands here is what KV can promise as well.
macro_rules! over_kv {
    ($($flow:ident),* $(,)?) => {
        mod over_kv {
            $(#[test]
            fn $flow() {
                crate::support::in_kv(super::$flow);
            })*
        }
    };
}
pub(crate) use over_kv;

pub(super) fn is_asked_for() -> bool {
    ASKED_FOR.get()
}

pub(super) fn settings() -> Value {
    json!({
        "session": { "store": "kv" },
        "provider": { "rotates_refresh_tokens": false },
    })
}

pub(crate) struct Kv {
    now: Rc<Cell<u64>>,
    truth: RefCell<BTreeMap<String, Kept>>,
    copies: RefCell<BTreeMap<(Place, String), Copied>>,
    written: RefCell<BTreeMap<String, u64>>,
    isolates: RefCell<BTreeMap<Place, Rc<RefCell<Isolate>>>>,
    /// How far behind a place may be.
    pub(crate) lag: Cell<Duration>,
    /// Writes of this place wait.
    pub(crate) held: Cell<Option<Place>>,
    /// One of them does.
    pub(crate) waits: Cell<bool>,
    /// Whoever waits for time to pass waits in vain.
    pub(crate) time_stands: Cell<bool>,
    /// A place doesn't know at once what was written in it.
    pub(crate) forgets: Cell<bool>,
    /// How long a read takes.
    pub(crate) takes: Cell<Duration>,
    /// No write is taken.
    pub(crate) is_full: Cell<bool>,
    /// Writes of keys of this kind are taken, and said not to be.
    pub(crate) denies: Cell<Option<&'static str>>,
    /// Once a key of the first kind is there, the next read of one of the second alone fails.
    pub(crate) stumbles: Cell<Option<(&'static str, &'static str)>>,
    /// Keys that were asked for.
    pub(crate) reads: RefCell<Vec<String>>,
    /// Writes that were taken, deletions among them.
    pub(crate) puts: Cell<usize>,
    /// Writes that no patience would have helped: kept for too short a time.
    pub(crate) refused: Cell<usize>,
}

/// What a place has read, and when.
type Copied = (Option<Kept>, u64);

#[derive(Clone)]
struct Kept {
    value: Vec<u8>,
    until: u64,
}

impl Kv {
    pub(super) fn new(now: Rc<Cell<u64>>) -> Self {
        Self {
            now,
            truth: RefCell::default(),
            copies: RefCell::default(),
            written: RefCell::default(),
            isolates: RefCell::default(),
            lag: Cell::new(Duration::from_secs(60)),
            held: Cell::default(),
            waits: Cell::default(),
            time_stands: Cell::default(),
            forgets: Cell::default(),
            takes: Cell::default(),
            is_full: Cell::default(),
            denies: Cell::default(),
            stumbles: Cell::default(),
            reads: RefCell::default(),
            puts: Cell::default(),
            refused: Cell::default(),
        }
    }

    /// What is truly there.
    pub(crate) fn stored(&self) -> BTreeMap<String, Vec<u8>> {
        let truth = self.truth.borrow();
        let lives = truth.iter().filter(|(_, kept)| kept.until > self.now.get());
        lives.map(|(key, kept)| (key.clone(), kept.value.clone())).collect()
    }

    /// How long a key is still kept.
    pub(crate) fn lasts(&self, key: &str) -> Duration {
        let until = self.truth.borrow()[key].until;
        Duration::from_millis(until.saturating_sub(self.now.get()))
    }

    /// Somebody else's value, seen everywhere at once.
    pub(crate) fn plants(&self, key: &str, value: &[u8]) {
        let kept = Kept { value: value.to_vec(), until: u64::MAX };
        self.truth.borrow_mut().insert(key.to_owned(), kept);
        self.copies.borrow_mut().retain(|(_, copied), _| copied != key);
    }

    pub(super) fn isolate(&self, place: Place) -> Rc<RefCell<Isolate>> {
        self.isolates.borrow_mut().entry(place).or_default().clone()
    }

    pub(super) fn forgets_isolates(&self) {
        self.isolates.borrow_mut().clear();
    }

    fn stumbles_at(&self, keys: &[&str]) -> bool {
        let Some((there, asked)) = self.stumbles.get() else { return false };
        let stumbles = matches!(keys, [key] if key.starts_with(asked))
            && self.stored().keys().any(|key| key.starts_with(there));
        if stumbles {
            self.stumbles.set(None);
        }
        stumbles
    }

    fn read(&self, place: Place, key: &str) -> Option<Vec<u8>> {
        self.reads.borrow_mut().push(key.to_owned());
        let now = self.now.get();
        let lag = u64::try_from(self.lag.get().as_millis()).unwrap();
        let mut copies = self.copies.borrow_mut();
        let copy = copies.entry((place, key.to_owned())).or_insert((None, 0));
        if now - copy.1 >= lag {
            *copy = (self.truth.borrow().get(key).cloned(), now);
        }
        copy.0.as_ref().filter(|kept| kept.until > now).map(|kept| kept.value.clone())
    }

    fn write(&self, place: Place, key: &str, kept: Option<Kept>) -> Result<(), StoreError> {
        let now = self.now.get();
        let last = self.written.borrow().get(key).copied().unwrap_or_default();
        if self.is_full.get() || now - last < 1000 {
            return Err(StoreError);
        }
        self.puts.set(self.puts.get() + 1);
        self.written.borrow_mut().insert(key.to_owned(), now);
        if !self.forgets.get() {
            self.copies.borrow_mut().insert((place, key.to_owned()), (kept.clone(), now));
        }
        let mut truth = self.truth.borrow_mut();
        match kept {
            Some(kept) => drop(truth.insert(key.to_owned(), kept)),
            None => drop(truth.remove(key)),
        }
        Ok(())
    }
}

impl KeyValue for World {
    async fn read<const N: usize>(
        &self,
        keys: [&str; N],
    ) -> Result<[Option<Vec<u8>>; N], StoreError> {
        pause().await;
        self.passes(self.objects.kv.takes.get());
        if self.objects.kv.stumbles_at(&keys) {
            return Err(StoreError);
        }
        let values = keys.map(|key| self.objects.kv.read(self.place(), key));
        pause().await;
        Ok(values)
    }

    async fn put(&self, key: &str, value: &[u8], seconds: u64) -> Result<(), StoreError> {
        let kv = &self.objects.kv;
        pause().await;
        while kv.held.get() == Some(self.place()) {
            kv.waits.set(true);
            pause().await;
        }
        if seconds < 60 {
            kv.refused.set(kv.refused.get() + 1);
            return Err(StoreError);
        }
        let kept = Kept { value: value.to_vec(), until: kv.now.get() + seconds * 1000 };
        kv.write(self.place(), key, Some(kept))?;
        pause().await;
        if kv.denies.get().is_some_and(|kind| key.starts_with(kind)) {
            return Err(StoreError);
        }
        Ok(())
    }

    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        pause().await;
        self.objects.kv.write(self.place(), key, None)
    }

    async fn wait(&self, time: Duration) {
        for turn in 0.. {
            if !self.objects.kv.time_stands.get() {
                break;
            }
            assert!(turn < 10_000, "somebody needs what waits here");
            pause().await;
        }
        self.passes(time);
        pause().await;
    }
}
