//! One refresh, for everyone, and what its failures mean (promise 3).

use super::*;
use crate::audit::RefreshFailure;

/// Past the end of a token of 60 seconds.
fn run_out() -> World {
    let mut world = World::logged_in(Some(60), true);
    world.wait(secs(61));
    world
}

fn token(world: &mut World, caller: CallerId) -> String {
    world.grant(caller).access_token.expose().clone()
}

// better-auth CVE-2026-53517: the rotation race.
#[test]
fn fifty_calls_at_expiry_are_one_refresh_and_all_get_its_token() {
    let mut world = run_out();
    let callers: Vec<_> = (0..50).map(|_| world.access(key_a(), None)).collect();
    assert!(callers.iter().all(|caller| world.is_waiting(*caller)));
    let work = world.refresh_work();
    assert_eq!(work.refresh_token.expose(), "refresh-1");
    assert_eq!(work.token_endpoint, "https://id.example.com/token");
    world.refreshed("2", Some(60), true);
    for caller in callers {
        let grant = world.grant(caller);
        assert_eq!(grant.access_token.expose(), "access-2");
        assert_eq!(grant.epoch, 2);
    }
    assert!(world.works.is_empty());
}

#[test]
fn a_refresh_is_two_rows_and_touch_comes_along() {
    let mut world = run_out();
    let before = world.rows;
    let caller = world.access(key_a(), None);
    assert_eq!(world.rows - before, 1, "sending");
    world.refreshed("2", Some(60), true);
    assert_eq!(world.rows - before, 2, "the result");
    assert_eq!(token(&mut world, caller), "access-2");
}

#[test]
fn a_warm_session_writes_nothing_and_a_touch_one_row_a_step() {
    let mut world = World::logged_in(Some(36_000), true);
    let before = world.rows;
    for _ in 0..179 {
        world.wait(secs(1));
        let caller = world.access(key_a(), None);
        assert_eq!(token(&mut world, caller), "access-1");
    }
    assert_eq!(world.rows, before);
    world.wait(secs(1));
    let caller = world.access(key_a(), None);
    assert_eq!(world.grant(caller).session_deadline, world.now.after(secs(3600)));
    assert_eq!(world.rows - before, 1);
}

#[test]
fn ahead_of_expiry_the_old_token_serves_while_the_new_one_is_fetched() {
    let mut world = World::logged_in(Some(60), true);
    world.wait(secs(48));
    let first = world.access(key_a(), None);
    let second = world.access(key_a(), None);
    assert_eq!(token(&mut world, first), "access-1");
    assert_eq!(token(&mut world, second), "access-1");
    let _ = world.refresh_work();
    world.wait(secs(7));
    let close = world.access(key_a(), None);
    assert!(world.is_waiting(close));
    world.refreshed("2", Some(60), true);
    assert_eq!(token(&mut world, close), "access-2");
}

#[test]
fn what_is_steady_stays_the_same_to_the_millisecond_and_writes_nothing() {
    let steady = |world: &World| world.machine.steady_until(&key_a(), world.now);
    let ask = |world: &mut World| {
        let caller = world.access(key_a(), None);
        token(world, caller)
    };
    // A token of an hour: the next touch comes first, then the time to renew it.
    let mut world = World::logged_in(Some(3600), true);
    assert_eq!(ask(&mut world), "access-1");
    let until = steady(&world).unwrap();
    assert!(until > world.now && until < T0.after(secs(2880)), "{until:?}");
    let rows = world.rows;
    world.now = until.before(Duration::from_millis(1));
    assert_eq!(ask(&mut world), "access-1");
    assert_eq!((world.rows, world.works.len(), steady(&world)), (rows, 0, Some(until)));
    world.now = until;
    assert_eq!(ask(&mut world), "access-1");
    assert_eq!(world.rows, rows + 1, "a touch");
    let mut world = World::logged_in(Some(60), true);
    assert_eq!(ask(&mut world), "access-1");
    let until = steady(&world).unwrap();
    assert_eq!(until, T0.after(secs(48)));
    world.now = until;
    assert_eq!(ask(&mut world), "access-1");
    assert_eq!(steady(&world), None, "it is being renewed");
    let _ = world.refresh_work();
    world.refresh_failed(RefreshFailure::ProviderUnavailable);
    assert_eq!(steady(&world), None, "it is to be renewed");
    world.wait(secs(20));
    let _ = world.access(key_a(), None);
    assert_eq!(steady(&world), None, "it has run out");
    let _ = world.refresh_work();
    world.refreshed("2", Some(60), true);
    assert!(steady(&world).is_some());
    assert_eq!(world.machine.steady_until(&key_b(), world.now), None, "it was never given");

    // Without a lifetime, and refused.
    let mut world = World::logged_in(None, true);
    assert!(steady(&world).is_some());
    world.wait(secs(31));
    let _ = world.access(key_a(), Some(1));
    let _ = world.refresh_work();
    world.refresh_failed(RefreshFailure::ProviderUnavailable);
    assert_eq!(steady(&world), None, "the API has refused it");

    // Nor after an end, nor where only the row is known.
    let mut world = World::logged_in(Some(3600), true);
    let end = world.end(EndReason::Logout, false);
    assert!(world.ended(end).ended);
    assert_eq!(steady(&world), None);
    let mut world = World::logged_in(Some(3600), true);
    world.restart();
    assert_eq!(steady(&world), None);
}

