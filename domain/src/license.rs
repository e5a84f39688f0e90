//! License: the right to use a project (rows L1, L4, L6, L7).
//!
//! Validity counts from the first activation and grows only by renewal. Whether it is over follows from `expires_at` and the
//! time of asking; that it is over is noted by an event afterwards, for those who want to be told.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::project::MAX_DURATION_DAYS;
use crate::{AccountId, BatchId, PlanId, ProjectId, Sealed, event_names, impl_aggregate};

/// How often the bindings of one licence can be cleared.
pub const MAX_UNBINDS: u32 = 100;

/// What a licence grants; the plan's as it was when the licence was issued.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LicenseTerms {
    /// Days of validity from activation; `None` is perpetual.
    pub duration_days: Option<u32>,
    /// How many machines it can be bound to at a time.
    pub max_machines: u32,
    /// What it unlocks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub features: Vec<String>,
}

/// What a licence is issued with and keeps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issue {
    /// The batch it came with.
    pub batch_id: BatchId,
    /// What it is for.
    pub project_id: ProjectId,
    /// The plan it was sold under.
    pub plan_id: PlanId,
    /// Who sold it.
    pub agent_id: AccountId,
    /// What it grants.
    pub terms: LicenseTerms,
    /// HMAC-SHA256 of the key in base64url, for look-up.
    pub key_hash: String,
    /// The key, encrypted.
    pub key: Sealed,
}

/// A machine a licence is bound to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// HMAC-SHA256 of the fingerprint that the client software reported, in base64url; it never stands in the clear.
    pub fingerprint_hash: String,
    /// A name for people, encrypted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Sealed>,
}

/// The state of a licence.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct License {
    /// What it was issued with; `None` before.
    pub issue: Option<Issue>,
    /// The first activation.
    pub activated_at: Option<DateTime<Utc>>,
    /// The end of validity; `None` before activation and for perpetual ones.
    pub expires_at: Option<DateTime<Utc>>,
    /// Days added before activation.
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
    },
    /// A machine gave its place back.
    MachineDeactivated {
        /// Which.
        fingerprint_hash: String,
    },
    /// All its bindings were cleared.
    LicenseUnbound {},
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
        /// The new end; `None` if it is not activated yet.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires_at: Option<DateTime<Utc>>,
    },
    /// Its validity was over.
    LicenseExpired {
        /// Since when.
        expires_at: DateTime<Utc>,
    },
}

