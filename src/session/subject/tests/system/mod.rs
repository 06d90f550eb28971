//! The system: sessions' objects and subjects' objects with messages between them that arrive late,
//! in any order, twice or never; objects that stop between any two effects of a turn; alarms that
//! ring early and late.
//!
//! What must hold whatever happens (design §1.4, §4):
//!
//! - a session that answers calls is listed under its `sub` and its `sid`, from before it is stored;
//! - once an end was answered, or is written down, every session that it names ends as soon as the
//!   objects can be reached, and none that no end names;
//! - a login that a logout bars never becomes a session;
//! - no login is refused for the number of sessions, and no more than a hundred live;
//! - whoever asks gets one reply, and none claims what isn't done;
//! - in the end nothing is left, neither rows nor alarms.
//!
//! A sequence is drawn at random ([`steps`]) and played ([`world`]); a [`ledger`] keeps what is
//! known from outside and every turn is held against it. What breaks is shrunk.
//! `TOKENKEEP_MODEL_CASES=100000` runs as many sequences instead of the few of every day,
//! `TOKENKEEP_MODEL_SEED=n` others: sequence *i* is drawn from the seed *n + i*.

mod checks;
mod delivery;
mod index;
mod ledger;
mod messages;
mod orders;
mod session;
mod steps;
mod turns;
mod world;

use std::cell::RefCell;

use proptest::{
    strategy::Strategy as _,
    test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner},
};

use self::{
    steps::Sequence,
    world::{Run, System},
};
use super::*;

/// How many sequences a run of every day plays.
const CASES: u64 = 2_000;

/// The first of a run of every day: a red run is the change's fault, not the day's.
const SEED: u64 = 1;

type Verdict = Result<(), TestCaseError>;

#[test]
fn whatever_happens_to_sessions_and_indexes_a_logout_reaches_all_that_it_names() {
    let cases = number("TOKENKEEP_MODEL_CASES").unwrap_or(CASES);
    let first = number("TOKENKEEP_MODEL_SEED").unwrap_or(SEED);
    let run = Run::default();
    let sequences = steps::sequences();
    for seed in (first..).take(usize::try_from(cases).unwrap()) {
        let mut runner = runner(seed);
        let drawn = sequences.new_tree(&mut runner).unwrap();
        match runner.run_one(drawn, |sequence| play(&sequence, &run, false).0) {
            Ok(_) => {}
            Err(TestError::Fail(_, minimal)) => panic!("{}", report(seed, &minimal)),
            Err(TestError::Abort(why)) => panic!("seed {seed}: {why}"),
        }
    }
    let seen = run.seen.borrow();
    if cases >= CASES {
        // What nothing ever put to the test isn't kept by being unbroken.
        let missing: Vec<_> =
            MUST_BE_SEEN.iter().filter(|what| !seen.contains_key(**what)).collect();
        assert!(missing.is_empty(), "never seen: {missing:?} in {seen:?}");
    }
    println!("{cases} sequences: {seen:#?}");
}

const MUST_BE_SEEN: [&str; 21] = [
    "alarm: early",
    "alarm: late",
    "barred",
    "barred by an administrator",
    "barred by a sid",
    "crash: before the write",
    "crash: between effects",
    "ended: BackChannel",
    "ended: FrontChannel",
    "ended: InvalidGrant",
    "ended: Logout",
    "ended: Remote",
    "lost",
    "left",
    "listed",
    "login ended before it was stored",
    "repeated",
    "session",
    "swept",
    "too late",
    "too many",
];

fn play(sequence: &Sequence, run: &Run, traces: bool) -> (Verdict, String) {
    let mut system = System::new(sequence.setup, run, traces);
    let verdict = system.play(&sequence.steps);
    (verdict, system.trace())
}

/// A promise that must be kept now.
fn promise(is_kept: bool, promise: &str, seen: impl FnOnce() -> String) -> Verdict {
    if is_kept { Ok(()) } else { Err(TestCaseError::fail(format!("{promise}\n({})", seen()))) }
}

fn runner(seed: u64) -> TestRunner {
    let config = Config { failure_persistence: None, max_shrink_iters: 5_000, ..Config::default() };
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_be_bytes());
    TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes))
}

fn report(seed: u64, minimal: &Sequence) -> String {
    let (verdict, trace) = play(minimal, &Run::default(), true);
    let why = verdict.err().map_or_else(String::new, |broken| broken.to_string());
    format!(
        "broken: {why}\n\n{minimal:#?}\n\nwhat happened:\n{trace}\n\nagain: \
         TOKENKEEP_MODEL_SEED={seed} TOKENKEEP_MODEL_CASES=1 cargo test --lib system::"
    )
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable}={text} is no number")))
}
