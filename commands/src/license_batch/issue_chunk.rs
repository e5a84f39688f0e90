//! Issues the next chunk of a batch: payment, commissions, licences and progress in one atomic step (rows L1, L2, Q11).

use quotary_domain::account::Account;
use quotary_domain::agent_quota::{AgentQuota, AgentQuotaCommand, Commission, Destination};
use quotary_domain::commission::{self, Part};
use quotary_domain::license::{Issue, License, LicenseCommand};
use quotary_domain::license_batch::{BatchRequest, Earned, LicenseBatch, LicenseBatchCommand, NextChunk, StopReason};
use quotary_domain::project::Project;
use quotary_domain::{AccountId, BatchId, HoldId, JournalId, LicenseId, Quota, TenantId};

use super::request::BatchAfter;
use crate::clock;
use crate::context::Context;
use crate::event_log::{CommandError, EventLog};
use crate::license_key::LicenseKey;
use crate::refusal::Refusal;
use crate::unit::{Handle, Plan, Unit};
use crate::use_case::{Commands, Outcome};
use crate::vault::{Vault, VaultError};

/// How often the quotas to open are chosen anew because the rates of commissions have changed.
const MAX_PLANS: usize = 4;

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
    /// [`Refusal::NotFound`] if there is no such batch, [`CommandError::Contention`] if the rates of commissions changed
    /// every time.
    pub async fn issue_chunk(&self, context: &Context, batch_id: BatchId) -> Outcome<BatchAfter> {
        let unknown = || CommandError::Refused(Refusal::NotFound("batch"));
        let known = self.log.current::<LicenseBatch>(context.tenant_id, batch_id).await?;
        let (state, sequence) = known.ok_or_else(unknown)?;
        let request = state.request.clone().ok_or_else(unknown)?;
        let Some(next) = state.next_chunk() else {
            let value = BatchAfter { batch_id, batch: state, sequence };
            return Ok(crate::Done { value, position: *self.log.head().borrow(), replayed: false });
        };
        let licenses = prepare(self.log.clone(), context, batch_id, request.clone(), next.count).await?;
        for _ in 0..MAX_PLANS {
            let mut plan = Plan::new();
            let batch = plan.open::<LicenseBatch>(batch_id);
            let project = plan.open::<Project>(request.project_id);
            let quota = plan.open::<AgentQuota>(request.agent_id);
            let earners = self.earners(context.tenant_id, &request, next, &mut plan).await?;
            let done = self
                .log
                .execute(context, &plan, |unit| {
                    if unit.get(project).disabled {
                        stop(unit, batch, quota, batch_id, StopReason::ProjectDisabled)?;
                    } else {
                        let before = unit.get(batch).paid;
                        let Some(earned) = earners.earn(unit, before, next.amount) else { return Ok(None) };
                        let commissions = earned.iter().map(|(earned, ..)| *earned).collect();
                        unit.decide(batch, LicenseBatchCommand::IssueChunk { chunk: next.chunk, commissions })?;
                        if !next.amount.is_zero() {
                            unit.decide(quota, settle(batch_id, &request, next))?;
                        }
                        for (Earned { amount, .. }, level, quota) in earned {
                            let commission = Commission {
                                journal_id: LicenseBatch::journal_of(batch_id, next.chunk),
                                amount,
                                project_id: request.project_id,
                                batch_id,
                                seller: request.agent_id,
                                level,
                            };
                            unit.decide(quota, AgentQuotaCommand::EarnCommission(commission))?;
                        }
                        begin_all(unit, &licenses)?;
                    }
                    let (batch, sequence) = (unit.get(batch).clone(), unit.sequence(batch));
                    Ok::<_, Refusal>(Some(BatchAfter { batch_id, batch, sequence }))
                })
                .await?;
            let crate::Done { value, position, replayed } = done;
            if let Some(value) = value {
                return Ok(crate::Done { value, position, replayed });
            }
        }
        Err(CommandError::Contention)
    }

    /// Opens the accounts above the seller, and the quotas of those that have rates as far as this process knows.
    async fn earners(
        &self,
        tenant_id: TenantId,
        request: &BatchRequest,
        next: NextChunk,
        plan: &mut Plan,
    ) -> Result<Earners, CommandError<Refusal>> {
        let mut earners = Earners(Vec::new());
        if next.amount.is_zero() {
            return Ok(earners);
        }
        let seller = self.log.glance::<Account>(tenant_id, request.agent_id).await?;
        // The tree never changes; the nearest comes first.
        for id in seller.and_then(|seller| seller.profile).into_iter().flat_map(|seller| seller.ancestors).rev() {
            let known = self.log.glance::<Account>(tenant_id, id).await?;
            let has_rates = known.is_some_and(|account| !account.commission_rates.is_empty());
            let quota = has_rates.then(|| plan.open::<AgentQuota>(id));
            earners.0.push(Earner { id, account: plan.open::<Account>(id), quota });
        }
        Ok(earners)
    }
}

