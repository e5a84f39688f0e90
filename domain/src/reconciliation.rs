//! `Reconciliation`: one run that compares what we say with what follows from the log (internal) or with what a payment
//! provider says (external), and what came of it (rows Q7, Q8).
//!
//! A run is asked for, and ends once: completed, whatever it found, or abandoned. "Could not be completed" is a result of
//! its own and never a pass. Every difference also has a [`crate::case`], which outlives the run.
//!
//! How a run is written, for both kinds: `request`, then the comparison (which writes nothing to the log), then one `see`
//! per difference and one `vanish` per open case of the same kind and source that the run did not see, then `complete`
//! with the counts. A process that dies on the way leaves a requested run, which the next one takes up again: cases have
//! ids that follow from what they are about, so nothing is opened twice.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{AccountId, event_names, impl_aggregate};

/// The state of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reconciliation {
    /// What was asked for; `None` before.
    pub request: Option<RunRequest>,
    /// How it ended.
    pub end: RunEnd,
}

/// How a run ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunEnd {
    /// Not yet.
    #[default]
    Open,
    /// Everything was compared.
    Completed(RunOutcome),
    /// It could not be completed.
    Incomplete(IncompleteReason),
}

/// What is compared with the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunKind {
    /// The read models.
    Internal,
    /// A provider's bill.
    External,
}

impl RunKind {
    /// The kind's name in columns and answers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Internal => "internal",
            Self::External => "external",
        }
    }

    /// The kind of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Internal, Self::External].into_iter().find(|kind| kind.as_str() == name)
    }
}

/// What a run is asked with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRequest {
    /// What is compared.
    pub subject: RunSubject,
    /// Who asked; absent for what runs by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<AccountId>,
}

/// What is compared, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunSubject {
    /// The read models with the log.
    Internal {
        /// From the log's start, not from the last proved position.
        full: bool,
    },
    /// A provider's bill with our orders.
    External(BillRun),
}

impl RunSubject {
    /// Which kind it is.
    #[must_use]
    pub fn kind(&self) -> RunKind {
        match self {
            Self::Internal { .. } => RunKind::Internal,
            Self::External(_) => RunKind::External,
        }
    }
}

/// A bill and how it is compared; the same gives the same report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BillRun {
    /// The provider, as orders name it.
    pub provider: String,
    /// SHA-256 of the bill's bytes, in hexadecimal.
    pub bill_sha256: String,
    /// How the bill is read: the name of a known mapping, or the SHA-256 of one's text in hexadecimal.
    pub mapping: String,
    /// The first day that is compared, as `2026-11-24`; the bill's own first day if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The last day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// How far amounts may differ, in minor units.
    #[serde(default)]
    pub tolerance_minor_units: u64,
    /// How far days may differ.
    #[serde(default)]
    pub tolerance_days: u32,
    /// The names of the matching rules, in the order they are tried.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<String>,
}

