//! The world in memory: a provider, session objects that run the real machine with the real
//! work (or KV), a clock that moves only when told, entropy that counts, and browsers.

mod browser;
mod kv;
mod logouts;
mod objects;
mod provider;
mod subjects;

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::Duration,
};

pub(crate) use browser::*;
use futures::{executor::LocalPool, task::LocalSpawnExt as _};
pub(crate) use kv::{Place, in_kv, over_kv};
pub(crate) use logouts::*;
pub(crate) use objects::{Objects, Said};
pub(crate) use provider::*;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
pub(crate) use subjects::Subjects;
use tokenkeep::{
    app::{
        Context,
        keys::KeyCache,
        metadata::MetadataCache,
        ports::{AuditLog, Clock, Entropy, HttpClient, SessionStore, StoreError, SubjectStore},
    },
    audit::Event,
    base64url,
    config::{self, Config, Environment},
    http::{
        head::RequestHead,
        message::{Answer, HttpRequest, HttpResponse, TransportError},
    },
    secret::Secret,
    session::{
        Command, Reply, SessionKey,
        subject::{IndexName, SubjectCommand, SubjectReply},
    },
    time::Timestamp,
};

pub(crate) const ORIGIN: &str = "https://app.example.com";

/// Everything, as it is seen in one place; cheap to clone.
#[derive(Clone)]
pub(crate) struct World(Rc<Inner>, Place);

pub(crate) struct Inner {
    pub(crate) provider: Provider,
    pub(crate) objects: Objects,
    pub(crate) subjects: Subjects,
    pub(crate) config: RefCell<Rc<Config>>,
    settings: RefCell<Settings>,
    now: Rc<Cell<u64>>,
    drawn: Cell<u64>,
    metadata: RefCell<MetadataCache>,
    logout_keys: RefCell<KeyCache>,
    pub(crate) keys: RefCell<KeyCache>,
    pub(crate) audit: RefCell<Vec<String>>,
    /// When the objects restart under the next request to the provider.
    pub(crate) restarts: Cell<Option<Moment>>,
    /// Everything that left for a browser, with what it is.
    left: RefCell<Vec<(String, String)>>,
    secrets: RefCell<Vec<String>>,
    pool: RefCell<Option<LocalPool>>,
    spawner: futures::executor::LocalSpawner,
}

/// A moment of a request to the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    BeforeItIsSent,
    BeforeItsAnswer,
}

#[derive(Clone)]
struct Settings {
    tokenkeep: Value,
    session_keys: String,
    has_admin_secret: bool,
}

