//! Cross-site request forgery: what has to be true of a request before a token is attached to it
//! or a logout is done.
//!
//! Layers, outermost first: the cookie is `SameSite=Strict`; Fetch Metadata must say that the
//! request comes from our own origin; where a client sends none, `Origin` must be ours, or absent
//! together with a static header that no form and no `no-cors` fetch can set.

use super::{head::RequestHead, problem::ProblemCode};
use crate::config::{CsrfPolicy, Origin};

/// Proof that [`check`] let a request pass. Needed to attach a token and to log out.
#[derive(Debug)]
pub struct CsrfVerified(());

/// Why a request may not act with the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CsrfFault {
    /// `Sec-Fetch-Site: cross-site`, or `none`: not from a page of ours.
    #[error("the request comes from another site")]
    CrossSite,
    /// `Sec-Fetch-Site: same-site`: a sibling subdomain is not us.
    #[error("the request comes from a sibling domain")]
    SameSite,
    /// The same on loopback: another port of this machine, so a dev server.
    #[error("the request did not go through the dev server")]
    DevServer,
    /// `Origin` isn't ours, or is `null`.
    #[error("the Origin header names another origin")]
    ForeignOrigin,
    /// Neither Fetch Metadata nor `Origin`, and no header; or the policy demands the header.
    #[error("the header X-Tokenkeep is missing")]
    HeaderMissing,
}

impl CsrfFault {
    /// The problem that the fault is answered with.
    pub const fn code(self) -> ProblemCode {
        match self {
            Self::CrossSite => ProblemCode::CsrfCrossSite,
            Self::SameSite => ProblemCode::CsrfSameSite,
            Self::DevServer => ProblemCode::DevServerNotProxied,
            Self::ForeignOrigin => ProblemCode::CsrfOrigin,
            Self::HeaderMissing => ProblemCode::CsrfHeaderMissing,
        }
    }
}

/// Checks a request for `origin`, the configured origin that it was addressed to.
///
/// A value of `Sec-Fetch-Site` that the standard doesn't know (a joined duplicate included) counts
/// as none, so that the stricter fallback decides.
///
/// # Errors
///
/// The first [`CsrfFault`].
pub fn check(
    head: &RequestHead<'_>,
    origin: &Origin,
    policy: CsrfPolicy,
) -> Result<CsrfVerified, CsrfFault> {
    let says_same_origin = match head.known.sec_fetch_site {
        Some("same-origin") => true,
        Some("same-site") if origin.is_loopback_http => return Err(CsrfFault::DevServer),
        Some("same-site") => return Err(CsrfFault::SameSite),
        Some("cross-site" | "none") => return Err(CsrfFault::CrossSite),
        Some(_) | None => false,
    };
    let has_our_origin = match head.known.origin {
        Some(sent) if sent == origin.serialized => true,
        // A foreign or `null` Origin refuses whatever else the request says.
        Some(_) => return Err(CsrfFault::ForeignOrigin),
        None => false,
    };
    // Byte for byte: `1, 1` is two headers joined.
    let has_header = head.known.x_tokenkeep == Some("1");
    let header_demanded = match policy {
        CsrfPolicy::Header => true,
        CsrfPolicy::FetchMetadata => !says_same_origin && !has_our_origin,
    };
    if header_demanded && !has_header {
        return Err(CsrfFault::HeaderMissing);
    }
    Ok(CsrfVerified(()))
}

#[cfg(test)]
mod tests;
