//! Every error that Tokenkeep answers with, and its `application/problem+json` (RFC 9457).
//!
//! One table says, for each code, the status, whose move it is, and the texts. The texts are
//! constants: nothing that a request brought is ever part of one. Codes are stable; clients
//! compare them.

use std::borrow::Cow;

use serde_json::{Map, Value, json};

use super::message::Answer;
use crate::config::{Config, Origin};

/// Whose move it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Owner {
    /// Who deployed and configured Tokenkeep.
    Operator,
    /// The OpenID provider.
    Provider,
    /// The API behind the route.
    Api,
    /// The browser, the app in it or the person before it.
    Browser,
    /// Most likely somebody who tries something; nothing to mend.
    Attacker,
    /// Tokenkeep's own fault.
    Us,
}

impl Owner {
    /// The word for it in logs and in the table of problems.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Provider => "provider",
            Self::Api => "api",
            Self::Browser => "browser",
            Self::Attacker => "attacker",
            Self::Us => "tokenkeep",
        }
    }
}

/// What is known about a code.
#[derive(Clone, Copy, Debug)]
pub struct Problem {
    /// The stable code.
    pub code: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// Whose move it is.
    pub owner: Owner,
    /// A line for people.
    pub title: &'static str,
    /// What happened, in plain words.
    pub detail: &'static str,
    /// Who must do what; stands in `docs/problems.md`.
    pub act: &'static str,
}

macro_rules! problems {
    ($($(#[$doc:meta])* $name:ident = $status:literal $code:literal $owner:ident
        $title:literal $detail:literal $act:literal;)*) => {
        /// A problem's stable code.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum ProblemCode { $(#[doc = $title] $name,)* }

        impl ProblemCode {
            /// All of them, in the order of `docs/problems.md`.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The row of the table.
            pub const fn problem(self) -> &'static Problem {
                match self {
                    $(Self::$name => &Problem {
                        code: $code, status: $status, owner: Owner::$owner,
                        title: $title, detail: $detail, act: $act,
                    },)*
                }
            }
        }
    };
}

