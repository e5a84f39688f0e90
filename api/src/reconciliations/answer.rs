//! Runs as answers show them.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use quotary_domain::reconciliation::{Class, RunSubject};
use quotary_projections::reconciliations::{INSTALLATION, Run, RunStatus};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// A reconciliation.
#[derive(Debug, Serialize, ToSchema)]
pub struct Reconciliation {
    /// Its id.
    pub id: Uuid,
    /// `internal` (the read models with the log) or `external` (a provider's bill with our orders).
    pub kind: &'static str,
    /// Whether it concerns the whole installation; its differences are those of one's own tenant all the same.
    pub installation: bool,
    /// What is compared, and how.
    #[schema(value_type = Object)]
    pub subject: RunSubject,
    /// `requested`, `completed`, or `incomplete`, which is no pass.
    pub status: &'static str,
    /// When it was asked for.
    pub requested_at: DateTime<Utc>,
    /// Who asked; absent for what runs by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requested_by: Option<Uuid>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<DateTime<Utc>>,
    /// Whether it completed without a difference that concerns the tenant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub passed: Option<bool>,
    /// How many there are of each class, those of the own tenant alone.
    #[schema(value_type = std::collections::HashMap<String, u64>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub counts: Option<BTreeMap<&'static str, u64>>,
    /// The position after which events were read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from_position: Option<u64>,
    /// The position up to which it speaks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<u64>,
    /// The chained SHA-256 over all events up to there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_digest: Option<String>,
    /// SHA-256 of the report.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub report_digest: Option<String>,
    /// Why it could not be completed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// In words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

impl Reconciliation {
    /// A run; of one of the whole installation only what concerns the tenant, whose differences are `own`.
    #[must_use]
    pub fn of(run: Run, own: Option<BTreeMap<&'static str, u64>>) -> Self {
        let installation = run.tenant_id == INSTALLATION;
        let all = run.outcome.as_ref().map(|outcome| {
            outcome.counts.iter().map(|(class, count)| (class.as_str(), *count)).collect::<BTreeMap<_, _>>()
        });
        let counts = if installation { all.and(own) } else { all };
        let is_pass = |counts: &BTreeMap<&str, u64>| {
            counts.keys().all(|class| Class::parse(class).is_some_and(|class| !class.is_difference()))
        };
        Self {
            id: run.id.0,
            kind: run.request.subject.kind().as_str(),
            installation,
            status: run.status.as_str(),
            requested_at: run.requested_at,
            requested_by: run.request.by.map(|account| account.0),
            ended_at: run.ended_at,
            passed: counts.as_ref().map(is_pass).filter(|_| run.status == RunStatus::Completed),
            counts,
            from_position: run.outcome.as_ref().map(|outcome| outcome.from_position),
            position: run.outcome.as_ref().map(|outcome| outcome.position),
            log_digest: run.outcome.as_ref().and_then(|outcome| outcome.log_digest.clone()),
            report_digest: run.outcome.as_ref().and_then(|outcome| outcome.report_digest.clone()),
            reason: run.reason,
            // What went wrong with the whole installation may speak of others.
            detail: run.detail.filter(|_| !installation),
            subject: run.request.subject,
        }
    }
}
