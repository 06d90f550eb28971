//! Logged out means logged out (promise 4), and what an end leaves to do.

use super::{logins::new_session, *};

#[test]
fn a_logout_deletes_revokes_and_answers_at_once() {
    let mut world = World::logged_in(Some(300), true);
    let caller = world.end(EndReason::Logout, false);
    let ended = world.ended(caller);
    assert!(ended.ended);
    assert_eq!(text(ended.id_token.as_ref()), Some("id-1"));
    assert_eq!(ended.end_session_endpoint.as_deref(), Some("https://id.example.com/end"));
    assert_eq!(world.revoked(), "refresh-1");
    let access = world.access(key_a(), None);
    assert!(matches!(world.reply(access), Reply::NoSession));
    let again = world.end(EndReason::Logout, false);
    assert!(!world.ended(again).ended);
    world.input(Input::RevocationDone(RevocationOutcome::Done));
    world.wait(Transaction::LIFETIME);
    assert!(world.ring());
    assert!(world.row.is_none() && world.alarm.is_none());
}

#[test]
fn an_old_sessions_logout_leaves_nothing_behind() {
    let mut world = World::logged_in(Some(3600), true);
    world.wait(secs(900));
    let caller = world.end(EndReason::Logout, false);
    assert!(world.ended(caller).ended);
    let _ = world.revokes_all(RevocationOutcome::Done);
    assert!(world.row.is_none() && world.alarm.is_none());
}

// Back-channel logout, other devices, the administrator: none of them has the cookie.
#[test]
fn an_end_without_the_cookie_opens_nothing_and_gives_nothing_out() {
    for is_open in [true, false] {
        let mut world = World::logged_in(Some(300), true);
        if !is_open {
            world.restart();
        }
        let caller = world.ask(Command::Close { reason: EndReason::BackChannel });
        let ended = world.ended(caller);
        assert!(ended.ended);
        assert!(ended.id_token.is_none() && ended.end_session_endpoint.is_none());
        let reason = EndReason::BackChannel;
        assert!(world.events.iter().any(|event| matches!(
            event,
            Event::SessionEnded { reason: found, .. } if *found == reason
        )));
        // Only what is open already can be taken back at the provider.
        if is_open {
            assert_eq!(world.revoked(), "refresh-1");
        } else {
            assert!(world.works.is_empty());
        }
        world.restart();
        let access = world.access(key_a(), None);
        assert!(matches!(world.reply(access), Reply::NoSession), "open: {is_open}");
        let again = world.ask(Command::Close { reason });
        assert!(!world.ended(again).ended);
    }
}

// A logout token can come between a session's entry in the index and its record.
#[test]
fn an_end_without_the_cookie_wins_over_the_login_that_is_under_way() {
    let mut world = World::new();
    let login = world.ask(Command::Login(Box::new(login("code"))));
    let close = world.ask(Command::Close { reason: EndReason::Remote });
    assert!(!world.ended(close).ended);
    let Reply::LoginFailed(LoginFailure::AlreadyUsed) = world.reply(login) else { panic!() };
    world.works.clear();
    world.login_done(Ok(new_session()));
    assert_eq!(world.revoked(), "refresh-1");
    assert!(!world.is_alive());
}

// Some providers keep one grant per user and client.
#[test]
fn a_replaced_session_revokes_nothing_not_even_what_a_refresh_brings_later() {
    let mut world = World::logged_in(Some(60), true);
    world.wait(secs(61));
    let waiting = world.access(key_a(), None);
    let _ = world.refresh_work();
    let caller = world.end(EndReason::Replaced, false);
    assert!(world.ended(caller).ended);
    assert!(matches!(world.reply(waiting), Reply::NoSession));
    world.refreshed("2", Some(60), true);
    assert!(world.works.is_empty());
    assert!(!world.is_alive());
}

// WSO2 CVE-2025-13173, promise 4: in a race with a refresh.
#[test]
fn a_logout_during_a_refresh_wins_and_the_new_token_is_revoked_too() {
    let mut world = World::logged_in(Some(60), true);
    world.wait(secs(61));
    let waiting = [world.access(key_a(), None), world.access(key_b(), None)];
    let _ = world.refresh_work();
    let caller = world.end(EndReason::Logout, false);
    assert!(world.ended(caller).ended);
    for caller in waiting {
        assert!(matches!(world.reply(caller), Reply::NoSession));
    }
    assert_eq!(world.revoked(), "refresh-1");
    world.refreshed("2", Some(60), true);
    assert!(world.works.is_empty(), "one revocation at a time");
    world.input(Input::RevocationDone(RevocationOutcome::Done));
    assert_eq!(world.revoked(), "refresh-2");
    assert!(!world.is_alive());
    assert!(!String::from_utf8_lossy(world.row.as_deref().unwrap()).contains("refresh"));
}

