//! The section `session`: where sessions are kept, and for how long.

use serde_json::{Map, Value};

use super::{
    SessionConfig, Store,
    fault::{Faults, shown},
    table::{Field, Span, Table},
};
use crate::session::KeyRing;

/// Reads the section of `table`; all of it has defaults.
pub(super) fn read(
    table: &mut Table<'_>,
    keys: Option<KeyRing>,
    faults: &mut Faults,
) -> Option<SessionConfig> {
    let empty = Value::Object(Map::new());
    let missing = Field { key: table.key("session"), value: &empty };
    let field = table.field("session").unwrap_or(missing);
    field.table(faults, |table, faults| read_limits(table, keys, faults))?
}

/// The limits. The absolute one is the cookie's `Max-Age` too, which browsers cut at 400 days
/// (RFC 6265bis §5.5).
fn read_limits(
    table: &mut Table<'_>,
    keys: Option<KeyRing>,
    faults: &mut Faults,
) -> Option<SessionConfig> {
    const MINUTE: f64 = 60.0;
    const HOUR: f64 = 3600.0;
    const IDLE_MINUTES: u32 = 60;
    const ABSOLUTE_HOURS: u32 = 24;
    let store = read_store(table, faults);
    let given_idle = table.field("idle_minutes");
    let given_absolute = table.field("absolute_hours");
    let idle = Span {
        name: "idle_minutes",
        default: f64::from(IDLE_MINUTES),
        unit_seconds: MINUTE,
        seconds: 1.0..=43_200.0 * MINUTE,
        expected: "a number of minutes from 1/60 to 43200",
    };
    let absolute = Span {
        name: "absolute_hours",
        default: f64::from(ABSOLUTE_HOURS),
        unit_seconds: HOUR,
        seconds: 1.0..=9600.0 * HOUR,
        expected: "a number of hours from 1/3600 to 9600 (400 days)",
    };
    let cache = Span {
        name: "cache_seconds",
        default: 5.0,
        unit_seconds: 1.0,
        seconds: 0.0..=60.0,
        expected: "a number of seconds from 0 (off) to 60",
    };
    let (most, expected) = if store.is_kv() {
        (0.0, "0 with store = \"kv\": KV has no alarm that would try again")
    } else {
        (60.0, "a number of minutes from 0 (off) to 60")
    };
    let revocation_ticket = Span {
        name: "revocation_ticket_minutes",
        default: most,
        unit_seconds: MINUTE,
        seconds: 0.0..=most * MINUTE,
        expected,
    };
    let (idle, absolute) = (table.span(&idle, faults), table.span(&absolute, faults));
    let (cache, revocation_ticket) =
        (table.span(&cache, faults), table.span(&revocation_ticket, faults));
    if let (Some(idle), Some(absolute)) = (idle, absolute)
        && idle > absolute
    {
        let idle = given_idle
            .map_or_else(|| format!("{IDLE_MINUTES} (the default)"), |field| shown(field.value));
        let absolute =
            given_absolute.map_or_else(|| ABSOLUTE_HOURS.to_string(), |field| shown(field.value));
        let expected = format!("at most absolute_hours, which is {absolute}");
        faults.add(table.key("idle_minutes"), idle, expected);
    }
    let idle = idle?;
    Some(SessionConfig {
        store,
        idle,
        absolute: absolute?,
        // Calls that a warm grant serves aren't activity to the object. The limit it keeps may be
        // half of `idle` early (`touch_step`): a grant must be asked for again well before that.
        cache: cache?.min(idle / 4),
        revocation_ticket: revocation_ticket?,
        keys: keys?,
    })
}

/// Where sessions are kept. What only one of the places has is no key of the other: a setting that
/// has no effect would be believed.
fn read_store(table: &mut Table<'_>, faults: &mut Faults) -> Store {
    let delayed_logout = table.field("kv_delayed_logout");
    let store = table.field("store");
    match store.as_ref().map(|field| field.value.as_str()) {
        Some(Some("kv")) => {
            let delayed_logout = delayed_logout.and_then(|field| field.flag(faults));
            Store::Kv { delayed_logout: delayed_logout.unwrap_or(false) }
        }
        None | Some(Some("durable")) => {
            if let Some(field) = delayed_logout {
                let expected = "this key with store = \"kv\" only: objects are told at once";
                field.refuse(expected, faults);
            }
            Store::Durable
        }
        Some(_) => {
            if let Some(field) = store {
                field.refuse("\"durable\" or \"kv\"", faults);
            }
            Store::Durable
        }
    }
}
