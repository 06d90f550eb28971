//! What the provider is asked to take back, in which order, how often, and who hears of it.

use super::*;

/// Whether the alarm comes back to it, for each line that says that a revocation came to nothing.
fn reported(world: &World) -> Vec<bool> {
    let will_retry = |event: &Event| match event {
        Event::RevocationFailed { will_retry, .. } => Some(*will_retry),
        _ => None,
    };
    world.events.iter().filter_map(will_retry).collect()
}

/// Refresh tokens that are kept in the row.
fn tickets(world: &World) -> usize {
    match world.row.as_deref().map(Row::decode) {
        Some(Row::Ended(tombstone)) => tombstone.revocations.len(),
        Some(other) => panic!("{other:?}"),
        None => 0,
    }
}

/// Everything that is due, until nothing is; says how often the alarm rang.
fn rings_out(world: &mut World) -> usize {
    let mut rings = 0;
    while let Some(alarm) = world.alarm {
        world.now = world.now.max(alarm);
        assert!(world.ring());
        rings += 1;
        assert!(rings < 100, "an alarm without an end");
    }
    rings
}

fn logged_out() -> World {
    let mut world = World::logged_in(Some(300), true);
    let caller = world.end(EndReason::Logout, false);
    assert!(world.ended(caller).ended);
    world
}

fn key_c() -> TokenKey {
    TokenKey { resource: Some("https://c.example.com".to_owned()), scope: None }
}

/// A session with a token that runs out in 300 s, one in 60 s, and one nobody knows when.
fn with_three_tokens() -> World {
    let mut world = World::logged_in(Some(300), true);
    for (key, name, expires_in) in [(key_b(), "2", Some(60)), (key_c(), "3", None)] {
        let caller = world.access(key, None);
        let _ = world.refresh_work();
        world.refreshed(name, expires_in, true);
        let _ = world.grant(caller);
    }
    world
}

#[test]
fn the_refresh_token_goes_first_and_then_each_access_token_that_is_still_good() {
    let mut world = with_three_tokens();
    world.wait(secs(61));
    let _ = world.end(EndReason::Logout, false);
    let revoked = world.revokes_all(RevocationOutcome::Done);
    assert_eq!(revoked, ["refresh-3", "access-1", "access-3"]);
    assert!(reported(&world).is_empty());
}

#[test]
fn an_access_token_is_taken_back_for_the_reasons_that_a_refresh_token_is() {
    for (reason, revokes) in [
        (EndReason::Logout, true),
        (EndReason::Idle, true),
        (EndReason::Absolute, true),
        (EndReason::BackChannel, true),
        (EndReason::Remote, true),
        (EndReason::Replaced, false),
        (EndReason::InvalidGrant, false),
        (EndReason::RefreshAnswerLost, false),
        (EndReason::RefreshRefused, false),
        (EndReason::TokenExpired, false),
    ] {
        let mut world = World::logged_in(Some(300), true);
        let _ = world.end(reason, false);
        let expected: &[&str] = if revokes { &["refresh-1", "access-1"] } else { &[] };
        assert_eq!(world.revokes_all(RevocationOutcome::Done), expected, "{reason:?}");
        world.restart();
        let _ = rings_out(&mut world);
        assert!(world.works.is_empty() && world.row.is_none(), "{reason:?}");
    }
}

#[test]
fn without_a_refresh_token_the_access_token_is_taken_back_alone_and_leaves_no_ticket() {
    let mut world = World::logged_in(Some(300), false);
    let _ = world.end(EndReason::Logout, false);
    assert_eq!(tickets(&world), 0);
    assert_eq!(world.revokes_all(RevocationOutcome::Failed), ["access-1"]);
    assert!(reported(&world).is_empty());
    let _ = rings_out(&mut world);
    assert!(world.works.is_empty() && world.row.is_none());
}

