//! What may happen, drawn at random.

use proptest::prelude::*;

/// A run.
#[derive(Clone, Debug)]
pub(super) struct Sequence {
    pub(super) setup: Setup,
    pub(super) steps: Vec<Step>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Setup {
    /// How far the provider's clock is ahead of ours, in seconds.
    pub(super) skew: i64,
    /// The first person has a hundred sessions already.
    pub(super) is_crowded: bool,
}

/// One of those that there are, counted round and round.
pub(super) type Nth = u16;

/// When an object stops in the middle of a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Crash {
    /// It doesn't.
    None,
    /// Before anything is durable.
    BeforeTheWrite,
    /// After the write, with so many of the other effects done.
    After(u8),
}

#[derive(Clone, Debug)]
pub(super) enum Step {
    /// A callback arrives at its session's object.
    Login {
        person: u8,
        sid: Option<u8>,
    },
    /// A message arrives, or work is done.
    Deliver {
        nth: Nth,
        crash: Crash,
    },
    /// All that is under way arrives.
    DeliverAll,
    /// It doesn't.
    Lose(Nth),
    /// A request arrives twice.
    Repeat(Nth),
    CrashSession(Nth),
    CrashIndex(Nth),
    /// An alarm rings, whether or not it is due.
    Ring {
        nth: Nth,
        crash: Crash,
    },
    /// Time passes; alarms stay silent.
    Wait(u32),
    /// A call with the cookie.
    Call(Nth),
    /// The provider refuses the refresh that one is waiting for.
    Refuse,
    /// The person logs out.
    Logout(Nth),
    /// The person looks at the list.
    List(u8),
    End(End),
}

/// Somebody ends sessions.
#[derive(Clone, Copy, Debug)]
pub(super) enum End {
    /// A logout token of a `sub`, that many seconds old.
    Sub {
        person: u8,
        age: u8,
    },
    /// A logout token of a `sid`, with the `sub` or without.
    Sid {
        sid: u8,
        person: Option<u8>,
        age: u8,
    },
    /// A frame.
    Frame {
        sid: u8,
    },
    /// The person's other devices.
    Others(Nth),
    /// One of their devices.
    Handle {
        person: u8,
        nth: Nth,
    },
    Administrator {
        person: u8,
    },
}

pub(super) fn sequences() -> impl Strategy<Value = Sequence> {
    let setup = (prop_oneof![6 => Just(0), 1 => Just(-50), 1 => Just(50)], weighted(1, 299));
    let setup = setup.prop_map(|(skew, is_crowded)| Setup { skew, is_crowded });
    (setup, prop::collection::vec(step(), 4..36))
        .prop_map(|(setup, steps)| Sequence { setup, steps })
}

fn step() -> impl Strategy<Value = Step> {
    let person = || 0..2_u8;
    prop_oneof![
        5 => (person(), prop::option::of(0..2_u8)).prop_map(|(person, sid)| Step::Login { person, sid }),
        12 => (any::<Nth>(), crash()).prop_map(|(nth, crash)| Step::Deliver { nth, crash }),
        5 => Just(Step::DeliverAll),
        1 => any::<Nth>().prop_map(Step::Lose),
        1 => any::<Nth>().prop_map(Step::Repeat),
        1 => any::<Nth>().prop_map(Step::CrashSession),
        1 => any::<Nth>().prop_map(Step::CrashIndex),
        2 => (any::<Nth>(), crash()).prop_map(|(nth, crash)| Step::Ring { nth, crash }),
        3 => prop_oneof![4 => Just(1), 4 => Just(60), 4 => 2..700_u32, 1 => Just(86_400)].prop_map(Step::Wait),
        2 => any::<Nth>().prop_map(Step::Call),
        1 => Just(Step::Refuse),
        1 => any::<Nth>().prop_map(Step::Logout),
        1 => person().prop_map(Step::List),
        5 => end().prop_map(Step::End),
    ]
}

fn end() -> impl Strategy<Value = End> {
    let person = || 0..2_u8;
    let age = || prop_oneof![2 => Just(0), 1 => 0..100_u8];
    prop_oneof![
        (person(), age()).prop_map(|(person, age)| End::Sub { person, age }),
        (0..2_u8, prop::option::of(person()), age()).prop_map(|(sid, person, age)| End::Sid {
            sid,
            person,
            age
        }),
        (0..2_u8).prop_map(|sid| End::Frame { sid }),
        any::<Nth>().prop_map(End::Others),
        (person(), any::<Nth>()).prop_map(|(person, nth)| End::Handle { person, nth }),
        person().prop_map(|person| End::Administrator { person }),
    ]
}

fn crash() -> impl Strategy<Value = Crash> {
    prop_oneof![
        12 => Just(Crash::None),
        1 => Just(Crash::BeforeTheWrite),
        1 => (0..4_u8).prop_map(Crash::After),
    ]
}

fn weighted(yes: u32, no: u32) -> impl Strategy<Value = bool> {
    prop_oneof![no => Just(false), yes => Just(true)]
}
