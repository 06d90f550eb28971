use serde_json::json;

use super::*;
use crate::{
    config::SigningAlg,
    oauth::testing::{provider, response},
};

fn document(members: Value) -> String {
    let mut all = json!({
        "issuer": "https://id.example/",
        "authorization_endpoint": "https://id.example/authorize",
        "token_endpoint": "https://id.example/token",
        "jwks_uri": "https://id.example/jwks",
    });
    all.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    all.to_string()
}

fn parse(members: Value) -> Result<Metadata, MetadataError> {
    Metadata::parse(&provider(), response(200, &document(members)))
}

#[test]
fn the_document_is_asked_for_below_the_issuer() {
    for (issuer, expected) in [
        ("https://id.example/", "https://id.example/.well-known/openid-configuration"),
        ("https://id.example", "https://id.example/.well-known/openid-configuration"),
        ("https://id.example/t/1", "https://id.example/t/1/.well-known/openid-configuration"),
        ("https://id.example/t/1/", "https://id.example/t/1/.well-known/openid-configuration"),
    ] {
        let request =
            Metadata::request(&ProviderConfig { issuer: issuer.to_owned(), ..provider() });
        assert_eq!((request.url.as_str(), request.verb), (expected, Verb::Get));
        assert_eq!((request.max_bytes, request.timeout), (MAX_BYTES, TIMEOUT));
        assert!(request.body.is_none());
    }
}

#[test]
fn a_short_document_will_do() {
    let metadata = parse(json!({})).unwrap();
    assert_eq!(metadata.issuer, "https://id.example/");
    assert_eq!(metadata.authorization_endpoint, "https://id.example/authorize");
    assert_eq!(metadata.token_endpoint, "https://id.example/token");
    assert_eq!(metadata.jwks_uri, "https://id.example/jwks");
    assert_eq!(metadata.userinfo_endpoint, None);
    assert_eq!(metadata.revocation_endpoint, None);
    assert_eq!(metadata.end_session_endpoint, None);
    assert!(!metadata.authorization_response_iss_parameter_supported);
}

#[test]
fn a_full_document_is_read_and_survives_a_command() {
    let metadata = parse(json!({
        "userinfo_endpoint": "https://graph.example/userinfo",
        "revocation_endpoint": "https://id.example/revoke",
        "end_session_endpoint": "https://id.example/logout?tenant=1",
        "authorization_response_iss_parameter_supported": true,
        "code_challenge_methods_supported": ["plain", "S256"],
        "id_token_signing_alg_values_supported": ["ES256", "RS256"],
        "response_types_supported": ["id_token"],
        "grant_types_supported": [],
        "token_endpoint_auth_methods_supported": ["private_key_jwt"],
        "mtls_endpoint_aliases": { "token_endpoint": "https://mtls.id.example/token" },
        "whatever": [null],
    }))
    .unwrap();
    assert_eq!(metadata.userinfo_endpoint.as_deref(), Some("https://graph.example/userinfo"));
    assert_eq!(metadata.revocation_endpoint.as_deref(), Some("https://id.example/revoke"));
    let end_session = metadata.end_session_endpoint.as_deref();
    assert_eq!(end_session, Some("https://id.example/logout?tenant=1"));
    assert!(metadata.authorization_response_iss_parameter_supported);
    let sent = serde_json::to_string(&metadata).unwrap();
    let read = serde_json::from_str::<Metadata>(&sent).unwrap();
    assert_eq!(format!("{read:?}"), format!("{metadata:?}"));
}

#[test]
fn a_document_of_another_issuer_is_refused() {
    // oidcc-client-test-discovery-issuer-mismatch.
    for issuer in [
        json!("https://id.example"),
        json!("https://id.example//"),
        json!("https://ID.example/"),
        json!("https://id.example:443/"),
        json!("https://other.example/"),
        json!("https://id.example/{tenantid}/"),
        json!(["https://id.example/"]),
        json!(null),
        json!(1),
    ] {
        let result = parse(json!({ "issuer": issuer })).unwrap_err();
        assert_eq!(result, MetadataError::IssuerMismatch, "{issuer}");
    }
}

