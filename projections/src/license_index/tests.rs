//! Order of feed and observation, and equality with the aggregate over random histories.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use cqrs_es::Aggregate as _;
use proptest::prelude::*;
use quotary_domain::license::terms::{Heartbeat, Matching, Overage, Silence, ValidFrom};
use quotary_domain::license::verification::{Intent, Question, Verdict, judge};
use quotary_domain::license::{Issue, License, LicenseCommand, LicenseEvent, LicenseTerms, Machine, Policy, UsedBy};
use quotary_domain::project::{Credentials, Project, ProjectDetails, ProjectEvent, SigningAlgorithm, SigningKey};
use quotary_domain::{
    AccountId, Aggregate as _, ApiKeyId, BatchId, Event, LicenseId, Metadata, PlanId, ProjectId, RecordedEvent, Sealed,
    TenantId,
};
use serde_json::value::RawValue;
use uuid::Uuid;

use super::*;
use crate::freshness::Effect;

const TENANT: TenantId = TenantId(Uuid::from_u128(1));
const PROJECT: ProjectId = ProjectId(Uuid::from_u128(2));
const LICENSE: LicenseId = LicenseId(Uuid::from_u128(3));

fn day(n: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000, 0).unwrap() + TimeDelta::days(n)
}

fn recorded(aggregate_id: Uuid, sequence: u64, tenant_id: TenantId) -> RecordedEvent {
    RecordedEvent {
        position: sequence,
        event_id: Uuid::nil(),
        tenant_id,
        aggregate_type: String::new(),
        aggregate_id,
        sequence,
        event_type: String::new(),
        event_version: "1".into(),
        payload: RawValue::NULL.to_owned(),
        metadata: Metadata::default(),
        recorded_at: day(0),
    }
}

fn feed(index: &LicenseIndex, sequence: u64, event: &LicenseEvent) -> Effect {
    index.apply(&recorded(LICENSE.0, sequence, TENANT), &Event::License(event.clone()))
}

fn feed_project(index: &LicenseIndex, tenant: TenantId, id: ProjectId, sequence: u64, event: ProjectEvent) -> Effect {
    index.apply(&recorded(id.0, sequence, tenant), &Event::Project(event))
}

fn credentials(id: &str) -> Credentials {
    Credentials { api_key_id: ApiKeyId(id.into()), api_secret: Sealed(format!("secret of {id}")) }
}

fn created(api_key: &str) -> ProjectEvent {
    ProjectEvent::ProjectCreated {
        details: ProjectDetails { name: "p".into(), description: None, version: None, callback_url: None },
        credentials: credentials(api_key),
        signing_key: SigningKey {
            algorithm: SigningAlgorithm::Ed25519,
            key_id: "s".into(),
            public_key: "p".into(),
            secret_key: Sealed("x".into()),
        },
    }
}

fn index() -> LicenseIndex {
    let index = LicenseIndex::default();
    assert_eq!(feed_project(&index, TENANT, PROJECT, 1, created("k")), Effect::Applied);
    index
}

fn issue(max_machines: u32) -> Issue {
    issue_with(LicenseTerms::usual(Some(30), max_machines, vec!["pro".into()]))
}

fn issue_with(terms: LicenseTerms) -> Issue {
    Issue {
        batch_id: BatchId(Uuid::from_u128(4)),
        project_id: PROJECT,
        plan_id: PlanId(Uuid::from_u128(5)),
        plan_version: 1,
        agent_id: AccountId(Uuid::from_u128(6)),
        expires_at: terms.end_at_issue(day(0)),
        terms,
        key_hash: "key".into(),
        key: Sealed("sealed".into()),
    }
}

fn machine(n: u8) -> Machine {
    Machine::of(format!("machine {n}"))
}

fn ask(index: &LicenseIndex, machine: u8, now: DateTime<Utc>) -> Lookup {
    ask_of(index, PROJECT, "key", &format!("machine {machine}"), now)
}

