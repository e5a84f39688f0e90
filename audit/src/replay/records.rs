//! Tenants, accounts, projects, policies, orders, proposals, reconciliations and cases: what brings them into being, and their
//! legal changes.

use hashbrown::{HashMap, HashSet};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::ledger::{spot, spot_finding};
use super::shapes::{
    AccountEvent, Act, CaseEvent, KeyAlgorithm, OrderEvent, ProjectEvent, ProposalEvent, ReconciliationEvent,
    RiskPolicyEvent, Role, Rules, TenantEvent,
};
use super::standing::OrderTexts;
use super::step::{Confirmed, Spot, SpotKind, Step, Subject};
use super::values::{Fingerprint, Id};
use super::{Found, Kind, Seen};

/// The deepest tree of accounts.
const MAX_DEPTH: usize = 16;

/// What is known of everything that moves no quota.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Records {
    names: HashSet<Id>,
    pub accounts: HashMap<Id, Account>,
    /// The super admins of each tenant, and where each was made.
    pub super_admins: HashMap<u32, Vec<(Id, u64)>>,
    /// Projects, and whether each is disabled.
    projects: HashMap<Id, bool>,
    /// Projects that have an RSA key.
    rsa_keys: HashSet<Id>,
    /// Versions of plans, by project and plan.
    plans: HashMap<Id, u32>,
    pub orders: HashMap<Id, Order>,
    reconciliations: HashMap<Id, RunState>,
    cases: HashMap<Id, CaseState>,
    proposals: HashMap<Id, Proposal>,
    /// What one person may move alone, by tenant.
    alone: HashMap<u32, u64>,
}

fn plan_key(project: Id, plan: Id) -> Id {
    Fingerprint::of(&[&project.0, &plan.0]).id()
}

/// What waits for a second person.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Proposal {
    subject: Subject,
    asked_by: Id,
    open: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Account {
    pub ancestors: Vec<Id>,
    disabled: bool,
    erasure_requested_by: Option<Id>,
    erased: bool,
}

