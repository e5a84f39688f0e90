//! Which problem an error becomes: one exhaustive match for each error that handlers meet.

use quotary_commands::log::append::AppendError;
use quotary_commands::log::stream::LoadError;
use quotary_commands::session::tokens::SessionError;
use quotary_commands::{CommandError, Refusal, VaultError, clock};
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
use quotary_projections::log_reader::LogError;
use quotary_projections::page::PageError;
use quotary_projections::statement_walk::WalkError;
use quotary_projections::wait::WaitError;

use crate::client_signature::SignatureError;
use crate::problem::{Code, Problem};

impl From<CommandError<Refusal>> for Problem {
    fn from(error: CommandError<Refusal>) -> Self {
        match error {
            CommandError::Refused(refusal) => refusal.into(),
            CommandError::OtherTenant => Self::not_found("thing"),
            CommandError::Taken(what) => Self::new(Code::Taken, format!("the {what} is taken"))
                .with_error(format!("/{what}"), format!("the {what} is taken")),
            CommandError::KeyReused => {
                Self::new(Code::IdempotencyKeyReused, "the idempotency key was used for another request")
            }
            CommandError::Changed { actual } => {
                Self::new(Code::PreconditionFailed, format!("the resource has changed: its ETag is \"{actual}\""))
            }
            CommandError::Contention => Self::new(Code::Contention, "too many commands on one thing; try again"),
            CommandError::Unavailable(error) => match error {
                AppendError::Conflict | AppendError::ReceiptTaken | AppendError::ClaimTaken(_) => {
                    Self::internal(&error)
                }
                AppendError::Unavailable(_) | AppendError::Stopping => Self::unavailable(&error),
            },
            CommandError::Load(error) => error.into(),
            CommandError::Vault(error) => error.into(),
            CommandError::Database(error) => error.into(),
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Forbidden => Self::new(Code::Forbidden, "the account has no right to do this"),
            Refusal::NotFound(what) => Self::not_found(what),
            Refusal::Invalid { field, detail } => Self::invalid(format!("/{field}"), detail),
            Refusal::AccountDisabled => Self::new(Code::AccountDisabled, "the account is disabled"),
            Refusal::WithdrawalsWait => Self::new(Code::WrongStatus, "withdrawals of the account wait for a decision"),
            Refusal::WithdrawalUnpaid(id) => Self::new(
                Code::WrongStatus,
                format!(
                    "withdrawal {id} is approved and not marked as paid; without its bank details it can't be paid"
                ),
            ),
            Refusal::QuotaMoved => Self::new(Code::Contention, "the quota of the account has just moved; try again"),
            Refusal::NotReversible(kind) => not_reversible(kind),
            Refusal::BatchRefunded => {
                Self::new(Code::BatchRefunded, "the batch was refunded, so its licences stay disabled")
            }
            Refusal::DeliveryPending => Self::new(Code::WrongStatus, "the callback is still on its way"),
            Refusal::WrongPassword => Self::new(Code::WrongPassword, "the present password is wrong")
                .with_error("/current_password", "is not the present password"),
            Refusal::Tenant(TenantError::Exists(_)) => Self::of(Code::AlreadyExists),
            Refusal::Account(error) => account(&error),
            Refusal::Project(error) => project(&error),
            Refusal::AgentQuota(error) => agent_quota(&error),
            Refusal::LicenseBatch(error) => license_batch(&error),
            Refusal::License(error) => license(&error),
            Refusal::Withdrawal(error) => withdrawal(&error),
            Refusal::Transfer(error) => transfer(&error),
            Refusal::RiskPolicy(error) => risk_policy(&error),
            Refusal::Reversal(error) => reversal(&error),
            Refusal::Proposal(error) => proposal(&error),
            Refusal::Order(error) => order(&error),
            Refusal::Reconciliation(error) => reconciliation(&error),
            Refusal::Case(error) => case(&error),
        }
    }
}

