//! Client authentication at the provider's endpoints (RFC 6749 §2.3.1, OpenID Connect Core §9).
//!
//! A Backend For Frontend is a confidential client (RFC 10017 §6.1.3.1): there is no way to build
//! a form request here without credentials, and never more than one method in it.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::form;
use crate::{
    config::{ClientAuth, ProviderConfig},
    http::message::{HttpRequest, Verb},
    secret::Secret,
};

/// A form for an endpoint that wants to know the client, before it is authenticated.
pub(super) struct FormRequest<'a> {
    /// The endpoint, from checked metadata.
    pub(super) endpoint: &'a str,
    /// The parameters without the client's own.
    pub(super) parameters: Vec<(&'a str, &'a str)>,
    /// See [`HttpRequest::max_bytes`].
    pub(super) max_bytes: usize,
    /// See [`HttpRequest::timeout`].
    pub(super) timeout: Duration,
}

/// Adds the credentials in the one way that the registration has, and closes the request.
pub(super) fn authenticate(provider: &ProviderConfig, form: FormRequest<'_>) -> HttpRequest {
    let FormRequest { endpoint, mut parameters, max_bytes, timeout } = form;
    let mut headers = vec![
        ("accept", Secret::from("application/json")),
        ("content-type", Secret::from("application/x-www-form-urlencoded")),
    ];
    match &provider.client_auth {
        ClientAuth::ClientSecretBasic(secret) => headers.push((
            "authorization",
            basic(
                &form::encode_component(&provider.client_id),
                &Secret::new(form::encode_component(secret.expose())),
            ),
        )),
        ClientAuth::ClientSecretBasicUnencoded(secret) => {
            headers.push(("authorization", basic(&provider.client_id, secret)));
        }
        ClientAuth::ClientSecretPost(secret) => {
            parameters.push(("client_id", &provider.client_id));
            parameters.push(("client_secret", secret.expose()));
        }
    }
    HttpRequest {
        verb: Verb::Post,
        url: endpoint.to_owned(),
        headers,
        body: Some(Secret::new(form::serialize(&parameters))),
        max_bytes,
        timeout,
    }
}

fn basic(user: &str, password: &Secret<String>) -> Secret<String> {
    let credentials = Secret::new(format!("{user}:{}", password.expose()));
    Secret::new(format!("Basic {}", STANDARD.encode(credentials.expose())))
}
