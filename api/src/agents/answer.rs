//! An account as answers show it.

use chrono::{DateTime, Utc};
use quotary_commands::account::disable::AccountAfter;
use quotary_domain::{AccountId, Role};
use quotary_projections::accounts;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::problem::Problem;

/// An account.
#[derive(Debug, Serialize, ToSchema)]
pub struct Agent {
    /// Its id.
    pub id: Uuid,
    /// Its login name.
    pub username: String,
    /// Its role.
    #[schema(value_type = String, example = "agent")]
    pub role: Role,
    /// Who created it; `null` for the first super admin.
    pub parent_id: Option<Uuid>,
    /// `active` or `disabled`.
    pub status: &'static str,
    /// `kept`, `erasure_requested` or `erased`; only in the answer to an erasure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub personal_data: Option<&'static str>,
    /// What it earns by sales of those below it, by level, in hundredths of a percent.
    pub commission_rates: Vec<u16>,
    /// When it came into being; absent in answers to commands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_at: Option<DateTime<Utc>>,
}

/// The status in answers.
pub(crate) fn status(disabled: bool) -> &'static str {
    if disabled { "disabled" } else { "active" }
}

impl From<accounts::Account> for Agent {
    fn from(account: accounts::Account) -> Self {
        Self {
            id: account.account_id.0,
            username: account.username,
            role: account.role,
            parent_id: account.parent_id.map(|id| id.0),
            status: status(account.disabled),
            personal_data: None,
            commission_rates: account.commission_rates,
            created_at: Some(account.created_at),
        }
    }
}

impl Agent {
    /// The account after a command.
    pub(super) fn after(id: AccountId, after: AccountAfter) -> Result<Self, Problem> {
        let profile = after.account.profile.ok_or_else(|| Problem::not_found("account"))?;
        Ok(Self {
            id: id.0,
            username: profile.username.into(),
            role: profile.role,
            parent_id: profile.ancestors.last().map(|id| id.0),
            status: status(after.account.disabled),
            personal_data: None,
            commission_rates: after.account.commission_rates.iter().map(|rate| rate.0).collect(),
            created_at: None,
        })
    }
}
