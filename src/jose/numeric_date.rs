//! `NumericDate` (RFC 7519 §2): seconds since the epoch, fractions allowed.

use serde_json::Value;

use crate::time::Timestamp;

/// The last second of the year 9999. What claims to be later is a fault: milliseconds, an
/// overflow, or somebody who tries.
const LATEST: u64 = 253_402_300_799;

/// Reads a `NumericDate`. Only a number from 0 to the year 9999 is one: a string, `null` or a
/// negative number is a fault of the token, never an absent claim (CVE-2026-25537) and never a
/// wrapped date (jwt-simple's audit).
pub(super) fn parse(value: &Value) -> Option<Timestamp> {
    let Value::Number(number) = value else { return None };
    if let Some(seconds) = number.as_u64() {
        return (seconds <= LATEST).then(|| Timestamp::from_secs(seconds));
    }
    let seconds = number.as_f64()?;
    #[expect(clippy::cast_precision_loss, reason = "well below 2^53")]
    let in_range = (0.0..=LATEST as f64).contains(&seconds);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the range was checked; the cast cuts to whole milliseconds"
    )]
    in_range.then(|| Timestamp::from_millis((seconds * 1000.0) as u64))
}
