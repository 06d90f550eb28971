//! The routes: which paths go to which API, and what goes with them.

use std::time::Duration;

use super::{
    Connections, CsrfPolicy, Navigation, Route, RoutePath, SessionRequirement, Upstream,
    address::{WebUrl, is_canonical_path, is_resource, is_scope_token, is_under},
    fault::{Faults, shown_text},
    parse::Environment,
    table::{Field, Span, Table},
};
use crate::{http::Method, session::TokenKey};

/// Methods that pass where a route doesn't say: all but OPTIONS.
const DEFAULT_METHODS: [&str; 6] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];

/// Bindings that aren't services.
const NOT_SERVICES: [&str; 4] = ["SESSIONS", "SESSIONS_KV", "SUBJECTS", "TOKENKEEP"];

/// The Worker's own static assets: a token sent there doesn't leave the Worker.
const ASSETS: &str = "ASSETS";

/// What the rest of the configuration says that a route has to fit.
pub(super) struct Surroundings<'a> {
    /// `base_path`.
    pub(super) base_path: &'a str,
    /// `dangerously_allow_loopback_http`.
    pub(super) allow_loopback_http: bool,
    /// `csrf`.
    pub(super) csrf: CsrfPolicy,
}

/// A route as far as it could be read, with what only the rules across routes need.
struct Draft<'a> {
    field: Field<'a>,
    path: Option<RoutePath>,
    upstream: Option<Upstream>,
    timeout: Option<Duration>,
    shares_token: bool,
    rest: Rest,
}

/// The fields of a [`Route`] that are always readable, if only as placeholders.
struct Rest {
    session: SessionRequirement,
    navigation: Navigation,
    connections: Connections,
    token: TokenKey,
    methods: Vec<Method>,
    strip_prefix: bool,
    retry_after_401: bool,
}

/// Reads the list of routes.
pub(super) fn read(
    field: &Field<'_>,
    environment: &Environment,
    surroundings: &Surroundings<'_>,
    faults: &mut Faults,
) -> Vec<Route> {
    let items = field.list("a list of routes", faults).unwrap_or_default();
    let mut drafts = Vec::new();
    for item in items {
        let draft = item.table(faults, |table, faults| {
            read_route(item.clone(), table, environment, surroundings, faults)
        });
        drafts.extend(draft);
    }
    refuse_unreachable(&drafts, faults);
    refuse_token_shared_unsaid(&drafts, faults);
    drafts.into_iter().filter_map(Draft::into_route).collect()
}

impl Draft<'_> {
    fn into_route(self) -> Option<Route> {
        let Rest {
            session,
            navigation,
            connections,
            token,
            methods,
            strip_prefix,
            retry_after_401,
        } = self.rest;
        Some(Route {
            path: self.path?,
            upstream: self.upstream?,
            timeout: self.timeout,
            session,
            navigation,
            connections,
            token,
            methods,
            strip_prefix,
            retry_after_401,
        })
    }

    /// To whom this route gives a token, if to anybody else than the Worker itself.
    fn token_goes_to(&self) -> Option<String> {
        if self.rest.session == SessionRequirement::Anonymous {
            return None;
        }
        match self.upstream.as_ref()? {
            Upstream::Url { origin, .. } => Some(origin.clone()),
            Upstream::Service { binding } if binding == ASSETS => None,
            Upstream::Service { binding } => Some(format!("service {binding}")),
        }
    }
}

fn read_route<'a>(
    field: Field<'a>,
    table: &mut Table<'a>,
    environment: &Environment,
    surroundings: &Surroundings<'_>,
    faults: &mut Faults,
) -> Draft<'a> {
    let path = read_path(table, surroundings.base_path, faults);
    let (upstream, timeout) =
        read_upstream(table, environment, surroundings.allow_loopback_http, faults);
    let session = table.choice(
        "session",
        &[
            ("required", SessionRequirement::Required),
            ("optional", SessionRequirement::Optional),
            ("anonymous", SessionRequirement::Anonymous),
        ],
        faults,
    );
    let navigation = table.choice(
        "navigation",
        &[
            ("refuse", Navigation::Refuse),
            ("download", Navigation::Download),
            ("page", Navigation::Page),
        ],
        faults,
    );
    let carries_token = session != SessionRequirement::Anonymous;
    if surroundings.csrf == CsrfPolicy::Header && navigation != Navigation::Refuse && carries_token
    {
        // A navigation brings no header: the setting would never let a token out.
        faults.add(
            table.key("navigation"),
            "documents on a route with a session, while csrf is \"header\"",
            "\"refuse\", or csrf = \"fetch-metadata\"",
        );
    }
    let connections = read_connections(table, carries_token, surroundings.csrf, faults);
    let methods = read_methods(table, faults);
    let strip_prefix = table.flag("strip_prefix", false, faults);
    if strip_prefix && matches!(path, Some(RoutePath::Exact(_))) {
        let expected = "only with a path that ends in /*: an exact path has no prefix";
        faults.add(table.key("strip_prefix"), "true", expected);
    }
    let token =
        TokenKey { resource: read_resource(table, faults), scope: read_scope(table, faults) };
    let retry_after_401 = table.flag("retry_after_401", false, faults);
    let shares_token = table.flag("share_token", false, faults);
    if session == SessionRequirement::Anonymous {
        let given = [
            ("resource", token.resource.is_some()),
            ("scope", token.scope.is_some()),
            ("retry_after_401", retry_after_401),
            ("share_token", shares_token),
        ];
        for (name, _) in given.into_iter().filter(|(_, is_given)| *is_given) {
            let expected = "nothing: an anonymous route carries no token";
            faults.add(table.key(name), "a setting about the token", expected);
        }
    }
    let rest =
        Rest { session, navigation, connections, token, methods, strip_prefix, retry_after_401 };
    Draft { field, path, upstream, timeout, shares_token, rest }
}

