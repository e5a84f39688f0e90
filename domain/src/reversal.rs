//! `Reversal`: a journal that was taken back by a new one (row C5). Its id is that of the journal it reverses, so there is
//! one at most for each.
//!
//! The new journal's postings stand in the quotas concerned, in the same step. A reversal can't be reversed.

use serde::{Deserialize, Serialize};

use crate::{AccountId, JournalId, Quota, event_names, impl_aggregate};

/// The state of a reversal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reversal {
    /// What was done; `None` before.
    pub made: Option<ReversalMade>,
}

/// What takes a journal back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReversalMade {
    /// The new journal.
    pub journal_id: JournalId,
    /// The journal that it takes back.
    pub reverses: JournalId,
    /// How much, at most what the journal had moved.
    pub amount: Quota,
    /// Why.
    pub reason: String,
    /// Who decided.
    pub by: AccountId,
}

/// What can be asked of a reversal.
#[derive(Clone, Debug)]
pub enum ReversalCommand {
    /// Takes the journal back.
    Make {
        /// What to do.
        made: ReversalMade,
        /// What the journal had moved.
        original: Quota,
    },
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReversalEvent {
    /// The journal was taken back.
    JournalReversed(ReversalMade),
}

event_names!(ReversalEvent { JournalReversed });

/// Why a reversal is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReversalError {
    /// The journal was reversed before.
    #[error("the journal was reversed before, by {0}")]
    AlreadyReversed(JournalId),
    /// More than the journal had moved, or nothing.
    #[error("from 1 to {0} can be taken back")]
    InvalidAmount(Quota),
}

impl_aggregate!(Reversal, "Reversal", ReversalCommand, ReversalEvent, ReversalError);

impl Reversal {
    fn decisions(&self, command: ReversalCommand) -> Result<Vec<ReversalEvent>, ReversalError> {
        let ReversalCommand::Make { made, original } = command;
        match &self.made {
            Some(known) if *known == made => Ok(vec![]),
            Some(known) => Err(ReversalError::AlreadyReversed(known.journal_id)),
            None if made.amount.is_zero() || made.amount > original => Err(ReversalError::InvalidAmount(original)),
            None => Ok(vec![ReversalEvent::JournalReversed(made)]),
        }
    }

    fn evolve(&mut self, event: ReversalEvent) {
        let ReversalEvent::JournalReversed(made) = event;
        self.made = Some(made);
    }
}

#[cfg(test)]
mod tests {
    use cqrs_es::test::TestFramework;
    use uuid::Uuid;

    use super::*;

    fn made(journal: u128, amount: i64) -> ReversalMade {
        ReversalMade {
            journal_id: JournalId(Uuid::from_u128(journal)),
            reverses: JournalId(Uuid::from_u128(1)),
            amount: Quota::new(amount).unwrap(),
            reason: "typed twice".into(),
            by: AccountId(Uuid::from_u128(7)),
        }
    }

    fn make(journal: u128, amount: i64) -> ReversalCommand {
        ReversalCommand::Make { made: made(journal, amount), original: Quota::new(100).unwrap() }
    }

    #[test]
    fn a_journal_is_reversed_once() {
        let given = || TestFramework::<Reversal>::with(()).given(vec![ReversalEvent::JournalReversed(made(2, 60))]);
        given().when(make(2, 60)).then_expect_events(vec![]);
        given().when(make(3, 40)).then_expect_error(ReversalError::AlreadyReversed(JournalId(Uuid::from_u128(2))));
    }

    #[test]
    fn never_more_than_the_original_is_taken_back() {
        for amount in [0, 101] {
            TestFramework::<Reversal>::with(())
                .given_no_previous_events()
                .when(make(2, amount))
                .then_expect_error(ReversalError::InvalidAmount(Quota::new(100).unwrap()));
        }
    }
}
