//! How sequences are drawn. In a choice the plainest comes first: what a shrunk sequence still
//! shows is what it takes.

use proptest::{collection::vec, option, prelude::*};

use super::*;

/// One in so many inputs meets a crash.
const CRASHES: f64 = 1.0 / 14.0;

/// Long enough for a session to meet several refreshes, a crash or two and its end.
pub(super) fn sequences() -> impl Strategy<Value = Sequence> {
    (setup(), vec(scene(), 0..28))
        .prop_map(|(setup, scenes)| Sequence { setup, steps: scenes.concat() })
}

/// Steps that mean more together: chance alone seldom asks twice when it is worth asking.
fn scene() -> impl Strategy<Value = Vec<Step>> {
    prop_oneof![
        50 => step().prop_map(|step| vec![step]),
        22 => refresh(),
        3 => login(),
        2 => race(),
        2 => limit(),
        1 => logout(),
    ]
}

/// Time passes, somebody asks, and there is an answer.
fn refresh() -> impl Strategy<Value = Vec<Step>> {
    let access = (key(), refused()).prop_map(|(key, refused)| Ask::Access(key, refused));
    (wait(), access, maybe_crash(), any::<Nth>(), answer(), maybe_crash())
        .prop_map(|(wait, access, crash, nth, answer, crash_then)| {
            let answer = Step::Answer(nth, answer, crash_then);
            vec![Step::Wait(wait), Step::Ask(access, crash), answer]
        })
        .boxed()
}

/// Somebody ends it while a token is refreshed.
fn race() -> impl Strategy<Value = Vec<Step>> {
    let end = prop_oneof![
        3 => Just(Ask::End { replaced: false, keep_id_token: false }),
        1 => Just(Ask::End { replaced: true, keep_id_token: false }),
        1 => closed().prop_map(Ask::Close),
    ];
    let answer = || (any::<Nth>(), answer(), maybe_crash());
    (key(), end, maybe_crash(), answer(), answer())
        .prop_map(|(key, end, crash, one, two)| {
            let answer = |(nth, answer, crash)| Step::Answer(nth, answer, crash);
            vec![
                Step::Wait(Wait::To(Mark::TokenEnd(key), 0)),
                Step::Ask(Ask::Access(key, Refused::None), None),
                Step::Ask(end, crash),
                answer(one),
                answer(two),
            ]
        })
        .boxed()
}

/// Somebody asks about when a limit ends it.
fn limit() -> impl Strategy<Value = Vec<Step>> {
    let mark = prop_oneof![4 => Just(Mark::Idle), 1 => Just(Mark::Absolute)];
    let ask = prop_oneof![
        1 => Just(Ask::Access(Key::A, Refused::None)),
        2 => any::<bool>().prop_map(|touch| Ask::Status { touch }),
        1 => Just(Ask::Probe),
    ];
    (mark, -1_i8..=1, ask, maybe_crash())
        .prop_map(|(mark, offset, ask, crash)| {
            vec![Step::Wait(Wait::To(mark, offset)), Step::Ask(ask, crash)]
        })
        .boxed()
}

/// Somebody comes back from the provider, and somebody else asks meanwhile.
fn login() -> impl Strategy<Value = Vec<Step>> {
    (maybe_crash(), ask(), maybe_crash(), answer(), maybe_crash())
        .prop_map(|(crash, meanwhile, crash_meanwhile, answer, crash_then)| {
            vec![
                Step::Ask(Ask::Login { another_code: false }, crash),
                Step::Ask(meanwhile, crash_meanwhile),
                Step::Answer(0, answer, crash_then),
            ]
        })
        .boxed()
}

/// Somebody logs out, and the one-time URL is called, twice.
fn logout() -> impl Strategy<Value = Vec<Step>> {
    (maybe_crash(), 0_u64..130, maybe_crash(), maybe_crash())
        .prop_map(|(crash, wait, crash_once, crash_twice)| {
            let end = Ask::End { replaced: false, keep_id_token: true };
            let redeem = |crash| Step::Ask(Ask::RedeemLogout { wrong: false }, crash);
            vec![
                Step::Ask(end, crash),
                Step::Wait(Wait::Secs(wait)),
                redeem(crash_once),
                redeem(crash_twice),
            ]
        })
        .boxed()
}

