//! What a dump of the storage is worth, and what the object makes of rows that it can't read.

use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::*;

/// What must not stand in any row.
const PRIVATE: [&str; 7] =
    ["the-subject", "the-sid", "id.example.com", "firefox", "Firefox", "linux", "Linux"];

fn holds_nothing_private(row: &[u8]) {
    let readable = String::from_utf8_lossy(row).into_owned();
    // And not behind base64url either.
    let mut texts = vec![row.to_vec()];
    texts.extend(readable.split('"').filter_map(crate::base64url::decode));
    for text in texts {
        for word in PRIVATE {
            let found = text.windows(word.len()).any(|window| window == word.as_bytes());
            assert!(!found, "{word} in {readable}");
        }
    }
}

fn kids(world: &World) -> Vec<String> {
    let text = serde_json::to_value(world.stored()).unwrap();
    let entries = text["entries"].as_array().unwrap().iter();
    entries.map(|entry| entry["kid"].as_str().unwrap().to_owned()).collect()
}

// Promise 2.
#[test]
fn a_dump_holds_no_sub_no_sid_no_issuer_and_no_device() {
    for whose in [person(), provider_session()] {
        let mut world = World::of(whose);
        world.registers(0);
        world.registers(1);
        holds_nothing_private(world.row.as_deref().unwrap());
        let token = SeenToken {
            jti: "hash".to_owned(),
            until: T0.after(secs(60)),
            delivery: "random".to_owned(),
        };
        let _ = world.order(EndSessions {
            which: all(),
            reason: EndReason::BackChannel,
            bars: true,
            token: Some(token),
        });
        holds_nothing_private(world.row.as_deref().unwrap());
    }
}

#[test]
fn an_entry_opens_with_the_sub_and_the_ring_together_and_with_neither_alone() {
    let world = World::with(1);
    let entry = world.stored().entries.remove(0);
    assert!(entry.open(&person(), &world.keys).is_some());
    for other in [
        Whose::subject(ISSUER, "the-subject "),
        Whose::subject("https://id.example.com", "the-subject"),
        Whose::provider_session(ISSUER, "the-subject"),
        provider_session(),
    ] {
        assert!(entry.open(&other, &world.keys).is_none());
    }
    assert!(entry.open(&person(), &ring(&format!("a:{}", key(2)))).is_none());
    assert!(entry.open(&person(), &ring(&format!("b:{}", key(1)))).is_none());
}

// Envoy CVE-2023-35941: what describes one session describes no other.
#[test]
fn a_description_that_was_moved_to_another_entry_opens_there_to_nothing() {
    let world = World::with(2);
    let mut text = serde_json::to_value(world.stored()).unwrap();
    let sealed = text["entries"][0]["sealed"].clone();
    text["entries"][1]["sealed"] = sealed;
    let index: Index = serde_json::from_value(text).unwrap();
    assert!(index.entries[0].open(&person(), &world.keys).is_some());
    assert!(index.entries[1].open(&person(), &world.keys).is_none());
}

