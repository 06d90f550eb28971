//! From the Worker's environment to a [`Config`]: variables, secrets, bindings, flags, and the top
//! level of `TOKENKEEP`.

use serde_json::Value;

use super::{
    Config, ConfigFaults, CsrfPolicy, Jurisdiction, Origin, ProviderConfig,
    address::{is_canonical_path, is_under},
    fault::{Faults, kind},
    json, limits,
    provider::{self, is_vschar},
    routes,
    table::{Field, Table},
};
use crate::{
    base64url,
    json::read_strict,
    secret::Secret,
    session::{KeyRing, KeyRingFault},
};

/// Flags that protect something, so that starting without them would be a silent weakening:
/// without `global_fetch_strictly_public` a fetch to our own zone would go past its front door.
const REQUIRED_FLAGS: [&str; 1] = ["global_fetch_strictly_public"];

/// The bindings that keep sessions, by where they are kept: names and what they have to be.
const OBJECTS: &[(&str, &str)] = &[
    ("SESSIONS", "a Durable Object binding of this name to the class SessionObject"),
    ("SUBJECTS", "a Durable Object binding of this name to the class SubjectObject"),
];
const KV: &[(&str, &str)] =
    &[("SESSIONS_KV", "a KV namespace binding of this name, because session.store is \"kv\"")];

/// All variables whose names begin with [`PREFIX`], and `TOKENKEEP` itself.
const VARIABLES: [&str; 2] = ["TOKENKEEP_OVERRIDES", "TOKENKEEP_ROUTES"];
const PREFIX: &str = "TOKENKEEP_";

/// The Worker's environment, as far as it is configuration. The edge fills it in; natively a test
/// does.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// `TOKENKEEP`: a table, or a text with the same as JSON.
    pub tokenkeep: Option<Value>,
    /// `TOKENKEEP_OVERRIDES`: a JSON object that is merged into `TOKENKEEP` (RFC 7396).
    pub overrides: Option<String>,
    /// `TOKENKEEP_ROUTES`: a JSON list, in place of `routes`.
    pub routes: Option<String>,
    /// `CLIENT_SECRET`.
    pub client_secret: Option<Secret<String>>,
    /// `SESSION_KEYS`: `kid:base64url(32 bytes)`, several by comma, the first seals.
    pub session_keys: Option<Secret<String>>,
    /// `NAME_KEY`: base64url of 32 bytes.
    pub name_key: Option<Secret<String>>,
    /// `ADMIN_SECRET`: base64url of 32 bytes; optional.
    pub admin_secret: Option<Secret<String>>,
    /// The names of all members of the environment that are objects: service bindings, `ASSETS`,
    /// `SESSIONS`, `SESSIONS_KV`.
    pub bindings: Vec<String>,
    /// The names of all texts in the environment that begin with `TOKENKEEP_`.
    pub variables: Vec<String>,
    /// The compatibility flags that are enabled.
    pub compatibility_flags: Vec<String>,
}

/// Reads everything and checks everything.
///
/// # Errors
///
/// All faults at once; with a single one there is no [`Config`].
pub fn parse(environment: &Environment) -> Result<Config, ConfigFaults> {
    let mut faults = Faults::default();
    let in_kv = names_kv(environment);
    check_platform(environment, in_kv, &mut faults);
    check_variables(environment, &mut faults);
    let secrets = Secrets::read(environment, &mut faults);
    let tokenkeep = read_variables(environment, &mut faults);
    let routes = read_routes_variable(environment, tokenkeep.as_ref(), &mut faults);
    let config = tokenkeep.as_ref().and_then(|value| {
        let root = Field { key: String::new(), value };
        root.table(&mut faults, |table, faults| {
            read_top_level(table, environment, routes.as_ref(), secrets, in_kv, faults)
        })?
    });
    faults.settle(config)
}

/// Whether sessions are to be kept in KV, which other parts have to fit. Asked before anything is
/// read; what can't be read is said where it is read.
fn names_kv(environment: &Environment) -> bool {
    let tokenkeep = read_variables(environment, &mut Faults::default());
    let store = tokenkeep.as_ref().and_then(|value| value.get("session")?.get("store"));
    store.and_then(Value::as_str) == Some("kv")
}

