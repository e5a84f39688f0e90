//! Given/when/then and random histories of [`License`].

use cqrs_es::Aggregate as _;
use cqrs_es::test::TestFramework;
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::Aggregate as _;

fn at(day: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000, 0).unwrap() + TimeDelta::days(day)
}

fn machine(n: u8) -> Machine {
    Machine { fingerprint_hash: format!("m{n}"), name: None }
}

fn issued(days: Option<u32>, max_machines: u32) -> LicenseEvent {
    LicenseEvent::LicenseIssued(Issue {
        batch_id: BatchId(Uuid::from_u128(1)),
        project_id: ProjectId(Uuid::from_u128(2)),
        plan_id: PlanId(Uuid::from_u128(3)),
        agent_id: AccountId(Uuid::from_u128(4)),
        terms: LicenseTerms { duration_days: days, max_machines, features: vec![] },
        key_hash: "hash".into(),
        key: Sealed("v1.k.x".into()),
    })
}

fn activated(days: i64) -> LicenseEvent {
    LicenseEvent::LicenseActivated { activated_at: at(0), expires_at: Some(at(days)), machine: machine(1) }
}

fn uses(n: u8, day: i64) -> LicenseCommand {
    LicenseCommand::Use { machine: machine(n), at: at(day) }
}

fn given(events: Vec<LicenseEvent>) -> cqrs_es::test::AggregateTestExecutor<License> {
    TestFramework::<License>::with(()).given(events)
}

#[test]
fn first_use_activates_and_validity_counts_from_there() {
    given(vec![issued(Some(30), 1)]).when(uses(1, 0)).then_expect_events(vec![activated(30)]);
}

#[test]
fn a_bound_machine_may_use_it_again_and_one_too_many_is_refused() {
    given(vec![issued(Some(30), 1), activated(30)]).when(uses(1, 5)).then_expect_events(vec![]);
    given(vec![issued(Some(30), 1), activated(30)])
        .when(uses(2, 5))
        .then_expect_error(LicenseError::TooManyMachines(1));
}

#[test]
fn an_expired_or_revoked_licence_can_not_be_used() {
    given(vec![issued(Some(30), 1), activated(30)])
        .when(uses(1, 30))
        .then_expect_error(LicenseError::WrongStatus(LicenseStatus::Expired));
    given(vec![issued(Some(30), 1), activated(30), LicenseEvent::LicenseRevoked { reason: None }])
        .when(uses(1, 1))
        .then_expect_error(LicenseError::WrongStatus(LicenseStatus::Revoked));
}

#[test]
fn unbinding_returns_it_to_unused_and_keeps_the_validity() {
    given(vec![issued(Some(30), 1), activated(30), LicenseEvent::LicenseUnbound {}])
        .when(uses(2, 10))
        .then_expect_events(vec![LicenseEvent::MachineBound { machine: machine(2) }]);
    let mut license = License::default();
    for event in [issued(Some(30), 1), activated(30), LicenseEvent::LicenseUnbound {}] {
        license.apply(event);
    }
    assert_eq!((license.status(at(1)), license.expires_at), (LicenseStatus::Unused, Some(at(30))));
}

#[test]
fn only_a_used_unexpired_licence_can_be_unbound() {
    let unbind = |day| LicenseCommand::Unbind { at: at(day) };
    given(vec![issued(Some(30), 1)])
        .when(unbind(0))
        .then_expect_error(LicenseError::WrongStatus(LicenseStatus::Unused));
    given(vec![issued(Some(30), 1), activated(30)])
        .when(unbind(31))
        .then_expect_error(LicenseError::WrongStatus(LicenseStatus::Expired));
}

#[test]
fn renewal_counts_from_the_end_or_from_now_if_it_is_over() {
    let renewed = |to| LicenseEvent::LicenseRenewed { days: 10, expires_at: Some(at(to)) };
    for (day, to) in [(5, 40), (35, 45)] {
        given(vec![issued(Some(30), 1), activated(30)])
            .when(LicenseCommand::Renew { days: 10, at: at(day) })
            .then_expect_events(vec![renewed(to)]);
    }
}

#[test]
fn an_end_is_noted_once_and_the_end_after_a_renewal_again() {
    let expire = |day| LicenseCommand::Expire { at: at(day) };
    let expired = |day| LicenseEvent::LicenseExpired { expires_at: at(day) };
    let renewed = LicenseEvent::LicenseRenewed { days: 10, expires_at: Some(at(45)) };
    let first = vec![issued(Some(30), 1), activated(30)];
    given(first.clone()).when(expire(29)).then_expect_events(vec![]);
    given(first.clone()).when(expire(30)).then_expect_events(vec![expired(30)]);
    let noted = [first, vec![expired(30)]].concat();
    given(noted.clone()).when(expire(31)).then_expect_events(vec![]);
    let again = [noted, vec![renewed]].concat();
    given(again.clone()).when(expire(44)).then_expect_events(vec![]);
    given(again.clone()).when(expire(50)).then_expect_events(vec![expired(45)]);
    given([again, vec![LicenseEvent::LicenseRevoked { reason: None }]].concat())
        .when(expire(50))
        .then_expect_events(vec![]);
    given(vec![issued(None, 1)]).when(expire(50)).then_expect_events(vec![]);
}

fn any_command() -> impl Strategy<Value = LicenseCommand> {
    let day = 0..60i64;
    prop_oneof![
        4 => (0..5u8, day.clone()).prop_map(|(n, d)| uses(n, d)),
        1 => (0..5u8).prop_map(|n| LicenseCommand::Deactivate { fingerprint_hash: format!("m{n}") }),
        1 => day.clone().prop_map(|d| LicenseCommand::Unbind { at: at(d) }),
        1 => Just(LicenseCommand::Disable),
        1 => Just(LicenseCommand::Enable),
        1 => Just(LicenseCommand::Revoke { reason: None }),
        1 => day.clone().prop_map(|d| LicenseCommand::Expire { at: at(d) }),
        1 => (0..20u32, day).prop_map(|(days, d)| LicenseCommand::Renew { days, at: at(d) }),
    ]
}

proptest! {
    /// No history gives a licence that is revoked and valid, has too many machines, or grew without renewal.
    #[test]
    fn any_history_keeps_the_limits(commands in prop::collection::vec(any_command(), 0..60)) {
        let mut live = License::default();
        live.apply(issued(Some(30), 2));
        let mut log = vec![issued(Some(30), 2)];
        for command in commands {
            let renews = matches!(command, LicenseCommand::Renew { .. });
            let before = live.clone();
            let Ok(events) = live.decide(command) else { continue };
            for event in events {
                live.apply(event.clone());
                log.push(event);
            }
            prop_assert!(live.machines.len() <= 2);
            prop_assert!(!before.revoked || live.revoked);
            prop_assert!(!live.revoked || live.status(at(0)) == LicenseStatus::Revoked);
            if before.expires_at.is_some() && !renews {
                prop_assert_eq!(before.expires_at, live.expires_at);
            }
        }
        let mut replayed = License::default();
        for event in log {
            replayed.apply(serde_json::from_str(&serde_json::to_string(&event).unwrap()).unwrap());
        }
        prop_assert_eq!(replayed, live);
    }
}
