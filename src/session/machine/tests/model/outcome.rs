//! One input and what the machine made of it, read in the order in which it must be done.

use super::*;

/// What was handed in, as the ledger needs it.
#[derive(Clone, Debug)]
pub(super) enum Said {
    Login {
        code: String,
    },
    Access {
        key: TokenKey,
        refused: Option<u64>,
    },
    Status {
        touch: bool,
    },
    End {
        reason: EndReason,
        keep_id_token: bool,
    },
    Close {
        reason: EndReason,
    },
    Probe,
    RedeemLogout {
        ticket: String,
    },
    Stranger,
    LoginDone(Result<Box<Brought>, LoginFailure>),
    RefreshDone(Result<Box<Brought>, RefreshFailure>),
    /// `is_final` is a yes or a no.
    RevocationDone {
        token: String,
        is_final: bool,
    },
    Alarm,
}

impl Said {
    /// Whether somebody comes with the session's own id, so that a closed record is opened.
    pub(super) const fn brings_the_id(&self) -> bool {
        matches!(
            self,
            Self::Login { .. } | Self::Access { .. } | Self::Status { .. } | Self::End { .. }
        )
    }

    /// Whether it counts against the idle limit.
    pub(super) const fn is_activity(&self) -> bool {
        matches!(self, Self::Access { .. } | Self::Status { touch: true })
    }
}

#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) said: Said,
    /// The row from now on: `Some(None)` is none.
    pub(super) row: Option<Option<Vec<u8>>>,
    pub(super) alarm: Option<Option<Timestamp>>,
    /// Work, then replies, then events.
    pub(super) rest: Vec<Effect>,
}

impl Outcome {
    /// Sorts what is written from what is done then.
    pub(super) fn read(said: Said, effects: Vec<Effect>) -> Result<Self, TestCaseError> {
        let mut outcome = Self { said, row: None, alarm: None, rest: Vec::new() };
        for effect in effects {
            let is_write = matches!(effect, Effect::Put(_) | Effect::DeleteAll);
            let last = outcome.rest.last().map_or(0, rank);
            promise(
                rank(&effect) >= last,
                "writes come before the work and the replies that rest on them, and the log last",
                || {
                    format!(
                        "{} after {}",
                        brief(&effect),
                        outcome.rest.last().map_or_else(String::new, brief)
                    )
                },
            )?;
            promise(
                !(is_write && outcome.row.is_some()),
                "a turn writes the row at most once",
                || brief(&effect),
            )?;
            match effect {
                Effect::Put(row) => outcome.row = Some(Some(row)),
                Effect::DeleteAll => outcome.row = Some(None),
                Effect::SetAlarm(alarm) => {
                    promise(outcome.alarm.is_none(), "a turn sets the alarm at most once", || {
                        format!("{alarm:?}")
                    })?;
                    outcome.alarm = Some(alarm);
                }
                other => outcome.rest.push(other),
            }
        }
        Ok(outcome)
    }

    pub(super) fn starts(&self) -> impl Iterator<Item = &Work> {
        self.rest.iter().filter_map(|effect| match effect {
            Effect::Start(work) => Some(work),
            _ => None,
        })
    }

    pub(super) fn refresh(&self) -> Option<&RefreshWork> {
        self.starts().find_map(|work| match work {
            Work::Refresh(work) => Some(&**work),
            _ => None,
        })
    }

    pub(super) fn replies(&self) -> impl Iterator<Item = &Reply> {
        self.rest.iter().filter_map(|effect| match effect {
            Effect::Reply(_, reply) => Some(reply),
            _ => None,
        })
    }

    pub(super) fn unlisted(&self) -> impl Iterator<Item = &SessionKey> {
        self.rest.iter().filter_map(|effect| match effect {
            Effect::Unlist { session, .. } => Some(session),
            _ => None,
        })
    }

    pub(super) fn events(&self) -> impl Iterator<Item = &Event> {
        self.rest.iter().filter_map(|effect| match effect {
            Effect::Audit(event) => Some(event),
            _ => None,
        })
    }

    /// Why the session ended in this turn, if it did.
    pub(super) fn ended(&self) -> Option<EndReason> {
        self.events().find_map(|event| match event {
            Event::SessionEnded { reason, .. } => Some(*reason),
            _ => None,
        })
    }
}

/// The place of an effect in a turn.
const fn rank(effect: &Effect) -> u8 {
    match effect {
        Effect::Put(_) | Effect::DeleteAll => 0,
        Effect::SetAlarm(_) => 1,
        Effect::Start(_) => 2,
        Effect::Reply(..) => 3,
        Effect::Unlist { .. } => 4,
        Effect::Audit(_) => 5,
    }
}

/// An effect in a line of a trace.
pub(super) fn brief(effect: &Effect) -> String {
    match effect {
        Effect::Put(row) => match Row::decode(row) {
            Row::Live(closed) => format!("Put(Live, epoch {})", closed.open.epoch),
            Row::Exchanging(_) => "Put(Exchanging)".to_owned(),
            Row::Ended(_) => "Put(Ended)".to_owned(),
            Row::Newer | Row::Damaged => "Put(unreadable)".to_owned(),
        },
        Effect::SetAlarm(Some(at)) => format!("SetAlarm({} ms)", at.since(T0).as_millis()),
        Effect::Start(Work::Refresh(work)) => {
            format!("Start(Refresh with {})", work.refresh_token.expose())
        }
        Effect::Start(Work::Revoke { token, .. }) => format!("Start(Revoke {})", token.expose()),
        Effect::Start(Work::Login(_)) => "Start(Login)".to_owned(),
        Effect::Reply(CallerId(caller), Reply::Granted(grant)) => {
            format!("Reply({caller}, Granted({}))", grant.access_token.expose())
        }
        Effect::Audit(Event::SessionEnded { reason, .. }) => format!("Audit(ended: {reason:?})"),
        Effect::Audit(Event::RefreshFailed { reason, .. }) => format!("Audit(refresh: {reason:?})"),
        other => format!("{other:?}"),
    }
}
