//! Use cases of accounts, and what is kept of them beside the log.

pub mod change_password;
pub mod claims;
pub mod create;
pub mod disable;
pub mod enable;
pub mod erase_personal_data;
pub mod secrets;
pub mod set_commission_rates;
pub mod unlock;
