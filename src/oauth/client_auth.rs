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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oauth::testing::{body, header, pairs, provider};

    fn request(client_id: &str, client_auth: ClientAuth) -> HttpRequest {
        let provider =
            ProviderConfig { client_id: client_id.to_owned(), client_auth, ..provider() };
        authenticate(
            &provider,
            FormRequest {
                endpoint: "https://id.example/token",
                parameters: vec![("a", "b")],
                max_bytes: 1,
                timeout: Duration::from_secs(2),
            },
        )
    }

    fn credentials(request: &HttpRequest) -> String {
        let value = header(request, "authorization").unwrap().strip_prefix("Basic ").unwrap();
        String::from_utf8(STANDARD.decode(value).unwrap()).unwrap()
    }

    #[test]
    fn basic_credentials_are_form_encoded_one_by_one() {
        for (client_id, secret, expected) in [
            ("client", "AZaz09-._~", "client:AZaz09-._~"),
            ("https://app", "a:b%c d+e/f=é", "https%3A%2F%2Fapp:a%3Ab%25c%20d%2Be%2Ff%3D%C3%A9"),
            ("a\r\nb", "\0", "a%0D%0Ab:%00"),
        ] {
            let request = request(client_id, ClientAuth::ClientSecretBasic(secret.into()));
            assert_eq!(credentials(&request), expected);
            assert_eq!(body(&request), pairs(&[("a", "b")]), "nothing of it in the body");
        }
    }

    #[test]
    fn unencoded_basic_credentials_go_as_they_are() {
        let auth = ClientAuth::ClientSecretBasicUnencoded("a:b%c d+e".into());
        let request = request("client", auth);
        assert_eq!(credentials(&request), "client:a:b%c d+e");
        assert_eq!(body(&request), pairs(&[("a", "b")]));
    }

    #[test]
    fn posted_credentials_are_in_the_body_and_in_no_header() {
        let request = request("client", ClientAuth::ClientSecretPost("a&b=c d%".into()));
        let expected = [("a", "b"), ("client_id", "client"), ("client_secret", "a&b=c d%")];
        assert_eq!(body(&request), pairs(&expected));
        assert_eq!(header(&request, "authorization"), None);
    }

    #[test]
    fn the_request_is_a_bounded_form_post_without_a_secret_in_sight() {
        for auth in [ClientAuth::ClientSecretBasic, ClientAuth::ClientSecretPost] {
            let request = request("client", auth("s3cret".into()));
            assert_eq!(request.verb, Verb::Post);
            assert_eq!(request.url, "https://id.example/token");
            assert_eq!((request.max_bytes, request.timeout), (1, Duration::from_secs(2)));
            let content_type = header(&request, "content-type");
            assert_eq!(content_type, Some("application/x-www-form-urlencoded"));
            assert_eq!(header(&request, "accept"), Some("application/json"));
            assert!(!format!("{request:?}").contains("s3cret"));
            assert!(!format!("{request:?}").contains("Basic"));
        }
    }
}
