//! `GET` and `POST callback`: the provider's answer (RFC 6749 §4.1.2, RFC 9207, OAuth 2.0 Form
//! Post Response Mode).
//!
//! The login that the browser started is found by `state`, the response is checked (`iss`, then
//! `state`, then `error`), and the code goes to the new session's own object, the only place
//! where "once" can be kept: parallel callbacks, a reload and a lost connection end in one
//! session. The earlier session ends after the new one is stored.

use super::{
    answer,
    context::{Context, Ports},
    login::first_token,
    metadata::metadata,
};
use crate::{
    audit::Event,
    config::{Origin, ResponseMode},
    device::DeviceName,
    http::{
        Method, cookies, head::RequestHead, message::Answer, page, problem::ProblemCode,
        return_to::ReturnTo,
    },
    oauth::{
        AuthorizationCode, AuthorizationError, AuthorizationErrorCode, AuthorizationParams,
        Metadata,
    },
    session::{Command, EndReason, Login, LoginFailure, Reply, SessionId, Transaction},
};

/// What a login under way comes to if not to a session: a page and its line in the log.
struct Failure {
    code: ProblemCode,
    detail: &'static str,
    /// Whether the transaction can be used again, so that its cookie stays.
    again: bool,
}

impl Failure {
    const fn last(code: ProblemCode, detail: &'static str) -> Self {
        Self { code, detail, again: false }
    }

    const fn passing(code: ProblemCode, detail: &'static str) -> Self {
        Self { code, detail, again: true }
    }
}

/// Finishes a login.
pub(super) async fn handle<P: Ports>(
    ctx: &Context<'_, P>,
    head: &RequestHead<'_>,
    origin: &Origin,
    body: Option<&str>,
) -> Answer {
    let parameters = match response_parameters(ctx, head, body) {
        Ok(parameters) => parameters,
        Err(failure) => return failure_page(ctx, origin, &failure, &ReturnTo::root()),
    };
    let cookie =
        parameters.state().and_then(|state| cookies::transaction(head.known.cookie, origin, state));
    let found = cookie.and_then(|cookie| {
        let transaction = ctx.config.session.keys.open_transaction(cookie.value, cookie.name)?;
        Some((cookie.name, transaction))
    });
    let Some((name, transaction)) = found else {
        // Another browser's, a replayed one, or one that we never began: nothing is touched.
        let failure = Failure::last(ProblemCode::LoginNotFound, "no_transaction");
        return failure_page(ctx, origin, &failure, &ReturnTo::root());
    };
    let earlier = transaction.earlier.clone();
    let return_to = transaction.return_to.clone();
    let device = DeviceName::of(head.header("user-agent"));
    let session_id = transaction.session_id.clone();
    let delete = cookies::delete_transaction(origin, name, ctx.config.provider.response_mode);
    match finish(ctx, origin, parameters, transaction, device).await {
        Ok(()) => {
            end_earlier(ctx, head, origin, &session_id, earlier).await;
            ctx.ports
                .record(Event::LoginSucceeded { session: ctx.session_hash(&session_id.key()) });
            // 303, never 307: the form of a POST stays here (RFC 9700 §4.12).
            let mut answer = answer::redirect(303, return_to);
            let value = ctx.config.session.keys.cookie_value(&session_id);
            let max_age = ctx.config.session.absolute;
            answer::set_cookie(&mut answer, cookies::set_session(origin, &value, max_age));
            answer::set_cookie(&mut answer, delete);
            answer
        }
        Err(failure) => {
            // Checked when the login began; the base path may be another by now.
            let return_to = ReturnTo::parse(&return_to, origin, &ctx.config.base_path);
            let return_to = return_to.unwrap_or_else(ReturnTo::root);
            let mut answer = failure_page(ctx, origin, &failure, &return_to);
            if !failure.again {
                answer::set_cookie(&mut answer, delete);
            }
            answer
        }
    }
}