/// What to do instead.
fn not_reversible(kind: JournalKind) -> Problem {
    let detail = match kind {
        JournalKind::TopUp | JournalKind::Transfer => "the journal is not complete",
        JournalKind::Hold => "a hold is settled or released, not reversed",
        JournalKind::Release | JournalKind::Expiry => "what a hold gave back can't be taken again",
        JournalKind::Issue | JournalKind::Commission => "a sale is taken back by the refund of its batch or order",
        JournalKind::Withdrawal => "money that was paid out can't be taken back",
        JournalKind::Reversal | JournalKind::Refund => "a reversal or refund can't be reversed",
    };
    Problem::new(Code::NotReversible, detail)
}

fn account(error: &AccountError) -> Problem {
    match error {
        AccountError::Unknown => Problem::not_found("account"),
        AccountError::Exists => Problem::new(Code::AlreadyExists, error.to_string()),
        AccountError::TooDeep => Problem::new(Code::LimitReached, error.to_string()),
        AccountError::InvalidRates => Problem::invalid("/rates", error.to_string()),
        AccountError::Erased | AccountError::NotDisabled => Problem::new(Code::WrongStatus, error.to_string()),
    }
}

fn project(error: &ProjectError) -> Problem {
    match error {
        ProjectError::Unknown => Problem::not_found("project"),
        ProjectError::UnknownPlan(_) => Problem::not_found("plan"),
        ProjectError::Exists | ProjectError::PlanExists => Problem::new(Code::AlreadyExists, error.to_string()),
        ProjectError::Disabled => Problem::new(Code::ProjectDisabled, error.to_string()),
        ProjectError::InvalidPlan { pointer, detail } => Problem::invalid(*pointer, *detail),
        ProjectError::PlanRetired => Problem::new(Code::PlanRetired, error.to_string()),
        ProjectError::TooMany(_) => Problem::new(Code::LimitReached, error.to_string()),
        ProjectError::NotGranted => Problem::new(Code::ProjectNotGranted, error.to_string()),
        ProjectError::NoCallbacks => Problem::new(Code::WrongStatus, error.to_string()),
        ProjectError::ExpiryInPast => Problem::invalid("/expires_at", error.to_string()),
        ProjectError::Price(_) => Problem::invalid("/count", error.to_string()),
    }
}

fn agent_quota(error: &AgentQuotaError) -> Problem {
    match error {
        AgentQuotaError::Insufficient { .. } => Problem::new(Code::InsufficientQuota, error.to_string()),
        AgentQuotaError::ZeroAmount | AgentQuotaError::TooLarge(_) => Problem::invalid("/amount", error.to_string()),
        AgentQuotaError::ToOneself => Problem::invalid("/to_username", error.to_string()),
        AgentQuotaError::HoldReused(_) => Problem::new(Code::AlreadyExists, error.to_string()),
        AgentQuotaError::UnknownHold(_) | AgentQuotaError::HoldExceeded { .. } | AgentQuotaError::NotExpired(_) => {
            Problem::new(Code::WrongStatus, error.to_string())
        }
        AgentQuotaError::TooManyHolds => Problem::new(Code::LimitReached, error.to_string()),
    }
}

fn license_batch(error: &LicenseBatchError) -> Problem {
    match error {
        LicenseBatchError::Unknown => Problem::not_found("batch"),
        LicenseBatchError::Exists => Problem::new(Code::AlreadyExists, error.to_string()),
        LicenseBatchError::InvalidCount => Problem::invalid("/count", error.to_string()),
        LicenseBatchError::WrongChunk { .. } | LicenseBatchError::Ended(_) | LicenseBatchError::NotRefunded => {
            Problem::new(Code::WrongStatus, error.to_string())
        }
        LicenseBatchError::AlreadyRefunded(_) => Problem::new(Code::AlreadyRefunded, error.to_string()),
        LicenseBatchError::OtherOrder(_) => Problem::new(Code::BatchHasOrder, error.to_string()),
    }
}

