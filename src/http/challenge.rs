//! `WWW-Authenticate` (RFC 9110 §11.6.1), as far as an API asks in it for a better login: OAuth 2.0
//! Step Up Authentication Challenge Protocol (RFC 9470).

/// What an API asks of the login (RFC 9470 §3). Not checked: values as the API wrote them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StepUp {
    /// `acr_values`: authentication context classes, one of which is needed.
    pub acr_values: Option<String>,
    /// `max_age`: how old the person's authentication may be, in seconds.
    pub max_age: Option<String>,
}

impl StepUp {
    /// The first challenge of a token's scheme that asks for a better login, of one or several in
    /// a header's value.
    pub fn find(www_authenticate: &str) -> Option<Self> {
        let mut challenges: Vec<Challenge> = Vec::new();
        for item in Items(www_authenticate) {
            let (scheme, parameter) = split_scheme(item);
            if let Some(scheme) = scheme {
                let is_of_a_token = ["bearer", "dpop"].contains(&scheme.as_str());
                challenges.push(Challenge { is_of_a_token, ..Challenge::default() });
            }
            if let Some(challenge) = challenges.last_mut() {
                challenge.take(parameter);
            }
        }
        let found = challenges.into_iter().find(|challenge| {
            challenge.is_of_a_token && challenge.is_insufficient && !challenge.is_malformed
        });
        found.map(|challenge| challenge.asked)
    }
}

#[derive(Default)]
struct Challenge {
    is_of_a_token: bool,
    is_insufficient: bool,
    /// A parameter stands twice in it (RFC 9110 §11.2: each at most once).
    is_malformed: bool,
    has_error: bool,
    asked: StepUp,
}

impl Challenge {
    fn take(&mut self, parameter: &str) {
        let Some((name, value)) = parameter.split_once('=') else { return };
        let value = unquoted(value.trim());
        match name.trim().to_ascii_lowercase().as_str() {
            "error" => {
                self.is_malformed |= std::mem::replace(&mut self.has_error, true);
                self.is_insufficient = value == "insufficient_user_authentication";
            }
            "acr_values" => self.is_malformed |= self.asked.acr_values.replace(value).is_some(),
            "max_age" => self.is_malformed |= self.asked.max_age.replace(value).is_some(),
            _ => {}
        }
    }
}

/// The items of a list with commas between them, those in quoted strings left alone.
struct Items<'a>(&'a str);

impl<'a> Iterator for Items<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        if self.0.is_empty() {
            return None;
        }
        let (mut quoted, mut escaped) = (false, false);
        let end = self.0.find(|found: char| match found {
            _ if escaped => {
                escaped = false;
                false
            }
            '\\' if quoted => {
                escaped = true;
                false
            }
            '"' => {
                quoted = !quoted;
                false
            }
            _ => found == ',' && !quoted,
        });
        let (item, rest) = match end.and_then(|at| self.0.split_at_checked(at)) {
            Some((item, rest)) => (item, rest.get(1..).unwrap_or_default()),
            None => (self.0, ""),
        };
        self.0 = rest;
        Some(item.trim())
    }
}

/// The scheme that an item begins with, in lower case, if it does, and the parameter in it.
fn split_scheme(item: &str) -> (Option<String>, &str) {
    let end = item.find([' ', '\t', '=']).unwrap_or(item.len());
    let (first, rest) = item.split_at_checked(end).unwrap_or((item, ""));
    // `name = value`: white space is allowed before the sign.
    if first.is_empty() || rest.trim_start().starts_with('=') {
        return (None, item);
    }
    (Some(first.to_ascii_lowercase()), rest.trim_start())
}

/// A quoted string's text, or a token as it is.
fn unquoted(value: &str) -> String {
    let inner = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let Some(inner) = inner else { return value.to_owned() };
    let mut text = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(next) = chars.next() {
        text.extend(if next == '\\' { chars.next() } else { Some(next) });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(header: &str) -> Option<(Option<String>, Option<String>)> {
        StepUp::find(header).map(|found| (found.acr_values, found.max_age))
    }

    #[test]
    fn what_an_api_asks_of_the_login_is_read_from_its_challenge() {
        let some = |acr: &str, age: &str| {
            let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
            Some((given(acr), given(age)))
        };
        const ERROR: &str = "error=\"insufficient_user_authentication\"";
        for (header, expected) in [
            // RFC 9470 §3, figures 2 and 3.
            (
                format!(
                    "Bearer {ERROR}, error_description=\"A different authentication level is \
                     required\", acr_values=\"myACR\""
                ),
                some("myACR", ""),
            ),
            (
                format!(
                    "Bearer {ERROR}, error_description=\"More recent authentication is required\", \
                     max_age=\"5\""
                ),
                some("", "5"),
            ),
            (format!("DPoP {ERROR},acr_values=\"a b\",max_age=5"), some("a b", "5")),
            (format!("bearer  {ERROR} , MAX_AGE = 5"), some("", "5")),
            (format!("Bearer realm=\"a, Bearer x\", {ERROR}"), some("", "")),
            (format!("Bearer {ERROR}, acr_values=\"a\\\"b\\\\\""), some("a\"b\\", "")),
            // One of several, with a token68 before it, the joined lines of two headers.
            (format!("Negotiate YWJj==, Basic realm=\"x\", Bearer {ERROR}"), some("", "")),
            (format!("Bearer, DPoP algs=\"ES256\", {ERROR}, max_age=1"), some("", "1")),
            (format!("Bearer {ERROR}, Basic realm=\"x\", max_age=\"9\""), some("", "")),
            ("Bearer error=insufficient_user_authentication".to_owned(), some("", "")),
            ("Bearer error=\"invalid_token\", acr_values=\"a\"".to_owned(), None),
            (format!("Basic {ERROR}"), None),
            (format!("BearerX {ERROR}"), None),
            (ERROR.to_owned(), None),
            (format!("Bearer realm=\"{}\"", ERROR.replace('"', "\\\"")), None),
            (format!("Bearer {ERROR}, acr_values=a, acr_values=b"), None),
            (format!("Bearer error=x, {ERROR}"), None),
            (format!("Bearer {ERROR}, {ERROR}"), None),
            ("Bearer".to_owned(), None),
            (String::new(), None),
        ] {
            assert_eq!(asked(&header), expected, "{header}");
        }
    }

    /// It comes from an API: whatever stands there is read to its end, and nothing panics.
    #[test]
    fn no_text_is_too_odd_to_be_read() {
        const PIECES: [&str; 12] =
            ["Bearer", " ", ",", "=", "\"", "\\", "error", "é", "\t", "max_age=", "\"a\"", ""];
        for code in 0..PIECES.len().pow(4) {
            let text: String = (0..4_u32)
                .map(|place| PIECES[code / PIECES.len().pow(place) % PIECES.len()])
                .collect();
            assert_eq!(asked(&text), None, "{text:?}");
        }
    }
}
