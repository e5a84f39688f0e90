//! Brings the history of a vendor that moves in.

pub mod orders;
