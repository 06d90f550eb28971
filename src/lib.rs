//! Tokenkeep keeps a single-page app's tokens where the browser can't reach them.
//!
//! One Cloudflare Worker stands in front of a static SPA: it logs the user in with OpenID
//! Connect, keeps the tokens sealed in a Durable Object, gives the browser an HttpOnly cookie and
//! forwards the SPA's API calls with the access token attached (RFC 10017 §6.1).
//!
//! # The map
//!
//! | room | what it knows | what it may import |
//! |---|---|---|
//! | [`config`] | what the operator wrote, parsed and checked | nothing of ours but the primitives |
//! | [`oauth`], [`jose`] | the protocols' wire, without I/O | `http::message`, primitives |
//! | [`session`] | what is kept, sealed, and for how long; the session object's states | `oauth`, `jose`, primitives |
//! | [`http`] | request heads, routes, headers, CSRF, the decision for a call | `config`, primitives |
//! | [`app`] | one use case a file, over ports | all of the above |
//! | `edge` | the platform's adapters; exists on wasm32 only | everything |
//!
//! Primitives: [`secret`], [`time`], [`base64url`], [`device`], [`audit`].

pub mod app;
pub mod audit;
pub mod base64url;
pub mod config;
pub mod device;
#[cfg(target_arch = "wasm32")]
mod edge;
pub mod http;
pub mod jose;
mod json;
pub mod oauth;
pub mod secret;
pub mod session;
pub mod time;
