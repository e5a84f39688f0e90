//! Keeps the licence index and the directory of this process current from the event feed.
//!
//! What must always hold: both models are confirmed as fresh only after every event up to the head that the log was seen
//! to have is in them; whatever stands in the way of an event is tried again with bounded pauses, and meanwhile nothing is
//! confirmed, so that both lose their trust within a second and the log is asked instead.

use std::sync::Arc;
use std::time::Duration;

use quotary_commands::log::stream;
use quotary_domain::account::Account;
use quotary_domain::license::License;
use quotary_domain::project::Project;
use quotary_domain::{AccountId, DecodeError, Event, LicenseId, ProjectId, RecordedEvent, TenantId};
use quotary_projections::directory::{Directory, DirectoryError};
use quotary_projections::feed::{EventFeed, FeedError, Run};
use quotary_projections::freshness::Effect;
use quotary_projections::license_index::{self, LicenseIndex};
use sqlx::PgPool;

/// How many events are taken at a time.
const MAX_RUN: usize = 4_096;
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Why the models can't be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The licences or projects can't be.
    #[error("the licence index can't be loaded")]
    LicenseIndex(#[from] license_index::LoadError),
    /// The accounts can't be.
    #[error("the directory can't be loaded")]
    Directory(#[from] DirectoryError),
}

/// The models in memory, and the position from which the feed goes on.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// Licences and projects.
    pub license_index: Arc<LicenseIndex>,
    /// Accounts.
    pub directory: Arc<Directory>,
    /// Everything up to here is in both.
    pub position: u64,
}

/// Why an event did not get into the models; nothing after it is taken before it did.
#[derive(Debug, thiserror::Error)]
enum ApplyError {
    #[error("an event can't be read")]
    Decode(#[from] DecodeError),
    #[error("the state behind an event that was missed can't be read")]
    Heal(#[from] stream::LoadError),
}

/// Loads both models from the read models. Neither is trusted before [`run`] has caught up.
///
/// # Errors
/// [`LoadError`] if a read model can't be read.
pub async fn load(pool: &PgPool) -> Result<Loaded, LoadError> {
    let (license_index, directory) = (Arc::new(LicenseIndex::default()), Arc::new(Directory::default()));
    let licenses = license_index.load(pool).await?;
    let accounts = directory.load(pool).await?;
    let position = licenses.position.min(accounts);
    tracing::info!(position, licenses = licenses.licenses, projects = licenses.projects, "loaded into memory");
    Ok(Loaded { license_index, directory, position })
}

/// Follows `feed`, which starts at [`Loaded::position`], until it is stopped.
///
/// # Errors
/// [`FeedError::WentBack`] if an older log was restored: what is in memory is no longer true, and the process must start
/// anew.
pub async fn run(mut feed: EventFeed, models: Loaded, pool: PgPool) -> Result<(), FeedError> {
    let mut pause = FIRST_PAUSE;
    loop {
        match feed.next(MAX_RUN).await {
            Ok(run) => {
                take(&models, &pool, &run).await;
                pause = FIRST_PAUSE;
            }
            Err(FeedError::Stopped) => return Ok(()),
            Err(error @ FeedError::WentBack { .. }) => return Err(error),
            Err(error @ (FeedError::Log(_) | FeedError::TooSlow(_) | FeedError::BrokenOff(_))) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                tracing::warn!(%error, cause, "the event feed failed, trying again");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}

/// Takes a run into the models, and confirms them if that was the end of the log.
async fn take(models: &Loaded, pool: &PgPool, run: &Run) {
    for recorded in &run.events {
        let mut pause = FIRST_PAUSE;
        while let Err(error) = apply(models, pool, recorded).await {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            tracing::error!(position = recorded.position, %error, cause, "an event is not in memory yet, trying again");
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
    if run.is_at_head() {
        models.license_index.mark_fresh(run.position, run.head_checked_at);
        models.directory.mark_fresh(run.position, run.head_checked_at);
    }
}

async fn apply(models: &Loaded, pool: &PgPool, recorded: &RecordedEvent) -> Result<(), ApplyError> {
    // The others are most of the log; reading their payloads would be in vain.
    let concerns = match recorded.aggregate_type.as_str() {
        "License" | "Project" | "Account" => true,
        "LicenseBatch" => recorded.event_type == "BatchRefunded",
        _ => false,
    };
    if !concerns {
        return Ok(());
    }
    let event = recorded.decode()?;
    let effect = match &event {
        Event::Account(_) => models.directory.apply(recorded, &event),
        _ => models.license_index.apply(recorded, &event),
    };
    match effect {
        Effect::Applied | Effect::Old | Effect::Unrelated => Ok(()),
        Effect::Gap => heal(models, pool, recorded, &event).await,
    }
}

/// An event was missed: takes the whole state from the log, which has this event too.
async fn heal(models: &Loaded, pool: &PgPool, recorded: &RecordedEvent, event: &Event) -> Result<(), ApplyError> {
    let (id, tenant_id): (_, TenantId) = (recorded.aggregate_id, recorded.tenant_id);
    tracing::warn!(position = recorded.position, aggregate_id = %id, "an event was missed, reading the state anew");
    match event {
        Event::License(_) => {
            let loaded = stream::load::<License>(pool, id).await?;
            models.license_index.observe(LicenseId(id), &loaded.aggregate, loaded.sequence);
        }
        Event::Project(_) => {
            let loaded = stream::load::<Project>(pool, id).await?;
            models.license_index.observe_project(tenant_id, ProjectId(id), &loaded.aggregate, loaded.sequence);
        }
        Event::Account(_) => {
            let loaded = stream::load::<Account>(pool, id).await?;
            models.directory.observe(tenant_id, AccountId(id), &loaded.aggregate, loaded.sequence);
        }
        Event::Tenant(_)
        | Event::AgentQuota(_)
        | Event::LicenseBatch(_)
        | Event::Withdrawal(_)
        | Event::Transfer(_)
        | Event::RiskPolicy(_)
        | Event::Reversal(_)
        | Event::Order(_)
        | Event::Reconciliation(_)
        | Event::Case(_)
        | Event::Proposal(_) => {}
    }
    Ok(())
}