#[test]
fn what_a_refresh_brings_after_a_logout_gets_a_ticket_too_if_its_revocation_fails() {
    let mut world = World::logged_in(Some(60), true);
    world.wait(secs(61));
    let _ = world.access(key_a(), None);
    let _ = world.refresh_work();
    let _ = world.end(EndReason::Logout, false);
    assert_eq!(world.revoked(), "refresh-1");
    world.input(Input::RevocationDone(RevocationOutcome::Done));
    world.refreshed("2", Some(60), true);
    assert_eq!(world.revoked(), "refresh-2");
    world.input(Input::RevocationDone(RevocationOutcome::Failed));
    world.restart();
    world.wait(secs(30));
    assert!(world.ring());
    assert_eq!(world.revoked(), "refresh-2");
    world.input(Input::RevocationDone(RevocationOutcome::Done));
    assert!(!String::from_utf8_lossy(world.row.as_deref().unwrap()).contains("\"text\""));
}

#[test]
fn the_idle_limit_ends_it_by_the_alarm_and_a_touch_moves_it_without_a_row() {
    let mut world = World::logged_in(Some(300), true);
    // The alarm of the login rings early and is set anew.
    world.wait(secs(600));
    assert!(world.ring());
    assert_eq!(world.alarm, Some(T0.after(secs(3600))));
    world.wait(secs(2000));
    let before = world.rows;
    let caller = world.ask(Command::Status { session_id: session_id(), touch: true });
    assert!(matches!(world.reply(caller), Reply::Status(_)));
    assert_eq!(world.rows - before, 1, "the touch; no alarm");
    world.wait(secs(1000));
    assert!(world.ring());
    assert!(world.is_alive());
    assert_eq!(world.alarm, Some(T0.after(secs(6200))));
    world.restart();
    world.wait(secs(2600));
    assert!(world.ring());
    assert!(world.row.is_none());
    assert_eq!(world.ended_because(), [EndReason::Idle]);
    assert!(world.works.is_empty(), "closed: nothing that could be revoked");
}

#[test]
fn at_a_limit_what_is_still_open_is_revoked() {
    for by_alarm in [true, false] {
        let mut world = World::logged_in(Some(300), true);
        world.wait(secs(3600));
        if by_alarm {
            assert!(world.ring());
        } else {
            let caller = world.access(key_a(), None);
            assert!(matches!(world.reply(caller), Reply::NoSession));
        }
        assert_eq!(world.ended_because(), [EndReason::Idle]);
        assert_eq!(world.revoked(), "refresh-1");
        // Only a logout leaves a ticket.
        world.input(Input::RevocationDone(RevocationOutcome::Failed));
        assert!(world.row.is_none());
    }
}

// Some providers keep one grant per user and client: the login that took the place lives on it.
#[test]
fn what_ends_because_of_a_login_is_not_revoked_not_even_what_a_refresh_brings_after() {
    for reason in [EndReason::Replaced, EndReason::TooMany] {
        let mut world = World::logged_in(Some(60), true);
        world.wait(secs(61));
        let caller = world.access(key_a(), None);
        assert!(matches!(world.works.pop(), Some(Work::Refresh(_))));
        let close = world.ask(Command::Close { reason });
        assert!(world.ended(close).ended);
        assert!(matches!(world.reply(caller), Reply::NoSession));
        world.refreshed("2", Some(60), true);
        assert!(world.works.is_empty(), "{reason:?}");
    }
}

#[test]
fn status_without_touch_does_not_extend_and_the_absolute_limit_is_exact() {
    let mut world = World::logged_in(Some(300), true);
    for _ in 0..35 {
        world.wait(secs(100));
        assert!(world.is_alive());
    }
    world.wait(secs(100));
    assert!(!world.is_alive());

    let mut world = World::logged_in(None, true);
    for _ in 0..86 {
        world.wait(secs(1000));
        let caller = world.access(key_a(), None);
        let _ = world.grant(caller);
    }
    world.wait(secs(399));
    assert!(world.is_alive());
    world.wait(secs(1));
    assert!(!world.is_alive());
    assert_eq!(world.ended_because(), [EndReason::Absolute]);
}

