//! A browser as far as Tokenkeep can tell: cookies, Fetch Metadata, top-level navigations.

use std::{cell::RefCell, collections::BTreeMap};

use tokenkeep::{
    app::{
        call::{Asking, Calls, Step},
        ports::{Clock as _, SessionStore as _},
    },
    http::{decide::Forward, head::RequestHead, message::Answer},
    time::Timestamp,
};

use super::{Authorized, ORIGIN, World};

/// A browser with a cookie jar.
#[derive(Clone)]
pub(crate) struct Browser {
    world: World,
    cookies: RefCell<BTreeMap<String, (String, Option<Timestamp>)>>,
}

/// An answer as a browser sees it.
#[derive(Clone, Debug)]
pub(crate) struct Shown {
    pub(crate) status: u16,
    pub(crate) body: String,
    pub(crate) headers: Vec<(String, String)>,
}

impl Shown {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn location(&self) -> &str {
        self.header("location").unwrap_or_else(|| panic!("no location: {self:?}"))
    }

    pub(crate) fn code(&self) -> &str {
        self.header("tokenkeep-error").unwrap_or_else(|| panic!("no error: {self:?}"))
    }

    /// Where a page's links lead, in their order.
    pub(crate) fn links(&self) -> Vec<String> {
        let link = |part: &str| part.split('"').next().unwrap().replace("&amp;", "&");
        self.body.split("href=\"").skip(1).map(link).collect()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

pub(crate) const SESSION_COOKIE: &str = "__Host-Http-tokenkeep";
pub(crate) const TRANSACTION_COOKIE: &str = "__Host-Http-tokenkeep-login-";

pub(crate) const NAVIGATION: &[(&str, &str)] = &[
    ("sec-fetch-site", "same-origin"),
    ("sec-fetch-mode", "navigate"),
    ("sec-fetch-dest", "document"),
    ("accept", "text/html"),
];
pub(crate) const FROM_PROVIDER: &[(&str, &str)] = &[
    ("sec-fetch-site", "cross-site"),
    ("sec-fetch-mode", "navigate"),
    ("sec-fetch-dest", "document"),
    ("accept", "text/html"),
];
pub(crate) const FETCH: &[(&str, &str)] = &[
    ("sec-fetch-site", "same-origin"),
    ("sec-fetch-mode", "cors"),
    ("sec-fetch-dest", "empty"),
    ("origin", ORIGIN),
];

impl Browser {
    pub(crate) fn new(world: &World) -> Self {
        Self { world: world.clone(), cookies: RefCell::default() }
    }

    /// The same browser, served in another place from now on.
    pub(crate) fn served_by(&self, world: &World) -> Self {
        Self { world: world.clone(), cookies: self.cookies.clone() }
    }

    pub(crate) fn navigate(&self, path: &str) -> Shown {
        self.send("GET", path, NAVIGATION, None)
    }

    pub(crate) fn fetch(&self, method: &str, path: &str) -> Shown {
        self.send(method, path, FETCH, None)
    }

    pub(crate) fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&str>,
    ) -> Shown {
        self.world.run(self.sending(method, path, headers, body))
    }

    pub(crate) async fn sending(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&str>,
    ) -> Shown {
        let head = self.head(method, path, headers);
        let answer = self.world.serve(&head, body).await;
        self.takes(&answer)
    }

    /// The head as the entry module writes it. `Strict` cookies stay at home when another site
    /// began the request, `Lax` ones when it isn't a top-level GET as well.
    pub(crate) fn head(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> String {
        let cross_site = headers.contains(&("sec-fetch-site", "cross-site"));
        let now = self.world.now();
        self.cookies.borrow_mut().retain(|_, (_, until)| until.is_none_or(|until| until > now));
        let cookies: Vec<_> = self
            .cookies
            .borrow()
            .iter()
            .filter(|(name, _)| !cross_site || *name != SESSION_COOKIE)
            .map(|(name, (value, _))| format!("{name}={value}"))
            .collect();
        let mut head = format!("{method}\n{ORIGIN}{path}\n");
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\n"));
        }
        if !cookies.is_empty() {
            head.push_str(&format!("cookie: {}\n", cookies.join("; ")));
        }
        head
    }

    fn takes(&self, answer: &Answer) -> Shown {
        let shown = Shown {
            status: answer.status,
            body: answer.body.clone(),
            headers: answer
                .headers
                .iter()
                .map(|(name, value)| ((*name).to_owned(), value.clone().into_owned()))
                .collect(),
        };
        for name in ["cache-control", "x-content-type-options", "referrer-policy"] {
            assert!(shown.header(name).is_some(), "no {name}: {shown:?}");
        }
        self.world.leaves("body", &shown.body);
        for (name, value) in &shown.headers {
            if name == "set-cookie" {
                self.keeps(value);
            } else if name == "location" && value.contains("id_token_hint=") {
                self.world.leaves("end-session location", value);
            } else {
                self.world.leaves(name, value);
            }
        }
        shown
    }

    fn keeps(&self, set_cookie: &str) {
        let mut parts = set_cookie.split("; ");
        let (name, value) = parts.next().unwrap().split_once('=').unwrap();
        let attributes: Vec<_> = parts.collect();
        // A browser refuses a cookie of these names without these attributes (CVE-2025-55162).
        assert!(name.starts_with("__Host-"), "{set_cookie}");
        for needed in ["Secure", "HttpOnly", "Path=/"] {
            assert!(attributes.contains(&needed), "{set_cookie}");
        }
        assert!(!attributes.iter().any(|attribute| attribute.starts_with("Domain")));
        let max_age: Option<i64> = attributes
            .iter()
            .find_map(|attribute| attribute.strip_prefix("Max-Age="))
            .map(|seconds| seconds.parse().unwrap());
        if max_age.is_some_and(|seconds| seconds <= 0) {
            self.cookies.borrow_mut().remove(name);
        } else {
            let until = max_age.map(|seconds| {
                let life = std::time::Duration::from_secs(seconds.unsigned_abs());
                self.world.now().after(life)
            });
            if name == SESSION_COOKIE {
                // 32 bytes of the value are the session's id; its own Set-Cookie is the only
                // place where it may leave.
                self.world.knows_secret(value.to_owned());
                self.world.knows_secret(value[..42].to_owned());
            }
            self.cookies.borrow_mut().insert(name.to_owned(), (value.to_owned(), until));
        }
    }

    pub(crate) fn cookie(&self, name: &str) -> Option<String> {
        self.cookies.borrow().get(name).map(|(value, _)| value.clone())
    }

    pub(crate) fn session_cookie(&self) -> Option<String> {
        self.cookie(SESSION_COOKIE)
    }

    pub(crate) fn plants(&self, name: &str, value: &str) {
        self.cookies.borrow_mut().insert(name.to_owned(), (value.to_owned(), None));
    }

    pub(crate) fn transactions(&self) -> Vec<String> {
        self.cookies
            .borrow()
            .keys()
            .filter(|name| name.starts_with(TRANSACTION_COOKIE))
            .cloned()
            .collect()
    }

    /// Starts a login and lets the person say yes at the provider.
    pub(crate) fn authorizes(&self, login: &str) -> Authorized {
        let shown = self.navigate(login);
        assert_eq!(shown.status, 302, "{shown:?}");
        self.world.provider.authorize(shown.location())
    }

    /// The provider's redirect arrives.
    pub(crate) fn comes_back(&self, authorized: &Authorized) -> Shown {
        self.send("GET", &callback(authorized), FROM_PROVIDER, None)
    }

    /// The whole login.
    pub(crate) fn logs_in(&self) -> Shown {
        let authorized = self.authorizes("/auth/login?return_to=%2Finbox");
        let shown = self.comes_back(&authorized);
        assert_eq!(shown.status, 303, "{shown:?}");
        shown
    }

    /// A call to the API, up to where it would be forwarded.
    pub(crate) fn call(&self, path: &str) -> Called {
        self.world.run(self.calling(path))
    }

    pub(crate) async fn calling(&self, path: &str) -> Called {
        self.calls(path, false).await
    }

    /// A call that the API answers with 401: what is sent the second time, if anything.
    pub(crate) fn call_refused_by_the_api(&self, path: &str) -> Option<String> {
        match self.world.run(self.calls(path, true)) {
            Called::Forwarded(authorization) => authorization,
            Called::Answered(_) => None,
        }
    }

    /// A call through an isolate that knows nothing of the session yet.
    async fn calls(&self, path: &str, refused: bool) -> Called {
        let head = self.head("GET", path, FETCH);
        let head = RequestHead::parse(&head).unwrap();
        let config = self.world.config();
        let mut calls = Calls::default();
        let mut step = calls.begin(&config, &head, self.world.now());
        let mut refuses = refused;
        loop {
            step = match step {
                Step::Ask(asking) => {
                    let Asking { key, command, question } = *asking;
                    let reply = self.world.context(async |ctx| ctx.ports.ask(&key, command).await);
                    calls.replied(&config, &head, &question, reply.await.ok().as_ref())
                }
                Step::Forward(forward, journey) if refuses => {
                    refuses = false;
                    assert!(bearer(&forward).is_some(), "the first try had no token");
                    match calls.answered(&config, &head, &journey, 401, &[], self.world.now()) {
                        Ok(_) => return Called::Forwarded(None),
                        Err(next) => next,
                    }
                }
                Step::Forward(forward, _) => return Called::Forwarded(bearer(&forward)),
                Step::Held => return Called::Forwarded(None),
                Step::Answer(answer) => return Called::Answered(self.takes(&answer)),
                Step::Admit(_) | Step::Endpoint(_) | Step::Elsewhere => panic!("{step:?}"),
            };
        }
    }

    /// The access token that a call goes out with.
    pub(crate) fn token(&self) -> Option<String> {
        match self.call("/api/orders") {
            Called::Forwarded(token) => token,
            Called::Answered(_) => None,
        }
    }

    /// The problem code that a call is answered with.
    pub(crate) fn refusal(&self) -> String {
        match self.call("/api/orders") {
            Called::Forwarded(_) => panic!("the call went out"),
            Called::Answered(shown) => shown.code().to_owned(),
        }
    }

    /// Whether `GET session` says that somebody is logged in.
    pub(crate) fn is_logged_in(&self) -> bool {
        let shown = self.fetch("GET", "/auth/session?touch=false");
        assert_eq!(shown.status, 200, "{shown:?}");
        shown.json()["authenticated"].as_bool().unwrap()
    }
}

pub(crate) fn callback(authorized: &Authorized) -> String {
    format!("/auth/callback?{}", authorized.form())
}

/// What became of a call.
#[derive(Debug)]
pub(crate) enum Called {
    /// It went to the API, with this access token.
    Forwarded(Option<String>),
    /// We answered.
    Answered(Shown),
}

fn bearer(forward: &Forward<'_>) -> Option<String> {
    Some(forward.attached.as_ref()?.access_token.expose().clone())
}
