//! Given/when/then and random histories of [`AgentQuota`].

use cqrs_es::Aggregate as _;
use cqrs_es::test::TestFramework;
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::Aggregate as _;
use crate::ledger::{LedgerAccount, postings};

fn q(amount: i64) -> Quota {
    Quota::new(amount).unwrap()
}

fn hold_id(n: u128) -> HoldId {
    HoldId(Uuid::from_u128(n))
}

fn journal() -> JournalId {
    JournalId(Uuid::from_u128(9))
}

fn purpose() -> HoldPurpose {
    HoldPurpose::Batch(BatchId(Uuid::from_u128(1)))
}

fn sales() -> Destination {
    Destination::Sales { project_id: ProjectId(Uuid::from_u128(2)), batch_id: BatchId(Uuid::from_u128(1)) }
}

fn credited(amount: i64) -> AgentQuotaEvent {
    AgentQuotaEvent::QuotaToppedUp { journal_id: journal(), amount: q(amount), note: None }
}

fn held(n: u128, amount: i64) -> AgentQuotaEvent {
    let (at, expires_at) = (None, None);
    AgentQuotaEvent::QuotaHeld { hold_id: hold_id(n), amount: q(amount), purpose: purpose(), at, expires_at }
}

fn hold(n: u128, amount: i64) -> AgentQuotaCommand {
    hold_for(purpose(), n, amount, None)
}

fn hold_for(purpose: HoldPurpose, n: u128, amount: i64, expires_at: Option<DateTime<Utc>>) -> AgentQuotaCommand {
    AgentQuotaCommand::Hold { hold_id: hold_id(n), amount: q(amount), purpose, at: at(0), expires_at }
}

/// A time, some seconds after another.
fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000 + second, 0).unwrap()
}

fn expire(n: u128, second: i64) -> AgentQuotaCommand {
    AgentQuotaCommand::Expire { hold_id: hold_id(n), journal_id: journal(), now: at(second) }
}

fn back(amount: i64) -> Return {
    Return {
        journal_id: journal(),
        reverses: Reversed::Journal(journal()),
        amount: q(amount),
        origin: Origin::Issuance,
    }
}

fn settle(n: u128, amount: i64) -> AgentQuotaCommand {
    AgentQuotaCommand::Settle { hold_id: hold_id(n), journal_id: journal(), amount: q(amount), to: sales() }
}

fn given(events: Vec<AgentQuotaEvent>) -> cqrs_es::test::AggregateTestExecutor<AgentQuota> {
    TestFramework::<AgentQuota>::with(()).given(events)
}

#[test]
fn a_hold_larger_than_the_available_quota_is_refused() {
    given(vec![credited(100), held(1, 60)])
        .when(hold(2, 41))
        .then_expect_error(AgentQuotaError::Insufficient { requested: q(41), available: q(40) });
}

#[test]
fn a_repeated_hold_is_known_and_another_amount_is_an_error() {
    given(vec![credited(100), held(1, 60)]).when(hold(1, 60)).then_expect_events(vec![]);
    given(vec![credited(100), held(1, 60)])
        .when(hold(1, 30))
        .then_expect_error(AgentQuotaError::HoldReused(hold_id(1)));
}

#[test]
fn a_hold_is_settled_in_parts_and_never_beyond_its_amount() {
    let partly =
        AgentQuotaEvent::HoldSettled { hold_id: hold_id(1), journal_id: journal(), amount: q(50), to: sales() };
    given(vec![credited(100), held(1, 60), partly.clone()])
        .when(settle(1, 11))
        .then_expect_error(AgentQuotaError::HoldExceeded { requested: q(11), left: q(10) });
    given(vec![credited(100), held(1, 60), partly])
        .when(AgentQuotaCommand::Release { hold_id: hold_id(1), journal_id: journal() })
        .then_expect_events(vec![AgentQuotaEvent::HoldReleased {
            hold_id: hold_id(1),
            journal_id: journal(),
            amount: q(10),
        }]);
}

#[test]
fn a_released_hold_can_not_be_settled() {
    let released = AgentQuotaEvent::HoldReleased { hold_id: hold_id(1), journal_id: journal(), amount: q(60) };
    given(vec![credited(100), held(1, 60), released])
        .when(settle(1, 1))
        .then_expect_error(AgentQuotaError::UnknownHold(hold_id(1)));
}

