//! `POST /v1/projects/{id}/plans`.

use axum::extract::State;
use quotary_domain::ProjectId;
use quotary_domain::license::{LicenseTerms, Policy};
use quotary_domain::project::{self, MAX_DURATION_DAYS, MAX_MACHINES};
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::answer::{Plan, observe};
use crate::extract::{Amount, ApiCommand, ApiPath, Whole};
use crate::policy::policy;
use crate::problem::Problem;
use crate::reply::Reply;
use crate::state::AppState;

/// A new plan.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AddPlan {
    /// 1 to 100 characters.
    name: String,
    /// Days of validity; `null` is perpetual.
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 36_500)]
    duration_days: Option<Whole<1, MAX_DURATION_DAYS>>,
    /// How many machines a licence can be bound to; 1 if absent.
    #[serde(default = "one")]
    #[schema(value_type = u32, minimum = 1, maximum = 10_000, default = 1)]
    max_machines: Whole<1, MAX_MACHINES>,
    /// What a licence costs, in minor units.
    #[schema(value_type = i64, minimum = 0)]
    unit_price: Amount,
    /// What a licence unlocks: at most 100 names of 1 to 100 characters.
    #[serde(default)]
    features: Vec<String>,
    /// The rules of a licence's use; the usual ones if absent.
    #[serde(default, deserialize_with = "policy")]
    #[schema(value_type = Option<crate::policy::Policy>)]
    policy: Policy,
}

fn one() -> Whole<1, MAX_MACHINES> {
    Whole(1)
}

/// Adds a plan to a project.
///
/// # Errors
/// `not-found`, `validation-failed`, `limit-reached`.
#[utoipa::path(post, path = "/v1/projects/{id}/plans", tag = "projects", request_body = AddPlan,
    params(("id" = Uuid, Path, description = "The project")),
    responses((status = 201, description = "The plan", body = Plan)))]
pub async fn handle(
    State(state): State<AppState>,
    ApiPath(id): ApiPath<Uuid>,
    command: ApiCommand<AddPlan>,
) -> Result<Reply<Plan>, Problem> {
    let context = command.context("project.add_plan");
    let AddPlan { name, duration_days, max_machines, unit_price, features, policy } = command.body;
    let duration_days = duration_days.map(|days| days.0);
    let terms = LicenseTerms { duration_days, max_machines: max_machines.0, features, policy };
    let plan = project::Plan::new(name, unit_price.0, terms);
    let done = state.commands.add_plan(&context, ProjectId(id), plan).await?;
    observe(&state, context.tenant_id, &done.value.after);
    let sequence = done.value.after.sequence;
    let reply = Reply::new(done, |added| Plan::new(ProjectId(id), added.plan_id, added.plan));
    Ok(reply.etag(sequence).created(format!("/v1/projects/{id}/plans")))
}
