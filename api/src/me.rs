//! `GET /v1/me`: the account behind the token, with its quota.

use axum::Json;
use axum::extract::State;
use quotary_domain::Role;
use quotary_projections::ledger;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::extract::{Authed, MinPosition};
use crate::problem::Problem;
use crate::state::AppState;

/// The account behind the token.
#[derive(Serialize, ToSchema)]
pub struct Me {
    /// The account.
    pub account: MyAccount,
    /// Its role.
    #[schema(value_type = String, example = "agent")]
    pub role: Role,
    /// Its quota; `null` for roles that hold none.
    pub quota: Option<MyQuota>,
    /// Whether the password must be changed before anything else.
    pub must_change_password: bool,
}

/// An account.
#[derive(Serialize, ToSchema)]
pub struct MyAccount {
    /// Its id.
    pub id: Uuid,
    /// Its tenant.
    pub tenant_id: Uuid,
    /// Its login name.
    pub username: String,
    /// Its role.
    #[schema(value_type = String, example = "agent")]
    pub role: Role,
    /// Who created it; `null` for the first super admin.
    pub parent_id: Option<Uuid>,
}

/// Quota in minor units.
#[derive(Serialize, ToSchema)]
pub struct MyQuota {
    /// What can be spent.
    pub available: i64,
    /// What is reserved.
    pub held: i64,
    /// Where the last movement in it stands in the log.
    pub position: u64,
}

/// The account behind the token, with its quota.
///
/// # Errors
/// If the read model can't be read.
#[utoipa::path(get, path = "/v1/me", tag = "me",
    responses((status = 200, description = "The account, its role and quota", body = Me)))]
pub async fn handle(State(state): State<AppState>, authed: Authed, position: MinPosition) -> Result<Json<Me>, Problem> {
    let actor = authed.actor;
    position.wait(&state, &[ledger::NAME]).await?;
    let quota = if actor.role.holds_quota() {
        let ledger::Balance { available, held, position } =
            ledger::balance(&state.pool, actor.tenant_id, actor.account_id).await?;
        Some(MyQuota { available, held, position })
    } else {
        None
    };
    let account = MyAccount {
        id: actor.account_id.0,
        tenant_id: actor.tenant_id.0,
        username: authed.account.username.to_string(),
        role: actor.role,
        parent_id: authed.account.ancestors.last().map(|id| id.0),
    };
    Ok(Json(Me { account, role: actor.role, quota, must_change_password: authed.must_change_password }))
}