impl std::ops::Deref for World {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(json!({}))
    }

    /// A world whose configuration is the usual one with `patch` over it (RFC 7396).
    pub(crate) fn with(patch: Value) -> Self {
        let mut tokenkeep = json!({
            "origin": [ORIGIN, "https://www.example.com"],
            "provider": {
                "issuer": ISSUER,
                "client_id": CLIENT_ID,
                "client_auth": "client_secret_basic",
                "scopes": ["openid", "offline_access"],
                "id_token_signed_response_alg": "ES256",
            },
            "session": { "idle_minutes": 60, "absolute_hours": 24, "cache_seconds": 5 },
            "routes": [{ "path": "/api/*", "upstream": { "url": "https://api.example.com" } }],
        });
        if kv::is_asked_for() {
            merge(&mut tokenkeep, &kv::settings());
        }
        merge(&mut tokenkeep, &patch);
        let session_keys = session_key("first");
        let settings = Settings { tokenkeep, session_keys, has_admin_secret: true };
        let config = settings.parse();
        let pool = LocalPool::new();
        let spawner = pool.spawner();
        let now = Rc::new(Cell::new(1_763_900_000_000));
        let inner = Rc::new(Inner {
            provider: Provider::new(),
            objects: Objects::new(kv::Kv::new(now.clone())),
            subjects: Subjects::default(),
            config: RefCell::new(Rc::new(config)),
            settings: RefCell::new(settings),
            now,
            drawn: Cell::new(0),
            metadata: RefCell::new(MetadataCache::new()),
            logout_keys: RefCell::new(KeyCache::new()),
            keys: RefCell::new(KeyCache::new()),
            audit: RefCell::default(),
            restarts: Cell::default(),
            left: RefCell::default(),
            secrets: RefCell::default(),
            pool: RefCell::new(Some(pool)),
            spawner,
        });
        let world = Self(inner, Place::default());
        world.provider.rotates.set(!world.is_in_kv());
        world.knows_secret(session_key("first"));
        world.knows_secret(name_key());
        world.knows_secret(admin_secret());
        world
    }

    pub(crate) fn browser(&self) -> Browser {
        Browser::new(self)
    }

    /// The same world from another place of the network: another isolate, and what KV knows there.
    pub(crate) fn elsewhere(&self) -> Self {
        Self(self.0.clone(), self.1 + 1)
    }

    pub(crate) const fn place(&self) -> Place {
        self.1
    }

    pub(crate) fn is_in_kv(&self) -> bool {
        self.config().session.store.is_kv()
    }

    pub(crate) fn config(&self) -> Rc<Config> {
        self.config.borrow().clone()
    }

    /// A new deployment with `SESSION_KEYS = session_keys`: isolates and objects start afresh.
    pub(crate) fn deploys(&self, session_keys: &[&str]) {
        let keys: Vec<_> = session_keys.iter().map(|kid| session_key(kid)).collect();
        self.deploys_keys(&keys);
    }

    /// The same, with keys as they are written.
    pub(crate) fn deploys_keys(&self, keys: &[String]) {
        keys.iter().for_each(|key| self.knows_secret(key.clone()));
        self.settings.borrow_mut().session_keys = keys.join(",");
        let config = self.settings.borrow().parse();
        *self.config.borrow_mut() = Rc::new(config);
        *self.metadata.borrow_mut() = MetadataCache::new();
        *self.keys.borrow_mut() = KeyCache::new();
        *self.logout_keys.borrow_mut() = KeyCache::new();
        self.objects.restart();
        self.subjects.restart();
    }

    /// A new deployment with `patch` over the configuration.
    pub(crate) fn reconfigures(&self, patch: &Value) {
        merge(&mut self.settings.borrow_mut().tokenkeep, patch);
        let config = self.settings.borrow().parse();
        *self.config.borrow_mut() = Rc::new(config);
    }

    /// A new deployment without `ADMIN_SECRET`.
    pub(crate) fn has_no_admin_secret(&self) {
        self.settings.borrow_mut().has_admin_secret = false;
        self.reconfigures(&json!({}));
    }

    pub(crate) fn passes(&self, time: Duration) {
        self.now.set(self.now.get() + u64::try_from(time.as_millis()).unwrap());
    }

    /// Time passes and the alarms that are due ring.
    pub(crate) fn passes_with_alarms(&self, time: Duration) {
        let end = self.now.get() + u64::try_from(time.as_millis()).unwrap();
        loop {
            let until = Timestamp::from_millis(end);
            let session = self.objects.next_alarm(until);
            let subject = self.subjects.next_alarm(until);
            let session_due = session.as_ref().map(|(due, _)| *due);
            let subject_due = subject.as_ref().map(|(due, _)| *due);
            let Some(due) = session_due.into_iter().chain(subject_due).min() else { break };
            self.now.set(self.now.get().max(due.as_millis()));
            if let Some((_, key)) = session.filter(|(at, _)| *at == due) {
                self.objects.ring(self, &key);
            } else if let Some((_, name)) = subject {
                self.subjects.ring(self, &name);
            }
            self.settle();
        }
        self.now.set(end);
    }

    pub(crate) fn knows_secret(&self, secret: String) {
        self.secrets.borrow_mut().push(secret);
    }

    pub(crate) fn leaves(&self, what: &str, text: &str) {
        self.left.borrow_mut().push((what.to_owned(), text.to_owned()));
    }

    /// Runs `future` and whatever it leaves running.
    pub(crate) fn run<T>(&self, future: impl Future<Output = T>) -> T {
        let mut pool = self.pool.borrow_mut().take().expect("runs are not nested");
        let output = pool.run_until(future);
        pool.run_until_stalled();
        *self.pool.borrow_mut() = Some(pool);
        output
    }

    /// Runs what is still running.
    pub(crate) fn settle(&self) {
        self.run(async {});
    }

    pub(crate) fn spawn(&self, future: impl Future<Output = ()> + 'static) {
        self.spawner.spawn_local(future).unwrap();
    }

    /// What the Worker half does with a request to an endpoint.
    pub(crate) async fn serve(&self, head: &str, body: Option<&str>) -> Answer {
        let config = self.config();
        let ctx = self.worker_half(&config);
        let head = RequestHead::parse(head).unwrap();
        tokenkeep::app::handle_endpoint(&ctx, &head, body).await
    }

    /// What the Worker half does to get a token for a call.
    pub(crate) async fn context<T>(&self, with: impl AsyncFnOnce(Context<'_, Self>) -> T) -> T {
        let config = self.config();
        with(self.worker_half(&config)).await
    }

    fn worker_half<'a>(&'a self, config: &'a Config) -> Context<'a, Self> {
        let (metadata, keys) = (&self.metadata, &self.logout_keys);
        Context { config, ports: self, metadata, keys }
    }

    pub(crate) fn audited(&self, event: &str) -> usize {
        let needle = format!("\"event\":\"{event}\"");
        self.audit.borrow().iter().filter(|line| line.contains(&needle)).count()
    }
}

