//! Verification from the log itself, for when the index is late, cut off, or doubts an entry.
//!
//! What must always hold: "no such key" is said only after everything up to the head of the log was looked at; when that
//! would take too long, the answer is "try again" and never a wrong one.

use chrono::{DateTime, Utc};
use quotary_commands::license::change::LicenseAfter;
use quotary_commands::log::stream;
use quotary_domain::license::verification::{Question, Standing, judge};
use quotary_domain::license::{License, LicenseEvent, LicenseStatus};
use quotary_domain::license_batch::LicenseBatch;
use quotary_domain::project::{Project, ProjectEvent};
use quotary_domain::{BatchId, Event, LicenseId, ProjectId, RecordedEvent, TenantId};
use quotary_projections::generation::{self, GenerationError};
use quotary_projections::license_index::{HashPrefix, LicenseIndex, LicenseView, Lookup};
use quotary_projections::log_reader::{LogError, LogReader};
use quotary_projections::{license_index, licenses};
use sqlx::PgPool;

use super::answer::view_of;
use crate::problem::{Code, Problem};

/// How many events behind what memory and read model know are searched for one request.
const SEARCHED: usize = 4_096;

/// Why the log gives no answer.
#[derive(Debug, thiserror::Error)]
pub enum FromLogError {
    /// An aggregate can't be read.
    #[error("an aggregate could not be read")]
    Load(#[from] stream::LoadError),
    /// The end of the log can't be read.
    #[error("the end of the log could not be read")]
    Log(#[from] LogError),
    /// The read model can't be read.
    #[error("the read model of licences could not be read")]
    Database(#[from] sqlx::Error),
    /// The read model's checkpoint can't be read.
    #[error("the checkpoint of the licences could not be read")]
    Generation(#[from] GenerationError),
    /// An event at the end of the log has a shape that this program does not know.
    #[error("an event could not be read")]
    Decode(#[from] quotary_domain::DecodeError),
    /// Too much is not known in memory yet.
    #[error("this process is too far behind the log")]
    Behind,
}

impl From<FromLogError> for Problem {
    fn from(error: FromLogError) -> Self {
        match error {
            FromLogError::Load(error) => error.into(),
            FromLogError::Log(error) => error.into(),
            FromLogError::Database(error) | FromLogError::Generation(GenerationError::Database(error)) => error.into(),
            FromLogError::Generation(_) | FromLogError::Decode(_) => Self::internal(&error),
            FromLogError::Behind => Self::new(Code::Unavailable, error.to_string()),
        }
    }
}

/// A licence as the log has it now.
#[derive(Debug)]
pub(super) struct FreshLicense {
    pub id: LicenseId,
    pub license: License,
    /// The sequence of its last event.
    pub sequence: u64,
    /// Whether its batch was refunded: it is worth nothing, though it may not be disabled yet.
    pub refunded: bool,
}

impl FreshLicense {
    /// A licence after a command: its batch was not refunded then.
    pub(super) fn after(after: LicenseAfter) -> Self {
        let LicenseAfter { license_id: id, license, sequence } = after;
        Self { id, license, sequence, refunded: false }
    }

    /// How it stands at `at`.
    pub(super) fn status(&self, at: DateTime<Utc>) -> LicenseStatus {
        match self.license.status(at) {
            LicenseStatus::Revoked => LicenseStatus::Revoked,
            _ if self.refunded => LicenseStatus::Disabled,
            status => status,
        }
    }
}

/// The log, and the index that what is found there is shown to.
#[derive(Clone, Copy, Debug)]
pub(super) struct FromLog<'a> {
    pub pool: &'a PgPool,
    pub index: &'a LicenseIndex,
}

impl FromLog<'_> {
    /// Brings the index up to date about the project of an API key.
    pub(super) async fn refresh_project_of_key(
        &self,
        api_key_id: &str,
        now: DateTime<Utc>,
    ) -> Result<(), FromLogError> {
        let known = self.index.by_api_key(api_key_id, now).map(|project| (project.tenant_id, project.project_id));
        let found = match known {
            Some(project) => Some(project),
            None => self.search_project(api_key_id).await?,
        };
        match found {
            Some((tenant_id, project_id)) => self.refresh_project(tenant_id, project_id).await,
            None => Ok(()),
        }
    }

    /// Brings the index up to date about a project.
    pub(super) async fn refresh_project(&self, tenant_id: TenantId, id: ProjectId) -> Result<(), FromLogError> {
        let loaded = stream::load::<Project>(self.pool, id.0).await?;
        self.index.observe_project(tenant_id, id, &loaded.aggregate, loaded.sequence);
        Ok(())
    }

    /// The licence of a key (by the whole keyed hash as it stands in events), if the tenant has it.
    pub(super) async fn license_of_key(
        &self,
        tenant_id: TenantId,
        key_hash: &str,
    ) -> Result<Option<FreshLicense>, FromLogError> {
        if let Some(id) = self.index.license_of_key(HashPrefix::of_text(key_hash)) {
            let found = self.license(tenant_id, id).await?;
            // The index knows but half of the hash.
            if found.as_ref().is_some_and(|found| has_key(&found.license, key_hash)) {
                return Ok(found);
            }
        }
        match self.search_license(tenant_id, key_hash).await? {
            Some(id) => self.license(tenant_id, id).await,
            None => Ok(None),
        }
    }

    /// A licence of the tenant.
    pub(super) async fn license(
        &self,
        tenant_id: TenantId,
        id: LicenseId,
    ) -> Result<Option<FreshLicense>, FromLogError> {
        let loaded = stream::load::<License>(self.pool, id.0).await?;
        if loaded.tenant_id != Some(tenant_id) {
            return Ok(None);
        }
        self.index.observe(id, &loaded.aggregate, loaded.sequence);
        let refunded = match &loaded.aggregate.issue {
            Some(issue) => self.is_refunded(tenant_id, issue.batch_id).await?,
            None => false,
        };
        Ok(Some(FreshLicense { id, license: loaded.aggregate, sequence: loaded.sequence, refunded }))
    }

    async fn is_refunded(&self, tenant_id: TenantId, id: BatchId) -> Result<bool, FromLogError> {
        let batch = stream::load::<LicenseBatch>(self.pool, id.0).await?;
        Ok(batch.tenant_id == Some(tenant_id) && batch.aggregate.refunded.is_some())
    }

    async fn search_project(&self, api_key_id: &str) -> Result<Option<(TenantId, ProjectId)>, FromLogError> {
        let known_to = self.index.position();
        if known_to == 0 {
            return Err(FromLogError::Behind);
        }
        let names = |event: &Event| match event {
            Event::Project(
                ProjectEvent::ProjectCreated { credentials, .. } | ProjectEvent::CredentialsRotated { credentials, .. },
            ) => credentials.api_key_id.0 == api_key_id,
            _ => false,
        };
        let found = self.search(known_to, "Project", names).await?;
        Ok(found.map(|event| (event.tenant_id, ProjectId(event.aggregate_id))))
    }

    async fn search_license(&self, tenant_id: TenantId, key_hash: &str) -> Result<Option<LicenseId>, FromLogError> {
        // The checkpoint comes first: what the read model takes in between is then seen twice, not never.
        let serving = generation::serving(&mut *self.pool.acquire().await?, "licenses").await?;
        let mut known_to = self.index.position();
        if let Some(serving) = serving {
            if let Some(found) = licenses::by_key_hash(self.pool, tenant_id, key_hash).await? {
                return Ok(Some(found.license_id));
            }
            known_to = known_to.max(serving.checkpoint);
        }
        let names = |event: &Event| match event {
            Event::License(LicenseEvent::LicenseIssued(issue)) => issue.key_hash == key_hash,
            _ => false,
        };
        let found = self.search(known_to, "License", names).await?;
        Ok(found.filter(|event| event.tenant_id == tenant_id).map(|event| LicenseId(event.aggregate_id)))
    }

    /// The first event after `known_to` that `wanted` is true of.
    async fn search(
        &self,
        known_to: u64,
        aggregate_type: &str,
        wanted: impl Fn(&Event) -> bool,
    ) -> Result<Option<RecordedEvent>, FromLogError> {
        let events = LogReader::new(self.pool.clone()).read_after(known_to, SEARCHED).await?;
        let to_the_end = events.len() < SEARCHED;
        for event in events {
            if event.aggregate_type == aggregate_type && wanted(&event.decode()?) {
                return Ok(Some(event));
            }
        }
        if to_the_end { Ok(None) } else { Err(FromLogError::Behind) }
    }
}

fn has_key(license: &License, key_hash: &str) -> bool {
    license.issue.as_ref().is_some_and(|issue| issue.key_hash == key_hash)
}

/// What is to be answered about a licence of the tenant; the same rule as [`license_index::verify`].
pub(super) fn look_up(
    project: &license_index::ProjectEntry,
    found: &FreshLicense,
    fingerprint_hash: &str,
    question: &Question<'_>,
) -> Lookup {
    let at = question.at;
    let (Some(issue), Some(view)) = (&found.license.issue, view_of(found, at)) else { return Lookup::NotFound };
    if issue.project_id != project.project_id {
        return Lookup::OtherProject;
    }
    if project.disabled {
        return Lookup::ProjectDisabled;
    }
    let standing = found.license.standing(&issue.terms, fingerprint_hash, at);
    let standing = Standing { status: view.status, ..standing };
    let held_until = standing.binding.held_until();
    Lookup::License(judge(&issue.terms, &standing, question), LicenseView { held_until, ..view })
}
