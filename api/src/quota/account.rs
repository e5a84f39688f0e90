//! `GET /v1/quota/accounts/{agent_id}`.

use axum::Json;
use axum::extract::State;
use chrono::Datelike as _;
use quotary_domain::{AccountId, Actor};
use quotary_projections::accounts;
use quotary_projections::ledger::{self, Balance};
use quotary_projections::moment::Moment;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::extract::{ApiPath, ApiQuery, Authed, MinPosition};
use crate::problem::Problem;
use crate::state::AppState;

/// As of when.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct At {
    /// A position of the log, or a time in RFC 3339; now if absent.
    pub(crate) at: Option<String>,
}

/// An agent's quota, in minor units.
#[derive(Debug, Serialize, ToSchema)]
pub struct QuotaAccount {
    /// Whose it is.
    agent_id: Uuid,
    /// What can be spent.
    available: i64,
    /// What is reserved.
    held: i64,
    /// Where the last movement in it stands in the log; 0 if there was none.
    position: u64,
}

/// An agent's quota now or at a moment of the past.
///
/// # Errors
/// `not-found`, `invalid-parameter`.
#[utoipa::path(get, path = "/v1/quota/accounts/{agent_id}", tag = "quota",
    params(("agent_id" = Uuid, Path, description = "The agent"), At),
    responses((status = 200, description = "The balance", body = QuotaAccount)))]
pub async fn handle(
    State(state): State<AppState>,
    Authed { actor, .. }: Authed,
    position: MinPosition,
    ApiPath(id): ApiPath<Uuid>,
    ApiQuery(query): ApiQuery<At>,
) -> Result<Json<QuotaAccount>, Problem> {
    let at = query.at.as_deref().map(|text| moment("at", text)).transpose()?;
    let agent = visible(&state, &actor, position, AccountId(id)).await?;
    let Balance { available, held, position } = match at {
        Some(at) => ledger::balance_at(&state.pool, actor.tenant_id, agent, at).await?,
        None => ledger::balance(&state.pool, actor.tenant_id, agent).await?,
    };
    Ok(Json(QuotaAccount { agent_id: id, available, held, position }))
}

/// The moment in a parameter.
pub(crate) fn moment(name: &str, text: &str) -> Result<Moment, Problem> {
    let moment: Moment = text
        .parse()
        .map_err(|error: quotary_projections::moment::InvalidMoment| Problem::parameter(name, error.to_string()))?;
    match moment {
        Moment::Time(time) if !(1970..=9999).contains(&time.year()) => {
            Err(Problem::parameter(name, "must be within the years 1970 to 9999"))
        }
        moment => Ok(moment),
    }
}

/// The agent, if one may see it.
pub(super) async fn visible(
    state: &AppState,
    actor: &Actor,
    position: MinPosition,
    agent: AccountId,
) -> Result<AccountId, Problem> {
    position.wait(state, &[accounts::NAME, ledger::NAME]).await?;
    let found = accounts::visible(&state.pool, actor, agent).await?;
    found.map(|account| account.account_id).ok_or_else(|| Problem::not_found("account"))
}
