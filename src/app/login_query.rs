//! The query of `GET login`: what of it goes on to the provider, and in which form.

use url::form_urlencoded;

use crate::{
    config::{Config, Origin},
    http::return_to::ReturnTo,
};

/// Values of `prompt` (OpenID Connect Core 3.1.2.1, Initiating User Registration 1.0).
const PROMPTS: [&str; 5] = ["none", "login", "consent", "select_account", "create"];
/// What is read here, each by rules of its own.
const CHECKED: [&str; 3] = ["return_to", "max_age", "prompt"];
/// What goes on as it is, if it is no longer than [`MAX_VALUE`].
const PASSED_ON: [&str; 3] = ["login_hint", "acr_values", "ui_locales"];
/// The longest value that goes on to the provider, in bytes.
const MAX_VALUE: usize = 512;

/// A checked query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LoginQuery {
    /// Where the login leads back to; `/` for what isn't a path of ours.
    pub(super) return_to: ReturnTo,
    /// `max_age` in seconds, the operator's or the caller's: the ID token's `auth_time` is measured
    /// against it.
    pub(super) max_age: Option<u64>,
    /// `acr_values`, the operator's or the caller's: the ID token's `acr` must be one of them.
    pub(super) acr_values: Option<Vec<String>>,
    /// The caller's parameters of the authorization request, each name once.
    pub(super) extra: Vec<(String, String)>,
}

/// A query that isn't accepted, and for which parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    /// A name of ours; `login_params` stands for those that the configuration lets through.
    pub(super) parameter: &'static str,
}

impl LoginQuery {
    /// An error if a parameter that we know came twice, isn't allowed in this form, or is too long.
    /// Names that nobody knows are left out, as OpenID Connect Core 3.1.2.1 has it, and so are
    /// those that the operator fixed: what is sent is what the ID token is held against, or whoever
    /// edits the URL on its way through the browser logs in without it.
    pub(super) fn parse(query: &str, config: &Config, origin: &Origin) -> Result<Self, Refused> {
        let provider = &config.provider;
        let mut parsed = Self {
            return_to: ReturnTo::root(),
            max_age: provider.fixed_param("max_age").and_then(|seconds| seconds.parse().ok()),
            acr_values: provider.fixed_param("acr_values").map(list),
            extra: Vec::new(),
        };
        let mut seen: Vec<String> = Vec::new();
        for (name, value) in form_urlencoded::parse(query.as_bytes()).into_owned() {
            let allowed = match name.as_str() {
                name if CHECKED.contains(&name) || PASSED_ON.contains(&name) => true,
                name => provider.login_params.iter().any(|allowed| allowed == name),
            };
            if !allowed || provider.fixed_param(&name).is_some() {
                continue;
            }
            let refused = Refused { parameter: own_name(&name) };
            if seen.contains(&name) {
                return Err(refused);
            }
            seen.push(name.clone());
            parsed.take(name, value, config, origin).ok_or(refused)?;
        }
        Ok(parsed)
    }

    fn take(
        &mut self,
        name: String,
        value: String,
        config: &Config,
        origin: &Origin,
    ) -> Option<()> {
        if name == "return_to" {
            // An open redirect must not be made by asking: whatever isn't ours leads to `/`.
            self.return_to =
                ReturnTo::parse(&value, origin, &config.base_path).unwrap_or_else(ReturnTo::root);
            return Some(());
        }
        if value.is_empty() || value.len() > MAX_VALUE || value.chars().any(char::is_control) {
            return None;
        }
        match name.as_str() {
            "max_age" => {
                if value.len() > 9 || !value.bytes().all(|byte| byte.is_ascii_digit()) {
                    return None;
                }
                self.max_age = Some(value.parse().ok()?);
            }
            "acr_values" => self.acr_values = Some(list(&value)),
            "prompt" if !is_prompt(&value) => return None,
            _ => {}
        }
        self.extra.push((name, value));
        Some(())
    }

    /// The login's URL with the caller's parameters, for a page that adds its own `return_to`; none
    /// if there are none.
    pub(super) fn url_to_come_back_from(&self, config: &Config, origin: &Origin) -> Option<String> {
        if self.extra.is_empty() {
            return None;
        }
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(&self.extra);
        Some(format!("{}{}/login?{}", origin.serialized, config.base_path, query.finish()))
    }

    /// The login's own URL again, as a path of ours: only what was checked is in it.
    pub(super) fn url(&self, config: &Config) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("return_to", self.return_to.as_str());
        for (name, value) in &self.extra {
            query.append_pair(name, value);
        }
        format!("{}/login?{}", config.base_path, query.finish())
    }
}

/// Where a login leads back to, asked of a query that isn't accepted otherwise.
pub(super) fn return_to(query: &str, config: &Config, origin: &Origin) -> ReturnTo {
    form_urlencoded::parse(query.as_bytes())
        .find(|(name, _)| name == "return_to")
        .and_then(|(_, value)| ReturnTo::parse(&value, origin, &config.base_path))
        .unwrap_or_else(ReturnTo::root)
}

/// A parameter's name as a constant: nothing of the query gets into the log.
fn own_name(name: &str) -> &'static str {
    let own = CHECKED.iter().chain(&PASSED_ON).find(|own| **own == name);
    own.copied().unwrap_or("login_params")
}

/// `acr_values` as the list that it is.
fn list(values: &str) -> Vec<String> {
    values.split(' ').filter(|value| !value.is_empty()).map(str::to_owned).collect()
}

/// One value or several of the list; `none` stands alone.
fn is_prompt(value: &str) -> bool {
    let mut values = value.split(' ');
    values.clone().all(|value| PROMPTS.contains(&value))
        && (value == "none" || values.all(|value| value != "none"))
}
