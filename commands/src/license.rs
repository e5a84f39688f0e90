//! Use cases of licences.

pub mod beat;
pub mod change;
pub mod deactivate;
pub mod disable;
pub mod enable;
pub mod expire;
pub mod move_to_plan;
pub mod renew;
pub mod report_usage;
pub mod revoke;
pub mod transfer;
pub mod unbind;
pub mod use_on_machine;