fn check_platform(environment: &Environment, in_kv: bool, faults: &mut Faults) {
    for flag in REQUIRED_FLAGS {
        if !environment.compatibility_flags.iter().any(|enabled| enabled == flag) {
            let found = format!("no \"{flag}\"");
            faults.add("compatibility_flags", found, "this flag in the wrangler file");
        }
    }
    for (binding, expected) in if in_kv { KV } else { OBJECTS } {
        if !environment.bindings.iter().any(|name| name == binding) {
            faults.add(*binding, "nothing", *expected);
        }
    }
}

/// A misspelt variable would be no variable, and what it says would be left out without a word.
fn check_variables(environment: &Environment, faults: &mut Faults) {
    const EXPECTED: &str =
        "TOKENKEEP, TOKENKEEP_OVERRIDES or TOKENKEEP_ROUTES: no other name begins so";
    for name in &environment.variables {
        if name.starts_with(PREFIX) && !VARIABLES.contains(&name.as_str()) {
            faults.add(name, "a variable of an unknown name", EXPECTED);
        }
    }
}

/// The Worker's secrets, as far as they could be read.
struct Secrets {
    client: Option<Secret<String>>,
    keys: Option<KeyRing>,
    admin: Option<Secret<String>>,
}

impl Secrets {
    fn read(environment: &Environment, faults: &mut Faults) -> Self {
        let keys = Self::read_keys(environment, faults);
        let client = Self::read_client(environment, faults);
        Self { client, keys, admin: Self::read_admin(environment, faults) }
    }

    /// Guessed by nobody, whatever the rate: 32 random bytes, and no other secret of ours.
    fn read_admin(environment: &Environment, faults: &mut Faults) -> Option<Secret<String>> {
        const EXPECTED: &str = "32 random bytes as base64url without padding, used for nothing else; or no such secret";
        let secret = environment.admin_secret.as_ref()?;
        let is_random = base64url::decode_array::<32>(secret.expose())
            .is_some_and(|bytes| bytes.iter().any(|byte| Some(byte) != bytes.first()));
        if !is_random {
            faults.add("ADMIN_SECRET", "a secret that can't be used", EXPECTED);
            return None;
        }
        let others = [&environment.client_secret, &environment.session_keys, &environment.name_key];
        let holds = |other: &Secret<String>| other.expose().contains(secret.expose().as_str());
        if others.into_iter().flatten().any(holds) {
            faults.add("ADMIN_SECRET", "a secret that is used elsewhere too", EXPECTED);
            return None;
        }
        Some(secret.clone())
    }

    /// RFC 6749 Appendix A.2: printable ASCII. A line break at the end, as `echo` makes it, would
    /// be refused by the provider with no word of why.
    fn read_client(environment: &Environment, faults: &mut Faults) -> Option<Secret<String>> {
        const EXPECTED: &str =
            "the client's secret from the provider, by `wrangler secret put` or in .dev.vars";
        let secret = present("CLIENT_SECRET", &environment.client_secret, EXPECTED, faults)?;
        if !is_vschar(secret.expose()) {
            let found = "a secret with a line break, space around it or a character beyond ASCII";
            faults.add("CLIENT_SECRET", found, EXPECTED);
            return None;
        }
        Some(secret.clone())
    }

    fn read_keys(environment: &Environment, faults: &mut Faults) -> Option<KeyRing> {
        const KEYS: &str = "\"kid:key\", the key 32 random bytes as base64url, several by comma";
        const KEY: &str = "32 random bytes as base64url without padding";
        let session_keys = present("SESSION_KEYS", &environment.session_keys, KEYS, faults);
        let name_key = present("NAME_KEY", &environment.name_key, KEY, faults);
        let session_keys_text = session_keys.map_or("", |secret| secret.expose());
        let name_key_text = name_key.map_or("", |secret| secret.expose());
        let fault = match KeyRing::parse(session_keys_text, name_key_text) {
            Ok(keys) => return Some(keys),
            Err(fault) => fault,
        };
        let found = |fault: KeyRingFault| format!("a secret that can't be used: {fault}");
        let is_name_key = matches!(fault, KeyRingFault::NameKey | KeyRingFault::NameKeyShared);
        if session_keys.is_some() && !is_name_key {
            faults.add("SESSION_KEYS", found(fault), KEYS);
        }
        // The ring is read first, so its fault would hide the other's.
        let is_malformed = base64url::decode_array::<32>(name_key_text.trim()).is_none();
        if name_key.is_some() && (is_name_key || is_malformed) {
            let fault = if is_name_key { fault } else { KeyRingFault::NameKey };
            faults.add("NAME_KEY", found(fault), KEY);
        }
        None
    }
}

