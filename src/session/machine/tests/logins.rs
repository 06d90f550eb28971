//! A login is exchanged once, and ends in one truth for everyone who brings it.

use super::*;

pub(super) fn new_session() -> NewSession {
    NewSession {
        response: response("1", Some(300), true),
        identity: identity("staff"),
        issued_at: T0,
    }
}

fn failure(reply: &Reply) -> Option<LoginFailure> {
    match reply {
        Reply::LoginFailed(failure) => Some(*failure),
        _ => None,
    }
}

#[test]
fn parallel_callbacks_and_a_reload_end_in_one_exchange_and_one_session() {
    let mut world = World::new();
    let callers: Vec<_> =
        (0..20).map(|_| world.ask(Command::Login(Box::new(login("code"))))).collect();
    assert_eq!(world.works.len(), 1);
    assert!(callers.iter().all(|caller| world.is_waiting(*caller)));
    world.login_done(Ok(new_session()));
    let late = world.ask(Command::Login(Box::new(login("code"))));
    for caller in callers.into_iter().chain([late]) {
        match world.reply(caller) {
            Reply::LoggedIn { absolute_deadline } => {
                assert_eq!(absolute_deadline, T0.after(secs(86_400)));
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(world.works.len(), 1);
}

#[test]
fn a_login_writes_three_rows() {
    let world = World::logged_in(Some(300), true);
    assert_eq!((world.puts, world.rows), (2, 3));
    let mut short = World::new();
    short.machine.config.session.idle = secs(60);
    short.log_in(Some(300), true);
    assert_eq!((short.puts, short.rows), (2, 3));
    assert!(short.alarm.unwrap() <= T0.after(secs(60)));
}

#[test]
fn the_marker_is_written_before_the_code_leaves() {
    let mut world = World::new();
    let _ = world.ask(Command::Login(Box::new(login("code"))));
    assert_eq!(world.puts, 1);
    assert!(matches!(Row::decode(world.row.as_deref().unwrap()), Row::Exchanging(_)));
}

#[test]
fn another_code_for_the_same_transaction_is_refused_in_every_state() {
    let mut world = World::new();
    let first = world.ask(Command::Login(Box::new(login("code"))));
    let other = world.ask(Command::Login(Box::new(login("other"))));
    assert_eq!(failure(&world.reply(other)), Some(LoginFailure::AlreadyUsed));
    world.login_done(Ok(new_session()));
    assert!(matches!(world.reply(first), Reply::LoggedIn { .. }));
    let other = world.ask(Command::Login(Box::new(login("other"))));
    assert_eq!(failure(&world.reply(other)), Some(LoginFailure::AlreadyUsed));
    world.restart();
    let other = world.ask(Command::Login(Box::new(login("other"))));
    assert_eq!(failure(&world.reply(other)), Some(LoginFailure::AlreadyUsed));
    let same = world.ask(Command::Login(Box::new(login("code"))));
    assert!(matches!(world.reply(same), Reply::LoggedIn { .. }));
}

#[test]
fn a_restart_in_the_middle_of_an_exchange_spends_the_code() {
    let mut world = World::new();
    let _ = world.ask(Command::Login(Box::new(login("code"))));
    world.restart();
    let same = world.ask(Command::Login(Box::new(login("code"))));
    assert_eq!(failure(&world.reply(same)), Some(LoginFailure::CodeRefused));
    let other = world.ask(Command::Login(Box::new(login("other"))));
    assert_eq!(failure(&world.reply(other)), Some(LoginFailure::AlreadyUsed));
    assert!(world.works.is_empty());
    world.wait(Transaction::LIFETIME);
    assert!(world.ring());
    assert!(world.row.is_none());
}

#[test]
fn a_definite_failure_is_the_same_for_everyone_also_later() {
    for definite in [
        LoginFailure::CodeRefused,
        LoginFailure::IdentityRefused,
        LoginFailure::ProviderRefusesClient,
    ] {
        let mut world = World::new();
        let one = world.ask(Command::Login(Box::new(login("code"))));
        let two = world.ask(Command::Login(Box::new(login("code"))));
        world.login_done(Err(definite));
        world.restart();
        let three = world.ask(Command::Login(Box::new(login("code"))));
        for caller in [one, two, three] {
            assert_eq!(failure(&world.reply(caller)), Some(definite));
        }
        assert!(world.works.is_empty(), "exchanged twice");
        world.wait(Transaction::LIFETIME);
        world.ring();
        assert!(world.row.is_none());
    }
}

#[test]
fn a_code_whose_answer_did_not_come_is_never_sent_again() {
    let mut world = World::new();
    let caller = world.ask(Command::Login(Box::new(login("code"))));
    assert!(matches!(world.works.pop(), Some(Work::Login(_))));
    let joined = world.ask(Command::Login(Box::new(login("code"))));
    world.login_done(Err(LoginFailure::ProviderUnavailable));
    let later = world.ask(Command::Login(Box::new(login("code"))));
    for caller in [caller, joined, later] {
        let reply = world.reply(caller);
        assert_eq!(failure(&reply), Some(LoginFailure::ProviderUnavailable));
    }
    assert!(world.works.is_empty());
}

#[test]
fn an_expired_transaction_starts_nothing() {
    let mut world = World::new();
    world.wait(Transaction::LIFETIME);
    let caller = world.ask(Command::Login(Box::new(login("code"))));
    assert_eq!(failure(&world.reply(caller)), Some(LoginFailure::Expired));
    assert!(world.works.is_empty() && world.row.is_none());
}

// Promise 4: logged out, also in a race with a callback.
#[test]
fn an_end_during_a_login_wins_and_what_comes_is_revoked() {
    let mut world = World::new();
    let caller = world.ask(Command::Login(Box::new(login("code"))));
    let end = world.end(EndReason::Logout, true);
    assert_eq!(failure(&world.reply(caller)), Some(LoginFailure::AlreadyUsed));
    assert!(!world.ended(end).ended);
    world.works.clear();
    world.login_done(Ok(new_session()));
    assert_eq!(world.revoked(), "refresh-1");
    assert!(!world.is_alive());
    assert!(world.events.iter().all(|event| !matches!(event, Event::SessionStarted { .. })));
}

#[test]
fn a_late_create_after_an_end_is_impossible() {
    let mut world = World::new();
    let end = world.end(EndReason::Replaced, false);
    assert!(!world.ended(end).ended);
    for _ in 0..2 {
        world.wait(secs(299));
        world.ring();
        world.restart();
        let caller = world.ask(Command::Login(Box::new(login("code"))));
        assert_eq!(failure(&world.reply(caller)), Some(LoginFailure::AlreadyUsed));
    }
    world.wait(secs(2));
    assert!(world.ring());
    assert!(world.row.is_none());
    let caller = world.ask(Command::Login(Box::new(login("code"))));
    assert_eq!(failure(&world.reply(caller)), Some(LoginFailure::Expired));
}

#[test]
fn an_exchange_that_outlives_its_transaction_comes_to_nothing() {
    let mut world = World::new();
    let caller = world.ask(Command::Login(Box::new(login("code"))));
    world.wait(Transaction::LIFETIME);
    assert!(world.ring());
    assert_eq!(failure(&world.reply(caller)), Some(LoginFailure::Expired));
    world.works.clear();
    world.login_done(Ok(new_session()));
    assert_eq!(world.revoked(), "refresh-1");
    assert!(world.row.is_none());
}

// Auth.js CVE-2026-73419: another provider's identity.
#[test]
fn an_identity_of_another_issuer_makes_no_session() {
    let mut world = World::new();
    let caller = world.ask(Command::Login(Box::new(login("code"))));
    let identity = Identity { issuer: "https://evil.example".to_owned(), ..identity("staff") };
    world.login_done(Ok(NewSession {
        response: response("1", None, true),
        identity,
        issued_at: T0,
    }));
    assert_eq!(failure(&world.reply(caller)), Some(LoginFailure::IdentityRefused));
    assert!(!world.is_alive());
}