#[test]
fn without_a_revocation_endpoint_nothing_is_asked_and_nothing_kept() {
    let mut world = World::new();
    let mut login = login("code");
    login.metadata.revocation_endpoint = None;
    let _ = world.ask(Command::Login(Box::new(login)));
    world.works.clear();
    world.login_done(Ok(super::logins::new_session()));
    let _ = world.end(EndReason::Logout, false);
    assert!(world.works.is_empty());
    assert_eq!(tickets(&world), 0);
}

// Many providers take refresh tokens alone: that is their right, and no fault.
#[test]
fn an_access_token_that_is_not_taken_back_is_the_last_that_is_asked_for_and_no_fault() {
    for outcome in
        [RevocationOutcome::Refused, RevocationOutcome::RefusedForNow, RevocationOutcome::Failed]
    {
        let mut world = with_three_tokens();
        let _ = world.end(EndReason::Logout, false);
        assert_eq!(world.revoked(), "refresh-3");
        world.input(Input::RevocationDone(RevocationOutcome::Done));
        assert_eq!(world.revokes_all(outcome), ["access-1"], "{outcome:?}");
        assert!(reported(&world).is_empty(), "{outcome:?}");
        let _ = rings_out(&mut world);
        assert!(world.works.is_empty() && world.row.is_none(), "{outcome:?}");
    }
}

#[test]
fn a_provider_that_refuses_one_kind_is_asked_for_the_other_and_one_that_is_silent_is_not() {
    for (outcome, then, will_retry) in [
        (RevocationOutcome::Refused, &["access-1"][..], false),
        (RevocationOutcome::RefusedForNow, &[], true),
        (RevocationOutcome::Failed, &[], true),
    ] {
        let mut world = logged_out();
        assert_eq!(world.revoked(), "refresh-1");
        world.input(Input::RevocationDone(outcome));
        assert_eq!(world.revokes_all(RevocationOutcome::Done), then, "{outcome:?}");
        assert_eq!(reported(&world), [will_retry], "{outcome:?}");
        assert_eq!(tickets(&world), usize::from(will_retry), "{outcome:?}");
    }
}

// Without a ticket nobody comes back to it.
#[test]
fn where_nothing_is_tried_again_whoever_answers_at_all_is_asked_for_the_access_token() {
    for (outcome, then) in [
        (RevocationOutcome::Refused, &["access-1"][..]),
        (RevocationOutcome::RefusedForNow, &["access-1"]),
        (RevocationOutcome::Failed, &[]),
    ] {
        let mut config = config();
        config.session.revocation_ticket = Duration::ZERO;
        let mut world = World::with(config);
        world.log_in(Some(300), true);
        let _ = world.end(EndReason::Logout, false);
        assert_eq!(world.revoked(), "refresh-1");
        world.input(Input::RevocationDone(outcome));
        assert_eq!(world.revokes_all(RevocationOutcome::Done), then, "{outcome:?}");
        assert_eq!(reported(&world), [false], "{outcome:?}");
    }
}

// Between the tombstone and the provider's answer the refresh token had lain in memory alone.
#[test]
fn an_object_that_stops_before_the_providers_answer_asks_again_by_its_alarm() {
    for age in [0, 2000] {
        let mut world = World::logged_in(Some(300), true);
        world.wait(secs(age));
        let _ = world.end(EndReason::Logout, false);
        assert_eq!(tickets(&world), 1, "in the tombstone's own write");
        assert_eq!(world.alarm, Some(world.now.after(secs(30))));
        assert_eq!(world.revoked(), "refresh-1");
        world.restart();
        world.wait(secs(29));
        assert!(!world.ring());
        world.wait(secs(1));
        assert!(world.ring());
        assert_eq!(world.revokes_all(RevocationOutcome::Done), ["refresh-1"], "and nothing else");
        assert_eq!(tickets(&world), 0);
        assert!(reported(&world).is_empty());
        let _ = rings_out(&mut world);
        assert!(world.works.is_empty() && world.row.is_none());
    }
}

