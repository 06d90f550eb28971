//! An API asks for a better login than the session's (RFC 9470): the page learns where to navigate.
//!
//! What the API wrote goes through the login's own parser first. So only what the login takes comes
//! out, each value bounded and encoded, and what the operator has fixed stays fixed.

use serde_json::Value;
use url::form_urlencoded;

use super::login_query::LoginQuery;
use crate::{
    config::{Config, Origin},
    http::{
        challenge::StepUp,
        message::Answer,
        problem::{ProblemCode, problem_with},
    },
};

/// The answer with the URL. `None` where a login couldn't bring what is asked for: the API names
/// nothing, nothing that the login takes, or what the operator has fixed otherwise.
pub(super) fn answer(config: &Config, origin: &Origin, step_up: &StepUp) -> Option<Answer> {
    let mut asked = form_urlencoded::Serializer::new(String::new());
    for (name, value) in [("acr_values", &step_up.acr_values), ("max_age", &step_up.max_age)] {
        if let Some(value) = value {
            asked.append_pair(name, value);
        }
    }
    let query = LoginQuery::parse(&asked.finish(), config, origin).ok()?;
    let login_url = Value::String(query.url_to_come_back_from(config, origin)?);
    let members = [("login_url".to_owned(), login_url)].into_iter().collect();
    Some(problem_with(ProblemCode::InsufficientUserAuthentication, members))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::testing::{config, https_origin};

    fn url(config: &Config, acr_values: Option<&str>, max_age: Option<&str>) -> Option<String> {
        let own = |text: Option<&str>| text.map(str::to_owned);
        let step_up = StepUp { acr_values: own(acr_values), max_age: own(max_age) };
        let answer = answer(config, &https_origin(), &step_up)?;
        assert_eq!(answer.status, 401);
        let body: Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(body["code"], "insufficient_user_authentication");
        let url = body["login_url"].as_str().unwrap();
        Some(url.strip_prefix("https://app.example.com/auth/login?").unwrap().to_owned())
    }

    #[test]
    fn the_url_asks_for_what_the_api_asks_for() {
        let config = config();
        for (acr, age, expected) in [
            (Some("urn:mfa"), None, Some("acr_values=urn%3Amfa")),
            (None, Some("300"), Some("max_age=300")),
            (Some("a b"), Some("0"), Some("acr_values=a+b&max_age=0")),
            // Nothing of an API's ends the value and begins another parameter.
            (Some("a&prompt=none#x"), None, Some("acr_values=a%26prompt%3Dnone%23x")),
            (None, None, None),
            (Some(""), None, None),
            (Some("a\nb"), None, None),
            (Some("a"), Some("-1"), None),
            (Some("a"), Some("1e3"), None),
            (None, Some("9999999999"), None),
        ] {
            assert_eq!(url(&config, acr, age).as_deref(), expected, "{acr:?} {age:?}");
        }
        assert!(url(&config, Some(&"x".repeat(512)), None).is_some());
        assert_eq!(url(&config, Some(&"x".repeat(513)), None), None);
    }

    #[test]
    fn what_the_operator_fixed_is_not_asked_for_otherwise() {
        let mut config = config();
        let fixed = &mut config.provider.authorization_params;
        fixed.push(("max_age".to_owned(), "60".to_owned()));
        assert_eq!(url(&config, Some("a"), Some("5")).as_deref(), Some("acr_values=a"));
        assert_eq!(url(&config, None, Some("5")), None, "a login would bring nothing new");
    }
}
