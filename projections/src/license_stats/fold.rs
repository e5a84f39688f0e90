//! What a run of events means for the statistics.
//!
//! Licences issued in the run are counted at once; events of earlier licences wait for the look-up of their fact.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use hashbrown::HashMap;
use quotary_domain::license::LicenseEvent;
use quotary_domain::license_batch::LicenseBatchEvent;
use quotary_domain::{AccountId, BatchId, LicenseId, PlanId, ProjectId, RecordedEvent, TenantId};

/// The step "activated soon" of the funnel.
const SOON: TimeDelta = TimeDelta::days(7);

/// Whose a licence is: what statistics are split by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Subject {
    pub tenant_id: TenantId,
    pub project_id: ProjectId,
    pub plan_id: PlanId,
    pub agent_id: AccountId,
}

/// A licence as the statistics know it.
#[derive(Clone, Copy)]
pub(super) struct Fact {
    pub subject: Subject,
    pub issued_at: DateTime<Utc>,
}

/// What is counted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Activated,
    Unbound,
    Disabled,
    Revoked,
    Renewed,
}

/// Counts of one subject and day.
#[derive(Clone, Copy, Default)]
pub(super) struct DayCounts {
    pub issued: i64,
    pub exported: i64,
    pub activated: i64,
    pub unbound: i64,
    pub disabled: i64,
    pub revoked: i64,
    pub renewed: i64,
}

/// Counts of one subject and day of issue.
#[derive(Clone, Copy, Default)]
pub(super) struct CohortCounts {
    pub issued: i64,
    pub exported: i64,
    pub activated: i64,
    pub activated_within_7_days: i64,
}

/// What a run adds to the two tables of counts.
#[derive(Default)]
pub(super) struct Counts {
    pub days: HashMap<(Subject, NaiveDate), DayCounts>,
    pub cohorts: HashMap<(Subject, NaiveDate), CohortCounts>,
}

impl Counts {
    pub(super) fn issued(&mut self, subject: Subject, at: DateTime<Utc>) {
        self.days.entry((subject, at.date_naive())).or_default().issued += 1;
        self.cohorts.entry((subject, at.date_naive())).or_default().issued += 1;
    }

    /// Counts `n` licences issued on `cohort` as handed out on `day`.
    pub(super) fn exported(&mut self, subject: Subject, cohort: NaiveDate, day: NaiveDate, n: i64) {
        self.days.entry((subject, day)).or_default().exported += n;
        self.cohorts.entry((subject, cohort)).or_default().exported += n;
    }

    pub(super) fn happened(&mut self, kind: Kind, fact: Fact, at: DateTime<Utc>) {
        let day = self.days.entry((fact.subject, at.date_naive())).or_default();
        match kind {
            Kind::Activated => {
                day.activated += 1;
                let cohort = self.cohorts.entry((fact.subject, fact.issued_at.date_naive())).or_default();
                cohort.activated += 1;
                cohort.activated_within_7_days += i64::from(at - fact.issued_at <= SOON);
            }
            Kind::Unbound => day.unbound += 1,
            Kind::Disabled => day.disabled += 1,
            Kind::Revoked => day.revoked += 1,
            Kind::Renewed => day.renewed += 1,
        }
    }
}

/// What a run does to the hand-outs of one batch.
#[derive(Default)]
pub(super) struct BatchRun {
    /// Licences issued in this run by subject and day: how many, and how many of them are handed out.
    pub days: HashMap<(Subject, NaiveDate), (i64, i64)>,
    /// The day of the first hand-out in this run; it takes what earlier runs left.
    pub first_export: Option<NaiveDate>,
}

/// What a run means for the statistics.
#[derive(Default)]
pub struct LicenseStatRows {
    pub(super) counts: Counts,
    pub(super) issued: Vec<(LicenseId, Fact)>,
    places: HashMap<LicenseId, usize>,
    /// Events of licences that were issued in earlier runs.
    pub(super) later: Vec<(LicenseId, Kind, DateTime<Utc>)>,
    pub(super) batches: HashMap<BatchId, BatchRun>,
}

impl LicenseStatRows {
    pub(super) fn fold_license(&mut self, recorded: &RecordedEvent, event: &LicenseEvent) {
        let license_id = LicenseId(recorded.aggregate_id);
        let at = recorded.occurred_at();
        let kind = match event {
            LicenseEvent::LicenseIssued(issue) => {
                let subject = Subject {
                    tenant_id: recorded.tenant_id,
                    project_id: issue.project_id,
                    plan_id: issue.plan_id,
                    agent_id: issue.agent_id,
                };
                self.counts.issued(subject, at);
                self.batches
                    .entry(issue.batch_id)
                    .or_default()
                    .days
                    .entry((subject, at.date_naive()))
                    .or_default()
                    .0 += 1;
                self.places.insert(license_id, self.issued.len());
                self.issued.push((license_id, Fact { subject, issued_at: at }));
                return;
            }
            LicenseEvent::LicenseActivated { .. } => Kind::Activated,
            LicenseEvent::LicenseUnbound { .. } => Kind::Unbound,
            LicenseEvent::LicenseDisabled {} => Kind::Disabled,
            LicenseEvent::LicenseRevoked { .. } => Kind::Revoked,
            LicenseEvent::LicenseRenewed { .. } => Kind::Renewed,
            LicenseEvent::LicenseEnabled {}
            | LicenseEvent::MachineBound { .. }
            | LicenseEvent::MachineChanged { .. }
            | LicenseEvent::MachineDeactivated { .. }
            | LicenseEvent::MachineLapsed { .. }
            | LicenseEvent::LeaseExtended { .. }
            | LicenseEvent::ValidityBegan { .. }
            | LicenseEvent::UsageReported { .. }
            | LicenseEvent::LicenseMoved { .. }
            | LicenseEvent::LicenseTransferred { .. }
            | LicenseEvent::LicenseExpired { .. } => return,
        };
        match self.places.get(&license_id) {
            Some(place) => self.counts.happened(kind, self.issued[*place].1, at),
            None => self.later.push((license_id, kind, at)),
        }
    }

    pub(super) fn fold_batch(&mut self, recorded: &RecordedEvent, event: &LicenseBatchEvent) {
        let LicenseBatchEvent::BatchExported { .. } = event else { return };
        let day = recorded.occurred_at().date_naive();
        let batch = self.batches.entry(BatchId(recorded.aggregate_id)).or_default();
        batch.first_export.get_or_insert(day);
        for ((subject, cohort), (issued, exported)) in &mut batch.days {
            if exported < issued {
                self.counts.exported(*subject, *cohort, day, *issued - *exported);
                *exported = *issued;
            }
        }
    }
}
