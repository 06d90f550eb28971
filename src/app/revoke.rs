//! A revocation (RFC 7009), in the session's object. Never a reason to stop a logout: the session
//! was gone before this began.

use super::{
    context::{ObjectContext, ObjectPorts},
    exchange::{transport_kind, trouble},
};
use crate::{
    audit::ProviderStep,
    oauth::revocation::{self, TokenTypeHint},
    secret::Secret,
    session::RevocationOutcome,
};

/// Sends one revocation request for `token`.
pub async fn revoke<P: ObjectPorts>(
    ctx: &ObjectContext<'_, P>,
    endpoint: &str,
    token: &Secret<String>,
    hint: TokenTypeHint,
) -> RevocationOutcome {
    let step = match hint {
        TokenTypeHint::AccessToken => ProviderStep::AccessTokenRevocation,
        TokenTypeHint::RefreshToken => ProviderStep::Revocation,
    };
    let request = revocation::request(&ctx.config.provider, endpoint, token, hint);
    match ctx.ports.send(request).await {
        Ok(response) if revocation::is_done(&response) => RevocationOutcome::Done,
        Ok(response) => {
            trouble(ctx, step, "refused", Some(response.status));
            if revocation::may_retry(&response) {
                RevocationOutcome::RefusedForNow
            } else {
                RevocationOutcome::Refused
            }
        }
        Err(error) => {
            trouble(ctx, step, transport_kind(error), None);
            RevocationOutcome::Failed
        }
    }
}
