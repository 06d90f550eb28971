//! What can happen. A step means something in every state and names nothing that an earlier step
//! made, so that a sequence can be shrunk by leaving steps out.

use super::*;

/// Everything that one run is made of.
#[derive(Clone, Debug)]
pub(super) struct Sequence {
    pub(super) setup: Setup,
    pub(super) steps: Vec<Step>,
}

/// What stands from the beginning.
#[derive(Clone, Copy, Debug)]
pub(super) struct Setup {
    /// The idle and the absolute limit, in seconds.
    pub(super) limits: (u64, u64),
    /// The sequence begins with a session whose token lives for so many seconds.
    pub(super) logged_in: Option<Lifetime>,
    pub(super) refresh_tokens: bool,
    pub(super) revocation_endpoint: bool,
    pub(super) revocation_ticket: bool,
    pub(super) id_token_hint: bool,
    pub(super) ending: Ending,
}

/// How a sequence comes to its end.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ending {
    /// All work is answered, then every alarm rings on its time.
    OnTime,
    /// All work is answered, then an alarm rings long after.
    Late,
    /// What is under way is never answered.
    Unanswered,
}

/// A token's life in seconds, where the provider states it.
pub(super) type Lifetime = Option<u64>;

#[derive(Clone, Debug)]
pub(super) enum Step {
    Ask(Ask, Option<Crash>),
    Wait(Wait),
    /// Some work under way comes to its end.
    Answer(Nth, Answer, Option<Crash>),
    /// The provider has handled a request; its answer is on the way.
    Handle(Nth, Gift),
    /// The alarm rings, at its time or before.
    Ring {
        early: bool,
        crash: Option<Crash>,
    },
    Restart(Stop),
    /// The provider takes all grants back.
    Withdraw,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Ask {
    Access(Key, Refused),
    Status { touch: bool },
    Login { another_code: bool },
    End { replaced: bool, keep_id_token: bool },
    Close(Closed),
    Probe,
    RedeemLogout { wrong: bool },
    Stranger(Stranger),
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Key {
    A,
    B,
}

/// Who ends a session without its cookie.
#[derive(Clone, Copy, Debug)]
pub(super) enum Closed {
    BackChannel,
    FrontChannel,
    Remote,
    TooMany,
}

/// Which token the API is said to have refused.
#[derive(Clone, Copy, Debug)]
pub(super) enum Refused {
    None,
    Current,
    Stale,
    NeverIssued,
}

/// What comes from somebody whom this session isn't of.
#[derive(Clone, Copy, Debug)]
pub(super) enum Stranger {
    AccessWithAnotherId,
    EndWithAnotherId,
    CloseOfAnotherObject,
    LoginOfAnotherObject,
    StatusOfAnotherObject,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Wait {
    Millis(u64),
    Secs(u64),
    /// To a millisecond before, at, or after it, if it is still to come.
    To(Mark, i8),
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Mark {
    Alarm,
    RefreshDue(Key),
    TokenEnd(Key),
    Idle,
    Absolute,
    Transaction,
}

/// One of the works under way, counted round.
pub(super) type Nth = u8;

/// How a request to the provider ends. What was handled before can only be answered or lost.
#[derive(Clone, Copy, Debug)]
pub(super) enum Answer {
    Good(Gift),
    Lost {
        handled: bool,
    },
    Overloaded,
    RefusesClient,
    Refused,
    /// `invalid_grant` for a token that it never gave, if it never did: nobody has consented.
    NoConsent,
    /// It takes the grant back and says so.
    Withdrawn,
    /// Tokens of another person; `found_out` by the use case, else left to the machine.
    OfAnother {
        found_out: bool,
    },
}

/// What comes with a good answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gift {
    pub(super) lifetime: Lifetime,
    pub(super) rotation: Rotation,
    /// A verified ID token comes along with a refresh.
    pub(super) id_token: bool,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Rotation {
    /// A new refresh token; the old one is spent.
    New,
    /// None in the answer; the old one stays.
    None,
    /// The same in the answer.
    Same,
}

impl Key {
    pub(super) fn token(self) -> TokenKey {
        match self {
            Self::A => key_a(),
            Self::B => key_b(),
        }
    }
}

impl Closed {
    pub(super) const fn reason(self) -> EndReason {
        match self {
            Self::BackChannel => EndReason::BackChannel,
            Self::FrontChannel => EndReason::FrontChannel,
            Self::Remote => EndReason::Remote,
            Self::TooMany => EndReason::TooMany,
        }
    }
}

impl Gift {
    /// What a provider gives that is as it should be.
    pub(super) const PLAIN: Self =
        Self { lifetime: Some(300), rotation: Rotation::New, id_token: false };
}

/// The object stops in the middle of a turn.
#[derive(Clone, Copy, Debug)]
pub(super) struct Crash {
    pub(super) at: CrashAt,
    pub(super) stop: Stop,
}

/// The object stops and starts again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stop {
    /// What the provider hadn't handled of the works under way it handles, to nobody.
    pub(super) handled: bool,
    pub(super) ring: NewRing,
}

/// The writes of one turn become durable together, and nothing leaves before.
#[derive(Clone, Copy, Debug)]
pub(super) enum CrashAt {
    BeforeTheWrite,
    /// After the write and so many of the effects behind it.
    After(u8),
}

/// What the operator did to the key ring meanwhile.
#[derive(Clone, Copy, Debug)]
pub(super) enum NewRing {
    Same,
    /// A new first key.
    Rotated,
    /// All but the first are removed.
    OldRemoved,
    /// The first is removed again.
    RolledBack,
}
