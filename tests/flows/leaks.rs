//! Every test ends with a search of what left; here the search itself is put to the test, and
//! what is stored is searched as well.

use crate::support::*;

#[test]
fn the_search_finds_what_it_is_for() {
    let world = World::new();
    let browser = world.browser();
    browser.logs_in();
    let token = browser.token().unwrap();
    let id_token = world.provider.id_tokens.borrow()[0].clone();
    assert_eq!(world.leaks(), Vec::<String>::new());
    for (what, text) in [
        ("body", format!("{{\"token\":\"{token}\"}}")),
        ("location", format!("/?x={}", encode(CLIENT_SECRET))),
        ("location", format!("https://id.example.com/?id_token_hint={id_token}")),
        ("x-debug", browser.session_cookie().unwrap()),
    ] {
        let before = world.leaks().len();
        world.leaves(what, &text);
        assert!(world.leaks().len() > before, "{what}");
    }
    world.forgets_what_left();
}

#[test]
fn a_run_knows_the_secrets_that_matter() {
    let world = World::new();
    let browser = world.browser();
    browser.logs_in();
    world.passes(std::time::Duration::from_secs(301));
    browser.token().unwrap();
    let secrets = world.provider.secrets.borrow();
    for kind in ["access-", "refresh-", "code-"] {
        assert!(secrets.iter().any(|secret| secret.starts_with(kind)), "{kind}");
    }
    // The code verifier: 43 characters that the token request alone has carried.
    assert!(secrets.iter().any(|secret| secret.len() == 43 && !secret.contains("access")));
}

#[test]
fn a_dump_of_what_is_stored_shows_no_token_and_no_claim() {
    let world = World::new();
    let browser = world.browser();
    browser.logs_in();
    let authorized = browser.authorizes("/auth/login");
    let dump: Vec<u8> = world.objects.dump().concat();
    let text = String::from_utf8_lossy(&dump);
    for secret in world.provider.secrets.borrow().iter() {
        assert!(!text.contains(secret.as_str()), "{secret}");
    }
    for claim in ["alice", "Alice", "provider-session", &authorized.state] {
        assert!(!text.contains(claim), "{claim}");
    }
    let id = browser.session_cookie().unwrap();
    assert!(!text.contains(&id[..40]));
}

over_kv!(
    the_search_finds_what_it_is_for,
    a_run_knows_the_secrets_that_matter,
    a_dump_of_what_is_stored_shows_no_token_and_no_claim,
);
