//! Where a request's path leads: an endpoint of ours, a route to an API, or elsewhere (the static
//! files). Endpoints always win, whatever the routes say; the first route that matches is the one.

use super::{Method, path::RequestPath};
use crate::config::{Config, ResponseMode, Route, RoutePath};

/// Where a path leads.
#[derive(Clone, Copy, Debug)]
pub enum Target<'c> {
    /// An endpoint of ours.
    Endpoint(EndpointName),
    /// Under the base path, but no endpoint: 404, never a route.
    NoEndpoint,
    /// A route to an API.
    Route(&'c Route),
    /// Not ours: the static files.
    Elsewhere,
}

/// An endpoint of ours under the base path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EndpointName {
    /// `login`
    Login,
    /// `callback`
    Callback,
    /// `logout`; GET redeems the one-time logout URL, POST logs out.
    Logout,
    /// `logged-out`
    LoggedOut,
    /// `session`
    Session,
    /// `sessions`: the person's devices
    Sessions,
    /// `sessions/end`
    SessionsEnd,
    /// `backchannel-logout`
    BackchannelLogout,
    /// `frontchannel-logout`; only where it is configured
    FrontchannelLogout,
    /// `admin/end-sessions`; only where there is an `ADMIN_SECRET`
    EndSubject,
    /// `health`
    Health,
}

impl EndpointName {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Login,
        Self::Callback,
        Self::Logout,
        Self::LoggedOut,
        Self::Session,
        Self::Sessions,
        Self::SessionsEnd,
        Self::BackchannelLogout,
        Self::FrontchannelLogout,
        Self::EndSubject,
        Self::Health,
    ];

    /// Its path below the base path.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::Callback => "callback",
            Self::Logout => "logout",
            Self::LoggedOut => "logged-out",
            Self::Session => "session",
            Self::Sessions => "sessions",
            Self::SessionsEnd => "sessions/end",
            Self::BackchannelLogout => "backchannel-logout",
            Self::FrontchannelLogout => "frontchannel-logout",
            Self::EndSubject => "admin/end-sessions",
            Self::Health => "health",
        }
    }

    /// The methods that it takes.
    pub const fn methods(self, config: &Config) -> &'static [Method] {
        match self {
            Self::Login
            | Self::LoggedOut
            | Self::Session
            | Self::Sessions
            | Self::FrontchannelLogout => &[Method::Get],
            Self::SessionsEnd | Self::BackchannelLogout | Self::EndSubject => &[Method::Post],
            Self::Callback => match config.provider.response_mode {
                ResponseMode::Query => &[Method::Get],
                ResponseMode::FormPost => &[Method::Get, Method::Post],
            },
            Self::Logout => &[Method::Get, Method::Post],
            Self::Health => &[Method::Get, Method::Head],
        }
    }

    /// Whether there is such an endpoint here: what is off is nowhere to be seen.
    const fn is_on(self, config: &Config) -> bool {
        match self {
            Self::FrontchannelLogout => config.provider.frontchannel_logout,
            Self::EndSubject => config.admin_secret.is_some(),
            Self::BackchannelLogout => config.session.store.ends_without_cookie(),
            // KV has no list of a person's sessions.
            Self::Sessions | Self::SessionsEnd => !config.session.store.is_kv(),
            _ => true,
        }
    }
}

/// Chooses by the path alone: never by query, header or method.
pub fn choose<'c>(config: &'c Config, path: RequestPath<'_>) -> Target<'c> {
    if path.is_within(&config.base_path) {
        let rest = path.as_str().get(config.base_path.len()..).unwrap_or_default();
        let name = rest.strip_prefix('/');
        let endpoint = EndpointName::ALL.into_iter().find(|e| name == Some(e.as_str()));
        let endpoint = endpoint.filter(|endpoint| endpoint.is_on(config));
        return endpoint.map_or(Target::NoEndpoint, Target::Endpoint);
    }
    config
        .routes
        .iter()
        .find(|route| matches(&route.path, path))
        .map_or(Target::Elsewhere, Target::Route)
}

/// Case-sensitive, on a segment's boundary: `/api/*` is `/api` and `/api/…`, never `/apiary`.
fn matches(route: &RoutePath, path: RequestPath<'_>) -> bool {
    match route {
        RoutePath::Exact(exact) => path.as_str() == exact,
        RoutePath::Prefix(prefix) => path.is_within(prefix),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::testing;

    fn led(config: &Config, path: &str) -> String {
        match choose(config, RequestPath::parse(path).unwrap()) {
            Target::Endpoint(endpoint) => endpoint.as_str().to_owned(),
            Target::NoEndpoint => "404".to_owned(),
            Target::Route(route) => match &route.path {
                RoutePath::Exact(path) => path.clone(),
                RoutePath::Prefix(path) => format!("{path}/*"),
            },
            Target::Elsewhere => "elsewhere".to_owned(),
        }
    }

    #[test]
    fn a_path_leads_to_one_place() {
        let config = testing::config_with_routes([
            testing::route(RoutePath::Exact("/api/orders".to_owned())),
            testing::route(RoutePath::Prefix("/api/public".to_owned())),
            testing::route(RoutePath::Prefix("/api".to_owned())),
        ]);
        for (path, expected) in [
            ("/auth/login", "login"),
            ("/auth/callback", "callback"),
            ("/auth/logout", "logout"),
            ("/auth/logged-out", "logged-out"),
            ("/auth/session", "session"),
            ("/auth/health", "health"),
            ("/auth", "404"),
            ("/auth/", "404"),
            ("/auth/login/", "404"),
            ("/auth/Login", "404"),
            ("/auth/loginx", "404"),
            ("/auth/login;x", "404"),
            ("/auth/%6cogin", "404"),
            ("/authx/login", "elsewhere"),
            ("/AUTH/login", "elsewhere"),
            ("/api/orders", "/api/orders"),
            ("/api/orders/", "/api/*"),
            ("/api/orders/1", "/api/*"),
            ("/api/public", "/api/public/*"),
            ("/api/public/x", "/api/public/*"),
            ("/api/publicx", "/api/*"),
            ("/api", "/api/*"),
            ("/api/", "/api/*"),
            ("/api/x%2ejson", "/api/*"),
            ("/API/x", "elsewhere"),
            ("/Api/x", "elsewhere"),
            ("/apiary", "elsewhere"),
            ("/api-internal", "elsewhere"),
            ("/api;a=b/x", "elsewhere"),
            ("/", "elsewhere"),
        ] {
            assert_eq!(led(&config, path), expected, "{path}");
        }
    }

    // workers-oauth-provider #140: a route on everything must not swallow the endpoints.
    #[test]
    fn a_route_on_everything_leaves_our_endpoints_alone() {
        let config =
            testing::config_with_routes([testing::route(RoutePath::Prefix(String::new()))]);
        assert_eq!(led(&config, "/"), "/*");
        assert_eq!(led(&config, "/x"), "/*");
        assert_eq!(led(&config, "/auth/callback"), "callback");
        assert_eq!(led(&config, "/auth/other"), "404");
        assert_eq!(led(&config, "/auth"), "404");
    }

    #[test]
    fn the_callback_takes_a_post_only_where_the_provider_posts() {
        let mut config = testing::config();
        assert_eq!(EndpointName::Callback.methods(&config), [Method::Get]);
        config.provider.response_mode = ResponseMode::FormPost;
        assert_eq!(EndpointName::Callback.methods(&config), [Method::Get, Method::Post]);
    }
}
