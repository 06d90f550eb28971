//! A hundred sessions a subject: the oldest ends, and no login is refused for it.

use super::*;

fn too_many(n: u32) -> Question {
    Question { session: session(n), close: Some(EndReason::TooMany) }
}

#[test]
fn the_hundred_and_first_session_ends_the_oldest_and_is_never_refused() {
    let mut world = World::with(100);
    assert!(world.asked.is_empty());
    for n in 100..130 {
        world.wait(secs(1));
        world.registers(n);
        assert_eq!(world.asked.last(), Some(&too_many(n - 100)));
        world.all_answer(SessionWord::Gone);
        assert_eq!(world.listed().len(), 100);
    }
}

#[test]
fn the_newest_session_is_never_the_one_that_ends() {
    let mut world = World::with(100);
    // Its ID token is older than all others: a provider's clock that went back.
    let oldest = Registration { issued_at: T0.before(secs(3600)), ..world.registration(100) };
    assert!(matches!(world.register(oldest), SubjectReply::Registered));
    assert_eq!(world.asked, [too_many(0)]);
}

#[test]
fn those_that_are_ending_do_not_count() {
    let mut world = World::with(100);
    let _ = world.end(Which::Before { issued: T0.after(secs(10)) });
    world.all_answer(SessionWord::Silent);
    assert_eq!(world.ending().len(), 10);
    for n in 100..110 {
        world.wait(secs(1));
        world.registers(n);
        assert!(world.asked.is_empty(), "{n}");
    }
    world.wait(secs(1));
    world.registers(110);
    assert_eq!(world.asked, [too_many(10)]);
}

#[test]
fn the_oldest_is_written_down_before_it_is_asked_and_asked_until_it_ends() {
    let mut world = World::with(101);
    assert_eq!(world.ending(), [session(0)]);
    world.restart();
    while world.asked.is_empty() {
        world.rings_next();
    }
    assert_eq!(world.asked, [too_many(0)]);
    world.answers(SessionWord::Gone);
    assert_eq!(world.listed().len(), 100);
}
