//! Issues the next chunk of a batch: payment, licences and progress in one atomic step (rows L1, L2).

use quotary_domain::agent_quota::{AgentQuota, AgentQuotaCommand, Destination};
use quotary_domain::license::{Issue, License, LicenseCommand};
use quotary_domain::license_batch::{BatchRequest, LicenseBatch, LicenseBatchCommand, NextChunk, StopReason};
use quotary_domain::project::Project;
use quotary_domain::{BatchId, HoldId, JournalId, LicenseId, TenantId};

use super::request::BatchAfter;
use crate::clock;
use crate::context::Context;
use crate::event_log::{CommandError, EventLog};
use crate::license_key::LicenseKey;
use crate::refusal::Refusal;
use crate::unit::{Plan, Unit};
use crate::use_case::{Commands, Outcome};
use crate::vault::{Vault, VaultError};

/// A licence that is about to be issued.
pub(crate) struct Prepared {
    id: LicenseId,
    issue: Issue,
}

impl Commands {
    /// Issues the next chunk of a batch, or stops the batch and gives the rest of its hold back if its project was
    /// disabled. A batch that has ended stays as it is.
    ///
    /// # Errors
    /// [`Refusal::NotFound`] if there is no such batch.
    pub async fn issue_chunk(&self, context: &Context, batch_id: BatchId) -> Outcome<BatchAfter> {
        let unknown = || CommandError::Refused(Refusal::NotFound("batch"));
        let known = self.log.current::<LicenseBatch>(context.tenant_id, batch_id).await?;
        let (state, sequence) = known.ok_or_else(unknown)?;
        let request = state.request.clone().ok_or_else(unknown)?;
        let Some(next) = state.next_chunk() else {
            let value = BatchAfter { batch_id, batch: state, sequence };
            return Ok(crate::Done { value, position: *self.log.head().borrow(), replayed: false });
        };
        let licenses = prepare(self.log.clone(), context.tenant_id, batch_id, request.clone(), next.count).await?;
        let mut plan = Plan::new();
        let batch = plan.open::<LicenseBatch>(batch_id);
        let project = plan.open::<Project>(request.project_id);
        let quota = plan.open::<AgentQuota>(request.agent_id);
        self.log
            .execute(context, &plan, |unit| {
                if unit.get(project).disabled {
                    unit.decide(batch, LicenseBatchCommand::Stop(StopReason::ProjectDisabled))?;
                    let hold_id = HoldId::of_batch(batch_id);
                    if unit.get(quota).holds.contains_key(&hold_id) {
                        let journal_id = JournalId::derived(batch_id.0, "release");
                        unit.decide(quota, AgentQuotaCommand::Release { hold_id, journal_id })?;
                    }
                } else {
                    unit.decide(batch, LicenseBatchCommand::IssueChunk { chunk: next.chunk, commissions: vec![] })?;
                    if !next.amount.is_zero() {
                        unit.decide(quota, settle(batch_id, &request, next))?;
                    }
                    begin_all(unit, &licenses)?;
                }
                let (batch, sequence) = (unit.get(batch).clone(), unit.sequence(batch));
                Ok::<_, Refusal>(BatchAfter { batch_id, batch, sequence })
            })
            .await
    }
}

fn settle(batch_id: BatchId, request: &BatchRequest, next: NextChunk) -> AgentQuotaCommand {
    AgentQuotaCommand::Settle {
        hold_id: HoldId::of_batch(batch_id),
        journal_id: LicenseBatch::journal_of(batch_id, next.chunk),
        amount: next.amount,
        to: Destination::Sales { project_id: request.project_id, batch_id },
    }
}

/// Begins the licences in a unit.
pub(crate) fn begin_all(unit: &mut Unit, licenses: &[Prepared]) -> Result<(), Refusal> {
    for license in licenses {
        unit.begin::<License>(license.id, LicenseCommand::Issue(license.issue.clone()))?;
    }
    Ok(())
}

/// Makes keys for `count` licences, on a blocking thread: sealing a thousand keys takes milliseconds.
async fn prepare(
    log: EventLog,
    tenant: TenantId,
    batch_id: BatchId,
    request: BatchRequest,
    count: u32,
) -> Result<Vec<Prepared>, VaultError> {
    tokio::task::spawn_blocking(move || prepare_now(log.vault(), tenant, batch_id, &request, count))
        .await
        .map_err(|_| VaultError::Random)?
}

/// Like [`prepare`], here and now; for a few licences.
pub(crate) fn prepare_now(
    vault: &Vault,
    tenant: TenantId,
    batch_id: BatchId,
    request: &BatchRequest,
    count: u32,
) -> Result<Vec<Prepared>, VaultError> {
    let one = |_| {
        let (id, key) = (LicenseId(clock::new_id()), LicenseKey::generate()?);
        let issue = Issue {
            batch_id,
            project_id: request.project_id,
            plan_id: request.plan_id,
            agent_id: request.agent_id,
            terms: request.terms.clone(),
            key_hash: key_hash(vault, tenant, &key),
            key: vault.seal(tenant, &key_purpose(id), key.as_str().as_bytes())?,
        };
        Ok(Prepared { id, issue })
    };
    (0..count).map(one).collect()
}

/// The keyed hash by which a licence is found.
#[must_use]
pub fn key_hash(vault: &Vault, tenant: TenantId, key: &LicenseKey) -> String {
    vault.hash(tenant, "license-key", key.as_str())
}

/// What a sealed key is for.
#[must_use]
pub fn key_purpose(id: LicenseId) -> String {
    format!("license-key/{id}")
}
