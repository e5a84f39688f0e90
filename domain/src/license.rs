//! License: the right to use a project (rows L1, L4–L8, L13).
//!
//! Validity begins when the terms say so and grows only by renewal or a move to another plan. Whether it is over follows
//! from `expires_at` and the time of asking; that it is over is noted by an event afterwards, for those who want to be told.

mod decide;
pub mod explanation;
mod machine;
pub mod terms;
pub mod verification;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

pub use machine::{Machine, UsedBy};
pub use terms::{LicenseTerms, Policy};

use crate::project::MAX_DURATION_DAYS;
use crate::{AccountId, BatchId, PlanId, ProjectId, Sealed, event_names, impl_aggregate};

/// What a licence is issued with and keeps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issue {
    /// The batch it came with.
    pub batch_id: BatchId,
    /// What it is for.
    pub project_id: ProjectId,
    /// The plan it was sold under.
    pub plan_id: PlanId,
    /// The plan's version then.
    #[serde(default = "first", skip_serializing_if = "is_first")]
    pub plan_version: u32,
    /// Who sold it.
    pub agent_id: AccountId,
    /// What it grants.
    pub terms: LicenseTerms,
    /// HMAC-SHA256 of the key in base64url, for look-up.
    pub key_hash: String,
    /// The key, encrypted.
    pub key: Sealed,
    /// The end of a validity that begins with the issue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<DateTime<Utc>>,
}

/// The version of a plan that was never changed, for events from before plans had versions.
pub(crate) fn first() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
pub(crate) fn is_first(version: &u32) -> bool {
    *version == 1
}

/// The state of a licence.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct License {
    /// What it was issued with; `None` before.
    pub issue: Option<Issue>,
    /// The first activation.
    pub activated_at: Option<DateTime<Utc>>,
    /// The end of validity; `None` before it begins and for perpetual ones.
    pub expires_at: Option<DateTime<Utc>>,
    /// Days added before validity began.
    pub extra_days: u32,
    /// Whether it is in use: false before activation and after its bindings were cleared.
    pub in_use: bool,
    /// The machines it is bound to.
    pub machines: Vec<Machine>,
    /// Disabled for now.
    pub disabled: bool,
    /// Ended for good.
    pub revoked: bool,
    /// How often its bindings were cleared.
    pub unbinds: u32,
    /// The end of validity that was noted as reached; another end is reached anew.
    #[serde(default)]
    pub noted_end: Option<DateTime<Utc>>,
    /// When they were cleared last.
    pub unbound_at: Option<DateTime<Utc>>,
    /// Who holds it, encrypted; `None` if nobody said.
    pub holder: Option<Sealed>,
    /// How often it changed its holder.
    pub transfers: u32,
    /// What was used of each meter.
    pub used: BTreeMap<String, u64>,
}

/// How a licence stands at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LicenseStatus {
    /// Not activated, or its bindings were cleared.
    Unused,
    /// Bound and valid.
    Active,
    /// Its validity is over.
    Expired,
    /// Disabled for now.
    Disabled,
    /// Ended for good.
    Revoked,
}

impl LicenseStatus {
    /// The status' name in columns and answers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unused => "unused",
            Self::Active => "active",
            Self::Expired => "expired",
            Self::Disabled => "disabled",
            Self::Revoked => "revoked",
        }
    }
}

/// What can be asked of a licence.
#[derive(Clone, Debug)]
pub enum LicenseCommand {
    /// Comes into being.
    Issue(Issue),
    /// Is used on a machine: first use activates, a new machine is bound if there is room.
    Use {
        /// The machine.
        machine: Machine,
        /// When.
        at: DateTime<Utc>,
        /// How it came to this.
        by: UsedBy,
    },
    /// A bound machine is heard of.
    Beat {
        /// Which.
        fingerprint_hash: String,
        /// When.
        at: DateTime<Utc>,
    },
    /// Client software used something that is metered.
    ReportUsage {
        /// Of which meter.
        meter: String,
        /// How much; more than 0.
        amount: u64,
        /// When.
        at: DateTime<Utc>,
    },
    /// A machine gives its place back.
    Deactivate {
        /// Which.
        fingerprint_hash: String,
    },
    /// All bindings are cleared; the licence is unused again, its validity is not reset.
    Unbind {
        /// When.
        at: DateTime<Utc>,
    },
    /// Can't be used until enabled.
    Disable,
    /// Can be used again.
    Enable,
    /// Ends for good.
    Revoke {
        /// Why.
        reason: Option<String>,
    },
    /// Gets more days.
    Renew {
        /// 1 to [`MAX_DURATION_DAYS`].
        days: u32,
        /// When; the days of a licence that is over count from here.
        at: DateTime<Utc>,
    },
    /// Its validity is noted as over, if it is and was not noted before.
    Expire {
        /// When.
        at: DateTime<Utc>,
    },
    /// Goes over to another plan, or to a newer version of its own.
    Move {
        /// The plan.
        plan_id: PlanId,
        /// Its version.
        plan_version: u32,
        /// What it grants.
        terms: LicenseTerms,
        /// When.
        at: DateTime<Utc>,
    },
    /// Goes to another holder; its machines go.
    Transfer {
        /// The new holder, encrypted; `None` if it is nobody's any more.
        holder: Option<Sealed>,
        /// When.
        at: DateTime<Utc>,
    },
}

