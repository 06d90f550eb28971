use super::*;
use crate::{
    base64url,
    http::testing::{APP, NOW, config},
    secret::Secret,
};

fn secret() -> String {
    base64url::encode([7; 32])
}

fn config_with_secret() -> Config {
    Config { admin_secret: Some(Secret::new(secret())), ..config() }
}

/// What a gate says to a client's requests.
struct Asked {
    config: Config,
    gate: AdminGate,
    now: Timestamp,
}

impl Asked {
    fn new() -> Self {
        Self { config: config_with_secret(), gate: AdminGate::default(), now: NOW }
    }

    fn by(&mut self, client: &str, authorization: &str) -> Admission {
        let text = format!(
            "POST\n{APP}/auth/admin/end-sessions\ncf-connecting-ip: {client}\n\
             authorization: {authorization}\n"
        );
        let head = RequestHead::parse(&text).unwrap();
        self.gate.admit(&self.config, &head, self.now)
    }

    fn admin(&mut self, client: &str) -> Admission {
        self.by(client, &format!("Bearer {}", secret()))
    }

    fn fails(&mut self, client: &str) -> bool {
        match self.by(client, "Bearer wrong") {
            Admission::Refused { is_news } => is_news,
            other => panic!("{other:?}"),
        }
    }
}

const REFUSED: Admission = Admission::Refused { is_news: false };

#[test]
fn the_secret_opens_and_nothing_else_does() {
    let secret = secret();
    let mut asked = Asked::new();
    assert_eq!(asked.admin("admin"), Admission::Granted);
    for (n, wrong) in [
        String::new(),
        "Bearer".to_owned(),
        "Bearer ".to_owned(),
        secret.clone(),
        format!("Basic {secret}"),
        format!("Bearer {}", &secret[1..]),
        format!("Bearer {secret}x"),
        format!("Bearer  {secret}"),
        format!("Bearer {}", secret.to_uppercase()),
    ]
    .into_iter()
    .enumerate()
    {
        let admission = asked.by(&n.to_string(), &wrong);
        assert!(matches!(admission, Admission::Refused { .. }), "{wrong}: {admission:?}");
    }
}

#[test]
fn without_a_secret_there_is_no_administrator() {
    let mut asked = Asked::new();
    asked.config.admin_secret = None;
    for authorization in ["Bearer ", &format!("Bearer {}", secret()), ""] {
        let admission = asked.by("client", authorization);
        assert!(matches!(admission, Admission::Refused { .. }), "{authorization}");
    }
}

#[test]
fn a_client_that_has_failed_ten_times_is_not_looked_at_for_the_rest_of_the_minute() {
    let mut asked = Asked::new();
    for _ in 0..10 {
        asked.fails("noisy");
    }
    assert_eq!(asked.admin("noisy"), REFUSED);
    asked.now = asked.now.after(std::time::Duration::from_secs(60));
    assert_eq!(asked.admin("noisy"), Admission::Granted);
    for _ in 0..9 {
        asked.fails("noisy");
    }
    assert_eq!(asked.admin("noisy"), Admission::Granted);
}

#[test]
fn nobodys_failures_lock_an_administrator_out() {
    let mut asked = Asked::new();
    for client in 0..1_000 {
        for _ in 0..11 {
            asked.fails(&client.to_string());
        }
    }
    assert_eq!(asked.admin("admin"), Admission::Granted);
    // From one of those that are counted, and beyond them.
    assert_eq!(asked.admin("7"), REFUSED);
    assert!(asked.gate.failed.len() <= MAX_CLIENTS);
}

#[test]
fn one_failure_a_minute_is_news() {
    let mut asked = Asked::new();
    assert!(asked.fails("one"));
    assert!(!asked.fails("one"));
    assert!(!asked.fails("two"));
    asked.now = asked.now.after(std::time::Duration::from_secs(60));
    assert!(asked.fails("two"));
}

#[test]
fn administrators_are_served_sixty_times_a_minute_together() {
    let mut asked = Asked::new();
    for n in 0..60 {
        assert_eq!(asked.admin(&n.to_string()), Admission::Granted, "{n}");
    }
    assert_eq!(asked.admin("another"), Admission::TooMany);
    asked.now = asked.now.after(std::time::Duration::from_secs(60));
    assert_eq!(asked.admin("another"), Admission::Granted);
}
