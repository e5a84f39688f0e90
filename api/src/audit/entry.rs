//! `GET /v1/audit/entries/{position}`.

use axum::extract::State;
use axum::response::Response;
use quotary_audit::entry;
use quotary_domain::TenantId;
use quotary_projections::raw_log::{self, RawLogError};

use super::seal;
use crate::extract::{ApiPath, Authed, MinPosition};
use crate::problem::Problem;
use crate::state::AppState;

impl From<RawLogError> for Problem {
    fn from(error: RawLogError) -> Self {
        match error {
            RawLogError::Database(error) => error.into(),
            broken @ RawLogError::Row { .. } => Self::internal(&broken),
        }
    }
}

/// The exact bytes of an event of the tenant as they are hashed: what its inclusion proof is about.
///
/// # Errors
/// `not-found`, `not-sealed`.
#[utoipa::path(get, path = "/v1/audit/entries/{position}", tag = "audit", params(("position" = u64, Path)),
    responses((status = 200, description = "The entry", body = Vec<u8>, content_type = "application/octet-stream")))]
pub async fn handle(
    State(state): State<AppState>,
    Authed { actor, .. }: Authed,
    ApiPath(position): ApiPath<u64>,
    asked: MinPosition,
) -> Result<Response, Problem> {
    let position = own(&state, actor.tenant_id, position).await?;
    seal::published(&state, MinPosition(asked.0.max(Some(position)))).await?;
    let mut encoded = Ok(vec![]);
    let mut connection = state.pool.acquire().await?;
    raw_log::read(&mut connection, position - 1, position, |event| {
        let mut bytes = vec![];
        encoded = entry::encode(&event, &mut bytes).map(|_| bytes);
    })
    .await?;
    Ok(seal::bytes(encoded.map_err(|error| Problem::internal(&error))?))
}

/// The position, if an event of the tenant stands there.
pub(super) async fn own(state: &AppState, tenant: TenantId, position: u64) -> Result<u64, Problem> {
    let signed = i64::try_from(position).ok().filter(|position| *position > 0);
    let signed = signed.ok_or_else(|| Problem::parameter("position", "must be a position of the log, from 1"))?;
    let found: Option<bool> = sqlx::query_scalar("select true from events where position = $1 and tenant_id = $2")
        .bind(signed)
        .bind(tenant.0)
        .fetch_optional(&state.pool)
        .await?;
    found.map(|_| position).ok_or_else(|| Problem::not_found("event"))
}
