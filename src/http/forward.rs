//! The URL that a call goes on to, and the way back from an upstream's `Location`.
//!
//! Both work on the path that was decided on, byte for byte; a base and a path are never joined
//! by a URL parser, since a path that begins with `//` would change the host.

use std::fmt;

use url::Url;

use super::{head::RequestUrl, path::RequestPath, route};
use crate::config::{Config, Origin, Route, RoutePath, Upstream};

/// An absolute URL at a route's upstream. Only [`UpstreamUrl::new`] makes one. (That of a call with a pass
/// the entry makes by the route's [`UrlRule`].)
#[derive(Clone, PartialEq, Eq)]
pub struct UpstreamUrl(String);

/// Where the calls of a route go: a part of a URL of ours is cut off its beginning, and what the
/// upstream's begins with takes its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UrlRule<'c> {
    /// Our origin.
    pub own: &'c str,
    /// The path that the route is for.
    pub path: &'c str,
    /// `/*` where it is for what lies below it too, else nothing. (No exact path ends so.)
    pub below: &'static str,
    /// How many bytes of our URL are cut off. It is ASCII.
    pub cut: usize,
    /// The upstream's origin, or our own for a service binding, which is asked under it so that what
    /// it builds absolute URLs from is the address that people see.
    pub origin: &'c str,
    /// The upstream's base path, without a slash at its end.
    pub base: &'c str,
    /// How many bytes of the path are cut off.
    stripped: usize,
}

impl<'c> UrlRule<'c> {
    /// The rule of `route` for calls to `own`.
    pub fn new(route: &'c Route, own: &'c Origin) -> Self {
        let own = own.serialized.as_str();
        let (origin, base) = base_of(route, own);
        let (path, below) = match &route.path {
            RoutePath::Prefix(path) => (path, "/*"),
            RoutePath::Exact(path) => (path, ""),
        };
        let stripped = if route.strip_prefix && !below.is_empty() { path.len() } else { 0 };
        Self { own, path, below, cut: own.len() + stripped, origin, base, stripped }
    }

    /// Whether the rule alone makes the URL, as it does where a path is left.
    pub fn reaches(&self, url: RequestUrl<'_>) -> bool {
        url.path.as_str().len() > self.stripped
    }
}

impl UpstreamUrl {
    /// The URL for `path` and `query` on `route`, of a call to `own`.
    pub fn new(route: &Route, own: &Origin, path: RequestPath<'_>, query: Option<&str>) -> Self {
        let UrlRule { origin, base, stripped, .. } = UrlRule::new(route, own);
        let rest = path.as_str().get(stripped..).unwrap_or_default();
        let query_len = query.map_or(0, |query| query.len() + 1);
        let mut url = String::with_capacity(origin.len() + base.len() + rest.len() + query_len + 1);
        url.push_str(origin);
        url.push_str(base);
        url.push_str(rest);
        if base.is_empty() && rest.is_empty() {
            url.push('/');
        }
        if let Some(query) = query {
            url.push('?');
            url.push_str(query);
        }
        Self(url)
    }

    /// The URL.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for UpstreamUrl {
    /// Without the query: it can hold what isn't for a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.0.split('?').next().unwrap_or_default(), f)
    }
}

/// What becomes of an upstream's `Location`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// It leads back into the same route: our path for it.
    Ours(String),
    /// It leads to another origin. It goes through as it is: whoever follows it does so without
    /// our cookie and without a token.
    Foreign,
    /// It leads to a part of the upstream that the route doesn't reach, or isn't a web address.
    Refused,
}

/// Maps the `Location` that `url` was answered with. Nothing is followed here, ever.
pub fn map_location(
    config: &Config,
    route: &Route,
    origin: &str,
    url: &UpstreamUrl,
    location: &str,
) -> Location {
    let Ok(base) = Url::parse(url.as_str()) else { return Location::Refused };
    // Resolved as a browser would; where it leads is looked at afterwards.
    let Ok(target) = Url::options().base_url(Some(&base)).parse(location) else {
        return Location::Refused;
    };
    let is_web = matches!(target.scheme(), "https" | "http");
    if !is_web || !target.username().is_empty() || target.password().is_some() {
        return Location::Refused;
    }
    if target.origin() != base.origin() {
        return Location::Foreign;
    }
    our_path(config, route, origin, &target).map_or(Location::Refused, Location::Ours)
}

/// The path of ours that leads to `target`, if `route` is where that path leads.
fn our_path(config: &Config, route: &Route, origin: &str, target: &Url) -> Option<String> {
    let (_, base) = base_of(route, origin);
    let rest = target.path().strip_prefix(base)?;
    let mut path = match &route.path {
        RoutePath::Prefix(prefix) if route.strip_prefix => format!("{prefix}{rest}"),
        _ => rest.to_owned(),
    };
    if path.is_empty() {
        path.push('/');
    }
    let parsed = RequestPath::parse(&path).ok()?;
    // A base cut off within a segment (`/v1` of `/v1x`) leaves no path of this route either.
    let route::Target::Route(found) = route::choose(config, parsed) else { return None };
    if !std::ptr::eq(found, route) {
        return None;
    }
    if let Some(query) = target.query() {
        path.push('?');
        path.push_str(query);
    }
    if let Some(fragment) = target.fragment() {
        path.push('#');
        path.push_str(fragment);
    }
    Some(path)
}

fn base_of<'a>(route: &'a Route, origin: &'a str) -> (&'a str, &'a str) {
    match &route.upstream {
        Upstream::Url { origin, path } => (origin, path),
        Upstream::Service { .. } => (origin, ""),
    }
}

#[cfg(test)]
mod tests;
