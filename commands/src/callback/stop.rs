//! Stops callbacks to an address that said that it is gone (row L11).

use quotary_domain::ProjectId;
use quotary_domain::project::{Project, ProjectCommand};

use crate::context::Context;
use crate::refusal::Refusal;
use crate::unit::Plan;
use crate::use_case::{Commands, Outcome};

impl Commands {
    /// Stops callbacks to `url`, by whoever delivers them; nothing happens if it is not the project's address any more.
    ///
    /// # Errors
    /// [`Refusal`] if the project is unknown.
    pub async fn stop_callbacks(&self, context: &Context, project_id: ProjectId, url: &str) -> Outcome<()> {
        let mut plan = Plan::new();
        let project = plan.open::<Project>(project_id);
        self.log
            .execute(context, &plan, |unit| {
                unit.decide(project, ProjectCommand::StopCallbacks { url: url.to_owned() })?;
                Ok::<_, Refusal>(())
            })
            .await
    }
}
