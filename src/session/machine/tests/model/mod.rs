//! The promises of the session's states (design, section 1: one refresh, and logged out means
//! logged out) under whatever may happen to them, in whatever order: calls, the provider's answers
//! late, lost or never, time, ends, crashes between any two effects of one turn, restarts with
//! other keys.
//!
//! A sequence is drawn at random ([`draw`]) and played on a machine with its storage
//! ([`object`]), against a provider that detects reuse ([`provider`]). A [`ledger`] keeps what is
//! known from outside, and every turn is held against it. What breaks a promise is shrunk to the
//! steps that it takes.
//!
//! `TOKENKEEP_MODEL_CASES=100000` runs as many sequences instead of the few of every day,
//! `TOKENKEEP_MODEL_SEED=n` others: sequence *i* is drawn from the seed *n + i*, so that a failure
//! names the one number that shows it again. Nothing is kept in files.

mod coverage;
mod debts;
mod draw;
mod fates;
mod ledger;
mod object;
mod outcome;
mod play;
mod provider;
mod replies;
mod settle;
mod steps;
mod storage;

use proptest::{
    strategy::Strategy as _,
    test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner},
};

use self::{
    coverage::Coverage,
    debts::Debts,
    draw::sequences,
    ledger::{Ledger, Live, Phase},
    object::{Model, UnderWay, stranger},
    outcome::{Outcome, Said, brief},
    provider::{Brought, Handled, Over, Provider, SECRET},
    steps::{
        Answer, Ask, Closed, Crash, CrashAt, Ending, Gift, Key, Lifetime, Mark, NewRing, Nth,
        Refused, Rotation, Sequence, Setup, Step, Stop, Stranger, Wait,
    },
};
use super::*;
use crate::{audit::RefreshFailure, session::lifetime::touch_step};

/// How many sequences a run of every day plays.
const CASES: u64 = 1_500;

/// The first of a run of every day: a red run is the change's fault, not the day's.
const SEED: u64 = 1;

/// How long a revocation is retried at most.
const LONGEST_TICKET: Duration = Duration::from_secs(3_600);

type Verdict = Result<(), TestCaseError>;

#[test]
fn whatever_happens_in_whatever_order_the_promises_are_kept() {
    let cases = number("TOKENKEEP_MODEL_CASES").unwrap_or(CASES);
    let first = number("TOKENKEEP_MODEL_SEED").unwrap_or(SEED);
    let coverage = Coverage::default();
    let sequences = sequences();
    for seed in (first..).take(cases as usize) {
        let mut runner = runner(seed);
        let drawn = sequences.new_tree(&mut runner).unwrap();
        match runner.run_one(drawn, |sequence| play(&sequence, &coverage).0) {
            Ok(_) => {}
            Err(TestError::Fail(_, minimal)) => panic!("{}", report(seed, prune(minimal))),
            Err(TestError::Abort(why)) => panic!("seed {seed}: {why}"),
        }
    }
    assert_eq!(coverage.sequences.get(), cases);
    assert!(cases > 0, "no sequence ran");
    if cases >= CASES {
        assert_eq!(coverage.missing(), [""; 0], "never seen");
    }
    println!("{cases} sequences: {:#?}", coverage.seen.borrow());
}

/// Plays one sequence to its end; and what happened, where that is asked for.
fn play(sequence: &Sequence, coverage: &Coverage) -> (Verdict, String) {
    let mut model = Model::new(sequence.setup, coverage);
    let verdict = model.play(&sequence.steps);
    coverage.sequences.set(coverage.sequences.get() + 1);
    (verdict, model.trace())
}

/// A promise that must be kept now.
fn promise(is_kept: bool, promise: &str, seen: impl FnOnce() -> String) -> Verdict {
    if is_kept { Ok(()) } else { Err(TestCaseError::fail(format!("{promise}\n({})", seen()))) }
}

fn runner(seed: u64) -> TestRunner {
    let config =
        Config { failure_persistence: None, max_shrink_iters: 20_000, ..Config::default() };
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_be_bytes());
    TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes))
}

/// Leaves out what isn't needed: shrinking drops steps before it makes the others plainer, and
/// some are needless only then.
fn prune(mut minimal: Sequence) -> Sequence {
    let mut at = 0;
    while at < minimal.steps.len() {
        let mut shorter = minimal.clone();
        shorter.steps.remove(at);
        let is_broken = play(&shorter, &Coverage::default()).0.is_err();
        (minimal, at) = if is_broken { (shorter, 0) } else { (minimal, at + 1) };
    }
    minimal
}

fn report(seed: u64, minimal: Sequence) -> String {
    let coverage = Coverage { traces: true, ..Coverage::default() };
    let (verdict, trace) = play(&minimal, &coverage);
    let why = verdict.err().map_or_else(String::new, |broken| broken.to_string());
    let steps: Vec<_> = minimal.steps.iter().map(|step| format!("  {step:?}")).collect();
    format!(
        "broken: {why}\n\n{:?}\n{}\n\nwhat happened:\n{trace}\n\nagain: \
         TOKENKEEP_MODEL_SEED={seed} TOKENKEEP_MODEL_CASES=1 cargo test --lib model::",
        minimal.setup,
        steps.join("\n"),
    )
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable}={text} is no number")))
}

/// Keys by number; `shift` gives other keys under the same ids.
fn key_ring(numbers: &[u8], shift: u8) -> KeyRing {
    let keys = numbers.iter().map(|key| format!("k{key}:{}", ring_key(key + shift)));
    ring(&keys.collect::<Vec<_>>().join(","))
}

/// The number of the first key of every sequence; the name key is another.
const FIRST_KEY: u8 = 20;

/// Two codes for one transaction.
const CODES: [&str; 2] = ["model-secret-code", "model-secret-code-2"];
