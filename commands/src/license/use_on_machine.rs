//! Uses a licence on a machine: first use activates and binds, a new machine is bound if there is room (row L4).

use quotary_domain::license::{License, LicenseCommand, Machine, UsedBy};
use quotary_domain::license_batch::LicenseBatch;
use quotary_domain::project::{Project, ProjectError};
use quotary_domain::{LicenseId, ProjectId};

use super::change::LicenseAfter;
use crate::context::Context;
use crate::refusal::Refusal;
use crate::unit::Plan;
use crate::use_case::{Commands, Outcome};

impl Commands {
    /// Uses a licence of the caller's own project on a machine.
    ///
    /// # Errors
    /// [`Refusal`] if the licence is another project's, the project is disabled, or the licence does not allow it.
    pub async fn use_license(
        &self,
        context: &Context,
        project_id: ProjectId,
        license_id: LicenseId,
        machine: Machine,
        by: UsedBy,
    ) -> Outcome<LicenseAfter> {
        let at = context.now;
        let command = || LicenseCommand::Use { machine: machine.clone(), at, by };
        self.change_client_license(context, project_id, license_id, command).await
    }

    /// Lets a licence decide on a command of client software of its own project.
    pub(crate) async fn change_client_license(
        &self,
        context: &Context,
        project_id: ProjectId,
        license_id: LicenseId,
        command: impl Fn() -> LicenseCommand + Send + Sync,
    ) -> Outcome<LicenseAfter> {
        let mut plan = Plan::new();
        let license = plan.open::<License>(license_id);
        let project = plan.open::<Project>(project_id);
        // A machine may always be taken off; only use needs the batch. It never changes, so this process may know it.
        let is_use = !matches!(command(), LicenseCommand::Deactivate { .. });
        let known = if is_use { self.log.glance::<License>(context.tenant_id, license_id).await? } else { None };
        let batch = known.and_then(|license| license.issue).map(|issue| plan.open::<LicenseBatch>(issue.batch_id));
        self.log
            .execute(context, &plan, |unit| {
                if unit.get(project).disabled {
                    return Err(ProjectError::Disabled.into());
                }
                let issued_for = unit.get(license).issue.as_ref().map(|issue| issue.project_id);
                if issued_for != Some(project_id) {
                    return Err(Refusal::NotFound("license"));
                }
                // Not only in the index: the batch may be refunded on another process at this moment.
                match batch {
                    Some(batch) if unit.get(batch).refunded.is_some() => return Err(Refusal::BatchRefunded),
                    None if is_use => return Err(Refusal::NotFound("license")),
                    Some(_) | None => {}
                }
                unit.decide(license, command())?;
                let (license, sequence) = (unit.get(license).clone(), unit.sequence(license));
                Ok(LicenseAfter { license_id, license, sequence })
            })
            .await
    }
}
