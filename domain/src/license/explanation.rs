//! Why a verification came out as it did: the checks in their order, each with its outcome and what was looked at.
//!
//! What always holds: the outcome is that of [`judge`] or of the command that would decide; the checks only tell it.

use chrono::{DateTime, SecondsFormat, Utc};

use super::terms::LicenseTerms;
use super::verification::{Binding, Intent, Question, Standing, Verdict, judge};
use super::{License, LicenseCommand, LicenseError, LicenseStatus, Machine, UsedBy};
use crate::Aggregate as _;

/// What is looked at, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Check {
    /// Its project works.
    Project,
    /// It was not revoked.
    Revocation,
    /// It is not disabled, and its batch was not refunded.
    Suspension,
    /// Its validity is not over.
    Validity,
    /// It has the features that were asked for.
    Features,
    /// It is bound to the machine, or may be.
    Machine,
    /// The machine was not silent for too long.
    Lease,
    /// There is a place.
    Places,
}

impl Check {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Project,
        Self::Revocation,
        Self::Suspension,
        Self::Validity,
        Self::Features,
        Self::Machine,
        Self::Lease,
        Self::Places,
    ];

    /// Its name in answers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Project => "project",
            Self::Revocation => "revocation",
            Self::Suspension => "suspension",
            Self::Validity => "validity",
            Self::Features => "features",
            Self::Machine => "machine",
            Self::Lease => "lease",
            Self::Places => "places",
        }
    }
}

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It holds.
    Passed,
    /// It does not; the ones after it were not looked at.
    Failed,
    /// One before it failed.
    Skipped,
}

impl Outcome {
    /// Its name in answers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}

/// A check with its outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// What was looked at.
    pub check: Check,
    /// How it came out.
    pub outcome: Outcome,
    /// What was seen; absent if nobody looked.
    pub detail: Option<String>,
}

/// What else decides beside the licence.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances {
    /// The project is disabled.
    pub project_disabled: bool,
    /// The batch was refunded.
    pub refunded: bool,
}

/// Why a verification came out as it did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The outcome; `None` if the project is disabled. [`Verdict::NeedsUse`] says that it would be let in by a command.
    pub verdict: Option<Verdict>,
    /// The checks in their order.
    pub checks: Vec<Checked>,
}

impl License {
    /// Explains what a verification of `machine` with `question` comes to; `None` if the licence was never issued.
    #[must_use]
    pub fn explain(
        &self,
        machine: &Machine,
        question: &Question<'_>,
        circumstances: Circumstances,
    ) -> Option<Explanation> {
        let terms = &self.issue.as_ref()?.terms;
        let standing = self.standing(terms, &machine.fingerprint_hash, question.at);
        let status = match standing.status {
            LicenseStatus::Revoked => LicenseStatus::Revoked,
            _ if circumstances.refunded => LicenseStatus::Disabled,
            status => status,
        };
        let standing = Standing { status, ..standing };
        let verdict = (!circumstances.project_disabled).then(|| self.outcome(terms, machine, &standing, question));
        let failed = failed(verdict);
        let seen = Seen { license: self, terms, standing, question, circumstances };
        let checks = Check::ALL.into_iter().map(|check| match failed {
            Some(failed) if check > failed => Checked { check, outcome: Outcome::Skipped, detail: None },
            Some(failed) if check == failed => seen.checked(check, Outcome::Failed),
            _ => seen.checked(check, Outcome::Passed),
        });
        Some(Explanation { verdict, checks: checks.collect() })
    }

    /// The verdict; where a command decides, its refusal.
    fn outcome(
        &self,
        terms: &LicenseTerms,
        machine: &Machine,
        standing: &Standing,
        question: &Question<'_>,
    ) -> Verdict {
        let verdict = judge(terms, standing, question);
        if verdict != Verdict::NeedsUse || question.intent != Intent::Use {
            return verdict;
        }
        let used = LicenseCommand::Use { machine: machine.clone(), at: question.at, by: UsedBy::Verification };
        match self.decide(used) {
            Err(LicenseError::TooManyMachines(_)) => Verdict::TooManyMachines,
            Err(LicenseError::MachineDead) => Verdict::MachineDead,
            // Everything else was judged before.
            Ok(_) | Err(_) => Verdict::NeedsUse,
        }
    }
}