/// What happened to a licence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LicenseEvent {
    /// It came into being.
    LicenseIssued(Issue),
    /// It was used for the first time and bound to a machine.
    LicenseActivated {
        /// The start of its validity.
        activated_at: DateTime<Utc>,
        /// The end, unless perpetual.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires_at: Option<DateTime<Utc>>,
        /// Where.
        machine: Machine,
    },
    /// It was bound to one more machine.
    MachineBound {
        /// Which.
        machine: Machine,
        /// Whether all places were taken, and the terms allow more.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        over_limit: bool,
    },
    /// A machine came with another fingerprint and enough of the same components.
    MachineChanged {
        /// What it was known by.
        fingerprint_hash: String,
        /// What it is known by now.
        machine: Machine,
    },
    /// A machine was heard of and holds its place longer.
    LeaseExtended {
        /// Which.
        fingerprint_hash: String,
        /// The new end.
        held_until: DateTime<Utc>,
    },
    /// A machine fell silent, and its place was given to another.
    MachineLapsed {
        /// Which.
        fingerprint_hash: String,
    },
    /// Validity began, after activation.
    ValidityBegan {
        /// The end.
        expires_at: DateTime<Utc>,
    },
    /// Something metered was used.
    UsageReported {
        /// Of which meter.
        meter: String,
        /// How much.
        amount: u64,
        /// Whether that is beyond the limit, and the terms allow more.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        over_limit: bool,
    },
    /// A machine gave its place back.
    MachineDeactivated {
        /// Which.
        fingerprint_hash: String,
    },
    /// All its bindings were cleared.
    LicenseUnbound {
        /// When; absent in events from before terms could ask for a pause.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        unbound_at: Option<DateTime<Utc>>,
    },
    /// It was disabled.
    LicenseDisabled {},
    /// It was enabled again.
    LicenseEnabled {},
    /// It ended for good.
    LicenseRevoked {
        /// Why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// It got more days.
    LicenseRenewed {
        /// How many.
        days: u32,
        /// The new end; `None` if its validity has not begun.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires_at: Option<DateTime<Utc>>,
    },
    /// Its validity was over.
    LicenseExpired {
        /// Since when.
        expires_at: DateTime<Utc>,
    },
    /// It went over to another plan, or to another version of its own.
    LicenseMoved {
        /// The plan.
        plan_id: PlanId,
        /// Its version.
        plan_version: u32,
        /// What it grants from now on.
        terms: LicenseTerms,
        /// The end of its validity from now on; `None` if it is perpetual or has not begun.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires_at: Option<DateTime<Utc>>,
    },
    /// It went to another holder, and its bindings were cleared.
    LicenseTransferred {
        /// The new holder, encrypted.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        holder: Option<Sealed>,
    },
}

event_names!(LicenseEvent {
    LicenseIssued,
    LicenseActivated,
    MachineBound,
    MachineChanged,
    LeaseExtended,
    MachineLapsed,
    ValidityBegan,
    UsageReported,
    MachineDeactivated,
    LicenseUnbound,
    LicenseDisabled,
    LicenseEnabled,
    LicenseRevoked,
    LicenseRenewed,
    LicenseExpired,
    LicenseMoved,
    LicenseTransferred,
});