#[test]
fn a_late_401_for_an_old_epoch_gets_the_current_token() {
    let mut world = run_out();
    let caller = world.access(key_a(), None);
    let _ = world.refresh_work();
    world.refreshed("2", Some(60), true);
    assert_eq!(token(&mut world, caller), "access-2");
    let late = world.access(key_a(), Some(1));
    assert_eq!(token(&mut world, late), "access-2");
    assert!(world.works.is_empty());
}

#[test]
fn a_401_refreshes_once_an_epoch_and_never_a_young_token() {
    let mut world = World::logged_in(Some(60), true);
    let young = world.access(key_a(), Some(1));
    assert_eq!(token(&mut world, young), "access-1");
    world.wait(secs(15));
    let callers = [world.access(key_a(), Some(1)), world.access(key_a(), Some(1))];
    let _ = world.refresh_work();
    world.refresh_failed(RefreshFailure::ProviderOverloaded);
    for caller in callers {
        assert_eq!(token(&mut world, caller), "access-1");
    }
    world.wait(secs(10));
    let again = world.access(key_a(), Some(1));
    assert_eq!(token(&mut world, again), "access-1");
    assert!(world.works.is_empty(), "a second refresh for one epoch");
}

#[test]
fn an_unknown_lifetime_is_refreshed_at_the_first_401() {
    let mut world = World::logged_in(None, true);
    world.wait(secs(3000));
    let calm = world.access(key_a(), None);
    assert_eq!(token(&mut world, calm), "access-1");
    let refused = world.access(key_a(), Some(1));
    assert!(world.is_waiting(refused));
    let _ = world.refresh_work();
    world.refresh_failed(RefreshFailure::ProviderUnavailable);
    let reply = world.reply(refused);
    assert_eq!(unavailable(&reply), Some(Unavailable::ProviderUnavailable));
    assert!(world.is_alive());
}

// Duende CVE-2025-26620: parallel calls for different resources.
#[test]
fn each_resource_gets_its_own_token_one_flight_after_the_other() {
    let mut world = run_out();
    let a = [world.access(key_a(), None), world.access(key_a(), None)];
    let b = [world.access(key_b(), None), world.access(key_b(), None)];
    let work = world.refresh_work();
    assert_eq!((work.token, work.refresh_token.expose().as_str()), (key_a(), "refresh-1"));
    world.refreshed("2", Some(60), true);
    let work = world.refresh_work();
    assert_eq!((work.token, work.refresh_token.expose().as_str()), (key_b(), "refresh-2"));
    assert!(b.iter().all(|caller| world.is_waiting(*caller)));
    world.refreshed("3", Some(60), true);
    for caller in a {
        assert_eq!(token(&mut world, caller), "access-2");
    }
    for caller in b {
        assert_eq!(token(&mut world, caller), "access-3");
    }
    let again = world.access(key_a(), None);
    assert_eq!(token(&mut world, again), "access-2");
}

#[test]
fn without_a_new_refresh_token_the_old_one_stays() {
    let mut world = run_out();
    for name in ["2", "3"] {
        let caller = world.access(key_a(), None);
        assert_eq!(world.refresh_work().refresh_token.expose(), "refresh-1");
        world.refreshed(name, Some(60), false);
        assert_eq!(token(&mut world, caller), format!("access-{name}"));
        world.wait(secs(61));
    }
}

// oauth2-proxy #3333: a session that outlives a fatal refusal.
#[test]
fn invalid_grant_ends_the_session_at_once_and_everyone_is_told() {
    let mut world = run_out();
    let callers =
        [world.access(key_a(), None), world.access(key_a(), None), world.access(key_b(), None)];
    let _ = world.refresh_work();
    world.refresh_failed(RefreshFailure::InvalidGrant);
    for caller in callers {
        assert!(matches!(world.reply(caller), Reply::NoSession));
    }
    assert_eq!(world.ended_because(), [EndReason::InvalidGrant]);
    assert!(world.works.is_empty(), "nothing to revoke");
    assert!(!world.is_alive());
}

