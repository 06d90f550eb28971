//! Those who end sessions without their cookie: the provider, by a logout token or a frame, and the
//! administrator. And who is logged in after all that.

use serde_json::{Value, json};
use tokenkeep::{
    app::{
        call::{Calls, Step},
        end_subject::Admission,
        ports::Clock as _,
    },
    http::head::RequestHead,
    session::subject::{IndexName, Whose},
};

use super::{Browser, ISSUER, ORIGIN, Shown, World, admin_secret, encode};

pub(crate) const FORM: &[(&str, &str)] = &[("content-type", "application/x-www-form-urlencoded")];

/// A frame on the provider's page.
pub(crate) const FRAME: &[(&str, &str)] = &[
    ("sec-fetch-site", "cross-site"),
    ("sec-fetch-mode", "navigate"),
    ("sec-fetch-dest", "iframe"),
];

impl World {
    /// The provider says that a session there is over: `{"sid": …}`, `{"sub": …}` or both.
    pub(crate) fn provider_logs_out(&self, who: &Value) -> Shown {
        let token = self.provider.logout_token(who, self.now());
        self.posts_logout_token(&token)
    }

    pub(crate) fn posts_logout_token(&self, token: &str) -> Shown {
        self.run(self.posting_logout_token(token))
    }

    pub(crate) async fn posting_logout_token(&self, token: &str) -> Shown {
        let form = format!("logout_token={}", encode(token));
        // Somebody without a cookie.
        self.browser().sending("POST", "/auth/backchannel-logout", FORM, Some(&form)).await
    }

    /// The provider's page has a frame of ours in it.
    pub(crate) fn provider_frames(&self, iss: &str, sid: &str) -> Shown {
        let path = format!("/auth/frontchannel-logout?iss={}&sid={}", encode(iss), encode(sid));
        self.browser().send("GET", &path, FRAME, None)
    }

    /// An administrator ends all sessions of a `sub`, as far as the gate lets them.
    pub(crate) fn administrator_ends(&self, sub: &str) -> Shown {
        self.asks_as_administrator(&admin_secret(), &json!({ "sub": sub }).to_string())
    }

    pub(crate) fn asks_as_administrator(&self, secret: &str, body: &str) -> Shown {
        let browser = self.browser();
        let authorization = format!("Bearer {secret}");
        let headers = [("authorization", &*authorization), ("content-type", "application/json")];
        let head = browser.head("POST", "/auth/admin/end-sessions", &headers);
        let config = self.config();
        let parsed = RequestHead::parse(&head).unwrap();
        match Calls::default().begin(&config, &parsed, self.now()) {
            Step::Admit(Admission::Granted) => {
                browser.send("POST", "/auth/admin/end-sessions", &headers, Some(body))
            }
            other => panic!("{other:?}"),
        }
    }

    /// The index of a `sub`.
    pub(crate) fn index_of(&self, sub: &str) -> IndexName {
        Whose::subject(ISSUER, sub).name(&self.config().session.keys)
    }

    /// The index of a `sid`.
    pub(crate) fn index_of_sid(&self, sid: &str) -> IndexName {
        Whose::provider_session(ISSUER, sid).name(&self.config().session.keys)
    }

    /// A browser in which this person logs in, in this session of theirs at the provider.
    pub(crate) fn browser_of(&self, sub: &str, sid: Option<&str>) -> Browser {
        *self.provider.person.borrow_mut() = sub.to_owned();
        *self.provider.sid.borrow_mut() = sid.map(str::to_owned);
        let browser = self.browser();
        browser.logs_in();
        browser
    }

    /// What was logged, as one text.
    pub(crate) fn log(&self) -> String {
        self.audit.borrow().join("\n")
    }
}

impl Browser {
    /// The person's list of devices, as the page gets it.
    pub(crate) fn devices(&self) -> Vec<Value> {
        let shown = self.fetch("GET", "/auth/sessions");
        assert_eq!(shown.status, 200, "{shown:?}");
        shown.json()["sessions"].as_array().unwrap().clone()
    }

    /// Ends one of them by its name, or all others.
    pub(crate) fn ends(&self, body: &Value) -> Shown {
        self.send("POST", "/auth/sessions/end", JSON, Some(&body.to_string()))
    }
}

/// A fetch of the page's with a JSON body.
pub(crate) const JSON: &[(&str, &str)] = &[
    ("sec-fetch-site", "same-origin"),
    ("sec-fetch-mode", "cors"),
    ("sec-fetch-dest", "empty"),
    ("origin", ORIGIN),
    ("content-type", "application/json"),
];