#[test]
fn a_failed_revocation_becomes_a_ticket_that_the_alarm_retries_for_its_time_only() {
    let mut world = World::logged_in(Some(300), true);
    let caller = world.end(EndReason::Logout, false);
    assert!(world.ended(caller).ended);
    let start = world.now;
    let mut tries = 0;
    while !world.works.is_empty() {
        assert_eq!(world.revoked(), "refresh-1");
        tries += 1;
        world.input(Input::RevocationDone(RevocationOutcome::Failed));
        // The ticket survives a restart, and no token stands in the row.
        world.restart();
        let Some(alarm) = world.alarm else { break };
        world.now = alarm;
        assert!(world.ring());
    }
    assert!((5..30).contains(&tries), "{tries}");
    assert!(world.now.since(start) <= secs(3600 + 600));
    while let Some(alarm) = world.alarm {
        world.now = alarm;
        world.ring();
    }
    assert!(world.row.is_none());
}

#[test]
fn a_ticket_is_gone_once_the_provider_has_answered() {
    for outcome in [RevocationOutcome::Done, RevocationOutcome::Refused] {
        let mut world = World::logged_in(Some(300), true);
        let _ = world.end(EndReason::Logout, false);
        let _ = world.revoked();
        world.input(Input::RevocationDone(RevocationOutcome::Failed));
        world.now = world.alarm.unwrap();
        assert!(world.ring());
        assert_eq!(world.revoked(), "refresh-1");
        world.input(Input::RevocationDone(outcome));
        world.restart();
        while let Some(alarm) = world.alarm {
            world.now = alarm;
            world.ring();
        }
        assert!(world.works.is_empty() && world.row.is_none(), "{outcome:?}");
    }
}

#[test]
fn tickets_can_be_turned_off() {
    let mut config = config();
    config.session.revocation_ticket = Duration::ZERO;
    let mut world = World::with(config);
    world.log_in(Some(300), true);
    let _ = world.end(EndReason::Logout, false);
    let _ = world.revoked();
    let before = world.row.clone();
    world.input(Input::RevocationDone(RevocationOutcome::Failed));
    assert_eq!(world.row, before);
    assert!(matches!(world.events.last(), Some(Event::RevocationFailed { will_retry: false, .. })));
}

fn redeem(world: &mut World, ticket: &Ticket) -> Reply {
    let caller = world.ask(Command::RedeemLogout { ticket: ticket.clone() });
    world.reply(caller)
}

#[test]
fn a_logout_ticket_gives_the_id_token_once_and_in_time() {
    for old in [false, true] {
        let mut world = World::logged_in(Some(300), true);
        world.wait(secs(if old { 1200 } else { 1 }));
        let caller = world.end(EndReason::Logout, true);
        let ended = world.ended(caller);
        assert!(ended.id_token.is_none(), "it waits for the ticket");
        let ticket = ended.ticket.unwrap();
        let _ = world.revokes_all(RevocationOutcome::Done);
        world.restart();
        let wrong = LogoutTicketKey(base64url::encode([1; 32]).into());
        for wrong in [wrong, LogoutTicketKey("x".into())] {
            assert!(matches!(redeem(&mut world, &wrong), Reply::NoSession));
        }
        world.wait(secs(119));
        match redeem(&mut world, &ticket) {
            Reply::LogoutRedeemed { id_token, end_session_endpoint, origin } => {
                assert_eq!(text(id_token.as_ref()), Some("id-1"));
                assert_eq!(end_session_endpoint.as_deref(), Some("https://id.example.com/end"));
                assert_eq!(origin, "https://app.example.com");
            }
            other => panic!("{other:?}"),
        }
        assert!(matches!(redeem(&mut world, &ticket), Reply::NoSession), "twice");
        world.restart();
        assert!(matches!(redeem(&mut world, &ticket), Reply::NoSession), "after a restart");
        assert_eq!(world.row.is_none(), old);
    }
}

#[test]
fn a_late_logout_ticket_opens_nothing_and_the_alarm_removes_it() {
    let mut world = World::logged_in(Some(300), true);
    world.wait(secs(1200));
    let caller = world.end(EndReason::Logout, true);
    let ticket = world.ended(caller).ticket.unwrap();
    let _ = world.revokes_all(RevocationOutcome::Done);
    world.wait(secs(120));
    assert!(matches!(redeem(&mut world, &ticket), Reply::NoSession));
    assert!(world.ring());
    assert!(world.row.is_none());
}

