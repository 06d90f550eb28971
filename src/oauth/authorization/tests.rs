use super::*;
use crate::oauth::{
    pkce::CodeVerifier,
    testing::{metadata, pairs, provider, query},
};

const ISSUER: &str = "https://id.example/";
const ENDPOINT: &str = "https://id.example/authorize";
const REDIRECT: &str = "https://app.example/auth/callback";

fn url(
    endpoint: &str,
    provider: &ProviderConfig,
    resources: &[&str],
    extra: &[(&str, &str)],
) -> String {
    let resources = resources.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>();
    AuthorizationRequest {
        provider,
        metadata: &metadata(endpoint),
        redirect_uri: REDIRECT,
        state: &Secret::from("the-state"),
        nonce: &Secret::from("the-nonce"),
        challenge: &CodeVerifier::from_bytes([1; 32]).challenge(),
        resources: &resources,
        extra: &pairs(extra),
    }
    .url()
}

fn plain() -> Vec<(String, String)> {
    let challenge = CodeVerifier::from_bytes([1; 32]).challenge();
    pairs(&[
        ("response_type", "code"),
        ("client_id", "the-client"),
        ("redirect_uri", REDIRECT),
        ("scope", "openid offline_access"),
        ("state", "the-state"),
        ("nonce", "the-nonce"),
        ("code_challenge", challenge.as_str()),
        ("code_challenge_method", "S256"),
    ])
}

fn plain_and(more: &[(&str, &str)]) -> Vec<(String, String)> {
    [plain(), pairs(more)].concat()
}

#[test]
fn the_request_is_code_with_s256_state_and_nonce_and_nothing_else() {
    let url = url(ENDPOINT, &provider(), &[], &[]);
    assert!(url.starts_with("https://id.example/authorize?response_type=code&"));
    assert_eq!(query(&url), plain());
}

#[test]
fn the_endpoints_own_query_is_kept_and_can_not_speak_for_us() {
    let with_policy = url("https://id.example/authorize?p=b2c%5F1", &provider(), &[], &[]);
    assert!(with_policy.starts_with("https://id.example/authorize?p=b2c%5F1&response_type=code&"));
    let hostile = "https://id.example/authorize?client_id=evil&p=1&redirect_uri=https://evil";
    let found = query(&url(hostile, &provider(), &[], &[]));
    assert_eq!(found, [pairs(&[("p", "1")]), plain()].concat());
}

#[test]
fn every_resource_is_named() {
    // RFC 8707 §2.1.
    let found = query(&url(ENDPOINT, &provider(), &["https://a", "https://b/?x=1&y"], &[]));
    let expected = [("resource", "https://a"), ("resource", "https://b/?x=1&y")];
    assert_eq!(found, plain_and(&expected));
}

#[test]
fn form_post_is_asked_for_where_it_is_configured() {
    let provider = ProviderConfig { response_mode: ResponseMode::FormPost, ..provider() };
    let found = query(&url(ENDPOINT, &provider, &[], &[]));
    assert_eq!(found, plain_and(&[("response_mode", "form_post")]));
}

#[test]
fn the_logins_parameters_come_along_but_override_nothing() {
    let allowed = [
        ("max_age", "0"),
        ("acr_values", "urn:a urn:b"),
        ("prompt", "login"),
        ("login_hint", "ada@example.com&client_id=evil"),
        ("ui_locales", "de en"),
    ];
    assert_eq!(query(&url(ENDPOINT, &provider(), &[], &allowed)), plain_and(&allowed));
    for name in OURS {
        let found = query(&url(ENDPOINT, &provider(), &[], &[(name, "evil")]));
        assert_eq!(found, plain(), "{name}");
    }
    let twice = [("prompt", "none"), ("prompt", "login")];
    assert_eq!(query(&url(ENDPOINT, &provider(), &[], &twice)), plain_and(&twice[..1]));
}

#[test]
fn the_operators_parameters_go_before_the_logins() {
    let mut provider = provider();
    provider.authorization_params.push(("acr_values".to_owned(), "urn:mfa".to_owned()));
    provider.authorization_params.push(("state".to_owned(), "mine".to_owned()));
    let extra = [("acr_values", "urn:pwd"), ("prompt", "login")];
    let expected = [("acr_values", "urn:mfa"), ("prompt", "login")];
    assert_eq!(query(&url(ENDPOINT, &provider, &[], &extra)), plain_and(&expected));
}

fn check(form: &str, iss_required: bool) -> Result<String, AuthorizationError> {
    AuthorizationParams::parse(form)?
        .check(ISSUER, iss_required, &Secret::from("the-state"))
        .map(|code| code.into_secret().expose().clone())
}

#[test]
fn a_right_response_gives_its_code() {
    for (form, iss_required) in [
        ("code=c%2F1&state=the-state", false),
        ("state=the-state&code=c%2F1&iss=https%3A%2F%2Fid.example%2F", true),
        ("code=c/1&state=the-state&iss=https://id.example/&session_state=x&scope=openid", false),
    ] {
        assert_eq!(check(form, iss_required).as_deref(), Ok("c/1"), "{form}");
    }
}

#[test]
fn the_state_can_be_read_to_find_the_login_by() {
    let state = |form| AuthorizationParams::parse(form).unwrap().state().map(str::to_owned);
    assert_eq!(state("state=a%20b&error=x").as_deref(), Some("a b"));
    assert_eq!(state("code=1"), None);
}

