//! The cache of aggregates: what was decided last, durable or not yet, behind one lock per aggregate.
//!
//! The cache makes decisions fast and never makes them true: the database checks each stream's sequence. A slot whose
//! poison is set holds a state that was not made durable; it is thrown away by whoever opens it next.

use std::sync::Arc;

use futures::FutureExt as _;
use moka::ops::compute::Op;
use moka::sync::Cache;
use quotary_domain::account::Account;
use quotary_domain::agent_quota::AgentQuota;
use quotary_domain::case::Case;
use quotary_domain::license::License;
use quotary_domain::license_batch::LicenseBatch;
use quotary_domain::order::Order;
use quotary_domain::project::Project;
use quotary_domain::proposal::Proposal;
use quotary_domain::reconciliation::Reconciliation;
use quotary_domain::reversal::Reversal;
use quotary_domain::risk::RiskPolicy;
use quotary_domain::tenant::Tenant;
use quotary_domain::transfer::Transfer;
use quotary_domain::withdrawal::Withdrawal;
use quotary_domain::{Aggregate, TenantId};
use sqlx::PgPool;
use tokio::sync::{Mutex, OwnedMutexGuard};
use uuid::Uuid;

use crate::log::append::Poison;
use crate::log::committer::Ticket;
use crate::log::stream::{LoadError, Loaded, load};

/// The last decided state of an aggregate.
#[derive(Debug)]
pub struct Held<A> {
    /// The state; shared with those who only read it.
    pub aggregate: Arc<A>,
    /// The sequence of its last event.
    pub sequence: u64,
    /// Whose it is; `None` before its first event.
    pub tenant_id: Option<TenantId>,
    /// The outcome of the request that made the state; `None` when it is known to be durable.
    pub pending: Option<Ticket>,
}

/// An aggregate's place in the cache.
#[derive(Debug)]
pub struct Slot<A> {
    poison: Poison,
    held: Arc<Mutex<Option<Held<A>>>>,
}

impl<A> Default for Slot<A> {
    fn default() -> Self {
        Self { poison: Poison::default(), held: Arc::default() }
    }
}

/// The slots of one aggregate type.
pub type Slots<A> = Cache<Uuid, Arc<Slot<A>>>;

/// The slots of all aggregate types.
#[derive(Clone, Debug)]
pub struct Caches {
    tenants: Slots<Tenant>,
    accounts: Slots<Account>,
    projects: Slots<Project>,
    quotas: Slots<AgentQuota>,
    batches: Slots<LicenseBatch>,
    licenses: Slots<License>,
    withdrawals: Slots<Withdrawal>,
    transfers: Slots<Transfer>,
    risk_policies: Slots<RiskPolicy>,
    reversals: Slots<Reversal>,
    orders: Slots<Order>,
    reconciliations: Slots<Reconciliation>,
    cases: Slots<Case>,
    proposals: Slots<Proposal>,
}

impl Caches {
    /// Empty caches that keep up to `capacity` aggregates of each of the numerous types.
    #[must_use]
    pub fn new(capacity: u64) -> Self {
        let small = (capacity / 10).max(1);
        Self {
            tenants: Cache::new(small),
            accounts: Cache::new(capacity),
            projects: Cache::new(small),
            quotas: Cache::new(capacity),
            batches: Cache::new(small),
            licenses: Cache::new(capacity),
            withdrawals: Cache::new(small),
            transfers: Cache::new(small),
            risk_policies: Cache::new(small),
            reversals: Cache::new(small),
            orders: Cache::new(small),
            reconciliations: Cache::new(small),
            cases: Cache::new(small),
            proposals: Cache::new(small),
        }
    }
}

/// An aggregate that has a cache.
pub trait Stored: Aggregate {
    /// Its slots.
    fn slots(caches: &Caches) -> &Slots<Self>;
}

macro_rules! stored {
    ($($aggregate:ident: $field:ident),+ $(,)?) => {$(
        impl Stored for $aggregate {
            fn slots(caches: &Caches) -> &Slots<Self> {
                &caches.$field
            }
        }
    )+};
}

stored!(
    Tenant: tenants,
    Account: accounts,
    Project: projects,
    AgentQuota: quotas,
    LicenseBatch: batches,
    License: licenses,
    Withdrawal: withdrawals,
    Transfer: transfers,
    RiskPolicy: risk_policies,
    Reversal: reversals,
    Order: orders,
    Reconciliation: reconciliations,
    Case: cases,
    Proposal: proposals,
);

/// A locked aggregate.
#[derive(Debug)]
pub struct Locked<A> {
    /// The state; always there.
    pub held: OwnedMutexGuard<Option<Held<A>>>,
    /// Its slot's mark.
    pub poison: Poison,
}

/// Locks an aggregate, reading it from the log if it is not cached. One that is `presumed_new` (its id was just made) is
/// not read: if it does exist, the append is refused and the next attempt reads it.
///
/// # Errors
/// [`LoadError`] if it has to be read and can't be.
pub async fn lock<A: Stored>(
    caches: &Caches,
    pool: &PgPool,
    id: Uuid,
    presumed_new: bool,
) -> Result<Locked<A>, LoadError> {
    loop {
        let slot = A::slots(caches).get_with(id, Arc::default);
        let mut held = slot.held.clone().lock_owned().await;
        if slot.poison.is_set() {
            // Only this one: another task may have put a fresh slot in its place, with decisions in it already. If each
            // of many waiting tasks threw the last one's slot away, all of them would read the log and all but one
            // would be refused, again and again.
            A::slots(caches).entry(id).and_compute_with(|entry| match entry {
                Some(entry) if Arc::ptr_eq(entry.value(), &slot) => Op::Remove,
                _ => Op::Nop,
            });
            continue;
        }
        match held.as_mut() {
            None if presumed_new => {
                *held = Some(Held { aggregate: Arc::default(), sequence: 0, tenant_id: None, pending: None });
            }
            None => {
                let Loaded { aggregate, sequence, tenant_id } = load::<A>(pool, id).await?;
                *held = Some(Held { aggregate: Arc::new(aggregate), sequence, tenant_id, pending: None });
            }
            Some(known) => {
                if known.pending.as_ref().is_some_and(|ticket| matches!(ticket.peek(), Some(Ok(Ok(_))))) {
                    known.pending = None;
                }
            }
        }
        return Ok(Locked { held, poison: slot.poison.clone() });
    }
}

/// Waits until nothing is pending on a ticket that was cloned from a slot.
pub(crate) async fn settled(ticket: Ticket) -> bool {
    matches!(ticket.map(Result::ok).await, Some(Ok(_)))
}
