//! The start of the index from the read models.
//!
//! Everything is read in one snapshot together with the checkpoints, so the feed can go on right behind it; events that
//! are delivered again are known by their sequence.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures::TryStreamExt;
use quotary_domain::license::verification::Binding;
use quotary_domain::project::{Credentials, SigningKeys};
use quotary_domain::{ApiKeyId, BatchId, LicenseId, ProjectId, Sealed};
use sqlx::{Connection, FromRow, PgConnection, PgPool};
use uuid::Uuid;

use super::entry::{BatchMark, Columns, Entry, Origin};
use super::index::{LicenseIndex, Offer};
use super::prefix::HashPrefix;
use super::project::ProjectEntry;
use crate::generation::{self, GenerationError};
use crate::licenses;
use crate::projects::signing_keys;

/// What was loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// The feed goes on after this position.
    pub position: u64,
    /// How many licences.
    pub licenses: usize,
    /// How many projects.
    pub projects: usize,
}

/// Why the index can't be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The read models can't be read.
    #[error("the read models can't be read")]
    Database(#[from] sqlx::Error),
    /// No generation serves.
    #[error("the read models' checkpoints can't be read")]
    Generation(#[from] GenerationError),
    /// A read model holds something that no event can have led to.
    #[error("the terms of a licence can't be read")]
    Terms(#[from] serde_json::Error),
    /// The read models disagree.
    #[error("the read model has machines of the unknown licence {0}")]
    UnknownLicense(LicenseId),
}

#[derive(FromRow)]
struct LicenseRow {
    license_id: Uuid,
    batch_id: Uuid,
    project_id: Uuid,
    plan_id: Uuid,
    plan_version: i64,
    duration_days: Option<i64>,
    max_machines: i64,
    features: String,
    policy: Option<String>,
    key_hash: String,
    activated_at: Option<DateTime<Utc>>,
    expires_at: Option<DateTime<Utc>>,
    in_use: bool,
    disabled: bool,
    revoked: bool,
    sequence: i64,
}

#[derive(FromRow)]
struct ProjectRow {
    project_id: Uuid,
    tenant_id: Uuid,
    disabled: bool,
    api_key_id: String,
    api_secret: String,
    previous_api_key_id: Option<String>,
    previous_api_secret: Option<String>,
    previous_until: Option<DateTime<Utc>>,
    sequence: i64,
}

impl LicenseIndex {
    /// Fills the index from the read models `licenses` and `projects`; what it knows already and better stays.
    ///
    /// The feed must not run meanwhile. The index is trusted only after the feed has caught up from [`Loaded::position`].
    ///
    /// # Errors
    /// [`LoadError`] if the read models can't be read or hold nonsense.
    pub async fn load(&self, pool: &PgPool) -> Result<Loaded, LoadError> {
        let mut connection = pool.acquire().await?;
        let mut snapshot = connection.begin_with("begin transaction isolation level repeatable read read only").await?;
        let mut position = u64::MAX;
        for name in ["licenses", "projects"] {
            let serving = generation::serving(&mut snapshot, name).await?;
            // Without a read model the feed must begin at the beginning.
            position = position.min(serving.map_or(0, |generation| generation.checkpoint));
        }
        if position > 0 {
            self.load_projects(&mut snapshot).await?;
            self.load_licenses(&mut snapshot).await?;
            self.load_machines(&mut snapshot).await?;
            self.load_refunds(&mut snapshot).await?;
        }
        snapshot.commit().await?;
        Ok(Loaded { position, licenses: self.len(), projects: self.projects.len() })
    }

    async fn load_projects(&self, snapshot: &mut PgConnection) -> Result<(), LoadError> {
        let mut keys = signing_keys::all(&mut *snapshot).await?;
        let select = "select project_id, tenant_id, disabled, api_key_id, api_secret, previous_api_key_id,
                             previous_api_secret, previous_until, sequence from read.projects";
        let mut rows = sqlx::query_as::<_, ProjectRow>(select).fetch(snapshot);
        while let Some(row) = rows.try_next().await? {
            let keys = keys.remove(&ProjectId(row.project_id)).unwrap_or_default();
            self.projects.take(row.entry(keys));
        }
        Ok(())
    }

    async fn load_licenses(&self, snapshot: &mut PgConnection) -> Result<(), LoadError> {
        let select =
            "select license_id, batch_id, project_id, plan_id, plan_version, duration_days, max_machines,
                             features::text as features, policy::text as policy, key_hash, activated_at, expires_at, in_use, disabled, revoked, sequence
                      from read.licenses";
        let mut rows = sqlx::query_as::<_, LicenseRow>(select).fetch(snapshot);
        // Licences stand in the table by batch, so most have the offer of the one before.
        let mut last: Option<(LicenseRow, u32)> = None;
        while let Some(row) = rows.try_next().await? {
            let offer = match &last {
                Some((before, number)) if before.has_offer_of(&row) => *number,
                _ => self.offer_number(row.offer()?),
            };
            self.licenses.insert(row.entry(offer));
            last = Some((row, offer));
        }
        Ok(())
    }

    async fn load_refunds(&self, snapshot: &mut PgConnection) -> Result<(), LoadError> {
        let select = "select batch_id from read.batches where refunded_at is not null";
        let mut rows = sqlx::query_scalar::<_, Uuid>(select).fetch(snapshot);
        while let Some(batch_id) = rows.try_next().await? {
            self.observe_refund(BatchId(batch_id));
        }
        Ok(())
    }

    async fn load_machines(&self, snapshot: &mut PgConnection) -> Result<(), LoadError> {
        // The sequence tells whether the entry is the one loaded, or a newer one of a command meanwhile.
        let select = "select m.license_id, m.fingerprint_hash, m.held_until, l.sequence from read.machines m
                      join read.licenses l using (license_id)";
        let mut rows = sqlx::query_as::<_, (Uuid, String, Option<DateTime<Utc>>, i64)>(select).fetch(snapshot);
        while let Some((license, fingerprint_hash, held_until, sequence)) = rows.try_next().await? {
            let machine = HashPrefix::of_text(&fingerprint_hash);
            let known = self.licenses.change(license.into(), |entry| {
                if entry.sequence() == sequence.cast_unsigned() && entry.binding(machine) == Binding::Unbound {
                    entry.load_machine(machine, held_until);
                }
            });
            known.ok_or(LoadError::UnknownLicense(license.into()))?;
        }
        Ok(())
    }
}

impl LicenseRow {
    fn has_offer_of(&self, other: &Self) -> bool {
        self.plan_id == other.plan_id
            && self.plan_version == other.plan_version
            && self.project_id == other.project_id
            && self.duration_days == other.duration_days
            && self.max_machines == other.max_machines
            && self.features == other.features
            && self.policy == other.policy
    }

    fn offer(&self) -> Result<Offer, serde_json::Error> {
        let terms = licenses::terms(self.duration_days, self.max_machines, &self.features, self.policy.as_deref())?;
        Ok(Offer {
            project_id: self.project_id.into(),
            plan_id: self.plan_id.into(),
            plan_version: u32::try_from(self.plan_version).unwrap_or(u32::MAX),
            terms: Arc::new(terms),
        })
    }

    fn entry(&self, offer: u32) -> Entry {
        let of = Origin { offer, batch: BatchMark::of(BatchId(self.batch_id)) };
        let columns = Columns {
            sequence: self.sequence.cast_unsigned(),
            activated_at: self.activated_at,
            expires_at: self.expires_at,
            in_use: self.in_use,
            disabled: self.disabled,
            revoked: self.revoked,
        };
        Entry::of_columns(HashPrefix::of_text(&self.key_hash), self.license_id.into(), of, &columns)
    }
}

impl ProjectRow {
    fn entry(self, signing_keys: SigningKeys) -> ProjectEntry {
        let credentials = |id, secret| Credentials { api_key_id: ApiKeyId(id), api_secret: Sealed(secret) };
        let previous = match (self.previous_api_key_id, self.previous_api_secret, self.previous_until) {
            (Some(id), Some(secret), Some(until)) => Some((credentials(id, secret), until)),
            _ => None,
        };
        ProjectEntry {
            project_id: ProjectId(self.project_id),
            tenant_id: self.tenant_id.into(),
            disabled: self.disabled,
            credentials: Some(credentials(self.api_key_id, self.api_secret)),
            previous_credentials: previous,
            signing_keys,
            sequence: self.sequence.cast_unsigned(),
            doubtful: false,
        }
    }
}
