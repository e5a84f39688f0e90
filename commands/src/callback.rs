//! Use cases of callbacks (row L11).

pub mod refused;
pub mod replay;
pub mod rotate_secret;
pub mod secret;
pub mod set;
pub mod stop;
pub mod target;
pub mod test;