/// The secret, if it is there and not empty.
fn present<'e>(
    key: &str,
    secret: &'e Option<Secret<String>>,
    expected: &str,
    faults: &mut Faults,
) -> Option<&'e Secret<String>> {
    let secret = secret.as_ref().filter(|secret| !secret.expose().is_empty());
    if secret.is_none() {
        faults.add(key, "nothing", expected);
    }
    secret
}

/// `TOKENKEEP` with `TOKENKEEP_OVERRIDES` merged into it: a JSON object.
fn read_variables(environment: &Environment, faults: &mut Faults) -> Option<Value> {
    const EXPECTED: &str = "a table, or the same as a JSON object in a text";
    let mut tokenkeep = match &environment.tokenkeep {
        None => {
            faults.add("TOKENKEEP", "nothing", EXPECTED);
            return None;
        }
        Some(Value::String(text)) => read_json("TOKENKEEP", text, EXPECTED, faults),
        Some(value) => Some(value.clone()),
    };
    if let Some(value) = tokenkeep.take_if(|value| !value.is_object()) {
        faults.add("TOKENKEEP", kind(&value), EXPECTED);
    }
    if let Some(text) = &environment.overrides {
        const EXPECTED: &str = "a JSON object that is merged into TOKENKEEP (RFC 7396)";
        let patch = read_json("TOKENKEEP_OVERRIDES", text, EXPECTED, faults);
        match (&mut tokenkeep, patch) {
            (Some(target), Some(patch)) if patch.is_object() => json::merge_patch(target, &patch),
            (_, Some(patch)) if !patch.is_object() => {
                faults.add("TOKENKEEP_OVERRIDES", kind(&patch), EXPECTED);
            }
            _ => {}
        }
    }
    tokenkeep
}

/// `TOKENKEEP_ROUTES`, which must be the only place with routes.
fn read_routes_variable(
    environment: &Environment,
    tokenkeep: Option<&Value>,
    faults: &mut Faults,
) -> Option<Value> {
    let text = environment.routes.as_ref()?;
    if tokenkeep.is_some_and(|value| value.get("routes").is_some()) {
        let found = "routes here and in TOKENKEEP";
        faults.add("TOKENKEEP_ROUTES", found, "routes in one of the two");
    }
    read_json("TOKENKEEP_ROUTES", text, "a JSON list of routes", faults)
}

fn read_json(key: &str, text: &str, expected: &str, faults: &mut Faults) -> Option<Value> {
    match read_strict(text.as_bytes()) {
        Ok(value) => Some(value),
        Err(error) => {
            faults.add(key, format!("a text that can't be read as JSON ({error})"), expected);
            None
        }
    }
}

