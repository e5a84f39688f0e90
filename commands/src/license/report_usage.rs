//! Counts the use of something metered (row L13).

use quotary_domain::license::LicenseCommand;
use quotary_domain::{LicenseId, ProjectId};

use super::change::LicenseAfter;
use crate::context::Context;
use crate::use_case::{Commands, Outcome};

impl Commands {
    /// Adds `amount` to what was used of a meter. Counts once for one idempotency key of `context`, however often it is
    /// reported.
    ///
    /// # Errors
    /// [`Refusal`](crate::refusal::Refusal) if the licence is another project's or can't be used, its terms have no such
    /// meter, or more than the limit would be used.
    pub async fn report_usage(
        &self,
        context: &Context,
        project_id: ProjectId,
        license_id: LicenseId,
        meter: &str,
        amount: u64,
    ) -> Outcome<LicenseAfter> {
        let at = context.now;
        let command = || LicenseCommand::ReportUsage { meter: meter.to_owned(), amount, at };
        self.change_client_license(context, project_id, license_id, command).await
    }
}
