//! `GET session`: who is logged in, and until when. Never a token.

use serde_json::{Value, json};
use url::form_urlencoded;

use super::{
    answer,
    context::{Context, Ports},
};
use crate::{
    config::Origin,
    http::{csrf, head::RequestHead, message::Answer, problem::ProblemCode},
    session::{Command, Reply, StatusReply},
};

/// 200 for everybody; a user is shown only to a page of ours with a live session.
pub(super) async fn handle<P: Ports>(
    ctx: &Context<'_, P>,
    head: &RequestHead<'_>,
    origin: &Origin,
) -> Answer {
    if csrf::check(head, origin, ctx.config.csrf).is_err() {
        return anonymous(ctx);
    }
    let Some(session_id) = ctx.session_id(head, origin) else {
        return anonymous(ctx);
    };
    let key = session_id.key();
    let command = Command::Status { session_id, touch: touches(head) };
    match ctx.ports.ask(&key, command).await {
        Ok(Reply::Status(status)) => authenticated(&status),
        Ok(Reply::NoSession) => anonymous(ctx),
        // Not "anonymous": nobody knows. The app must not act as if the person had logged out.
        Ok(_) | Err(_) => answer::problem(ctx, ProblemCode::SessionUnavailable),
    }
}

fn touches(head: &RequestHead<'_>) -> bool {
    let query = head.query.unwrap_or_default();
    !form_urlencoded::parse(query.as_bytes())
        .any(|(name, value)| name == "touch" && value == "false")
}

fn authenticated(status: &StatusReply) -> Answer {
    answer::json(&json!({
        "authenticated": true,
        "user": status.claims,
        "created_at": status.created.as_secs(),
        "expires_at": status.absolute_deadline.as_secs(),
        "idle_expires_at": status.idle_deadline.as_secs(),
    }))
}

fn anonymous<P: Ports>(ctx: &Context<'_, P>) -> Answer {
    answer::json(&json!({
        "authenticated": false,
        "user": Value::Null,
        "login_url": format!("{}/login", ctx.config.base_path),
    }))
}
