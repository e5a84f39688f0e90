//! `POST /v1/agents/{id}/erase-personal-data`.

use axum::extract::State;
use quotary_domain::AccountId;
use uuid::Uuid;

use super::answer::Agent;
use crate::extract::{ApiCommand, ApiPath, NoBody};
use crate::problem::Problem;
use crate::reply::Reply;
use crate::state::AppState;

/// Erases the personal data of a disabled account for good: the e-mail address, and the bank details of its withdrawals in
/// the log, on the bus and in every copy. The first super admin asks for it, a second one confirms by the same call.
///
/// # Errors
/// `not-found`, `wrong-status` while the account is not disabled, or a withdrawal of it waits or is approved and not marked as paid.
#[utoipa::path(post, path = "/v1/agents/{id}/erase-personal-data", tag = "agents",
    params(("id" = Uuid, Path, description = "The account")),
    responses((status = 200, description = "The account", body = Agent)))]
pub async fn handle(
    State(state): State<AppState>,
    ApiPath(id): ApiPath<Uuid>,
    command: ApiCommand<NoBody>,
) -> Result<Reply<Agent>, Problem> {
    let (context, id) = (command.context("account.erase_personal_data"), AccountId(id));
    let done = state.commands.erase_personal_data(&context, id).await?;
    let sequence = done.value.sequence;
    state.directory.observe(context.tenant_id, id, &done.value.account, sequence);
    let personal_data = match &done.value.account {
        account if account.erased => "erased",
        account if account.erasure_requested_by.is_some() => "erasure_requested",
        _ => "kept",
    };
    let agent = Agent { personal_data: Some(personal_data), ..Agent::after(id, done.value.clone())? };
    Ok(Reply::new(done, |_| agent).etag(sequence))
}
