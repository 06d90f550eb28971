//! A registration at a provider, for the tests of every room.

use super::{Metadata, form};
use crate::{
    config::{ClientAuth, ProviderConfig, ResponseMode, SigningAlg},
    http::message::HttpRequest,
};

pub(super) use crate::jose::testing::response;

/// A client at `https://id.example/` with `client_secret_basic`.
pub(crate) fn provider() -> ProviderConfig {
    ProviderConfig {
        issuer: "https://id.example/".to_owned(),
        client_id: "the-client".to_owned(),
        client_auth: ClientAuth::ClientSecretBasic("the-secret".into()),
        scopes: vec!["openid".to_owned(), "offline_access".to_owned()],
        authorization_params: Vec::new(),
        login_params: Vec::new(),
        response_mode: ResponseMode::Query,
        id_token_alg: SigningAlg::RS256,
        userinfo: false,
        id_token_hint: true,
        frontchannel_logout: false,
        rotates_refresh_tokens: None,
        allow_http: false,
    }
}

pub(super) fn metadata(authorization_endpoint: &str) -> Metadata {
    Metadata {
        issuer: "https://id.example/".to_owned(),
        authorization_endpoint: authorization_endpoint.to_owned(),
        token_endpoint: "https://id.example/token".to_owned(),
        jwks_uri: "https://id.example/jwks".to_owned(),
        userinfo_endpoint: None,
        revocation_endpoint: None,
        end_session_endpoint: None,
        authorization_response_iss_parameter_supported: false,
    }
}

/// The pairs of a URL's query.
pub(super) fn query(url: &str) -> Vec<(String, String)> {
    form::parse(url.split_once('?').unwrap().1).unwrap()
}

/// The pairs of a request's form.
pub(super) fn body(request: &HttpRequest) -> Vec<(String, String)> {
    form::parse(request.body.as_ref().unwrap().expose()).unwrap()
}

/// A request's header, looked into.
pub(super) fn header<'a>(request: &'a HttpRequest, name: &str) -> Option<&'a str> {
    let found = request.headers.iter().find(|(header, _)| *header == name);
    found.map(|(_, value)| value.expose().as_str())
}

pub(super) fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}
