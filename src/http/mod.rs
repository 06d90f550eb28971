//! Plain HTTP: heads, methods, cookies, CSRF, routes, and the decision for a call.

pub mod message;
