//! Asks for a reconciliation (rows Q7, Q8).

use quotary_domain::reconciliation::{Reconciliation, ReconciliationCommand, RunRequest, RunSubject};
use quotary_domain::{ReconciliationId, Role};
use serde::{Deserialize, Serialize};

use crate::clock;
use crate::context::Context;
use crate::event_log::CommandError;
use crate::refusal::Refusal;
use crate::unit::Plan;
use crate::use_case::{Acting, Commands, Outcome};

/// A run after a command on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReconciliationAfter {
    /// The run.
    pub id: ReconciliationId,
    /// Its state.
    pub reconciliation: Reconciliation,
    /// The sequence of its last event.
    pub sequence: u64,
}

impl Commands {
    /// Asks for a run. Accounts must be super admins or auditors; what runs by itself needs none.
    ///
    /// # Errors
    /// [`Refusal::Forbidden`] if the actor has another role.
    pub async fn request_reconciliation(&self, context: &Context, subject: RunSubject) -> Outcome<ReconciliationAfter> {
        let id = ReconciliationId(clock::new_id());
        let mut plan = Plan::new();
        let run = plan.open_new::<Reconciliation>(id);
        let acting = context.actor.map(|_| Acting::open(context, &mut plan)).transpose()?;
        self.log
            .execute(context, &plan, |unit| {
                if let Some(acting) = &acting {
                    acting.check(unit)?;
                    if !matches!(acting.actor.role, Role::SuperAdmin | Role::Auditor) {
                        return Err(Refusal::Forbidden);
                    }
                }
                let by = context.actor.map(|actor| actor.account_id);
                let request = RunRequest { subject: subject.clone(), by };
                unit.decide(run, ReconciliationCommand::Request(request))?;
                let (reconciliation, sequence) = (unit.get(run).clone(), unit.sequence(run));
                Ok::<_, Refusal>(ReconciliationAfter { id, reconciliation, sequence })
            })
            .await
    }

    /// Lets a run decide; for its end, which nobody but the process that compared says.
    pub(crate) async fn end_reconciliation(
        &self,
        context: &Context,
        id: ReconciliationId,
        command: ReconciliationCommand,
    ) -> Outcome<ReconciliationAfter> {
        if context.actor.is_some() {
            return Err(CommandError::Refused(Refusal::Forbidden));
        }
        let mut plan = Plan::new();
        let run = plan.open::<Reconciliation>(id);
        self.log
            .execute(context, &plan, |unit| {
                unit.decide(run, command.clone())?;
                let (reconciliation, sequence) = (unit.get(run).clone(), unit.sequence(run));
                Ok::<_, Refusal>(ReconciliationAfter { id, reconciliation, sequence })
            })
            .await
    }
}
