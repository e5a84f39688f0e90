//! `GET /v1/notices`: what the account behind the token is told about movements of quota.

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use quotary_projections::{movements, notices};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::extract::{ApiQuery, Authed, MinPosition, Paging};
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

/// A notice.
#[derive(Debug, Serialize, ToSchema)]
pub struct Notice {
    /// Where what it tells of stands in the log; never the same twice.
    position: u64,
    /// What happened, e.g. `transfer-received`, `transfer-suspended`, `withdrawal-approved`.
    kind: String,
    /// Where to read more.
    path: String,
    /// How much, in minor units.
    amount: i64,
    /// When.
    occurred_at: DateTime<Utc>,
}

impl From<notices::Notice> for Notice {
    fn from(notice: notices::Notice) -> Self {
        let path = notice.path();
        let notices::Notice { position, kind, amount, occurred_at, .. } = notice;
        Self { position, kind, path, amount, occurred_at }
    }
}

/// What the account is told, newest first: movements of its quota, and for admins what waits for their decision.
///
/// # Errors
/// `invalid-parameter`.
#[utoipa::path(get, path = "/v1/notices", tag = "account", params(Which),
    responses((status = 200, description = "A page of notices", body = Items<Notice>)))]
pub async fn handle(
    State(state): State<AppState>,
    Authed { actor, .. }: Authed,
    position: MinPosition,
    ApiQuery(Which { limit, cursor }): ApiQuery<Which>,
) -> Result<Json<Items<Notice>>, Problem> {
    let page = Paging { limit, cursor }.request()?;
    position.wait(&state, &[notices::NAME, movements::NAME]).await?;
    Ok(Json(Items::of(notices::list(&state.pool, &actor, &page).await?, Notice::from)))
}