#[test]
fn an_alarm_that_moved_since_the_last_write_is_not_trusted_after_a_restart() {
    let mut world = World::logged_in(Some(300), true);
    world.wait(secs(600));
    assert!(world.ring());
    world.wait(secs(100));
    // The row still says that the alarm is at 600 s; it is at 3600 s.
    world.restart();
    let caller = world.end(EndReason::Logout, true);
    assert!(world.ended(caller).ticket.is_some());
    assert_eq!(world.alarm, Some(world.now.after(secs(30))), "the revocation's second try");
}

#[test]
fn an_alarm_that_rang_before_its_time_is_where_the_row_says() {
    let mut world = World::logged_in(Some(300), true);
    assert_eq!(world.alarm, Some(T0.after(secs(600))));
    world.wait(secs(10));
    world.alarm = None;
    world.input(Input::Alarm);
    // The row wasn't written. What it says is believed, and must be true.
    world.restart();
    world.wait(secs(580));
    let caller = world.end(EndReason::Logout, false);
    assert!(world.ended(caller).ended);
    assert!(world.alarm <= Some(world.now.after(secs(30))), "the revocation is tried again then");
}

#[test]
fn an_operator_may_keep_the_id_token_from_the_browser() {
    let mut config = config();
    config.provider.id_token_hint = false;
    for keep in [false, true] {
        let mut world = World::with(config.clone());
        world.log_in(Some(300), true);
        let caller = world.end(EndReason::Logout, keep);
        let ended = world.ended(caller);
        assert!(ended.id_token.is_none());
        if let Some(ticket) = ended.ticket {
            let Reply::LogoutRedeemed { id_token, .. } = redeem(&mut world, &ticket) else {
                panic!("no reply")
            };
            assert!(id_token.is_none());
        }
    }
}

// Promise 4, in a race with a refresh, whoever ends it.
#[test]
fn an_end_without_the_cookie_wins_over_a_refresh_that_is_under_way() {
    let mut world = World::logged_in(Some(60), true);
    world.wait(secs(61));
    let waiting = [world.access(key_a(), None), world.access(key_b(), None)];
    let _ = world.refresh_work();
    let caller = world.ask(Command::Close { reason: EndReason::BackChannel });
    assert!(world.ended(caller).ended);
    for caller in waiting {
        assert!(matches!(world.reply(caller), Reply::NoSession));
    }
    assert_eq!(world.revoked(), "refresh-1");
    world.refreshed("2", Some(60), true);
    world.input(Input::RevocationDone(RevocationOutcome::Done));
    assert_eq!(world.revoked(), "refresh-2");
    assert!(!world.is_alive());
}

// A shorter idle limit does so too: `lifetime`.
#[test]
fn a_shorter_absolute_limit_of_the_operator_takes_hold_when_the_object_starts_next() {
    let mut world = World::logged_in(None, true);
    let mut config = config();
    config.session.absolute = secs(1800);
    world.restart_with(config.clone());
    let caller = world.ask(Command::Status { session_id: session_id(), touch: false });
    let Reply::Status(status) = world.reply(caller) else { panic!() };
    assert_eq!(status.absolute_deadline, T0.after(secs(1800)));
    // A longer one doesn't: the person was told when the session would end.
    let mut longer = config;
    longer.session.absolute = secs(400 * 86_400);
    let before = World::logged_in(None, true);
    let mut after = World::with(longer);
    after.row = before.row;
    after.restart();
    let caller = after.ask(Command::Status { session_id: session_id(), touch: false });
    let Reply::Status(status) = after.reply(caller) else { panic!() };
    assert_eq!(status.absolute_deadline, T0.after(before.config.session.absolute));

    world.wait(secs(1799));
    assert!(matches!(granted_or_not(&mut world), Reply::Granted(_)));
    world.wait(secs(1));
    assert!(matches!(granted_or_not(&mut world), Reply::NoSession));
    assert!(world.events.contains(&Event::SessionEnded {
        session: world.config.session.keys.audit_name(&session_id().key()),
        reason: EndReason::Absolute,
    }));
}

fn granted_or_not(world: &mut World) -> Reply {
    let caller = world.access(key_a(), None);
    world.reply(caller)
}
