//! What handlers take out of requests; each refusal is a problem with a pointer to what is wrong.

mod auth;
mod command;
mod fields;
pub mod json;
mod min_position;
mod path;
mod query;

pub use auth::{Authed, authorize};
pub use command::{ApiCommand, NoBody, idempotency, if_match, traceparent};
pub use fields::{Amount, Secret, Time, Whole, double_option};
pub use json::{ApiJson, BODY_LIMIT, parse_json, read_body};
pub use min_position::{MIN_POSITION, MinPosition};
pub use path::ApiPath;
pub use query::{ApiQuery, Paging, storable};
