//! Use cases over ports: one async function a file.
//!
//! The Worker half: [`handle_endpoint`] and [`call`]. The object half: [`exchange`], [`refresh`]
//! and [`revoke`], the work that a session's machine asks for ([`work`]). Sessions in [`kv`] have
//! no object: their machine runs in the Worker half.

mod answer;
mod backchannel_logout;
pub mod call;
mod callback;
pub mod context;
pub mod end_subject;
mod ending;
pub mod exchange;
mod frontchannel_logout;
pub mod grants;
mod health;
pub mod keys;
pub mod kv;
mod logged_out;
mod login;
mod login_query;
mod logout;
pub mod metadata;
pub mod passes;
pub mod ports;
pub mod refresh;
pub mod revoke;
mod session;
mod sessions;
mod step_up;
pub mod watch;
pub mod work;

pub use context::{Context, ObjectContext, ObjectPorts, Ports};

use crate::http::{
    decide::{Decision, decide},
    head::RequestHead,
    message::Answer,
    problem::ProblemCode,
    route::EndpointName,
};

/// The longest form that the callback reads, in bytes.
pub const MAX_FORM: usize = 16 * 1024;

/// Whether [`handle_endpoint`] wants the request's body.
pub fn reads_body(endpoint: EndpointName, head: &RequestHead<'_>) -> bool {
    let reads = matches!(
        endpoint,
        EndpointName::Callback
            | EndpointName::BackchannelLogout
            | EndpointName::SessionsEnd
            | EndpointName::EndSubject
    );
    reads && head.method == crate::http::Method::Post
}

/// Answers a request to an endpoint of ours. `body` is the request's body as text, or `None` if
/// there is none, it is longer than [`MAX_FORM`] or isn't UTF-8; see [`reads_body`].
///
/// Origin and method are decided here once more, so that no caller can leave that out.
pub async fn handle_endpoint<P: Ports>(
    ctx: &Context<'_, P>,
    head: &RequestHead<'_>,
    body: Option<&str>,
) -> Answer {
    let (endpoint, origin) = match decide(ctx.config, head) {
        Decision::Endpoint(endpoint, origin) => (endpoint, origin),
        Decision::Answer(answer) => return answer,
        Decision::Ask(_) | Decision::Elsewhere | Decision::Forward(_) => {
            return answer::problem(ctx, ProblemCode::NotFound);
        }
    };
    match endpoint {
        EndpointName::Login => login::handle(ctx, head, origin).await,
        EndpointName::Callback => callback::handle(ctx, head, origin, body).await,
        EndpointName::Logout => logout::handle(ctx, head, origin).await,
        EndpointName::LoggedOut => logged_out::handle(ctx, head, origin),
        EndpointName::Session => session::handle(ctx, head, origin).await,
        EndpointName::Sessions => sessions::list(ctx, head, origin).await,
        EndpointName::SessionsEnd => sessions::end(ctx, head, origin, body).await,
        EndpointName::BackchannelLogout => backchannel_logout::handle(ctx, head, body).await,
        EndpointName::FrontchannelLogout => frontchannel_logout::handle(ctx, head).await,
        EndpointName::EndSubject => end_subject::handle(ctx, head, body).await,
        EndpointName::Health => health::handle(ctx, head).await,
    }
}