/// Why a command on a licence is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LicenseError {
    /// There is no such licence.
    #[error("there is no such licence")]
    Unknown,
    /// The id is taken by another issue.
    #[error("the licence exists already with another content")]
    Exists,
    /// The step does not fit the status.
    #[error("the licence is {}", .0.as_str())]
    WrongStatus(LicenseStatus),
    /// All places are taken.
    #[error("the licence is bound to {0} machines already")]
    TooManyMachines(u32),
    /// The machine is not bound.
    #[error("the licence is not bound to this machine")]
    UnknownMachine,
    /// The machine fell silent for longer than its terms allow.
    #[error("the machine was not heard of for too long; it has to be taken off first")]
    MachineDead,
    /// Its bindings were cleared as often as its terms allow.
    #[error("the bindings were cleared {0} times already")]
    TooManyUnbinds(u32),
    /// Its bindings were cleared too short a time ago.
    #[error("the bindings can be cleared again at {0}")]
    UnboundLately(DateTime<Utc>),
    /// It changed its holder as often as its terms allow.
    #[error("the licence changed its holder {0} times already")]
    TooManyTransfers(u32),
    /// Its terms have no such meter.
    #[error("the licence has no meter {0:?}")]
    UnknownMeter(String),
    /// More than the meter's limit would be used.
    #[error("{used} of {limit} are used of the meter {meter:?}, and {amount} more is too much")]
    UsageLimit {
        /// Which meter.
        meter: String,
        /// How much may be used.
        limit: u64,
        /// How much was used before.
        used: u64,
        /// How much was reported.
        amount: u64,
    },
    /// Nothing, or more than can be counted.
    #[error("the amount must be more than 0 and not beyond what a meter counts")]
    InvalidAmount,
    /// A trial has to be moved to another plan.
    #[error("a trial can't be renewed; it can be moved to another plan")]
    Trial,
    /// A perpetual licence has no end to move.
    #[error("a perpetual licence can't be renewed")]
    Perpetual,
    /// The number of days is out of limits.
    #[error("days must be from 1 to {MAX_DURATION_DAYS}")]
    InvalidDays,
}

impl_aggregate!(License, "License", LicenseCommand, LicenseEvent, LicenseError);

impl License {
    /// How the licence stands at `at`.
    #[must_use]
    pub fn status(&self, at: DateTime<Utc>) -> LicenseStatus {
        if self.revoked {
            LicenseStatus::Revoked
        } else if self.disabled {
            LicenseStatus::Disabled
        } else if self.expires_at.is_some_and(|end| end <= at) {
            LicenseStatus::Expired
        } else if self.in_use {
            LicenseStatus::Active
        } else {
            LicenseStatus::Unused
        }
    }

    fn evolve(&mut self, event: LicenseEvent) {
        match event {
            LicenseEvent::LicenseIssued(issue) => {
                self.expires_at = issue.expires_at;
                self.issue = Some(issue);
            }
            LicenseEvent::LicenseActivated { activated_at, expires_at, machine } => {
                self.activated_at = Some(activated_at);
                self.expires_at = expires_at;
                self.bind(machine);
            }
            LicenseEvent::MachineBound { machine, .. } => self.bind(machine),
            LicenseEvent::MachineChanged { fingerprint_hash, machine } => {
                self.take_off(&fingerprint_hash);
                self.bind(machine);
            }
            LicenseEvent::LeaseExtended { fingerprint_hash, held_until } => {
                let mut machines = self.machines.iter_mut();
                if let Some(known) = machines.find(|machine| machine.fingerprint_hash == fingerprint_hash) {
                    known.held_until = Some(held_until);
                }
            }
            LicenseEvent::MachineDeactivated { fingerprint_hash }
            | LicenseEvent::MachineLapsed { fingerprint_hash } => {
                self.take_off(&fingerprint_hash);
            }
            LicenseEvent::ValidityBegan { expires_at } => self.expires_at = Some(expires_at),
            LicenseEvent::UsageReported { meter, amount, .. } => {
                let used = self.used.entry(meter).or_default();
                *used = used.saturating_add(amount);
            }
            LicenseEvent::LicenseUnbound { unbound_at } => {
                self.clear();
                self.unbinds += 1;
                self.unbound_at = unbound_at;
            }
            LicenseEvent::LicenseDisabled {} => self.disabled = true,
            LicenseEvent::LicenseEnabled {} => self.disabled = false,
            LicenseEvent::LicenseRevoked { .. } => self.revoked = true,
            LicenseEvent::LicenseRenewed { days, expires_at } => match expires_at {
                Some(end) => self.expires_at = Some(end),
                None => self.extra_days = self.extra_days.saturating_add(days),
            },
            LicenseEvent::LicenseExpired { expires_at } => self.noted_end = Some(expires_at),
            LicenseEvent::LicenseMoved { plan_id, plan_version, terms, expires_at } => {
                if let Some(issue) = &mut self.issue {
                    (issue.plan_id, issue.plan_version, issue.terms) = (plan_id, plan_version, terms);
                }
                self.expires_at = expires_at;
            }
            LicenseEvent::LicenseTransferred { holder } => {
                self.clear();
                self.holder = holder;
                self.transfers += 1;
            }
        }
    }

    fn bind(&mut self, machine: Machine) {
        self.in_use = true;
        self.machines.push(machine);
    }

    fn clear(&mut self) {
        self.machines.clear();
        self.in_use = false;
    }

    fn take_off(&mut self, fingerprint_hash: &str) {
        self.machines.retain(|machine| machine.fingerprint_hash != fingerprint_hash);
    }
}

#[cfg(test)]
#[path = "license_tests.rs"]
mod tests;