/// The page says what happened and leads to another login, which returns where this one would have.
fn failure_page<P: Ports>(
    ctx: &Context<'_, P>,
    origin: &Origin,
    failure: &Failure,
    return_to: &ReturnTo,
) -> Answer {
    let again = page::login_url(ctx.config, return_to);
    answer::error_page(ctx, origin, failure.code, failure.detail, Some(&again))
}

/// The parameters, from where the configured response mode puts them and from nowhere else.
fn response_parameters<P: Ports>(
    ctx: &Context<'_, P>,
    head: &RequestHead<'_>,
    body: Option<&str>,
) -> Result<AuthorizationParams, Failure> {
    let text = match (ctx.config.provider.response_mode, head.method) {
        (ResponseMode::Query, Method::Get) => head.query.unwrap_or_default(),
        (ResponseMode::FormPost, Method::Post) => {
            if !answer::has_media_type(head, "application/x-www-form-urlencoded") {
                let code = ProblemCode::ContentTypeUnsupported;
                return Err(Failure::last(code, "callback_content_type"));
            }
            body.ok_or(Failure::last(ProblemCode::BodyTooLarge, "callback_body"))?
        }
        _ => {
            let code = ProblemCode::LoginResponseInvalid;
            return Err(Failure::last(code, "other_response_mode"));
        }
    };
    AuthorizationParams::parse(text).map_err(authorization_failure)
}

/// From a checked response to a stored session.
async fn finish<P: Ports>(
    ctx: &Context<'_, P>,
    origin: &Origin,
    parameters: AuthorizationParams,
    transaction: Transaction,
    device: DeviceName,
) -> Result<(), Failure> {
    if transaction.origin != origin.serialized {
        return Err(Failure::last(ProblemCode::LoginNotFound, "other_origin"));
    }
    // A login that began before the configuration changed providers (CVE-2026-73419).
    if transaction.issuer != ctx.config.provider.issuer {
        return Err(Failure::last(ProblemCode::LoginIssuerMismatch, "other_configured_issuer"));
    }
    if transaction.is_expired(ctx.ports.now()) {
        return Err(Failure::last(ProblemCode::LoginExpired, "transaction_expired"));
    }
    let metadata = metadata(ctx).await.map_err(|_unavailable| {
        Failure::passing(ProblemCode::ProviderUnavailable, "metadata_unavailable")
    })?;
    let code = parameters
        .check(
            &transaction.issuer,
            metadata.authorization_response_iss_parameter_supported,
            &transaction.state,
        )
        .map_err(authorization_failure)?;
    ask_for_session(ctx, transaction, code, metadata, device).await
}

async fn ask_for_session<P: Ports>(
    ctx: &Context<'_, P>,
    transaction: Transaction,
    code: AuthorizationCode,
    metadata: Metadata,
    device: DeviceName,
) -> Result<(), Failure> {
    let key = transaction.session_id.key();
    let token = first_token(ctx.config);
    let login = Login { transaction, code: code.into_secret(), metadata, token, device };
    match ctx.ports.ask(&key, Command::Login(Box::new(login))).await {
        Ok(Reply::LoggedIn { .. }) => Ok(()),
        Ok(Reply::LoginFailed(failure)) => Err(login_failure(failure)),
        Ok(Reply::Unsupported) => {
            Err(Failure::passing(ProblemCode::SessionUnavailable, "object_protocol"))
        }
        Ok(Reply::Broken) => {
            Err(Failure::passing(ProblemCode::SessionUnavailable, "object_broken"))
        }
        Ok(_) => Err(Failure::passing(ProblemCode::SessionUnavailable, "object_reply")),
        Err(_no_answer) => {
            Err(Failure::passing(ProblemCode::SessionUnavailable, "object_unreachable"))
        }
    }
}

