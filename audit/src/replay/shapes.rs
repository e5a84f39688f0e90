//! The shapes of all events, written down a second time from their schemas and not from the code that writes them.
//!
//! What always holds: a payload with a field that is not known here is refused, so nothing can stand in the log that the
//! write side understands and the auditor overlooks. Everything is read without allocating but lists.

#![expect(dead_code, reason = "every field is there to be read and refused; rules look at some of them")]
#![expect(clippy::enum_variant_names, reason = "the names are those that stand in the log")]

use serde::Deserialize;

use super::policy::Policy;
use super::values::{Amount, Fingerprint, Id, Stored, Text, Time};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) enum TenantEvent {
    TenantCreated { name: Fingerprint },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Role {
    SuperAdmin,
    AgentAdmin,
    Agent,
    Analyst,
    Auditor,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) enum AccountEvent {
    AccountCreated(Profile),
    AccountDisabled {},
    AccountEnabled {},
    PasswordChanged {},
    AccountUnlocked {},
    CommissionRatesSet { rates: Vec<u16> },
    ErasureRequested { by: Id },
    PersonalDataErased { by: Id },
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Profile {
    pub username: Fingerprint,
    pub role: Role,
    pub ancestors: Vec<Id>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) enum ProjectEvent {
    ProjectCreated {
        details: Details,
        credentials: Credentials,
        signing_key: SigningKey,
    },
    ProjectChanged(Details),
    ProjectDisabled {},
    ProjectEnabled {},
    CredentialsRotated {
        credentials: Credentials,
        previous_until: Time,
    },
    SigningKeyRotated {
        signing_key: SigningKey,
        #[serde(default)]
        previous_until: Option<Time>,
    },
    PlanAdded {
        plan_id: Id,
        plan: Plan,
    },
    PlanChanged {
        plan_id: Id,
        plan: Plan,
    },
    ProjectGranted {
        agent_id: Id,
        #[serde(default)]
        expires_at: Option<Time>,
    },
    GrantRevoked {
        agent_id: Id,
    },
    CallbackTypesChosen {
        #[serde(default)]
        types: Option<Vec<Text>>,
    },
    CallbackSecretRotated {
        secret: CallbackSecret,
        #[serde(default)]
        previous_until: Option<Time>,
    },
    CallbacksStopped {},
    CallbacksResumed {},
    CallbackTested {
        delivery_id: Id,
    },
    CallbackReplayed {
        delivery_id: Id,
    },
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CallbackSecret {
    secret_id: Text,
    secret: Text,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Details {
    name: Text,
    #[serde(default)]
    description: Option<Text>,
    #[serde(default)]
    version: Option<Text>,
    #[serde(default)]
    callback_url: Option<Text>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Credentials {
    api_key_id: Text,
    api_secret: Text,
}

/// What a key of a project signs with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub(super) enum KeyAlgorithm {
    #[default]
    #[serde(rename = "ed25519")]
    Ed25519,
    #[serde(rename = "rsa-pss-sha256")]
    RsaPssSha256,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SigningKey {
    #[serde(default)]
    pub algorithm: KeyAlgorithm,
    key_id: Text,
    public_key: Text,
    secret_key: Text,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Plan {
    name: Text,
    unit_price: Amount,
    terms: Terms,
    #[serde(default = "first")]
    pub version: u32,
    #[serde(default)]
    retired: bool,
}

/// The version of a plan that was never changed.
fn first() -> u32 {
    1
}

/// What a licence grants.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Terms {
    pub duration_days: Option<u32>,
    pub max_machines: u32,
    #[serde(default)]
    pub features: Features,
    #[serde(default)]
    pub policy: Policy,
}

/// A list of names of which only sameness matters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Features(pub Fingerprint);

impl<'de> Deserialize<'de> for Features {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let names = Vec::<std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        if names.is_empty() {
            return Ok(Self::default());
        }
        let parts: Vec<&[u8]> = names.iter().map(|name| name.as_bytes()).collect();
        Ok(Self(Fingerprint::of(&parts)))
    }
}

/// Why quota is reserved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Purpose {
    Batch(Id),
    Withdrawal(Id),
    Transfer(Id),
}

/// What kind of movement between agents it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum MovementKind {
    Transfer,
    TopUp,
}

/// Where quota went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Destination {
    Sales { project_id: Id, batch_id: Id },
    PaidOut { withdrawal_id: Id },
    Agent { account_id: Id, kind: MovementKind },
}

/// Where quota that is taken back goes, and where what is given back comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Origin {
    Issuance,
    Agent { account_id: Id },
    Sales { project_id: Id, batch_id: Id },
}