problems! {
    // The deployment.
    ConfigInvalid = 503 "config_invalid" Operator "The configuration is not valid"
        "This application is not set up correctly, so nothing is served. Its log says what is wrong."
        "The operator: the Worker's log lists every wrong key with what would be right.";
    OriginUnknown = 421 "origin_unknown" Operator "This host is not served here"
        "The address that was called is not one of the configured origins."
        "The operator: add the exact origin (scheme, host, port) to `origin`, or stop routing that host to the Worker.";
    Internal = 500 "internal" Us "Something went wrong on our side"
        "The request could not be served because of a fault in Tokenkeep itself."
        "Nobody at once; report it with the event id from the page or the log.";

    // The request as such.
    RequestMalformed = 400 "request_malformed" Browser "The request is malformed"
        "The address or a header of the request is not valid."
        "The client: send a valid URL (visible ASCII, percent-encoded) and valid headers.";
    PathAmbiguous = 400 "path_ambiguous" Attacker "The path can be read in more than one way"
        "The path has dot segments, empty segments, or encoded characters that servers read differently."
        "The client: send the normal form, without `//`, `.`, `..`, `%2F`, `%5C`, control characters or double encoding. Often an attack.";
    MethodNotSupported = 501 "method_not_supported" Browser "The method is not supported"
        "Only GET, HEAD, POST, PUT, PATCH, DELETE and OPTIONS are known here."
        "The client: use one of these methods.";
    MethodNotAllowed = 405 "method_not_allowed" Browser "The method is not allowed here"
        "This address does not take requests of this method; see the Allow header."
        "The client: use a method from `Allow`; or the operator: add it to the route's `methods`.";
    NotFound = 404 "not_found" Browser "There is nothing here"
        "There is no such endpoint."
        "The client: see the table of endpoints; paths are case-sensitive and have no trailing slash.";
    UpgradeNotSupported = 501 "upgrade_not_supported" Operator "WebSockets do not pass here"
        "The route's `connections` is not set to let WebSockets pass."
        "The operator: set the route's `connections` to `bound` or `pass`; or the client: use plain requests or server-sent events.";
    BodyNotAllowed = 400 "body_not_allowed" Browser "A body is not allowed here"
        "A GET or HEAD request came with a body, which can not be passed on."
        "The client: send the body with POST, or put it into the query.";
    BodyTooLarge = 413 "body_too_large" Browser "The body is too large"
        "The request's body is larger than this endpoint reads."
        "The client: send what the endpoint asks for and nothing else.";
    ContentTypeUnsupported = 415 "content_type_unsupported" Browser "The content type is not supported"
        "The body is not of the type that this endpoint reads."
        "The client: send the type that the table of endpoints names: a form, or JSON.";
    EarlyData = 425 "early_data" Browser "Too early"
        "The request came as TLS early data, which can be replayed, so it was not acted on."
        "Nobody: the browser sends it again by itself when the handshake is done.";

    // CSRF.
    CsrfCrossSite = 403 "csrf_cross_site" Attacker "The request comes from another site"
        "Calls that act with the session must come from this application itself."
        "Nobody, if it was an attack; else the app: call from the application's own origin.";
    CsrfSameSite = 403 "csrf_same_site" Browser "The request comes from a sibling domain"
        "A page on another host or port of the same site made the call; only this application itself may."
        "The developer: call from the same origin, not from a sibling subdomain.";
    DevServerNotProxied = 403 "dev_server_not_proxied" Browser "The call did not go through your dev server"
        "A page on another port of localhost made the call. Proxy the API and login paths through your dev server, so that page and calls share one origin."
        "The developer: proxy these paths in the dev server (Vite: `server.proxy`) and configure the dev server's address as `origin`.";
    CsrfOrigin = 403 "csrf_origin" Attacker "The Origin header is not this application's"
        "The Origin header of the request names another origin, or a WebSocket came without one."
        "Nobody, if it was an attack; else the app: call from the application's own origin, not from a sandboxed frame or a file.";
    CsrfHeaderMissing = 403 "csrf_header_missing" Browser "The header X-Tokenkeep is missing"
        "This call needs the header X-Tokenkeep with the value 1."
        "The app: send `X-Tokenkeep: 1` with every call.";
    NavigationRefused = 403 "navigation_refused" Browser "This address is not a page"
        "This address is for the application itself, not for opening it in a window or a frame, or running it as a script or worker."
        "The app: call it with fetch; or the operator: set the route's `navigation` to `download` or `page`.";

    // The session.
    Unauthenticated = 401 "unauthenticated" Browser "You are not logged in"
        "There is no session, or it has ended."
        "The app: navigate to `login_url`.";
    InsufficientUserAuthentication = 401 "insufficient_user_authentication" Browser "A stronger or more recent login is needed"
        "The API asks for a login of another kind, or for one that is more recent, than this session's."
        "The app: navigate to `login_url`, which asks the provider for what the API wants; add `return_to` to it.";
    SessionUnavailable = 503 "session_unavailable" Us "The session can't be reached at the moment"
        "The place where sessions are kept did not answer. The session itself is not lost."
        "Nobody at once: try again after `Retry-After`; if it lasts, the operator looks at the Durable Object's errors.";

    // The provider.
    ProviderUnavailable = 503 "provider_unavailable" Provider "The login service can't be reached"
        "The login service did not answer, or not in a usable way. Who is logged in stays logged in."
        "The provider; try again after `Retry-After`. The log says which request failed and how.";
    ProviderOverloaded = 503 "provider_overloaded" Provider "The login service is overloaded"
        "The login service asked for fewer requests. Who is logged in stays logged in."
        "The provider, or the operator's quota there; try again after `Retry-After`.";
    ProviderRefusesClient = 503 "provider_refuses_client" Operator "The login service does not accept this application"
        "The login service refused this application's own credentials."
        "The operator: check client_id, `CLIENT_SECRET` and `client_auth` against the registration (expired or rotated secret?).";

    // The API.
    UpstreamUnreachable = 502 "upstream_unreachable" Api "The API can't be reached"
        "The connection to the API failed."
        "Whoever runs the API; or the operator: check the route's `upstream`.";
    UpstreamTimedOut = 504 "upstream_timed_out" Api "The API takes too long"
        "The API did not begin to answer within the time that its route allows, in which the upload of a body counts. Whether it acted is not known."
        "Whoever runs the API; or the operator: raise the route's `upstream.timeout_seconds`, or leave it out.";
    UpstreamRedirectRefused = 502 "upstream_redirect_refused" Api "The API redirected to where it can't be followed"
        "The API's redirect points at an address of its own that no route leads to."
        "The operator: widen the route or correct the API's redirect (often http/https, a trailing slash or a login page).";
    UpstreamStatusInvalid = 502 "upstream_status_invalid" Api "The API's answer is not valid"
        "The API answered with a status that is not valid in HTTP."
        "Whoever runs the API.";

    // Login: what a person sees on a page, mostly.
    LoginNeedsNavigation = 401 "login_needs_navigation" Browser "Logging in needs a page of its own"
        "A login starts by opening the login address in the window, not by a call."
        "The app: `location.assign(login_url)` in place of fetch.";
    LoginNotANavigation = 403 "login_not_a_navigation" Browser "A login starts in a window of its own"
        "The login address was opened in a frame or ahead of time, where no login can start."
        "The app: open it as a top-level navigation.";
    LoginParameterInvalid = 400 "login_parameter_invalid" Browser "A parameter of the login is not valid"
        "The login address was called with a parameter that is not allowed, twice given or malformed."
        "The app: see the table of login parameters; or the operator: allow it in `login_params`.";
    LoginLoop = 429 "login_loop" Operator "The login went in circles"
        "Several logins in a row ended where they began, so we stopped. Please wait a minute and try again."
        "The operator: the session doesn't stick. Cookies blocked, a wrong `origin`, or an API that answers 401 to every fresh token.";
    LoginExpired = 400 "login_expired" Browser "The login took too long"
        "More than ten minutes passed since the login was started. Please try again."
        "The person: try again.";
    LoginNotFound = 400 "login_not_found" Browser "This login was not started here"
        "This browser did not start the login that came back, or no longer knows about it. Please try again."
        "The person: try again in one window, with cookies allowed. A login link from somebody else ends here on purpose.";
    LoginAlreadyUsed = 400 "login_already_used" Browser "This login was already used"
        "The login was finished before, or was ended in the meantime. Please try again."
        "The person: try again.";
    LoginResponseInvalid = 400 "login_response_invalid" Provider "The login service's answer is not valid"
        "The answer of the login service is incomplete or malformed. Please try again."
        "The provider, if it happens again: the log says what was wrong (missing or repeated parameters).";
    LoginIssuerMismatch = 400 "login_issuer_mismatch" Attacker "The answer comes from another login service"
        "The answer was not given by the login service that was asked, so it was not used."
        "The operator: if it isn't an attack, `issuer` differs from what the provider sends as `iss`.";
    LoginStateMismatch = 400 "login_state_mismatch" Attacker "The answer belongs to another login"
        "The answer does not fit the login that was started, so it was not used. Please try again."
        "The person: try again. Often an attack or two logins at once.";
    AccessDenied = 403 "access_denied" Browser "The login was refused"
        "The login was cancelled, or you are not allowed to use this application."
        "The person; or who gives access at the provider.";
    InteractionRequired = 401 "interaction_required" Browser "The login service needs to ask you something"
        "A login without asking was not possible. Please log in."
        "The app: start a login without `prompt=none`.";
    ProviderError = 502 "provider_error" Provider "The login service reported an error"
        "The login service could not finish the login. Please try again later."
        "The operator: the log has the error's name (for example invalid_scope is the registration, server_error the provider).";
    CodeRefused = 400 "code_refused" Provider "The login could not be completed"
        "The login service did not accept its own answer any more. Please try again."
        "The person: try again; if it lasts, the operator checks redirect URI and PKCE in the registration.";
    IdentityRefused = 502 "identity_refused" Provider "The login service's word could not be trusted"
        "The proof of identity from the login service failed a check, so nobody was logged in."
        "The operator: the log names the check (issuer, audience, signature algorithm, nonce, time).";
    LoginEnded = 403 "login_ended" Browser "The login was ended meanwhile"
        "The login service ended this login before it was completed here. Please log in again."
        "The person: log in again. A logout at the provider, or an administrator's, came in between.";

    // Logout.
    LogoutLinkUsed = 410 "logout_link_used" Browser "This logout link was already used"
        "The link to finish the logout works once, for two minutes. The session here has ended."
        "Nobody: the session has ended. To log out at the provider too, log out there.";
    LogoutTokenInvalid = 400 "logout_token_invalid" Provider "The logout token is not valid"
        "The logout token failed a check, so nothing was ended."
        "The operator: the log names the check (issuer, audience, algorithm, events, time, replay).";

    // The person's devices, the administrator.
    ParametersInvalid = 400 "parameters_invalid" Browser "The request's parameters are not valid"
        "The body has to be a JSON object with exactly the members that this endpoint takes."
        "The client: see the table of endpoints.";
    DeviceUnknown = 404 "device_unknown" Browser "There is no such device"
        "None of your sessions has this name, or it has ended already."
        "The client: load the list again.";
    AdminRateLimited = 429 "admin_rate_limited" Operator "Too many requests"
        "There were more of these requests within a minute than are served."
        "The operator: wait a minute; end subjects one after the other.";
}

