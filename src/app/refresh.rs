//! A refresh (RFC 6749 §6), in the session's object: one request, and what comes back is checked
//! before anybody sees it (OpenID Connect Core 12.2).

use super::{
    context::{ObjectContext, ObjectPorts},
    exchange::{
        VerifyError, id_token_kind, identity, token_kind, transport_kind, trouble, with_keys,
    },
};
use crate::{
    audit::{Event, ProviderStep, RefreshFailure},
    jose::{IdTokenError, IdTokenExpectations, Nonce, RefreshedAgainst, UntrustedIdToken},
    oauth::{TokenError, TokenResponse, token},
    secret::Secret,
    session::{Identity, RefreshOutcome, RefreshWork, Refreshed},
    time::Timestamp,
};

/// Sends one refresh request and checks a new ID token if one comes along.
pub async fn refresh<P: ObjectPorts>(
    ctx: &ObjectContext<'_, P>,
    work: &RefreshWork,
) -> RefreshOutcome {
    match try_refresh(ctx, work).await {
        Ok(refreshed) => RefreshOutcome::Refreshed(Box::new(refreshed)),
        Err(failure) => RefreshOutcome::Failed(failure),
    }
}

async fn try_refresh<P: ObjectPorts>(
    ctx: &ObjectContext<'_, P>,
    work: &RefreshWork,
) -> Result<Refreshed, RefreshFailure> {
    let request = token::refresh_request(
        &ctx.config.provider,
        &work.token_endpoint,
        &work.refresh_token,
        &work.token,
    );
    let response = ctx.ports.send(request).await.map_err(|error| {
        trouble(ctx, ProviderStep::Refresh, transport_kind(error), None);
        RefreshFailure::ProviderUnavailable
    })?;
    let status = response.status;
    let mut response = token::parse(response).map_err(|error| {
        if error != TokenError::InvalidGrant {
            trouble(ctx, ProviderStep::Refresh, token_kind(error), Some(status));
        }
        match error {
            TokenError::InvalidGrant => RefreshFailure::InvalidGrant,
            TokenError::Refused => RefreshFailure::Refused,
            TokenError::ClientRefused => RefreshFailure::ProviderRefusesClient,
            TokenError::Overloaded => RefreshFailure::ProviderOverloaded,
            TokenError::Unusable => RefreshFailure::ProviderUnavailable,
        }
    })?;
    let identity = match &response.id_token {
        Some(id_token) => verify(ctx, work, id_token, &response).await?,
        None => None,
    };
    // An ID token that nobody verified isn't handed on.
    response.id_token.take_if(|_| identity.is_none());
    Ok(Refreshed { response, identity })
}

/// OpenID Connect Core 12.2. `None` while the keys can't be had: a refresh need not bring an ID
/// token at all, and to throw the tokens away with it would lose a rotated refresh token, and the
/// session with it, to an outage of the keys alone. A key that isn't among the published ones yet
/// is such an outage; a signature that a known key denies is not.
async fn verify<P: ObjectPorts>(
    ctx: &ObjectContext<'_, P>,
    work: &RefreshWork,
    id_token: &Secret<String>,
    response: &TokenResponse,
) -> Result<Option<Identity>, RefreshFailure> {
    let expectations = IdTokenExpectations {
        issuer: &work.identity.issuer,
        client_id: &ctx.config.provider.client_id,
        alg: ctx.config.provider.id_token_alg,
        nonce: Nonce::AsAtLogin,
        max_age: None,
        acr_values: None,
        access_token: Some(&response.access_token),
    };
    let verified = with_keys(ctx, &work.jwks_uri, IdTokenError::UnknownKey, |set| {
        let now = ctx.ports.now();
        let verify = |original: &RefreshedAgainst| {
            UntrustedIdToken::parse(id_token)?.verify_refreshed(set, &expectations, original, now)
        };
        match verify(&against(&work.identity, None)) {
            // The session doesn't keep `azp`; one that is there is ours, or step 5 had refused it.
            Err(IdTokenError::ChangedAtRefresh("azp")) => {
                verify(&against(&work.identity, Some(&ctx.config.provider.client_id)))
            }
            verified => verified,
        }
    })
    .await;
    match verified {
        Ok(token) => {
            let mut renewed = identity(token);
            if ctx.config.provider.userinfo {
                // What UserInfo told at the login stays; it is asked once a login.
                for (name, value) in &work.identity.claims {
                    renewed.claims.entry(name.clone()).or_insert_with(|| value.clone());
                }
            }
            Ok(Some(renewed))
        }
        Err(VerifyError::KeysUnavailable) => Ok(None),
        Err(VerifyError::Refused(error @ IdTokenError::UnknownKey)) => {
            trouble(ctx, ProviderStep::Keys, id_token_kind(error), None);
            Ok(None)
        }
        Err(VerifyError::Refused(error)) => {
            let (session, check) = (ctx.session.clone(), id_token_kind(error));
            ctx.ports.record(Event::IdentityRefused { session, check });
            Err(RefreshFailure::IdentityRefused)
        }
    }
}

fn against(identity: &Identity, azp: Option<&str>) -> RefreshedAgainst {
    RefreshedAgainst {
        iss: identity.issuer.clone(),
        sub: identity.subject.clone(),
        aud: identity.audience.clone(),
        azp: azp.map(str::to_owned),
        auth_time: identity.auth_time.map(Timestamp::from_secs),
        nonce: identity.nonce.clone(),
    }
}
