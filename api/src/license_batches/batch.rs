//! A batch as answers show it.

use chrono::{DateTime, Utc};
use quotary_commands::license_batch::request::BatchAfter;
use quotary_projections::licenses::BatchRecord;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// Licences issued by one command.
#[derive(Debug, Serialize, ToSchema)]
pub struct Batch {
    /// Its id.
    pub id: Uuid,
    /// Who pays and owns the licences.
    pub agent_id: Uuid,
    /// What they are for.
    pub project_id: Uuid,
    /// The plan they are sold under.
    pub plan_id: Uuid,
    /// `issuing`, `completed` or `stopped`.
    #[schema(example = "completed")]
    pub status: String,
    /// How many licences were asked for.
    pub count: i64,
    /// How many are issued.
    pub issued: i64,
    /// What all of them cost, in minor units.
    pub total_price: i64,
    /// When it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requested_at: Option<DateTime<Utc>>,
    /// When all were issued, or when it was stopped.
    pub completed_at: Option<DateTime<Utc>>,
    /// How often keys were handed out.
    pub exports: i64,
    /// The most keys handed out at a time.
    pub exported: i64,
    /// The order that bought it.
    pub order_id: Option<Uuid>,
    /// When its payment was taken back; its licences are refused since.
    pub refunded_at: Option<DateTime<Utc>>,
    /// What returned to the agent then, in minor units.
    pub refunded: Option<i64>,
    /// How many of its licences were disabled since.
    pub disabled: i64,
}

impl From<BatchRecord> for Batch {
    fn from(batch: BatchRecord) -> Self {
        Self {
            id: batch.batch_id.0,
            agent_id: batch.agent_id.0,
            project_id: batch.project_id.0,
            plan_id: batch.plan_id.0,
            status: batch.status,
            count: batch.count,
            issued: batch.issued,
            total_price: batch.total_price.minor_units(),
            requested_at: Some(batch.requested_at),
            completed_at: batch.completed_at,
            exports: batch.exports,
            exported: batch.exported,
            order_id: batch.order_id,
            refunded_at: batch.refunded_at,
            refunded: batch.refunded,
            disabled: batch.disabled,
        }
    }
}

impl Batch {
    /// A batch after a command; `None` if it was never asked for. Times and exports are left out.
    pub(super) fn after(after: &BatchAfter) -> Option<Self> {
        let request = after.batch.request.as_ref()?;
        Some(Self {
            id: after.batch_id.0,
            agent_id: request.agent_id.0,
            project_id: request.project_id.0,
            plan_id: request.plan_id.0,
            status: after.batch.status().as_str().to_owned(),
            count: request.count.into(),
            issued: after.batch.issued.into(),
            total_price: request.total_price.minor_units(),
            requested_at: None,
            completed_at: None,
            exports: 0,
            exported: 0,
            order_id: after.batch.order.map(|order| order.0),
            refunded_at: None,
            refunded: after.batch.refunded.map(|_| after.batch.paid.minor_units()),
            disabled: after.batch.disabled.into(),
        })
    }
}
