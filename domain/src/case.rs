//! `Case`: a difference that a reconciliation found, from its first sighting until somebody explained it (rows Q7, Q8).
//!
//! Its id follows from what it is about ([`crate::CaseId::of`]), so a later run meets the same case: it stays open with its
//! age, changes, vanishes when it is not seen any more, or opens again. A case never acts by itself: what a resolution does
//! to the ledger is done by ordinary commands, whose result the resolution names.

use serde::{Deserialize, Serialize};

use crate::reconciliation::{Class, RunKind};
use crate::{AccountId, ReconciliationId, event_names, impl_aggregate};

/// The most characters of a note or an explanation.
pub const MAX_TEXT: usize = 2_000;
/// The most notes of a case.
pub const MAX_NOTES: u32 = 1_000;

/// The state of a case.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Case {
    /// What it is about; `None` before.
    pub subject: Option<Subject>,
    /// What was seen last.
    pub seen: Option<Sighting>,
    /// Where it stands.
    pub status: CaseStatus,
    /// How many notes it has.
    pub notes: u32,
}

/// What a case is about; its id follows from it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// Which kind of run finds it.
    pub kind: RunKind,
    /// Where it was found: a table of ours, or a provider.
    pub source: String,
    /// What kind of difference it is.
    pub class: Class,
    /// Which row, order or line.
    pub key: String,
}

/// What a run saw.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sighting {
    /// The run.
    pub run_id: ReconciliationId,
    /// What we say; for internal runs, what the log says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ours: Option<String>,
    /// What the other side says; for internal runs, the read model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub theirs: Option<String>,
    /// By how much the sides differ in minor units, ours less theirs, where that has a meaning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<i64>,
}

impl Sighting {
    /// Whether another run saw the same.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        (&self.ours, &self.theirs, self.amount) == (&other.ours, &other.theirs, other.amount)
    }
}

/// Where a case stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CaseStatus {
    /// Waits for an explanation.
    #[default]
    Open,
    /// Somebody explained it.
    Resolved,
    /// A later run did not see it any more.
    Vanished,
}

impl CaseStatus {
    /// The status' name in columns and answers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Resolved => "resolved",
            Self::Vanished => "vanished",
        }
    }

    /// The status of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Open, Self::Resolved, Self::Vanished].into_iter().find(|status| status.as_str() == name)
    }
}

/// How a case was resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resolution {
    /// It is as it should be; the explanation says why.
    Explained,
    /// Our side was corrected by a command; the reference names its result.
    Corrected,
    /// The other side was asked to correct it, or did.
    Returned,
    /// It is accepted as a loss or gain.
    WrittenOff,
}

impl Resolution {
    /// The resolution's name in columns and answers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Explained => "explained",
            Self::Corrected => "corrected",
            Self::Returned => "returned",
            Self::WrittenOff => "written_off",
        }
    }
}

/// What can be asked of a case.
#[derive(Clone, Debug)]
pub enum CaseCommand {
    /// A run sees it: opens it, changes it, opens it again, or finds it as it was.
    See {
        /// What it is about.
        subject: Subject,
        /// What the run saw.
        seen: Sighting,
    },
    /// A run of its kind and source did not see it; nothing happens unless it is open.
    Vanish {
        /// The run.
        run_id: ReconciliationId,
    },
    /// Somebody says something about it.
    Note {
        /// Who.
        by: AccountId,
        /// What.
        note: String,
    },
    /// Somebody explains it.
    Resolve {
        /// Who.
        by: AccountId,
        /// How it was resolved.
        resolution: Resolution,
        /// Why.
        explanation: String,
        /// What a command did about it: a journal, an order, a case number of the provider.
        reference: Option<String>,
    },
}

