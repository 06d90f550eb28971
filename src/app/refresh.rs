//! A refresh (RFC 6749 §6), in the session's object: one request, and what comes back is checked
//! before anybody sees it (OpenID Connect Core 12.2).

use super::{
    context::{ObjectContext, ObjectPorts},
    exchange::{token_kind, transport_kind, trouble},
    keys,
};
use crate::{
    audit::{Event, ProviderStep, RefreshFailure},
    jose::{
        IdTokenError,
        id_token::{IdTokenExpectations, Nonce, RefreshedAgainst, UntrustedIdToken},
    },
    oauth::{TokenError, TokenResponse, token},
    secret::Secret,
    session::{Identity, RefreshOutcome, RefreshWork, Refreshed},
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
    let response = token::parse(response).map_err(|error| {
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
        Some(id_token) => Some(verify(ctx, work, id_token, &response).await?),
        None => None,
    };
    Ok(Refreshed { response, identity })
}
