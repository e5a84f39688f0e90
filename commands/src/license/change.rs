//! What the commands of staff and agents on one licence share: who may, and what they answer.

use quotary_domain::account::Account;
use quotary_domain::license::{Issue, License, LicenseCommand};
use quotary_domain::license_batch::LicenseBatch;
use quotary_domain::project::Project;
use quotary_domain::{LicenseId, Role};
use serde::{Deserialize, Serialize};

use crate::context::Context;
use crate::event_log::CommandError;
use crate::refusal::Refusal;
use crate::unit::Plan;
use crate::use_case::{Acting, Commands, Outcome};

/// A licence after a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LicenseAfter {
    /// The licence.
    pub license_id: LicenseId,
    /// Its state.
    pub license: License,
    /// The sequence of its last event.
    pub sequence: u64,
}

/// Who may do something to a licence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Right {
    /// The agent who sold it and those above.
    Seller,
    /// Only super admins.
    SuperAdmin,
}

/// What else decides about a change of a licence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Needs {
    /// Nothing.
    Nothing,
    /// Its batch must not be refunded.
    Batch,
    /// Its project has a say.
    Project,
}

impl Commands {
    /// Lets a licence decide on a command of someone who has the right.
    pub(crate) async fn change_license(
        &self,
        context: &Context,
        license_id: LicenseId,
        right: Right,
        command: impl Fn() -> LicenseCommand + Send + Sync,
    ) -> Outcome<LicenseAfter> {
        let needs = if matches!(command(), LicenseCommand::Enable) { Needs::Batch } else { Needs::Nothing };
        self.change_license_by(context, license_id, right, needs, |_| Ok(command())).await
    }

    /// Like [`Commands::change_license`], with a command that the licence's project has a say in.
    pub(crate) async fn change_license_by(
        &self,
        context: &Context,
        license_id: LicenseId,
        right: Right,
        needs: Needs,
        command: impl Fn(Option<&Project>) -> Result<LicenseCommand, Refusal> + Send + Sync,
    ) -> Outcome<LicenseAfter> {
        // Who sold it never changes, so it can be read before the step.
        let known = self.log.current::<License>(context.tenant_id, license_id).await?;
        let issue = known.and_then(|(license, _)| license.issue);
        let Issue { agent_id: seller, batch_id, project_id, .. } =
            issue.ok_or(CommandError::Refused(Refusal::NotFound("license")))?;
        let mut plan = Plan::new();
        let license = plan.open::<License>(license_id);
        let account = plan.open::<Account>(seller);
        let batch = (needs == Needs::Batch).then(|| plan.open::<LicenseBatch>(batch_id));
        let project = (needs == Needs::Project).then(|| plan.open::<Project>(project_id));
        let acting = Acting::open(context, &mut plan)?;
        self.log
            .execute(context, &plan, |unit| {
                acting.check_own_or_managed(unit, seller, account, "license")?;
                if right == Right::SuperAdmin && acting.actor.role != Role::SuperAdmin {
                    return Err(Refusal::Forbidden);
                }
                if batch.is_some_and(|batch| unit.get(batch).refunded.is_some()) {
                    return Err(Refusal::BatchRefunded);
                }
                let command = command(project.map(|project| unit.get(project)))?;
                unit.decide(license, command)?;
                let (license, sequence) = (unit.get(license).clone(), unit.sequence(license));
                Ok(LicenseAfter { license_id, license, sequence })
            })
            .await
    }
}
