//! What a licence makes of a command.

use chrono::{DateTime, TimeDelta, Utc};

use super::terms::{LicenseTerms, Overage, ValidFrom};
use super::{Issue, License, LicenseCommand, LicenseError, LicenseEvent, LicenseStatus};
use crate::PlanId;
use crate::project::MAX_DURATION_DAYS;

impl License {
    pub(super) fn decisions(&self, command: LicenseCommand) -> Result<Vec<LicenseEvent>, LicenseError> {
        let Some(issue) = &self.issue else {
            return match command {
                LicenseCommand::Issue(issue) => Ok(vec![LicenseEvent::LicenseIssued(issue)]),
                _ => Err(LicenseError::Unknown),
            };
        };
        Ok(match command {
            LicenseCommand::Issue(same) if same == *issue => vec![],
            LicenseCommand::Issue(_) => return Err(LicenseError::Exists),
            LicenseCommand::Use { machine, at, by } => return self.use_on(issue, machine, at, by),
            LicenseCommand::Beat { fingerprint_hash, at } => return self.beat(issue, &fingerprint_hash, at),
            LicenseCommand::ReportUsage { meter, amount, at } => return self.report_usage(issue, meter, amount, at),
            LicenseCommand::Deactivate { fingerprint_hash } if self.is_bound_to(&fingerprint_hash) => {
                vec![LicenseEvent::MachineDeactivated { fingerprint_hash }]
            }
            LicenseCommand::Deactivate { .. } => return Err(LicenseError::UnknownMachine),
            LicenseCommand::Unbind { at } => return self.unbind(issue, at),
            LicenseCommand::Expire { .. } | LicenseCommand::Revoke { .. } if self.revoked => vec![],
            LicenseCommand::Revoke { reason } => vec![LicenseEvent::LicenseRevoked { reason }],
            _ if self.revoked => return Err(LicenseError::WrongStatus(LicenseStatus::Revoked)),
            LicenseCommand::Disable if self.disabled => vec![],
            LicenseCommand::Disable => vec![LicenseEvent::LicenseDisabled {}],
            LicenseCommand::Enable if !self.disabled => vec![],
            LicenseCommand::Enable => vec![LicenseEvent::LicenseEnabled {}],
            LicenseCommand::Renew { days, at } => return self.renew(issue, days, at),
            LicenseCommand::Expire { at } => self.expire(at),
            LicenseCommand::Move { plan_id, plan_version, terms, at } => {
                return self.go_over(issue, plan_id, plan_version, terms, at);
            }
            LicenseCommand::Transfer { holder, at } => {
                if self.status(at) == LicenseStatus::Expired {
                    return Err(LicenseError::WrongStatus(LicenseStatus::Expired));
                }
                if self.transfers >= issue.terms.policy.max_transfers {
                    return Err(LicenseError::TooManyTransfers(issue.terms.policy.max_transfers));
                }
                vec![LicenseEvent::LicenseTransferred { holder }]
            }
        })
    }

    /// Whether client software can do anything with it.
    pub(super) fn check_usable(&self, at: DateTime<Utc>) -> Result<(), LicenseError> {
        match self.status(at) {
            LicenseStatus::Unused | LicenseStatus::Active => Ok(()),
            status => Err(LicenseError::WrongStatus(status)),
        }
    }

    /// Only a used, unexpired licence can be unbound, as often as its terms allow.
    fn unbind(&self, issue: &Issue, at: DateTime<Utc>) -> Result<Vec<LicenseEvent>, LicenseError> {
        let rule = issue.terms.policy.unbinding;
        let status = self.status(at);
        if status != LicenseStatus::Active {
            return Err(LicenseError::WrongStatus(status));
        }
        if self.unbinds >= rule.max {
            return Err(LicenseError::TooManyUnbinds(rule.max));
        }
        let again_at = self.unbound_at.map(|last| last + TimeDelta::seconds(rule.pause_seconds.into()));
        match again_at {
            Some(again_at) if at < again_at => Err(LicenseError::UnboundLately(again_at)),
            _ => Ok(vec![LicenseEvent::LicenseUnbound { unbound_at: Some(at) }]),
        }
    }

    fn renew(&self, issue: &Issue, days: u32, at: DateTime<Utc>) -> Result<Vec<LicenseEvent>, LicenseError> {
        let Some(duration) = issue.terms.duration_days else { return Err(LicenseError::Perpetual) };
        if issue.terms.policy.trial {
            return Err(LicenseError::Trial);
        }
        let limit = MAX_DURATION_DAYS.saturating_sub(duration.saturating_add(self.extra_days));
        if !(1..=MAX_DURATION_DAYS).contains(&days) || (self.expires_at.is_none() && days > limit) {
            return Err(LicenseError::InvalidDays);
        }
        let expires_at = self.expires_at.map(|end| end.max(at) + TimeDelta::days(days.into()));
        if expires_at.is_some_and(|end| end > at + TimeDelta::days(i64::from(MAX_DURATION_DAYS) * 2)) {
            return Err(LicenseError::InvalidDays);
        }
        Ok(vec![LicenseEvent::LicenseRenewed { days, expires_at }])
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

    /// A validity that has begun keeps its end, unless the new plan has none.
    fn go_over(
        &self,
        issue: &Issue,
        plan_id: PlanId,
        plan_version: u32,
        terms: LicenseTerms,
        at: DateTime<Utc>,
    ) -> Result<Vec<LicenseEvent>, LicenseError> {
        if (issue.plan_id, issue.plan_version, &issue.terms) == (plan_id, plan_version, &terms) {
            return Ok(vec![]);
        }
        let taken = self.places_taken(&terms, at);
        if taken > terms.max_machines as usize && terms.policy.overage == Overage::Refuse {
            return Err(LicenseError::TooManyMachines(terms.max_machines));
        }
        let was_endless = issue.terms.duration_days.is_none() && self.activated_at.is_some();
        let begins = was_endless || (terms.policy.valid_from == ValidFrom::Issue);
        let expires_at = match terms.duration_days {
            None => None,
            Some(_) => self.expires_at.or_else(|| self.end_from(&terms, at).filter(|_| begins)),
        };
        Ok(vec![LicenseEvent::LicenseMoved { plan_id, plan_version, terms, expires_at }])
    }

    fn report_usage(
        &self,
        issue: &Issue,
        meter: String,
        amount: u64,
        at: DateTime<Utc>,
    ) -> Result<Vec<LicenseEvent>, LicenseError> {
        self.check_usable(at)?;
        let policy = &issue.terms.policy;
        let Some(rule) = policy.meters.get(&meter) else { return Err(LicenseError::UnknownMeter(meter)) };
        let used = self.used.get(&meter).copied().unwrap_or(0);
        // What JSON numbers carry exactly.
        let total = used.checked_add(amount).filter(|total| amount > 0 && *total < 1 << 53);
        let Some(total) = total else { return Err(LicenseError::InvalidAmount) };
        let over_limit = rule.limit.is_some_and(|limit| total > limit);
        if let (Some(limit), true, Overage::Refuse) = (rule.limit, over_limit, policy.overage) {
            return Err(LicenseError::UsageLimit { meter, limit, used, amount });
        }
        Ok(vec![LicenseEvent::UsageReported { meter, amount, over_limit }])
    }
}
