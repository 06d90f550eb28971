//! A session is listed before it is stored and until its object has said that it is over.

use super::*;

#[test]
fn a_session_is_written_down_before_its_object_hears_so() {
    let mut world = World::new();
    let registration = Box::new(world.registration(0));
    let index = world.whose.name(&world.keys);
    let command = SubjectCommand::Register(registration);
    let envelope = SubjectEnvelope { protocol: PROTOCOL, index, command };
    let words = world.input(SubjectInput::Command { caller: CallerId(0), envelope });
    assert_eq!(words, ["put", "alarm", "reply"]);
    assert_eq!(world.listed(), [session(0)]);
}

#[test]
fn a_registration_writes_one_row_and_at_most_an_alarm() {
    let mut world = World::new();
    world.registers(0);
    assert_eq!((world.puts, world.rows), (1, 2));
    world.wait(secs(10));
    world.registers(1);
    assert_eq!((world.puts, world.rows), (2, 3), "the alarm is early enough");
}

// The entry asks an object that restarted under a call once more.
#[test]
fn a_registration_that_is_delivered_twice_is_one_entry_and_one_row() {
    let mut world = World::new();
    world.registers(0);
    let (row, rows) = (world.row.clone(), world.rows);
    world.registers(0);
    assert_eq!((world.row.clone(), world.rows), (row, rows));
}

#[test]
fn a_registration_that_is_delivered_again_takes_no_end_back() {
    let mut world = World::with(2);
    let _ = world.end(Which::Others { session: session(1) });
    let again = world.registration(0);
    assert!(matches!(world.register(again), SubjectReply::LoggedOut));
    world.all_answer(SessionWord::Silent);
    assert_eq!(world.ending(), [session(0)]);
    while world.asked.is_empty() {
        world.rings_next();
    }
    assert_eq!(world.asked, [closes(0)]);
}

#[test]
fn a_session_that_has_ended_is_taken_off_when_its_object_says_so() {
    let mut world = World::with(3);
    world.unlists(1);
    assert_eq!(world.listed(), [session(0), session(2)]);
    let puts = world.puts;
    world.unlists(1);
    world.unlists(9);
    assert_eq!(world.puts, puts, "nothing has changed");
}

#[test]
fn an_entry_whose_session_never_came_is_swept_when_the_login_has_run_out() {
    let mut world = World::with(1);
    world.rings_next();
    assert_eq!(world.now.since(T0), secs(1 + 540), "ten minutes after the login began");
    assert_eq!(world.asked, [probes(0)]);
    assert_eq!(world.listed(), [session(0)], "not before it is known");
    world.answers(SessionWord::Gone);
    assert!(world.row.is_none() && world.alarm.is_none());
}

#[test]
fn a_session_that_came_is_left_alone_until_its_absolute_limit() {
    let mut world = World::with(1);
    world.rings_next();
    world.answers(lives());
    let mut rings = 0;
    while world.asked.is_empty() {
        world.rings_next();
        rings += 1;
    }
    assert!(rings <= 2, "{rings}");
    assert_eq!(world.now, T0.after(secs(1)).after(ABSOLUTE));
    assert_eq!(world.asked, [probes(0)]);
    world.answers(SessionWord::Gone);
    assert!(world.row.is_none() && world.alarm.is_none());
}

// The session's object counts its absolute limit from a moment later.
#[test]
fn a_session_that_outlives_its_entrys_limit_is_asked_again_later() {
    let mut world = World::with(1);
    world.rings_next();
    world.answers(lives());
    while world.asked.is_empty() {
        world.rings_next();
    }
    world.answers(lives());
    assert_eq!(world.listed(), [session(0)]);
    let asked_at = world.now;
    while world.asked.is_empty() {
        world.rings_next();
    }
    assert_eq!(world.now.since(asked_at), secs(600));
    world.answers(SessionWord::Gone);
    assert!(world.row.is_none() && world.alarm.is_none());
}

#[test]
fn a_login_that_is_still_under_way_when_its_time_is_up_is_asked_after_again() {
    let mut world = World::with(1);
    world.rings_next();
    world.answers(SessionWord::Lives { last_seen: None });
    assert_eq!(world.listed(), [session(0)]);
    let asked_at = world.now;
    while world.asked.is_empty() {
        world.rings_next();
    }
    assert_eq!(world.now.since(asked_at), secs(600));
}

#[test]
fn a_session_whose_object_does_not_answer_stays_listed_and_is_asked_every_minute() {
    let mut world = World::with(1);
    for _ in 0..3 {
        while world.asked.is_empty() {
            world.rings_next();
        }
        world.answers(SessionWord::Silent);
        assert_eq!(world.listed(), [session(0)]);
    }
    let asked_at = world.now;
    while world.asked.is_empty() {
        world.rings_next();
    }
    assert_eq!(world.now.since(asked_at), secs(60));
}