macro_rules! classes {
    ($($(#[$doc:meta])* $name:ident = $text:literal),+ $(,)?) => {
        /// What kind of difference it is. The first ones are internal, the others external.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Class {
            $($(#[$doc])* $name),+
        }

        impl Class {
            /// Every class.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The class' name in columns and answers.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text),+ }
            }

            /// Whether something has to be explained.
            #[must_use]
            pub fn is_difference(self) -> bool {
                !matches!(self, Self::Matched | Self::NotDue)
            }

            /// The class of that name.
            #[must_use]
            pub fn parse(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|class| class.as_str() == name)
            }
        }
    };
}

classes! {
    /// The log says it and the read model does not have it.
    Missing = "missing",
    /// The read model has it and the log does not say it.
    Extra = "extra",
    /// The amounts differ.
    Amount = "amount",
    /// Another field differs: a status, a kind, an owner.
    State = "state",
    /// A hold that should have ended is open, or the other way.
    HoldWithoutEnd = "hold_without_end",
    /// Something stands at another place than it should.
    Order = "order",
    /// A balance is below zero.
    Negative = "negative",
    /// A rule of the log itself is broken.
    Rule = "rule",
    /// The log before the last proved position is not what it was.
    Rewritten = "rewritten",
    /// Both sides agree; counted and no difference.
    Matched = "matched",
    /// The bill has it and we do not.
    MissingHere = "missing_here",
    /// We have it and the bill does not.
    MissingThere = "missing_there",
    /// Both have it with another amount.
    DifferentAmount = "different_amount",
    /// Both have it in another state.
    DifferentState = "different_state",
    /// Paid twice, or twice in the bill.
    DuplicateThere = "duplicate_there",
    /// One payment booked on several orders.
    DuplicateHere = "duplicate_here",
    /// More than one counterpart fits.
    Ambiguous = "ambiguous",
    /// Outside the period, or no money moved on either side; counted and no difference.
    NotDue = "not_due",
}

/// What a completed run says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunOutcome {
    /// The position after which events were read; 0 for a full run.
    pub from_position: u64,
    /// The position up to which the run speaks.
    pub position: u64,
    /// How many things were compared.
    pub checked: u64,
    /// How many there are of each class; those without any are left out. A pass has no difference among them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub counts: BTreeMap<Class, u64>,
    /// SHA-256 of the replay's saved state at `position`, in hexadecimal: the next incremental run begins with no other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state_digest: Option<String>,
    /// The chained SHA-256 over all events up to `position`, in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_digest: Option<String>,
    /// SHA-256 of the report, in hexadecimal: the same input gives the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report_digest: Option<String>,
}

impl RunOutcome {
    /// How many differences there are.
    #[must_use]
    pub fn differences(&self) -> u64 {
        self.counts.iter().filter(|(class, _)| class.is_difference()).map(|(_, count)| count).sum()
    }
}

/// Why a run could not be completed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IncompleteReason {
    /// The log could not be read to its end.
    LogUnreadable,
    /// A read model is being made anew, or stands still.
    ReadModelBehind,
    /// The saved state of the last run is not what that run left.
    SnapshotAltered,
    /// The bill can't be read.
    InputUnreadable,
    /// It took too long.
    TimedOut,
    /// It was stopped on the way.
    Interrupted,
}

impl IncompleteReason {
    /// The reason's name in columns and answers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::LogUnreadable => "log_unreadable",
            Self::ReadModelBehind => "read_model_behind",
            Self::SnapshotAltered => "snapshot_altered",
            Self::InputUnreadable => "input_unreadable",
            Self::TimedOut => "timed_out",
            Self::Interrupted => "interrupted",
        }
    }
}

/// What can be asked of a run.
#[derive(Clone, Debug)]
pub enum ReconciliationCommand {
    /// Begins.
    Request(RunRequest),
    /// Ends; everything was compared.
    Complete(RunOutcome),
    /// Ends without a result.
    Abandon {
        /// Why.
        reason: IncompleteReason,
        /// In words, without anybody's data.
        detail: Option<String>,
    },
}

/// What happened to a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReconciliationEvent {
    /// It was asked for.
    ReconciliationRequested(RunRequest),
    /// Everything was compared.
    ReconciliationCompleted(RunOutcome),
    /// It could not be completed.
    ReconciliationAbandoned {
        /// Why.
        reason: IncompleteReason,
        /// In words.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        detail: Option<String>,
    },
}

event_names!(ReconciliationEvent { ReconciliationRequested, ReconciliationCompleted, ReconciliationAbandoned });

/// Why a command on a run is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReconciliationError {
    /// There is no such run.
    #[error("there is no such reconciliation")]
    Unknown,
    /// The id is taken by another request.
    #[error("the reconciliation exists already with another content")]
    Exists,
    /// It ended before, otherwise.
    #[error("the reconciliation has ended")]
    Ended,
    /// The positions are not in order.
    #[error("a run can't end before it begins")]
    Positions,
}

impl_aggregate!(Reconciliation, "Reconciliation", ReconciliationCommand, ReconciliationEvent, ReconciliationError);