#[test]
fn a_provider_in_trouble_ends_nothing_and_is_not_hammered() {
    for (failure, why) in [
        (RefreshFailure::ProviderUnavailable, Unavailable::ProviderUnavailable),
        (RefreshFailure::ProviderOverloaded, Unavailable::ProviderOverloaded),
        (RefreshFailure::ProviderRefusesClient, Unavailable::ProviderRefusesClient),
    ] {
        let mut world = run_out();
        let mut tries = 0;
        for _ in 0..600 {
            let caller = world.access(key_a(), None);
            if world.works.pop().is_some() {
                tries += 1;
                world.refresh_failed(failure);
            }
            assert_eq!(unavailable(&world.reply(caller)), Some(why));
            world.wait(secs(1));
        }
        // 1 + 2 + 4 + 8 + 16 seconds, then every 30.
        assert!((20..=30).contains(&tries), "{failure:?}: {tries}");
        assert!(world.is_alive(), "{failure:?}");
        world.wait(secs(31));
        let caller = world.access(key_a(), None);
        world.refreshed("2", Some(60), true);
        assert_eq!(token(&mut world, caller), "access-2");
    }
}

#[test]
fn the_old_token_serves_while_it_lives_whatever_the_provider_says() {
    for failure in [
        RefreshFailure::ProviderUnavailable,
        RefreshFailure::ProviderOverloaded,
        RefreshFailure::ProviderRefusesClient,
        RefreshFailure::Refused,
        RefreshFailure::IdentityRefused,
    ] {
        let mut world = World::logged_in(Some(300), true);
        world.wait(secs(296));
        let caller = world.access(key_a(), None);
        let _ = world.refresh_work();
        world.refresh_failed(failure);
        assert_eq!(token(&mut world, caller), "access-1", "{failure:?}");
    }
}

#[test]
fn an_answer_that_was_lost_gets_one_more_try_and_its_refusal_has_a_name() {
    for restarts in [false, true] {
        let mut world = run_out();
        let caller = world.access(key_a(), None);
        let _ = world.refresh_work();
        if restarts {
            world.restart();
        } else {
            world.refresh_failed(RefreshFailure::ProviderUnavailable);
            assert!(unavailable(&world.reply(caller)).is_some());
        }
        world.wait(secs(2));
        let caller = world.access(key_a(), None);
        assert_eq!(world.refresh_work().refresh_token.expose(), "refresh-1");
        world.refresh_failed(RefreshFailure::InvalidGrant);
        assert!(matches!(world.reply(caller), Reply::NoSession));
        assert_eq!(world.ended_because(), [EndReason::RefreshAnswerLost], "{restarts}");
    }
}

#[test]
fn a_lost_answer_stays_lost_through_overload_and_is_forgotten_by_success() {
    let mut world = run_out();
    for failure in [RefreshFailure::ProviderUnavailable, RefreshFailure::ProviderOverloaded] {
        let caller = world.access(key_a(), None);
        let _ = world.refresh_work();
        world.refresh_failed(failure);
        assert!(unavailable(&world.reply(caller)).is_some());
        world.restart();
        world.wait(secs(40));
    }
    let mut other = World { row: world.row.clone(), now: world.now, ..World::new() };
    other.restart();

    let _ = world.access(key_a(), None);
    let _ = world.refresh_work();
    world.refresh_failed(RefreshFailure::InvalidGrant);
    assert_eq!(world.ended_because(), [EndReason::RefreshAnswerLost]);

    let _ = other.access(key_a(), None);
    let _ = other.refresh_work();
    other.refreshed("2", Some(60), true);
    other.wait(secs(61));
    let _ = other.access(key_a(), None);
    let _ = other.refresh_work();
    other.refresh_failed(RefreshFailure::InvalidGrant);
    assert_eq!(other.ended_because(), [EndReason::InvalidGrant]);
}

