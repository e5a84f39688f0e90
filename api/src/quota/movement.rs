//! Movements of quota between accounts as answers show them.

use chrono::{DateTime, Utc};
use quotary_commands::quota::decide_transfer::TransferAfter;
use quotary_commands::quota::movement::Suspension;
use quotary_domain::Quota;
use quotary_domain::agent_quota::TransferKind;
use quotary_domain::transfer::TransferStatus;
use quotary_projections::movements::{Movement, MovementKind};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::reason::{Reason, reasons};

/// A top-up or transfer.
#[derive(Debug, Serialize, ToSchema)]
pub struct Transfer {
    /// Its id.
    pub id: Uuid,
    /// `transfer` or `top_up`.
    pub kind: &'static str,
    /// `completed`; or `suspended` until an admin decides, then `completed`, `refused` or `expired`. What was completed and
    /// taken back later is `reversed`, or `partly_reversed`.
    pub status: String,
    /// Who gives; `null` for the tenant itself.
    pub from: Option<Uuid>,
    /// Who gets.
    pub to: Uuid,
    /// How much was asked for, in minor units.
    pub amount: i64,
    /// A remark.
    pub note: Option<String>,
    /// When it happened; absent in answers to commands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub occurred_at: Option<DateTime<Utc>>,
    /// Where it stands in the log; absent in answers to commands, which have it in `Quotary-Position`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<u64>,
    /// What is only known of one that a rule suspended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub review: Option<Review>,
    /// How it was taken back, if it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reversal: Option<TakenBack>,
}

/// How a movement was taken back.
#[derive(Debug, Serialize, ToSchema)]
pub struct TakenBack {
    /// The journal that did it.
    pub journal_id: Uuid,
    /// How much, in minor units.
    pub amount: i64,
}

/// What is known of a movement that a rule suspended.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct Review {
    /// The rules that suspended it.
    pub reasons: Vec<Reason>,
    /// When it ends by itself and the amount returns; `null` for never.
    pub expires_at: Option<DateTime<Utc>>,
    /// How much of it was let go, in minor units; the rest returned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub released_amount: Option<i64>,
    /// The journal in which that moved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub journal_id: Option<Uuid>,
    /// Who let it go or refused it; absent in answers to commands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decided_by: Option<Uuid>,
    /// When it was decided on or expired; absent in answers to commands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decided_at: Option<DateTime<Utc>>,
    /// Why it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Transfer {
    /// A movement that was made or suspended just now.
    pub(super) fn made(
        id: Uuid,
        kind: &'static str,
        (from, to): (Option<Uuid>, Uuid),
        amount: Quota,
        note: Option<String>,
        suspension: Option<Suspension>,
    ) -> Self {
        let status = if suspension.is_some() { "suspended" } else { "completed" };
        let review = suspension.map(|Suspension { reasons: of, expires_at }| Review {
            reasons: reasons(of),
            expires_at,
            ..Review::default()
        });
        let (amount, status) = (amount.minor_units(), status.to_owned());
        Self { id, kind, status, from, to, amount, note, occurred_at: None, position: None, review, reversal: None }
    }
}

impl From<TransferAfter> for Transfer {
    fn from(after: TransferAfter) -> Self {
        let request = after.request;
        let released_amount = match after.status {
            TransferStatus::Completed(amount) => Some(amount.minor_units()),
            TransferStatus::Suspended | TransferStatus::Refused | TransferStatus::Expired => None,
        };
        let kind = match request.kind {
            TransferKind::Transfer => MovementKind::Transfer,
            TransferKind::TopUp => MovementKind::TopUp,
        };
        Self {
            id: after.id.0,
            kind: kind.as_str(),
            status: after.status.as_str().to_owned(),
            from: request.from.map(|id| id.0),
            to: request.to.0,
            amount: request.amount.minor_units(),
            note: request.note,
            occurred_at: None,
            position: None,
            review: Some(Review {
                reasons: reasons(request.reasons),
                expires_at: request.expires_at,
                released_amount,
                journal_id: after.journal_id.map(|id| id.0),
                ..Review::default()
            }),
            reversal: None,
        }
    }
}

impl From<Movement> for Transfer {
    fn from(movement: Movement) -> Self {
        let review = movement.review.map(|review| Review {
            reasons: reasons(review.reasons),
            expires_at: review.expires_at,
            released_amount: review.moved,
            journal_id: review.moved.map(|_| review.settlement.0),
            decided_by: review.decided_by.map(|id| id.0),
            decided_at: review.decided_at,
            reason: review.reason,
        });
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
            review,
            reversal: movement.reversal.map(|it| TakenBack { journal_id: it.journal_id.0, amount: it.amount }),
        }
    }
}
