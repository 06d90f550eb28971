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

// Back-Channel Logout §2.6 step 10, for whoever is under way.
#[test]
fn a_logout_that_names_a_sid_and_a_sub_refuses_nobody_elses_login() {
    let mut world = World::of(provider_session());
    let stranger = Whose::subject(ISSUER, "stranger").name(&world.keys);
    let of = Some(person().name(&world.keys));
    bar(&mut world, Which::All { of });
    let theirs = Registration { subject: stranger, ..world.registration(0) };
    assert!(matches!(world.register(theirs), SubjectReply::Registered));
    let own = world.registration(1);
    assert!(matches!(world.register(own), SubjectReply::LoggedOut));
}

#[test]
fn a_logout_that_names_a_sid_refuses_of_a_persons_logins_those_that_bring_none() {
    let mut world = World::new();
    bar(&mut world, Which::BeforeWithoutSid { issued: T0 });
    let with = Registration { issued_at: T0, ..world.registration(0) };
    assert!(matches!(world.register(with), SubjectReply::Registered));
    for (issued_at, refused) in [(T0, true), (T0.after(secs(1)), false)] {
        let without = Registration { issued_at, sid: None, ..world.registration(1) };
        let reply = world.register(without);
        assert_eq!(matches!(reply, SubjectReply::LoggedOut), refused, "{reply:?}");
    }
}

// By our clock, which is all that an administrator has: the provider's may be a minute ahead.
#[test]
fn an_administrators_end_is_about_the_logins_that_had_begun_whatever_their_id_tokens_say() {
    for (millis, is_meant) in [(-1000_i64, true), (0, true), (1, false)] {
        let began = Timestamp::from_millis(T0.as_millis().wrapping_add_signed(millis));
        for issued_at in [T0.before(secs(60)), T0, T0.after(secs(60))] {
            let registration =
                |world: &World| Registration { began, issued_at, ..world.registration(0) };
            // Listed already.
            let mut world = World::new();
            world.wait(secs(1));
            let listed = registration(&world);
            assert!(matches!(world.register(listed), SubjectReply::Registered));
            let _ = world.end(Which::Begun { by: T0 });
            assert_eq!(world.ending() == [session(0)], is_meant, "{millis}");
            // Under way.
            let mut world = World::new();
            bar(&mut world, Which::Begun { by: T0 });
            world.wait(secs(1));
            let late = registration(&world);
            let reply = world.register(late);
            assert_eq!(matches!(reply, SubjectReply::LoggedOut), is_meant, "{millis}: {reply:?}");
        }
    }
}

// A bar is gone when the last login from before it is over: not a moment is left open.
#[test]
fn no_login_from_before_the_logout_gets_through_however_late_it_comes() {
    for which in [Which::Before { issued: T0 }, Which::Begun { by: T0 }, all()] {
        for began in [T0, T0.before(secs(300))] {
            let mut world = World::new();
            bar(&mut world, which.clone());
            for waited in 0..700 {
                world.now = T0.after(secs(waited));
                world.ring();
                let late = Registration { began, issued_at: T0, ..world.registration(0) };
                let reply = world.register(late);
                assert!(
                    matches!(reply, SubjectReply::LoggedOut | SubjectReply::TooLate),
                    "{which:?}, after {waited} s: {reply:?}"
                );
            }
            assert!(world.row.is_none(), "{which:?}");
        }
    }
}

#[test]
fn a_login_that_took_too_long_is_not_listed_and_nothing_is_written_for_it() {
    let mut world = World::new();
    let in_time = world.registration(0);
    world.wait(secs(539));
    assert!(matches!(world.register(in_time), SubjectReply::Registered));
    let late = Registration { session: session(1), ..world.registration(0) };
    let rows = world.rows;
    let late = Registration { began: world.now.before(Transaction::LIFETIME), ..late };
    assert!(matches!(world.register(late), SubjectReply::TooLate));
    assert_eq!((world.listed(), world.rows), (vec![session(0)], rows));
}

#[test]
fn logouts_in_a_row_leave_one_bar_and_never_more_than_sixteen() {
    let mut world = World::new();
    for second in 0..100 {
        bar(&mut world, Which::BeforeWithoutSid { issued: T0.after(secs(second)) });
        bar(&mut world, Which::Before { issued: T0.after(secs(second)) });
        bar(&mut world, Which::Begun { by: T0.after(secs(second)) });
    }
    assert_eq!(world.stored().bars.len(), 2);
    // A provider whose clock goes backwards.
    for second in 0..100 {
        bar(&mut world, Which::Before { issued: T0.before(secs(second)) });
    }
    assert_eq!(world.stored().bars.len(), 16);
}

// The code is from before the logout; its ID token is dated by the exchange, which came after.
#[test]
fn a_login_under_way_whose_person_signed_in_before_the_logout_is_refused_however_new_its_id_token()
{
    let before = T0.before(secs(5));
    for which in [Which::Before { issued: T0 }, Which::BeforeWithoutSid { issued: T0 }] {
        for (began, authenticated_at, refused) in [
            (before, Some(before), true),
            (before, Some(T0), true),
            // Signed in again, at a page that was open when the logout came.
            (before, Some(T0.after(secs(1))), false),
            // Began afterwards, on a session at the provider that the logout left.
            (T0.after(secs(1)), Some(before), false),
            (before, None, false),
        ] {
            let mut world = World::new();
            bar(&mut world, which.clone());
            world.wait(secs(5));
            let comes =
                Registration { began, authenticated_at, sid: None, ..world.registration(0) };
            let reply = world.register(comes);
            assert_eq!(matches!(reply, SubjectReply::LoggedOut), refused, "{which:?}: {reply:?}");
        }
    }
}
