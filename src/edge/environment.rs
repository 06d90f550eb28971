//! What the entry read from the Worker's environment.

use serde::Deserialize;

use crate::{config, secret::Secret};

#[derive(Deserialize)]
struct EnvironmentText {
    tokenkeep: Option<serde_json::Value>,
    overrides: Option<String>,
    routes: Option<String>,
    client_secret: Option<String>,
    session_keys: Option<String>,
    name_key: Option<String>,
    admin_secret: Option<String>,
    bindings: Vec<String>,
    variables: Vec<String>,
    compatibility_flags: Vec<String>,
}

/// Parses the entry's text. What can't be read at all (a secret that isn't text, say) is an empty
/// environment, which the configuration's own faults then describe.
pub(super) fn read(text: &str) -> config::Environment {
    let Ok(read) = crate::json::read::<EnvironmentText>(text.as_bytes()) else {
        return config::Environment::default();
    };
    config::Environment {
        tokenkeep: read.tokenkeep,
        overrides: read.overrides,
        routes: read.routes,
        client_secret: read.client_secret.map(Secret::new),
        session_keys: read.session_keys.map(Secret::new),
        name_key: read.name_key.map(Secret::new),
        admin_secret: read.admin_secret.map(Secret::new),
        bindings: read.bindings,
        variables: read.variables,
        compatibility_flags: read.compatibility_flags,
    }
}