fn ask_of(index: &LicenseIndex, project_id: ProjectId, key: &str, machine: &str, at: DateTime<Utc>) -> Lookup {
    let (key, fingerprint) = (HashPrefix::of_text(key), HashPrefix::of_text(machine));
    let question = Question { features: &[], intent: Intent::Use, at };
    verify(index, &Asked { project_id, key, fingerprint, question })
}

/// What the aggregate says, in the order of the checks; what it says of commands is tested beside it.
fn expected(state: &License, number: u8, sequence: usize, now: DateTime<Utc>) -> Lookup {
    let Some(issue) = &state.issue else { return Lookup::NotFound };
    let terms = &issue.terms;
    let standing = state.standing(terms, &machine(number).fingerprint_hash, now);
    let view = LicenseView {
        license_id: LICENSE,
        plan_id: issue.plan_id,
        plan_version: issue.plan_version,
        status: state.status(now),
        activated_at: state.activated_at,
        expires_at: state.expires_at,
        terms: Arc::new(terms.clone()),
        machines: u32::try_from(state.places_taken(terms, now)).unwrap(),
        held_until: standing.binding.held_until(),
        sequence: sequence as u64,
    };
    Lookup::License(judge(terms, &standing, &Question { features: &[], intent: Intent::Use, at: now }), view)
}

fn policy(kind: u8) -> Policy {
    let beat = |silence| Heartbeat { interval_seconds: 172_800, grace_seconds: 0, silence };
    match kind {
        0..=2 => Policy::default(),
        3 => Policy { heartbeat: Some(beat(Silence::Free)), ..Policy::default() },
        4 => Policy { heartbeat: Some(beat(Silence::KeepFor(259_200))), ..Policy::default() },
        5 => Policy { overage: Overage::Allow, valid_from: ValidFrom::FirstUse, ..Policy::default() },
        _ => Policy { matching: Matching::Any, valid_from: ValidFrom::Issue, ..Policy::default() },
    }
}

fn command(kind: u8, number: u8, at: DateTime<Utc>) -> LicenseCommand {
    let components = [("mac".to_owned(), (number % 2).to_string())].into();
    match kind {
        0..=3 => LicenseCommand::Use {
            machine: Machine { components, ..machine(number) },
            at,
            by: if kind == 0 { UsedBy::Activation } else { UsedBy::Verification },
        },
        4 => LicenseCommand::Deactivate { fingerprint_hash: machine(number).fingerprint_hash },
        5 => LicenseCommand::Unbind { at },
        6 => LicenseCommand::Disable,
        7 | 8 => LicenseCommand::Enable,
        9 => LicenseCommand::Renew { days: 10, at },
        10 => LicenseCommand::Transfer { holder: None, at },
        11 => LicenseCommand::Move {
            plan_id: PlanId(Uuid::from_u128(5)),
            plan_version: 2,
            terms: LicenseTerms { policy: policy(number), ..LicenseTerms::usual(Some(40), 4, vec![]) },
            at,
        },
        12 => LicenseCommand::Beat { fingerprint_hash: machine(number).fingerprint_hash, at },
        _ => LicenseCommand::Revoke { reason: None },
    }
}

/// The states of a random history: event by event, beginning with the issue.
fn history(rules: u8, commands: &[(u8, u8, i64)]) -> Vec<(LicenseEvent, License)> {
    let mut state = License::default();
    let mut now = 0;
    let mut steps: Vec<(LicenseEvent, License)> = Vec::new();
    let mut take = |state: &mut License, command| {
        // Refusals are part of a history; they lead to no event.
        for event in state.decide(command).unwrap_or_default() {
            state.apply(event.clone());
            steps.push((event, state.clone()));
        }
    };
    let terms = LicenseTerms { policy: policy(rules), ..LicenseTerms::usual(Some(30), 3, vec!["pro".into()]) };
    take(&mut state, LicenseCommand::Issue(issue_with(terms)));
    for (kind, number, days) in commands {
        now += days;
        take(&mut state, command(*kind, *number, day(now)));
    }
    steps
}

