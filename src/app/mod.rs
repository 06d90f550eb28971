//! Use cases over ports: one async function a file.

pub mod ports;
