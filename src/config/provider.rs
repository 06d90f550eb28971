//! The section `provider`: the provider and our registration there.

use super::{
    ClientAuth, ProviderConfig, ResponseMode, SigningAlg,
    address::{WebUrl, is_scope_token},
    fault::Faults,
    table::Table,
};
use crate::secret::Secret;

/// Parameters that are the protocol's own: an operator or a caller who could set one would undo
/// what it protects.
const PROTOCOL_PARAMS: [&str; 22] = [
    "access_token",
    "client_assertion",
    "client_assertion_type",
    "client_id",
    "client_secret",
    "code",
    "code_challenge",
    "code_challenge_method",
    "code_verifier",
    "dpop_jkt",
    "grant_type",
    "id_token_hint",
    "nonce",
    "redirect_uri",
    "registration",
    "request",
    "request_uri",
    "resource",
    "response_mode",
    "response_type",
    "scope",
    "state",
];

/// What follows the issuer in the discovery document's address (OpenID Connect Discovery §4).
const DISCOVERY: &str = "/.well-known/openid-configuration";

/// Query parameters that `login` reads anyway.
const LOGIN_PARAMS: [&str; 6] =
    ["acr_values", "login_hint", "max_age", "prompt", "return_to", "ui_locales"];

/// What the rest of the configuration says that the provider's section has to fit.
pub(super) struct Surroundings {
    /// `dangerously_allow_loopback_http`.
    pub(super) allow_loopback_http: bool,
    /// Whether an origin of ours is http on loopback.
    pub(super) has_loopback_http_origin: bool,
    /// Whether sessions are kept in KV.
    pub(super) in_kv: bool,
    /// `CLIENT_SECRET`; where it is missing that is a fault already.
    pub(super) client_secret: Option<Secret<String>>,
}

/// How we authenticate, before the secret is added.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Method {
    #[default]
    Basic,
    BasicUnencoded,
    Post,
}

/// Reads the section.
pub(super) fn read(
    table: &mut Table<'_>,
    surroundings: Surroundings,
    faults: &mut Faults,
) -> Option<ProviderConfig> {
    let issuer = read_issuer(table, surroundings.allow_loopback_http, faults);
    let client_id = read_client_id(table, faults);
    let client_auth = read_client_auth(table, client_id, surroundings.client_secret, faults);
    let scopes = read_scopes(table, faults);
    let authorization_params = read_authorization_params(table, faults);
    let login_params = read_login_params(table, &authorization_params, faults);
    let response_mode = read_response_mode(table, surroundings.has_loopback_http_origin, faults);
    let id_token_alg = table.choice(
        "id_token_signed_response_alg",
        &[
            ("RS256", SigningAlg::RS256),
            ("PS256", SigningAlg::PS256),
            ("ES256", SigningAlg::ES256),
            ("EdDSA", SigningAlg::EdDSA),
        ],
        faults,
    );
    let userinfo = table.flag("userinfo", false, faults);
    let id_token_hint = table.flag("id_token_hint", true, faults);
    let frontchannel_logout = read_frontchannel_logout(table, surroundings.in_kv, faults);
    let rotates_refresh_tokens = read_rotation(table, surroundings.in_kv, faults);
    let (issuer, allow_http) = issuer?;
    Some(ProviderConfig {
        issuer,
        client_id: client_id?.to_owned(),
        client_auth: client_auth?,
        scopes,
        authorization_params,
        login_params,
        response_mode,
        id_token_alg,
        userinfo,
        id_token_hint,
        frontchannel_logout,
        rotates_refresh_tokens,
        allow_http,
    })
}

/// A marker in KV would be stored for anybody who sends a `sid`.
fn read_frontchannel_logout(table: &mut Table<'_>, in_kv: bool, faults: &mut Faults) -> bool {
    let Some(field) = table.field("frontchannel_logout") else { return false };
    let is_on = field.flag(faults).unwrap_or(false);
    if is_on && in_kv {
        let expected = "false with store = \"kv\": a frame isn't authenticated, and there it would \
                        have something stored";
        field.refuse(expected, faults);
    }
    is_on
}

/// OpenID Connect Discovery §3: https, no query, no fragment. Kept byte for byte, since `iss` is
/// compared so. Says also whether it is http on loopback.
fn read_issuer(
    table: &mut Table<'_>,
    allow_loopback_http: bool,
    faults: &mut Faults,
) -> Option<(String, bool)> {
    const EXPECTED: &str = "the provider's issuer, such as \"https://id.example.com\"";
    let field = table.required("issuer", EXPECTED, faults)?;
    let text = field.text(EXPECTED, faults)?;
    if text.trim_end_matches('/').ends_with(DISCOVERY) {
        field.refuse("the issuer alone: leave /.well-known/openid-configuration out", faults);
        return None;
    }
    match WebUrl::parse(text, allow_loopback_http) {
        Ok(url) => Some((text.to_owned(), url.is_loopback_http)),
        Err(expected) => {
            field.refuse(expected, faults);
            None
        }
    }
}

/// RFC 6749 Appendix A.1: printable ASCII.
fn read_client_id<'a>(table: &mut Table<'a>, faults: &mut Faults) -> Option<&'a str> {
    const EXPECTED: &str = "the client_id of the registration at the provider";
    let field = table.required("client_id", EXPECTED, faults)?;
    let text = field.text(EXPECTED, faults)?;
    if !is_vschar(text) {
        field.refuse("printable ASCII without space around it", faults);
        return None;
    }
    Some(text)
}