fn read_path(table: &mut Table<'_>, base_path: &str, faults: &mut Faults) -> Option<RoutePath> {
    const EXPECTED: &str = "a path such as \"/api/*\" (it and all below) or \"/api/x\" (it alone)";
    let field = table.required("path", EXPECTED, faults)?;
    let text = field.text(EXPECTED, faults)?;
    let path = match text.strip_suffix("/*") {
        Some(prefix) => RoutePath::Prefix(prefix.to_owned()),
        None => RoutePath::Exact(text.to_owned()),
    };
    let is_canonical = match &path {
        RoutePath::Prefix(prefix) => {
            prefix.is_empty() || (is_canonical_path(prefix) && !prefix.ends_with('/'))
        }
        RoutePath::Exact(path) => is_canonical_path(path),
    };
    if !is_canonical {
        field.refuse(
            format!("{EXPECTED}, without dot segments, empty segments, ';', '%' and '*' inside"),
            faults,
        );
        return None;
    }
    let (RoutePath::Prefix(start) | RoutePath::Exact(start)) = &path;
    if is_under(start, base_path) {
        field.refuse(format!("a path that isn't under base_path \"{base_path}\""), faults);
        return None;
    }
    Some(path)
}

fn read_upstream(
    table: &mut Table<'_>,
    environment: &Environment,
    allow_loopback_http: bool,
    faults: &mut Faults,
) -> (Option<Upstream>, Option<Duration>) {
    const EXPECTED: &str = "{ url = \"https://api.example.com\" } or { service = \"BINDING\" }";
    let Some(field) = table.required("upstream", EXPECTED, faults) else { return (None, None) };
    let read = field.table(faults, |upstream, faults| {
        let target = match (upstream.field("url"), upstream.field("service")) {
            (Some(url), None) => read_upstream_url(&url, allow_loopback_http, faults),
            (None, Some(service)) => read_upstream_service(&service, environment, faults),
            (Some(_), Some(_)) => {
                faults.add(field.key.clone(), "both url and service", EXPECTED);
                None
            }
            (None, None) => {
                faults.add(field.key.clone(), "neither url nor service", EXPECTED);
                None
            }
        };
        (target, read_timeout(upstream, faults))
    });
    read.unwrap_or_default()
}

fn read_timeout(upstream: &mut Table<'_>, faults: &mut Faults) -> Option<Duration> {
    let timeout = Span {
        name: "timeout_seconds",
        default: 0.0,
        unit_seconds: 1.0,
        seconds: 1.0..=600.0,
        expected: "a number of seconds from 1 to 600; leave it out for none",
    };
    upstream.field(timeout.name)?;
    upstream.span(&timeout, faults)
}

/// Origin and path must be in canonical form; one trailing slash is cut off.
fn read_upstream_url(
    field: &Field<'_>,
    allow_loopback_http: bool,
    faults: &mut Faults,
) -> Option<Upstream> {
    let text = field.text("an https URL", faults)?;
    let url = match WebUrl::parse(text, allow_loopback_http) {
        Ok(url) => url,
        Err(expected) => {
            field.refuse(expected, faults);
            return None;
        }
    };
    if !url.is_origin_canonical {
        field.refuse(url.canonical_hint(), faults);
        return None;
    }
    if !url.path.is_empty() && !is_canonical_path(url.path) {
        field.refuse("a URL whose path has no empty segments, ';', '%' and '*'", faults);
        return None;
    }
    let path = url.path.strip_suffix('/').unwrap_or(url.path).to_owned();
    Some(Upstream::Url { origin: url.origin, path })
}

