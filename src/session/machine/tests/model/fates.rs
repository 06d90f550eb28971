//! Why a session may end (promise 3, and what stands in the table of `refresh.rs`), said once more
//! from outside.

use super::*;

/// Whose end takes the refresh token back at the provider.
pub(super) const fn revokes(reason: EndReason) -> bool {
    matches!(
        reason,
        EndReason::Logout
            | EndReason::Idle
            | EndReason::Absolute
            | EndReason::BackChannel
            | EndReason::Remote
    )
}

/// Whether this end of this session, in this turn, is one that the design names.
pub(super) fn is_due(
    ledger: &Ledger,
    live: &Live,
    outcome: &Outcome,
    reason: EndReason,
    now: Timestamp,
    provider: &Provider,
) -> Verdict {
    let seen = || format!("ended as {reason:?} by {:?}: {live:?}", outcome.said);
    if let Said::RefreshDone(Err(failure)) = &outcome.said {
        promise(
            !matches!(
                failure,
                RefreshFailure::ProviderUnavailable
                    | RefreshFailure::ProviderOverloaded
                    | RefreshFailure::ProviderRefusesClient
                    | RefreshFailure::IdentityRefused
            ),
            "a provider that is down, slow, overloaded or at odds with our credentials ends nothing",
            seen,
        )?;
    }
    let step = touch_step(ledger.idle());
    let nothing_lives = live.tokens.values().all(|token| token.has_run_out(now));
    let is_named = match reason {
        EndReason::Logout | EndReason::Replaced => {
            matches!(outcome.said, Said::End { reason: asked, .. } if asked == reason)
        }
        EndReason::BackChannel
        | EndReason::FrontChannel
        | EndReason::Remote
        | EndReason::TooMany => {
            matches!(outcome.said, Said::Close { reason: asked } if asked == reason)
        }
        EndReason::Idle => now.after(step) >= live.active.after(ledger.idle()),
        EndReason::Absolute => now >= live.created.after(ledger.absolute()),
        EndReason::TokenExpired => live.refresh_token.is_none() && nothing_lives,
        EndReason::RefreshRefused => {
            let first = live.first_refusals.values().min();
            matches!(outcome.said, Said::RefreshDone(Err(RefreshFailure::Refused)))
                && nothing_lives
                && first.is_some_and(|first| now >= first.after(secs(5)))
        }
        EndReason::InvalidGrant | EndReason::RefreshAnswerLost => {
            matches!(outcome.said, Said::RefreshDone(Err(RefreshFailure::InvalidGrant)))
        }
    };
    promise(is_named, "a session ends only by what the design names", seen)?;
    if matches!(reason, EndReason::InvalidGrant | EndReason::RefreshAnswerLost) {
        by_invalid_grant(live, reason, provider)?;
    }
    Ok(())
}

/// The one window: what a crash or a lost answer may cost, and under which name.
fn by_invalid_grant(live: &Live, reason: EndReason, provider: &Provider) -> Verdict {
    let seen = || format!("{reason:?}: {live:?}, {provider:?}");
    let earlier = live.tries.split_last().map_or(&[][..], |(_, earlier)| earlier);
    let an_answer_was_lost = earlier.contains(&false);
    promise(
        an_answer_was_lost == (reason == EndReason::RefreshAnswerLost),
        "`refresh_answer_lost` is what invalid_grant after a lost answer is called, and nothing else",
        seen,
    )?;
    let grant = live.refresh_token.as_deref().and_then(|token| provider.grant_of(token));
    let is_the_providers =
        grant.is_some_and(|grant| grant.over == Some(Over::Withdrawn) || grant.went_astray);
    promise(
        is_the_providers || an_answer_was_lost,
        "the only loss by a race or a crash is a refresh that was handled and whose answer was not \
         written",
        seen,
    )
}