#[test]
fn another_definite_refusal_ends_only_a_second_time_later_and_with_no_token_alive() {
    let mut world = World::logged_in(Some(60), true);
    world.wait(secs(50));
    // Ahead of expiry: refused, the old token serves.
    let caller = world.access(key_a(), None);
    assert_eq!(token(&mut world, caller), "access-1");
    let _ = world.refresh_work();
    world.refresh_failed(RefreshFailure::Refused);
    // A second time while the token lives: still serves.
    world.wait(secs(6));
    let caller = world.access(key_a(), None);
    let _ = world.refresh_work();
    world.refresh_failed(RefreshFailure::Refused);
    assert_eq!(token(&mut world, caller), "access-1");
    // Run out, but too early for another try.
    world.wait(secs(4));
    let caller = world.access(key_a(), None);
    assert!(unavailable(&world.reply(caller)).is_some());
    world.wait(secs(10));
    let caller = world.access(key_a(), None);
    let _ = world.refresh_work();
    world.refresh_failed(RefreshFailure::Refused);
    assert!(matches!(world.reply(caller), Reply::NoSession));
    assert_eq!(world.ended_because(), [EndReason::RefreshRefused]);
}

#[test]
fn the_first_definite_refusal_after_the_tokens_end_ends_nothing() {
    let mut world = run_out();
    let caller = world.access(key_a(), None);
    let _ = world.refresh_work();
    world.refresh_failed(RefreshFailure::Refused);
    assert!(unavailable(&world.reply(caller)).is_some());
    assert!(world.is_alive());
    world.restart();
    world.wait(secs(6));
    let caller = world.access(key_a(), None);
    let _ = world.refresh_work();
    world.refresh_failed(RefreshFailure::Refused);
    assert!(matches!(world.reply(caller), Reply::NoSession));
}

#[test]
fn a_resource_that_the_provider_refuses_ends_no_session() {
    let mut world = run_out();
    for round in 0..4 {
        let b = world.access(key_b(), None);
        assert_eq!(world.refresh_work().token, key_b(), "round {round}");
        let waiting = (round == 0).then(|| world.access(key_a(), None));
        world.refresh_failed(RefreshFailure::Refused);
        assert!(unavailable(&world.reply(b)).is_some());
        // No token lives: one that was given before tells whether the refresh token is good. Asked
        // once, whoever waits for it.
        if let Some(waiting) = waiting {
            assert_eq!(world.refresh_work().token, key_a());
            world.refreshed("2", Some(3600), true);
            assert_eq!(token(&mut world, waiting), "access-2");
            assert!(world.works.is_empty());
        }
        world.wait(secs(31));
    }
    assert!(world.is_alive());
    let a = world.access(key_a(), None);
    assert_eq!(token(&mut world, a), "access-2");
}

// Some say `invalid_grant` of a resource that nobody has consented to.
#[test]
fn invalid_grant_for_a_token_that_was_never_given_ends_only_a_spent_refresh_token() {
    let mut world = run_out();
    for (round, pause) in [6, 11, 21, 31].into_iter().enumerate() {
        let b = world.access(key_b(), None);
        assert_eq!(world.refresh_work().token, key_b(), "round {round}");
        world.refresh_failed(RefreshFailure::InvalidGrant);
        assert_eq!(unavailable(&world.reply(b)), Some(Unavailable::ProviderRefusesClient));
        // One that was given tells whether the refresh token is good.
        if round == 0 {
            assert_eq!(world.refresh_work().token, key_a());
            world.refreshed("2", Some(3600), true);
        }
        assert!(world.works.is_empty());
        // Not by every call, and the longer the rarer.
        world.wait(secs(pause - 2));
        let b = world.access(key_b(), None);
        assert_eq!(unavailable(&world.reply(b)), Some(Unavailable::ProviderRefusesClient));
        assert!(world.works.is_empty());
        world.wait(secs(2));
    }
    assert!(world.is_alive());

    // Nothing says how long the other token lives, and no call needs it: asked each time.
    let mut world = World::logged_in(None, true);
    for pause in [6, 11, 21] {
        let _ = world.access(key_b(), None);
        assert_eq!(world.refresh_work().token, key_b());
        world.refresh_failed(RefreshFailure::InvalidGrant);
        assert_eq!(world.refresh_work().token, key_a());
        world.refreshed("2", None, true);
        world.wait(secs(pause));
    }

    // The answer for another one was lost: while the first token lives, too.
    let mut world = World::logged_in(Some(3600), true);
    let _ = world.access(key_b(), None);
    let _ = world.refresh_work();
    world.refresh_failed(RefreshFailure::InvalidGrant);
    let _ = world.refresh_work();
    world.refreshed("2", Some(3600), true);
    world.wait(secs(6));
    let _ = world.access(key_b(), None);
    let _ = world.refresh_work();
    world.refresh_failed(RefreshFailure::ProviderUnavailable);
    world.wait(secs(6));
    let _ = world.access(key_b(), None);
    let _ = world.refresh_work();
    world.refresh_failed(RefreshFailure::InvalidGrant);
    assert_eq!(world.refresh_work().token, key_a());
    world.refresh_failed(RefreshFailure::InvalidGrant);
    assert_eq!(world.ended_because(), [EndReason::RefreshAnswerLost]);

    for (lost, reason) in [(false, EndReason::InvalidGrant), (true, EndReason::RefreshAnswerLost)] {
        let mut world = run_out();
        if lost {
            let _ = world.access(key_a(), None);
            let _ = world.refresh_work();
            world.refresh_failed(RefreshFailure::ProviderUnavailable);
            world.wait(secs(2));
        }
        let _ = world.access(key_b(), None);
        assert_eq!(world.refresh_work().token, key_b());
        let a = world.access(key_a(), None);
        world.refresh_failed(RefreshFailure::InvalidGrant);
        assert_eq!(world.refresh_work().token, key_a());
        world.refresh_failed(RefreshFailure::InvalidGrant);
        assert!(matches!(world.reply(a), Reply::NoSession));
        assert_eq!(world.ended_because(), [reason]);
        assert!(world.works.is_empty());
    }
}

