//! `POST /v1/agents/{id}/enable`.

use axum::extract::State;
use quotary_domain::AccountId;
use uuid::Uuid;

use super::answer::Agent;
use crate::extract::{ApiCommand, ApiPath, NoBody};
use crate::problem::Problem;
use crate::reply::Reply;
use crate::state::AppState;

/// Enables an account again.
///
/// # Errors
/// `forbidden`, `not-found`.
#[utoipa::path(post, path = "/v1/agents/{id}/enable", tag = "agents",
    params(("id" = Uuid, Path, description = "The account")),
    responses((status = 200, description = "The account", body = Agent)))]
pub async fn handle(
    State(state): State<AppState>,
    ApiPath(id): ApiPath<Uuid>,
    command: ApiCommand<NoBody>,
) -> Result<Reply<Agent>, Problem> {
    let (context, id) = (command.context("account.enable"), AccountId(id));
    let done = state.commands.enable_account(&context, id).await?;
    let after = done.value.clone();
    let sequence = after.sequence;
    state.directory.observe(context.tenant_id, id, &after.account, sequence);
    let agent = Agent::after(id, after)?;
    Ok(Reply::new(done, |_| agent).etag(sequence))
}
