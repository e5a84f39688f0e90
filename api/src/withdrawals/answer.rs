//! Withdrawals as answers show them.

use chrono::{DateTime, Utc};
use quotary_commands::withdrawal::request::WithdrawalAfter;
use quotary_projections::withdrawals;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::payee::{Payee, decides, open};
use crate::extract::ApiCommand;
use crate::problem::Problem;
use crate::reason::{Reason, reasons};
use crate::state::AppState;

/// A withdrawal.
#[derive(Debug, Serialize, ToSchema)]
pub struct Withdrawal {
    /// Its id.
    pub id: Uuid,
    /// Whose quota it is.
    pub agent_id: Uuid,
    /// How much is to be paid, in minor units: what was asked for, or the part of it that a review let go on.
    pub amount: i64,
    /// What was asked for.
    pub asked_amount: i64,
    /// `suspended` until an admin lets it go on, `requested` until one decides, then `approved`, `refused`, `paid`,
    /// `cancelled` or `expired`.
    pub status: &'static str,
    /// The rules that suspended it; absent if none did.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<Reason>,
    /// When a suspended one ends by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<DateTime<Utc>>,
    /// Who let a suspended one go on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub released_by: Option<Uuid>,
    /// The bank details; numbers of accounts are masked but for those who decide. Absent in lists and if erased.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<std::collections::HashMap<String, String>>)]
    pub payee: Option<Payee>,
    /// Whether the bank details were erased with the rest of the person's data; never shown in lists.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub payee_erased: bool,
    /// When it was asked for; what follows is absent in answers to commands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requested_at: Option<DateTime<Utc>>,
    /// Who approved, refused or cancelled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decided_by: Option<Uuid>,
    /// When.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decided_at: Option<DateTime<Utc>>,
    /// Why it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Who said that it was paid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paid_by: Option<Uuid>,
    /// When.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paid_at: Option<DateTime<Utc>>,
    /// The bank's reference.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
}

impl From<withdrawals::Withdrawal> for Withdrawal {
    fn from(found: withdrawals::Withdrawal) -> Self {
        Self {
            id: found.withdrawal_id.0,
            agent_id: found.agent_id.0,
            amount: found.amount,
            asked_amount: found.asked_amount,
            status: found.status.as_str(),
            reasons: reasons(found.reasons),
            expires_at: found.expires_at,
            released_by: found.released_by.map(|id| id.0),
            payee: None,
            payee_erased: false,
            requested_at: Some(found.requested_at),
            decided_by: found.decided_by.map(|id| id.0),
            decided_at: found.decided_at,
            reason: found.reason,
            paid_by: found.paid_by.map(|id| id.0),
            paid_at: found.paid_at,
            reference: found.reference,
        }
    }
}

impl Withdrawal {
    /// The withdrawal after a command.
    pub(super) async fn after<T>(
        state: &AppState,
        command: &ApiCommand<T>,
        after: &WithdrawalAfter,
    ) -> Result<Self, Problem> {
        let request = after.withdrawal.request.as_ref().ok_or_else(|| Problem::not_found("withdrawal"))?;
        let (id, agent_id) = (after.withdrawal_id, request.agent_id);
        let in_full = decides(state, &command.actor, agent_id).await?;
        let payee = open(state, command.actor.tenant_id, (id, agent_id), &request.payee, in_full).await?;
        Ok(Self {
            id: id.0,
            agent_id: agent_id.0,
            amount: after.withdrawal.amount.minor_units(),
            asked_amount: request.amount.minor_units(),
            status: after.withdrawal.status.as_str(),
            reasons: reasons(request.reasons.clone()),
            expires_at: request.expires_at,
            released_by: after.withdrawal.released_by.map(|id| id.0),
            payee_erased: payee.is_none(),
            payee,
            requested_at: None,
            decided_by: None,
            decided_at: None,
            reason: None,
            paid_by: None,
            paid_at: None,
            reference: None,
        })
    }
}
