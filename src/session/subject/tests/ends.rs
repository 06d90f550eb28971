//! An end of many: written down first, asked for in batches, and gone on with until it is done.

use super::*;

fn before(issued: Timestamp) -> Which {
    Which::Before { issued }
}

#[test]
fn what_is_to_end_is_written_down_before_anybody_is_asked() {
    let mut world = World::with(3);
    let index = world.whose.name(&world.keys);
    let order = EndSessions { which: all(), reason: EndReason::Remote, bars: false, token: None };
    let command = SubjectCommand::End(Box::new(order));
    let envelope = SubjectEnvelope { protocol: PROTOCOL, index, command };
    let words = world.input(SubjectInput::Command { caller: CallerId(0), envelope });
    assert_eq!(words, ["put", "alarm", "ask", "ask", "ask"]);
    assert_eq!(world.ending(), [session(0), session(1), session(2)]);
}

#[test]
fn an_entry_is_taken_off_only_when_its_object_has_confirmed_the_end() {
    let mut world = World::with(3);
    let caller = world.end(all());
    world.answer(&closes(0), SessionWord::Silent);
    world.answer(&closes(1), SessionWord::Gone);
    assert!(world.is_waiting(caller));
    world.answer(&closes(2), SessionWord::Silent);
    assert_eq!(world.ended(caller), (vec![session(1)], 2));
    assert_eq!(world.listed(), [session(0), session(2)]);
    assert_eq!(world.ending(), [session(0), session(2)]);
}

#[test]
fn the_objects_are_asked_twenty_at_a_time_until_all_were() {
    let mut world = World::with(100);
    let caller = world.end(all());
    assert_eq!(world.asked.len(), 20);
    for answered in 1..=100 {
        assert!(world.is_waiting(caller));
        world.answers(SessionWord::Gone);
        assert_eq!(world.asked.len(), 20.min(100 - answered));
    }
    let (sessions, left) = world.ended(caller);
    assert_eq!(sessions, (0..100).map(session).collect::<Vec<_>>());
    assert_eq!(left, 0);
    assert!(world.row.is_none() && world.alarm.is_none());
}

#[test]
fn an_end_is_asked_before_what_is_asked_for_a_list() {
    let mut world = World::with(100);
    let list = world.list();
    let end = world.end(Which::Others { session: session(0) });
    for _ in 0..20 {
        world.answer(&world.asked[0].clone(), lives());
        assert!(world.asked.last().unwrap().close.is_some(), "{:?}", world.asked);
    }
    // Whoever looks again has no say in it.
    let again = world.list();
    while world.is_waiting(end) {
        let at = world.asked.iter().position(|question| question.close.is_some()).unwrap();
        world.answer(&world.asked[at].clone(), SessionWord::Gone);
    }
    assert_eq!(world.ended(end).0.len(), 99);
    world.all_answer(lives());
    for list in [list, again] {
        assert_eq!(world.devices(list).len(), 1);
    }
}

#[test]
fn no_more_than_32_wait_for_ends_and_the_next_end_is_ordered_all_the_same() {
    let mut world = World::with(2);
    let callers: Vec<_> =
        (0..32).map(|_| world.end(Which::Others { session: session(1) })).collect();
    let one_too_many = world.end(all());
    assert_eq!(world.ended(one_too_many), (vec![], 2));
    assert_eq!(world.ending(), [session(0), session(1)]);
    assert_eq!(world.all_answer(SessionWord::Gone), [closes(0), closes(1)]);
    for caller in callers {
        assert_eq!(world.ended(caller), (vec![session(0)], 0));
    }
    assert!(world.row.is_none());
}

// Twice the row and twice the alarm, or the row deleted.
#[test]
fn an_end_of_a_hundred_writes_four_rows_at_most() {
    for (word, puts) in [(SessionWord::Gone, 1), (SessionWord::Silent, 1)] {
        let mut world = World::with(100);
        let (rows, before) = (world.rows, world.puts);
        let _ = world.end(all());
        world.all_answer(word);
        assert_eq!(world.puts - before, puts, "{word:?}");
        assert!(world.rows - rows <= 4, "{word:?}: {}", world.rows - rows);
    }
    let mut world = World::with(100);
    let (rows, before) = (world.rows, world.puts);
    let _ = world.end(all());
    for n in 0..100 {
        world.answers(if n % 2 == 0 { SessionWord::Gone } else { SessionWord::Silent });
    }
    assert_eq!(world.listed().len(), 50);
    assert_eq!(world.puts - before, 2);
    assert!(world.rows - rows <= 4, "{}", world.rows - rows);
}

