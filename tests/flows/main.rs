//! Whole flows over ports in memory: one file a behaviour. Every test ends with a search of all
//! that left for every secret that its run knew (`support::Inner::drop`).

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that can't go on has failed"
)]

mod admin;
mod backchannel;
mod callback;
mod calls;
mod devices;
mod field;
mod frontchannel;
mod health;
mod kv;
mod kv_markers;
mod kv_over;
mod kv_races;
mod leaks;
mod limits;
mod lists;
mod login;
mod logout;
mod outages;
mod refresh;
mod revocation;
mod rotation;
mod second_login;
mod support;
mod userinfo;
mod versions;
