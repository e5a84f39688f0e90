//! `GET /healthz` and `GET /readyz`: whether the process lives, and whether it should get requests.

use std::time::Instant;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

/// `GET /healthz`.
pub mod live {
    use super::{Health, Json};

    /// Says that the process lives; it asks nothing else.
    #[utoipa::path(get, path = "/healthz", tag = "operations",
        responses((status = 200, description = "The process lives", body = Health)))]
    pub async fn handle() -> Json<Health> {
        Json(Health { status: "ok" })
    }
}

/// `GET /readyz`.
pub mod ready {
    use super::{AppState, Code, Health, Instant, Json, Problem, State};

    /// Says whether the process should get requests: the database answers and has the schema, and the models in memory
    /// are current.
    ///
    /// # Errors
    /// `not-ready` with what is missing.
    #[utoipa::path(get, path = "/readyz", tag = "operations",
        responses((status = 200, description = "The process is ready", body = Health)))]
    pub async fn handle(State(state): State<AppState>) -> Result<Json<Health>, Problem> {
        let not_ready = |why: &str| Problem::new(Code::NotReady, why);
        let head = sqlx::query_scalar::<_, i64>("select position from log_head").fetch_one(&state.pool).await;
        head.map_err(|_| not_ready("the log can't be read"))?;
        if let Some(wanted) = state.migration {
            let newest =
                sqlx::query_scalar::<_, Option<i64>>("select max(version) from _sqlx_migrations where success")
                    .fetch_one(&state.pool)
                    .await
                    .map_err(|_| not_ready("the migrations can't be read"))?;
            if newest.is_none_or(|newest| newest < wanted) {
                return Err(not_ready("the database lacks migrations"));
            }
        }
        if !state.directory.is_trusted(Instant::now()) {
            return Err(not_ready("the directory of accounts is behind"));
        }
        if !state.license_index.is_trusted(Instant::now()) {
            return Err(not_ready("the licence index is behind"));
        }
        Ok(Json(Health { status: "ready" }))
    }
}

use crate::problem::{Code, Problem};
use crate::state::AppState;

/// How the process is.
#[derive(Debug, Serialize, ToSchema)]
pub struct Health {
    /// `ok` or `ready`.
    pub status: &'static str,
}
