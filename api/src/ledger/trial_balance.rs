//! `GET /v1/ledger/trial-balance`.

use axum::Json;
use axum::extract::State;
use quotary_domain::Actor;
use quotary_projections::moment::Moment;
use quotary_projections::trial_balance::{TrialBalanceAt, TrialLine, trial_balance_at};
use serde::Serialize;
use utoipa::ToSchema;

use super::READ_MODELS;
use crate::extract::{ApiQuery, Authed, MinPosition};
use crate::problem::Problem;
use crate::quota::account::{At, moment};
use crate::state::AppState;

/// A line of a trial balance.
#[derive(Debug, Serialize, ToSchema)]
pub struct TrialBalanceLine {
    /// `agents:available`, `agents:held`, `issuance`, `sales:<project>`, `transit` or `paid_out`.
    account: String,
    /// What stands on the left, in minor units.
    debit: i64,
    /// What stands on the right.
    credit: i64,
}

impl From<TrialLine> for TrialBalanceLine {
    fn from(line: TrialLine) -> Self {
        let (debit, credit) = (line.debit(), line.credit());
        Self { account: line.account, debit, credit }
    }
}

/// A tenant's whole ledger: debits and credits are equal.
#[derive(Debug, Serialize, ToSchema)]
pub struct TrialBalance {
    /// The position up to which the log is in it.
    position: u64,
    /// One line per account that was ever used; agents' accounts are summed up.
    items: Vec<TrialBalanceLine>,
    /// The sum of debits, in minor units.
    debit: i64,
    /// The sum of credits.
    credit: i64,
    /// Credits less debits; anything but zero is an error of the system.
    total: i64,
}

impl From<TrialBalanceAt> for TrialBalance {
    fn from(found: TrialBalanceAt) -> Self {
        let (debit, credit) = sums(&found);
        let total = found.total();
        let items = found.lines.into_iter().map(TrialBalanceLine::from).collect();
        Self { position: found.position, items, debit, credit, total }
    }
}

/// The sums of debits and of credits.
pub(super) fn sums(found: &TrialBalanceAt) -> (i64, i64) {
    (found.lines.iter().map(TrialLine::debit).sum(), found.lines.iter().map(TrialLine::credit).sum())
}

/// The trial balance of the tenant, now or at a moment of the past. The agents' side and the other side come from read
/// models that are made apart from each other.
///
/// # Errors
/// `invalid-parameter`.
#[utoipa::path(get, path = "/v1/ledger/trial-balance", tag = "ledger", params(At),
    responses((status = 200, description = "The trial balance", body = TrialBalance)))]
pub async fn handle(
    State(state): State<AppState>,
    Authed { actor, .. }: Authed,
    position: MinPosition,
    ApiQuery(query): ApiQuery<At>,
) -> Result<Json<TrialBalance>, Problem> {
    let at = query.at.as_deref().map(|text| moment("at", text)).transpose()?;
    Ok(Json(read(&state, &actor, position, at).await?.into()))
}

/// The trial balance, once the read models are where they are asked to be.
pub(super) async fn read(
    state: &AppState,
    actor: &Actor,
    position: MinPosition,
    at: Option<Moment>,
) -> Result<TrialBalanceAt, Problem> {
    position.wait(state, &READ_MODELS).await?;
    Ok(trial_balance_at(&state.pool, actor.tenant_id, at).await?)
}
