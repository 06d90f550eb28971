//! `GET health`.

use crate::support::*;

#[test]
fn health_asks_nobody_unless_it_is_asked_to() {
    let world = World::new();
    let browser = world.browser();
    let shown = browser.fetch("GET", "/auth/health");
    assert_eq!((shown.status, shown.json()["status"].as_str()), (200, Some("ok")));
    assert_eq!(world.provider.calls(Endpoint::Discovery), 0);
    assert_eq!(world.objects.asked.get(), 0);

    assert_eq!(browser.fetch("GET", "/auth/health?deep").status, 200);
    assert_eq!(browser.fetch("GET", "/auth/health?deep").status, 200);
    assert_eq!(world.objects.asked.get(), 2);
    assert_eq!(world.objects.puts(), 0);
}

#[test]
fn a_deep_look_says_what_does_not_answer() {
    let world = World::new();
    let browser = world.browser();
    world.objects.down.set(true);
    world.provider.goes_down();
    let shown = browser.fetch("GET", "/auth/health?deep");
    assert_eq!(shown.status, 503);
    assert_eq!(shown.json()["provider"], "unreachable");
    assert_eq!(shown.json()["store"], "unreachable");
}

#[test]
fn a_deep_look_does_not_take_an_old_answer_for_a_sign_of_life() {
    let world = World::new();
    let browser = world.browser();
    browser.logs_in();
    world.provider.goes_down();
    world.passes(std::time::Duration::from_secs(31));
    for _ in 0..3 {
        let shown = browser.fetch("GET", "/auth/health?deep");
        assert_eq!((shown.status, shown.json()["provider"].as_str()), (503, Some("unreachable")));
    }
    // Not a way to make us hammer the provider.
    assert_eq!(world.provider.calls(Endpoint::Discovery), 2);
}

over_kv!(
    health_asks_nobody_unless_it_is_asked_to,
    a_deep_look_says_what_does_not_answer,
    a_deep_look_does_not_take_an_old_answer_for_a_sign_of_life,
);