#[test]
fn an_object_that_does_not_answer_is_asked_every_minute_until_it_does() {
    let mut world = World::with(2);
    let caller = world.end(all());
    world.all_answer(SessionWord::Silent);
    assert_eq!(world.ended(caller), (vec![], 2));
    for _ in 0..5 {
        let asked_at = world.now;
        while world.asked.is_empty() {
            world.rings_next();
        }
        assert_eq!(world.now.since(asked_at), secs(60));
        assert_eq!(world.all_answer(SessionWord::Silent), [closes(0), closes(1)]);
    }
    while world.asked.is_empty() {
        world.rings_next();
    }
    world.all_answer(SessionWord::Gone);
    assert!(world.row.is_none() && world.alarm.is_none());
}

// A crash at any point leaves a row from which the alarm goes on.
#[test]
fn an_end_goes_on_after_a_restart_at_any_point() {
    for cut in 0..=50 {
        let mut world = World::with(25);
        let _ = world.end(all());
        for _ in 0..cut {
            // Every third doesn't answer the first time.
            if let Some(asked) = world.asked.first() {
                let is_silent = position(&asked.session).is_multiple_of(3);
                world.answers(if is_silent { SessionWord::Silent } else { SessionWord::Gone });
            }
        }
        world.restart();
        let mut ended = BTreeSet::new();
        let mut rings = 0;
        while let Some(alarm) = world.alarm {
            world.now = world.now.max(alarm);
            world.ring();
            let answered = world.all_answer(SessionWord::Gone);
            assert!(answered.iter().all(|question| question.close == Some(EndReason::Remote)));
            ended.extend(answered);
            rings += 1;
            assert!(rings < 10, "cut {cut}");
        }
        assert!(world.row.is_none(), "cut {cut}");
        assert!(world.now.since(T0) < secs(25 + 200), "cut {cut}");
        assert!(ended.len() <= 25);
    }
}

#[test]
fn a_logout_of_all_before_a_time_ends_those_of_that_time_too_and_none_after() {
    let mut world = World::with(5);
    let caller = world.end(before(T0.after(secs(3))));
    assert_eq!(world.ending(), [session(0), session(1), session(2)]);
    world.all_answer(SessionWord::Gone);
    assert_eq!(world.ended(caller).0.len(), 3);
    assert_eq!(world.listed(), [session(3), session(4)]);
}

#[test]
fn a_logout_that_names_a_sid_ends_those_of_the_person_that_came_without_one() {
    let mut world = World::with(2);
    world.wait(secs(1));
    let without = Registration { sid: None, ..world.registration(2) };
    world.register(without);
    world.wait(secs(1));
    let later = Registration { sid: None, ..world.registration(3) };
    world.register(later);
    let _ = world.end(Which::BeforeWithoutSid { issued: T0.after(secs(3)) });
    assert_eq!(world.ending(), [session(2)]);
}

// Back-Channel Logout §2.6 step 10: the session is to be of that person.
#[test]
fn a_logout_that_names_a_sid_and_a_sub_ends_nobody_elses_session() {
    let mut world = World::of(provider_session());
    world.registers(0);
    let stranger = Whose::subject(ISSUER, "stranger").name(&world.keys);
    let theirs = Registration { subject: stranger.clone(), ..world.registration(1) };
    world.register(theirs);
    let _ = world.end(Which::All { of: Some(person().name(&world.keys)) });
    assert_eq!(world.ending(), [session(0)]);
    let _ = world.end(Which::All { of: Some(stranger) });
    assert_eq!(world.ending(), [session(0), session(1)]);
}

#[test]
fn a_persons_other_devices_end_and_this_one_stays() {
    let mut world = World::with(3);
    let caller = world.end(Which::Others { session: session(1) });
    assert_eq!(world.ending(), [session(0), session(2)]);
    world.all_answer(SessionWord::Gone);
    assert_eq!(world.ended(caller).0, [session(0), session(2)]);
    assert_eq!(world.listed(), [session(1)]);
}

#[test]
fn one_device_ends_by_its_name_and_by_no_other() {
    let mut world = World::with(3);
    let handle = world.stored().entries[1].handle.clone();
    for wrong in ["", "x", &handle[1..], &session(1).name()] {
        let caller = world.end(Which::Handle { handle: wrong.to_owned() });
        assert_eq!(world.ended(caller), (vec![], 0), "{wrong}");
    }
    let _ = world.end(Which::Handle { handle });
    assert_eq!(world.ending(), [session(1)]);
}

