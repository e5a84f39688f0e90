//! What waits for a second super admin because it takes back more than one person may move alone (row U12).

pub mod confirm;
pub mod decline;
pub mod propose;
