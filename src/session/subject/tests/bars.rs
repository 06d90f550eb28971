//! A login that was under way when the logout came.

use super::*;

fn bar(world: &mut World, which: Which) {
    let order = EndSessions { which, reason: EndReason::BackChannel, bars: true, token: None };
    let caller = world.order(order);
    let (ended, left) = world.ended(caller);
    assert!(ended.is_empty() && left == 0);
}

/// A registration with an ID token of that time, `after` the logout.
fn comes(world: &mut World, issued_at: Timestamp) -> SubjectReply {
    let registration = Registration { issued_at, ..world.registration(0) };
    world.register(registration)
}

#[test]
fn a_login_whose_id_token_is_as_old_as_the_logout_or_older_is_refused() {
    for (millis, refused) in [(-1000_i64, true), (-1, true), (0, true), (1, false), (1000, false)] {
        let mut world = World::new();
        bar(&mut world, Which::Before { issued: T0 });
        world.wait(secs(5));
        let issued_at = Timestamp::from_millis(T0.as_millis().wrapping_add_signed(millis));
        let rows = world.rows;
        match comes(&mut world, issued_at) {
            SubjectReply::LoggedOut => {
                assert!(refused, "{millis}");
                assert_eq!(world.rows, rows, "nothing is written for it");
            }
            SubjectReply::Registered => assert!(!refused, "{millis}"),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_login_is_refused_after_a_restart_too() {
    let mut world = World::new();
    bar(&mut world, Which::Before { issued: T0 });
    world.restart();
    assert!(matches!(comes(&mut world, T0), SubjectReply::LoggedOut));
}

// The provider's session is over: whatever is issued for it later came of a code from before.
#[test]
fn a_login_of_a_session_that_ended_at_the_provider_is_refused_whenever_it_was_issued() {
    let mut world = World::of(provider_session());
    bar(&mut world, all());
    world.wait(secs(5));
    let issued_at = world.now.after(secs(60));
    assert!(matches!(comes(&mut world, issued_at), SubjectReply::LoggedOut));
}

#[test]
fn a_logout_that_may_not_bar_refuses_nobody() {
    let mut world = World::with(1);
    let _ = world.end(all());
    world.all_answer(SessionWord::Gone);
    let registration = Registration { issued_at: T0, ..world.registration(1) };
    assert!(matches!(world.register(registration), SubjectReply::Registered));
}

#[test]
fn a_bar_is_gone_when_no_login_from_before_can_come_any_more() {
    let mut world = World::new();
    bar(&mut world, Which::Before { issued: T0 });
    assert_eq!((world.puts, world.rows), (1, 2));
    world.rings_next();
    assert_eq!(world.now, T0.after(Transaction::LIFETIME));
    assert!(world.row.is_none() && world.alarm.is_none());
}

#[test]
fn an_earlier_logout_bars_on_when_a_later_one_comes() {
    let mut world = World::new();
    bar(&mut world, Which::Before { issued: T0.after(secs(10)) });
    bar(&mut world, Which::Before { issued: T0 });
    assert!(matches!(comes(&mut world, T0.after(secs(10))), SubjectReply::LoggedOut));
    let mut world = World::new();
    bar(&mut world, Which::Before { issued: T0 });
    bar(&mut world, Which::Before { issued: T0.after(secs(10)) });
    assert!(matches!(comes(&mut world, T0.after(secs(10))), SubjectReply::LoggedOut));
    assert!(matches!(comes(&mut world, T0.after(secs(11))), SubjectReply::Registered));
}
