//! The person's devices.

use super::*;

#[test]
fn a_device_has_a_random_name_its_beginning_its_last_hour_and_its_kind() {
    let mut world = World::with(2);
    let caller = world.list();
    assert_eq!(world.all_answer(lives()), [probes(0), probes(1)]);
    let devices = world.devices(caller);
    let index = world.stored();
    for (n, device) in (0..).zip(&devices) {
        assert_eq!(device.session, session(n));
        assert_eq!(device.created, T0.after(secs(u64::from(n) + 1)));
        assert_eq!(device.last_seen, Some(T0));
        assert_eq!(device.device.to_string(), "Firefox on Linux");
        assert_eq!(device.handle, index.entries[n as usize].handle);
        assert_eq!(crate::base64url::decode(&device.handle).unwrap().len(), 16);
    }
    assert_ne!(devices[0].handle, devices[1].handle);
}

#[test]
fn a_session_that_is_gone_is_no_device_and_is_taken_off() {
    let mut world = World::with(3);
    let puts = world.puts;
    let caller = world.list();
    world.answer(&probes(0), lives());
    world.answer(&probes(1), SessionWord::Gone);
    assert!(world.is_waiting(caller));
    world.answer(&probes(2), SessionWord::Silent);
    let devices = world.devices(caller);
    let sessions: Vec<_> = devices.iter().map(|device| device.session.clone()).collect();
    assert_eq!(sessions, [session(0), session(2)]);
    assert_eq!(devices[1].last_seen, None, "it didn't answer");
    assert_eq!(world.listed(), [session(0), session(2)]);
    assert_eq!(world.puts - puts, 1);
}

#[test]
fn what_is_ending_is_no_device() {
    let mut world = World::with(3);
    let _ = world.end(Which::Others { session: session(1) });
    world.all_answer(SessionWord::Silent);
    let caller = world.list();
    world.all_answer(lives());
    let devices = world.devices(caller);
    assert_eq!(devices.len(), 1);
    assert_eq!(devices[0].session, session(1));
}

#[test]
fn one_that_ends_while_the_list_is_made_is_no_device() {
    let mut world = World::with(2);
    let list = world.list();
    world.unlists(0);
    world.all_answer(lives());
    assert_eq!(world.devices(list).len(), 1);

    let mut world = World::with(2);
    let list = world.list();
    let end = world.end(Which::Others { session: session(1) });
    world.all_answer(SessionWord::Gone);
    assert_eq!(world.ended(end).0, [session(0)]);
    assert!(world.devices(list).is_empty());
}

#[test]
fn who_asks_at_the_same_time_shares_the_questions() {
    let mut world = World::with(3);
    let callers = [world.list(), world.list()];
    assert_eq!(world.all_answer(lives()).len(), 3);
    for caller in callers {
        assert_eq!(world.devices(caller).len(), 3);
    }
}

#[test]
fn no_more_than_32_wait_for_a_list_and_the_next_is_told_to_come_again() {
    let mut world = World::with(2);
    let callers: Vec<_> = (0..32).map(|_| world.list()).collect();
    let one_too_many = world.list();
    assert!(matches!(world.reply(one_too_many), SubjectReply::Broken));
    world.all_answer(lives());
    for caller in callers {
        assert_eq!(world.devices(caller).len(), 2);
    }
    let later = world.list();
    world.all_answer(lives());
    assert_eq!(world.devices(later).len(), 2);
}

#[test]
fn a_list_of_a_hundred_asks_twenty_at_a_time() {
    let mut world = World::with(100);
    let caller = world.list();
    assert_eq!(world.asked.len(), 20);
    assert_eq!(world.all_answer(lives()).len(), 100);
    assert_eq!(world.devices(caller).len(), 100);
}

#[test]
fn nobody_is_asked_for_a_person_without_sessions() {
    let mut world = World::new();
    let caller = world.list();
    assert!(world.devices(caller).is_empty());
    assert!(world.rows == 0 && world.asked.is_empty());
}

#[test]
fn whoever_does_not_know_the_sub_gets_no_list() {
    let mut world = World::with(1);
    let caller = world.ask(SubjectCommand::List { whose: Whose::subject(ISSUER, "another") });
    assert!(matches!(world.reply(caller), SubjectReply::Unsupported));
    assert!(world.asked.is_empty());
}