impl Reconciliation {
    fn decisions(&self, command: ReconciliationCommand) -> Result<Vec<ReconciliationEvent>, ReconciliationError> {
        let Some(request) = &self.request else {
            return match command {
                ReconciliationCommand::Request(request) => {
                    Ok(vec![ReconciliationEvent::ReconciliationRequested(request)])
                }
                _ => Err(ReconciliationError::Unknown),
            };
        };
        match (command, &self.end) {
            (ReconciliationCommand::Request(same), _) if same == *request => Ok(vec![]),
            (ReconciliationCommand::Request(_), _) => Err(ReconciliationError::Exists),
            (ReconciliationCommand::Complete(outcome), RunEnd::Open) => {
                if outcome.from_position > outcome.position {
                    return Err(ReconciliationError::Positions);
                }
                Ok(vec![ReconciliationEvent::ReconciliationCompleted(outcome)])
            }
            (ReconciliationCommand::Complete(same), RunEnd::Completed(known)) if same == *known => Ok(vec![]),
            (ReconciliationCommand::Abandon { reason, detail }, RunEnd::Open) => {
                Ok(vec![ReconciliationEvent::ReconciliationAbandoned { reason, detail }])
            }
            (ReconciliationCommand::Abandon { reason, .. }, RunEnd::Incomplete(known)) if reason == *known => {
                Ok(vec![])
            }
            (ReconciliationCommand::Complete(_) | ReconciliationCommand::Abandon { .. }, _) => {
                Err(ReconciliationError::Ended)
            }
        }
    }

    fn evolve(&mut self, event: ReconciliationEvent) {
        match event {
            ReconciliationEvent::ReconciliationRequested(request) => self.request = Some(request),
            ReconciliationEvent::ReconciliationCompleted(outcome) => self.end = RunEnd::Completed(outcome),
            ReconciliationEvent::ReconciliationAbandoned { reason, .. } => self.end = RunEnd::Incomplete(reason),
        }
    }
}

#[cfg(test)]
mod tests {
    use cqrs_es::test::TestFramework;

    use super::*;

    fn request() -> RunRequest {
        RunRequest { subject: RunSubject::Internal { full: true }, by: None }
    }

    fn outcome(position: u64) -> RunOutcome {
        RunOutcome { position, checked: 3, ..RunOutcome::default() }
    }

    fn given(events: Vec<ReconciliationEvent>) -> cqrs_es::test::AggregateTestExecutor<Reconciliation> {
        TestFramework::<Reconciliation>::with(()).given(events)
    }

    #[test]
    fn a_run_ends_once() {
        let ended = || {
            vec![
                ReconciliationEvent::ReconciliationRequested(request()),
                ReconciliationEvent::ReconciliationCompleted(outcome(7)),
            ]
        };
        given(ended()).when(ReconciliationCommand::Complete(outcome(7))).then_expect_events(vec![]);
        given(ended()).when(ReconciliationCommand::Complete(outcome(8))).then_expect_error(ReconciliationError::Ended);
        let reason = IncompleteReason::TimedOut;
        given(ended())
            .when(ReconciliationCommand::Abandon { reason, detail: None })
            .then_expect_error(ReconciliationError::Ended);
    }

    #[test]
    fn a_run_that_could_not_be_completed_stays_so() {
        let reason = IncompleteReason::LogUnreadable;
        given(vec![
            ReconciliationEvent::ReconciliationRequested(request()),
            ReconciliationEvent::ReconciliationAbandoned { reason, detail: None },
        ])
        .when(ReconciliationCommand::Complete(outcome(7)))
        .then_expect_error(ReconciliationError::Ended);
    }

    #[test]
    fn matched_is_no_difference() {
        let counts = BTreeMap::from([(Class::Matched, 10), (Class::Amount, 2), (Class::Extra, 1)]);
        assert_eq!(RunOutcome { counts, ..outcome(1) }.differences(), 3);
    }

    #[test]
    fn names_are_those_of_the_events() {
        for class in Class::ALL {
            assert_eq!(serde_json::to_value(class).unwrap(), class.as_str());
            assert_eq!(Class::parse(class.as_str()), Some(*class));
        }
    }
}
