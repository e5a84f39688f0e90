//! `POST /v1/agents/{id}/disable`.

use axum::extract::State;
use quotary_domain::AccountId;
use uuid::Uuid;

use super::answer::Agent;
use crate::extract::{ApiCommand, ApiPath, NoBody};
use crate::problem::Problem;
use crate::reply::Reply;
use crate::state::AppState;

/// Disables an account: its tokens and sessions end at once.
///
/// # Errors
/// `forbidden`, `not-found`.
#[utoipa::path(post, path = "/v1/agents/{id}/disable", tag = "agents",
    params(("id" = Uuid, Path, description = "The account")),
    responses((status = 200, description = "The account", body = Agent)))]
pub async fn handle(
    State(state): State<AppState>,
    ApiPath(id): ApiPath<Uuid>,
    command: ApiCommand<NoBody>,
) -> Result<Reply<Agent>, Problem> {
    let (context, id) = (command.context("account.disable"), AccountId(id));
    let done = state.commands.disable_account(&context, id).await?;
    let after = done.value.clone();
    let sequence = after.sequence;
    state.directory.observe(context.tenant_id, id, &after.account, sequence);
    state.sessions.forget(id).await;
    let agent = Agent::after(id, after)?;
    Ok(Reply::new(done, |_| agent).etag(sequence))
}
