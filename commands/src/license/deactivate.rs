//! Lets a machine give its place back.

use quotary_domain::license::LicenseCommand;
use quotary_domain::{LicenseId, ProjectId};

use super::change::LicenseAfter;
use crate::context::Context;
use crate::use_case::{Commands, Outcome};

impl Commands {
    /// Takes a machine off a licence of the caller's own project.
    ///
    /// # Errors
    /// [`Refusal`](crate::refusal::Refusal) if the licence is another project's or not bound to the machine.
    pub async fn deactivate_machine(
        &self,
        context: &Context,
        project_id: ProjectId,
        license_id: LicenseId,
        fingerprint_hash: String,
    ) -> Outcome<LicenseAfter> {
        self.change_client_license(context, project_id, license_id, || LicenseCommand::Deactivate {
            fingerprint_hash: fingerprint_hash.clone(),
        })
        .await
    }
}
