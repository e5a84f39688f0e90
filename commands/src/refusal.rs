//! Why a rule forbids a command: one list for all use cases, so that every edge answers each of them.

use quotary_domain::WithdrawalId;
use quotary_domain::account::AccountError;
use quotary_domain::agent_quota::AgentQuotaError;
use quotary_domain::case::CaseError;
use quotary_domain::ledger::JournalKind;
use quotary_domain::license::LicenseError;
use quotary_domain::license_batch::LicenseBatchError;
use quotary_domain::order::OrderError;
use quotary_domain::project::ProjectError;
use quotary_domain::proposal::ProposalError;
use quotary_domain::reconciliation::ReconciliationError;
use quotary_domain::reversal::ReversalError;
use quotary_domain::risk::RiskPolicyError;
use quotary_domain::tenant::TenantError;
use quotary_domain::transfer::TransferError;
use quotary_domain::withdrawal::WithdrawalError;

/// A rule that forbids a command.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The actor has no right to it.
    #[error("the actor has no right to do this")]
    Forbidden,
    /// What the command names does not exist, or the actor can't see it.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// A field has a value that is never allowed.
    #[error("{field}: {detail}")]
    Invalid {
        /// The field's name in the request.
        field: &'static str,
        /// What is wrong with it.
        detail: String,
    },
    /// The other account is disabled.
    #[error("the account is disabled")]
    AccountDisabled,
    /// Withdrawals of the account wait for a decision.
    #[error("withdrawals of the account wait for a decision")]
    WithdrawalsWait,
    /// A withdrawal of the account is approved and its money not sent yet.
    #[error("withdrawal {0} of the account is approved and not paid yet")]
    WithdrawalUnpaid(WithdrawalId),
    /// The account's quota moved while it was looked for what is not paid yet.
    #[error("the quota of the account has just moved")]
    QuotaMoved,
    /// A journal of this kind is not taken back by itself.
    #[error("a journal of the kind {} can't be reversed", .0.as_str())]
    NotReversible(JournalKind),
    /// The batch of a licence was refunded.
    #[error("the batch of the licence was refunded")]
    BatchRefunded,
    /// The present password is wrong.
    #[error("the password is wrong")]
    WrongPassword,
    /// The callback is still on its way.
    #[error("the callback is still on its way")]
    DeliveryPending,
    /// A rule of [`quotary_domain::tenant`].
    #[error(transparent)]
    Tenant(#[from] TenantError),
    /// A rule of [`quotary_domain::account`].
    #[error(transparent)]
    Account(#[from] AccountError),
    /// A rule of [`quotary_domain::project`].
    #[error(transparent)]
    Project(#[from] ProjectError),
    /// A rule of [`quotary_domain::agent_quota`].
    #[error(transparent)]
    AgentQuota(#[from] AgentQuotaError),
    /// A rule of [`quotary_domain::license_batch`].
    #[error(transparent)]
    LicenseBatch(#[from] LicenseBatchError),
    /// A rule of [`quotary_domain::license`].
    #[error(transparent)]
    License(#[from] LicenseError),
    /// A rule of [`quotary_domain::withdrawal`].
    #[error(transparent)]
    Withdrawal(#[from] WithdrawalError),
    /// A rule of [`quotary_domain::transfer`].
    #[error(transparent)]
    Transfer(#[from] TransferError),
    /// A rule of [`quotary_domain::risk`].
    #[error(transparent)]
    RiskPolicy(#[from] RiskPolicyError),
    /// A rule of [`quotary_domain::reversal`].
    #[error(transparent)]
    Reversal(#[from] ReversalError),
    /// A rule of [`quotary_domain::proposal`].
    #[error(transparent)]
    Proposal(#[from] ProposalError),
    /// A rule of [`quotary_domain::order`].
    #[error(transparent)]
    Order(#[from] OrderError),
    /// A rule of [`quotary_domain::reconciliation`].
    #[error(transparent)]
    Reconciliation(#[from] ReconciliationError),
    /// A rule of [`quotary_domain::case`].
    #[error(transparent)]
    Case(#[from] CaseError),
}

impl Refusal {
    pub(crate) fn invalid(field: &'static str, detail: impl Into<String>) -> Self {
        Self::Invalid { field, detail: detail.into() }
    }

    /// Refuses a text that is longer than `max` characters, empty where it must not be, or has control characters.
    pub(crate) fn check_text(field: &'static str, text: &str, min: usize, max: usize) -> Result<(), Self> {
        let length = text.chars().count();
        if !(min..=max).contains(&length) {
            return Err(Self::invalid(field, format!("must have {min} to {max} characters")));
        }
        if text.chars().any(|c| c.is_control() && c != '\n' && c != '\t') {
            return Err(Self::invalid(field, "must not have control characters"));
        }
        Ok(())
    }
}
