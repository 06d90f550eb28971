//! Ends that come without the cookie and name a person or a provider's session, not one of ours:
//! a marker says "all that were made before then are over", and each session of that name looks
//! for it when it is used next.
//!
//! There is no list of a person's sessions in KV: a list that several places write at once loses
//! entries.

use serde::{Deserialize, Serialize};

use super::rows::{put_firmly, seconds_until};
use crate::{
    app::ports::{KeyValue, StoreError},
    config::SessionConfig,
    session::EndReason,
    time::Timestamp,
};

/// No release writes a longer one; a namespace may hold others' values, of 25 MiB.
const MAX_BYTES: usize = 4096;

/// What a marker says.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Marker {
    before: Timestamp,
    /// A later release's reason is no reason to let a session live.
    #[serde(default = "unknown", deserialize_with = "known_or_unknown")]
    pub(super) reason: EndReason,
}

impl Marker {
    /// What a value says; one that says no time ends nothing.
    pub(super) fn read(value: &[u8]) -> Option<Self> {
        crate::json::read(Some(value).filter(|value| value.len() <= MAX_BYTES)?).ok()
    }

    /// Whether a session that was made at `created` is over.
    pub(super) fn covers(&self, created: Timestamp) -> bool {
        created <= self.before
    }
}

/// The key of the marker for an index name.
pub(super) fn key(name: &str) -> String {
    format!("out:{name}")
}

/// The name for those of a person's sessions that came without a `sid`: a logout token that names a
/// `sid` may mean one of them, and none of those with another `sid`.
pub(super) fn without_sid(subject: &str) -> String {
    format!("{subject}.without-sid")
}

/// Ends, for `reason`, every session under the index name `name` that was made at or before
/// `before`: each when it is used next, and where it is used elsewhere when that place has come to
/// know. Only for a store with `delayed_logout`: no other looks for markers.
///
/// # Errors
///
/// Nothing was written; nobody is logged out by this.
pub async fn end_before<K: KeyValue>(
    store: &K,
    config: &SessionConfig,
    name: &str,
    before: Timestamp,
    reason: EndReason,
) -> Result<(), StoreError> {
    let key = key(name);
    let [there] = store.read([&key]).await?;
    if there.and_then(|value| Marker::read(&value)).is_some_and(|there| there.covers(before)) {
        return Ok(());
    }
    let value = serde_json::to_vec(&Marker { before, reason }).map_err(|_| StoreError)?;
    // No session of before then lives longer, from now on even less.
    let seconds = seconds_until(before.after(config.absolute), before);
    put_firmly(store, &key, &value, seconds).await
}

const fn unknown() -> EndReason {
    EndReason::Remote
}

fn known_or_unknown<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<EndReason, D::Error> {
    let reason = serde_json::Value::deserialize(deserializer)?;
    Ok(serde_json::from_value(reason).unwrap_or_else(|_| unknown()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn a_marker_ends_what_was_made_until_then_and_nothing_later() {
        let marker = Marker { before: at(1000), reason: EndReason::BackChannel };
        let marker = Marker::read(&serde_json::to_vec(&marker).unwrap()).unwrap();
        assert_eq!(marker.reason, EndReason::BackChannel);
        assert!(marker.covers(at(999)) && marker.covers(at(1000)) && !marker.covers(at(1001)));
    }

    #[test]
    fn a_later_releases_reason_still_ends_and_what_says_no_time_does_not() {
        for (value, reason) in [
            (r#"{"before":5,"reason":"back_channel"}"#, Some(EndReason::BackChannel)),
            (r#"{"before":5,"reason":"by_moonlight"}"#, Some(EndReason::Remote)),
            (r#"{"before":5,"reason":{"new":1},"more":7}"#, Some(EndReason::Remote)),
            (r#"{"before":5}"#, Some(EndReason::Remote)),
            (r#"{"before":-5}"#, None),
            (r#"{"reason":"back_channel"}"#, None),
            ("5", None),
            ("", None),
            ("\u{1}\u{0}", None),
        ] {
            let read = Marker::read(value.as_bytes()).map(|marker| marker.reason);
            assert_eq!(read, reason, "{value}");
        }
        // Read as a reason it would take twelve times its length of the isolate's 128 MB.
        let long = format!(r#"{{"before":5,"reason":[{}0]}}"#, "0,".repeat(MAX_BYTES / 2));
        assert!(Marker::read(long.as_bytes()).is_none());
    }
}