/// The accounts above a seller within a plan, the nearest first.
struct Earners(Vec<Earner>);

struct Earner {
    id: AccountId,
    account: Handle<Account>,
    quota: Option<Handle<AgentQuota>>,
}

impl Earners {
    /// What each earns by a payment, at which level, and where it goes; `None` if the quota of one was not opened. One
    /// whose quota has no room earns nothing: its fortune must not keep the seller from selling.
    fn earn(&self, unit: &Unit, before: Quota, amount: Quota) -> Option<Vec<(Earned, u8, Handle<AgentQuota>)>> {
        let accounts = self.0.iter().map(|earner| unit.get(earner.account));
        let mut earned = Vec::new();
        for (earner, part) in self.0.iter().zip(commission::parts(accounts, before, amount)) {
            let Some(Part { level, amount }) = part else { continue };
            let quota = earner.quota?;
            if unit.get(quota).has_room(amount) {
                earned.push((Earned { account_id: earner.id, amount }, level, quota));
            }
        }
        Some(earned)
    }
}

/// Stops a batch, and gives back what is held for the rest of it.
pub(super) fn stop(
    unit: &mut Unit,
    batch: Handle<LicenseBatch>,
    quota: Handle<AgentQuota>,
    batch_id: BatchId,
    reason: StopReason,
) -> Result<(), Refusal> {
    unit.decide(batch, LicenseBatchCommand::Stop(reason))?;
    let hold_id = HoldId::of_batch(batch_id);
    if unit.get(quota).holds.contains_key(&hold_id) {
        let journal_id = JournalId::derived(batch_id.0, "release");
        unit.decide(quota, AgentQuotaCommand::Release { hold_id, journal_id })?;
    }
    Ok(())
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
    context: &Context,
    batch_id: BatchId,
    request: BatchRequest,
    count: u32,
) -> Result<Vec<Prepared>, VaultError> {
    let context = context.clone();
    tokio::task::spawn_blocking(move || prepare_now(log.vault(), &context, batch_id, &request, count))
        .await
        .map_err(|_| VaultError::Random)?
}

/// Like [`prepare`], here and now; for a few licences.
pub(crate) fn prepare_now(
    vault: &Vault,
    context: &Context,
    batch_id: BatchId,
    request: &BatchRequest,
    count: u32,
) -> Result<Vec<Prepared>, VaultError> {
    let tenant = context.tenant_id;
    let expires_at = request.terms.end_at_issue(context.occurred_at.unwrap_or(context.now));
    let one = |_| {
        let (id, key) = (LicenseId(clock::new_id()), LicenseKey::generate()?);
        let issue = Issue {
            batch_id,
            project_id: request.project_id,
            plan_id: request.plan_id,
            plan_version: request.plan_version,
            agent_id: request.agent_id,
            terms: request.terms.clone(),
            expires_at,
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
