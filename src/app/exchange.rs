//! The code exchange, in the new session's object: code → tokens → checked ID token → who it is
//! (OpenID Connect Core 3.1.3). Nothing that the token endpoint answered is used before the ID
//! token has passed every check (RFC 9700 §4.5.3.2).

use super::{
    context::{ObjectContext, ObjectPorts},
    keys, revoke,
};
use crate::{
    audit::{Event, ProviderStep},
    http::message::TransportError,
    jose::{IdTokenError, IdTokenExpectations, JwkSet, Nonce, UntrustedIdToken, VerifiedIdToken},
    oauth::{
        TokenError, TokenResponse, UserInfoError,
        revocation::TokenTypeHint,
        token::{self, exchange_request},
        userinfo,
    },
    secret::Secret,
    session::{
        Identity, IndexNames, Login, LoginFailure, NewSession,
        subject::{Registration, SubjectCommand, SubjectReply},
    },
    time::Timestamp,
};

/// Exchanges the code once, verifies the ID token, and asks UserInfo where that is configured.
///
/// # Errors
///
/// [`LoginFailure`]; what exactly was wrong is in the log.
pub async fn login<P: ObjectPorts>(
    ctx: &ObjectContext<'_, P>,
    login: &Login,
) -> Result<NewSession, LoginFailure> {
    let transaction = &login.transaction;
    if transaction.is_expired(ctx.ports.now()) {
        return Err(LoginFailure::Expired);
    }
    let response = exchange(ctx, login).await?;
    let Some(id_token) = &response.id_token else {
        return Err(refused(ctx, "id_token_missing"));
    };
    let (identity, issued_at) = verify(ctx, login, id_token, &response.access_token).await?;
    let identity = with_userinfo(ctx, login, &response, identity).await?;
    if let Err(failure) = register(ctx, login, &identity, issued_at).await {
        disown(ctx, login, &response).await;
        return Err(failure);
    }
    ctx.ports.record(Event::SubjectKnown {
        session: ctx.session.clone(),
        subject: ctx.config.session.keys.keyed_hash(
            "audit subject",
            &[identity.issuer.as_bytes(), identity.subject.as_bytes()],
        ),
        sub: ctx.log_subject.then(|| identity.subject.clone()),
    });
    Ok(NewSession { response, identity, issued_at })
}

async fn exchange<P: ObjectPorts>(
    ctx: &ObjectContext<'_, P>,
    login: &Login,
) -> Result<TokenResponse, LoginFailure> {
    let request = exchange_request(
        &ctx.config.provider,
        &login.metadata.token_endpoint,
        &login.code,
        &login.transaction.redirect_uri,
        &login.transaction.verifier,
        &login.token,
    );
    let response = ctx.ports.send(request).await.map_err(|error| {
        trouble(ctx, ProviderStep::CodeExchange, transport_kind(error), None);
        LoginFailure::ProviderUnavailable
    })?;
    let status = response.status;
    token::parse(response).map_err(|error| {
        trouble(ctx, ProviderStep::CodeExchange, token_kind(error), Some(status));
        match error {
            TokenError::InvalidGrant | TokenError::Refused => LoginFailure::CodeRefused,
            TokenError::ClientRefused => LoginFailure::ProviderRefusesClient,
            TokenError::Overloaded | TokenError::Unusable => LoginFailure::ProviderUnavailable,
        }
    })
}

/// OpenID Connect Core 3.1.3.7, with one search for a key that we haven't seen yet.
async fn verify<P: ObjectPorts>(
    ctx: &ObjectContext<'_, P>,
    login: &Login,
    id_token: &Secret<String>,
    access_token: &Secret<String>,
) -> Result<(Identity, Timestamp), LoginFailure> {
    let transaction = &login.transaction;
    let now = ctx.ports.now();
    let expectations = IdTokenExpectations {
        // The one that the browser was sent to, not the one that is configured by now.
        issuer: &transaction.issuer,
        client_id: &ctx.config.provider.client_id,
        alg: ctx.config.provider.id_token_alg,
        nonce: Nonce::Must(transaction.nonce.expose()),
        // Measured from when it was asked for: a person may take minutes at a consent page.
        max_age: transaction
            .max_age
            .map(|max_age| max_age.saturating_add(now.since(transaction.started).as_secs())),
        acr_values: transaction.acr_values.as_deref(),
        access_token: Some(access_token),
    };
    let unknown_key = IdTokenError::UnknownKey;
    let verified = with_keys(ctx, &login.metadata.jwks_uri, unknown_key, |set| {
        UntrustedIdToken::parse(id_token)?.verify(set, &expectations, ctx.ports.now())
    })
    .await;
    match verified {
        Ok(token) => {
            let issued_at = token.issued_at();
            Ok((identity(token), issued_at))
        }
        Err(VerifyError::KeysUnavailable) => Err(LoginFailure::ProviderUnavailable),
        Err(VerifyError::Refused(error)) => Err(refused(ctx, id_token_kind(error))),
    }
}

