//! `PUT /v1/agents/{id}/commission-rates`.

use axum::extract::State;
use quotary_domain::AccountId;
use quotary_domain::account::BasisPoints;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::answer::Agent;
use crate::extract::{ApiCommand, ApiPath, Whole};
use crate::problem::Problem;
use crate::reply::Reply;
use crate::state::AppState;

/// What an account earns by sales of those below it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CommissionRates {
    /// In hundredths of a percent, by level: the first for sales of the account's own agents, the second for sales of
    /// theirs, and so on. At most 16 levels, and 10,000 in all. Empty for nothing.
    #[schema(value_type = Vec<u32>, example = json!([500, 100]))]
    rates: Vec<Whole<0, 10_000>>,
}

/// Sets what an account earns by sales of those below it; each sale credits it in the same journal. An agent admin gives
/// no rate above its own of that level.
///
/// # Errors
/// `forbidden`, `not-found`.
#[utoipa::path(put, path = "/v1/agents/{id}/commission-rates", tag = "agents", request_body = CommissionRates,
    params(("id" = Uuid, Path, description = "The account")),
    responses((status = 200, description = "The account", body = Agent)))]
pub async fn handle(
    State(state): State<AppState>,
    ApiPath(id): ApiPath<Uuid>,
    command: ApiCommand<CommissionRates>,
) -> Result<Reply<Agent>, Problem> {
    let (context, id) = (command.context("account.set_commission_rates"), AccountId(id));
    // Each is at most 10,000, so none is cut.
    let rates = command.body.rates.iter().map(|rate| BasisPoints(u16::try_from(rate.0).unwrap_or(u16::MAX))).collect();
    let done = state.commands.set_commission_rates(&context, id, rates).await?;
    let after = done.value.clone();
    let sequence = after.sequence;
    state.directory.observe(context.tenant_id, id, &after.account, sequence);
    let agent = Agent::after(id, after)?;
    Ok(Reply::new(done, |_| agent).etag(sequence))
}