fn license(error: &LicenseError) -> Problem {
    match error {
        LicenseError::Unknown => Problem::not_found("licence"),
        LicenseError::Exists => Problem::new(Code::AlreadyExists, error.to_string()),
        LicenseError::WrongStatus(_)
        | LicenseError::Perpetual
        | LicenseError::Trial
        | LicenseError::UnknownMachine
        | LicenseError::MachineDead => Problem::new(Code::WrongStatus, error.to_string()),
        LicenseError::TooManyMachines(_)
        | LicenseError::TooManyUnbinds(_)
        | LicenseError::UnboundLately(_)
        | LicenseError::TooManyTransfers(_) => Problem::new(Code::LimitReached, error.to_string()),
        LicenseError::UnknownMeter(_) => Problem::invalid("/meter", error.to_string()),
        LicenseError::UsageLimit { .. } => Problem::new(Code::UsageLimitReached, error.to_string()),
        LicenseError::InvalidAmount => Problem::invalid("/amount", error.to_string()),
        LicenseError::InvalidDays => Problem::invalid("/days", error.to_string()),
    }
}

fn withdrawal(error: &WithdrawalError) -> Problem {
    match error {
        WithdrawalError::Unknown => Problem::not_found("withdrawal"),
        WithdrawalError::Exists => Problem::new(Code::AlreadyExists, error.to_string()),
        WithdrawalError::OwnRequest => Problem::new(Code::OwnRequest, error.to_string()),
        WithdrawalError::SamePerson => Problem::new(Code::SecondPersonRequired, error.to_string()),
        WithdrawalError::NotOwn => Problem::new(Code::Forbidden, error.to_string()),
        WithdrawalError::Overdue(_) => Problem::new(Code::ReviewOver, error.to_string()),
        WithdrawalError::InvalidAmount(_) => Problem::invalid("/amount", error.to_string()),
        WithdrawalError::WrongStatus(_) | WithdrawalError::NotExpired => {
            Problem::new(Code::WrongStatus, error.to_string())
        }
    }
}

fn transfer(error: &TransferError) -> Problem {
    match error {
        TransferError::Unknown => Problem::not_found("transfer"),
        TransferError::Exists => Problem::new(Code::AlreadyExists, error.to_string()),
        TransferError::Party => Problem::new(Code::SecondPersonRequired, error.to_string()),
        TransferError::NotSuspended(_) => Problem::new(Code::TransferNotSuspended, error.to_string()),
        TransferError::Overdue(_) => Problem::new(Code::ReviewOver, error.to_string()),
        TransferError::InvalidAmount(_) => Problem::invalid("/amount", error.to_string()),
        TransferError::NotExpired => Problem::new(Code::WrongStatus, error.to_string()),
    }
}

fn risk_policy(error: &RiskPolicyError) -> Problem {
    match error {
        RiskPolicyError::Invalid { field, detail } => Problem::invalid(format!("/{field}"), *detail),
        RiskPolicyError::BelowMinimum { .. } => Problem::invalid("/amount", error.to_string()),
        RiskPolicyError::AboveMaximum { .. } => Problem::new(Code::LimitReached, error.to_string()),
    }
}

fn proposal(error: &ProposalError) -> Problem {
    match error {
        ProposalError::Unknown => Problem::not_found("proposal"),
        ProposalError::Exists => Problem::new(Code::AlreadyExists, error.to_string()),
        ProposalError::SamePerson => Problem::new(Code::SecondPersonRequired, error.to_string()),
        ProposalError::NotOpen(_) => Problem::new(Code::WrongStatus, error.to_string()),
        ProposalError::Overdue(_) => Problem::new(Code::ReviewOver, error.to_string()),
    }
}

fn reversal(error: &ReversalError) -> Problem {
    match error {
        ReversalError::AlreadyReversed(_) => Problem::new(Code::AlreadyReversed, error.to_string()),
        ReversalError::InvalidAmount(_) => Problem::invalid("/amount", error.to_string()),
    }
}