/// Why a token can't be used.
pub(super) enum VerifyError<E> {
    /// The keys to check it with can't be had just now.
    KeysUnavailable,
    /// It failed a check.
    Refused(E),
}

/// Verifies with the keys at hand, and once more with fresh ones if the key isn't among them.
pub(super) async fn with_keys<P: ObjectPorts, T, E: PartialEq>(
    ctx: &ObjectContext<'_, P>,
    jwks_uri: &str,
    unknown_key: E,
    verify: impl Fn(&JwkSet) -> Result<T, E>,
) -> Result<T, VerifyError<E>> {
    let set = keys::keys(ctx, jwks_uri).await.map_err(|_error| VerifyError::KeysUnavailable)?;
    let mut verified = verify(&set);
    if verified.as_ref().is_err_and(|error| *error == unknown_key) {
        let unavailable = |_error| VerifyError::KeysUnavailable;
        let set = keys::search(ctx, jwks_uri).await.map_err(unavailable)?;
        verified = verify(&set);
    }
    verified.map_err(VerifyError::Refused)
}

/// What the session keeps of a verified ID token.
pub(super) fn identity(token: VerifiedIdToken) -> Identity {
    let original = token.original();
    let verified = token.identity();
    Identity {
        issuer: verified.issuer,
        subject: verified.subject,
        audience: original.aud,
        sid: verified.sid,
        auth_time: verified.auth_time.map(Timestamp::as_secs),
        nonce: original.nonce,
        claims: verified.claims,
    }
}

/// Adds the claims of UserInfo (OpenID Connect Core 5.3), asked once a login where configured.
/// Its `sub` must be the ID token's (5.3.2): else nobody is logged in.
async fn with_userinfo<P: ObjectPorts>(
    ctx: &ObjectContext<'_, P>,
    login: &Login,
    response: &TokenResponse,
    mut identity: Identity,
) -> Result<Identity, LoginFailure> {
    if !ctx.config.provider.userinfo {
        return Ok(identity);
    }
    let Some(endpoint) = &login.metadata.userinfo_endpoint else {
        trouble(ctx, ProviderStep::UserInfo, "no_endpoint", None);
        return Err(LoginFailure::ProviderUnavailable);
    };
    let request = userinfo::request(endpoint, &response.access_token);
    let answer = ctx.ports.send(request).await.map_err(|error| {
        trouble(ctx, ProviderStep::UserInfo, transport_kind(error), None);
        LoginFailure::ProviderUnavailable
    })?;
    let status = answer.status;
    let claims = userinfo::parse(answer, &identity.subject).map_err(|error| match error {
        UserInfoError::SubjectMismatch => refused(ctx, "userinfo_subject_mismatch"),
        UserInfoError::SubjectMissing => refused(ctx, "userinfo_subject_missing"),
        UserInfoError::Status(_) => {
            trouble(ctx, ProviderStep::UserInfo, "status", Some(status));
            LoginFailure::ProviderUnavailable
        }
        UserInfoError::Signed => {
            trouble(ctx, ProviderStep::UserInfo, "signed_response", Some(status));
            LoginFailure::ProviderUnavailable
        }
        UserInfoError::NotAnObject => {
            trouble(ctx, ProviderStep::UserInfo, "not_an_object", Some(status));
            LoginFailure::ProviderUnavailable
        }
    })?;
    for (name, value) in claims {
        // What was signed stands; UserInfo adds to it.
        identity.claims.entry(name).or_insert(value);
    }
    Ok(identity)
}

