//! What is written, and what it is worth without the cookie (promise 2).

use super::*;

/// Checks a row against what is known, after a turn that may have written it.
pub(super) fn is_right(model: &Model, outcome: &Outcome) -> Verdict {
    let row = model.row.as_deref();
    promise(
        row.is_none() || model.alarm.is_some(),
        "what is stored has an alarm that will look after it",
        || format!("{outcome:?}"),
    )?;
    let soon = model.now.after(Duration::from_millis(1));
    let due = model.ledger.due(model.now).map(|due| due.max(soon));
    promise(
        row.is_none() || due.is_none() || model.alarm <= due,
        "the alarm rings no later than a limit, or than an ID token is kept for its URL",
        || format!("{:?} for {due:?}", model.alarm),
    )?;
    if let Some(Some(row)) = &outcome.row {
        holds_no_secret(row)?;
    }
    // What is answered or sent rests on the row: it must say so.
    let row = row.map(Row::decode);
    let is_live = matches!(&row, Some(Row::Live(_)));
    match &model.ledger.phase {
        Phase::Live(live) => {
            let epoch = match &row {
                Some(Row::Live(closed)) => Some(closed.open.epoch),
                _ => None,
            };
            promise(epoch == Some(live.epoch), "a session is written before it is used", || {
                format!("{row:?}, but {live:?}")
            })?;
        }
        Phase::Before | Phase::Over(_) => {
            promise(!is_live, "the record goes with the session", || format!("{row:?}"))?;
        }
    }
    let starts_login = outcome.starts().any(|work| matches!(work, Work::Login(_)));
    promise(
        !starts_login || matches!(row, Some(Row::Exchanging(_))),
        "that a code is spent is written before it leaves",
        || format!("{row:?}"),
    )?;
    match (&outcome.row, row) {
        (Some(_), Some(Row::Live(closed))) => opens_for_the_cookie_alone(model, &closed, outcome),
        _ => promise(outcome.refresh().is_none(), SENDING, || format!("{outcome:?}")),
    }
}

const SENDING: &str = "that a refresh is sent is written before it leaves";

fn opens_for_the_cookie_alone(model: &Model, closed: &ClosedRecord, outcome: &Outcome) -> Verdict {
    let keys = &model.config.session.keys;
    let Some(written) = closed.open(keys, &session_id()) else {
        let sealed = "a record is sealed under the ring's first key, and opens with the cookie";
        return promise(false, sealed, || format!("{closed:?}"));
    };
    let known = match &model.ledger.phase {
        Phase::Live(live) => live.refresh_token.as_ref(),
        _ => None,
    };
    let refresh_token = written.refresh_token.as_ref().map(Secret::expose);
    promise(
        refresh_token == known,
        "the newest refresh token is written before anything rests on it",
        || format!("{refresh_token:?}, not {known:?}"),
    )?;
    let is_sent = outcome.refresh().is_some();
    promise(!is_sent || written.sending, SENDING, || format!("{written:?}"))?;
    // Sealing takes most of a run's time: the rest is looked at where a session or a key is new.
    if !matches!(outcome.said, Said::LoginDone(_)) && model.ledger.ring.len() == 1 {
        return Ok(());
    }
    promise(
        closed.open(keys, &stranger()).is_none()
            && closed.open(&model.other_ring(), &session_id()).is_none(),
        "a record opens only with the SessionId and a key of the ring together",
        || format!("{closed:?}"),
    )
}

fn holds_no_secret(row: &[u8]) -> Verdict {
    let readable = String::from_utf8_lossy(row);
    let behind_base64url = readable.split('"').filter(|text| text.len() > 40);
    let decoded = behind_base64url.filter_map(base64url::decode);
    let decoded = decoded.map(|text| String::from_utf8_lossy(&text).into_owned());
    for text in std::iter::once(readable.to_string()).chain(decoded) {
        let found = [SECRET, "example.com"].iter().find(|secret| text.contains(**secret));
        promise(found.is_none(), "no row holds a token, a claim or a name", || {
            format!("{found:?} in {readable}")
        })?;
    }
    let id = session_id();
    promise(
        !row.windows(32).any(|window| window == id.expose())
            && !readable.contains(&base64url::encode(id.expose())),
        "no row holds the SessionId",
        || readable.to_string(),
    )
}
