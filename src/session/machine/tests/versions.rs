//! What release 0.1 stored and said, read by this one; and what a later release may add to it.
//!
//! `tests/corpus/release_0_1.json` was written by that release and is never written anew.

use serde_json::{Value, json};

use super::*;
use crate::audit::{Level, RefreshFailure};

fn corpus() -> Value {
    serde_json::from_str(include_str!("../../../../tests/corpus/release_0_1.json")).unwrap()
}

fn keys_of_the_release() -> KeyRing {
    let corpus = corpus();
    let text = |name: &str| corpus["keys"][name].as_str().unwrap().to_owned();
    KeyRing::parse(&text("session_keys"), &text("name_key")).unwrap()
}

/// An object of this release over a row of the earlier one.
fn over(name: &str) -> World {
    let stored = &corpus()["rows"][name];
    let mut config = config();
    config.session.keys = keys_of_the_release();
    let mut world = World::with(config);
    world.row = base64url::decode(stored["row"].as_str().unwrap());
    world.now = Timestamp::from_millis(stored["at"].as_u64().unwrap());
    world.restart();
    // The platform keeps it beside the row.
    world.alarm = world.machine.alarm.armed();
    world
}

fn text_of_token(world: &mut World, key: TokenKey) -> String {
    let caller = world.access(key, None);
    world.grant(caller).access_token.expose().clone()
}

#[test]
fn a_session_of_the_earlier_release_goes_on() {
    let mut world = over("live");
    assert_eq!(text_of_token(&mut world, key_a()), "access-1");
    assert_eq!(text_of_token(&mut world, key_b()), "access-2");
    let status = world.ask(Command::Status { session_id: session_id(), touch: true });
    match world.reply(status) {
        Reply::Status(status) => assert_eq!(status.claims["groups"], "staff"),
        other => panic!("{other:?}"),
    }
    world.wait(secs(301));
    let caller = world.access(key_a(), None);
    let work = world.refresh_work();
    assert_eq!(work.refresh_token.expose(), "refresh-2");
    assert_eq!(work.token_endpoint, "https://id.example.com/token");
    assert_eq!(work.identity, identity("staff"));
    world.refreshed("3", Some(300), true);
    assert_eq!(world.grant(caller).access_token.expose(), "access-3");
    world.restart();
    assert_eq!(text_of_token(&mut world, key_a()), "access-3");
    let caller = world.end(EndReason::Logout, false);
    let ended = world.ended(caller);
    assert_eq!(text(ended.id_token.as_ref()), Some("id-1"));
    assert_eq!(ended.end_session_endpoint.as_deref(), Some("https://id.example.com/end"));
}

// Whoever looks for a subject's sessions must find those of before.
#[test]
fn the_index_names_of_the_earlier_release_are_still_what_its_identity_gives() {
    let world = over("live");
    let Row::Live(closed) = Row::decode(world.row.as_deref().unwrap()) else { panic!() };
    let keys = keys_of_the_release();
    let contents = closed.open(&keys, &session_id()).unwrap();
    assert!(closed.open.names.sid.is_some());
    assert_eq!(record::IndexNames::of(&contents.identity, &keys), closed.open.names);
}

#[test]
fn a_refresh_that_the_earlier_release_had_sent_is_asked_for_once_more() {
    let mut world = over("sending");
    let caller = world.access(key_a(), None);
    assert_eq!(world.refresh_work().refresh_token.expose(), "refresh-2");
    world.refreshed("3", Some(300), true);
    assert_eq!(world.grant(caller).access_token.expose(), "access-3");

    let mut world = over("sending");
    let caller = world.access(key_a(), None);
    let _ = world.refresh_work();
    world.refresh_failed(RefreshFailure::InvalidGrant);
    assert!(matches!(world.reply(caller), Reply::NoSession));
    assert_eq!(world.ended_because(), [EndReason::RefreshAnswerLost]);
}

#[test]
fn a_session_of_the_earlier_release_without_a_refresh_token_ends_with_its_token() {
    let mut world = over("live_without_refresh_token");
    assert_eq!(text_of_token(&mut world, key_a()), "access-1");
    world.wait(secs(300));
    let caller = world.access(key_a(), None);
    assert!(matches!(world.reply(caller), Reply::NoSession));
    assert_eq!(world.ended_because(), [EndReason::TokenExpired]);
}

