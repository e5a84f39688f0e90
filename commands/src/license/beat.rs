//! Keeps a machine's place at a licence (row L8).

use quotary_domain::license::LicenseCommand;
use quotary_domain::{LicenseId, ProjectId};

use super::change::LicenseAfter;
use crate::context::Context;
use crate::use_case::{Commands, Outcome};

impl Commands {
    /// Notes that a bound machine of the caller's own project was heard of. Writes nothing while more than half of its
    /// lease is left.
    ///
    /// # Errors
    /// [`Refusal`](crate::refusal::Refusal) if the licence is another project's or can't be used, or the machine is not
    /// bound, was silent for too long, or lost its place to another.
    pub async fn beat_license(
        &self,
        context: &Context,
        project_id: ProjectId,
        license_id: LicenseId,
        fingerprint_hash: String,
    ) -> Outcome<LicenseAfter> {
        let at = context.now;
        let command = || LicenseCommand::Beat { fingerprint_hash: fingerprint_hash.clone(), at };
        self.change_client_license(context, project_id, license_id, command).await
    }
}
