//! `GET /v1/licenses`: the licences that an account may see, newest first.

use axum::Json;
use axum::extract::State;
use quotary_commands::clock;
use quotary_domain::license::LicenseStatus;
use quotary_domain::{AccountId, BatchId, ProjectId};
use quotary_projections::licenses::{self, LicenseFilter};
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

use super::LicenseBody;
use crate::extract::{ApiQuery, Authed, MinPosition, Paging};
use crate::problem::Problem;
use crate::reply::Items;
use crate::state::AppState;

/// What the list is narrowed to.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListLicenses {
    /// One project only.
    pub project_id: Option<Uuid>,
    /// One batch only.
    pub batch_id: Option<Uuid>,
    /// One agent's only.
    pub agent_id: Option<Uuid>,
    /// `unused`, `active`, `expired`, `disabled` or `revoked` at the time of asking.
    #[param(value_type = Option<String>)]
    pub status: Option<LicenseStatus>,
    /// How many items at most, 1 to 200; 50 if absent.
    #[param(minimum = 1, maximum = 200)]
    pub limit: Option<u32>,
    /// The `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// Licences, newest first.
///
/// # Errors
/// If a parameter is not valid.
#[utoipa::path(get, path = "/v1/licenses", tag = "licenses", params(ListLicenses),
    responses((status = 200, description = "A page of licences", body = Items<LicenseBody>)))]
pub async fn handle(
    State(state): State<AppState>,
    Authed { actor, .. }: Authed,
    ApiQuery(query): ApiQuery<ListLicenses>,
    position: MinPosition,
) -> Result<Json<Items<LicenseBody>>, Problem> {
    let page = Paging { limit: query.limit, cursor: query.cursor }.request()?;
    position.wait(&state, &["licenses", "accounts"]).await?;
    let filter = LicenseFilter {
        project_id: query.project_id.map(ProjectId),
        batch_id: query.batch_id.map(BatchId),
        agent_id: query.agent_id.map(AccountId),
        status: query.status,
    };
    let now = clock::now();
    let page = licenses::list(&state.pool, &actor, &filter, now, &page).await?;
    Ok(Json(Items::of(page, |license| LicenseBody::of_record(license, now))))
}
