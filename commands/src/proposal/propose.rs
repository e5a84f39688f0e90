//! Proposes what one person may not do alone. The use cases that take something back call it in their own step, so that
//! the rule is read where the state is.

use chrono::{DateTime, Utc};
use quotary_domain::proposal::{Act, Proposal, ProposalCommand, ProposalStatus, Proposed};
use quotary_domain::risk::{RiskPolicy, RiskReason};
use quotary_domain::{AccountId, ProposalId, Quota};
use serde::{Deserialize, Serialize};

use crate::refusal::Refusal;
use crate::unit::{Seen, Unit};

/// A proposal after a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProposalAfter {
    /// The proposal.
    pub proposal_id: ProposalId,
    /// What was proposed.
    pub proposed: Proposed,
    /// Where it stands.
    pub status: ProposalStatus,
    /// The sequence of its last event.
    pub sequence: u64,
}

/// What became of a command that may need a second person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Taken<T> {
    /// It waits for a second person; nothing moved.
    Proposed(ProposalAfter),
    /// It was done.
    Done(T),
}

impl<T> Taken<T> {
    /// What was done; `None` while it waits.
    #[must_use]
    pub fn done(self) -> Option<T> {
        match self {
            Self::Done(done) => Some(done),
            Self::Proposed(_) => None,
        }
    }

    /// What waits; `None` if it was done.
    #[must_use]
    pub fn proposed(self) -> Option<ProposalAfter> {
        match self {
            Self::Proposed(proposed) => Some(proposed),
            Self::Done(_) => None,
        }
    }
}

/// Who wants to do what alone, and the rules about it.
#[derive(Clone, Copy)]
pub(crate) struct Alone {
    pub(crate) id: ProposalId,
    pub(crate) policy: Seen<RiskPolicy>,
    pub(crate) by: AccountId,
    pub(crate) now: DateTime<Utc>,
}

impl Alone {
    /// Proposes the act if it moves more than one person may move alone; `None` if it may be done at once.
    pub(crate) fn propose(
        &self,
        unit: &mut Unit,
        amount: Quota,
        act: impl FnOnce() -> Act,
    ) -> Result<Option<ProposalAfter>, Refusal> {
        let rules = &unit.see(self.policy).rules;
        let Some(RiskReason::SecondPerson { limit }) = rules.assess_alone(amount).into_iter().next() else {
            return Ok(None);
        };
        let expires_at = rules.review_ends(self.now);
        let proposed = Proposed { act: act(), amount, limit, asked_by: self.by, expires_at };
        unit.begin::<Proposal>(self.id, ProposalCommand::Propose(proposed.clone()))?;
        Ok(Some(ProposalAfter { proposal_id: self.id, proposed, status: ProposalStatus::Open, sequence: 1 }))
    }
}
