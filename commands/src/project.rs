//! Use cases of projects.

pub mod add_plan;
pub mod change;
pub mod change_plan;
pub mod create;
pub mod disable;
pub mod enable;
pub mod grant;
pub mod revoke_grant;
pub mod rotate_credentials;
pub mod rotate_signing_key;
