//! What holds whatever happens, in whatever order.

use super::*;
use crate::audit::RefreshFailure;

/// A small generator: the same runs every time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

fn random_step(world: &mut World, dice: &mut Dice, callers: &mut Vec<CallerId>) {
    let key = if dice.roll(3) == 0 { key_b() } else { key_a() };
    let refused = (dice.roll(4) == 0).then(|| dice.roll(4));
    match dice.roll(16) {
        0 => callers.push(world.ask(Command::Login(Box::new(login("code"))))),
        1 if dice.roll(3) == 0 => {
            callers.push(world.ask(Command::Login(Box::new(login("other")))));
        }
        2..=6 => callers.push(world.access(key, refused)),
        7 => callers.push(
            world.ask(Command::Status { session_id: session_id(), touch: dice.roll(2) == 0 }),
        ),
        8 if dice.roll(6) == 0 => {
            let reason = [EndReason::Logout, EndReason::Replaced][dice.roll(2) as usize];
            callers.push(world.end(reason, dice.roll(2) == 0));
        }
        9 => {
            let session_key = SessionId::from_bytes([8; 32]).key();
            let session_id = session_id();
            let command = Command::Status { session_id, touch: true };
            callers.push(world.deliver(Envelope { protocol: PROTOCOL, session_key, command }));
        }
        10 => world.wait(secs(dice.roll(120))),
        11 => {
            world.ring();
        }
        _ => finish_work(world, dice),
    }
}

fn finish_work(world: &mut World, dice: &mut Dice) {
    if world.works.is_empty() {
        return;
    }
    let at = dice.roll(world.works.len() as u64) as usize;
    match world.works.remove(at) {
        Work::Login(_) => {
            let failures = [LoginFailure::ProviderUnavailable, LoginFailure::CodeRefused];
            world.login_done(match dice.roll(6) {
                0 | 1 => Err(failures[dice.roll(2) as usize]),
                _ => Ok(NewSession {
                    response: response("1", [None, Some(60)][dice.roll(2) as usize], true),
                    identity: identity("staff"),
                }),
            });
        }
        Work::Refresh(_) => {
            let failures = [
                RefreshFailure::InvalidGrant,
                RefreshFailure::Refused,
                RefreshFailure::ProviderOverloaded,
                RefreshFailure::ProviderUnavailable,
            ];
            match dice.roll(8) {
                at @ 0..=3 => world.refresh_failed(failures[at as usize]),
                _ => world.refreshed("n", Some(60), true),
            }
        }
        Work::Revoke { .. } => {
            let outcomes = [RevocationOutcome::Done, RevocationOutcome::Failed];
            world.input(Input::RevocationDone(outcomes[dice.roll(2) as usize]));
        }
    }
    let count = |is: fn(&Work) -> bool| world.works.iter().filter(|work| is(work)).count();
    assert!(count(|work| matches!(work, Work::Login(_))) <= 1);
    assert!(count(|work| matches!(work, Work::Refresh(_))) <= 1);
    assert!(count(|work| matches!(work, Work::Revoke { .. })) <= 1);
}

#[test]
fn everyone_gets_exactly_one_reply_whatever_happens() {
    for seed in 0..600 {
        let mut dice = Dice(seed);
        let mut world = World::new();
        let mut callers = Vec::new();
        for _ in 0..120 {
            random_step(&mut world, &mut dice, &mut callers);
        }
        while !world.works.is_empty() {
            finish_work(&mut world, &mut dice);
        }
        for caller in callers {
            let replies = world.replies.get(&caller).map_or(0, Vec::len);
            assert_eq!(replies, 1, "seed {seed}, {caller:?}");
        }
    }
}

#[test]
fn whatever_happens_the_storage_ends_empty() {
    for seed in 0..500 {
        let mut dice = Dice(seed);
        let mut world = World::new();
        let mut callers = Vec::new();
        for _ in 0..60 {
            random_step(&mut world, &mut dice, &mut callers);
            if dice.roll(20) == 0 {
                world.restart();
            }
        }
        let mut rings = 0;
        while let Some(alarm) = world.alarm {
            world.now = world.now.max(alarm);
            world.ring();
            world.works.clear();
            rings += 1;
            assert!(rings < 200, "seed {seed}: an alarm without an end");
        }
        assert!(world.row.is_none(), "seed {seed}: {:?}", world.machine);
    }
}