// mod_auth_openidc CVE-2021-32791: nonces are never used twice.
#[test]
fn every_entry_has_a_nonce_and_a_name_of_its_own() {
    let world = World::with(100);
    let index = world.stored();
    let handles: BTreeSet<_> = index.entries.iter().map(|entry| entry.handle.clone()).collect();
    assert_eq!(handles.len(), 100);
    let text = serde_json::to_value(&index).unwrap();
    let nonces: BTreeSet<_> = text["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["sealed"].as_str().unwrap()[..32].to_owned())
        .collect();
    assert_eq!(nonces.len(), 100);
}

#[test]
fn the_next_login_seals_all_entries_under_the_new_key() {
    let mut world = World::with(2);
    assert_eq!(kids(&world), ["a", "a"]);
    world.restart_with(&format!("b:{},a:{}", key(2), key(1)));
    world.registers(2);
    assert_eq!(kids(&world), ["b", "b", "b"]);
    world.restart_with(&format!("b:{}", key(2)));
    let caller = world.list();
    world.all_answer(lives());
    let devices = world.devices(caller);
    assert!(devices.iter().all(|device| device.device.to_string() == "Firefox on Linux"));
    assert_eq!(devices.len(), 3);
}

// Nobody may log in for weeks; the list is looked at all the same.
#[test]
fn whoever_looks_at_the_list_seals_all_entries_under_the_new_key_once() {
    let mut world = World::with(2);
    world.restart_with(&format!("b:{},a:{}", key(2), key(1)));
    for rows in [1, 0] {
        let before = world.rows;
        let caller = world.list();
        world.all_answer(lives());
        assert_eq!(world.devices(caller).len(), 2);
        assert_eq!(kids(&world), ["b", "b"]);
        assert_eq!(world.rows - before, rows);
    }
}

// A session's own record is sealed anew by every refresh: it can outlive the key of its entry.
#[test]
fn a_session_whose_entrys_key_left_the_ring_is_a_device_that_nobody_knows_more_of() {
    let mut world = World::with(2);
    world.restart_with(&format!("b:{}", key(2)));
    let caller = world.list();
    world.all_answer(lives());
    let devices = world.devices(caller);
    assert_eq!(devices.len(), 2);
    assert_eq!(devices[1].device.to_string(), "a browser");
    assert_eq!(devices[1].created, T0.after(secs(2)), "the ID token's time");
    let end = world.end(Which::Handle { handle: devices[1].handle.clone() });
    world.all_answer(SessionWord::Gone);
    assert_eq!(world.ended(end).0, [session(1)]);
}

// "Everyone out" is a ring without the old keys; an end must not depend on one.
#[test]
fn a_session_whose_entrys_key_left_the_ring_can_still_be_ended() {
    for which in [all(), Which::Before { issued: T0.after(secs(9)) }] {
        let mut world = World::with(2);
        world.restart_with(&format!("b:{}", key(2)));
        let caller = world.end(which);
        world.all_answer(SessionWord::Gone);
        assert_eq!(world.ended(caller).0.len(), 2);
        assert!(world.row.is_none());
    }
}

#[test]
fn members_that_a_later_release_adds_are_no_fault() {
    let world = World::with(1);
    let mut text = serde_json::to_value(world.stored()).unwrap();
    text["later"] = 1.into();
    text["entries"][0]["later"] = "x".into();
    let index: Index = serde_json::from_value(text).unwrap();
    assert_eq!(index, world.stored());
}

// Nobody writes its members as a list; to read them so would be a second way to be understood.
#[test]
fn a_bar_is_read_from_an_object_alone() {
    let world = World::with(1);
    let mut text = serde_json::to_value(world.stored()).unwrap();
    let until = T0.after(secs(9));
    let which = json!({ "before": { "issued": T0 } });
    text["bars"] = json!([[which, until], { "which": which, "until": until }, 7]);
    let index: Index = crate::json::read(text.to_string().as_bytes()).unwrap();
    assert_eq!(index.bars.len(), 1);
}

#[test]
fn a_newer_releases_row_is_left_alone() {
    let mut world = World::with(2);
    let mut row = world.row.clone().unwrap();
    row[0] = 2;
    world.row = Some(row.clone());
    world.restart();
    world.alarm = Some(world.now);
    assert!(world.ring());
    assert_eq!(world.alarm, Some(world.now.after(secs(600))), "looked at again later");
    let registration = world.registration(5);
    for caller in [
        world.ask(SubjectCommand::Register(Box::new(registration))),
        world.ask(SubjectCommand::Unlist { session: session(0) }),
        world.list(),
        world.end(all()),
    ] {
        assert!(matches!(world.reply(caller), SubjectReply::Unsupported));
    }
    assert_eq!(world.row, Some(row));
    assert!(world.asked.is_empty());
}

fn damaged(row: Vec<u8>) -> World {
    let mut world = World::new();
    world.row = Some(row);
    world.restart();
    world
}

#[test]
fn a_row_that_can_not_be_read_ends_nothing_and_says_so() {
    let mut world = damaged(vec![1, b'x']);
    for caller in [world.end(all()), world.list()] {
        assert!(matches!(world.reply(caller), SubjectReply::Broken));
    }
    let index = person().name(&world.keys).as_str().to_owned();
    let reported = Event::IndexDamaged { index };
    assert_eq!(world.events, [reported.clone(), reported]);
    world.alarm = Some(world.now);
    assert!(world.ring());
    assert_eq!(world.row.as_deref(), Some(&[1, b'x'][..]), "left for whoever can read it");
    assert!(world.alarm.is_none());
}

#[test]
fn a_login_begins_an_index_that_can_not_be_read_anew_and_says_so() {
    let mut world = damaged(vec![1, b'x']);
    world.registers(3);
    assert_eq!(world.listed(), [session(3)]);
    assert_eq!(world.events.len(), 1);
    assert!(world.alarm.is_some());
    let caller = world.end(all());
    world.all_answer(SessionWord::Gone);
    assert_eq!(world.ended(caller).0, [session(3)]);
}

/// What a login and an end make of a row, whatever is in it.
fn is_damaged(row: Vec<u8>) -> bool {
    let mut world = damaged(row.clone());
    world.alarm = Some(world.now.after(secs(3 * 86_400)));
    world.now = world.now.after(secs(3 * 86_400));
    world.ring();
    world.all_answer(SessionWord::Gone);

    let mut world = damaged(row.clone());
    let end = world.end(all());
    world.all_answer(SessionWord::Gone);
    let is_broken = matches!(world.replies[&end][..], [SubjectReply::Broken]);
    assert_eq!(is_broken, !world.events.is_empty());
    assert!(!is_broken || world.rows == 0);

    let mut world = damaged(row);
    world.registers(9);
    assert!(world.listed().contains(&session(9)));
    is_broken
}

#[test]
fn every_cut_of_the_row_is_known_for_one_and_stops_no_login() {
    let row = World::with(2).row.unwrap();
    for length in 0..row.len() {
        assert!(is_damaged(row[..length].to_vec()), "cut to {length}");
    }
    assert!(!is_damaged(row));
}

// But in the version: what says that it is a newer release's is believed.
#[test]
fn every_flipped_bit_of_the_row_is_known_for_one_and_stops_no_login() {
    let row = World::with(1).row.unwrap();
    for position in 1..row.len() {
        for bit in 0..8 {
            let mut changed = row.clone();
            changed[position] ^= 1 << bit;
            let is_known = if bit == position % 8 {
                is_damaged(changed)
            } else {
                matches!(Row::decode(&changed), Row::Damaged)
            };
            assert!(is_known, "bit {bit} of byte {position}");
        }
    }
    assert!(is_damaged(vec![0; 64]));
}

// An alarm that finds nothing due in memory may be the row's last.
#[test]
fn a_row_never_stays_without_an_alarm() {
    let mut world = World::with(1);
    let _ = world.list();
    // Taken off while its object is being asked: not written yet.
    world.unlists(0);
    world.rings_next();
    world.restart();
    assert!(world.row.is_none() || world.alarm.is_some());
}

#[test]
fn a_login_that_comes_too_late_makes_no_damaged_list_an_empty_one() {
    let mut world = World::with(1);
    let late = world.registration(1);
    world.row = Some(vec![1, b'{']);
    world.restart();
    world.wait(Transaction::LIFETIME);
    assert!(matches!(world.register(late), SubjectReply::TooLate));
    let caller = world.end(all());
    assert!(matches!(world.reply(caller), SubjectReply::Broken), "what it listed has not ended");
}

// After a release was taken back.
#[test]
fn a_later_releases_reason_and_bar_are_no_reason_to_throw_the_list_away() {
    let mut world = World::with(2);
    let caller = world.order(EndSessions {
        which: Which::Others { session: session(1) },
        reason: EndReason::BackChannel,
        bars: false,
        token: None,
    });
    let _ = caller;
    let mut index = world.stored();
    index.bars.push(record::Bar { which: all(), until: world.now.after(secs(60)) });
    let text = String::from_utf8(index.encode().unwrap().split_off(9)).unwrap();
    let reason = serde_json::to_string(&EndReason::BackChannel).unwrap();
    assert!(text.contains(&reason) && text.contains("\"all\""), "{text}");
    let text = text.replace(&reason, "\"device_lost\"").replace("\"all\"", "\"all_of_a_tenant\"");
    let mut row = vec![1];
    row.extend(&Sha256::digest(&text)[..8]);
    row.extend(text.as_bytes());
    world.row = Some(row);
    world.restart();
    while world.asked.is_empty() {
        world.rings_next();
    }
    assert_eq!(world.asked, [closes(0)]);
    assert_eq!(world.listed(), [session(0), session(1)]);
}
