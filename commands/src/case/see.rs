//! Opens a case about a difference, or finds that it is there (rows Q7, Q8).

use quotary_domain::CaseId;
use quotary_domain::case::{Case, CaseCommand, Sighting, Subject};
use serde::{Deserialize, Serialize};

use crate::context::Context;
use crate::event_log::CommandError;
use crate::refusal::Refusal;
use crate::unit::{Plan, Unit};
use crate::use_case::{Acting, Commands, Outcome};

/// A case after a command on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaseAfter {
    /// The case.
    pub id: CaseId,
    /// Its state.
    pub case: Case,
    /// The sequence of its last event.
    pub sequence: u64,
}

impl Commands {
    /// Opens the case about `subject`, changes it, opens it again, or finds it as it was. Called by runs, once for each
    /// difference; a repeat writes nothing.
    ///
    /// # Errors
    /// [`Refusal`] if an account asks.
    pub async fn see_case(&self, context: &Context, subject: Subject, seen: Sighting) -> Outcome<CaseAfter> {
        let id = CaseId::of(context.tenant_id, &subject);
        self.decide_case(context, id, CaseCommand::See { subject, seen }).await
    }

    /// Lets a case decide on what a run says.
    pub(crate) async fn decide_case(&self, context: &Context, id: CaseId, command: CaseCommand) -> Outcome<CaseAfter> {
        if context.actor.is_some() {
            return Err(CommandError::Refused(Refusal::Forbidden));
        }
        let mut plan = Plan::new();
        let case = plan.open::<Case>(id);
        self.log
            .execute(context, &plan, |unit| {
                unit.decide(case, command.clone())?;
                let (case, sequence) = (unit.get(case).clone(), unit.sequence(case));
                Ok::<_, Refusal>(CaseAfter { id, case, sequence })
            })
            .await
    }

    /// Lets a case decide on what somebody says.
    pub(crate) async fn answer_case(
        &self,
        context: &Context,
        id: CaseId,
        command: impl Fn(&Acting) -> CaseCommand + Send + Sync,
        check: impl Fn(&Acting, &Unit) -> Result<(), Refusal> + Send + Sync,
    ) -> Outcome<CaseAfter> {
        let mut plan = Plan::new();
        let case = plan.open::<Case>(id);
        let acting = Acting::open(context, &mut plan)?;
        self.log
            .execute(context, &plan, |unit| {
                check(&acting, unit)?;
                unit.decide(case, command(&acting))?;
                let (case, sequence) = (unit.get(case).clone(), unit.sequence(case));
                Ok::<_, Refusal>(CaseAfter { id, case, sequence })
            })
            .await
    }
}