impl ProblemCode {
    /// The stable code.
    pub const fn as_str(self) -> &'static str {
        self.problem().code
    }

    /// The HTTP status.
    pub const fn status(self) -> u16 {
        self.problem().status
    }

    /// Whose move it is.
    pub const fn owner(self) -> Owner {
        self.problem().owner
    }

    /// After how many seconds another try makes sense, if by itself.
    pub const fn retry_after(self) -> Option<&'static str> {
        match self {
            Self::SessionUnavailable => Some("2"),
            Self::ProviderUnavailable => Some("5"),
            Self::ProviderOverloaded => Some("15"),
            Self::AdminRateLimited
            | Self::ProviderRefusesClient
            | Self::ConfigInvalid
            | Self::LoginLoop => Some("60"),
            _ => None,
        }
    }
}

/// The answer for a code, as `application/problem+json`.
pub fn problem(code: ProblemCode) -> Answer {
    problem_with(code, Map::new())
}

/// The same with more members. Their values are ours, never a request's.
pub fn problem_with(code: ProblemCode, members: Map<String, Value>) -> Answer {
    let row = code.problem();
    let mut body = json!({
        "type": format!("urn:tokenkeep:problem:{}", row.code),
        "title": row.title,
        "status": row.status,
        "detail": row.detail,
        "code": row.code,
    });
    if let Value::Object(object) = &mut body {
        object.extend(members);
    }
    let mut headers = common_headers();
    headers.push(("content-type", Cow::Borrowed("application/problem+json")));
    headers.push((
        "content-security-policy",
        Cow::Borrowed("default-src 'none'; frame-ancestors 'none'"),
    ));
    error_headers(&mut headers, code);
    Answer { status: row.status, headers, body: crate::json::write(&body) }
}