/// What a reversal takes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Reversed {
    Journal(Id),
    Batch(Id),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) enum QuotaEvent {
    QuotaToppedUp {
        journal_id: Id,
        amount: Amount,
        #[serde(default)]
        note: Option<Text>,
    },
    QuotaSent {
        journal_id: Id,
        kind: MovementKind,
        to: Id,
        amount: Amount,
        #[serde(default)]
        note: Option<Text>,
        #[serde(default)]
        at: Option<Time>,
    },
    QuotaReceived {
        journal_id: Id,
        kind: MovementKind,
        from: Id,
        amount: Amount,
        #[serde(default)]
        note: Option<Text>,
    },
    QuotaSpent {
        journal_id: Id,
        amount: Amount,
        to: Destination,
    },
    QuotaHeld {
        hold_id: Id,
        amount: Amount,
        purpose: Purpose,
        #[serde(default)]
        at: Option<Time>,
        #[serde(default)]
        expires_at: Option<Time>,
    },
    HoldSettled {
        hold_id: Id,
        journal_id: Id,
        amount: Amount,
        to: Destination,
    },
    HoldReleased {
        hold_id: Id,
        journal_id: Id,
        amount: Amount,
    },
    HoldExpired {
        hold_id: Id,
        journal_id: Id,
        amount: Amount,
    },
    CommissionEarned(Commission),
    QuotaTakenBack(Return),
    QuotaGivenBack(Return),
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Commission {
    pub journal_id: Id,
    pub amount: Amount,
    pub project_id: Id,
    pub batch_id: Id,
    pub seller: Id,
    pub level: u8,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Return {
    pub journal_id: Id,
    pub reverses: Reversed,
    pub amount: Amount,
    pub origin: Origin,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) enum BatchEvent {
    BatchRequested(BatchRequest),
    ChunkIssued {
        chunk: u32,
        count: u32,
        amount: Amount,
        #[serde(default)]
        commissions: Vec<Earned>,
    },
    BatchCompleted {},
    BatchStopped {
        reason: StopReason,
        remaining: u32,
    },
    BatchRefunded {
        journal_id: Id,
        amount: Amount,
        #[serde(default)]
        order_id: Option<Id>,
        #[serde(default)]
        by: Option<Id>,
    },
    BatchLinkedToOrder {
        order_id: Id,
    },
    RefundedLicensesDisabled {
        chunk: u32,
        count: u32,
    },
    BatchExported {
        by: Id,
        format: ExportFormat,
        count: u32,
    },
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum StopReason {
    ProjectDisabled,
    Refunded,
    Cancelled,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ExportFormat {
    Csv,
    Xlsx,
    Txt,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BatchRequest {
    pub agent_id: Id,
    pub project_id: Id,
    pub plan_id: Id,
    #[serde(default = "first")]
    pub plan_version: u32,
    pub terms: Terms,
    pub count: u32,
    pub total_price: Amount,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Earned {
    pub account_id: Id,
    pub amount: Amount,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) enum LicenseEvent {
    LicenseIssued(Issue),
    LicenseActivated {
        activated_at: Time,
        #[serde(default)]
        expires_at: Option<Time>,
        machine: Machine,
    },
    MachineBound {
        machine: Machine,
        #[serde(default)]
        over_limit: bool,
    },
    MachineChanged {
        fingerprint_hash: Fingerprint,
        machine: Machine,
    },
    LeaseExtended {
        fingerprint_hash: Fingerprint,
        held_until: Time,
    },
    MachineLapsed {
        fingerprint_hash: Fingerprint,
    },
    ValidityBegan {
        expires_at: Time,
    },
    UsageReported {
        meter: Fingerprint,
        amount: u64,
        #[serde(default)]
        over_limit: bool,
    },
    MachineDeactivated {
        fingerprint_hash: Fingerprint,
    },
    LicenseUnbound {
        #[serde(default)]
        unbound_at: Option<Time>,
    },
    LicenseDisabled {},
    LicenseEnabled {},
    LicenseRevoked {
        #[serde(default)]
        reason: Option<Text>,
    },
    LicenseRenewed {
        days: u32,
        #[serde(default)]
        expires_at: Option<Time>,
    },
    LicenseExpired {
        expires_at: Time,
    },
    LicenseMoved {
        plan_id: Id,
        plan_version: u32,
        terms: Terms,
        #[serde(default)]
        expires_at: Option<Time>,
    },
    LicenseTransferred {
        #[serde(default)]
        holder: Option<Text>,
    },
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Issue {
    pub batch_id: Id,
    pub project_id: Id,
    pub plan_id: Id,
    #[serde(default = "first")]
    pub plan_version: u32,
    pub agent_id: Id,
    pub terms: Terms,
    pub key_hash: Fingerprint,
    key: Text,
    #[serde(default)]
    pub expires_at: Option<Time>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Machine {
    pub fingerprint_hash: Fingerprint,
    #[serde(default)]
    name: Option<Text>,
    #[serde(default)]
    #[expect(clippy::zero_sized_map_values, reason = "the values are read and nothing is kept of them")]
    components: std::collections::BTreeMap<String, Text>,
    #[serde(default)]
    pub held_until: Option<Time>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) enum WithdrawalEvent {
    WithdrawalRequested(WithdrawalRequest),
    WithdrawalReleased {
        by: Id,
        amount: Amount,
    },
    WithdrawalCancelled {},
    WithdrawalExpired {},
    WithdrawalApproved {
        by: Id,
    },
    WithdrawalRefused {
        by: Id,
        #[serde(default)]
        reason: Option<Text>,
    },
    WithdrawalPaid {
        by: Id,
        #[serde(default)]
        reference: Option<Text>,
    },
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WithdrawalRequest {
    pub agent_id: Id,
    pub amount: Amount,
    payee: Text,
    #[serde(default)]
    pub reasons: Vec<Reason>,
    #[serde(default)]
    pub expires_at: Option<Time>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Reason {
    AmountAbove { limit: Amount },
    SumAbove { limit: Amount, sum: Amount, minutes: u32 },
    CountAbove { limit: u32, count: u32, minutes: u32 },
    NewReceiver { limit: Amount },
    Night { limit: Amount },
    SecondPerson { limit: Amount },
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) enum TransferEvent {
    TransferSuspended(TransferRequest),
    TransferReleased {
        by: Id,
        amount: Amount,
    },
    TransferRefused {
        by: Id,
        #[serde(default)]
        reason: Option<Text>,
    },
    TransferExpired {},
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TransferRequest {
    pub kind: MovementKind,
    #[serde(default)]
    pub from: Option<Id>,
    pub to: Id,
    pub amount: Amount,
    #[serde(default)]
    note: Option<Text>,
    pub asked_by: Id,
    pub reasons: Vec<Reason>,
    #[serde(default)]
    pub expires_at: Option<Time>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) enum ReversalEvent {
    JournalReversed { journal_id: Id, reverses: Id, amount: Amount, reason: Text, by: Id },
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) enum ProposalEvent {
    ActProposed(Proposed),
    ActConfirmed {
        by: Id,
    },
    ActDeclined {
        by: Id,
        #[serde(default)]
        reason: Option<Text>,
    },
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Proposed {
    pub act: Act,
    pub amount: Amount,
    pub limit: Amount,
    pub asked_by: Id,
    #[serde(default)]
    expires_at: Option<Time>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Act {
    ReverseJournal {
        reverses: Id,
        from: Id,
        #[serde(default)]
        to: Option<Id>,
        original: Amount,
        reason: Text,
    },
    RefundBatch {
        batch_id: Id,
    },
    RefundOrder {
        order_id: Id,
        batch_id: Id,
        refund: OrderRefund,
    },
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OrderRefund {
    amount: Amount,
    #[serde(default)]
    provider_refund_id: Option<Text>,
    refunded_at: Time,
    #[serde(default)]
    reason: Option<Text>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) enum OrderEvent {
    OrderPaid(Payment),
    OrderRefunded {
        amount: Amount,
        #[serde(default)]
        provider_refund_id: Option<Stored>,
        refunded_at: Time,
        #[serde(default)]
        reason: Option<Stored>,
    },
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Payment {
    pub provider: Fingerprint,
    pub provider_order_id: Fingerprint,
    pub amount: Amount,
    pub currency: Fingerprint,
    pub paid_at: Time,
    pub agent_id: Id,
    #[serde(default)]
    pub batch_id: Option<Id>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) enum RiskPolicyEvent {
    RiskRulesSet { rules: Rules, by: Id },
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rules {
    #[serde(default)]
    min_transfer: Option<Amount>,
    #[serde(default)]
    min_withdrawal: Option<Amount>,
    #[serde(default)]
    max_withdrawn_per_day: Option<Amount>,
    #[serde(default)]
    pub transfers: MovementRules,
    #[serde(default)]
    pub withdrawals: MovementRules,
    #[serde(default)]
    pub night: Option<Night>,
    #[serde(default)]
    pub second_person_above: Option<Amount>,
    #[serde(default)]
    pub review_within_minutes: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MovementRules {
    #[serde(default)]
    amount_above: Option<Amount>,
    #[serde(default)]
    pub window: Option<Window>,
    #[serde(default)]
    new_receiver_above: Option<Amount>,
    #[serde(default)]
    pub night_above: Option<Amount>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Window {
    pub minutes: u32,
    #[serde(default)]
    sum_above: Option<Amount>,
    #[serde(default)]
    count_above: Option<u32>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Night {
    pub from_minute: u16,
    pub to_minute: u16,
    pub utc_offset_minutes: i16,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) enum ReconciliationEvent {
    ReconciliationRequested(RunRequest),
    ReconciliationCompleted(RunOutcome),
    ReconciliationAbandoned {
        reason: Text,
        #[serde(default)]
        detail: Option<Text>,
    },
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RunRequest {
    subject: RunSubject,
    #[serde(default)]
    by: Option<Id>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum RunSubject {
    Internal { full: bool },
    External(BillRun),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BillRun {
    provider: Text,
    bill_sha256: Text,
    mapping: Text,
    #[serde(default)]
    from: Option<Text>,
    #[serde(default)]
    to: Option<Text>,
    tolerance_minor_units: u64,
    tolerance_days: u32,
    #[serde(default)]
    rules: Vec<Text>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RunOutcome {
    pub from_position: u64,
    pub position: u64,
    checked: u64,
    #[serde(default)]
    counts: std::collections::BTreeMap<String, u64>,
    #[serde(default)]
    state_digest: Option<Text>,
    #[serde(default)]
    log_digest: Option<Text>,
    #[serde(default)]
    report_digest: Option<Text>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) enum CaseEvent {
    CaseOpened {
        subject: CaseSubject,
        seen: CaseSighting,
    },
    CaseChanged(CaseSighting),
    CaseNoted {
        by: Id,
        note: Text,
    },
    CaseResolved {
        by: Id,
        resolution: Text,
        explanation: Text,
        #[serde(default)]
        reference: Option<Text>,
    },
    CaseVanished {
        run_id: Id,
    },
    CaseReopened(CaseSighting),
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum RunKind {
    Internal,
    External,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CaseSubject {
    kind: RunKind,
    source: Text,
    class: Text,
    key: Text,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CaseSighting {
    run_id: Id,
    #[serde(default)]
    ours: Option<Text>,
    #[serde(default)]
    theirs: Option<Text>,
    #[serde(default)]
    amount: Option<i64>,
}