/// Which check a verdict says has failed.
fn failed(verdict: Option<Verdict>) -> Option<Check> {
    match verdict {
        None => Some(Check::Project),
        Some(Verdict::Revoked) => Some(Check::Revocation),
        Some(Verdict::Disabled) => Some(Check::Suspension),
        Some(Verdict::Expired) => Some(Check::Validity),
        Some(Verdict::FeatureMissing) => Some(Check::Features),
        Some(Verdict::NotBound) => Some(Check::Machine),
        Some(Verdict::MachineDead) => Some(Check::Lease),
        Some(Verdict::TooManyMachines) => Some(Check::Places),
        Some(Verdict::Valid | Verdict::OverLimit | Verdict::NeedsUse) => None,
    }
}

struct Seen<'a> {
    license: &'a License,
    terms: &'a LicenseTerms,
    standing: Standing,
    question: &'a Question<'a>,
    circumstances: Circumstances,
}

impl Seen<'_> {
    fn checked(&self, check: Check, outcome: Outcome) -> Checked {
        let detail = match check {
            Check::Project if self.circumstances.project_disabled => "the project is disabled".to_owned(),
            Check::Project => "the project works".to_owned(),
            Check::Revocation if self.license.revoked => "it was revoked".to_owned(),
            Check::Revocation => "it was not revoked".to_owned(),
            Check::Suspension if self.circumstances.refunded => "its batch was refunded".to_owned(),
            Check::Suspension if self.license.disabled => "it is disabled".to_owned(),
            Check::Suspension => "it is not disabled".to_owned(),
            Check::Validity => self.validity(),
            Check::Features => self.features(),
            Check::Machine => self.machine(outcome),
            Check::Lease => self.lease(outcome),
            Check::Places => format!("{} of {} places are taken", self.standing.taken, self.terms.max_machines),
        };
        Checked { check, outcome, detail: Some(detail) }
    }

    fn validity(&self) -> String {
        match (self.license.expires_at, self.terms.duration_days) {
            (Some(end), _) if end <= self.question.at => format!("it was valid until {}", text(end)),
            (Some(end), _) => format!("it is valid until {}", text(end)),
            (None, None) => "it is perpetual".to_owned(),
            (None, Some(days)) => format!("its {days} days have not begun"),
        }
    }

    fn features(&self) -> String {
        let missing: Vec<_> =
            self.question.features.iter().filter(|feature| !self.terms.features.contains(feature)).collect();
        match (missing.as_slice(), self.question.features.len()) {
            ([], 0) => "no feature was asked for".to_owned(),
            ([], _) => "it has every feature that was asked for".to_owned(),
            (missing, _) => format!("it lacks {missing:?}"),
        }
    }

    fn machine(&self, outcome: Outcome) -> String {
        match (self.standing.binding, outcome) {
            (Binding::Unbound, Outcome::Passed) => "it is not bound to the machine; its first use would bind it",
            (Binding::Unbound, _) => "it is not bound to the machine",
            _ => "it is bound to the machine",
        }
        .to_owned()
    }

    fn lease(&self, outcome: Outcome) -> String {
        match self.standing.binding {
            Binding::HeldUntil(until) if outcome == Outcome::Failed => {
                format!("the machine was not heard of since its lease ended at {}", text(until))
            }
            Binding::HeldUntil(until) if until <= self.question.at => {
                format!("its lease ended at {}, and it may come back", text(until))
            }
            Binding::HeldUntil(until) => format!("the machine holds its place until {}", text(until)),
            Binding::Bound | Binding::Unbound if outcome == Outcome::Failed => {
                "a machine with the same components was silent for too long".to_owned()
            }
            Binding::Bound | Binding::Unbound => "no lease has run out".to_owned(),
        }
    }
}

fn text(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}
