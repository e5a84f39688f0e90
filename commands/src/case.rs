//! Use cases of the differences that reconciliations find.

pub mod note;
pub mod resolve;
pub mod see;
pub mod vanish;
