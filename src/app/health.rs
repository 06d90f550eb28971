//! `GET health`: alive; with `?deep` whether provider and store answer.

use serde_json::json;

use super::{
    answer,
    context::{Context, Ports},
    metadata::provider_answers,
};
use crate::{
    http::{head::RequestHead, message::Answer},
    session::{Command, Reply, SessionId},
};

/// 200, or 503 if `?deep` found something that doesn't answer.
pub(super) async fn handle<P: Ports>(ctx: &Context<'_, P>, head: &RequestHead<'_>) -> Answer {
    let query = head.query.unwrap_or_default();
    if query != "deep" && query != "deep=true" {
        return answer::json(&json!({ "status": "ok" }));
    }
    let provider = provider_answers(ctx).await;
    let store = store_answers(ctx).await;
    let word = |works| if works { "ok" } else { "unreachable" };
    let works = provider && store;
    let mut answer = answer::json(&json!({
        "status": if works { "ok" } else { "degraded" },
        "provider": word(provider),
        "store": word(store),
    }));
    if !works {
        answer.status = 503;
    }
    answer
}

/// Asks one object that no browser has, always the same: even an object that never writes leaves
/// something behind, so there must not be a new one each time.
async fn store_answers<P: Ports>(ctx: &Context<'_, P>) -> bool {
    let session_id = SessionId::from_bytes([0; 32]);
    let key = session_id.key();
    let reply = ctx.ports.ask(&key, Command::Status { session_id, touch: false }).await;
    matches!(reply, Ok(Reply::NoSession))
}
