//! What callers may be told.

use super::*;

/// Checks one reply that leaves, after its turn was written.
pub(super) fn is_right(ledger: &Ledger, asked: &Said, reply: &Reply, now: Timestamp) -> Verdict {
    match (asked, reply) {
        (Said::Access { key, .. }, Reply::Granted(grant)) => granted(ledger, key, grant, now),
        (Said::Access { key, .. }, Reply::Unavailable(_)) => unavailable(ledger, key, now),
        (Said::Status { .. }, Reply::Status(status)) => status_of(ledger, status, now),
        (Said::Access { .. } | Said::Status { .. } | Said::End { .. }, Reply::NoSession) => {
            promise(ledger.openable().is_none(), "a session that lives is denied to nobody", || {
                format!("{:?}", ledger.phase)
            })
        }
        (Said::Probe, reply @ (Reply::Lives { .. } | Reply::NoSession)) => {
            let lives = match ledger.phase {
                Phase::Before => ledger.is_exchanging,
                Phase::Live(_) => true,
                Phase::Over(_) => false,
            };
            promise(
                lives == matches!(reply, Reply::Lives { .. }),
                "who asks without the cookie is told whether there is a session",
                || format!("{reply:?}: {:?}", ledger.phase),
            )
        }
        (Said::Login { code }, Reply::LoggedIn { absolute_deadline }) => {
            logged_in(ledger, code, *absolute_deadline)
        }
        (Said::Login { code }, Reply::LoginFailed(failure)) => {
            login_failed(ledger, code, *failure, now)
        }
        (Said::End { .. } | Said::Close { .. }, Reply::Ended(_))
        | (Said::RedeemLogout { .. }, Reply::NoSession | Reply::LogoutRedeemed { .. })
        | (Said::Stranger, Reply::NoSession) => Ok(()),
        (asked, reply) => {
            promise(false, "a reply answers what was asked", || format!("{reply:?} to {asked:?}"))
        }
    }
}

