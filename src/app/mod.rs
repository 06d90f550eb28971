//! Use cases over ports: one async function a file.
//!
//! The Worker half: [`handle_endpoint`] and [`proxy`]. The object half: [`exchange`], [`refresh`]
//! and [`revoke`], which do the work that a session's machine asks for.

pub mod callback;
pub mod context;
pub mod exchange;
pub mod health;
pub mod keys;
pub mod logged_out;
pub mod login;
pub mod logout;
pub mod metadata;
pub mod ports;
pub mod proxy;
pub mod refresh;
pub mod revoke;
pub mod session;

pub use context::{Context, ObjectContext, ObjectPorts, Ports};

use crate::http::{head::RequestHead, message::Answer};

/// Answers a request to an endpoint of ours. `body` is the form of a POST, at most 16 KB, or
/// `None` if it was longer or not text; it is read for the callback alone.
pub async fn handle_endpoint<P: Ports>(
    ctx: &Context<'_, P>,
    head: &RequestHead<'_>,
    body: Option<&str>,
) -> Answer {
    todo!()
}
