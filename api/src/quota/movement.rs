//! Movements of quota between accounts as answers show them.

use chrono::{DateTime, Utc};
use quotary_domain::Quota;
use quotary_projections::movements::Movement;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// A top-up or transfer.
#[derive(Debug, Serialize, ToSchema)]
pub struct Transfer {
    /// Its id.
    pub id: Uuid,
    /// `transfer` or `top_up`.
    pub kind: &'static str,
    /// `completed`, or `suspended` until an admin decides.
    pub status: String,
    /// Who gave; `null` for the tenant itself.
    pub from: Option<Uuid>,
    /// Who got.
    pub to: Uuid,
    /// How much, in minor units.
    pub amount: i64,
    /// A remark.
    pub note: Option<String>,
    /// When it happened; absent in answers to commands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub occurred_at: Option<DateTime<Utc>>,
    /// Where it stands in the log; absent in answers to commands, which have it in `Quotary-Position`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<u64>,
}

impl Transfer {
    /// A movement that was made just now.
    pub(super) fn made(
        id: Uuid,
        kind: &'static str,
        from: Option<Uuid>,
        to: Uuid,
        amount: Quota,
        note: Option<String>,
    ) -> Self {
        let (amount, status) = (amount.minor_units(), "completed".to_owned());
        Self { id, kind, status, from, to, amount, note, occurred_at: None, position: None }
    }
}

impl From<Movement> for Transfer {
    fn from(movement: Movement) -> Self {
        Self {
            id: movement.id.0,
            kind: movement.kind.as_str(),
            status: movement.status,
            from: movement.from.map(|id| id.0),
            to: movement.to.0,
            amount: movement.amount,
            note: movement.note,
            occurred_at: Some(movement.occurred_at),
            position: Some(movement.position),
        }
    }
}
