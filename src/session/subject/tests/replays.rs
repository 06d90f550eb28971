//! A logout token is accepted once (Back-Channel Logout §2.6 step 8).

use super::*;

fn token(jti: &str, delivery: &str, until: Timestamp) -> SeenToken {
    SeenToken { jti: jti.to_owned(), until, delivery: delivery.to_owned() }
}

fn order(world: &mut World, token: SeenToken) -> SubjectReply {
    let order = EndSessions {
        which: Which::Before { issued: T0 },
        reason: EndReason::BackChannel,
        bars: true,
        token: Some(token),
    };
    let caller = world.order(order);
    world.reply(caller)
}

fn is_replayed(reply: &SubjectReply) -> bool {
    match reply {
        SubjectReply::Replayed => true,
        SubjectReply::Ended { .. } => false,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_token_that_comes_again_is_a_replay_also_after_a_restart() {
    let mut world = World::new();
    let until = T0.after(secs(300));
    assert!(!is_replayed(&order(&mut world, token("j", "one", until))));
    assert!(is_replayed(&order(&mut world, token("j", "two", until))));
    world.restart();
    assert!(is_replayed(&order(&mut world, token("j", "three", until))));
    assert!(!is_replayed(&order(&mut world, token("k", "four", until))));
}

// The entry asks an object that restarted under a call once more.
#[test]
fn the_same_delivery_twice_is_no_replay() {
    let mut world = World::with(1);
    let until = T0.after(secs(300));
    let ordered = |world: &mut World| {
        let token = Some(token("j", "one", until));
        let which = Which::Before { issued: T0.after(secs(1)) };
        let order = EndSessions { which, reason: EndReason::BackChannel, bars: true, token };
        world.order(order)
    };
    let _lost = ordered(&mut world);
    world.restart();
    let again = ordered(&mut world);
    world.all_answer(SessionWord::Gone);
    assert_eq!(world.ended(again), (vec![session(0)], 0));
}

#[test]
fn a_replay_asks_nobody_and_writes_nothing() {
    let mut world = World::new();
    let until = T0.after(secs(300));
    let _ = order(&mut world, token("j", "one", until));
    let late = Registration { issued_at: T0.after(secs(1)), ..world.registration(0) };
    world.register(late);
    let rows = world.rows;
    assert!(is_replayed(&order(&mut world, token("j", "two", until))));
    assert!(world.asked.is_empty());
    assert_eq!(world.rows, rows);
}

#[test]
fn a_token_is_forgotten_when_it_can_not_be_accepted_any_more() {
    let mut world = World::new();
    let (soon, later) = (T0.after(secs(700)), T0.after(secs(800)));
    let _ = order(&mut world, token("j", "one", soon));
    let _ = order(&mut world, token("k", "one", later));
    world.now = soon;
    assert!(world.ring());
    let seen: Vec<_> = world.stored().seen.into_iter().map(|seen| seen.jti).collect();
    assert_eq!(seen, ["k"]);
    world.rings_next();
    assert_eq!(world.now, later);
    assert!(world.row.is_none() && world.alarm.is_none());
}

#[test]
fn no_more_than_64_tokens_are_remembered_and_the_oldest_goes_first() {
    let mut world = World::new();
    let until = T0.after(secs(3600));
    for n in 0..64 {
        assert!(!is_replayed(&order(&mut world, token(&format!("j{n}"), "one", until))));
    }
    assert!(is_replayed(&order(&mut world, token("j0", "two", until))));
    assert!(!is_replayed(&order(&mut world, token("j64", "one", until))));
    assert_eq!(world.stored().seen.len(), 64);
    assert!(is_replayed(&order(&mut world, token("j1", "two", until))));
    assert!(!is_replayed(&order(&mut world, token("j0", "two", until))));
}