fn commands() -> impl Strategy<Value = Vec<(u8, u8, i64)>> {
    // Revocation is rare, so that histories go on.
    let kind = prop_oneof![30 => 0..13_u8, 1 => Just(13_u8)];
    proptest::collection::vec((kind, 0..5_u8, 0..8_i64), 0..40)
}

proptest! {
    #[test]
    fn the_fold_equals_the_aggregate(rules in 0..7_u8, commands in commands()) {
        let index = index();
        for (n, (event, state)) in history(rules, &commands).iter().enumerate() {
            prop_assert_eq!(feed(&index, n as u64 + 1, event), Effect::Applied);
            for number in 0..5 {
                for at in [0, 3, 20, 60, 400] {
                    prop_assert_eq!(ask(&index, number, day(at)), expected(state, number, n + 1, day(at)));
                }
            }
        }
    }

    /// A feed that is late and repeats itself, among observations of any age, ends at the latest state.
    #[test]
    fn the_latest_state_wins_in_any_order(rules in 0..7_u8, commands in commands(), order in proptest::collection::vec(any::<(bool, usize)>(), 0..80)) {
        let steps = history(rules, &commands);
        let index = index();
        let (mut fed, mut newest) = (0, 0);
        for (by_feed, pick) in order {
            if by_feed {
                // The next of the feed, or one again.
                let n = if pick % 3 == 0 { pick % (fed + 1) } else { fed };
                if n < steps.len() {
                    feed(&index, n as u64 + 1, &steps[n].0);
                    fed = fed.max(n + 1);
                }
            } else {
                let n = pick % steps.len();
                let effect = index.observe(LICENSE, &steps[n].1, n as u64 + 1);
                prop_assert_eq!(effect == Effect::Applied, n + 1 > newest);
                newest = newest.max(n + 1);
            }
            newest = newest.max(fed);
            if newest > 0 {
                prop_assert_eq!(ask(&index, 1, day(20)), expected(&steps[newest - 1].1, 1, newest, day(20)));
            }
        }
    }
}

#[test]
fn a_missed_event_is_not_answered_over_until_the_state_is_observed() {
    let index = index();
    let steps = history(0, &[(0, 1, 0), (6, 0, 0), (7, 0, 0), (0, 2, 0)]);
    assert_eq!(steps.len(), 5);
    feed(&index, 1, &steps[0].0);
    feed(&index, 2, &steps[1].0);
    assert_eq!(feed(&index, 4, &steps[3].0), Effect::Gap);
    assert_eq!(ask(&index, 1, day(1)), Lookup::Doubtful(Some(LICENSE)));
    assert_eq!(feed(&index, 5, &steps[4].0), Effect::Applied, "in order, but on a doubtful entry");
    assert_eq!(ask(&index, 1, day(1)), Lookup::Doubtful(Some(LICENSE)));
    assert_eq!(index.observe(LICENSE, &steps[3].1, 4), Effect::Old, "older than what the feed has told of");
    assert_eq!(ask(&index, 1, day(1)), Lookup::Doubtful(Some(LICENSE)));
    assert_eq!(index.observe(LICENSE, &steps[4].1, 5), Effect::Applied);
    assert_eq!(ask(&index, 1, day(1)), expected(&steps[4].1, 1, 5, day(1)));
}

#[test]
fn a_change_of_an_unknown_licence_is_a_gap() {
    assert_eq!(feed(&index(), 2, &LicenseEvent::LicenseDisabled {}), Effect::Gap);
}

#[test]
fn a_key_of_another_project_is_told_and_one_of_another_tenant_is_not() {
    let index = index();
    feed(&index, 1, &LicenseEvent::LicenseIssued(issue(1)));
    let (sister, foreign) = (ProjectId(Uuid::from_u128(20)), ProjectId(Uuid::from_u128(21)));
    feed_project(&index, TENANT, sister, 1, created("k2"));
    feed_project(&index, TenantId(Uuid::from_u128(9)), foreign, 1, created("k3"));
    assert_eq!(ask_of(&index, sister, "key", "m", day(0)), Lookup::OtherProject);
    assert_eq!(ask_of(&index, foreign, "key", "m", day(0)), Lookup::NotFound);
    assert_eq!(ask_of(&index, PROJECT, "none", "m", day(0)), Lookup::NotFound);
}