// CVE-2021-41246 and its kin: nothing is served under another id or name.
#[test]
fn what_is_not_addressed_to_this_session_is_no_session() {
    let mut world = World::logged_in(Some(60), true);
    let before = (world.row.clone(), world.rows);
    let stranger = SessionId::from_bytes([8; 32]);
    for key in [session_id().key(), stranger.key()] {
        for command in [
            Command::Access { session_id: stranger.clone(), token: key_a(), refused_epoch: None },
            Command::Status { session_id: stranger.clone(), touch: true },
            Command::End {
                session_id: stranger.clone(),
                reason: EndReason::Logout,
                keep_id_token: true,
            },
        ] {
            let session_key = key.clone();
            let caller = world.deliver(Envelope { protocol: PROTOCOL, session_key, command });
            assert!(matches!(world.reply(caller), Reply::NoSession));
        }
    }
    assert_eq!((world.row.clone(), world.rows), before);
    assert!(world.is_alive());
}

#[test]
fn an_empty_object_keeps_nothing_for_a_session_that_is_not_its_own() {
    let mut world = World::new();
    let session_key = SessionId::from_bytes([8; 32]).key();
    for command in [
        Command::Login(Box::new(login("code"))),
        Command::End { session_id: session_id(), reason: EndReason::Logout, keep_id_token: false },
    ] {
        let session_key = session_key.clone();
        let caller = world.deliver(Envelope { protocol: PROTOCOL, session_key, command });
        assert!(matches!(world.reply(caller), Reply::NoSession));
    }
    assert!(world.row.is_none() && world.works.is_empty() && world.rows == 0);
}

#[test]
fn another_protocol_is_unsupported() {
    let mut world = World::logged_in(Some(60), true);
    let command = Command::Status { session_id: session_id(), touch: true };
    let session_key = session_id().key();
    let caller = world.deliver(Envelope { protocol: PROTOCOL + 1, session_key, command });
    assert!(matches!(world.reply(caller), Reply::Unsupported));
}

#[test]
fn commands_and_replies_survive_json() {
    let command = Command::Login(Box::new(login("code")));
    let session_key = session_id().key();
    let text = serde_json::to_string(&Envelope { protocol: PROTOCOL, session_key, command });
    let envelope: Envelope = serde_json::from_str(&text.unwrap()).unwrap();
    assert!(matches!(envelope.command, Command::Login(login) if login.code.expose() == "code"));
    assert!(serde_json::from_str::<Command>(r#"{"later":{}}"#).is_err());
}

#[test]
fn no_event_names_a_session_or_a_subject() {
    let mut world = World::logged_in(Some(60), true);
    let _ = world.end(EndReason::Logout, false);
    assert_eq!(world.events.len(), 2);
    for event in &world.events {
        let text = format!("{event:?}");
        assert!(!text.contains(&session_id().key().name()), "{text}");
        assert!(!text.contains("the-subject"), "{text}");
    }
}

fn another_provider() -> ObjectConfig {
    let mut config = config();
    "https://other.example.com/".clone_into(&mut config.provider.issuer);
    config
}

// Our credentials at one provider are a secret from every other: requests go to the endpoints that
// were the provider's at the login, with the credentials that are configured now.
#[test]
fn after_a_change_of_providers_nothing_goes_to_the_old_one() {
    let mut world = World::logged_in(Some(60), true);
    world.restart_with(another_provider());
    world.wait(secs(61));
    let caller = world.access(key_a(), None);
    assert!(matches!(world.reply(caller), Reply::NoSession));
    assert!(!world.is_alive());
    let _ = world.end(EndReason::Logout, false);
    assert!(world.works.is_empty(), "{:?}", world.works);

    let mut world = World::logged_in(Some(60), true);
    let _ = world.end(EndReason::Logout, false);
    assert_eq!(world.revoked(), "refresh-1");
    world.input(Input::RevocationDone(RevocationOutcome::Failed));
    world.restart_with(another_provider());
    world.wait(secs(30));
    assert!(world.ring());
    assert!(world.works.is_empty(), "{:?}", world.works);
}

// Deployments are gradual: a Worker half of one configuration talks to an object of another.
#[test]
fn a_login_at_another_provider_than_the_objects_own_starts_nothing() {
    let mut world = World::with(another_provider());
    let caller = world.ask(Command::Login(Box::new(login("code"))));
    assert!(matches!(world.reply(caller), Reply::Unsupported));
    assert!(world.row.is_none() && world.works.is_empty());
}