#[test]
fn a_login_that_the_earlier_release_had_begun_or_failed_stays_what_it_was() {
    for (name, expected) in
        [("exchanging", LoginFailure::CodeRefused), ("login_failed", LoginFailure::IdentityRefused)]
    {
        let mut world = over(name);
        for (code, expected) in [("code", expected), ("other", LoginFailure::AlreadyUsed)] {
            let caller = world.ask(Command::Login(Box::new(login(code))));
            match world.reply(caller) {
                Reply::LoginFailed(failure) => assert_eq!(failure, expected, "{name} {code}"),
                other => panic!("{name} {code}: {other:?}"),
            }
        }
        world.wait(Transaction::LIFETIME);
        assert!(world.ring(), "{name}");
        assert!(world.row.is_none() && world.works.is_empty(), "{name}");
    }
}

#[test]
fn what_a_logout_of_the_earlier_release_left_to_do_is_done() {
    let mut world = over("ended");
    let ticket = corpus()["rows"]["ended"]["logout_ticket"].as_str().unwrap().to_owned();
    let caller = world.ask(Command::RedeemLogout { ticket: LogoutTicketKey(ticket.into()) });
    match world.reply(caller) {
        Reply::LogoutRedeemed { id_token, end_session_endpoint, origin } => {
            assert_eq!(text(id_token.as_ref()), Some("id-1"));
            assert_eq!(end_session_endpoint.as_deref(), Some("https://id.example.com/end"));
            assert_eq!(origin, "https://app.example.com");
        }
        other => panic!("{other:?}"),
    }
    world.wait(secs(30));
    assert!(world.ring());
    assert_eq!(world.revoked(), "refresh-2");
    world.input(Input::RevocationDone(RevocationOutcome::Done));
    world.wait(Transaction::LIFETIME);
    assert!(world.ring());
    assert!(world.row.is_none());
}

#[test]
fn cookies_of_the_earlier_release_open() {
    let (corpus, keys) = (corpus(), keys_of_the_release());
    let cookie = corpus["session_cookie"].as_str().unwrap();
    assert_eq!(keys.open_cookie(cookie), Some(session_id()));
    let cookie = &corpus["transaction_cookie"];
    let (name, value) = (cookie["name"].as_str().unwrap(), cookie["value"].as_str().unwrap());
    let found = keys.open_transaction(value, name).unwrap();
    let said = &corpus["commands"]["login"]["command"]["login"]["transaction"];
    assert_eq!(serde_json::to_value(&found).unwrap(), *said);
    assert!(!found.is_expired(Timestamp::from_millis(cookie["at"].as_u64().unwrap())));
}

/// Whether whoever knows only `theirs` finds all of it in `ours`.
fn has_all_of(theirs: &Value, ours: &Value) -> bool {
    match (theirs, ours) {
        (Value::Object(theirs), Value::Object(ours)) => theirs
            .iter()
            .all(|(name, theirs)| ours.get(name).is_some_and(|ours| has_all_of(theirs, ours))),
        (theirs, ours) => theirs == ours,
    }
}

/// A struct with a member more, and so in every struct in it. An enum's variant stands as the one
/// member of an object: a second one there would be another word.
fn with_more(value: &Value) -> Value {
    let Value::Object(members) = value else { return value.clone() };
    let mut more: serde_json::Map<_, _> = members
        .iter()
        .map(|(name, value)| {
            let is_variant = name == "command";
            (name.clone(), if is_variant { variant_with_more(value) } else { with_more(value) })
        })
        .collect();
    more.insert("added_later".to_owned(), json!({ "by": ["a later release"] }));
    Value::Object(more)
}

fn variant_with_more(value: &Value) -> Value {
    let Value::Object(variant) = value else { return value.clone() };
    variant.iter().map(|(name, value)| (name.clone(), with_more(value))).collect()
}

// The earlier release reads members by their names and leaves others aside, so it understands
// every text that has all that its own had.
#[test]
fn each_command_of_the_earlier_release_is_understood_and_said_with_all_that_it_looks_for() {
    let corpus = corpus();
    let commands = corpus["commands"].as_object().unwrap();
    assert!(commands.len() >= 8);
    for (name, theirs) in commands {
        for text in [theirs.to_string(), with_more(theirs).to_string()] {
            let read = Envelope::parse(&text).unwrap_or_else(|| panic!("{name}: {text}"));
            let ours = serde_json::to_value(&read).unwrap();
            assert!(has_all_of(theirs, &ours), "{name}: {ours}");
        }
    }
}

#[test]
fn each_reply_of_the_earlier_release_is_read_and_given_with_all_that_it_looks_for() {
    let corpus = corpus();
    let replies = corpus["replies"].as_object().unwrap();
    assert!(replies.len() >= 13);
    for (name, theirs) in replies {
        for text in [theirs.to_string(), variant_with_more(theirs).to_string()] {
            let read: Reply = crate::json::read(text.as_bytes()).unwrap_or_else(|error| {
                panic!("{name}: {error}: {text}");
            });
            let ours = serde_json::to_value(&read).unwrap();
            assert!(has_all_of(theirs, &ours), "{name}: {ours}");
        }
    }
}