impl Inner {
    /// What comes of a request that a restart was under is nobody's.
    fn restarts_at(&self, moment: Moment) -> bool {
        let is_now = self.restarts.get() == Some(moment);
        if is_now {
            self.restarts.set(None);
            self.objects.restart();
        }
        is_now
    }

    /// For the test of the search itself.
    pub(crate) fn forgets_what_left(&self) {
        self.left.borrow_mut().clear();
    }

    /// Searches everything that left for every secret that the run knew.
    pub(crate) fn leaks(&self) -> Vec<String> {
        let mut secrets = self.secrets.borrow().clone();
        secrets.extend(self.provider.secrets.borrow().iter().cloned());
        let secrets: Vec<_> = secrets
            .into_iter()
            .map(|secret| {
                let encoded = encode(&secret);
                let encoded = (encoded != secret).then_some(encoded);
                (secret, encoded)
            })
            .collect();
        let id_tokens = self.provider.id_tokens.borrow();
        let mut leaks = Vec::new();
        let left = self.left.borrow();
        let audit = self.audit.borrow();
        let everything = left
            .iter()
            .map(|(what, text)| (what.as_str(), text.as_str()))
            .chain(audit.iter().map(|line| ("audit", line.as_str())));
        for (what, text) in everything {
            for (secret, encoded) in &secrets {
                let is_encoded = encoded.as_ref().is_some_and(|encoded| text.contains(encoded));
                if text.contains(secret.as_str()) || is_encoded {
                    leaks.push(format!("{what}: {secret} in {text}"));
                }
            }
            for token in id_tokens.iter() {
                // The one exception: `id_token_hint` in the top-level navigation to the provider.
                let signature = token.rsplit('.').next().unwrap();
                if what != "end-session location" && text.contains(signature) {
                    leaks.push(format!("{what}: an ID token in {text}"));
                }
            }
        }
        leaks
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Every flow of every test is searched.
        if !std::thread::panicking() {
            let leaks = self.leaks();
            assert!(leaks.is_empty(), "{leaks:#?}");
            assert_eq!(self.objects.kv.refused.get(), 0, "KV keeps nothing for so short a time");
        }
    }
}