fn read_upstream_service(
    field: &Field<'_>,
    environment: &Environment,
    faults: &mut Faults,
) -> Option<Upstream> {
    let binding = field.text("the name of a service binding", faults)?;
    let is_there = environment.bindings.iter().any(|name| name == binding);
    if !is_there || NOT_SERVICES.contains(&binding) {
        field.refuse("the name of a service binding in this Worker's wrangler file", faults);
        return None;
    }
    Some(Upstream::Service { binding: binding.to_owned() })
}

fn read_methods(table: &mut Table<'_>, faults: &mut Faults) -> Vec<Method> {
    const EXPECTED: &str = "a list of methods such as [\"GET\", \"HEAD\"]";
    let Some(field) = table.field("methods") else {
        return DEFAULT_METHODS.into_iter().filter_map(Method::parse).collect();
    };
    let mut methods = Vec::new();
    for (item, name) in field.texts(EXPECTED, faults) {
        match Method::parse(name) {
            Some(method) => methods.push(method),
            None => item.refuse("GET, HEAD, POST, PUT, PATCH, DELETE or OPTIONS", faults),
        }
    }
    if field.value.as_array().is_some_and(Vec::is_empty) {
        faults.add(field.key, "an empty list", EXPECTED);
    }
    methods
}

fn read_connections(
    table: &mut Table<'_>,
    carries_token: bool,
    csrf: CsrfPolicy,
    faults: &mut Faults,
) -> Connections {
    let connections = table.choice(
        "connections",
        &[
            ("refuse", Connections::Refuse),
            ("pass", Connections::Pass),
            ("bound", Connections::Bound),
        ],
        faults,
    );
    if connections == Connections::Bound && !carries_token {
        let expected = "\"pass\": an anonymous route has no session to end with";
        faults.add(table.key("connections"), "\"bound\"", expected);
    }
    if connections != Connections::Refuse && carries_token && csrf == CsrfPolicy::Header {
        // A browser's WebSocket brings no header: the setting would never let one pass.
        faults.add(
            table.key("connections"),
            "WebSockets on a route with a session, while csrf is \"header\"",
            "\"refuse\", or csrf = \"fetch-metadata\"",
        );
    }
    connections
}

fn read_resource(table: &mut Table<'_>, faults: &mut Faults) -> Option<String> {
    const EXPECTED: &str = "an absolute URI without a fragment (RFC 8707)";
    let field = table.field("resource")?;
    let text = field.text(EXPECTED, faults)?;
    if !is_resource(text) {
        field.refuse(EXPECTED, faults);
    }
    Some(text.to_owned())
}

fn read_scope(table: &mut Table<'_>, faults: &mut Faults) -> Option<String> {
    const EXPECTED: &str = "scopes with one space between them";
    let field = table.field("scope")?;
    let text = field.text(EXPECTED, faults)?;
    if !text.split(' ').all(is_scope_token) {
        field.refuse(EXPECTED, faults);
    }
    Some(text.to_owned())
}

/// The first route whose path matches is taken: one that an earlier route covers whole is never
/// reached, and a rule that looks as if it were in force isn't.
fn refuse_unreachable(drafts: &[Draft<'_>], faults: &mut Faults) {
    for (index, later) in drafts.iter().enumerate() {
        let Some(path) = &later.path else { continue };
        let is_covering =
            |earlier: &&Draft<'_>| earlier.path.as_ref().is_some_and(|wide| covers(wide, path));
        if let Some(covering) = drafts.iter().take(index).find(is_covering) {
            let (RoutePath::Prefix(shown) | RoutePath::Exact(shown)) = path;
            faults.add(
                format!("{}.path", later.field.key),
                format!("{}, which {} takes whole", shown_text(shown), covering.field.key),
                "each path once, the narrower before the wider",
            );
        }
    }
}

/// Whether every path that `narrow` matches is one that `wide` matches.
fn covers(wide: &RoutePath, narrow: &RoutePath) -> bool {
    let (RoutePath::Prefix(start) | RoutePath::Exact(start)) = narrow;
    match wide {
        RoutePath::Prefix(prefix) => is_under(start, prefix),
        RoutePath::Exact(_) => wide == narrow,
    }
}

/// A token that more than one API receives can be used by each at the others (RFC 8707 §1). So,
/// with several upstreams, each route that carries a token names its resource, or says that it
/// shares the login's.
fn refuse_token_shared_unsaid(drafts: &[Draft<'_>], faults: &mut Faults) {
    let mut receivers: Vec<String> = drafts.iter().filter_map(Draft::token_goes_to).collect();
    receivers.sort_unstable();
    receivers.dedup();
    if receivers.len() < 2 {
        return;
    }
    for draft in drafts {
        let is_unsaid = draft.rest.token.resource.is_none() && !draft.shares_token;
        if is_unsaid && draft.token_goes_to().is_some() {
            faults.add(
                format!("{}.resource", draft.field.key),
                format!("nothing, with tokens going to {} upstreams", receivers.len()),
                "the API's resource, or share_token = true if each may use the token at the others",
            );
        }
    }
}
