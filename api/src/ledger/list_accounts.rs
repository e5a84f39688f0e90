//! `GET /v1/ledger/accounts`.

use axum::Json;
use axum::extract::State;
use quotary_projections::account_statements::{self, AccountBalance};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::READ_MODELS;
use crate::extract::{ApiQuery, Authed, MinPosition, Paging};
use crate::problem::Problem;
use crate::reply::Items;
use crate::state::AppState;

/// What kind of account.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccountKind {
    /// What an agent can spend.
    Available,
    /// What an agent has reserved.
    Held,
    /// Where new quota comes from.
    Issuance,
    /// Licences sold of a project.
    Sales,
    /// Between the two halves of a movement.
    Transit,
    /// Quota that left as money.
    PaidOut,
}

impl AccountKind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Available => "available",
            Self::Held => "held",
            Self::Issuance => "issuance",
            Self::Sales => "sales",
            Self::Transit => "transit",
            Self::PaidOut => "paid_out",
        }
    }
}

/// Which accounts.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// How many items at most, 1 to 200; 50 if absent.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
    /// `available`, `held`, `issuance`, `sales`, `transit` or `paid_out`.
    #[param(value_type = Option<String>)]
    kind: Option<AccountKind>,
}

/// An account of the ledger.
#[derive(Debug, Serialize, ToSchema)]
pub struct LedgerAccount {
    /// Its name, e.g. `issuance` or `agent:<id>:available`.
    account: String,
    /// What kind of account it is.
    kind: String,
    /// In minor units; more than zero is a credit.
    balance: i64,
    /// Where the last movement in it stands in the log; 0 if there was none.
    position: u64,
}

impl From<AccountBalance> for LedgerAccount {
    fn from(AccountBalance { account, kind, balance, position }: AccountBalance) -> Self {
        Self { account, kind, balance, position }
    }
}

/// Lists the accounts of the ledger that one may see, with their balances, by name. The tenant's own accounts (issuance,
/// sales, transit, paid out) are for super admins and auditors.
///
/// # Errors
/// `invalid-parameter`.
#[utoipa::path(get, path = "/v1/ledger/accounts", tag = "ledger", params(Filter),
    responses((status = 200, description = "A page of accounts", body = Items<LedgerAccount>)))]
pub async fn handle(
    State(state): State<AppState>,
    Authed { actor, .. }: Authed,
    position: MinPosition,
    ApiQuery(filter): ApiQuery<Filter>,
) -> Result<Json<Items<LedgerAccount>>, Problem> {
    let Filter { limit, cursor, kind } = filter;
    let page = Paging { limit, cursor }.request()?;
    position.wait(&state, &READ_MODELS).await?;
    let kind = kind.map(AccountKind::as_str);
    let found = account_statements::ledger_accounts(&state.pool, &actor, kind, &page).await?;
    Ok(Json(Items::of(found, LedgerAccount::from)))
}
