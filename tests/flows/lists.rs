//! The lists of sessions, by `sub` and by `sid`, as a login and a logout leave them.

use crate::support::*;

#[test]
fn a_session_is_listed_by_both_its_names_and_unlisted_at_its_end() {
    let world = World::new();
    let browser = world.browser();
    browser.logs_in();
    assert_eq!((world.subjects.stored(), world.subjects.puts()), (2, 2));
    assert_eq!(browser.fetch("POST", "/auth/logout").status, 200);
    world.settle();
    assert_eq!(world.subjects.stored(), 0);
}

#[test]
fn a_dump_of_the_lists_names_nobody() {
    let world = World::new();
    world.browser().logs_in();
    let dump = world.subjects.dump();
    assert_eq!(dump.len(), 2);
    for row in dump {
        let text = String::from_utf8_lossy(&row).into_owned();
        for word in [ISSUER, "alice", "provider-session", "unknown"] {
            assert!(!text.contains(word), "{word} in {text}");
        }
    }
}

#[test]
fn a_list_that_cannot_be_read_refuses_no_login_and_is_reported() {
    let world = World::new();
    world.browser().logs_in();
    world.subjects.overwrites(|_row| vec![1, b'{']);
    let browser = world.browser();
    browser.logs_in();
    assert!(browser.is_logged_in());
    assert_eq!(world.audited("index_damaged"), 2);
}