#[test]
fn an_issuer_that_is_not_ours_byte_for_byte_is_refused() {
    // RFC 9207 §2.4; the mix-up of RFC 9700 §4.4.
    for iss in [
        "",
        "https://id.example",
        "https://id.example//",
        "https://ID.example/",
        "HTTPS://id.example/",
        "https://id.example:443/",
        "https://id.example/%2F",
        "https%253A%252F%252Fid.example%252F",
        "https://id.example/+",
        "https://other.example/",
    ] {
        for required in [true, false] {
            let form = format!("code=c&state=the-state&iss={iss}");
            assert_eq!(check(&form, required), Err(AuthorizationError::IssuerMismatch), "{iss}");
        }
    }
}

#[test]
fn an_issuer_that_is_announced_and_missing_is_refused() {
    assert_eq!(check("code=c&state=the-state", true), Err(AuthorizationError::IssuerMissing));
    let error = check("error=access_denied&state=the-state", true);
    assert_eq!(error, Err(AuthorizationError::IssuerMissing));
}

#[test]
fn a_callback_of_another_login_is_refused() {
    for state in ["", "THE-STATE", "the-stat", "the-state2", "the-state%00", "%20the-state"] {
        let form = format!("code=c&state={state}");
        assert_eq!(check(&form, false), Err(AuthorizationError::StateMismatch), "{state}");
    }
    assert_eq!(check("code=c", false), Err(AuthorizationError::StateMissing));
    let params = AuthorizationParams::parse("code=c&state=").unwrap();
    let result = params.check(ISSUER, false, &Secret::from(""));
    assert_eq!(result.unwrap_err(), AuthorizationError::StateMismatch, "nothing equals nothing");
}

#[test]
fn the_order_is_issuer_then_state_then_error() {
    let all_wrong = "iss=https://evil/&state=x&error=access_denied&code=c";
    assert_eq!(check(all_wrong, true), Err(AuthorizationError::IssuerMismatch));
    let state_wrong = "iss=https://id.example/&state=x&error=access_denied&code=c";
    assert_eq!(check(state_wrong, true), Err(AuthorizationError::StateMismatch));
    let error = AuthorizationErrorCode::AccessDenied;
    let both = "iss=https://id.example/&state=the-state&error=access_denied&code=c";
    assert_eq!(check(both, true), Err(AuthorizationError::Provider { error }));
}

#[test]
fn an_error_of_the_provider_is_named_and_its_text_is_not_repeated() {
    // oidcc-client-test-form-post-error is login_required.
    for code in AuthorizationErrorCode::KNOWN {
        let form = format!("error={}&error_description=<b>&state=the-state", code.as_str());
        let result = check(&form, false).unwrap_err();
        assert_eq!(result, AuthorizationError::Provider { error: code });
        assert!(!result.to_string().contains("<b>"));
    }
    for unknown in ["", "other", "Access_Denied", "<script>", "access_denied%20"] {
        let form = format!("error={unknown}&state=the-state");
        let error = AuthorizationErrorCode::Other;
        assert_eq!(check(&form, false), Err(AuthorizationError::Provider { error }));
    }
}

#[test]
fn a_parameter_that_comes_twice_is_refused() {
    for name in [
        "state",
        "code",
        "iss",
        "error",
        "error_description",
        "error_uri",
        "session_state",
        "id_token",
        "whatever",
        "",
    ] {
        for (first, second) in [("1", "2"), ("1", "1"), ("", "")] {
            let form = format!("{name}={first}&other=1&{name}={second}");
            let result = AuthorizationParams::parse(&form).unwrap_err();
            assert_eq!(result, AuthorizationError::Duplicate, "{form}");
        }
    }
    let disguised = AuthorizationParams::parse("state=1&st%61te=2").unwrap_err();
    assert_eq!(disguised, AuthorizationError::Duplicate);
}

#[test]
fn a_code_that_no_provider_gives_is_refused() {
    let missing = ["state=the-state", "state=the-state&id_token=a.b.c&access_token=x"];
    for form in missing {
        assert_eq!(check(form, false), Err(AuthorizationError::CodeMissing), "{form}");
    }
    let long = "c".repeat(MAX_CODE + 1);
    for code in ["", "a%00", "a%0D%0Ab", "%C3%A9", "%7F", &long] {
        let form = format!("code={code}&state=the-state");
        let result = check(&form, false);
        assert_eq!(result, Err(AuthorizationError::CodeMalformed), "{code:.20}");
    }
}

#[test]
fn a_response_that_does_not_decode_or_end_is_refused() {
    for form in ["state=%zz", "code=%", "iss=%ff", "%c0%ae=1"] {
        let result = AuthorizationParams::parse(form).unwrap_err();
        assert_eq!(result, AuthorizationError::Encoding, "{form}");
    }
    let long = format!("code={}", "c".repeat(MAX_RESPONSE));
    assert_eq!(AuthorizationParams::parse(&long).unwrap_err(), AuthorizationError::TooLarge);
}

#[test]
fn neither_code_nor_state_shows_in_debug() {
    let params = AuthorizationParams::parse("code=s3cret&state=s3cret").unwrap();
    assert!(!format!("{params:?}").contains("s3cret"));
}
