//! Ends that come without the cookie and name a person or a provider's session, not one of ours:
//! a marker says "all that were made before then are over", and each session of that name looks
//! for it when it is used next. What was made later is held against an index's bars, by the same
//! rule: a code from before may have been held back.
//!
//! There is no list of a person's sessions in KV: a list that several places write at once loses
//! entries.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::writes::{NEXT_WRITE, seconds_until};
use crate::{
    app::ports::{KeyValue, StoreError},
    config::SessionConfig,
    session::{
        EndReason, Transaction,
        subject::{Bar, Named, Which},
    },
    time::Timestamp,
};

/// No release writes a longer one; a namespace may hold others' values, of 25 MiB.
const MAX_BYTES: usize = 4096;

/// What a marker says.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Marker {
    before: Timestamp,
    /// A later release's reason is no reason to let a session live.
    #[serde(default = "unknown", deserialize_with = "known_or_unknown")]
    pub(super) reason: EndReason,
    /// What a login meets that was under way.
    #[serde(default, deserialize_with = "known_bars")]
    bars: Vec<Bar>,
}

impl Marker {
    /// What a value says; one that says no time ends nothing.
    pub(super) fn read(value: &[u8]) -> Option<Self> {
        crate::json::read(Some(value).filter(|value| value.len() <= MAX_BYTES)?).ok()
    }

    /// The value that says more than the one that is there.
    fn added_to(
        there: Option<&[u8]>,
        which: &Which,
        now: Timestamp,
        reason: EndReason,
    ) -> Result<Vec<u8>, StoreError> {
        let fresh = Self { before: now, reason, bars: Vec::new() };
        let mut marker = there.and_then(Self::read).unwrap_or(fresh);
        // Another place's clock may be ahead: what its marker says isn't taken back.
        marker.before = marker.before.max(now);
        marker.reason = reason;
        Bar::add(&mut marker.bars, which, now);
        serde_json::to_vec(&marker).map_err(|_| StoreError)
    }

    /// Whether a session is over that was made at `created`. What it is named by costs to be known
    /// and is asked for only by a logout of the last minutes before that.
    pub(super) fn ends<'a>(
        &self,
        created: Timestamp,
        session: impl Fn() -> Option<Named<'a>>,
    ) -> bool {
        let mut bars = self.bars.iter().filter(|bar| bar.stands(created));
        let is_barred = |bar: &Bar| session().is_some_and(|session| bar.refuses(&session, created));
        created <= self.before || bars.any(is_barred)
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

/// Ends, for `reason`, every session under the index name `name` that was made at or before `now`,
/// and any login under way that `which` means: each when it is used next, and where it is used
/// elsewhere when that place has come to know. Only for a store with `delayed_logout`: no other
/// looks for markers.
///
/// # Errors
///
/// Nothing was written; nobody is logged out by this.
pub async fn end_before<K: KeyValue>(
    store: &K,
    config: &SessionConfig,
    name: &str,
    which: &Which,
    now: Timestamp,
    reason: EndReason,
) -> Result<(), StoreError> {
    let key = key(name);
    // No session of before then lives longer, nor one of a login that was under way.
    let until = now.after(Transaction::LIFETIME).after(config.absolute);
    let seconds = seconds_until(until, now);
    let mut tries = 0;
    loop {
        // Each time: whoever was just before, so that KV didn't take this, has bars that count.
        let [there] = store.read([&key]).await?;
        let value = Marker::added_to(there.as_deref(), which, now, reason)?;
        let written = store.put(&key, &value, seconds).await;
        tries += 1;
        if written.is_ok() || tries == 2 {
            return written;
        }
        store.wait(NEXT_WRITE).await;
    }
}

const fn unknown() -> EndReason {
    EndReason::Remote
}

fn known_or_unknown<'de, D: Deserializer<'de>>(deserializer: D) -> Result<EndReason, D::Error> {
    let reason = Value::deserialize(deserializer)?;
    Ok(crate::json::from_value(&reason).unwrap_or_else(|_| unknown()))
}

/// Without a later release's, whatever they look like.
fn known_bars<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Bar>, D::Error> {
    let Value::Array(bars) = Value::deserialize(deserializer)? else { return Ok(Vec::new()) };
    Ok(bars.into_iter().filter_map(|bar| crate::json::from_value(&bar).ok()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn a_marker_ends_what_was_made_until_then_and_nothing_later() {
        let marker = Marker::read(br#"{"before":1000,"reason":"back_channel"}"#).unwrap();
        assert_eq!(marker.reason, EndReason::BackChannel);
        for (created, is_over) in [(999, true), (1000, true), (1001, false)] {
            assert_eq!(marker.ends(at(created), || None), is_over, "{created}");
        }
    }

    #[test]
    fn a_bar_is_read_from_an_object_alone() {
        let text = r#"{"before":5,"bars":[[{"begun":{"by":1}},9],{"which":{"begun":{"by":1}},"until":9}]}"#;
        assert_eq!(Marker::read(text.as_bytes()).unwrap().bars.len(), 1);
    }

    #[test]
    fn a_later_releases_reason_still_ends_and_what_says_no_time_does_not() {
        for (value, reason) in [
            (r#"{"before":5,"reason":"back_channel"}"#, Some(EndReason::BackChannel)),
            (r#"{"before":5,"reason":"by_moonlight"}"#, Some(EndReason::Remote)),
            (r#"{"before":5,"reason":{"new":1},"more":7}"#, Some(EndReason::Remote)),
            (r#"{"before":5}"#, Some(EndReason::Remote)),
            (r#"{"before":5,"bars":[{"which":{"new":1},"until":9},7]}"#, Some(EndReason::Remote)),
            (r#"{"before":5,"bars":{"new":1}}"#, Some(EndReason::Remote)),
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
