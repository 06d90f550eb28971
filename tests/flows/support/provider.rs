//! An OpenID provider in memory: real PKCE, real signatures (ES256), rotation with reuse
//! detection, and a switch for each way in which a provider can fail.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
};

use p256::ecdsa::{Signature, SigningKey, signature::Signer as _};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use tokenkeep::{
    base64url,
    http::message::{HttpRequest, HttpResponse, TransportError, Verb},
    time::Timestamp,
};

pub(crate) const ISSUER: &str = "https://id.example.com/realm/";
pub(crate) const CLIENT_ID: &str = "the client";
pub(crate) const CLIENT_SECRET: &str = "client-secret-V3RY-s3cret";
const BASE: &str = "https://id.example.com/realm";

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Endpoint {
    Discovery,
    Keys,
    Code,
    Refresh,
    UserInfo,
    Revocation,
}

#[derive(Clone, Debug)]
pub(crate) enum Failure {
    /// No connection.
    Unreachable,
    /// The provider did it, and its answer was lost on the way.
    AnswerLost,
    /// This status and body instead.
    Answers(u16, &'static str),
}

type Edit = Box<dyn Fn(&mut Map<String, Value>)>;

pub(crate) struct Provider {
    pub(crate) failures: RefCell<BTreeMap<Endpoint, Failure>>,
    pub(crate) calls: RefCell<BTreeMap<Endpoint, usize>>,
    /// Everything secret that the provider issued or was told.
    pub(crate) secrets: RefCell<Vec<String>>,
    /// ID tokens: the one secret that may leave, in one place.
    pub(crate) id_tokens: RefCell<Vec<String>>,
    pub(crate) revoked: RefCell<Vec<String>>,
    pub(crate) takes_access_tokens_back: Cell<bool>,
    /// Answers are kept back as long as this stands.
    pub(crate) dawdles: Cell<bool>,
    pub(crate) rotates: Cell<bool>,
    pub(crate) token_lifetime: Cell<Option<u64>>,
    pub(crate) gives_refresh_tokens: Cell<bool>,
    pub(crate) id_token_on_refresh: Cell<bool>,
    pub(crate) end_session: Cell<bool>,
    pub(crate) edit_id_token: RefCell<Option<Edit>>,
    pub(crate) edit_metadata: RefCell<Option<Edit>>,
    pub(crate) userinfo_sub: RefCell<String>,
    /// Who says yes at the authorization endpoint: `sub`.
    pub(crate) person: RefCell<String>,
    /// `sid` of the session that they have there, where the provider sends one.
    pub(crate) sid: RefCell<Option<String>>,
    /// The id and seed of the signing key; the JWKS follows unless `keys_lag`.
    pub(crate) kid: RefCell<String>,
    pub(crate) keys_lag: Cell<bool>,
    published: RefCell<String>,
    codes: RefCell<BTreeMap<String, Grant>>,
    refresh_tokens: RefCell<BTreeMap<String, (u64, Grant)>>,
    spent: RefCell<BTreeMap<String, u64>>,
    counter: Cell<u64>,
}

#[derive(Clone, Debug)]
struct Grant {
    nonce: String,
    challenge: String,
    redirect_uri: String,
    sub: String,
    sid: Option<String>,
}

/// What the person's visit at the authorization endpoint comes to.
pub(crate) struct Authorized {
    pub(crate) code: String,
    pub(crate) state: String,
}

impl Authorized {
    pub(crate) fn form(&self) -> String {
        format!("code={}&state={}&iss={}", self.code, self.state, encode(ISSUER))
    }
}

impl Provider {
    pub(crate) fn new() -> Self {
        Self {
            failures: RefCell::default(),
            calls: RefCell::default(),
            secrets: RefCell::new(vec![CLIENT_SECRET.to_owned()]),
            id_tokens: RefCell::default(),
            revoked: RefCell::default(),
            takes_access_tokens_back: Cell::new(true),
            dawdles: Cell::new(false),
            rotates: Cell::new(true),
            token_lifetime: Cell::new(Some(300)),
            gives_refresh_tokens: Cell::new(true),
            id_token_on_refresh: Cell::new(true),
            end_session: Cell::new(true),
            edit_id_token: RefCell::default(),
            edit_metadata: RefCell::default(),
            userinfo_sub: RefCell::new("alice".to_owned()),
            person: RefCell::new("alice".to_owned()),
            sid: RefCell::new(Some("provider-session".to_owned())),
            kid: RefCell::new("k1".to_owned()),
            keys_lag: Cell::new(false),
            published: RefCell::new("k1".to_owned()),
            codes: RefCell::default(),
            refresh_tokens: RefCell::default(),
            spent: RefCell::default(),
            counter: Cell::new(0),
        }
    }