#[test]
fn a_hold_expires_at_its_time_and_once() {
    let held = AgentQuotaEvent::QuotaHeld {
        hold_id: hold_id(1),
        amount: q(60),
        purpose: HoldPurpose::Transfer(journal()),
        at: Some(at(0)),
        expires_at: Some(at(100)),
    };
    let expired = AgentQuotaEvent::HoldExpired { hold_id: hold_id(1), journal_id: journal(), amount: q(60) };
    given(vec![credited(100), held.clone()])
        .when(expire(1, 99))
        .then_expect_error(AgentQuotaError::NotExpired(hold_id(1)));
    given(vec![credited(100), held.clone()]).when(expire(1, 100)).then_expect_events(vec![expired.clone()]);
    given(vec![credited(100), held, expired]).when(expire(1, 200)).then_expect_events(vec![]);
}

#[test]
fn no_more_is_taken_back_than_is_available() {
    given(vec![credited(100), held(1, 60)])
        .when(AgentQuotaCommand::TakeBack(back(41)))
        .then_expect_error(AgentQuotaError::Insufficient { requested: q(41), available: q(40) });
}

#[test]
fn zero_and_balances_beyond_the_largest_amount_are_refused() {
    given(vec![credited(1)]).when(hold(1, 0)).then_expect_error(AgentQuotaError::ZeroAmount);
    given(vec![credited(Quota::MAX.minor_units())])
        .when(AgentQuotaCommand::TopUp { journal_id: journal(), amount: q(1), note: None })
        .then_expect_error(AgentQuotaError::TooLarge(QuotaError::TooLarge));
}

fn any_command() -> impl Strategy<Value = AgentQuotaCommand> {
    let other = AccountId(Uuid::from_u128(77));
    prop_oneof![
        (0..200i64).prop_map(|a| AgentQuotaCommand::TopUp { journal_id: journal(), amount: q(a), note: None }),
        (0..200i64).prop_map(move |a| AgentQuotaCommand::Send {
            journal_id: journal(),
            kind: TransferKind::Transfer,
            to: other,
            amount: q(a),
            note: None,
            at: at(a * 100)
        }),
        (0..200i64).prop_map(move |a| AgentQuotaCommand::Receive {
            journal_id: journal(),
            kind: TransferKind::Transfer,
            from: other,
            amount: q(a),
            note: None
        }),
        (0..200i64).prop_map(|a| AgentQuotaCommand::Spend { journal_id: journal(), amount: q(a), to: sales() }),
        (0..5u128, 0..100i64).prop_map(|(n, a)| hold(n, a)),
        (0..5u128, 0..100i64).prop_map(|(n, a)| settle(n, a)),
        (5..9u128, 0..100i64, any::<bool>()).prop_map(|(n, a, ends)| {
            let purpose = HoldPurpose::Transfer(JournalId(Uuid::from_u128(n)));
            hold_for(purpose, n, a, ends.then(|| at(a)))
        }),
        (0..9u128, 0..100i64).prop_map(|(n, second)| expire(n, second)),
        (0..9u128).prop_map(|n| AgentQuotaCommand::Release { hold_id: hold_id(n), journal_id: journal() }),
        (0..50i64).prop_map(|a| AgentQuotaCommand::TakeBack(back(a))),
        (0..50i64).prop_map(|a| AgentQuotaCommand::GiveBack(back(a))),
        (0..50i64).prop_map(move |a| AgentQuotaCommand::EarnCommission(Commission {
            journal_id: journal(),
            amount: q(a),
            project_id: ProjectId(Uuid::from_u128(2)),
            batch_id: BatchId(Uuid::from_u128(1)),
            seller: other,
            level: 1,
        })),
    ]
}

proptest! {
    /// Over any history: held is the sum of the holds, every event balances, the state is what the postings say, and
    /// replaying the events gives an equal state.
    #[test]
    fn any_history_keeps_the_invariants(commands in prop::collection::vec(any_command(), 0..80)) {
        let agent = AccountId(Uuid::from_u128(1));
        let mut live = AgentQuota::default();
        let mut log = Vec::new();
        let (mut available, mut held) = (0, 0);
        for command in commands {
            let Ok(events) = live.decide(command) else { continue };
            for event in events {
                let entry = postings(agent, &event);
                prop_assert_eq!(entry.iter().map(|p| p.amount).sum::<i64>(), 0);
                for posting in entry {
                    if posting.account == LedgerAccount::Available(agent) { available += posting.amount }
                    if posting.account == LedgerAccount::Held(agent) { held += posting.amount }
                }
                live.apply(event.clone());
                log.push(event);
            }
            prop_assert_eq!(live.available.minor_units(), available);
            prop_assert_eq!(live.held.minor_units(), held);
            prop_assert_eq!(live.holds.values().map(|h| h.left.minor_units()).sum::<i64>(), held);
        }
        let mut replayed = AgentQuota::default();
        for event in log {
            let text = serde_json::to_string(&event).unwrap();
            replayed.apply(serde_json::from_str(&text).unwrap());
        }
        prop_assert_eq!(replayed, live);
    }
}