/// What happened to a case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CaseEvent {
    /// A difference was seen for the first time.
    CaseOpened {
        /// What it is about.
        subject: Subject,
        /// What was seen.
        seen: Sighting,
    },
    /// A later run saw something else of it.
    CaseChanged(Sighting),
    /// Somebody said something about it.
    CaseNoted {
        /// Who.
        by: AccountId,
        /// What.
        note: String,
    },
    /// Somebody explained it.
    CaseResolved {
        /// Who.
        by: AccountId,
        /// How it was resolved.
        resolution: Resolution,
        /// Why.
        explanation: String,
        /// What a command did about it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reference: Option<String>,
    },
    /// A later run did not see it any more.
    CaseVanished {
        /// The run.
        run_id: ReconciliationId,
    },
    /// A later run saw it again, or otherwise than it was explained.
    CaseReopened(Sighting),
}

event_names!(CaseEvent { CaseOpened, CaseChanged, CaseNoted, CaseResolved, CaseVanished, CaseReopened });

/// Why a command on a case is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CaseError {
    /// There is no such case.
    #[error("there is no such case")]
    Unknown,
    /// The id is that of another subject.
    #[error("the case is about something else")]
    Other,
    /// It is not open.
    #[error("the case is {}", .0.as_str())]
    NotOpen(CaseStatus),
    /// A text is empty or too long, or a resolution lacks what it needs.
    #[error("{detail}")]
    Invalid {
        /// Which field.
        field: &'static str,
        /// Why.
        detail: &'static str,
    },
    /// [`MAX_NOTES`] are there.
    #[error("the case has {MAX_NOTES} notes already")]
    TooManyNotes,
}

impl_aggregate!(Case, "Case", CaseCommand, CaseEvent, CaseError);

impl Case {
    fn decisions(&self, command: CaseCommand) -> Result<Vec<CaseEvent>, CaseError> {
        let (Some(known), Some(last)) = (&self.subject, &self.seen) else {
            return match command {
                CaseCommand::See { subject, seen } => Ok(vec![CaseEvent::CaseOpened { subject, seen }]),
                _ => Err(CaseError::Unknown),
            };
        };
        match command {
            CaseCommand::See { subject, .. } if subject != *known => Err(CaseError::Other),
            CaseCommand::See { seen, .. } => Ok(match self.status {
                CaseStatus::Open | CaseStatus::Resolved if seen.is_same(last) => vec![],
                CaseStatus::Open => vec![CaseEvent::CaseChanged(seen)],
                CaseStatus::Resolved | CaseStatus::Vanished => vec![CaseEvent::CaseReopened(seen)],
            }),
            CaseCommand::Vanish { run_id } if self.status == CaseStatus::Open => {
                Ok(vec![CaseEvent::CaseVanished { run_id }])
            }
            CaseCommand::Vanish { .. } => Ok(vec![]),
            CaseCommand::Note { by, note } => {
                check_text("note", &note)?;
                if self.notes >= MAX_NOTES {
                    return Err(CaseError::TooManyNotes);
                }
                Ok(vec![CaseEvent::CaseNoted { by, note }])
            }
            CaseCommand::Resolve { by, resolution, explanation, reference } => {
                check_text("explanation", &explanation)?;
                if let Some(reference) = &reference {
                    check_text("reference", reference)?;
                }
                if resolution == Resolution::Corrected && reference.is_none() {
                    let detail = "a correction names what corrected it";
                    return Err(CaseError::Invalid { field: "reference", detail });
                }
                match self.status {
                    CaseStatus::Open => Ok(vec![CaseEvent::CaseResolved { by, resolution, explanation, reference }]),
                    status => Err(CaseError::NotOpen(status)),
                }
            }
        }
    }