    pub(crate) fn fails(&self, endpoint: Endpoint, failure: Failure) {
        self.failures.borrow_mut().insert(endpoint, failure);
    }

    pub(crate) fn goes_down(&self) {
        for endpoint in [
            Endpoint::Discovery,
            Endpoint::Keys,
            Endpoint::Code,
            Endpoint::Refresh,
            Endpoint::UserInfo,
            Endpoint::Revocation,
        ] {
            self.fails(endpoint, Failure::Unreachable);
        }
    }

    pub(crate) fn works_again(&self) {
        self.failures.borrow_mut().clear();
    }

    pub(crate) fn calls(&self, endpoint: Endpoint) -> usize {
        self.calls.borrow().get(&endpoint).copied().unwrap_or(0)
    }

    /// A new signing key.
    pub(crate) fn rotates_its_key(&self, kid: &str) {
        kid.clone_into(&mut self.kid.borrow_mut());
    }

    /// The person says yes at the authorization endpoint.
    pub(crate) fn authorize(&self, url: &str) -> Authorized {
        let query = query_of(url);
        assert!(url.starts_with(&format!("{BASE}/authorize?")), "{url}");
        assert_eq!(query["client_id"], CLIENT_ID);
        assert_eq!(query["response_type"], "code");
        assert_eq!(query["code_challenge_method"], "S256");
        let code = self.secret("code");
        self.codes.borrow_mut().insert(
            code.clone(),
            Grant {
                nonce: query["nonce"].clone(),
                challenge: query["code_challenge"].clone(),
                redirect_uri: query["redirect_uri"].clone(),
                sub: self.person.borrow().clone(),
                sid: self.sid.borrow().clone(),
            },
        );
        Authorized { code, state: query["state"].clone() }
    }

    pub(crate) fn respond(
        &self,
        request: &HttpRequest,
        now: Timestamp,
    ) -> Result<HttpResponse, TransportError> {
        let form = request.body.as_ref().map(|body| form_of(body.expose())).unwrap_or_default();
        let endpoint = self.endpoint(request, &form);
        *self.calls.borrow_mut().entry(endpoint).or_insert(0) += 1;
        let failure = self.failures.borrow().get(&endpoint).cloned();
        match failure {
            Some(Failure::Unreachable) => return Err(TransportError::Unreachable),
            Some(Failure::Answers(status, body)) => return Ok(response(status, body.to_owned())),
            Some(Failure::AnswerLost) | None => {}
        }
        let (status, body) = match endpoint {
            Endpoint::Discovery => (200, self.metadata()),
            Endpoint::Keys => (200, self.jwks()),
            Endpoint::Code => self.exchange(request, &form, now),
            Endpoint::Refresh => self.refresh(request, &form, now),
            Endpoint::UserInfo => {
                (200, json!({"sub": *self.userinfo_sub.borrow(), "plan": "gold"}))
            }
            Endpoint::Revocation => self.revoke(request, &form),
        };
        if matches!(failure, Some(Failure::AnswerLost)) {
            return Err(TransportError::TimedOut);
        }
        assert!(body.to_string().len() <= request.max_bytes);
        Ok(response(status, body.to_string()))
    }

    fn endpoint(&self, request: &HttpRequest, form: &BTreeMap<String, String>) -> Endpoint {
        let path = request.url.strip_prefix(BASE).unwrap();
        match (request.verb, path, form.get("grant_type").map(String::as_str)) {
            (Verb::Get, "/.well-known/openid-configuration", _) => Endpoint::Discovery,
            (Verb::Get, "/jwks", _) => Endpoint::Keys,
            (Verb::Post, "/token", Some("authorization_code")) => Endpoint::Code,
            (Verb::Post, "/token", Some("refresh_token")) => Endpoint::Refresh,
            (Verb::Get, "/me", _) => Endpoint::UserInfo,
            (Verb::Post, "/revoke", _) => Endpoint::Revocation,
            other => panic!("the provider has no {other:?}"),
        }
    }

