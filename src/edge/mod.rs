//! The platform's adapters: thin, and the only room that knows JavaScript.
//!
//! The modules of the entry (`*.mjs`) call what is exported here. The Worker half ([`worker_half`]) and the object half
//! ([`session_object`]) have statics of their own and share none: locally both run in one isolate,
//! on the network they don't. Sessions in KV ([`kv_store`]) run in the Worker half's isolates.
//! Statics hold values only, never a promise or a future.

mod callers;
mod environment;
mod fetch;
mod kv_store;
mod plans;
mod platform;
mod row;
mod session_object;
mod store;
mod subject_object;
mod work_ports;
mod worker_half;
