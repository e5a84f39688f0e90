//! `PUT /v1/risk-rules`.

use axum::extract::State;

use super::body::RiskRules;
use crate::extract::ApiCommand;
use crate::problem::Problem;
use crate::reply::Reply;
use crate::state::AppState;

/// Sets all of the tenant's rules at once: what is absent limits nothing from now on. Movements that wait already are
/// decided on as before.
///
/// # Errors
/// `validation-failed` if a rule makes no sense.
#[utoipa::path(put, path = "/v1/risk-rules", tag = "risk rules", request_body = RiskRules,
    responses((status = 200, description = "All rules", body = RiskRules)))]
pub async fn handle(
    State(state): State<AppState>,
    command: ApiCommand<RiskRules>,
) -> Result<Reply<RiskRules>, Problem> {
    let context = command.context("risk_rules.set");
    let done = state.commands.set_risk_rules(&context, command.body.into()).await?;
    let sequence = done.value.sequence;
    Ok(Reply::new(done, |after| after.rules.into()).etag(sequence))
}