#[test]
fn without_a_refresh_token_the_session_ends_with_its_access_token() {
    let mut world = World::logged_in(Some(60), false);
    world.wait(secs(59));
    let caller = world.access(key_a(), None);
    let grant = world.grant(caller);
    assert_eq!(grant.session_deadline, T0.after(secs(60)));
    let other = world.access(key_b(), None);
    assert_eq!(unavailable(&world.reply(other)), Some(Unavailable::ProviderRefusesClient));
    world.wait(secs(1));
    let caller = world.access(key_a(), None);
    assert!(matches!(world.reply(caller), Reply::NoSession));
    assert_eq!(world.ended_because(), [EndReason::TokenExpired]);
    assert!(world.works.is_empty());

    let mut unknown = World::logged_in(None, false);
    unknown.wait(secs(31));
    let caller = unknown.access(key_a(), Some(1));
    assert!(matches!(unknown.reply(caller), Reply::NoSession));
    assert_eq!(unknown.ended_because(), [EndReason::TokenExpired]);
}

// Pomerium CVE-2021-41230: old claims after a refresh. mod_auth_openidc 2026: unchecked ID tokens.
#[test]
fn a_new_id_token_brings_new_claims_and_another_subject_brings_nothing() {
    let mut world = run_out();
    let claims = |world: &mut World| {
        let caller = world.ask(Command::Status { session_id: session_id(), touch: false });
        match world.reply(caller) {
            Reply::Status(status) => status.claims["groups"].clone(),
            other => panic!("{other:?}"),
        }
    };
    let caller = world.access(key_a(), None);
    let _ = world.refresh_work();
    let evil = Identity { subject: "somebody else".to_owned(), ..identity("admins") };
    let new = Refreshed { response: response("2", Some(60), true), identity: Some(evil) };
    world.input(Input::RefreshDone(RefreshOutcome::Refreshed(Box::new(new))));
    assert!(unavailable(&world.reply(caller)).is_some());
    assert_eq!(claims(&mut world), "staff");

    world.wait(secs(2));
    let caller = world.access(key_a(), None);
    assert_eq!(world.refresh_work().identity, identity("staff"));
    let renewed = Identity { nonce: None, auth_time: None, ..identity("guests") };
    let new = Refreshed { response: response("3", Some(60), true), identity: Some(renewed) };
    world.input(Input::RefreshDone(RefreshOutcome::Refreshed(Box::new(new))));
    assert_eq!(token(&mut world, caller), "access-3");
    assert_eq!(claims(&mut world), "guests");
    world.wait(secs(61));
    let _ = world.access(key_a(), None);
    let against = world.refresh_work().identity;
    assert_eq!(
        (against.nonce.as_deref(), against.auth_time),
        (Some("the-nonce"), Some(1_800_000_000))
    );
    world.refreshed("4", Some(60), true);
    let end = world.end(EndReason::Logout, false);
    // "4" came without an identity, so its ID token isn't kept.
    assert_eq!(text(world.ended(end).id_token.as_ref()), Some("id-3"));
}

#[test]
fn a_token_without_a_life_is_not_handed_out() {
    let mut world = run_out();
    let caller = world.access(key_a(), None);
    let _ = world.refresh_work();
    world.refreshed("2", Some(0), true);
    assert!(unavailable(&world.reply(caller)).is_some());
}
