//! Use cases of licences.

pub mod change;
pub mod deactivate;
pub mod disable;
pub mod enable;
pub mod expire;
pub mod renew;
pub mod revoke;
pub mod unbind;
pub mod use_on_machine;