fn order(error: &OrderError) -> Problem {
    match error {
        OrderError::Unknown => Problem::not_found("order"),
        OrderError::Exists | OrderError::RefundExists => Problem::new(Code::AlreadyExists, error.to_string()),
        OrderError::AlreadyRefunded => Problem::new(Code::AlreadyRefunded, error.to_string()),
        OrderError::TooManyRefunds => Problem::new(Code::LimitReached, error.to_string()),
        OrderError::InvalidAmount(_) => Problem::invalid("/amount", error.to_string()),
        OrderError::Invalid(detail) => Problem::new(Code::ValidationFailed, *detail),
    }
}

fn reconciliation(error: &ReconciliationError) -> Problem {
    match error {
        ReconciliationError::Unknown => Problem::not_found("reconciliation"),
        ReconciliationError::Exists => Problem::new(Code::AlreadyExists, error.to_string()),
        ReconciliationError::Ended | ReconciliationError::Positions => {
            Problem::new(Code::WrongStatus, error.to_string())
        }
    }
}

fn case(error: &CaseError) -> Problem {
    match error {
        CaseError::Unknown => Problem::not_found("case"),
        CaseError::Other => Problem::new(Code::AlreadyExists, error.to_string()),
        CaseError::NotOpen(_) => Problem::new(Code::WrongStatus, error.to_string()),
        CaseError::Invalid { field, detail } => Problem::invalid(format!("/{field}"), *detail),
        CaseError::TooManyNotes => Problem::new(Code::LimitReached, error.to_string()),
    }
}

impl From<SessionError> for Problem {
    fn from(error: SessionError) -> Self {
        match error {
            SessionError::WrongCredentials => Self::of(Code::WrongCredentials),
            SessionError::Locked(until) => {
                let seconds = (until - clock::now()).num_seconds().max(0).cast_unsigned();
                Self::new(Code::AccountLocked, "too many failed logins").retry_after(seconds + 1)
            }
            SessionError::InvalidToken => Self::of(Code::InvalidRefreshToken),
            SessionError::TenantNeeded => Self::invalid("/tenant", "there is not exactly one tenant; name yours"),
            SessionError::Database(error) => error.into(),
            SessionError::Vault(error) => error.into(),
            SessionError::Load(error) => error.into(),
        }
    }
}

impl From<SignatureError> for Problem {
    fn from(error: SignatureError) -> Self {
        Self::new(signature_code(&error), error.to_string())
    }
}

/// The problem code of a refused signature; its text is [`SignatureError::code`].
fn signature_code(error: &SignatureError) -> Code {
    match error {
        SignatureError::Missing { .. } => Code::SignatureMissing,
        SignatureError::TooLarge { .. } => Code::SignatureTooLarge,
        SignatureError::Malformed { .. } => Code::SignatureMalformed,
        SignatureError::Ambiguous { .. } => Code::SignatureAmbiguous,
        SignatureError::LabelUnmatched { .. } => Code::SignatureLabelUnmatched,
        SignatureError::AlgorithmUnsupported { .. } => Code::SignatureAlgorithmUnsupported,
        SignatureError::ParameterUnsupported { .. } => Code::SignatureParameterUnsupported,
        SignatureError::KeyIdMissing => Code::KeyIdMissing,
        SignatureError::ApiKeyUnknown => Code::ApiKeyUnknown,
        SignatureError::CreatedMissing => Code::CreatedMissing,
        SignatureError::TooOld { .. } => Code::SignatureTooOld,
        SignatureError::InFuture { .. } => Code::SignatureInFuture,
        SignatureError::Expired { .. } => Code::SignatureExpired,
        SignatureError::ComponentsMissing { .. } => Code::SignatureComponentsMissing,
        SignatureError::ComponentDuplicated { .. } => Code::SignatureComponentDuplicated,
        SignatureError::ComponentUnsupported { .. } => Code::SignatureComponentUnsupported,
        SignatureError::ComponentParameterUnsupported { .. } => Code::SignatureComponentParameterUnsupported,
        SignatureError::ComponentAbsent { .. } => Code::SignatureComponentAbsent,
        SignatureError::NonceMissing => Code::NonceMissing,
        SignatureError::NonceMismatch => Code::NonceMismatch,
        SignatureError::NonceTooLong { .. } => Code::NonceTooLong,
        SignatureError::NonceReplayed => Code::NonceReplayed,
        SignatureError::NonceStoreFull => Code::NonceStoreFull,
        SignatureError::ContentDigestMissing => Code::ContentDigestMissing,
        SignatureError::ContentDigestMalformed => Code::ContentDigestMalformed,
        SignatureError::ContentDigestUnsupported => Code::ContentDigestUnsupported,
        SignatureError::ContentDigestMismatch => Code::ContentDigestMismatch,
        SignatureError::Invalid => Code::SignatureInvalid,
    }
}