#[test]
fn nothing_is_stored_for_an_end_that_finds_nothing_and_may_not_bar() {
    for which in [all(), before(T0), Which::Others { session: session(0) }] {
        let mut world = World::new();
        let caller = world.end(which);
        assert_eq!(world.ended(caller), (vec![], 0));
        assert!(world.row.is_none() && world.alarm.is_none() && world.rows == 0);
    }
    let mut world = World::with(1);
    let rows = world.rows;
    let caller = world.end(before(T0));
    assert_eq!(world.ended(caller), (vec![], 0));
    assert_eq!(world.rows, rows);
}

#[test]
fn whoever_orders_the_same_end_meanwhile_waits_for_the_same_answers() {
    let mut world = World::with(30);
    let one = world.end(all());
    let two = world.order(EndSessions {
        which: Which::Others { session: session(0) },
        reason: EndReason::BackChannel,
        bars: false,
        token: None,
    });
    assert_eq!(world.asked.len(), 20);
    let asked = world.all_answer(SessionWord::Gone);
    assert_eq!(asked, (0..30).map(closes).collect::<Vec<_>>(), "nobody is asked twice");
    assert_eq!(world.ended(one).0.len(), 30);
    assert_eq!(world.ended(two).0.len(), 29);
}

#[test]
fn an_end_that_is_ordered_again_asks_at_once_those_that_were_silent() {
    let mut world = World::with(2);
    let first = world.end(all());
    world.all_answer(SessionWord::Silent);
    assert_eq!(world.ended(first), (vec![], 2));
    let again = world.end(all());
    assert_eq!(world.all_answer(SessionWord::Gone), [closes(0), closes(1)]);
    assert_eq!(world.ended(again).0.len(), 2);
}

#[test]
fn a_session_that_says_itself_that_it_has_ended_counts_as_ended() {
    let mut world = World::with(2);
    let caller = world.end(all());
    world.unlists(0);
    assert!(world.is_waiting(caller));
    world.unlists(1);
    assert_eq!(world.ended(caller), (vec![session(0), session(1)], 0));
    // What its object answers besides changes nothing.
    world.all_answer(SessionWord::Gone);
    assert!(world.row.is_none() && world.alarm.is_none());
}

#[test]
fn what_an_object_says_is_understood_as_it_is_meant() {
    let close = closes(0);
    let probe = probes(0);
    assert!(matches!(close.command(), Command::Close { reason: EndReason::Remote }));
    assert!(matches!(probe.command(), Command::Probe));
    let ended = Reply::Ended(Box::default());
    let living = Reply::Lives { last_seen: Some(T0) };
    for (question, reply, word) in [
        (&close, Some(&ended), SessionWord::Gone),
        (&close, Some(&Reply::NoSession), SessionWord::Gone),
        (&close, Some(&living), SessionWord::Silent),
        (&close, Some(&Reply::Unsupported), SessionWord::Silent),
        (&close, Some(&Reply::Broken), SessionWord::Silent),
        (&close, None, SessionWord::Silent),
        (&probe, Some(&living), lives()),
        (&probe, Some(&Reply::NoSession), SessionWord::Gone),
        (&probe, Some(&ended), SessionWord::Silent),
        (&probe, Some(&Reply::Unsupported), SessionWord::Silent),
        (&probe, None, SessionWord::Silent),
    ] {
        assert_eq!(question.word(reply), word, "{question:?} {reply:?}");
    }
}

// Each alarm is a row: a hundred that are silent would cost a hundred a minute.
#[test]
fn objects_that_stayed_silent_one_after_the_other_are_asked_again_together() {
    let mut world = World::with(20);
    let _ = world.end(all());
    while !world.asked.is_empty() {
        world.wait(Duration::from_millis(100));
        world.answers(SessionWord::Silent);
    }
    let (asked_at, mut rings) = (world.now, 0);
    while world.now.since(asked_at) < secs(600) {
        world.rings_next();
        rings += 1;
        while !world.asked.is_empty() {
            world.wait(Duration::from_millis(100));
            world.answers(SessionWord::Silent);
        }
    }
    assert!(rings <= 20, "{rings}");
}

#[test]
fn nothing_is_remembered_of_an_object_that_stays_silent_after_its_session_was_taken_off() {
    let mut world = World::with(1);
    let _ = world.list();
    world.unlists(0);
    world.all_answer(SessionWord::Silent);
    assert!(world.machine.retry.0.is_empty());
}