#[test]
fn an_object_that_never_answers_is_asked_no_longer_than_its_session_could_live() {
    for is_ending in [false, true] {
        let mut world = World::with(1);
        if is_ending {
            let _ = world.end(all());
            world.all_answer(SessionWord::Silent);
        }
        let limit = T0.after(secs(1)).after(ABSOLUTE).after(Transaction::LIFETIME);
        while world.row.is_some() {
            assert!(world.now < limit, "{is_ending}");
            world.rings_next();
            world.all_answer(SessionWord::Silent);
        }
        assert!(world.now >= limit && world.now.since(limit) <= secs(60), "{is_ending}");
        assert!(world.alarm.is_none());
    }
}

#[test]
fn an_alarm_that_rings_early_asks_nobody_and_is_set_anew() {
    let mut world = World::with(1);
    let due = world.alarm;
    for _ in 0..3 {
        world.alarm = None;
        let words = world.input(SubjectInput::Alarm);
        assert_eq!(words, ["alarm"]);
        assert_eq!(world.alarm, due);
    }
}

// The row isn't written for it. What it says is believed after a restart, and must be true.
#[test]
fn an_alarm_that_rang_before_its_time_is_where_the_row_says() {
    let mut world = World::with(1);
    world.rings_next();
    world.answers(lives());
    assert_eq!(world.stored().alarm, world.alarm);
    world.wait(secs(1));
    world.alarm = None;
    world.input(SubjectInput::Alarm);
    assert_eq!(world.stored().alarm, world.alarm);
    world.restart();
    let _ = world.end(all());
    assert!(world.alarm <= Some(world.now.after(secs(60))));
}

#[test]
fn a_sweep_goes_on_after_a_restart_at_any_point() {
    for cut in 0..=3 {
        let mut world = World::with(1);
        if cut == 0 {
            world.restart();
        }
        world.rings_next();
        if cut == 1 {
            // The question is lost.
            world.restart();
        } else {
            world.answers(SessionWord::Silent);
        }
        if cut == 2 {
            world.restart();
        }
        while world.asked.is_empty() {
            world.rings_next();
        }
        if cut == 3 {
            world.restart();
            while world.asked.is_empty() {
                world.rings_next();
            }
        }
        world.answers(SessionWord::Gone);
        assert!(world.row.is_none() && world.alarm.is_none(), "cut {cut}");
    }
}

// Envoy CVE-2023-35941 and its kin: nothing is served under another name.
#[test]
fn what_is_not_addressed_to_this_index_changes_nothing() {
    let mut world = World::with(1);
    let (row, rows) = (world.row.clone(), world.rows);
    let other = Whose::subject(ISSUER, "another");
    let registration = Registration { whose: other.clone(), ..world.registration(1) };
    let whose = other.clone();
    for command in [
        SubjectCommand::Register(Box::new(registration)),
        SubjectCommand::Unlist { session: session(0) },
        SubjectCommand::List { whose },
        SubjectCommand::End(Box::new(EndSessions {
            which: all(),
            reason: EndReason::BackChannel,
            bars: true,
            token: None,
        })),
    ] {
        let index = other.name(&world.keys);
        let caller = world.deliver(SubjectEnvelope { protocol: PROTOCOL, index, command });
        assert!(matches!(world.reply(caller), SubjectReply::Unsupported));
    }
    // Addressed rightly, and about somebody else.
    let reply = world.register(Registration { whose: other, ..world.registration(1) });
    assert!(matches!(reply, SubjectReply::Unsupported));
    assert_eq!((world.row.clone(), world.rows), (row, rows));
    assert!(world.asked.is_empty());
}

#[test]
fn another_protocol_is_unsupported() {
    let mut world = World::with(1);
    let index = world.whose.name(&world.keys);
    let command = SubjectCommand::Unlist { session: session(0) };
    let caller = world.deliver(SubjectEnvelope { protocol: PROTOCOL + 1, index, command });
    assert!(matches!(world.reply(caller), SubjectReply::Unsupported));
    assert_eq!(world.listed(), [session(0)]);
}

#[test]
fn a_sub_is_never_taken_for_a_sid_nor_for_that_of_another_issuer() {
    let keys = World::new().keys;
    let names = [
        Whose::subject(ISSUER, "same").name(&keys),
        Whose::provider_session(ISSUER, "same").name(&keys),
        Whose::subject("https://other.example/", "same").name(&keys),
        // No byte moves between issuer and value.
        Whose::subject("https://id.example.com/s", "ame").name(&keys),
    ];
    let distinct: BTreeSet<_> = names.iter().collect();
    assert_eq!(distinct.len(), names.len());
    assert!(names.iter().all(|name| name.as_str().len() == 43));
}
