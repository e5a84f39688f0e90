//! Proposals as answers show them.

use chrono::{DateTime, Utc};
use quotary_commands::Done;
use quotary_commands::proposal::propose::{ProposalAfter, Taken};
use quotary_domain::proposal::{Act, Proposed};
use quotary_domain::{AccountId, ProposalId};
use quotary_projections::proposals::ProposalView;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::reply::Reply;

/// What waits for a second super admin, or was decided on.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Proposal)]
pub struct ProposalAnswer {
    /// Its id.
    pub proposal_id: Uuid,
    /// `open`, `confirmed` or `declined`. An open one can be confirmed until its `expires_at`.
    pub status: String,
    /// What is to be done: `reverse_journal`, `refund_batch` or `refund_order`.
    pub act: &'static str,
    /// The journal, batch or order that it is about.
    pub subject_id: Uuid,
    /// Why, as far as it was said.
    pub reason: Option<String>,
    /// How much quota it moves, in minor units, as of the proposal.
    pub amount: i64,
    /// What one person might move alone then, in minor units.
    pub limit: i64,
    /// Who proposed it.
    pub asked_by: Uuid,
    /// Until when it can be confirmed; `null` if for good.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was proposed; absent in answers to commands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proposed_at: Option<DateTime<Utc>>,
    /// Who confirmed or declined it; absent in answers to commands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decided_by: Option<Uuid>,
    /// When; absent in answers to commands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decided_at: Option<DateTime<Utc>>,
    /// Why it was declined; absent in answers to commands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub declined_because: Option<String>,
}

/// What waits instead of being done.
#[derive(Debug, Serialize, ToSchema)]
pub struct Waiting {
    /// The proposal. Nothing has moved yet.
    pub proposal: ProposalAnswer,
}

/// What was done, or waits for a second super admin.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
#[expect(clippy::large_enum_variant, reason = "one at a time, and only until it is written out")]
pub enum DoneOrWaiting<T> {
    /// It was done.
    Done(T),
    /// It waits.
    Waiting(Waiting),
}

/// The answer to a command that may need a second person: 202 with what waits, or that to what was done.
pub fn reply<V, T>(taken: Done<Taken<V>>, done: impl FnOnce(Done<V>) -> Reply<T>) -> Reply<DoneOrWaiting<T>> {
    let Done { value, position, replayed } = taken;
    match value {
        Taken::Proposed(proposed) => {
            let location = format!("/v1/proposals/{}", proposed.proposal_id);
            let waiting = |proposed: ProposalAfter| DoneOrWaiting::Waiting(proposed.into());
            Reply::new(Done { value: proposed, position, replayed }, waiting).accepted(location)
        }
        Taken::Done(value) => done(Done { value, position, replayed }).map(DoneOrWaiting::Done),
    }
}

impl From<ProposalAfter> for Waiting {
    fn from(after: ProposalAfter) -> Self {
        Self { proposal: after.into() }
    }
}

impl ProposalAnswer {
    fn new(id: ProposalId, status: &str, proposed: Proposed) -> Self {
        let act = proposed.act.name();
        let (subject_id, reason) = match proposed.act {
            Act::ReverseJournal { reverses, reason, .. } => (reverses.0, Some(reason)),
            Act::RefundBatch { batch_id } => (batch_id.0, None),
            Act::RefundOrder { order_id, refund, .. } => (order_id.0, refund.reason),
        };
        Self {
            proposal_id: id.0,
            status: status.to_owned(),
            act,
            subject_id,
            reason,
            amount: proposed.amount.minor_units(),
            limit: proposed.limit.minor_units(),
            asked_by: proposed.asked_by.0,
            expires_at: proposed.expires_at,
            proposed_at: None,
            decided_by: None,
            decided_at: None,
            declined_because: None,
        }
    }
}

impl From<ProposalAfter> for ProposalAnswer {
    fn from(after: ProposalAfter) -> Self {
        Self::new(after.proposal_id, after.status.as_str(), after.proposed)
    }
}

impl From<ProposalView> for ProposalAnswer {
    fn from(view: ProposalView) -> Self {
        Self {
            proposed_at: Some(view.proposed_at),
            decided_by: view.decided_by.map(|AccountId(id)| id),
            decided_at: view.decided_at,
            declined_because: view.reason,
            ..Self::new(view.id, &view.status, view.proposed)
        }
    }
}
