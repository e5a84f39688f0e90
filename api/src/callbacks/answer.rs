//! Callbacks as answers show them.

use chrono::{DateTime, Utc};
use quotary_commands::callback::set::CallbacksChanged;
use quotary_domain::DeliveryId;
use quotary_domain::callback::CallbackType;
use quotary_domain::project::Project;
use quotary_projections::callbacks::{AttemptRecord, DeliveryRecord};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// The callbacks of a project.
#[derive(Debug, Serialize, ToSchema)]
pub struct Callbacks {
    /// Where they go.
    pub url: Option<String>,
    /// The types that are told; null is all.
    #[schema(value_type = Option<Vec<String>>)]
    pub events: Option<Vec<CallbackType>>,
    /// `active`; `off` without an address; `no_secret` if the address is of before callbacks were sent, until the secret is
    /// rotated; `stopped` if the address answered that it is gone, until it is set again.
    #[schema(example = "active")]
    pub status: &'static str,
    /// The name of the secret that signs.
    pub secret_id: Option<String>,
    /// The name of the secret before, while it signs too.
    pub previous_secret_id: Option<String>,
    /// Until when.
    pub previous_until: Option<DateTime<Utc>>,
    /// The secret itself, shown only in the answer to the command that made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
}

impl Callbacks {
    /// The callbacks of a project as they are at `now`.
    pub(super) fn of(project: &Project, now: DateTime<Utc>) -> Self {
        let url = project.details.as_ref().and_then(|details| details.callback_url.clone());
        let known = &project.callbacks;
        let status = match (&url, &known.secret) {
            (None, _) => "off",
            (Some(_), None) => "no_secret",
            (Some(_), Some(_)) if known.stopped => "stopped",
            (Some(_), Some(_)) => "active",
        };
        let previous = known.previous_secret.as_ref().filter(|(_, until)| *until > now);
        Self {
            url,
            events: known.types.clone(),
            status,
            secret_id: known.secret.as_ref().map(|secret| secret.secret_id.clone()),
            previous_secret_id: previous.map(|(secret, _)| secret.secret_id.clone()),
            previous_until: previous.map(|(_, until)| *until),
            secret: None,
        }
    }

    /// The callbacks after a command, with the secret if it made one.
    pub(super) fn after(changed: CallbacksChanged, now: DateTime<Utc>) -> Self {
        Self { secret: changed.callback_secret, ..Self::of(&changed.after.project, now) }
    }
}

/// A delivery that was asked for.
#[derive(Debug, Serialize, ToSchema)]
pub struct AskedDelivery {
    /// Its id, and its `webhook-id`.
    pub id: Uuid,
}

/// Where a delivery is.
pub(super) fn location(project: Uuid, delivery: DeliveryId) -> String {
    format!("/v1/projects/{project}/callbacks/deliveries/{delivery}")
}

/// How a delivery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryStatus {
    /// On its way.
    Pending,
    /// Taken.
    Delivered,
    /// Given up.
    Dead,
}

impl DeliveryStatus {
    /// The status' name in columns and answers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Dead => "dead",
        }
    }
}

/// A callback on its way or at its end.
#[derive(Debug, Serialize, ToSchema)]
pub struct Delivery {
    /// Its id, and its `webhook-id`.
    pub id: Uuid,
    /// What it is about.
    #[schema(example = "license.activated")]
    pub r#type: String,
    /// The licence; null for a test.
    pub license_id: Option<Uuid>,
    /// `pending`, `delivered` or `dead`.
    #[schema(example = "delivered")]
    pub status: String,
    /// What became of the last attempt, or why there was none: `delivered`, `status` (another status than 2xx), `redirected`, `gone`
    /// (410), `timed_out`, `unresolved`, `forbidden` (no public address), `unreachable`, `tls`, `broken` (no HTTP), `secret`, `stopped`,
    /// `off`, `queue_full` or `too_late`; null before the first.
    pub outcome: Option<String>,
    /// How often it was tried.
    pub attempts: i32,
    /// How often it was replayed.
    pub replays: i32,
    /// When it happened.
    pub happened_at: DateTime<Utc>,
    /// When it was taken from the log.
    pub created_at: DateTime<Utc>,
    /// When it is tried next; null if it has ended, or waits for an earlier one of its licence.
    pub next_attempt_at: Option<DateTime<Utc>>,
    /// When trying ends.
    pub expires_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// What is sent, byte by byte; only for one delivery.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// The attempts in order; only for one delivery.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt_log: Option<Vec<DeliveryAttempt>>,
}

impl From<DeliveryRecord> for Delivery {
    fn from(record: DeliveryRecord) -> Self {
        Self {
            id: record.delivery_id.0,
            r#type: record.r#type,
            license_id: record.license_id,
            status: record.status,
            outcome: record.outcome,
            attempts: record.attempts,
            replays: record.replays,
            happened_at: record.happened_at,
            created_at: record.created_at,
            next_attempt_at: record.next_attempt_at,
            expires_at: record.expires_at,
            finished_at: record.finished_at,
            body: None,
            attempt_log: None,
        }
    }
}

/// An attempt to deliver.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeliveryAttempt {
    /// From 1.
    pub number: i32,
    /// When it began.
    pub at: DateTime<Utc>,
    /// How long it took, in milliseconds.
    pub duration_ms: i32,
    /// What became of it, as in `outcome` of the delivery.
    pub outcome: String,
    /// The status of the answer, if there was one.
    pub http_status: Option<i32>,
    /// The beginning of the answer, or what was wrong.
    pub answer: Option<String>,
}

impl From<AttemptRecord> for DeliveryAttempt {
    fn from(record: AttemptRecord) -> Self {
        let AttemptRecord { number, at, duration_ms, outcome, http_status, answer } = record;
        Self { number, at, duration_ms, outcome, http_status, answer }
    }
}
