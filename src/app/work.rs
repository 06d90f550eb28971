//! The work that a session's machine asks for, done.

use super::{
    context::{ObjectContext, ObjectPorts},
    exchange, refresh, revoke,
};
use crate::session::{Input, Work};

/// Does `work` and says what came of it.
pub async fn done<P: ObjectPorts>(ctx: &ObjectContext<'_, P>, work: Work) -> Input {
    match work {
        Work::Login(login) => Input::LoginDone(Box::new(exchange::login(ctx, &login).await)),
        Work::Refresh(work) => Input::RefreshDone(refresh::refresh(ctx, &work).await),
        Work::Revoke { endpoint, token, hint } => {
            Input::RevocationDone(revoke::revoke(ctx, &endpoint, &token, hint).await)
        }
    }
}
