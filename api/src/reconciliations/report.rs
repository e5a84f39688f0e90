//! `GET /v1/reconciliations/{id}/report`: the report of a bill's reconciliation.
//!
//! What must always hold: its JSON has the SHA-256 that the log has of it, however often it is asked for; it comes in parts, so
//! memory does not grow with it; one that breaks off is never taken for a whole.

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use futures::stream::{self, TryStreamExt as _};
use quotary_audit::matching::JSON_END;
use quotary_projections::reconciliations::NAME;
use sqlx::PgPool;
use uuid::Uuid;

use super::findings::check_run;
use crate::extract::{ApiPath, Authed, MinPosition};
use crate::problem::{Code, Problem};
use crate::state::AppState;

/// How many findings are read at a time.
const PAGE: i64 = 2_000;

/// The whole report as JSON: inputs with their digests, options, totals by class, and every finding with its lines and orders.
///
/// # Errors
/// `not-found` if the tenant has no such run or it has no report.
#[utoipa::path(get, path = "/v1/reconciliations/{id}/report", tag = "reconciliations",
    params(("id" = Uuid, Path, description = "The run")),
    responses((status = 200, description = "The report", body = Object)))]
pub async fn handle(
    State(state): State<AppState>,
    Authed { actor, .. }: Authed,
    ApiPath(id): ApiPath<Uuid>,
    position: MinPosition,
) -> Result<Response, Problem> {
    position.wait(&state, &[NAME]).await?;
    check_run(&state, actor.tenant_id.0, id).await?;
    let head: Option<String> = sqlx::query_scalar("select head from bill_reports where run_id = $1 and tenant_id = $2")
        .bind(id)
        .bind(actor.tenant_id.0)
        .fetch_optional(&state.pool)
        .await?;
    let head = head.ok_or_else(|| Problem::new(Code::NotFound, "the reconciliation has no report"))?;
    let mut response = Response::new(body(state.pool.clone(), id, head));
    let name = HeaderValue::try_from(format!("attachment; filename=\"reconciliation-{id}.json\""));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Ok(name) = name {
        headers.insert(header::CONTENT_DISPOSITION, name);
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// The head, the findings page after page, and the end.
fn body(pool: PgPool, run: Uuid, head: String) -> Body {
    let first = stream::once(async { Ok::<_, sqlx::Error>(Bytes::from(head)) });
    let findings = stream::try_unfold((pool, 0_i64), move |(pool, after)| async move {
        let rows: Vec<(i64, String)> = sqlx::query_as(
            "select number, finding::text from bill_findings where run_id = $1 and number > $2 order by number limit $3",
        )
        .bind(run)
        .bind(after)
        .bind(PAGE)
        .fetch_all(&pool)
        .await?;
        let Some((last, _)) = rows.last() else { return Ok(None) };
        let (last, mut part) = (*last, String::new());
        for (number, finding) in &rows {
            if *number > 1 {
                part.push(',');
            }
            part.push_str(finding);
        }
        Ok(Some((Bytes::from(part), (pool, last))))
    });
    let end = stream::once(async { Ok(Bytes::from_static(JSON_END.as_bytes())) });
    let parts = futures::StreamExt::chain(futures::StreamExt::chain(first, findings), end);
    Body::from_stream(parts.inspect_err(|error| tracing::error!(%error, "a report broke off")))
}