fn setup() -> impl Strategy<Value = Setup> {
    let limits = prop_oneof![
        6 => Just((7_200, 86_400)),
        3 => Just((3_600, 604_800)),
        2 => Just((1_800, 2_400)),
        1 => Just((120, 900)),
    ];
    let logged_in = option::weighted(0.8, lifetime());
    let mostly = || prop::bool::weighted(0.15).prop_map(|is_rare| !is_rare);
    let ending = prop_oneof![
        4 => Just(Ending::OnTime),
        3 => Just(Ending::Late),
        1 => Just(Ending::Unanswered),
    ];
    (limits, logged_in, mostly(), mostly(), mostly(), mostly(), ending).prop_map(
        |(limits, logged_in, refresh_tokens, revocation, ticket, hint, ending)| Setup {
            limits,
            logged_in,
            refresh_tokens,
            revocation_endpoint: revocation,
            revocation_ticket: ticket,
            id_token_hint: hint,
            ending,
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        26 => (ask(), maybe_crash()).prop_map(|(ask, crash)| Step::Ask(ask, crash)),
        16 => wait().prop_map(Step::Wait),
        16 => (any::<Nth>(), answer(), maybe_crash())
            .prop_map(|(nth, answer, crash)| Step::Answer(nth, answer, crash)),
        3 => (any::<Nth>(), gift()).prop_map(|(nth, gift)| Step::Handle(nth, gift)),
        3 => (prop::bool::weighted(0.3), maybe_crash())
            .prop_map(|(early, crash)| Step::Ring { early, crash }),
        3 => stop().prop_map(Step::Restart),
        1 => prop::bool::weighted(0.1).prop_map(|withdraws| {
            if withdraws { Step::Withdraw } else { Step::Wait(Wait::Millis(0)) }
        }),
    ]
    .boxed()
}

fn ask() -> impl Strategy<Value = Ask> {
    let stranger = prop_oneof![
        Just(Stranger::AccessWithAnotherId),
        Just(Stranger::EndWithAnotherId),
        Just(Stranger::CloseOfAnotherObject),
        Just(Stranger::LoginOfAnotherObject),
        Just(Stranger::StatusOfAnotherObject),
    ];
    prop_oneof![
        60 => (key(), refused()).prop_map(|(key, refused)| Ask::Access(key, refused)),
        10 => any::<bool>().prop_map(|touch| Ask::Status { touch }),
        8 => prop::bool::weighted(0.4).prop_map(|another_code| Ask::Login { another_code }),
        2 => (prop::bool::weighted(0.4), any::<bool>())
            .prop_map(|(replaced, keep_id_token)| Ask::End { replaced, keep_id_token }),
        1 => closed().prop_map(Ask::Close),
        4 => Just(Ask::Probe),
        3 => prop::bool::weighted(0.2).prop_map(|wrong| Ask::RedeemLogout { wrong }),
        4 => stranger.prop_map(Ask::Stranger),
    ]
}

fn closed() -> impl Strategy<Value = Closed> {
    prop_oneof![
        Just(Closed::BackChannel),
        Just(Closed::FrontChannel),
        Just(Closed::Remote),
        Just(Closed::TooMany),
    ]
}

fn key() -> impl Strategy<Value = Key> {
    prop_oneof![3 => Just(Key::A), 1 => Just(Key::B)]
}

fn refused() -> impl Strategy<Value = Refused> {
    prop_oneof![
        6 => Just(Refused::None),
        3 => Just(Refused::Current),
        1 => Just(Refused::Stale),
        1 => Just(Refused::NeverIssued),
    ]
}

fn wait() -> impl Strategy<Value = Wait> {
    let mark = prop_oneof![
        30 => key().prop_map(Mark::TokenEnd),
        20 => key().prop_map(Mark::RefreshDue),
        4 => Just(Mark::Alarm),
        2 => Just(Mark::Transaction),
        1 => Just(Mark::Idle),
    ];
    let duration = prop_oneof![
        60 => 1_u64..60,
        10 => 60_u64..1_200,
        1 => 1_200_u64..200_000,
    ];
    prop_oneof![
        2 => (0_u64..3_000).prop_map(Wait::Millis),
        4 => duration.prop_map(Wait::Secs),
        4 => (mark, -1_i8..=1).prop_map(|(mark, offset)| Wait::To(mark, offset)),
    ]
}

fn answer() -> impl Strategy<Value = Answer> {
    prop_oneof![
        20 => gift().prop_map(Answer::Good),
        6 => any::<bool>().prop_map(|handled| Answer::Lost { handled }),
        3 => Just(Answer::Overloaded),
        2 => Just(Answer::RefusesClient),
        6 => Just(Answer::Refused),
        2 => Just(Answer::NoConsent),
        1 => any::<bool>().prop_map(|found_out| Answer::OfAnother { found_out }),
        1 => Just(Answer::Withdrawn),
    ]
}

fn gift() -> impl Strategy<Value = Gift> {
    let rotation = prop_oneof![
        5 => Just(Rotation::New),
        2 => Just(Rotation::None),
        1 => Just(Rotation::Same),
    ];
    (lifetime(), rotation, any::<bool>()).prop_map(|(lifetime, rotation, id_token)| Gift {
        lifetime,
        rotation,
        id_token,
    })
}

fn lifetime() -> impl Strategy<Value = Lifetime> {
    prop_oneof![
        10 => Just(Some(60)),
        6 => Just(Some(300)),
        1 => Just(Some(3_600)),
        3 => Just(None),
        1 => Just(Some(0)),
    ]
}

fn maybe_crash() -> impl Strategy<Value = Option<Crash>> {
    option::weighted(CRASHES, crash())
}

fn crash() -> impl Strategy<Value = Crash> {
    let at = prop_oneof![
        1 => Just(CrashAt::BeforeTheWrite),
        2 => (0_u8..3).prop_map(CrashAt::After),
    ];
    (at, stop()).prop_map(|(at, stop)| Crash { at, stop })
}

fn stop() -> impl Strategy<Value = Stop> {
    let ring = prop_oneof![
        12 => Just(NewRing::Same),
        3 => Just(NewRing::Rotated),
        2 => Just(NewRing::OldRemoved),
        1 => Just(NewRing::RolledBack),
    ];
    (any::<bool>(), ring).prop_map(|(handled, ring)| Stop { handled, ring })
}
