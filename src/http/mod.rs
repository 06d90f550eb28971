//! Plain HTTP as values: heads, methods, paths, cookies, CSRF, routes, header rules, and the
//! decision for a call. Nothing here does I/O, keeps state or asks a clock.
//!
//! A request's head is parsed once ([`head::RequestHead`]); the decision is made on that value
//! ([`decide::decide`]) and that value is what goes on ([`forward`]). So what is validated is
//! what is sent.

pub mod challenge;
pub mod cookies;
pub mod csrf;
pub mod decide;
pub mod forward;
pub mod head;
pub mod message;
mod method;
pub(crate) mod navigation;
pub mod page;
pub mod path;
pub mod problem;
pub mod request_headers;
pub mod response_headers;
pub mod return_to;
pub mod route;
#[cfg(test)]
pub(crate) mod testing;

pub use method::Method;