#[test]
fn a_logout_writes_two_rows_and_a_try_that_comes_to_nothing_none() {
    let mut world = World::logged_in(Some(300), true);
    let (puts, rows) = (world.puts, world.rows);
    let _ = world.end(EndReason::Logout, false);
    assert_eq!((world.puts - puts, world.rows - rows), (1, 2), "with its ticket; the alarm");
    let _ = world.revoked();
    for _ in 0..3 {
        let puts = world.puts;
        world.input(Input::RevocationDone(RevocationOutcome::Failed));
        world.now = world.alarm.unwrap();
        assert!(world.ring());
        let _ = world.revoked();
        assert_eq!(world.puts, puts);
    }
    let (puts, rows) = (world.puts, world.rows);
    world.input(Input::RevocationDone(RevocationOutcome::Done));
    assert_eq!((world.puts - puts, world.rows - rows), (1, 1), "without it");
}

#[test]
fn a_ticket_is_not_asked_for_twice_at_once_and_its_alarm_does_not_spin() {
    let mut world = logged_out();
    let _ = world.revoked();
    let start = world.now;
    let rings = rings_out(&mut world);
    assert!(world.works.is_empty(), "its first request is still under way");
    assert!((5..30).contains(&rings), "{rings}");
    assert!(world.now.since(start) <= secs(3600));
    assert!(world.row.is_none());
    assert!(reported(&world).is_empty(), "nobody knows yet");
    world.input(Input::RevocationDone(RevocationOutcome::Failed));
    assert_eq!(reported(&world), [false]);
    assert!(world.works.is_empty(), "nor is it asked for once more after that");
    assert!(world.row.is_none() && world.alarm.is_none());
}

#[test]
fn a_ticket_whose_time_is_up_is_reported_as_given_up() {
    // Its last try came to nothing.
    let mut world = logged_out();
    let _ = world.revoked();
    world.input(Input::RevocationDone(RevocationOutcome::Failed));
    for _ in 0..30 {
        let Some(alarm) = world.alarm else { break };
        world.now = alarm;
        assert!(world.ring());
        if !world.works.is_empty() {
            let _ = world.revoked();
            world.input(Input::RevocationDone(RevocationOutcome::Failed));
        }
    }
    let given_up = reported(&world).iter().filter(|will_retry| !**will_retry).count();
    assert_eq!((given_up, reported(&world).last()), (1, Some(&false)), "{:?}", reported(&world));
    assert!(world.row.is_none());

    // The alarm came when it was over already: the platform puts them off.
    let mut world = logged_out();
    let _ = world.revoked();
    world.restart();
    world.wait(secs(3600));
    assert!(world.ring());
    assert!(world.works.is_empty());
    assert_eq!(reported(&world), [false]);
    assert!(world.row.is_none());
}

#[test]
fn a_ticket_that_nobody_can_use_any_more_is_reported_as_given_up() {
    let without_its_key = || {
        let mut config = config();
        config.session.keys = ring(&format!("b:{}", ring_key(2)));
        config
    };
    let of_another_provider = || {
        let mut config = config();
        "https://other.example.com/".clone_into(&mut config.provider.issuer);
        config
    };
    for (why, config) in
        [("its key left the ring", without_its_key()), ("another provider", of_another_provider())]
    {
        let mut world = logged_out();
        let _ = world.revoked();
        world.restart_with(config);
        world.wait(secs(30));
        assert!(world.ring());
        assert!(world.works.is_empty(), "{why}");
        assert_eq!(reported(&world), [false], "{why}");
        assert_eq!(tickets(&world), 0, "{why}");
        let _ = rings_out(&mut world);
        assert_eq!(reported(&world), [false], "{why}: once");
        assert!(world.row.is_none(), "{why}");
    }
}

