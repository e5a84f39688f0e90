//! Given/when/then and random histories of [`License`].

use chrono::TimeDelta;
use cqrs_es::Aggregate as _;
use cqrs_es::test::TestFramework;
use proptest::prelude::*;
use uuid::Uuid;

use super::explanation::{Circumstances, Outcome};
use super::terms::{Heartbeat, Matching, Meter, Overage, Silence, Unbinding, ValidFrom};
use super::verification::{Intent, Question, Verdict, judge};
use super::*;
use crate::Aggregate as _;

fn at(day: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000, 0).unwrap() + TimeDelta::days(day)
}

fn machine(n: u8) -> Machine {
    Machine::of(format!("m{n}"))
}

fn issued(days: Option<u32>, max_machines: u32) -> LicenseEvent {
    issued_with(LicenseTerms::usual(days, max_machines, vec![]))
}

fn issued_with(terms: LicenseTerms) -> LicenseEvent {
    LicenseEvent::LicenseIssued(Issue {
        batch_id: BatchId(Uuid::from_u128(1)),
        project_id: ProjectId(Uuid::from_u128(2)),
        plan_id: PlanId(Uuid::from_u128(3)),
        plan_version: 1,
        agent_id: AccountId(Uuid::from_u128(4)),
        expires_at: terms
            .duration_days
            .filter(|_| terms.policy.valid_from == ValidFrom::Issue)
            .map(|days| at(days.into())),
        terms,
        key_hash: "hash".into(),
        key: Sealed("v1.k.x".into()),
    })
}

fn policy(policy: Policy) -> LicenseEvent {
    issued_with(LicenseTerms { policy, ..LicenseTerms::usual(Some(30), 2, vec![]) })
}

fn beats(silence: Silence) -> Policy {
    let beat = Heartbeat { interval_seconds: 3_600, grace_seconds: 0, silence };
    Policy { heartbeat: Some(beat), ..Policy::default() }
}

fn activated(days: i64) -> LicenseEvent {
    LicenseEvent::LicenseActivated { activated_at: at(0), expires_at: Some(at(days)), machine: machine(1) }
}

fn uses(n: u8, day: i64) -> LicenseCommand {
    used(machine(n), at(day))
}

fn used(machine: Machine, at: DateTime<Utc>) -> LicenseCommand {
    LicenseCommand::Use { machine, at, by: UsedBy::Verification }
}

fn bound(machine: Machine) -> LicenseEvent {
    LicenseEvent::MachineBound { machine, over_limit: false }
}

fn held(n: u8, until: DateTime<Utc>) -> Machine {
    Machine { held_until: Some(until), ..machine(n) }
}

fn with_components(n: u8, components: &[(&str, &str)]) -> Machine {
    let components = components.iter().map(|(name, hash)| ((*name).to_owned(), (*hash).to_owned())).collect();
    Machine { components, ..machine(n) }
}

