//! Whose a session is, and what no one else gets of it. What holds in whatever order things happen
//! is the [`model`](super::model)'s.

use super::*;

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
