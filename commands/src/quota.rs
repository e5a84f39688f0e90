//! Use cases of quota.

pub mod decide_transfer;
pub mod expire_hold;
pub mod movement;
pub mod refuse_transfer;
pub mod release_transfer;
pub mod top_up;
pub mod transfer;