    fn metadata(&self) -> Value {
        let mut metadata = json!({
            "issuer": ISSUER,
            "authorization_endpoint": format!("{BASE}/authorize"),
            "token_endpoint": format!("{BASE}/token"),
            "jwks_uri": format!("{BASE}/jwks"),
            "userinfo_endpoint": format!("{BASE}/me"),
            "revocation_endpoint": format!("{BASE}/revoke"),
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256", "ES256"],
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": true,
        });
        let members = metadata.as_object_mut().unwrap();
        if self.end_session.get() {
            members.insert("end_session_endpoint".to_owned(), json!(format!("{BASE}/end")));
        }
        if let Some(edit) = &*self.edit_metadata.borrow() {
            edit(members);
        }
        metadata
    }

    fn jwks(&self) -> Value {
        if !self.keys_lag.get() {
            self.kid.borrow().clone_into(&mut self.published.borrow_mut());
        }
        let kid = self.published.borrow().clone();
        let point = signing_key(&kid).verifying_key().to_encoded_point(false);
        json!({"keys": [
            {"kty": "RSA", "kid": "too small", "n": "AQAB", "e": "AQAB"},
            {"kty": "unheard-of", "kid": "foreign"},
            {
                "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": kid,
                "x": base64url::encode(point.x().unwrap()),
                "y": base64url::encode(point.y().unwrap()),
            },
        ]})
    }

    fn exchange(
        &self,
        request: &HttpRequest,
        form: &BTreeMap<String, String>,
        now: Timestamp,
    ) -> (u16, Value) {
        authenticated(request);
        let verifier = form["code_verifier"].clone();
        self.secrets.borrow_mut().push(verifier.clone());
        let Some(grant) = self.codes.borrow_mut().remove(&form["code"]) else {
            return invalid_grant();
        };
        assert_eq!(grant.redirect_uri, form["redirect_uri"]);
        if base64url::encode(Sha256::digest(&verifier)) != grant.challenge {
            return invalid_grant();
        }
        let family = self.count();
        (200, self.tokens(&grant, family, now, None, true))
    }

    fn refresh(
        &self,
        request: &HttpRequest,
        form: &BTreeMap<String, String>,
        now: Timestamp,
    ) -> (u16, Value) {
        authenticated(request);
        let token = &form["refresh_token"];
        if let Some(family) = self.spent.borrow().get(token) {
            // Reuse: the whole family is gone.
            self.refresh_tokens.borrow_mut().retain(|_, (other, _)| other != family);
            return invalid_grant();
        }
        let Some((family, grant)) = self.refresh_tokens.borrow().get(token).cloned() else {
            return invalid_grant();
        };
        let keep = if self.rotates.get() {
            self.refresh_tokens.borrow_mut().remove(token);
            self.spent.borrow_mut().insert(token.clone(), family);
            None
        } else {
            Some(token.as_str())
        };
        (200, self.tokens(&grant, family, now, keep, self.id_token_on_refresh.get()))
    }

    fn revoke(&self, request: &HttpRequest, form: &BTreeMap<String, String>) -> (u16, Value) {
        authenticated(request);
        let (token, hint) = (&form["token"], &form["token_type_hint"]);
        let kind = token.split('-').next().unwrap();
        assert_eq!(*hint, format!("{kind}_token"));
        if kind == "access" && !self.takes_access_tokens_back.get() {
            return (400, json!({"error": "unsupported_token_type"}));
        }
        self.revoked.borrow_mut().push(token.clone());
        (200, json!({}))
    }

    /// What was revoked, by kind and in its order.
    pub(crate) fn revoked_kinds(&self) -> Vec<String> {
        let kind = |token: &String| token.split('-').next().unwrap().to_owned();
        self.revoked.borrow().iter().map(kind).collect()
    }

    /// Ends the person's session at the provider without telling anybody.
    pub(crate) fn forgets_everything(&self) {
        self.refresh_tokens.borrow_mut().clear();
    }

    fn tokens(
        &self,
        grant: &Grant,
        family: u64,
        now: Timestamp,
        keep: Option<&str>,
        id_token: bool,
    ) -> Value {
        let access_token = self.secret("access");
        let mut tokens = json!({"access_token": access_token, "token_type": "bEaReR"});
        if let Some(lifetime) = self.token_lifetime.get() {
            tokens["expires_in"] = json!(lifetime);
        }
        if id_token {
            tokens["id_token"] = json!(self.id_token(grant, &access_token, now));
        }
        if keep.is_none() && self.gives_refresh_tokens.get() {
            let refresh_token = self.secret("refresh");
            tokens["refresh_token"] = json!(refresh_token);
            self.refresh_tokens.borrow_mut().insert(refresh_token, (family, grant.clone()));
        }
        tokens
    }