/// Checks what an end, or the URL after it, gives out; `was_live` is from before the turn.
pub(super) fn to_an_end(ledger: &mut Ledger, outcome: &Outcome, was_live: bool) -> Verdict {
    let is_over = matches!(ledger.phase, Phase::Over(_));
    for reply in outcome.replies() {
        match (&outcome.said, reply) {
            (Said::End { keep_id_token, .. }, Reply::Ended(ended)) => {
                promise(
                    is_over && ended.ended == was_live,
                    "once an end is confirmed the session is over",
                    || format!("{:?}", ledger.phase),
                )?;
                let hint = ended.id_token.as_ref().map(|token| token.expose().clone());
                let expected = ledger.id_token_hint().filter(|_| was_live && !keep_id_token);
                promise(
                    hint == expected && ended.ticket.is_some() == (was_live && *keep_id_token),
                    "an end gives the ID token or a ticket for it, as it was asked",
                    || format!("{hint:?}, {expected:?}, {:?}", ended.ticket),
                )?;
            }
            (Said::Close { .. }, Reply::Ended(ended)) => {
                promise(
                    is_over && ended.ended == was_live,
                    "once an end is confirmed the session is over",
                    || format!("{:?}", ledger.phase),
                )?;
                promise(
                    ended.id_token.is_none() && ended.ticket.is_none(),
                    "an end without the cookie gives nothing out",
                    || format!("{ended:?}"),
                )?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// Checks the one-time logout URL, before the turn counts as its use.
pub(super) fn to_a_ticket(ledger: &Ledger, outcome: &Outcome, now: Timestamp) -> Verdict {
    let Said::RedeemLogout { ticket } = &outcome.said else { return Ok(()) };
    let expected = ledger.redeemable(ticket, now).map(|kept| kept.id_token.clone());
    for reply in outcome.replies() {
        let given = match reply {
            Reply::LogoutRedeemed { id_token, .. } => {
                Some(id_token.as_ref().map(|token| token.expose().clone()))
            }
            _ => None,
        };
        promise(
            given == expected,
            "a one-time logout URL gives the ID token once, in time, and to its ticket alone",
            || format!("{given:?}, not {expected:?}"),
        )?;
    }
    Ok(())
}

fn granted(ledger: &Ledger, key: &TokenKey, grant: &GrantedToken, now: Timestamp) -> Verdict {
    let seen = || format!("{grant:?} while {:?}", ledger.phase);
    let Phase::Live(live) = &ledger.phase else {
        return promise(false, "after an end no token is granted", seen);
    };
    let held = live.tokens.get(key);
    promise(
        held.is_some_and(|held| held.text == *grant.access_token.expose()),
        "the token that is granted is the current one for its key",
        seen,
    )?;
    promise(
        held.is_some_and(|held| held.epoch == grant.epoch),
        "an epoch belongs to one token, and never goes back",
        seen,
    )?;
    let lives = grant.expires_at.is_none_or(|end| now < end) && now < grant.session_deadline;
    promise(lives, "no token is granted past its end or the session's", seen)?;
    let latest = live.created.after(ledger.absolute()).min(live.active.after(ledger.idle()));
    promise(
        held.is_some_and(|held| {
            held.expires_at == grant.expires_at && held.issued_at == grant.issued_at
        }) && grant.session_deadline <= latest,
        "a grant is lent for no longer than the token and the session live",
        seen,
    )
}

fn unavailable(ledger: &Ledger, key: &TokenKey, now: Timestamp) -> Verdict {
    let seen = || format!("{key:?}: {:?}", ledger.phase);
    let Phase::Live(live) = &ledger.phase else {
        return promise(false, "only a session that lives has no token just now", seen);
    };
    let nothing_lives = live.tokens.get(key).is_none_or(|held| held.has_run_out(now));
    // Who waited for an answer past a limit gets no token; the next call ends the session.
    let is_past = now.after(step(ledger)) >= live.active.after(ledger.idle())
        || now >= live.created.after(ledger.absolute());
    promise(nothing_lives || is_past, "the old token serves while it lives", seen)
}

fn status_of(ledger: &Ledger, status: &StatusReply, now: Timestamp) -> Verdict {
    let seen = || format!("{status:?} while {:?}", ledger.phase);
    let Phase::Live(live) = &ledger.phase else {
        return promise(false, "after an end no status is given", seen);
    };
    promise(
        status.claims.get("groups").and_then(|claims| claims.as_str()) == Some(&live.claims),
        "a status shows the claims of the newest verified ID token",
        seen,
    )?;
    let latest = live.active.after(ledger.idle());
    promise(
        status.created == live.created
            && status.absolute_deadline == live.created.after(ledger.absolute())
            && status.idle_deadline <= latest
            && status.idle_deadline.after(step(ledger)) >= latest
            && now < status.idle_deadline,
        "the limits are what was configured, the idle one exact to a step",
        seen,
    )
}

fn logged_in(ledger: &Ledger, code: &str, absolute_deadline: Timestamp) -> Verdict {
    let seen = || format!("{code}: {:?}, {:?}", ledger.attempt, ledger.phase);
    let Phase::Live(live) = &ledger.phase else {
        return promise(false, "a login is confirmed only where its session lives", seen);
    };
    let is_its_code = ledger.attempt.as_ref().is_some_and(|attempt| attempt.code == code);
    promise(
        is_its_code && absolute_deadline == live.created.after(ledger.absolute()),
        "only who brings the code of a session is told that it logged in",
        seen,
    )
}

fn login_failed(ledger: &Ledger, code: &str, failure: LoginFailure, now: Timestamp) -> Verdict {
    let seen = || format!("{failure:?}: {:?}, {:?}", ledger.attempt, ledger.phase);
    let Some(attempt) = ledger.attempt.as_ref().filter(|attempt| attempt.code == code) else {
        return Ok(());
    };
    let lives = ledger.openable().is_some_and(|live| {
        now < live.created.after(ledger.absolute())
            && now.after(step(ledger)) < live.active.after(ledger.idle())
            && live.refresh_token.is_some()
    });
    promise(!lives, "whoever brings the same code again gets the same session", seen)?;
    let is_kept = now < T0.after(Transaction::LIFETIME);
    promise(
        !is_kept || attempt.failure.is_none_or(|first| first == failure),
        "whoever brings the same code again gets the same failure",
        seen,
    )
}

/// How much earlier than promised the idle limit may end a session.
fn step(ledger: &Ledger) -> Duration {
    touch_step(ledger.idle())
}