fn read_client_auth(
    table: &mut Table<'_>,
    client_id: Option<&str>,
    client_secret: Option<Secret<String>>,
    faults: &mut Faults,
) -> Option<ClientAuth> {
    let key = table.key("client_auth");
    let method = table.choice(
        "client_auth",
        &[
            ("client_secret_basic", Method::Basic),
            ("client_secret_basic_unencoded", Method::BasicUnencoded),
            ("client_secret_post", Method::Post),
        ],
        faults,
    );
    // RFC 7617 §2: the first colon ends the user-id.
    if method == Method::BasicUnencoded && client_id.is_some_and(|id| id.contains(':')) {
        faults.add(
            key,
            "\"client_secret_basic_unencoded\" with a client_id that has a colon",
            "\"client_secret_basic\", which encodes the colon",
        );
    }
    let secret = client_secret?;
    Some(match method {
        Method::Post => ClientAuth::ClientSecretPost(secret),
        Method::BasicUnencoded => ClientAuth::ClientSecretBasicUnencoded(secret),
        Method::Basic => ClientAuth::ClientSecretBasic(secret),
    })
}

/// OpenID Connect Core §3.1.2.1: `openid` must be among them.
fn read_scopes(table: &mut Table<'_>, faults: &mut Faults) -> Vec<String> {
    const EXPECTED: &str = "a list of scopes with \"openid\" among them";
    let Some(field) = table.field("scopes") else { return vec!["openid".to_owned()] };
    let mut scopes = Vec::new();
    for (item, scope) in field.texts(EXPECTED, faults) {
        if !is_scope_token(scope) {
            item.refuse("one scope, without space, quote and backslash", faults);
        }
        scopes.push(scope.to_owned());
    }
    if field.value.is_array() && !scopes.iter().any(|scope| scope == "openid") {
        faults.add(field.key, "no \"openid\"", EXPECTED);
    }
    scopes
}

fn read_authorization_params(table: &mut Table<'_>, faults: &mut Faults) -> Vec<(String, String)> {
    let Some(field) = table.field("authorization_params") else { return Vec::new() };
    let mut params = Vec::new();
    for (name, value) in field.members("a table of parameter = \"value\"", faults) {
        if let Some(expected) = param_refusal(name) {
            faults.add(value.key, "a parameter of this name", expected);
        } else if name == "return_to" {
            faults.add(value.key, "a parameter of this name", "no parameter of Tokenkeep's own");
        } else if let Some(text) = value.text("a text", faults) {
            // The ID token is held against these two, so they must be what they are sent as.
            if name == "max_age" && !is_seconds(text) {
                value.refuse("a number of seconds as a text, such as \"300\"", faults);
            } else if name == "acr_values" && text.trim().is_empty() {
                value.refuse("one acr value or several, one space between them", faults);
            }
            params.push((name.to_owned(), text.to_owned()));
        }
    }
    params
}

fn read_login_params(
    table: &mut Table<'_>,
    fixed: &[(String, String)],
    faults: &mut Faults,
) -> Vec<String> {
    let Some(field) = table.field("login_params") else { return Vec::new() };
    let mut params = Vec::new();
    for (item, name) in field.texts("a list of parameter names", faults) {
        if let Some(expected) = param_refusal(name) {
            item.refuse(expected, faults);
        } else if LOGIN_PARAMS.contains(&name) {
            item.refuse("no parameter that login reads anyway", faults);
        } else if fixed.iter().any(|(fixed, _)| fixed == name) {
            // What the operator fixed isn't the caller's to choose.
            item.refuse("no parameter that authorization_params fixes", faults);
        }
        params.push(name.to_owned());
    }
    params
}

/// Why a parameter of this name can't be handed to the provider. Compared without regard to case:
/// a lenient provider must not read `State` as `state`.
fn param_refusal(name: &str) -> Option<&'static str> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    if name.is_empty() || !name.bytes().all(is_plain) {
        return Some("a name of letters, digits, '-', '.', '_' and '~'");
    }
    PROTOCOL_PARAMS
        .iter()
        .any(|own| own.eq_ignore_ascii_case(name))
        .then_some("no parameter of the protocol's own: Tokenkeep sets those")
}

/// KV can't keep two refreshes apart, and the second with a token that the first has spent would
/// end the session at the provider: so the operator has to say which kind of provider it is.
fn read_rotation(table: &mut Table<'_>, in_kv: bool, faults: &mut Faults) -> Option<bool> {
    const EXPECTED: &str = "a word on your provider, because KV can't keep two refreshes apart: \
        false if a refresh token may be used again and again, true if each use brings a new one \
        (sessions then end with their access token)";
    if in_kv {
        table.required("rotates_refresh_tokens", EXPECTED, faults)?.flag(faults)
    } else {
        table.field("rotates_refresh_tokens")?.flag(faults)
    }
}

fn read_response_mode(
    table: &mut Table<'_>,
    has_loopback_http_origin: bool,
    faults: &mut Faults,
) -> ResponseMode {
    let key = table.key("response_mode");
    let mode = table.choice(
        "response_mode",
        &[("query", ResponseMode::Query), ("form_post", ResponseMode::FormPost)],
        faults,
    );
    // The transaction's cookie has to come along with a cross-site POST: SameSite=None, which
    // browsers take with Secure only.
    if mode == ResponseMode::FormPost && has_loopback_http_origin {
        faults.add(
            key,
            "\"form_post\" together with an http origin",
            "\"query\", or https origins only: no cookie comes along with a cross-site POST to http",
        );
    }
    mode
}

fn is_seconds(text: &str) -> bool {
    (1..=9).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// RFC 6749 Appendix A: VSCHAR, without space at either end.
pub(super) fn is_vschar(text: &str) -> bool {
    text.bytes().all(|byte| (0x20..=0x7e).contains(&byte)) && text.trim() == text
}
