//! JOSE as far as a relying party needs it: the provider's keys (RFC 7517), signatures (RFC 7515),
//! the ID token's checks (OpenID Connect Core §3.1.3.7 and §12.2) and the logout token's (OpenID
//! Connect Back-Channel Logout §2.6).
//!
//! The order of trust: one configured algorithm, the keys of the configured issuer's `jwks_uri`,
//! and nothing that a token says about itself. `alg` is compared, never followed; `kid` chooses
//! among keys that could be the one anyway; `jwk`, `jku`, `x5u` and `x5c` aren't read at all.

mod claims;
pub mod id_token;
pub mod json;
pub mod jwk_set;
pub mod jws;
pub mod logout_token;
pub mod numeric_date;
pub mod refreshed;
#[cfg(test)]
pub(crate) mod testing;

pub(crate) use claims::without_protocol_claims;
pub use id_token::{
    IdTokenError, IdTokenExpectations, Nonce, UntrustedIdToken, VerifiedIdToken, VerifiedIdentity,
};
pub use jwk_set::{JwkSet, JwkSetError};
pub use jws::JwsError;
pub use logout_token::{
    LogoutSubject, LogoutTokenError, LogoutTokenExpectations, UntrustedLogoutToken,
    VerifiedLogoutToken,
};
pub use refreshed::RefreshedAgainst;
