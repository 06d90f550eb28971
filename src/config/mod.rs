//! The configuration: what the operator wrote, read whole, checked whole.
//!
//! [`parse`] turns the Worker's environment into a [`Config`] whose invariants hold, or into the
//! list of everything that is wrong with it. There is nothing in between: with one fault no
//! [`Config`] comes into being, and the Worker answers 503. No key is ignored, no value
//! is bent into shape, nothing is guessed: a wrong setting must not weaken a protection in silence.
//!
//! | file | what it reads |
//! |---|---|
//! | `json` | strict JSON, and the merge of overrides (RFC 7396) |
//! | `table` | the typed reader: one fault a wrong field, one a key that nobody asked for |
//! | `parse` | the whole: variables, secrets, bindings, flags, the top level |
//! | `provider`, `limits`, `routes` | the sections `provider`, `session`, `routes` |
//! | `address` | origins, issuers, upstreams, resources, paths |

mod address;
mod fault;
mod json;
mod limits;
mod model;
mod parse;
mod provider;
mod routes;
mod table;

#[cfg(test)]
mod tests;

pub use self::{
    fault::{ConfigFaults, Fault},
    model::{
        ClientAuth, Config, Connections, CsrfPolicy, Jurisdiction, Navigation, Origin,
        ProviderConfig, ResponseMode, Route, RoutePath, SessionConfig, SessionRequirement,
        SigningAlg, Store, Upstream,
    },
    parse::{Environment, parse},
};