impl HttpClient for World {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, TransportError> {
        // The network takes its time: whoever else is running runs now.
        pause().await;
        if self.restarts_at(Moment::BeforeItIsSent) {
            return Err(TransportError::Unreachable);
        }
        let response = self.provider.respond(&request, self.now());
        self.restarts_at(Moment::BeforeItsAnswer);
        pause().await;
        while self.provider.dawdles.get() {
            pause().await;
        }
        response
    }
}

impl SessionStore for World {
    async fn ask(&self, key: &SessionKey, command: Command) -> Result<Reply, StoreError> {
        pause().await;
        let reply = self.objects.ask(self, key, command).await;
        pause().await;
        reply
    }
}

impl SubjectStore for World {
    async fn ask_subject(
        &self,
        index: &IndexName,
        command: SubjectCommand,
    ) -> Result<SubjectReply, StoreError> {
        pause().await;
        if self.is_in_kv() {
            let config = self.config();
            let now = self.now();
            return tokenkeep::app::kv::ask_subject(self, &config.session, index, command, now)
                .await;
        }
        let reply = self.subjects.ask(self, index, command).await;
        // Long enough for a logout to come in between.
        for _ in 0..6 {
            pause().await;
        }
        reply
    }
}

impl Clock for World {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.now.get())
    }
}

impl Entropy for World {
    fn fill(&self, bytes: &mut [u8]) {
        for byte in bytes {
            self.drawn.set(self.drawn.get() + 1);
            *byte = Sha256::digest(self.drawn.get().to_le_bytes())[0];
        }
    }
}

impl AuditLog for World {
    fn record(&self, event: Event) {
        self.audit.borrow_mut().push(event.line(self.now()));
    }
}

impl Settings {
    fn ends_without_cookie(&self) -> bool {
        let session = &self.tokenkeep["session"];
        session["store"] != "kv" || session["kv_delayed_logout"] == true
    }

    /// KV without `kv_delayed_logout` has nothing for one.
    fn has_administrator(&self) -> bool {
        self.has_admin_secret && self.ends_without_cookie()
    }

    fn parse(&self) -> Config {
        config::parse(&Environment {
            tokenkeep: Some(self.tokenkeep.clone()),
            overrides: None,
            routes: None,
            client_secret: Some(Secret::from(CLIENT_SECRET)),
            session_keys: Some(Secret::new(self.session_keys.clone())),
            name_key: Some(Secret::new(name_key())),
            admin_secret: self.has_administrator().then(|| Secret::new(admin_secret())),
            bindings: ["SESSIONS", "SUBJECTS", "SESSIONS_KV", "ASSETS"].map(str::to_owned).to_vec(),
            variables: Vec::new(),
            compatibility_flags: vec!["global_fetch_strictly_public".to_owned()],
        })
        .unwrap_or_else(|faults| panic!("{faults}"))
    }
}

pub(crate) fn session_key(kid: &str) -> String {
    format!("{kid}:{}", base64url::encode(Sha256::digest(format!("session key {kid}"))))
}

fn name_key() -> String {
    base64url::encode(Sha256::digest("name key"))
}

pub(crate) fn admin_secret() -> String {
    base64url::encode(Sha256::digest("admin secret"))
}

fn merge(target: &mut Value, patch: &Value) {
    match (target, patch) {
        (Value::Object(target), Value::Object(patch)) => {
            for (key, value) in patch {
                merge(target.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (target, patch) => *target = patch.clone(),
    }
}

/// Lets everybody else run first.
pub(crate) async fn pause() {
    let mut waited = false;
    std::future::poll_fn(|cx| {
        if waited {
            std::task::Poll::Ready(())
        } else {
            waited = true;
            cx.waker().wake_by_ref();
            std::task::Poll::Pending
        }
    })
    .await;
}
