//! `PATCH /v1/projects/{id}/plans/{plan_id}`.

use axum::extract::State;
use quotary_domain::license::Policy;
use quotary_domain::project::{self, MAX_DURATION_DAYS, MAX_MACHINES};
use quotary_domain::{PlanId, ProjectId};
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::answer::{Plan, observe};
use crate::extract::{Amount, ApiCommand, ApiPath, Whole, double_option};
use crate::policy::some_policy;
use crate::problem::Problem;
use crate::reply::Reply;
use crate::state::AppState;

/// What becomes what; a field that is absent stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(clippy::option_option, reason = "absent and null mean different things in a patch")]
pub struct PlanPatch {
    /// 1 to 100 characters.
    name: Option<String>,
    /// Days of validity; `null` is perpetual.
    #[serde(default, deserialize_with = "double_option")]
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 36_500)]
    duration_days: Option<Option<Whole<1, MAX_DURATION_DAYS>>>,
    /// How many machines a licence can be bound to.
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 10_000)]
    max_machines: Option<Whole<1, MAX_MACHINES>>,
    /// What a licence costs, in minor units.
    #[schema(value_type = Option<i64>, minimum = 0)]
    unit_price: Option<Amount>,
    /// What a licence unlocks: at most 100 names of 1 to 100 characters.
    features: Option<Vec<String>>,
    /// The rules of a licence's use, as a whole.
    #[serde(default, deserialize_with = "some_policy")]
    #[schema(value_type = Option<crate::policy::Policy>)]
    policy: Option<Policy>,
    /// True takes the plan out of sale; licences of it go on.
    retired: Option<bool>,
}

impl PlanPatch {
    fn apply(&self, mut plan: project::Plan) -> project::Plan {
        let Self { name, duration_days, max_machines, unit_price, features, policy, retired } = self;
        let terms = &mut plan.terms;
        if let Some(days) = duration_days {
            terms.duration_days = days.as_ref().map(|days| days.0);
        }
        terms.max_machines = max_machines.as_ref().map_or(terms.max_machines, |machines| machines.0);
        if let Some(features) = features {
            terms.features.clone_from(features);
        }
        if let Some(policy) = policy {
            terms.policy.clone_from(policy);
        }
        if let Some(name) = name {
            plan.name.clone_from(name);
        }
        plan.unit_price = unit_price.as_ref().map_or(plan.unit_price, |price| price.0);
        plan.retired = retired.unwrap_or(plan.retired);
        plan
    }
}

/// Changes a plan. Licences that were issued keep the version they were issued under until they are moved.
///
/// # Errors
/// `not-found`, `validation-failed`.
#[utoipa::path(patch, path = "/v1/projects/{id}/plans/{plan_id}", tag = "projects", request_body = PlanPatch,
    params(("id" = Uuid, Path, description = "The project"), ("plan_id" = Uuid, Path, description = "The plan")),
    responses((status = 200, description = "The plan", body = Plan)))]
pub async fn handle(
    State(state): State<AppState>,
    ApiPath((id, plan_id)): ApiPath<(Uuid, Uuid)>,
    command: ApiCommand<PlanPatch>,
) -> Result<Reply<Plan>, Problem> {
    let context = command.context("project.change_plan");
    let (project_id, plan_id) = (ProjectId(id), PlanId(plan_id));
    let done = state.commands.change_plan(&context, project_id, plan_id, |plan| command.body.apply(plan)).await?;
    observe(&state, context.tenant_id, &done.value.after);
    let sequence = done.value.after.sequence;
    Ok(Reply::new(done, |changed| Plan::new(project_id, changed.plan_id, changed.plan)).etag(sequence))
}
