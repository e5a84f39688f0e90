//! `GET /v1/quota/accounts/{agent_id}/holds`.

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use quotary_domain::AccountId;
use quotary_projections::holds;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::account::visible;
use crate::extract::{ApiPath, ApiQuery, Authed, MinPosition, Paging};
use crate::problem::Problem;
use crate::reply::Items;
use crate::state::AppState;

/// Which page.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Which {
    /// How many items at most, 1 to 200; 50 if absent.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
}

/// A part of an agent's quota that is reserved.
#[derive(Debug, Serialize, ToSchema)]
pub struct Hold {
    /// Its id.
    id: Uuid,
    /// What was reserved, in minor units.
    amount: i64,
    /// What is left of it.
    amount_left: i64,
    /// What `purpose_id` is: `batch`, `withdrawal` or `transfer`.
    purpose: &'static str,
    /// What it is for.
    purpose_id: Uuid,
    /// When it was made.
    held_at: DateTime<Utc>,
    /// When what is left returns by itself; `null` for never.
    expires_at: Option<DateTime<Utc>>,
    /// Where it stands in the log.
    position: u64,
}

impl From<holds::Hold> for Hold {
    fn from(hold: holds::Hold) -> Self {
        let (purpose, purpose_id) = holds::named(hold.purpose);
        Self {
            id: hold.hold_id.0,
            amount: hold.amount,
            amount_left: hold.amount_left,
            purpose,
            purpose_id,
            held_at: hold.held_at,
            expires_at: hold.expires_at,
            position: hold.position,
        }
    }
}

/// What of an agent's quota is reserved, oldest first; the parts left add up to `held`.
///
/// # Errors
/// `not-found`, `invalid-parameter`.
#[utoipa::path(get, path = "/v1/quota/accounts/{agent_id}/holds", tag = "quota",
    params(("agent_id" = Uuid, Path, description = "The agent"), Which),
    responses((status = 200, description = "A page of open holds", body = Items<Hold>)))]
pub async fn handle(
    State(state): State<AppState>,
    Authed { actor, .. }: Authed,
    position: MinPosition,
    ApiPath(id): ApiPath<Uuid>,
    ApiQuery(Which { limit, cursor }): ApiQuery<Which>,
) -> Result<Json<Items<Hold>>, Problem> {
    let page = Paging { limit, cursor }.request()?;
    position.wait(&state, &[holds::NAME]).await?;
    let agent = visible(&state, &actor, position, AccountId(id)).await?;
    Ok(Json(Items::of(holds::of_agent(&state.pool, &actor, agent, &page).await?, Hold::from)))
}
