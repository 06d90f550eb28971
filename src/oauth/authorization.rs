//! The authorization request (RFC 6749 §4.1.1, OpenID Connect Core §3.1.2.1, RFC 7636 §4.3,
//! RFC 8707 §2.1) and the response to it (RFC 6749 §4.1.2, RFC 9207 §2.4).

use subtle::ConstantTimeEq as _;

use super::{form, metadata::Metadata, pkce::CodeChallenge};
use crate::{
    config::{ProviderConfig, ResponseMode},
    secret::Secret,
};

/// The longest response that is looked at.
pub const MAX_RESPONSE: usize = 8 * 1024;

/// The longest authorization code that is taken.
pub const MAX_CODE: usize = 4 * 1024;

/// Parameters that only we set; whoever else brings them (the operator's extras, the login's
/// query) brings them in vain. The `request` family would replace all the others (RFC 9101 §5).
const OURS: [&str; 14] = [
    "response_type",
    "response_mode",
    "client_id",
    "redirect_uri",
    "scope",
    "state",
    "nonce",
    "code_challenge",
    "code_challenge_method",
    "resource",
    "request",
    "request_uri",
    "client_secret",
    "dpop_jkt",
];

/// An authorization request of the code flow with S256, state and nonce: there is no other kind.
#[derive(Clone, Debug)]
pub struct AuthorizationRequest<'a> {
    /// Client, scopes, response mode and the operator's extra parameters.
    pub provider: &'a ProviderConfig,
    /// Where to.
    pub metadata: &'a Metadata,
    /// Our callback on the origin that was asked, from the configuration.
    pub redirect_uri: &'a str,
    /// Binds the response to the browser.
    pub state: &'a Secret<String>,
    /// Binds the ID token to the login.
    pub nonce: &'a Secret<String>,
    /// Binds the code to the login.
    pub challenge: &'a CodeChallenge,
    /// `resource` of every token that the session will want (RFC 8707 §2.1).
    pub resources: &'a [String],
    /// What the login's query asked for and the configuration allows: `max_age`, `prompt`, ….
    /// It overrides neither ours nor the operator's `authorization_params`.
    pub extra: &'a [(String, String)],
}

impl AuthorizationRequest<'_> {
    /// The URL to send the browser to.
    pub fn url(&self) -> String {
        let scope = self.provider.scopes.join(" ");
        let mut parameters = vec![
            ("response_type", "code"),
            ("client_id", self.provider.client_id.as_str()),
            ("redirect_uri", self.redirect_uri),
            ("scope", scope.as_str()),
            ("state", self.state.expose()),
            ("nonce", self.nonce.expose()),
            ("code_challenge", self.challenge.as_str()),
            ("code_challenge_method", CodeChallenge::METHOD),
        ];
        if self.provider.response_mode == ResponseMode::FormPost {
            parameters.push(("response_mode", "form_post"));
        }
        parameters.extend(self.resources.iter().map(|resource| ("resource", resource.as_str())));
        for (name, value) in self.provider.authorization_params.iter().chain(self.extra) {
            // RFC 6749 §3.1: no parameter twice. The first to come is the one with the say.
            let taken = parameters.iter().any(|(taken, _)| taken == name);
            if !taken && !OURS.contains(&name.as_str()) {
                parameters.push((name, value));
            }
        }
        form::append_to(&self.metadata.authorization_endpoint, &parameters)
    }
}

/// The parameters of an authorization response, each there at most once, nothing checked yet.
#[derive(Clone, Debug)]
pub struct AuthorizationParams {
    state: Option<Secret<String>>,
    iss: Option<String>,
    error: Option<String>,
    code: Option<Secret<String>>,
}

impl AuthorizationParams {
    /// Reads the callback's query (without `?`) or its form body.
    ///
    /// # Errors
    ///
    /// [`AuthorizationError::TooLarge`], [`AuthorizationError::Encoding`] and
    /// [`AuthorizationError::Duplicate`]: of two values one party would check the one and the
    /// next use the other.
    pub fn parse(form_or_query: &str) -> Result<Self, AuthorizationError> {
        if form_or_query.len() > MAX_RESPONSE {
            return Err(AuthorizationError::TooLarge);
        }
        let mut pairs = form::parse(form_or_query).map_err(|_| AuthorizationError::Encoding)?;
        let mut names: Vec<_> = pairs.iter().map(|(name, _)| name.clone()).collect();
        names.sort_unstable();
        if names.windows(2).any(|pair| matches!(pair, [a, b] if a == b)) {
            return Err(AuthorizationError::Duplicate);
        }
        let mut take = |wanted: &str| {
            let found = pairs.iter_mut().find(|(name, _)| name == wanted);
            found.map(|(_, value)| std::mem::take(value))
        };
        Ok(Self {
            state: take("state").map(Secret::new),
            iss: take("iss"),
            error: take("error"),
            code: take("code").map(Secret::new),
        })
    }

    /// `state` as it came, to find the login by; it proves nothing yet.
    pub fn state(&self) -> Option<&str> {
        self.state.as_ref().map(|state| state.expose().as_str())
    }

