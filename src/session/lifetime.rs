//! How long things live.