    fn evolve(&mut self, event: CaseEvent) {
        match event {
            CaseEvent::CaseOpened { subject, seen } => {
                self.subject = Some(subject);
                self.seen = Some(seen);
            }
            CaseEvent::CaseChanged(seen) => self.seen = Some(seen),
            CaseEvent::CaseNoted { .. } => self.notes += 1,
            CaseEvent::CaseResolved { .. } => self.status = CaseStatus::Resolved,
            CaseEvent::CaseVanished { .. } => self.status = CaseStatus::Vanished,
            CaseEvent::CaseReopened(seen) => {
                self.seen = Some(seen);
                self.status = CaseStatus::Open;
            }
        }
    }
}

fn check_text(field: &'static str, text: &str) -> Result<(), CaseError> {
    let length = text.chars().count();
    if (1..=MAX_TEXT).contains(&length) && !text.trim().is_empty() {
        return Ok(());
    }
    Err(CaseError::Invalid { field, detail: "must have 1 to 2000 characters" })
}

#[cfg(test)]
mod tests {
    use cqrs_es::test::TestFramework;
    use uuid::Uuid;

    use super::*;

    fn subject() -> Subject {
        Subject { kind: RunKind::Internal, source: "balances".into(), class: Class::Amount, key: "a".into() }
    }

    fn seen(run: u128, theirs: &str) -> Sighting {
        let run_id = ReconciliationId(Uuid::from_u128(run));
        Sighting { run_id, ours: Some("1".into()), theirs: Some(theirs.into()), amount: Some(1) }
    }

    fn see(run: u128, theirs: &str) -> CaseCommand {
        CaseCommand::See { subject: subject(), seen: seen(run, theirs) }
    }

    fn opened() -> CaseEvent {
        CaseEvent::CaseOpened { subject: subject(), seen: seen(1, "2") }
    }

    fn resolved() -> CaseEvent {
        CaseEvent::CaseResolved {
            by: AccountId(Uuid::from_u128(7)),
            resolution: Resolution::Explained,
            explanation: "a restore".into(),
            reference: None,
        }
    }

    fn given(events: Vec<CaseEvent>) -> cqrs_es::test::AggregateTestExecutor<Case> {
        TestFramework::<Case>::with(()).given(events)
    }

    #[test]
    fn a_case_that_is_seen_again_stays_as_it_is() {
        given(vec![opened()]).when(see(2, "2")).then_expect_events(vec![]);
        given(vec![opened()]).when(see(2, "3")).then_expect_events(vec![CaseEvent::CaseChanged(seen(2, "3"))]);
    }

    #[test]
    fn what_was_explained_stays_explained_until_it_is_something_else() {
        given(vec![opened(), resolved()]).when(see(2, "2")).then_expect_events(vec![]);
        given(vec![opened(), resolved()])
            .when(see(2, "3"))
            .then_expect_events(vec![CaseEvent::CaseReopened(seen(2, "3"))]);
    }

    #[test]
    fn what_vanished_opens_again_when_it_comes_back() {
        let vanished = CaseEvent::CaseVanished { run_id: seen(2, "2").run_id };
        given(vec![opened()])
            .when(CaseCommand::Vanish { run_id: seen(2, "2").run_id })
            .then_expect_events(vec![vanished.clone()]);
        given(vec![opened(), vanished])
            .when(see(3, "2"))
            .then_expect_events(vec![CaseEvent::CaseReopened(seen(3, "2"))]);
    }

    #[test]
    fn a_correction_names_what_corrected_it() {
        let resolve = |reference: Option<&str>| CaseCommand::Resolve {
            by: AccountId(Uuid::from_u128(7)),
            resolution: Resolution::Corrected,
            explanation: "reversed".into(),
            reference: reference.map(str::to_owned),
        };
        assert!(Case::default().decisions(resolve(Some("j"))).is_err());
        given(vec![opened()]).when(resolve(None)).then_expect_error(CaseError::Invalid {
            field: "reference",
            detail: "a correction names what corrected it",
        });
        given(vec![opened(), resolved()])
            .when(resolve(Some("j")))
            .then_expect_error(CaseError::NotOpen(CaseStatus::Resolved));
    }
}