event_names!(LicenseEvent {
    LicenseIssued,
    LicenseActivated,
    MachineBound,
    MachineDeactivated,
    LicenseUnbound,
    LicenseDisabled,
    LicenseEnabled,
    LicenseRevoked,
    LicenseRenewed,
    LicenseExpired,
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
    /// Its bindings were cleared [`MAX_UNBINDS`] times.
    #[error("the bindings were cleared {MAX_UNBINDS} times already")]
    TooManyUnbinds,
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

    /// Whether the licence is bound to the machine.
    #[must_use]
    pub fn is_bound_to(&self, fingerprint_hash: &str) -> bool {
        self.machines.iter().any(|machine| machine.fingerprint_hash == fingerprint_hash)
    }

    fn decisions(&self, command: LicenseCommand) -> Result<Vec<LicenseEvent>, LicenseError> {
        let Some(issue) = &self.issue else {
            return match command {
                LicenseCommand::Issue(issue) => Ok(vec![LicenseEvent::LicenseIssued(issue)]),
                _ => Err(LicenseError::Unknown),
            };
        };
        Ok(match command {
            LicenseCommand::Issue(same) if same == *issue => vec![],
            LicenseCommand::Issue(_) => return Err(LicenseError::Exists),
            LicenseCommand::Use { machine, at } => return self.first_or_later_use(issue, machine, at),
            LicenseCommand::Deactivate { fingerprint_hash } if self.is_bound_to(&fingerprint_hash) => {
                vec![LicenseEvent::MachineDeactivated { fingerprint_hash }]
            }
            LicenseCommand::Deactivate { .. } => return Err(LicenseError::UnknownMachine),
            LicenseCommand::Unbind { at } => return self.unbind(at),
            LicenseCommand::Expire { .. } | LicenseCommand::Revoke { .. } if self.revoked => vec![],
            LicenseCommand::Revoke { reason } => vec![LicenseEvent::LicenseRevoked { reason }],
            _ if self.revoked => return Err(LicenseError::WrongStatus(LicenseStatus::Revoked)),
            LicenseCommand::Disable if self.disabled => vec![],
            LicenseCommand::Disable => vec![LicenseEvent::LicenseDisabled {}],
            LicenseCommand::Enable if !self.disabled => vec![],
            LicenseCommand::Enable => vec![LicenseEvent::LicenseEnabled {}],
            LicenseCommand::Renew { days, at } => return self.renew(issue, days, at),
            LicenseCommand::Expire { at } => self.expire(at),
        })
    }

    /// Nothing if it is not over, as after a renewal, or noted already: whoever notes goes by a list that may be late.
    fn expire(&self, at: DateTime<Utc>) -> Vec<LicenseEvent> {
        match self.expires_at {
            Some(end) if end <= at && self.noted_end != Some(end) => {
                vec![LicenseEvent::LicenseExpired { expires_at: end }]
            }
            _ => vec![],
        }
    }

    fn first_or_later_use(
        &self,
        issue: &Issue,
        machine: Machine,
        at: DateTime<Utc>,
    ) -> Result<Vec<LicenseEvent>, LicenseError> {
        match self.status(at) {
            LicenseStatus::Unused | LicenseStatus::Active => {}
            status => return Err(LicenseError::WrongStatus(status)),
        }
        if self.is_bound_to(&machine.fingerprint_hash) {
            return Ok(vec![]);
        }
        if self.activated_at.is_none() {
            let days = issue.terms.duration_days.map(|days| days.saturating_add(self.extra_days));
            let expires_at = days.map(|days| at + TimeDelta::days(days.into()));
            return Ok(vec![LicenseEvent::LicenseActivated { activated_at: at, expires_at, machine }]);
        }
        if self.machines.len() >= issue.terms.max_machines as usize {
            return Err(LicenseError::TooManyMachines(issue.terms.max_machines));
        }
        Ok(vec![LicenseEvent::MachineBound { machine }])
    }

    /// Only a used, unexpired licence can be unbound.
    fn unbind(&self, at: DateTime<Utc>) -> Result<Vec<LicenseEvent>, LicenseError> {
        match self.status(at) {
            LicenseStatus::Active if self.unbinds >= MAX_UNBINDS => Err(LicenseError::TooManyUnbinds),
            LicenseStatus::Active => Ok(vec![LicenseEvent::LicenseUnbound {}]),
            status => Err(LicenseError::WrongStatus(status)),
        }
    }

    fn renew(&self, issue: &Issue, days: u32, at: DateTime<Utc>) -> Result<Vec<LicenseEvent>, LicenseError> {
        let Some(duration) = issue.terms.duration_days else { return Err(LicenseError::Perpetual) };
        let limit = MAX_DURATION_DAYS.saturating_sub(duration.saturating_add(self.extra_days));
        if !(1..=MAX_DURATION_DAYS).contains(&days) || (self.activated_at.is_none() && days > limit) {
            return Err(LicenseError::InvalidDays);
        }
        let expires_at = self.expires_at.map(|end| end.max(at) + TimeDelta::days(days.into()));
        if expires_at.is_some_and(|end| end > at + TimeDelta::days(i64::from(MAX_DURATION_DAYS) * 2)) {
            return Err(LicenseError::InvalidDays);
        }
        Ok(vec![LicenseEvent::LicenseRenewed { days, expires_at }])
    }

    fn evolve(&mut self, event: LicenseEvent) {
        match event {
            LicenseEvent::LicenseIssued(issue) => self.issue = Some(issue),
            LicenseEvent::LicenseActivated { activated_at, expires_at, machine } => {
                self.activated_at = Some(activated_at);
                self.expires_at = expires_at;
                self.bind(machine);
            }
            LicenseEvent::MachineBound { machine } => self.bind(machine),
            LicenseEvent::MachineDeactivated { fingerprint_hash } => {
                self.machines.retain(|machine| machine.fingerprint_hash != fingerprint_hash);
            }
            LicenseEvent::LicenseUnbound {} => {
                self.machines.clear();
                self.in_use = false;
                self.unbinds += 1;
            }
            LicenseEvent::LicenseDisabled {} => self.disabled = true,
            LicenseEvent::LicenseEnabled {} => self.disabled = false,
            LicenseEvent::LicenseRevoked { .. } => self.revoked = true,
            LicenseEvent::LicenseRenewed { days, expires_at } => match expires_at {
                Some(end) => self.expires_at = Some(end),
                None => self.extra_days = self.extra_days.saturating_add(days),
            },
            LicenseEvent::LicenseExpired { expires_at } => self.noted_end = Some(expires_at),
        }
    }

    fn bind(&mut self, machine: Machine) {
        self.in_use = true;
        self.machines.push(machine);
    }
}

#[cfg(test)]
#[path = "license_tests.rs"]
mod tests;
