//! The wire of OAuth 2.0 and OpenID Connect, without I/O: each step is a request that is built and
//! a response that is parsed.
//!
//! Nothing here follows a redirect, knows a clock or sends anything. Sizes and times are bounded
//! by the request ([`HttpRequest::max_bytes`](crate::http::message::HttpRequest)) and sizes once
//! more where the response is parsed.

pub mod authorization;
pub mod client_auth;
pub mod end_session;
pub mod form;
pub mod metadata;
pub mod pkce;
pub mod revocation;
#[cfg(test)]
pub(crate) mod testing;
pub mod token;
pub mod userinfo;

pub use authorization::{
    AuthorizationCode, AuthorizationError, AuthorizationErrorCode, AuthorizationParams,
    AuthorizationRequest,
};
pub use end_session::EndSessionRequest;
pub use metadata::{Metadata, MetadataError};
pub use pkce::{CodeChallenge, CodeVerifier};
pub use token::{TokenError, TokenResponse};
pub use userinfo::UserInfoError;
