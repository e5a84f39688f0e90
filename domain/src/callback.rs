//! Callbacks: what a vendor's own server is told when something happens to its licences (row L11).
//!
//! What must always hold: a body has ids, statuses and times, never a key or a fingerprint in the clear; and what is told of
//! an event follows from the log alone, so that telling it again tells the same under the same id.

pub mod address;
pub mod body;
pub mod kind;

pub use address::{AddressClass, class_of};
pub use body::{CallbackBody, LicenseData, RefusalData, TestData};
pub use kind::CallbackType;

use uuid::Uuid;

use crate::{DeliveryId, LicenseId, ProjectId};

impl DeliveryId {
    /// The delivery of an event to a project: the same however often the log is read (UUID version 5).
    #[must_use]
    pub fn of_event(event_id: Uuid, project: ProjectId) -> Self {
        Self(Uuid::new_v5(&event_id, project.0.as_bytes()))
    }

    /// The delivery of refusals of a licence with a code within an hour since 1970: one, whichever node refused.
    #[must_use]
    pub fn of_refusal(license: LicenseId, code: &str, hour: i64) -> Self {
        Self(Uuid::new_v5(&license.0, format!("refused/{code}/{hour}").as_bytes()))
    }
}