/// 401 with the URL to navigate to.
pub fn unauthenticated(config: &Config, origin: &Origin) -> Answer {
    let login_url = format!("{}{}/login", origin.serialized, config.base_path);
    let members = [("login_url".to_owned(), Value::String(login_url))].into_iter().collect();
    problem_with(ProblemCode::Unauthenticated, members)
}

/// 405 with `Allow` (RFC 9110 §15.5.6).
pub fn method_not_allowed(allow: String) -> Answer {
    let mut answer = problem(ProblemCode::MethodNotAllowed);
    answer.headers.push(("allow", Cow::Owned(allow)));
    answer
}

/// What every response of ours carries.
pub fn common_headers() -> Vec<(&'static str, Cow<'static, str>)> {
    vec![
        ("cache-control", Cow::Borrowed("no-store")),
        ("x-content-type-options", Cow::Borrowed("nosniff")),
        ("referrer-policy", Cow::Borrowed("no-referrer")),
        ("cross-origin-resource-policy", Cow::Borrowed("same-origin")),
    ]
}

/// What an error carries besides: the code, by which a client tells ours from the API's.
pub(crate) fn error_headers(
    headers: &mut Vec<(&'static str, Cow<'static, str>)>,
    code: ProblemCode,
) {
    headers.push(("tokenkeep-error", Cow::Borrowed(code.as_str())));
    if let Some(seconds) = code.retry_after() {
        headers.push(("retry-after", Cow::Borrowed(seconds)));
    }
}

#[cfg(test)]
mod tests;
