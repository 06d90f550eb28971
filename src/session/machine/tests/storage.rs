//! What a dump of the storage is worth, and what the object makes of rows that it can't read.

use super::*;

/// What must not stand in any row.
const SECRETS: [&str; 9] = [
    "access-1",
    "refresh-1",
    "id-1",
    "the-subject",
    "the-sid",
    "staff",
    "the-state",
    "the-nonce",
    "id.example.com",
];

fn holds_no_secret(row: &[u8]) {
    let mut texts = vec![row.to_vec()];
    // And not behind base64url either.
    let readable = String::from_utf8_lossy(row).into_owned();
    texts.extend(readable.split('"').filter_map(base64url::decode));
    for text in texts {
        for secret in SECRETS {
            let found = text.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "{secret} in {readable}");
        }
        let id = [7_u8; 32];
        assert!(!text.windows(32).any(|window| window == id), "the id in {readable}");
    }
}

// Promise 2.
#[test]
fn no_row_of_any_state_holds_a_token_a_claim_or_the_id() {
    let mut world = World::new();
    let _ = world.ask(Command::Login(Box::new(login("code"))));
    holds_no_secret(world.row.as_deref().unwrap());
    world.login_done(Ok(NewSession {
        response: response("1", Some(60), true),
        identity: identity("staff"),
        issued_at: T0,
    }));
    holds_no_secret(world.row.as_deref().unwrap());
    world.wait(secs(61));
    let _ = world.access(key_a(), None);
    holds_no_secret(world.row.as_deref().unwrap());
    let _ = world.end(EndReason::Logout, true);
    holds_no_secret(world.row.as_deref().unwrap());
    world.input(Input::RevocationDone(RevocationOutcome::Failed));
    holds_no_secret(world.row.as_deref().unwrap());
}

// Promise 2: a dump together with the Worker's secrets.
#[test]
fn the_ring_and_the_row_without_the_id_open_nothing() {
    let world = World::logged_in(Some(60), true);
    let Row::Live(closed) = Row::decode(world.row.as_deref().unwrap()) else { panic!() };
    let keys = &world.config.session.keys;
    assert!(closed.open(keys, &session_id()).is_some());
    // All that the dump has to guess with.
    let from_key = SessionId::from_bytes(*closed.open.session.as_bytes());
    for guess in [from_key, SessionId::from_bytes([0; 32]), SessionId::from_bytes([8; 32])] {
        assert!(closed.open(keys, &guess).is_none());
    }
    let other = ring(&format!("a:{}", ring_key(2)));
    assert!(closed.open(&other, &session_id()).is_none());
}

#[test]
fn every_changed_byte_of_the_row_is_no_session_and_never_a_crash() {
    let world = World::logged_in(Some(60), true);
    let row = world.row.unwrap();
    for position in 0..row.len() {
        let mut changed = row.clone();
        changed[position] ^= 1;
        let mut world = World::new();
        world.row = Some(changed);
        world.restart();
        assert!(!world.is_alive(), "byte {position}");
        assert_eq!(world.puts, 0, "byte {position}");
    }
    for length in 0..row.len() {
        let mut world = World::new();
        world.row = Some(row[..length].to_vec());
        world.restart();
        assert!(!world.is_alive(), "cut to {length}");
    }
}

#[test]
fn a_row_that_is_longer_than_any_of_ours_is_not_read() {
    let mut world = World::logged_in(Some(60), true);
    let _ = world.end(EndReason::Logout, false);
    let row = world.row.unwrap();
    let open = String::from_utf8(row[5..].to_vec()).unwrap();
    let row_of = |length: usize| {
        let open = format!("{}{}", open, " ".repeat(length - 5 - open.len()));
        let length = u32::try_from(open.len()).unwrap().to_be_bytes();
        [&row[..1], &length[..], open.as_bytes()].concat()
    };
    assert!(matches!(Row::decode(&row_of(2 << 20)), Row::Ended(_)));
    assert!(matches!(Row::decode(&row_of((2 << 20) + 1)), Row::Damaged));
}

#[test]
fn everyone_is_out_when_the_ring_loses_its_key() {
    let mut world = World::logged_in(Some(60), true);
    let mut config = config();
    config.session.keys = ring(&format!("b:{}", ring_key(2)));
    world.restart_with(config);
    assert!(!world.is_alive());
    assert!(world.row.is_some(), "left to the alarm");
    world.wait(secs(3600));
    assert!(world.ring());
    assert!(world.row.is_none());
}

#[test]
fn an_old_key_opens_and_the_next_write_seals_under_the_new_one() {
    let kid = |world: &World| match Row::decode(world.row.as_deref().unwrap()) {
        Row::Live(closed) => closed.open.kid,
        other => panic!("{other:?}"),
    };
    let mut world = World::logged_in(Some(3600), true);
    assert_eq!(kid(&world), "a");
    let mut config = config();
    config.session.keys = ring(&format!("b:{},a:{}", ring_key(2), ring_key(1)));
    world.restart_with(config.clone());
    assert!(world.is_alive());
    assert_eq!(kid(&world), "a");
    world.wait(secs(200));
    let caller = world.access(key_a(), None);
    let _ = world.grant(caller);
    assert_eq!(kid(&world), "b");
    config.session.keys = ring(&format!("b:{}", ring_key(2)));
    world.restart_with(config);
    assert!(world.is_alive());
}

#[test]
fn members_that_a_later_release_adds_are_no_fault() {
    let world = World::logged_in(Some(60), true);
    let row = world.row.unwrap();
    let length = u32::from_be_bytes(row[1..5].try_into().unwrap()) as usize;
    let mut open: serde_json::Value = serde_json::from_slice(&row[5..5 + length]).unwrap();
    open["later"] = 1.into();
    let open = serde_json::to_vec(&open).unwrap();
    let mut later = vec![1];
    later.extend((open.len() as u32).to_be_bytes());
    later.extend(open);
    later.extend(&row[5 + length..]);
    assert!(matches!(Row::decode(&later), Row::Live(_)));
}

// mod_auth_openidc CVE-2021-32791: nonces are never used twice.
#[test]
fn every_write_has_a_nonce_of_its_own() {
    let mut world = World::logged_in(Some(60), true);
    let mut seen = std::collections::BTreeSet::new();
    for round in 0..50 {
        world.wait(secs(61));
        let _ = world.access(key_a(), None);
        let row = world.row.clone().unwrap();
        let length = u32::from_be_bytes(row[1..5].try_into().unwrap()) as usize;
        assert!(seen.insert(row[5 + length..5 + length + 24].to_vec()), "round {round}");
        world.refreshed("n", Some(60), true);
    }
}

#[test]
fn index_names_are_keyed_and_a_sid_is_never_a_sub() {
    let keys = config().session.keys;
    let same =
        Identity { subject: "same".to_owned(), sid: Some("same".to_owned()), ..identity("staff") };
    let names = record::IndexNames::of(&same, &keys);
    assert_ne!(Some(&names.subject), names.sid.as_ref());
    let elsewhere = Identity { issuer: "https://other.example".to_owned(), ..same };
    assert_ne!(record::IndexNames::of(&elsewhere, &keys), names);
}