    fn id_token(&self, grant: &Grant, access_token: &str, now: Timestamp) -> String {
        let hash = Sha256::digest(access_token);
        let mut claims = json!({
            "iss": ISSUER, "sub": grant.sub, "aud": CLIENT_ID, "nonce": grant.nonce,
            "iat": now.as_secs(), "exp": now.as_secs() + 300, "auth_time": 1_760_000_000,
            "at_hash": base64url::encode(&hash[..16]), "name": "Alice Example",
        });
        if let Some(sid) = &grant.sid {
            claims["sid"] = json!(sid);
        }
        if let Some(edit) = &*self.edit_id_token.borrow() {
            edit(claims.as_object_mut().unwrap());
        }
        let token = self.sign("JWT", &claims);
        self.id_tokens.borrow_mut().push(token.clone());
        token
    }

    /// A token of this provider's, with its current key.
    pub(crate) fn sign(&self, typ: &str, claims: &Value) -> String {
        let kid = self.kid.borrow().clone();
        let header = json!({"alg": "ES256", "kid": kid, "typ": typ});
        let signed = format!(
            "{}.{}",
            base64url::encode(header.to_string()),
            base64url::encode(claims.to_string())
        );
        let signature: Signature = signing_key(&kid).sign(signed.as_bytes());
        format!("{signed}.{}", base64url::encode(signature.to_bytes()))
    }

    /// A logout token (Back-Channel Logout 1.0 §2.4) that says no more of whom than `who` does.
    pub(crate) fn logout_token(&self, who: &Value, now: Timestamp) -> String {
        let mut claims = json!({
            "iss": ISSUER, "aud": CLIENT_ID, "iat": now.as_secs(), "exp": now.as_secs() + 120,
            "jti": self.secret("jti"),
            "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
        });
        claims.as_object_mut().unwrap().extend(who.as_object().unwrap().clone());
        let token = self.sign("logout+jwt", &claims);
        self.secrets.borrow_mut().push(token.clone());
        token
    }

    /// Refresh tokens that were revoked.
    pub(crate) fn refresh_tokens_revoked(&self) -> usize {
        self.revoked.borrow().iter().filter(|token| token.starts_with("refresh-")).count()
    }

    /// Refresh tokens that could still be used: neither spent nor revoked.
    pub(crate) fn refresh_tokens_left(&self) -> usize {
        let revoked = self.revoked.borrow();
        self.refresh_tokens.borrow().keys().filter(|token| !revoked.contains(token)).count()
    }

    fn count(&self) -> u64 {
        self.counter.set(self.counter.get() + 1);
        self.counter.get()
    }

    fn secret(&self, kind: &str) -> String {
        let count = self.count();
        let secret = format!("{kind}-{}", base64url::encode(Sha256::digest(count.to_string())));
        self.secrets.borrow_mut().push(secret.clone());
        secret
    }
}

/// `client_secret_basic`: form-decoded as RFC 6749 §2.3.1 has it (the client's id has a space).
fn authenticated(request: &HttpRequest) {
    use base64::Engine as _;

    let given = request.headers.iter().find(|(name, _)| *name == "authorization").unwrap();
    let credentials = given.1.expose().strip_prefix("Basic ").unwrap();
    let credentials = base64::engine::general_purpose::STANDARD.decode(credentials).unwrap();
    let credentials = String::from_utf8(credentials).unwrap().replace(':', "=");
    assert_eq!(form_of(&credentials)[CLIENT_ID], CLIENT_SECRET);
}

fn signing_key(kid: &str) -> SigningKey {
    SigningKey::from_slice(&Sha256::digest(kid)).unwrap()
}

fn invalid_grant() -> (u16, Value) {
    (400, json!({"error": "invalid_grant", "error_description": "<script>alert(1)</script>"}))
}

fn response(status: u16, body: String) -> HttpResponse {
    HttpResponse {
        status,
        headers: vec![("content-type".to_owned(), "application/json".to_owned())],
        body: body.into_bytes(),
    }
}

pub(crate) fn query_of(url: &str) -> BTreeMap<String, String> {
    form_of(url.split_once('?').map_or("", |(_, query)| query))
}

pub(crate) fn form_of(form: &str) -> BTreeMap<String, String> {
    url::form_urlencoded::parse(form.as_bytes()).into_owned().collect()
}

pub(crate) fn encode(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}
