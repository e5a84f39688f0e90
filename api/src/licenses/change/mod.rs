//! The commands of agents and staff on one licence.
//!
//! What must always hold: the index of this process knows the new state before the answer goes out, so that a licence
//! revoked here is refused here at once.

pub mod disable;
pub mod enable;
pub mod move_to_plan;
pub mod renew;
pub mod revoke;
pub mod transfer;
pub mod unbind;

use quotary_commands::license::change::LicenseAfter;
use quotary_commands::{Done, clock};

use super::LicenseBody;
use crate::reply::Reply;
use crate::state::AppState;

/// Shows the new state to the index and to the caller.
fn observed(state: &AppState, done: Done<LicenseAfter>) -> Reply<LicenseBody> {
    let LicenseAfter { license_id, license, sequence } = &done.value;
    state.license_index.observe(*license_id, license, *sequence);
    let sequence = *sequence;
    Reply::new(done, |after| LicenseBody::after(after, clock::now())).etag(sequence)
}
