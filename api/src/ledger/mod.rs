//! The ledger: every account, statements, journals and the trial balance (row Q6).
//!
//! What must always hold: agents see their own accounts, agent admins also those below them; the tenant's other accounts are
//! for those who read the whole ledger.

pub mod account;
pub mod account_statement;
pub mod export_account_statement;
pub mod export_trial_balance;
pub mod get_journal;
pub mod list_accounts;
pub mod list_journals;
pub mod reverse_journal;
pub mod trial_balance;

use quotary_domain::Actor;
use quotary_projections::ledger_account::{AccountName, InvalidAccount};
use quotary_projections::{account_statements, accounts, journals, ledger};

use crate::access::{AUDITORS, Access, SUPER_ADMINS};
use crate::extract::MinPosition;
use crate::problem::Problem;
use crate::route::{Route, route};
use crate::state::AppState;

/// What answers about accounts and journals are made of.
pub(crate) const READ_MODELS: [&str; 3] = [ledger::NAME, journals::NAME, accounts::NAME];

/// `/v1/ledger/…`.
pub(crate) fn routes() -> Vec<Route> {
    vec![
        route!(Access::Account, list_accounts, []),
        route!(Access::Account, account, []),
        route!(Access::Account, account_statement, []),
        route!(Access::Account, export_account_statement, []),
        route!(AUDITORS, trial_balance, []),
        route!(AUDITORS, export_trial_balance, []),
        route!(Access::Account, list_journals, []),
        route!(Access::Account, get_journal, []),
        route!(SUPER_ADMINS, reverse_journal, [AlreadyReversed, NotReversible, InsufficientQuota, ReadModelBehind]),
    ]
}

/// The account of that name, if one may see it.
async fn visible(state: &AppState, actor: &Actor, position: MinPosition, name: &str) -> Result<AccountName, Problem> {
    let account: AccountName =
        name.parse().map_err(|error: InvalidAccount| Problem::parameter("account", error.to_string()))?;
    position.wait(state, &READ_MODELS).await?;
    let seen = match account.agent() {
        Some(agent) => accounts::visible(&state.pool, actor, agent).await?.is_some(),
        None => account_statements::reads_the_whole_ledger(actor),
    };
    if seen { Ok(account) } else { Err(Problem::not_found("account")) }
}