    /// The checks in their order: `iss`, `state`, `error`. `issuer` is the one that the request
    /// went to, `iss_required` whether its metadata announces `iss`
    /// (`authorization_response_iss_parameter_supported`), `expected_state` the login's own.
    ///
    /// # Errors
    ///
    /// [`AuthorizationError`]. An `error` is believed only after `iss` and `state`: one that comes
    /// from elsewhere must not be taken for the provider's (RFC 9207 §2.4).
    pub fn check(
        self,
        issuer: &str,
        iss_required: bool,
        expected_state: &Secret<String>,
    ) -> Result<AuthorizationCode, AuthorizationError> {
        // RFC 9207 §2.4: simple string comparison (RFC 3986 §6.2.1), nothing is normalised.
        match &self.iss {
            Some(iss) if iss != issuer => return Err(AuthorizationError::IssuerMismatch),
            None if iss_required => return Err(AuthorizationError::IssuerMissing),
            _ => {}
        }
        // RFC 6749 §10.12.
        let state = self.state.ok_or(AuthorizationError::StateMissing)?;
        if state.expose().is_empty()
            || !bool::from(state.expose().as_bytes().ct_eq(expected_state.expose().as_bytes()))
        {
            return Err(AuthorizationError::StateMismatch);
        }
        // RFC 6749 §4.1.2.1. Also where there is a code as well: that is no success.
        if let Some(error) = self.error {
            return Err(AuthorizationError::Provider {
                error: AuthorizationErrorCode::new(&error),
            });
        }
        let code = self.code.ok_or(AuthorizationError::CodeMissing)?;
        // RFC 6749 Appendix A.11: 1*VSCHAR.
        let is_vschar = |byte: u8| matches!(byte, 0x20..=0x7e);
        if code.expose().is_empty()
            || code.expose().len() > MAX_CODE
            || !code.expose().bytes().all(is_vschar)
        {
            return Err(AuthorizationError::CodeMalformed);
        }
        Ok(AuthorizationCode(code))
    }
}

/// A code whose response was checked: only [`AuthorizationParams::check`] makes one.
#[derive(Clone, Debug)]
pub struct AuthorizationCode(Secret<String>);

impl AuthorizationCode {
    /// The code, for the exchange.
    pub fn into_secret(self) -> Secret<String> {
        self.0
    }

    /// The code, to look at.
    pub const fn secret(&self) -> &Secret<String> {
        &self.0
    }
}

/// Why a response brought no code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthorizationError {
    /// Longer than [`MAX_RESPONSE`].
    #[error("the authorization response is too large")]
    TooLarge,
    /// Not properly form-encoded.
    #[error("the authorization response is not properly encoded")]
    Encoding,
    /// A parameter came twice.
    #[error("the authorization response has a parameter twice")]
    Duplicate,
    /// No `iss`, though the provider announces it.
    #[error("the authorization response has no iss")]
    IssuerMissing,
    /// Another provider's response (mix-up, RFC 9700 §4.4).
    #[error("the authorization response comes from another issuer")]
    IssuerMismatch,
    /// No `state`.
    #[error("the authorization response has no state")]
    StateMissing,
    /// Not this browser's login (CSRF).
    #[error("the authorization response belongs to another login")]
    StateMismatch,
    /// The provider says why not.
    #[error("the provider answered with an error: {error}")]
    Provider {
        /// What it says.
        error: AuthorizationErrorCode,
    },
    /// Neither code nor error.
    #[error("the authorization response has no code")]
    CodeMissing,
    /// Empty, too long, or of characters that no code has.
    #[error("the authorization response's code is malformed")]
    CodeMalformed,
}

/// An `error` of an authorization response (RFC 6749 §4.1.2.1, OpenID Connect Core §3.1.2.6,
/// RFC 8707 §2, OpenID Connect Core Unmet Authentication Requirements). The provider's text beside
/// it is never shown: anybody can write it into a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthorizationErrorCode {
    /// `access_denied`: the person or the provider said no.
    AccessDenied,
    /// `account_selection_required`.
    AccountSelectionRequired,
    /// `consent_required`.
    ConsentRequired,
    /// `interaction_required`.
    InteractionRequired,
    /// `invalid_request`.
    InvalidRequest,
    /// `invalid_scope`.
    InvalidScope,
    /// `invalid_target`.
    InvalidTarget,
    /// `login_required`.
    LoginRequired,
    /// `server_error`.
    ServerError,
    /// `temporarily_unavailable`.
    TemporarilyUnavailable,
    /// `unauthorized_client`.
    UnauthorizedClient,
    /// `unmet_authentication_requirements`.
    UnmetAuthenticationRequirements,
    /// `unsupported_response_type`.
    UnsupportedResponseType,
    /// One that we don't know.
    Other,
}

impl AuthorizationErrorCode {
    const KNOWN: [Self; 13] = [
        Self::AccessDenied,
        Self::AccountSelectionRequired,
        Self::ConsentRequired,
        Self::InteractionRequired,
        Self::InvalidRequest,
        Self::InvalidScope,
        Self::InvalidTarget,
        Self::LoginRequired,
        Self::ServerError,
        Self::TemporarilyUnavailable,
        Self::UnauthorizedClient,
        Self::UnmetAuthenticationRequirements,
        Self::UnsupportedResponseType,
    ];

    /// The code as the standard writes it, `other` for one that isn't known.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AccessDenied => "access_denied",
            Self::AccountSelectionRequired => "account_selection_required",
            Self::ConsentRequired => "consent_required",
            Self::InteractionRequired => "interaction_required",
            Self::InvalidRequest => "invalid_request",
            Self::InvalidScope => "invalid_scope",
            Self::InvalidTarget => "invalid_target",
            Self::LoginRequired => "login_required",
            Self::ServerError => "server_error",
            Self::TemporarilyUnavailable => "temporarily_unavailable",
            Self::UnauthorizedClient => "unauthorized_client",
            Self::UnmetAuthenticationRequirements => "unmet_authentication_requirements",
            Self::UnsupportedResponseType => "unsupported_response_type",
            Self::Other => "other",
        }
    }

    fn new(error: &str) -> Self {
        Self::KNOWN.into_iter().find(|known| known.as_str() == error).unwrap_or(Self::Other)
    }
}

impl std::fmt::Display for AuthorizationErrorCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests;
