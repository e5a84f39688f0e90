//! Folds the log up to a position into the state of every agent's quota, as it was then.

use std::collections::BTreeMap;

use cqrs_es::Aggregate as _;
use quotary_domain::agent_quota::AgentQuota;
use quotary_domain::{Event, TenantId};
use quotary_projections::log_reader::LogReader;
use serde::Serialize;
use uuid::Uuid;

use super::export::walk;
use super::verify::VerifyError;

/// An agent's quota at a position.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Standing {
    /// Whose it is.
    pub tenant_id: TenantId,
    /// The agent.
    pub agent_id: Uuid,
    /// What could be spent.
    pub available: i64,
    /// What was reserved.
    pub held: i64,
}

/// The state of every agent's quota at `until`, or at the log's end.
///
/// # Errors
/// [`VerifyError`] if the log can't be read or an event has no meaning.
pub async fn balances(log: &LogReader, until: Option<u64>) -> Result<(u64, Vec<Standing>), VerifyError> {
    let mut quotas: BTreeMap<(TenantId, Uuid), AgentQuota> = BTreeMap::new();
    let last = walk(log, until, |event| {
        if let Event::AgentQuota(change) = event.decode()? {
            quotas.entry((event.tenant_id, event.aggregate_id)).or_default().apply(change);
        }
        Ok::<_, VerifyError>(())
    })
    .await?;
    let standing = |((tenant_id, agent_id), quota): ((TenantId, Uuid), AgentQuota)| Standing {
        tenant_id,
        agent_id,
        available: quota.available.minor_units(),
        held: quota.held.minor_units(),
    };
    Ok((last, quotas.into_iter().map(standing).collect()))
}