/// A payment at a provider.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Order {
    pub tenant: u32,
    pub amount: u64,
    pub refunded: Option<u64>,
    pub batch: Option<Id>,
    pub agent: Id,
    pub paid_at: i64,
    pub recorded_at: i64,
    pub refunds: u64,
    pub refunded_at: Option<i64>,
    pub texts: OrderTexts,
    pub position: u64,
    pub sequence: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum RunState {
    Requested,
    Ended,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum CaseState {
    Open,
    Resolved,
    Vanished,
}

impl Records {
    /// An event of a tenant.
    pub fn tenant(&mut self, seen: &Seen<'_>, event: &TenantEvent, found: &mut Found) {
        let TenantEvent::TenantCreated { name } = event;
        if seen.sequence != 1 {
            found.add(seen.finding(Kind::StreamStart, "the tenant was created before"));
        }
        if Id::from(seen.tenant_id) != seen.id {
            found.add(seen.finding(Kind::StreamTenant, "a tenant's events are its own"));
        }
        if !self.names.insert(Fingerprint::of(&[b"tenant", &name.0]).id()) {
            found.add(seen.finding(Kind::NameTaken, "another tenant has its name"));
        }
    }

    /// An event of an account.
    pub fn account(&mut self, seen: &Seen<'_>, event: AccountEvent, found: &mut Found) {
        if let AccountEvent::AccountCreated(profile) = event {
            if self.accounts.contains_key(&seen.id) {
                return found.add(seen.finding(Kind::StreamStart, "the account was created before"));
            }
            let parent = profile.ancestors.last().map(|parent| self.accounts.get(parent));
            let above = match parent {
                None => Some(&[][..]),
                Some(parent) => parent.map(|parent| &parent.ancestors[..]),
            };
            let own = profile.ancestors.split_last().map_or(&[][..], |(_, above)| above);
            if profile.ancestors.len() > MAX_DEPTH || above != Some(own) {
                found.add(seen.finding(Kind::State, "its ancestors are not those of its parent"));
            }
            let name = Fingerprint::of(&[b"username", seen.tenant_id.as_bytes(), &profile.username.0]);
            if !self.names.insert(name.id()) {
                found.add(seen.finding(Kind::NameTaken, "another account has its username"));
            }
            if profile.role == Role::SuperAdmin {
                self.super_admins.entry(seen.tenant).or_default().push((seen.id, seen.position));
            }
            self.accounts.insert(
                seen.id,
                Account { ancestors: profile.ancestors, disabled: false, erasure_requested_by: None, erased: false },
            );
            return;
        }
        let Some(account) = self.accounts.get_mut(&seen.id) else {
            return found.add(seen.finding(Kind::StreamStart, "the account was never created"));
        };
        let legal = match &event {
            AccountEvent::AccountDisabled {} => !std::mem::replace(&mut account.disabled, true),
            AccountEvent::AccountEnabled {} => {
                account.erasure_requested_by = None;
                std::mem::replace(&mut account.disabled, false) && !account.erased
            }
            AccountEvent::ErasureRequested { by } => {
                let again = account.erasure_requested_by.replace(*by).is_some();
                account.disabled && !account.erased && !again
            }
            AccountEvent::PersonalDataErased { by } => {
                let again = std::mem::replace(&mut account.erased, true);
                account.disabled && !again && account.erasure_requested_by.is_some_and(|asker| asker != *by)
            }
            AccountEvent::CommissionRatesSet { rates } => {
                rates.len() <= MAX_DEPTH && rates.iter().map(|rate| u32::from(*rate)).sum::<u32>() <= 10_000
            }
            AccountEvent::AccountCreated(_) | AccountEvent::PasswordChanged {} | AccountEvent::AccountUnlocked {} => {
                true
            }
        };
        if !legal {
            found.add(seen.finding(Kind::State, "the change does not fit the account's state"));
        }
    }

    /// Commissions went to the ancestor of the seller at the level they say.
    pub fn end_step(&self, step: &Step, found: &mut Found, tenant: impl Fn(u32) -> Uuid) {
        for earning in &step.earnings {
            let ancestors = self.accounts.get(&earning.seller).map_or(&[][..], |account| &account.ancestors[..]);
            let index = ancestors.len().checked_sub(usize::from(earning.level)).filter(|_| earning.level > 0);
            if index.and_then(|index| ancestors.get(index)) != Some(&earning.agent) {
                let text = format!("{} is not {} levels above {}", earning.agent, earning.level, earning.seller);
                found.add(spot_finding(earning.at, Kind::Commission, text, &tenant));
            }
        }
    }

    /// What one person may not take back alone, another one has confirmed; and what was confirmed was done.
    pub fn check_second_person(&self, step: &Step, found: &mut Found, tenant: impl Fn(u32) -> Uuid) {
        let limit = |tenant: u32| self.alone.get(&tenant).copied().unwrap_or(u64::MAX);
        let confirmed = |subject| step.confirmed.iter().any(|known| known.subject == subject);
        let mut alone = |at: Spot, amount: u64| {
            let text = format!("{amount} is taken back, and no second person has confirmed it");
            found.add(spot_finding(at, Kind::Party, text, &tenant));
        };
        for reversal in &step.reversals {
            let subject = Subject::Journal(reversal.reverses, reversal.amount);
            if reversal.amount > limit(reversal.at.tenant) && !confirmed(subject) {
                alone(reversal.at, reversal.amount);
            }
        }
        for (id, batch) in &step.batches {
            let Some((_, amount)) = batch.refund.filter(|_| batch.by_a_person) else { continue };
            if amount > limit(batch.at.tenant) && !confirmed(Subject::Batch(*id)) {
                alone(batch.at, amount);
            }
        }
        for Confirmed { at, subject } in &step.confirmed {
            let done = match subject {
                Subject::Journal(reverses, amount) => {
                    step.reversals.iter().any(|made| made.reverses == *reverses && made.amount == *amount)
                }
                Subject::Batch(id) => step.batches.get(id).is_some_and(|batch| batch.refund.is_some()),
            };
            if !done {
                found.add(spot_finding(*at, Kind::State, "what was confirmed was not done".to_owned(), &tenant));
            }
        }
    }

    /// An event of a project.
    pub fn project(&mut self, seen: &Seen<'_>, event: &ProjectEvent, found: &mut Found) {
        if let ProjectEvent::ProjectCreated { .. } = event {
            if self.projects.insert(seen.id, false).is_some() {
                found.add(seen.finding(Kind::StreamStart, "the project was created before"));
            }
            return;
        }
        let Some(disabled) = self.projects.get_mut(&seen.id) else {
            return found.add(seen.finding(Kind::StreamStart, "the project was never created"));
        };
        let legal = match event {
            ProjectEvent::ProjectDisabled {} => !std::mem::replace(disabled, true),
            ProjectEvent::ProjectEnabled {} => std::mem::replace(disabled, false),
            ProjectEvent::PlanAdded { plan_id, plan } => {
                let is_new = self.plans.insert(plan_key(seen.id, *plan_id), plan.version).is_none();
                is_new && plan.version == 1
            }
            ProjectEvent::PlanChanged { plan_id, plan } => {
                // Another name or price is no new version.
                let known = self.plans.get_mut(&plan_key(seen.id, *plan_id));
                let next = known.as_deref().map(|version| *version..=version.saturating_add(1));
                if let Some(version) = known {
                    *version = plan.version;
                }
                next.is_some_and(|next| next.contains(&plan.version))
            }
            // The key before is published for a time, if there was one; an Ed25519 key there is from the beginning.
            ProjectEvent::SigningKeyRotated { signing_key, previous_until } => {
                let has_one = match signing_key.algorithm {
                    KeyAlgorithm::Ed25519 => true,
                    KeyAlgorithm::RsaPssSha256 => !self.rsa_keys.insert(seen.id),
                };
                previous_until.is_some() == has_one
            }
            ProjectEvent::ProjectCreated { .. }
            | ProjectEvent::ProjectChanged(_)
            | ProjectEvent::CredentialsRotated { .. }
            | ProjectEvent::ProjectGranted { .. }
            | ProjectEvent::GrantRevoked { .. }
            | ProjectEvent::CallbackTypesChosen { .. }
            | ProjectEvent::CallbackSecretRotated { .. }
            | ProjectEvent::CallbacksStopped {}
            | ProjectEvent::CallbacksResumed {}
            | ProjectEvent::CallbackTested { .. }
            | ProjectEvent::CallbackReplayed { .. } => true,
        };
        if !legal {
            found.add(seen.finding(Kind::State, "the change does not fit the project's state"));
        }
    }

    /// An event of a tenant's rules.
    pub fn policy(&mut self, seen: &Seen<'_>, event: &RiskPolicyEvent, found: &mut Found) {
        let RiskPolicyEvent::RiskRulesSet { rules, .. } = event;
        if Id::from(seen.tenant_id) != seen.id {
            found.add(seen.finding(Kind::StreamTenant, "a tenant's rules are its own"));
        }
        let limit = rules.second_person_above.as_ref().map_or(u64::MAX, |limit| limit.0);
        self.alone.insert(seen.tenant, limit);
        if !are_sound(rules) {
            found.add(seen.finding(Kind::State, "the rules make no sense"));
        }
    }

    /// An event of an order.
    pub fn order(&mut self, seen: &Seen<'_>, event: OrderEvent, found: &mut Found) {
        match event {
            OrderEvent::OrderPaid(payment) => {
                if payment.amount.0 == 0 {
                    found.add(seen.finding(Kind::Amount, "nothing was paid"));
                }
                let name =
                    [b"order", &seen.tenant_id.as_bytes()[..], &payment.provider.0, &payment.provider_order_id.0];
                if !self.names.insert(Fingerprint::of(&name).id()) {
                    found.add(seen.finding(Kind::NameTaken, "the provider's number is another order's"));
                }
                let order = Order {
                    tenant: seen.tenant,
                    amount: payment.amount.0,
                    refunded: None,
                    batch: payment.batch_id,
                    agent: payment.agent_id,
                    paid_at: payment.paid_at.0,
                    recorded_at: seen.at,
                    refunds: 0,
                    refunded_at: None,
                    texts: OrderTexts {
                        provider: payment.provider.0,
                        number: payment.provider_order_id.0,
                        currency: payment.currency.0,
                        refund_number: None,
                        refund_reason: None,
                    },
                    position: seen.position,
                    sequence: seen.sequence,
                };
                if self.orders.insert(seen.id, order).is_some() {
                    found.add(seen.finding(Kind::StreamStart, "the order was paid before"));
                }
            }
            OrderEvent::OrderRefunded { amount, provider_refund_id, refunded_at, reason } => {
                let Some(order) = self.orders.get_mut(&seen.id) else {
                    return found.add(seen.finding(Kind::StreamStart, "the order was never paid"));
                };
                order.sequence = seen.sequence;
                // It may be refunded in parts.
                let refunded = order.refunded.unwrap_or(0).saturating_add(amount.0);
                if amount.0 == 0 || refunded > order.amount {
                    let text = format!("{refunded} is refunded of {} that were paid", order.amount);
                    found.add(seen.finding(Kind::Refund, text));
                }
                order.refunded = Some(refunded);
                order.refunds += 1;
                order.refunded_at = Some(refunded_at.0);
                let (number, reason) = (provider_refund_id.map(|it| it.0.0), reason.map(|it| it.0.0));
                order.texts.refund_number = number.or(order.texts.refund_number);
                order.texts.refund_reason = reason.or(order.texts.refund_reason);
            }
        }
    }

    /// An event of what waits for a second person.
    pub fn proposal(&mut self, seen: &Seen<'_>, event: ProposalEvent, step: &mut Step, found: &mut Found) {
        if let ProposalEvent::ActProposed(proposed) = event {
            if proposed.amount.0 <= proposed.limit.0 {
                found.add(seen.finding(Kind::Amount, "one person may move that alone"));
            }
            let subject = match proposed.act {
                Act::ReverseJournal { reverses, .. } => Subject::Journal(reverses, proposed.amount.0),
                Act::RefundBatch { batch_id } | Act::RefundOrder { batch_id, .. } => Subject::Batch(batch_id),
            };
            let proposal = Proposal { subject, asked_by: proposed.asked_by, open: true };
            if self.proposals.insert(seen.id, proposal).is_some() {
                found.add(seen.finding(Kind::StreamStart, "it was proposed before"));
            }
            return;
        }
        let Some(proposal) = self.proposals.get_mut(&seen.id) else {
            return found.add(seen.finding(Kind::StreamStart, "it was never proposed"));
        };
        if !std::mem::replace(&mut proposal.open, false) {
            found.add(seen.finding(Kind::State, "the proposal was decided on before"));
        }
        if let ProposalEvent::ActConfirmed { by } = event {
            if by == proposal.asked_by {
                found.add(seen.finding(Kind::Party, format!("{by} proposed and confirms it")));
            }
            step.confirmed.push(Confirmed { at: spot(seen, SpotKind::Proposal), subject: proposal.subject });
        }
    }

    /// An event of a reconciliation's run.
    pub fn reconciliation(&mut self, seen: &Seen<'_>, event: &ReconciliationEvent, found: &mut Found) {
        let before = self.reconciliations.get(&seen.id).copied();
        let (next, legal) = match event {
            ReconciliationEvent::ReconciliationRequested(_) => (RunState::Requested, before.is_none()),
            ReconciliationEvent::ReconciliationCompleted(outcome) => {
                let in_order = outcome.from_position <= outcome.position && outcome.position < seen.position;
                (RunState::Ended, before == Some(RunState::Requested) && in_order)
            }
            ReconciliationEvent::ReconciliationAbandoned { .. } => {
                (RunState::Ended, before == Some(RunState::Requested))
            }
        };
        if !legal {
            found.add(seen.finding(Kind::State, "the run can't come to this state"));
        }
        self.reconciliations.insert(seen.id, next);
    }

    /// An event of a case.
    pub fn case(&mut self, seen: &Seen<'_>, event: &CaseEvent, found: &mut Found) {
        let before = self.cases.get(&seen.id).copied();
        let open = Some(CaseState::Open);
        let (next, legal) = match event {
            CaseEvent::CaseOpened { .. } => (CaseState::Open, before.is_none()),
            CaseEvent::CaseChanged(_) | CaseEvent::CaseNoted { .. } => {
                (before.unwrap_or(CaseState::Open), before.is_some())
            }
            CaseEvent::CaseResolved { .. } => (CaseState::Resolved, before == open),
            CaseEvent::CaseVanished { .. } => (CaseState::Vanished, before == open),
            CaseEvent::CaseReopened(_) => (CaseState::Open, before.is_some() && before != open),
        };
        if !legal {
            found.add(seen.finding(Kind::State, "the case can't come to this state"));
        }
        self.cases.insert(seen.id, next);
    }
}

fn are_sound(rules: &Rules) -> bool {
    let window = |minutes: u32| (5..=24 * 60).contains(&minutes);
    let movements = [&rules.transfers, &rules.withdrawals];
    let windows = movements.iter().all(|rules| rules.window.as_ref().is_none_or(|rule| window(rule.minutes)));
    let nights = rules.night.is_some() || movements.iter().all(|rules| rules.night_above.is_none());
    let night = rules.night.as_ref().is_none_or(|night| {
        night.from_minute < 1440
            && night.to_minute < 1440
            && night.from_minute != night.to_minute
            && night.utc_offset_minutes.unsigned_abs() <= 840
    });
    let review = rules.review_within_minutes.is_none_or(|minutes| (1..=90 * 24 * 60).contains(&minutes));
    windows && nights && night && review
}
