//! `POST /v1/reconciliations`.

use axum::extract::State;
use quotary_domain::reconciliation::RunSubject;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::extract::ApiCommand;
use crate::problem::Problem;
use crate::reply::Reply;
use crate::state::AppState;

/// A comparison that is asked for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum RequestReconciliation {
    /// The read models with the log.
    Internal {
        /// From the log's start, not from the last proved position.
        #[serde(default)]
        full: bool,
    },
}

/// A run that was asked for.
#[derive(Debug, Serialize, ToSchema)]
pub struct RequestedReconciliation {
    /// Its id.
    pub id: Uuid,
    /// `requested`.
    pub status: &'static str,
}

/// Asks for a comparison of the tenant's read models with the log. It is made by the workers; the run says when it ended.
///
/// # Errors
/// `forbidden`.
#[utoipa::path(post, path = "/v1/reconciliations", tag = "reconciliations", request_body = RequestReconciliation,
    responses((status = 201, description = "The run", body = RequestedReconciliation)))]
pub async fn handle(
    State(state): State<AppState>,
    command: ApiCommand<RequestReconciliation>,
) -> Result<Reply<RequestedReconciliation>, Problem> {
    let context = command.context("reconciliation.request");
    let RequestReconciliation::Internal { full } = command.body;
    let done = state.commands.request_reconciliation(&context, RunSubject::Internal { full }).await?;
    let (id, sequence) = (done.value.id.0, done.value.sequence);
    let answer = RequestedReconciliation { id, status: "requested" };
    Ok(Reply::new(done, |_| answer).etag(sequence).created(format!("/v1/reconciliations/{id}")))
}
