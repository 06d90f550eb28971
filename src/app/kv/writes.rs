//! Writes that KV may refuse the first time: it takes one a second for a key.

use std::time::Duration;

use crate::{
    app::ports::{KeyValue, StoreError},
    time::Timestamp,
};

/// KV keeps nothing for less than this.
const SHORTEST: u64 = 60;

/// After this KV takes another write of the same key.
pub(super) const NEXT_WRITE: Duration = Duration::from_millis(1100);

/// Puts, once more a second later if KV didn't take it.
pub(super) async fn put_firmly<K: KeyValue>(
    store: &K,
    key: &str,
    value: &[u8],
    seconds: u64,
) -> Result<(), StoreError> {
    firmly(store, key, Some((value, seconds))).await
}

/// Puts, or deletes where there is no value.
pub(super) async fn firmly<K: KeyValue>(
    store: &K,
    key: &str,
    value: Option<(&[u8], u64)>,
) -> Result<(), StoreError> {
    let mut tries = 0;
    loop {
        let written = match value {
            Some((value, seconds)) => store.put(key, value, seconds).await,
            None => store.delete(key).await,
        };
        tries += 1;
        if written.is_ok() || tries == 2 {
            return written;
        }
        store.wait(NEXT_WRITE).await;
    }
}

/// How long KV is to keep what is of use until `until`: whole seconds, rounded up, and never fewer
/// than it takes.
pub(super) fn seconds_until(until: Timestamp, now: Timestamp) -> u64 {
    let left = until.since(now).as_millis().div_ceil(1000);
    u64::try_from(left).unwrap_or(u64::MAX).max(SHORTEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_to_live_is_whole_seconds_rounded_up_and_60_at_least() {
        let now = Timestamp::from_millis(1_800_000_000_500);
        for (left, seconds) in [
            (0, 60),
            (1, 60),
            (1000, 60),
            (59_999, 60),
            (60_000, 60),
            (60_001, 61),
            (3_600_000, 3600),
            (3_600_001, 3601),
        ] {
            let until = now.after(Duration::from_millis(left));
            assert_eq!(seconds_until(until, now), seconds, "{left} ms");
        }
        assert_eq!(seconds_until(now, now.after(Duration::from_secs(5))), 60, "it has passed");
    }
}