#[test]
fn each_word_of_the_earlier_release_is_known() {
    let corpus = corpus();
    let words = |kind: &str| corpus["words"][kind].as_array().unwrap().clone();
    for word in words("end_reason") {
        let ours: EndReason = serde_json::from_value(word.clone()).unwrap();
        assert_eq!(serde_json::to_value(ours).unwrap(), word);
    }
    for word in words("login_failure") {
        let ours: LoginFailure = serde_json::from_value(word.clone()).unwrap();
        assert_eq!(serde_json::to_value(ours).unwrap(), word);
    }
    for word in words("unavailable") {
        let ours: Unavailable = serde_json::from_value(word.clone()).unwrap();
        assert_eq!(serde_json::to_value(ours).unwrap(), word);
    }
}

#[test]
fn what_a_later_release_asks_is_not_guessed_at() {
    let mut envelope = corpus()["commands"]["status"].clone();
    for command in [
        json!({ "later": {} }),
        json!("later"),
        json!({ "status": {}, "later": {} }),
        json!({ "close": { "reason": "of_a_later_release" } }),
        json!({ "status": { "touch": true } }),
        Value::Null,
    ] {
        envelope["command"] = command;
        let text = envelope.to_string();
        assert!(Envelope::parse(&text).is_none(), "{text}");
    }
    // A later release's number with a command that is ours to the letter.
    let mut envelope = corpus()["commands"]["status"].clone();
    envelope["protocol"] = (PROTOCOL + 1).into();
    let mut world = over("live");
    let caller = world.deliver(Envelope::parse(&envelope.to_string()).unwrap());
    assert!(matches!(world.reply(caller), Reply::Unsupported));
    assert!(world.events.is_empty());
}

#[test]
fn a_later_releases_row_is_left_alone_and_reported_once_in_an_objects_life() {
    for version in [2, 3, 0x1f] {
        let mut world = over("live");
        world.row.as_mut().unwrap()[0] = version;
        let row = world.row.clone();
        for life in 1..=2 {
            world.restart();
            for command in [
                Command::Access { session_id: session_id(), token: key_a(), refused_epoch: None },
                Command::Status { session_id: session_id(), touch: true },
                Command::Login(Box::new(login("code"))),
                Command::End {
                    session_id: session_id(),
                    reason: EndReason::Logout,
                    keep_id_token: true,
                },
                Command::Close { reason: EndReason::Remote },
                Command::RedeemLogout { ticket: LogoutTicketKey("x".into()) },
            ] {
                let caller = world.ask(command);
                assert!(matches!(world.reply(caller), Reply::Unsupported), "{version}");
            }
            // The alarm may be that release's: it is set again, for when it is back.
            world.wait(secs(100_000));
            world.input(Input::Alarm);
            assert!(world.alarm.unwrap() > world.now, "{version}");
            assert!(world.works.is_empty() && world.puts == 0, "{version}");
            assert_eq!(world.row, row, "{version}");
            assert_eq!(world.events.len(), life, "{version}: {:?}", world.events);
        }
        let session = keys_of_the_release().audit_name(&session_id().key());
        let expected = Event::NewerRecord { session };
        assert_eq!(expected.level(), Level::Warn);
        assert!(world.events.iter().all(|event| *event == expected), "{:?}", world.events);
    }
}

// A rollback: a tombstone says why in a word that only the later release knows.
#[test]
fn a_tombstone_with_a_later_releases_word_still_does_what_it_is_for() {
    let row = over("ended").row.unwrap();
    let open: Value = serde_json::from_slice(&row[5..]).unwrap();
    for (member, word) in [
        ("reason", json!("of_a_later_release")),
        ("login", json!({ "id": "x", "failure": "of_a_later_release" })),
        ("added_later", json!(1)),
    ] {
        let mut open = open.clone();
        open[member] = word;
        let open = serde_json::to_vec(&open).unwrap();
        let mut world = over("ended");
        let mut row = vec![1];
        row.extend((open.len() as u32).to_be_bytes());
        row.extend(open);
        world.row = Some(row);
        world.restart();
        let caller = world.ask(Command::Login(Box::new(login("code"))));
        let reply = world.reply(caller);
        assert!(matches!(reply, Reply::LoginFailed(LoginFailure::AlreadyUsed)), "{member}");
        world.wait(secs(30));
        world.input(Input::Alarm);
        assert_eq!(world.revoked(), "refresh-2", "{member}");
    }
}