/// Lists the session under its `sub` and its `sid` before it is stored: one that isn't listed would
/// be out of every logout's reach. A logout that came meanwhile is found here.
async fn register<P: ObjectPorts>(
    ctx: &ObjectContext<'_, P>,
    login: &Login,
    identity: &Identity,
    issued_at: Timestamp,
) -> Result<(), LoginFailure> {
    let now = ctx.ports.now();
    let names = IndexNames::of(identity, &ctx.config.session.keys);
    let indexes = [Some(identity.whose()), identity.whose_provider_session()];
    for (name, whose) in names.iter().zip(indexes.into_iter().flatten()) {
        let registration = Registration {
            whose,
            session: login.transaction.session_id.key(),
            issued_at,
            authenticated_at: identity.auth_time.map(Timestamp::from_secs),
            began: login.transaction.started,
            created: now,
            expires: now.after(ctx.config.session.absolute),
            device: login.device,
            subject: names.subject.clone(),
            sid: names.sid.clone(),
        };
        let command = SubjectCommand::Register(Box::new(registration));
        match ctx.ports.ask_subject(name, command).await {
            Ok(SubjectReply::Registered) => {}
            Ok(SubjectReply::LoggedOut) => return Err(LoginFailure::LoggedOut),
            Ok(SubjectReply::TooLate) => return Err(LoginFailure::Expired),
            Ok(_) | Err(_) => return Err(LoginFailure::IndexUnavailable),
        }
    }
    Ok(())
}

/// Takes back what a login brought that came to nothing although the provider granted it. Once: who
/// logged the person out there has most likely ended the grant as well.
async fn disown<P: ObjectPorts>(
    ctx: &ObjectContext<'_, P>,
    login: &Login,
    response: &TokenResponse,
) {
    let endpoint = &login.metadata.revocation_endpoint;
    if let (Some(endpoint), Some(refresh_token)) = (endpoint, &response.refresh_token) {
        let hint = TokenTypeHint::RefreshToken;
        let _once = revoke::revoke(ctx, endpoint, refresh_token, hint).await;
    }
}

fn refused<P: ObjectPorts>(ctx: &ObjectContext<'_, P>, check: &'static str) -> LoginFailure {
    ctx.ports.record(Event::IdentityRefused { session: ctx.session.clone(), check });
    LoginFailure::IdentityRefused
}

pub(crate) fn trouble<P: ObjectPorts>(
    ctx: &ObjectContext<'_, P>,
    step: ProviderStep,
    trouble: &'static str,
    status: Option<u16>,
) {
    ctx.ports.record(Event::ProviderTrouble { step, trouble, status });
}

/// The log's word for a transport error.
pub(crate) const fn transport_kind(error: TransportError) -> &'static str {
    match error {
        TransportError::Unreachable => "unreachable",
        TransportError::TimedOut => "timed_out",
        TransportError::TooLarge => "too_large",
    }
}

/// The log's word for a token endpoint's refusal.
pub(crate) const fn token_kind(error: TokenError) -> &'static str {
    match error {
        TokenError::InvalidGrant => "invalid_grant",
        TokenError::Refused => "refused",
        TokenError::ClientRefused => "client_refused",
        TokenError::Overloaded => "overloaded",
        TokenError::Unusable => "unusable_answer",
    }
}

/// The log's word for the check that an ID token failed: never a value of the token's.
pub(super) const fn id_token_kind(error: IdTokenError) -> &'static str {
    use IdTokenError as Error;

    match error {
        Error::UnknownKey => "unknown_key",
        Error::Jws(error) => error.kind(),
        Error::NotClaims => "payload",
        // Names of claims, from our own code.
        Error::Missing(claim) | Error::Malformed(claim) => claim,
        Error::IssuerMismatch => "iss",
        Error::AudienceMismatch => "aud",
        Error::AuthorizedPartyMismatch => "azp",
        Error::AlgorithmMismatch => "alg",
        Error::Expired => "exp",
        Error::IssuedInTheFuture | Error::IssuedTooLongAgo => "iat",
        Error::NotYetValid => "nbf",
        Error::NonceMismatch => "nonce",
        Error::AcrMismatch => "acr",
        Error::AuthenticatedInTheFuture | Error::AuthenticatedTooLongAgo => "auth_time",
        Error::AccessTokenMismatch => "at_hash",
        Error::NotAnIdToken => "events",
        Error::ChangedAtRefresh(claim) => claim,
    }
}
