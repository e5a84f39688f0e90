//! Cases as answers show them.

use chrono::{DateTime, Utc};
use quotary_commands::clock;
use quotary_projections::cases::{CaseNote, CaseView};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// A case.
#[derive(Debug, Serialize, ToSchema)]
pub struct Case {
    /// Its id.
    pub id: Uuid,
    /// `internal` or `external`.
    pub kind: &'static str,
    /// Where it was found: a table of ours, the log, or a provider.
    pub source: String,
    /// What kind of difference it is.
    pub class: &'static str,
    /// Which row, order or line.
    pub key: String,
    /// `open`, `resolved` or `vanished`.
    pub status: &'static str,
    /// The run that saw it last.
    pub run_id: Uuid,
    /// What we say; for internal ones, what the log says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ours: Option<String>,
    /// What the other side says; for internal ones, the read model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub theirs: Option<String>,
    /// By how much they differ in minor units, ours less theirs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub amount: Option<i64>,
    /// Since when it is, or was, open.
    pub opened_at: DateTime<Utc>,
    /// How long it is, or was, open, in whole hours.
    pub age_hours: i64,
    /// When it was closed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub closed_at: Option<DateTime<Utc>>,
    /// Who explained it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resolved_by: Option<Uuid>,
    /// `explained`, `corrected`, `returned` or `written_off`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resolution: Option<String>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub explanation: Option<String>,
    /// What a command did about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// What was said about it; absent in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notes: Option<Vec<Note>>,
}

/// What somebody said about a case.
#[derive(Debug, Serialize, ToSchema)]
pub struct Note {
    /// Who.
    pub by: Uuid,
    /// What.
    pub note: String,
    /// When.
    pub at: DateTime<Utc>,
}

impl From<CaseNote> for Note {
    fn from(note: CaseNote) -> Self {
        Self { by: note.by.0, note: note.note, at: note.at }
    }
}

impl From<CaseView> for Case {
    fn from(case: CaseView) -> Self {
        let end = case.closed_at.unwrap_or_else(clock::now);
        Self {
            id: case.id.0,
            kind: case.subject.kind.as_str(),
            source: case.subject.source,
            class: case.subject.class.as_str(),
            key: case.subject.key,
            status: case.status.as_str(),
            run_id: case.seen.run_id.0,
            ours: case.seen.ours,
            theirs: case.seen.theirs,
            amount: case.seen.amount,
            opened_at: case.opened_at,
            age_hours: (end - case.opened_at).num_hours(),
            closed_at: case.closed_at,
            resolved_by: case.resolved_by.map(|account| account.0),
            resolution: case.resolution,
            explanation: case.explanation,
            reference: case.reference,
            notes: None,
        }
    }
}

/// A case after a command on it.
#[derive(Debug, Serialize, ToSchema)]
pub struct ChangedCase {
    /// Its id.
    pub id: Uuid,
    /// `open`, `resolved` or `vanished`.
    pub status: &'static str,
    /// How many notes it has.
    pub notes: u32,
}

impl From<&quotary_commands::case::see::CaseAfter> for ChangedCase {
    fn from(after: &quotary_commands::case::see::CaseAfter) -> Self {
        Self { id: after.id.0, status: after.case.status.as_str(), notes: after.case.notes }
    }
}