/// Ends what the new session takes the place of: the session that the transaction carries (the
/// provider's navigation brings no `Strict` cookie) and any that the cookie names by now. A
/// failure is no reason to fail the login: those sessions end by their own limits.
async fn end_earlier<P: Ports>(
    ctx: &Context<'_, P>,
    head: &RequestHead<'_>,
    origin: &Origin,
    new: &SessionId,
    earlier: Option<SessionId>,
) {
    let mut ended: Vec<SessionId> = vec![new.clone()];
    for session_id in earlier.into_iter().chain(ctx.session_id(head, origin)) {
        if ended.contains(&session_id) {
            continue;
        }
        ended.push(session_id.clone());
        let key = session_id.key();
        let reason = EndReason::Replaced;
        let command = Command::End { session_id, reason, keep_id_token: false };
        // No answer, an object of another release, a broken one: it lives on.
        let reply = ctx.ports.ask(&key, command).await;
        if !matches!(reply, Ok(Reply::Ended(_) | Reply::NoSession)) {
            ctx.ports.record(Event::EarlierSessionLeft { session: ctx.session_hash(&key) });
        }
    }
}

fn authorization_failure(error: AuthorizationError) -> Failure {
    use AuthorizationError as Error;

    let (code, detail) = match error {
        Error::TooLarge => (ProblemCode::LoginResponseInvalid, "response_too_large"),
        Error::Encoding => (ProblemCode::LoginResponseInvalid, "response_encoding"),
        Error::Duplicate => (ProblemCode::LoginResponseInvalid, "response_duplicate"),
        Error::IssuerMissing => (ProblemCode::LoginIssuerMismatch, "iss_missing"),
        Error::IssuerMismatch => (ProblemCode::LoginIssuerMismatch, "iss_mismatch"),
        Error::StateMissing => (ProblemCode::LoginStateMismatch, "state_missing"),
        Error::StateMismatch => (ProblemCode::LoginStateMismatch, "state_mismatch"),
        Error::CodeMissing => (ProblemCode::LoginResponseInvalid, "code_missing"),
        Error::CodeMalformed => (ProblemCode::LoginResponseInvalid, "code_malformed"),
        Error::Provider { error } => (provider_error(error), error.as_str()),
    };
    Failure::last(code, detail)
}

/// The provider's `error` in our words; its own text is never shown.
const fn provider_error(error: AuthorizationErrorCode) -> ProblemCode {
    use AuthorizationErrorCode as Code;

    match error {
        Code::AccessDenied => ProblemCode::AccessDenied,
        Code::AccountSelectionRequired
        | Code::ConsentRequired
        | Code::InteractionRequired
        | Code::LoginRequired => ProblemCode::InteractionRequired,
        Code::TemporarilyUnavailable => ProblemCode::ProviderOverloaded,
        Code::UnauthorizedClient => ProblemCode::ProviderRefusesClient,
        Code::InvalidRequest
        | Code::InvalidScope
        | Code::InvalidTarget
        | Code::Other
        | Code::ServerError
        | Code::UnmetAuthenticationRequirements
        | Code::UnsupportedResponseType => ProblemCode::ProviderError,
    }
}

const fn login_failure(failure: LoginFailure) -> Failure {
    match failure {
        LoginFailure::CodeRefused => Failure::last(ProblemCode::CodeRefused, "code_refused"),
        LoginFailure::ProviderRefusesClient => {
            Failure::last(ProblemCode::ProviderRefusesClient, "provider_refuses_client")
        }
        LoginFailure::ProviderUnavailable => {
            Failure::last(ProblemCode::ProviderUnavailable, "provider_unavailable")
        }
        LoginFailure::IdentityRefused => {
            Failure::last(ProblemCode::IdentityRefused, "identity_refused")
        }
        LoginFailure::AlreadyUsed => {
            Failure::last(ProblemCode::LoginAlreadyUsed, "login_already_used")
        }
        LoginFailure::Expired => Failure::last(ProblemCode::LoginExpired, "transaction_expired"),
        LoginFailure::LoggedOut => Failure::last(ProblemCode::LoginEnded, "logged_out_meanwhile"),
        LoginFailure::IndexUnavailable => {
            Failure::last(ProblemCode::SessionUnavailable, "index_unavailable")
        }
    }
}