impl From<LoadError> for Problem {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Database(error) => error.into(),
            LoadError::Payload { .. } | LoadError::Gap { .. } => Self::internal(&error),
        }
    }
}

impl From<VaultError> for Problem {
    fn from(error: VaultError) -> Self {
        match error {
            VaultError::MasterKey | VaultError::Unreadable => Self::internal(&error),
            VaultError::Random | VaultError::KeyPair => Self::unavailable(&error),
            VaultError::Erased => Self::new(Code::NotFound, "the data was erased"),
        }
    }
}

impl From<PageError> for Problem {
    fn from(error: PageError) -> Self {
        match error {
            PageError::Cursor(error) => Self::parameter("cursor", error.to_string()),
            PageError::Database(error) => error.into(),
        }
    }
}

impl From<WalkError> for Problem {
    fn from(error: WalkError) -> Self {
        match error {
            WalkError::Database(error) => error.into(),
            WalkError::Sum { .. } | WalkError::Count { .. } => Self::internal(&error),
        }
    }
}

impl From<LogError> for Problem {
    fn from(error: LogError) -> Self {
        match error {
            LogError::Database(error) => error.into(),
            LogError::Gap { .. } | LogError::Negative(_) => Self::internal(&error),
        }
    }
}

impl From<WaitError> for Problem {
    fn from(error: WaitError) -> Self {
        match error {
            WaitError::Behind { .. } => Self::new(Code::ReadModelBehind, error.to_string()),
            WaitError::Database(error) => error.into(),
        }
    }
}

impl From<sqlx::Error> for Problem {
    fn from(error: sqlx::Error) -> Self {
        let class = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
        match class.as_deref().and_then(|code| code.get(..2)) {
            // Class 22, data exception: a value of the request that PostgreSQL can't represent.
            Some("22") => {
                tracing::info!(error = %error, "the database can't represent a value of a request");
                Self::new(Code::InvalidParameter, "a value can't be represented")
            }
            // Too many connections, shutting down, cancelled, deadlock, serialization, read-only standby.
            Some("53" | "57" | "40" | "08" | "25") => Self::unavailable(&error),
            Some(_) => Self::internal(&error),
            None => match error {
                sqlx::Error::Io(_)
                | sqlx::Error::Tls(_)
                | sqlx::Error::PoolTimedOut
                | sqlx::Error::PoolClosed
                | sqlx::Error::WorkerCrashed
                | sqlx::Error::Protocol(_) => Self::unavailable(&error),
                other => Self::internal(&other),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_error_keeps_its_own_code() {
        for error in [
            SignatureError::Missing { header: "signature" },
            SignatureError::NonceReplayed,
            SignatureError::NonceStoreFull,
            SignatureError::ContentDigestMismatch,
            SignatureError::TooOld { age_seconds: 301 },
            SignatureError::ApiKeyUnknown,
            SignatureError::Invalid,
        ] {
            assert_eq!(signature_code(&error).slug(), error.code());
        }
    }
}