#[test]
fn a_rotation_of_the_ring_keeps_the_tickets_of_before() {
    let mut world = logged_out();
    let _ = world.revoked();
    let mut config = config();
    config.session.keys = ring(&format!("b:{},a:{}", ring_key(2), ring_key(1)));
    world.restart_with(config);
    world.wait(secs(30));
    assert!(world.ring());
    assert_eq!(world.revokes_all(RevocationOutcome::Done), ["refresh-1"]);
}

// WSO2 CVE-2025-13173: what a refresh brings when its session is gone.
#[test]
fn what_a_refresh_brings_after_a_logout_is_kept_before_it_is_taken_back() {
    for age in [61, 2000] {
        let mut world = World::logged_in(Some(60), true);
        world.wait(secs(age));
        let _ = world.access(key_a(), None);
        let _ = world.refresh_work();
        let _ = world.end(EndReason::Logout, false);
        assert_eq!(world.revokes_all(RevocationOutcome::Done), ["refresh-1"]);
        assert_eq!(world.row.is_none(), age == 2000);
        world.refreshed("2", Some(60), true);
        assert_eq!(tickets(&world), 1);
        assert_eq!(world.revoked(), "refresh-2");
        world.restart();
        world.wait(secs(30));
        assert!(world.ring(), "{age}");
        assert_eq!(world.revokes_all(RevocationOutcome::Done), ["refresh-2"]);
        let _ = rings_out(&mut world);
        assert!(world.row.is_none());
    }
    let mut world = World::logged_in(Some(60), true);
    world.wait(secs(61));
    let _ = world.access(key_a(), None);
    let _ = world.refresh_work();
    let _ = world.end(EndReason::Logout, false);
    world.refreshed("2", Some(60), true);
    let revoked = world.revokes_all(RevocationOutcome::Done);
    assert_eq!(revoked, ["refresh-1", "refresh-2", "access-2"]);
}

#[test]
fn with_no_minutes_no_ticket_is_ever_written() {
    for minutes in [Duration::ZERO, secs(30)] {
        let mut config = config();
        config.session.revocation_ticket = minutes;
        let mut world = World::with(config);
        world.log_in(Some(60), true);
        world.wait(secs(61));
        let _ = world.access(key_a(), None);
        let _ = world.refresh_work();
        let _ = world.end(EndReason::Logout, false);
        assert_eq!(tickets(&world), 0);
        assert_eq!(world.revoked(), "refresh-1");
        world.input(Input::RevocationDone(RevocationOutcome::Failed));
        world.refreshed("2", Some(60), true);
        assert_eq!(tickets(&world), 0);
        assert_eq!(world.revoked(), "refresh-2");
        world.input(Input::RevocationDone(RevocationOutcome::Failed));
        assert_eq!(tickets(&world), 0);
        assert_eq!(reported(&world), [false, false]);
        let _ = rings_out(&mut world);
        assert!(world.works.is_empty() && world.row.is_none());
    }
}

#[test]
fn minutes_that_the_operator_has_made_fewer_hold_for_the_tickets_that_are_there() {
    for (minutes, tries) in [(0, 0..=0), (3, 1..=3)] {
        let mut world = logged_out();
        let _ = world.revoked();
        world.input(Input::RevocationDone(RevocationOutcome::Failed));
        let mut config = world.config.clone();
        config.session.revocation_ticket = secs(60 * minutes);
        world.restart_with(config);
        let mut asked = 0;
        while let Some(alarm) = world.alarm {
            world.now = alarm;
            assert!(world.ring());
            if !world.works.is_empty() {
                asked += 1;
                let _ = world.revoked();
                world.input(Input::RevocationDone(RevocationOutcome::Failed));
            }
            assert!(asked <= *tries.end(), "{minutes}");
        }
        assert!(tries.contains(&asked), "{minutes}: {asked}");
        assert_eq!(reported(&world).last(), Some(&false), "{minutes}");
        assert!(world.row.is_none());
    }
}