#[test]
fn an_endpoint_that_may_not_be_called_is_refused() {
    // CVE-2025-6514.
    for url in [
        json!("http://id.example/x"),
        json!("http://localhost/x"),
        json!("javascript:alert(1)"),
        json!("data:text/html,x"),
        json!("file:///etc/passwd"),
        json!("ftp://id.example/x"),
        json!("//id.example/x"),
        json!("/x"),
        json!("id.example/x"),
        json!(""),
        json!("https://"),
        json!("https://user@id.example/x"),
        json!("https://user:pw@id.example/x"),
        json!("https://:pw@id.example/x"),
        json!("https://id.example/x#frag"),
        json!("https://id.example/x#"),
        json!("https://id.example:99999/x"),
        json!("https://exa mple/x"),
        json!(1),
        json!(["https://id.example/x"]),
    ] {
        for name in [
            "authorization_endpoint",
            "token_endpoint",
            "jwks_uri",
            "userinfo_endpoint",
            "revocation_endpoint",
            "end_session_endpoint",
        ] {
            let result = parse(json!({ name: url })).unwrap_err();
            assert_eq!(result, MetadataError::EndpointForbidden(name), "{url}");
        }
    }
}

#[test]
fn an_endpoint_is_kept_as_it_was_checked() {
    for (text, canonical) in [
        (" https://id.example/x\n", "https://id.example/x"),
        ("HTTPS://ID.example:443/x", "https://id.example/x"),
        ("https:\\\\id.example\\x", "https://id.example/x"),
        ("https://id.example/a/../x", "https://id.example/x"),
        ("https://id.example", "https://id.example/"),
    ] {
        let metadata = parse(json!({ "token_endpoint": text })).unwrap();
        assert_eq!(metadata.token_endpoint, canonical);
    }
}

#[test]
fn an_endpoint_that_we_need_has_to_be_there() {
    for name in ["authorization_endpoint", "token_endpoint", "jwks_uri"] {
        let result = parse(json!({ name: null })).unwrap_err();
        assert_eq!(result, MetadataError::EndpointMissing(name));
    }
    assert!(parse(json!({ "userinfo_endpoint": null })).is_ok());
}

#[test]
fn http_is_for_loopback_and_for_who_allowed_it() {
    let parse = |url: &str, allow_http: bool| {
        let provider = ProviderConfig { allow_http, ..provider() };
        let document = document(json!({ "token_endpoint": url }));
        Metadata::parse(&provider, response(200, &document)).is_ok()
    };
    for host in ["localhost:9000", "127.0.0.1:9000", "[::1]:9000"] {
        assert!(parse(&format!("http://{host}/token"), true), "{host}");
        assert!(!parse(&format!("http://{host}/token"), false), "{host}");
    }
    for host in [
        "id.example",
        "localhost.evil.example",
        "evil-localhost",
        "10.0.0.1",
        "169.254.169.254",
        "[::2]",
        "0.0.0.0",
        "[::ffff:10.0.0.1]",
        "localhost@evil.example",
    ] {
        assert!(!parse(&format!("http://{host}/token"), true), "{host}");
    }
}

#[test]
fn capabilities_that_are_listed_must_have_ours() {
    for listed in [json!([]), json!(["plain"]), json!(["s256"]), json!("S256"), json!(1)] {
        let result = parse(json!({ "code_challenge_methods_supported": listed })).unwrap_err();
        assert_eq!(result, MetadataError::NoS256, "{listed}");
    }
    for listed in [json!([]), json!(["ES256", "none"]), json!(["rs256"]), json!("RS256")] {
        let result = parse(json!({ "id_token_signing_alg_values_supported": listed }));
        assert_eq!(result.unwrap_err(), MetadataError::SigningAlg, "{listed}");
    }
    let provider = ProviderConfig { id_token_alg: SigningAlg::EdDSA, ..provider() };
    let document = document(json!({ "id_token_signing_alg_values_supported": ["EdDSA"] }));
    assert!(Metadata::parse(&provider, response(200, &document)).is_ok());
}

#[test]
fn iss_is_announced_by_true_and_by_nothing_else() {
    for announced in [json!("true"), json!(1), json!(false), json!(null), json!([true])] {
        let metadata =
            parse(json!({ "authorization_response_iss_parameter_supported": announced }));
        assert!(!metadata.unwrap().authorization_response_iss_parameter_supported);
    }
}

#[test]
fn only_a_200_with_one_object_is_a_document() {
    for status in [201, 204, 301, 302, 304, 307, 404, 500] {
        let result = Metadata::parse(&provider(), response(status, &document(json!({}))));
        assert_eq!(result.unwrap_err(), MetadataError::Status(status));
    }
    let good = document(json!({}));
    for body in [
        String::new(),
        "<html>".to_owned(),
        "[]".to_owned(),
        format!("[{good}]"),
        good.replacen('{', r#"{"issuer":"https://evil/","#, 1),
        format!("{good}{}", " ".repeat(MAX_BYTES)),
    ] {
        let result = Metadata::parse(&provider(), response(200, &body)).unwrap_err();
        assert_eq!(result, MetadataError::NotAnObject, "{body:.40}");
    }
}
