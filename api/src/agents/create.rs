//! `POST /v1/agents`.

use axum::extract::State;
use quotary_commands::account::create::CreateAccount;
use quotary_domain::account::{Account, Username};
use quotary_domain::{AccountId, Quota, Role, TenantId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::extract::{Amount, ApiCommand, Secret};
use crate::problem::Problem;
use crate::reply::Reply;
use crate::state::AppState;

/// A new account below one's own.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateAgent {
    /// 3 to 32 of `a-z 0-9 . _ -`, unique in the tenant.
    #[schema(value_type = String)]
    username: Username,
    /// Unique in the tenant.
    email: String,
    /// The first password; one is made up and answered if there is none.
    #[schema(value_type = Option<String>, format = Password)]
    password: Option<Secret>,
    /// Whether the first login must set another password.
    #[serde(default = "yes")]
    #[schema(default = true)]
    must_change_password: bool,
    /// `super_admin`, `agent_admin`, `agent`, `analyst` or `auditor`.
    #[schema(value_type = String, example = "agent")]
    role: Role,
    /// Quota to begin with, paid as a top-up.
    #[schema(value_type = Option<i64>, minimum = 0)]
    opening_quota: Option<Amount>,
}

fn yes() -> bool {
    true
}

/// A created account.
#[derive(Serialize, ToSchema)]
pub struct CreatedAgent {
    /// Its id.
    id: Uuid,
    /// Its login name.
    username: String,
    /// Its e-mail address.
    email: String,
    /// Its role.
    #[schema(value_type = String, example = "agent")]
    role: Role,
    /// Who created it.
    parent_id: Uuid,
    /// `active`.
    status: &'static str,
    /// Whether the first login must set another password.
    must_change_password: bool,
    /// The password that was made up for it; shown this once.
    #[serde(skip_serializing_if = "Option::is_none")]
    initial_password: Option<String>,
}

/// Creates an account below one's own. Agent admins create agents and agent admins, super admins all roles.
///
/// # Errors
/// `taken` for a username or e-mail address that is taken, `insufficient-quota` for the opening quota.
#[utoipa::path(post, path = "/v1/agents", tag = "agents", request_body = CreateAgent,
    responses((status = 201, description = "The account", body = CreatedAgent)))]
pub async fn handle(
    State(state): State<AppState>,
    command: ApiCommand<CreateAgent>,
) -> Result<Reply<CreatedAgent>, Problem> {
    let context = command.context("account.create");
    let CreateAgent { username, email, password, must_change_password, role, opening_quota } = command.body;
    let input = CreateAccount {
        username,
        email: email.clone(),
        password: password.map(|password| password.0),
        must_change_password,
        role,
        opening_quota: opening_quota.map_or(Quota::ZERO, |amount| amount.0),
    };
    let done = state
        .commands
        .create_account(&context, input)
        .await
        .map_err(|error| Problem::from(error).rename("/amount", "/opening_quota"))?;
    let (id, sequence) = (done.value.account_id, done.value.sequence);
    observe(&state, context.tenant_id, id).await?;
    let reply = Reply::new(done, |created| CreatedAgent {
        id: created.account_id.0,
        username: created.username.into(),
        email,
        role: created.role,
        parent_id: created.parent_id.0,
        status: "active",
        must_change_password,
        initial_password: created.initial_password,
    });
    Ok(reply.etag(sequence).created(format!("/v1/agents/{id}")))
}

/// Lets this node know the account at once.
async fn observe(state: &AppState, tenant_id: TenantId, id: AccountId) -> Result<(), Problem> {
    if let Some((account, sequence)) = state.commands.log().current::<Account>(tenant_id, id).await? {
        state.directory.observe(tenant_id, id, &account, sequence);
    }
    Ok(())
}