fn read_top_level(
    table: &mut Table<'_>,
    environment: &Environment,
    routes_variable: Option<&Value>,
    secrets: Secrets,
    in_kv: bool,
    faults: &mut Faults,
) -> Option<Config> {
    let allow_loopback_http = table.flag("dangerously_allow_loopback_http", false, faults);
    let origins = read_origins(table, allow_loopback_http, faults);
    let base_path = read_base_path(table, faults);
    let admin_secret = secrets.admin;
    let surroundings = provider::Surroundings {
        allow_loopback_http,
        has_loopback_http_origin: origins.iter().any(|origin| origin.is_loopback_http),
        in_kv,
        client_secret: secrets.client,
    };
    let provider = read_provider(table, surroundings, faults);
    let session = limits::read(table, secrets.keys, faults);
    let ends_without_cookie =
        session.as_ref().is_none_or(|session| session.store.ends_without_cookie());
    if admin_secret.is_some() && !ends_without_cookie {
        let found = "a secret, and sessions in KV that nobody but their cookies can end";
        faults.add("ADMIN_SECRET", found, "session.kv_delayed_logout = true, or no such secret");
    }
    let csrf = table.choice(
        "csrf",
        &[("fetch-metadata", CsrfPolicy::FetchMetadata), ("header", CsrfPolicy::Header)],
        faults,
    );
    let routes_of_table = table.field("routes");
    let routes_of_variable =
        routes_variable.map(|value| Field { key: "TOKENKEEP_ROUTES".to_owned(), value });
    let routes = routes_of_variable.or(routes_of_table).map_or_else(Vec::new, |field| {
        let surroundings =
            routes::Surroundings { base_path: &base_path, allow_loopback_http, csrf };
        routes::read(&field, environment, &surroundings, faults)
    });
    let post_logout_target = read_post_logout_target(table, &base_path, faults);
    let jurisdiction = read_jurisdiction(table, in_kv, faults);
    let log_subject = table
        .field("log")
        .and_then(|log| log.table(faults, |table, faults| table.flag("subject", false, faults)));
    Some(Config {
        origins,
        base_path,
        provider: provider?,
        session: session?,
        routes,
        csrf,
        post_logout_target,
        allow_loopback_http,
        jurisdiction,
        log_subject: log_subject.unwrap_or(false),
        admin_secret,
    })
}

fn read_jurisdiction(
    table: &mut Table<'_>,
    in_kv: bool,
    faults: &mut Faults,
) -> Option<Jurisdiction> {
    if let Some(field) = table.field("jurisdiction").filter(|_| in_kv) {
        let expected = "no jurisdiction with session.store = \"kv\": KV can't be kept in a place";
        field.refuse(expected, faults);
        return None;
    }
    let choices = [("eu", Some(Jurisdiction::Eu)), ("fedramp", Some(Jurisdiction::Fedramp))];
    table.choice("jurisdiction", &choices, faults)
}

/// One origin or a list of them; they share one SPA.
fn read_origins(
    table: &mut Table<'_>,
    allow_loopback_http: bool,
    faults: &mut Faults,
) -> Vec<Origin> {
    const EXPECTED: &str = "an origin such as \"https://app.example.com\", or a list of them";
    let Some(field) = table.required("origin", EXPECTED, faults) else { return Vec::new() };
    let texts = match field.value {
        Value::Array(_) => field.texts(EXPECTED, faults),
        _ => field.text(EXPECTED, faults).map(|text| (field.clone(), text)).into_iter().collect(),
    };
    if field.value.as_array().is_some_and(Vec::is_empty) {
        faults.add(field.key, "an empty list", EXPECTED);
    }
    let mut origins = Vec::new();
    for (item, text) in texts {
        match Origin::parse(text, allow_loopback_http) {
            Ok(origin) => origins.push(origin),
            Err(expected) => item.refuse(expected, faults),
        }
    }
    origins
}

fn read_base_path(table: &mut Table<'_>, faults: &mut Faults) -> String {
    const EXPECTED: &str = "a path such as \"/auth\", without a slash at its end";
    let Some(field) = table.field("base_path") else { return "/auth".to_owned() };
    match field.text(EXPECTED, faults) {
        Some(path) if is_canonical_path(path) && !path.ends_with('/') => return path.to_owned(),
        Some(_) => field.refuse(EXPECTED, faults),
        None => {}
    }
    "/auth".to_owned()
}

/// Not under `base_path`: `logged-out` would send the browser to itself, or out and in again.
fn read_post_logout_target(table: &mut Table<'_>, base_path: &str, faults: &mut Faults) -> String {
    const EXPECTED: &str = "a path of the SPA such as \"/\", not under base_path";
    let Some(field) = table.field("post_logout_target") else { return "/".to_owned() };
    match field.text(EXPECTED, faults) {
        Some(path) if is_canonical_path(path) && !is_under(path, base_path) => path.to_owned(),
        Some(_) => {
            field.refuse(EXPECTED, faults);
            "/".to_owned()
        }
        None => "/".to_owned(),
    }
}

fn read_provider(
    table: &mut Table<'_>,
    surroundings: provider::Surroundings,
    faults: &mut Faults,
) -> Option<ProviderConfig> {
    let field = table.required("provider", "a table with issuer and client_id", faults)?;
    field.table(faults, |table, faults| provider::read(table, surroundings, faults))?
}