fn minute(n: i64) -> DateTime<Utc> {
    at(0) + TimeDelta::minutes(n)
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
    given(vec![issued(Some(30), 1), activated(30), LicenseEvent::LicenseUnbound { unbound_at: Some(at(1)) }])
        .when(uses(2, 10))
        .then_expect_events(vec![bound(machine(2))]);
    let mut license = License::default();
    for event in [issued(Some(30), 1), activated(30), LicenseEvent::LicenseUnbound { unbound_at: Some(at(1)) }] {
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

#[test]
fn validity_begins_with_the_issue_the_activation_or_the_first_use() {
    let from = |valid_from| policy(Policy { valid_from, ..Policy::default() });
    let binds = |day| LicenseCommand::Use { machine: machine(1), at: at(day), by: UsedBy::Activation };
    let activated = |day, end: Option<i64>| LicenseEvent::LicenseActivated {
        activated_at: at(day),
        expires_at: end.map(at),
        machine: machine(1),
    };
    given(vec![from(ValidFrom::Issue)]).when(binds(7)).then_expect_events(vec![activated(7, Some(30))]);
    given(vec![from(ValidFrom::Activation)]).when(binds(7)).then_expect_events(vec![activated(7, Some(37))]);
    given(vec![from(ValidFrom::FirstUse)]).when(binds(7)).then_expect_events(vec![activated(7, None)]);
    given(vec![from(ValidFrom::FirstUse), activated(7, None)])
        .when(uses(1, 9))
        .then_expect_events(vec![LicenseEvent::ValidityBegan { expires_at: at(39) }]);
    given(vec![from(ValidFrom::FirstUse)]).when(uses(1, 9)).then_expect_events(vec![activated(9, Some(39))]);
}

#[test]
fn a_machine_with_enough_of_the_same_components_is_the_same_machine() {
    let before = with_components(1, &[("mac", "a"), ("disk", "b"), ("board", "c")]);
    let after = with_components(9, &[("mac", "x"), ("disk", "b"), ("board", "c")]);
    let changed = LicenseEvent::MachineChanged { fingerprint_hash: "m1".into(), machine: after.clone() };
    let activated = LicenseEvent::LicenseActivated { activated_at: at(0), expires_at: Some(at(30)), machine: before };
    for (matching, is_same) in [
        (Matching::Exact, false),
        (Matching::Any, true),
        (Matching::Two, true),
        (Matching::Most, true),
        (Matching::All, false),
    ] {
        let expected = if is_same { changed.clone() } else { bound(after.clone()) };
        given(vec![policy(Policy { matching, ..Policy::default() }), activated.clone()])
            .when(used(after.clone(), at(1)))
            .then_expect_events(vec![expected]);
    }
}

#[test]
fn a_machine_too_many_is_bound_and_flagged_where_the_terms_allow_it() {
    let allowed = policy(Policy { overage: Overage::Allow, ..Policy::default() });
    given(vec![allowed, activated(30), bound(machine(2))])
        .when(uses(3, 1))
        .then_expect_events(vec![LicenseEvent::MachineBound { machine: machine(3), over_limit: true }]);
}

#[test]
fn a_silent_machine_of_a_floating_licence_makes_room_and_comes_back_like_a_new_one() {
    let first =
        LicenseEvent::LicenseActivated { activated_at: at(0), expires_at: Some(at(30)), machine: held(1, minute(60)) };
    let history = vec![policy(beats(Silence::Free)), first, bound(held(2, minute(70)))];
    given(history.clone()).when(used(machine(3), minute(59))).then_expect_error(LicenseError::TooManyMachines(2));
    let lapsed = LicenseEvent::MachineLapsed { fingerprint_hash: "m1".into() };
    given(history.clone())
        .when(used(machine(3), minute(60)))
        .then_expect_events(vec![lapsed.clone(), bound(held(3, minute(120)))]);
    given(history.clone())
        .when(LicenseCommand::Beat { fingerprint_hash: "m1".into(), at: minute(61) })
        .then_expect_events(vec![lapsed.clone(), bound(held(1, minute(121)))]);
    let mut full = history;
    full.extend([lapsed, bound(held(3, minute(120)))]);
    given(full)
        .when(LicenseCommand::Beat { fingerprint_hash: "m1".into(), at: minute(61) })
        .then_expect_error(LicenseError::UnknownMachine);
}

#[test]
fn a_beat_is_written_only_when_half_of_the_lease_is_over() {
    let first =
        LicenseEvent::LicenseActivated { activated_at: at(0), expires_at: Some(at(30)), machine: held(1, minute(60)) };
    let history = vec![policy(beats(Silence::Keep)), first];
    let beat = |n| LicenseCommand::Beat { fingerprint_hash: "m1".into(), at: minute(n) };
    given(history.clone()).when(beat(29)).then_expect_events(vec![]);
    let extended = |n| LicenseEvent::LeaseExtended { fingerprint_hash: "m1".into(), held_until: minute(n) };
    given(history.clone()).when(beat(30)).then_expect_events(vec![extended(90)]);
    given(history).when(beat(500)).then_expect_events(vec![extended(560)]);
}

#[test]
fn a_machine_that_was_silent_for_too_long_has_to_be_taken_off_first() {
    let first =
        LicenseEvent::LicenseActivated { activated_at: at(0), expires_at: Some(at(30)), machine: held(1, minute(60)) };
    let history = vec![policy(beats(Silence::KeepFor(600))), first];
    let extended = LicenseEvent::LeaseExtended { fingerprint_hash: "m1".into(), held_until: minute(129) };
    given(history.clone()).when(used(machine(1), minute(69))).then_expect_events(vec![extended]);
    given(history.clone()).when(used(machine(1), minute(70))).then_expect_error(LicenseError::MachineDead);
    let mut taken_off = history;
    taken_off.push(LicenseEvent::MachineDeactivated { fingerprint_hash: "m1".into() });
    given(taken_off).when(used(machine(1), minute(70))).then_expect_events(vec![bound(held(1, minute(130)))]);
}

#[test]
fn bindings_are_cleared_no_more_often_than_the_terms_allow() {
    let unbinding = Unbinding { max: 2, pause_seconds: 86_400 };
    let rule = policy(Policy { unbinding, ..Policy::default() });
    let cleared = |day| LicenseEvent::LicenseUnbound { unbound_at: Some(at(day)) };
    let once = vec![rule, activated(30), cleared(1), bound(machine(1))];
    given(once.clone())
        .when(LicenseCommand::Unbind { at: at(2) - TimeDelta::seconds(1) })
        .then_expect_error(LicenseError::UnboundLately(at(2)));
    given(once.clone()).when(LicenseCommand::Unbind { at: at(2) }).then_expect_events(vec![cleared(2)]);
    let mut twice = once;
    twice.extend([cleared(2), bound(machine(1))]);
    given(twice).when(LicenseCommand::Unbind { at: at(9) }).then_expect_error(LicenseError::TooManyUnbinds(2));
}

#[test]
fn usage_counts_up_to_the_limit_and_beyond_it_only_where_the_terms_allow_it() {
    let meters = || [("pages".to_owned(), Meter { limit: Some(10) })].into();
    let report = |meter: &str, amount| LicenseCommand::ReportUsage { meter: meter.into(), amount, at: at(1) };
    let reported = |amount, over_limit| LicenseEvent::UsageReported { meter: "pages".into(), amount, over_limit };
    let refuses = policy(Policy { meters: meters(), ..Policy::default() });
    given(vec![refuses.clone(), reported(7, false)])
        .when(report("pages", 3))
        .then_expect_events(vec![reported(3, false)]);
    given(vec![refuses.clone(), reported(7, false)])
        .when(report("pages", 4))
        .then_expect_error(LicenseError::UsageLimit { meter: "pages".into(), limit: 10, used: 7, amount: 4 });
    given(vec![refuses.clone()]).when(report("other", 1)).then_expect_error(LicenseError::UnknownMeter("other".into()));
    given(vec![refuses]).when(report("pages", 0)).then_expect_error(LicenseError::InvalidAmount);
    let allows = policy(Policy { meters: meters(), overage: Overage::Allow, ..Policy::default() });
    given(vec![allows.clone()]).when(report("pages", 11)).then_expect_events(vec![reported(11, true)]);
    given(vec![allows]).when(report("pages", 1 << 53)).then_expect_error(LicenseError::InvalidAmount);
}

#[test]
fn a_move_keeps_the_end_of_a_validity_that_has_begun() {
    let move_to = |terms: LicenseTerms| LicenseCommand::Move {
        plan_id: PlanId(Uuid::from_u128(3)),
        plan_version: 2,
        terms,
        at: at(5),
    };
    let moved = |terms: LicenseTerms, end: Option<i64>| LicenseEvent::LicenseMoved {
        plan_id: PlanId(Uuid::from_u128(3)),
        plan_version: 2,
        terms,
        expires_at: end.map(at),
    };
    let longer = LicenseTerms::usual(Some(90), 2, vec!["pro".into()]);
    let endless = LicenseTerms::usual(None, 2, vec![]);
    let narrow = LicenseTerms::usual(Some(90), 1, vec![]);
    let history = || vec![issued(Some(30), 2), activated(30), bound(machine(2))];
    given(history()).when(move_to(longer.clone())).then_expect_events(vec![moved(longer.clone(), Some(30))]);
    given(history()).when(move_to(endless.clone())).then_expect_events(vec![moved(endless, None)]);
    given(history()).when(move_to(narrow)).then_expect_error(LicenseError::TooManyMachines(1));
    given(vec![issued(Some(30), 2)]).when(move_to(longer.clone())).then_expect_events(vec![moved(longer, None)]);
}

#[test]
fn a_trial_is_moved_and_not_renewed_and_a_new_holder_brings_new_machines() {
    let trial = policy(Policy { trial: true, max_transfers: 1, ..Policy::default() });
    given(vec![trial.clone(), activated(30)])
        .when(LicenseCommand::Renew { days: 1, at: at(1) })
        .then_expect_error(LicenseError::Trial);
    let transferred = LicenseEvent::LicenseTransferred { holder: Some(Sealed("v1.k.h".into())) };
    let transfer = || LicenseCommand::Transfer { holder: Some(Sealed("v1.k.h".into())), at: at(1) };
    given(vec![trial.clone(), activated(30)]).when(transfer()).then_expect_events(vec![transferred.clone()]);
    given(vec![trial, activated(30), transferred])
        .when(transfer())
        .then_expect_error(LicenseError::TooManyTransfers(1));
}

fn any_policy() -> impl Strategy<Value = Policy> {
    let silence = prop_oneof![Just(Silence::Free), Just(Silence::Keep), Just(Silence::KeepFor(86_400))];
    let valid_from = prop_oneof![Just(ValidFrom::Issue), Just(ValidFrom::Activation), Just(ValidFrom::FirstUse)];
    let matching = prop_oneof![Just(Matching::Exact), Just(Matching::Any), Just(Matching::Two), Just(Matching::All)];
    let overage = prop_oneof![4 => Just(Overage::Refuse), 1 => Just(Overage::Allow)];
    (prop::option::of(silence), valid_from, matching, overage, any::<bool>()).prop_map(
        |(silence, valid_from, matching, overage, trial)| Policy {
            heartbeat: silence.map(|silence| Heartbeat { interval_seconds: 86_400, grace_seconds: 43_200, silence }),
            valid_from,
            matching,
            overage,
            trial,
            unbinding: Unbinding { max: 3, pause_seconds: 86_400 },
            max_transfers: 2,
            meters: [("pages".to_owned(), Meter { limit: Some(100) })].into(),
            ..Policy::default()
        },
    )
}

fn any_machine() -> impl Strategy<Value = Machine> {
    (0..5u8, 0..3u8, 0..3u8).prop_map(|(n, mac, disk)| {
        with_components(n, &[("mac", &mac.to_string()), ("disk", &disk.to_string()), ("board", &n.to_string())])
    })
}

fn any_command() -> impl Strategy<Value = LicenseCommand> {
    // Half days, so that leases of a day and a half end in between; clocks of processes may disagree, so time may go back.
    let time = || (0..120i64).prop_map(|half| at(0) + TimeDelta::hours(12 * half));
    let by = prop_oneof![3 => Just(UsedBy::Verification), 1 => Just(UsedBy::Activation)];
    let moved =
        (1..4u32, 1..3u32, any::<bool>(), any_policy(), time()).prop_map(|(version, machines, endless, policy, at)| {
            let duration_days = if endless { None } else { Some(20) };
            let terms = LicenseTerms { policy, ..LicenseTerms::usual(duration_days, machines, vec![]) };
            LicenseCommand::Move { plan_id: PlanId(Uuid::from_u128(3)), plan_version: version, terms, at }
        });
    prop_oneof![
        6 => (any_machine(), time(), by).prop_map(|(machine, at, by)| LicenseCommand::Use { machine, at, by }),
        3 => (0..5u8, time()).prop_map(|(n, at)| LicenseCommand::Beat { fingerprint_hash: format!("m{n}"), at }),
        1 => (0..60u64, time()).prop_map(|(amount, at)| LicenseCommand::ReportUsage { meter: "pages".into(), amount, at }),
        1 => (0..5u8).prop_map(|n| LicenseCommand::Deactivate { fingerprint_hash: format!("m{n}") }),
        1 => time().prop_map(|at| LicenseCommand::Unbind { at }),
        1 => Just(LicenseCommand::Disable),
        1 => Just(LicenseCommand::Enable),
        1 => Just(LicenseCommand::Revoke { reason: None }),
        1 => (0..20u32, time()).prop_map(|(days, at)| LicenseCommand::Renew { days, at }),
        1 => time().prop_map(|at| LicenseCommand::Transfer { holder: None, at }),
        1 => moved,
    ]
}

/// When a command says that it happens.
fn time_of(command: &LicenseCommand) -> Option<DateTime<Utc>> {
    match command {
        LicenseCommand::Use { at, .. }
        | LicenseCommand::Beat { at, .. }
        | LicenseCommand::ReportUsage { at, .. }
        | LicenseCommand::Unbind { at }
        | LicenseCommand::Renew { at, .. }
        | LicenseCommand::Move { at, .. }
        | LicenseCommand::Transfer { at, .. } => Some(*at),
        _ => None,
    }
}

proptest! {
    /// No history gives a licence that is revoked and valid, has more machines than allowed under 'refuse', or grew without
    /// renewal; and what a verification is answered agrees with what a command decides.
    #[test]
    fn any_history_keeps_the_limits(
        policy in any_policy(),
        commands in prop::collection::vec(any_command(), 0..80),
    ) {
        let first = issued_with(LicenseTerms { policy, ..LicenseTerms::usual(Some(30), 2, vec![]) });
        let mut live = License::default();
        live.apply(first.clone());
        let mut log = vec![first];
        for command in commands {
            let may_grow = matches!(command, LicenseCommand::Renew { .. } | LicenseCommand::Move { .. });
            let (before, now) = (live.clone(), time_of(&command));
            let terms = before.issue.as_ref().unwrap().terms.clone();
            let foretold = match &command {
                LicenseCommand::Use { machine, at, by: UsedBy::Verification } => {
                    let standing = before.standing(&terms, &machine.fingerprint_hash, *at);
                    let question = Question { features: &[], intent: Intent::Use, at: *at };
                    Some(judge(&terms, &standing, &question))
                }
                _ => None,
            };
            if let (Some(verdict), LicenseCommand::Use { machine, at, .. }) = (foretold, &command) {
                let question = Question { features: &[], intent: Intent::Use, at: *at };
                let circumstances = Circumstances { project_disabled: false, refunded: false };
                let explained = live.explain(machine, &question, circumstances).unwrap();
                let failed = explained.checks.iter().filter(|checked| checked.outcome == Outcome::Failed).count();
                let may = matches!(explained.verdict, Some(Verdict::Valid | Verdict::OverLimit | Verdict::NeedsUse));
                prop_assert_eq!(failed, usize::from(!may));
                prop_assert_eq!(may, live.decide(command.clone()).is_ok());
                prop_assert!(verdict == Verdict::NeedsUse || explained.verdict == Some(verdict));
            }
            let decided = live.decide(command);
            if let Some(verdict) = foretold {
                match (&verdict, &decided) {
                    (Verdict::Valid | Verdict::OverLimit, Ok(events)) => prop_assert!(events.is_empty()),
                    (Verdict::NeedsUse, Ok(events)) => prop_assert!(!events.is_empty()),
                    // Room for a machine that is like a bound one can only be told by the log.
                    (Verdict::NeedsUse, Err(LicenseError::TooManyMachines(_))) => prop_assert!(terms.policy.matching != Matching::Exact),
                    (Verdict::NeedsUse, Err(LicenseError::MachineDead)) => prop_assert!(terms.policy.matching != Matching::Exact),
                    (Verdict::TooManyMachines, Err(LicenseError::TooManyMachines(_)))
                    | (Verdict::MachineDead, Err(LicenseError::MachineDead))
                    | (Verdict::Revoked | Verdict::Disabled | Verdict::Expired, Err(LicenseError::WrongStatus(_))) => {}
                    other => prop_assert!(false, "{other:?}"),
                }
            }
            let Ok(events) = decided else { continue };
            for event in events {
                live.apply(event.clone());
                log.push(event);
            }
            if let Some(now) = now {
                let terms = &live.issue.as_ref().unwrap().terms;
                let grew = live.places_taken(terms, now) > before.places_taken(terms, now);
                let is_over = live.places_taken(terms, now) > terms.max_machines as usize;
                prop_assert!(terms.policy.overage == Overage::Allow || !grew || !is_over);
                prop_assert!(live.status(now) != LicenseStatus::Revoked || live.revoked);
            }
            let fingerprints: std::collections::BTreeSet<_> =
                live.machines.iter().map(|machine| &machine.fingerprint_hash).collect();
            prop_assert_eq!(fingerprints.len(), live.machines.len());
            prop_assert!(!before.revoked || live.revoked);
            prop_assert!(!live.revoked || live.status(at(0)) == LicenseStatus::Revoked);
            prop_assert!(live.unbinds <= 3 && live.transfers <= 2);
            if before.expires_at.is_some() && !may_grow {
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
