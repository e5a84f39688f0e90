//! `GET /v1/ledger/accounts/{account}/statement`.

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use quotary_projections::account_statements::{self, AccountLine};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::visible;
use crate::extract::{ApiPath, ApiQuery, Authed, MinPosition, Paging};
use crate::problem::Problem;
use crate::quota::statement::{Period, bounds};
use crate::state::AppState;

/// A posting on an account's statement.
#[derive(Debug, Serialize, ToSchema)]
pub struct AccountPosting {
    /// Where its event stands in the log.
    position: u64,
    /// The movement.
    journal_id: Uuid,
    /// What kind of movement it is, e.g. `transfer`.
    kind: String,
    /// In minor units; more than zero is a credit to the account, less a debit.
    change: i64,
    /// The balance after it.
    balance: i64,
    /// The account of the other posting.
    other_account: String,
    /// What `source_id` is, e.g. `batch`.
    source_kind: String,
    /// What it is about.
    source_id: Uuid,
    /// A remark.
    note: Option<String>,
    /// Who did it.
    actor: Option<String>,
    /// When it happened.
    occurred_at: DateTime<Utc>,
    /// When it was recorded.
    recorded_at: DateTime<Utc>,
}

impl From<AccountLine> for AccountPosting {
    fn from(line: AccountLine) -> Self {
        Self {
            position: line.position,
            journal_id: line.journal_id.0,
            kind: line.kind,
            change: line.change,
            balance: line.balance,
            other_account: line.other_account,
            source_kind: line.source_kind,
            source_id: line.source_id,
            note: line.note,
            actor: line.actor,
            occurred_at: line.occurred_at,
            recorded_at: line.recorded_at,
        }
    }
}

/// A page of an account's statement; every page has the period's opening and closing balance.
#[derive(Debug, Serialize, ToSchema)]
pub struct AccountStatement {
    /// The account's name.
    account: String,
    /// The beginning, included.
    from: DateTime<Utc>,
    /// The end, not included.
    to: DateTime<Utc>,
    /// The balance before the first posting, in minor units.
    opening: i64,
    /// The balance after the last posting.
    closing: i64,
    /// The postings of this page, by when they happened.
    items: Vec<AccountPosting>,
    /// Absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// An account's statement: the postings of a period with running balance.
///
/// # Errors
/// `not-found`, `invalid-parameter`.
#[utoipa::path(get, path = "/v1/ledger/accounts/{account}/statement", tag = "ledger",
    params(("account" = String, Path, description = "Its name, e.g. `issuance` or `agent:<id>:available`"), Period),
    responses((status = 200, description = "A page of the statement", body = AccountStatement)))]
pub async fn handle(
    State(state): State<AppState>,
    Authed { actor, .. }: Authed,
    position: MinPosition,
    ApiPath(name): ApiPath<String>,
    ApiQuery(period): ApiQuery<Period>,
) -> Result<Json<AccountStatement>, Problem> {
    let Period { from, to, limit, cursor } = period;
    let page = Paging { limit, cursor }.request()?;
    let period = bounds(from, to)?;
    let account = visible(&state, &actor, position, &name).await?;
    let found =
        account_statements::account_statement(&state.pool, actor.tenant_id, &account, period.from, period.to, &page)
            .await?;
    Ok(Json(AccountStatement {
        account: account.to_string(),
        from: period.from,
        to: period.to,
        opening: found.opening,
        closing: found.closing,
        items: found.lines.items.into_iter().map(AccountPosting::from).collect(),
        next_cursor: found.lines.next_cursor,
    }))
}
