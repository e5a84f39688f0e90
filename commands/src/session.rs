//! Use cases of sessions: who is it, and for how long. Sessions stand beside the log.

pub mod log_in;
pub mod tokens;