#[test]
fn a_disabled_project_answers_before_its_licences() {
    let index = index();
    feed(&index, 1, &LicenseEvent::LicenseIssued(issue(1)));
    feed(&index, 2, &LicenseEvent::LicenseRevoked { reason: None });
    feed_project(&index, TENANT, PROJECT, 2, ProjectEvent::ProjectDisabled {});
    assert_eq!(ask(&index, 1, day(0)), Lookup::ProjectDisabled);
    assert_eq!(feed_project(&index, TENANT, PROJECT, 4, ProjectEvent::ProjectEnabled {}), Effect::Gap);
    assert_eq!(ask(&index, 1, day(0)), Lookup::Doubtful(None));
}

#[test]
fn credentials_are_found_until_their_overlap_ends() {
    let index = index();
    let rotated =
        |id: &str, until| ProjectEvent::CredentialsRotated { credentials: credentials(id), previous_until: until };
    feed_project(&index, TENANT, PROJECT, 2, rotated("k2", day(1)));
    let good = |id, at| index.by_api_key(id, at).is_some();
    assert!(good("k", day(0)) && good("k2", day(0)));
    assert!(!good("k", day(1)) && good("k2", day(1)));
    feed_project(&index, TENANT, PROJECT, 3, rotated("k3", day(5)));
    assert!(!good("k", day(0)) && good("k2", day(2)) && good("k3", day(9)));
    let project = index.by_api_key("k2", day(2)).unwrap();
    assert_eq!(project.credentials_for("k2", day(2)), Some(&credentials("k2")));
}

#[test]
fn a_project_observed_after_a_command_is_not_taken_back_by_the_feed() {
    let index = index();
    let mut state = Project::default();
    state.apply(created("k"));
    state.apply(ProjectEvent::ProjectDisabled {});
    assert_eq!(index.observe_project(TENANT, PROJECT, &state, 2), Effect::Applied);
    assert_eq!(feed_project(&index, TENANT, PROJECT, 2, ProjectEvent::ProjectDisabled {}), Effect::Old);
    assert!(index.project(PROJECT).unwrap().disabled);
}

#[test]
fn a_licence_of_a_refunded_batch_is_doubted_until_it_is_disabled_and_no_other() {
    let index = LicenseIndex::default();
    feed_project(&index, TENANT, PROJECT, 1, created("key"));
    let issue = |batch: u128, key: &str| {
        LicenseEvent::LicenseIssued(Issue {
            batch_id: BatchId(Uuid::from_u128(batch)),
            key_hash: key.into(),
            ..issue_with(LicenseTerms::usual(None, 1, vec![]))
        })
    };
    let other = LicenseId(Uuid::from_u128(33));
    index.apply(&recorded(LICENSE.0, 1, TENANT), &Event::License(issue(70, "k1")));
    index.apply(&recorded(other.0, 1, TENANT), &Event::License(issue(71, "k2")));
    let refunded = quotary_domain::license_batch::LicenseBatchEvent::BatchRefunded {
        journal_id: Uuid::from_u128(8).into(),
        amount: quotary_domain::Quota::ZERO,
        order_id: None,
        by: None,
    };
    let batch = recorded(Uuid::from_u128(70), 3, TENANT);
    assert_eq!(index.apply(&batch, &Event::LicenseBatch(refunded.clone())), Effect::Applied);
    assert_eq!(index.apply(&batch, &Event::LicenseBatch(refunded)), Effect::Old);
    let ask = |key: &str| ask_of(&index, PROJECT, key, "m", day(0));
    assert_eq!(ask("k1"), Lookup::Doubtful(Some(LICENSE)));
    assert!(matches!(ask("k2"), Lookup::License(Verdict::NeedsUse, _)));
    feed(&index, 2, &LicenseEvent::LicenseDisabled {});
    assert!(matches!(ask("k1"), Lookup::License(Verdict::Disabled, _)));
}
