//! Order of feed and observation, and equality with the aggregate over random histories.

use chrono::{DateTime, TimeDelta, Utc};
use cqrs_es::Aggregate as _;
use proptest::prelude::*;
use quotary_domain::license::{Issue, License, LicenseCommand, LicenseEvent, LicenseStatus, LicenseTerms, Machine};
use quotary_domain::project::{Credentials, Project, ProjectDetails, ProjectEvent, SigningKey};
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
        signing_key: SigningKey { key_id: "s".into(), public_key: "p".into(), secret_key: Sealed("x".into()) },
    }
}

fn index() -> LicenseIndex {
    let index = LicenseIndex::default();
    assert_eq!(feed_project(&index, TENANT, PROJECT, 1, created("k")), Effect::Applied);
    index
}

fn issue(max_machines: u32) -> Issue {
    Issue {
        batch_id: BatchId(Uuid::from_u128(4)),
        project_id: PROJECT,
        plan_id: PlanId(Uuid::from_u128(5)),
        agent_id: AccountId(Uuid::from_u128(6)),
        terms: LicenseTerms { duration_days: Some(30), max_machines, features: vec!["pro".into()] },
        key_hash: "key".into(),
        key: Sealed("sealed".into()),
    }
}

fn machine(n: u8) -> Machine {
    Machine { fingerprint_hash: format!("machine {n}"), name: None }
}

fn ask(index: &LicenseIndex, machine: u8, now: DateTime<Utc>) -> Verdict {
    let fingerprint = HashPrefix::of_text(&format!("machine {machine}"));
    verify(index, PROJECT, HashPrefix::of_text("key"), fingerprint, now)
}

/// What the aggregate says, in the order of the checks.
fn expected(state: &License, number: u8, now: DateTime<Utc>) -> Verdict {
    let Some(issue) = &state.issue else { return Verdict::NotFound };
    let view = LicenseView {
        license_id: LICENSE,
        plan_id: issue.plan_id,
        status: state.status(now),
        activated_at: state.activated_at,
        expires_at: state.expires_at,
        features: issue.terms.features.as_slice().into(),
        machines: u32::try_from(state.machines.len()).unwrap(),
        max_machines: issue.terms.max_machines,
    };
    match state.status(now) {
        LicenseStatus::Revoked => Verdict::Revoked(view),
        LicenseStatus::Disabled => Verdict::Disabled(view),
        LicenseStatus::Expired => Verdict::Expired(view),
        _ => match state.decide(LicenseCommand::Use { machine: machine(number), at: now }) {
            Ok(events) if events.is_empty() => Verdict::Valid(view),
            Ok(_) => Verdict::NeedsActivation(view),
            Err(_) => Verdict::TooManyMachines(view),
        },
    }
}

fn command(kind: u8, number: u8, at: DateTime<Utc>) -> LicenseCommand {
    match kind {
        0..=3 => LicenseCommand::Use { machine: machine(number), at },
        4 => LicenseCommand::Deactivate { fingerprint_hash: machine(number).fingerprint_hash },
        5 => LicenseCommand::Unbind { at },
        6 => LicenseCommand::Disable,
        7 | 8 => LicenseCommand::Enable,
        9 => LicenseCommand::Renew { days: 10, at },
        _ => LicenseCommand::Revoke { reason: None },
    }
}

/// The states of a random history: event by event, beginning with the issue.
fn history(commands: &[(u8, u8, i64)]) -> Vec<(LicenseEvent, License)> {
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
    take(&mut state, LicenseCommand::Issue(issue(3)));
    for (kind, number, days) in commands {
        now += days;
        take(&mut state, command(*kind, *number, day(now)));
    }
    steps
}

fn commands() -> impl Strategy<Value = Vec<(u8, u8, i64)>> {
    // Revocation is rare, so that histories go on.
    let kind = prop_oneof![30 => 0..10_u8, 1 => Just(10_u8)];
    proptest::collection::vec((kind, 0..5_u8, 0..8_i64), 0..40)
}

proptest! {
    #[test]
    fn the_fold_equals_the_aggregate(commands in commands()) {
        let index = index();
        for (n, (event, state)) in history(&commands).iter().enumerate() {
            prop_assert_eq!(feed(&index, n as u64 + 1, event), Effect::Applied);
            for number in 0..5 {
                for at in [0, 20, 60, 400] {
                    prop_assert_eq!(ask(&index, number, day(at)), expected(state, number, day(at)));
                }
            }
        }
    }

    /// A feed that is late and repeats itself, among observations of any age, ends at the latest state.
    #[test]
    fn the_latest_state_wins_in_any_order(commands in commands(), order in proptest::collection::vec(any::<(bool, usize)>(), 0..80)) {
        let steps = history(&commands);
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
                prop_assert_eq!(ask(&index, 1, day(20)), expected(&steps[newest - 1].1, 1, day(20)));
            }
        }
    }
}

#[test]
fn a_missed_event_is_not_answered_over_until_the_state_is_observed() {
    let index = index();
    let steps = history(&[(0, 1, 0), (6, 0, 0), (7, 0, 0), (0, 2, 0)]);
    assert_eq!(steps.len(), 5);
    feed(&index, 1, &steps[0].0);
    feed(&index, 2, &steps[1].0);
    assert_eq!(feed(&index, 4, &steps[3].0), Effect::Gap);
    assert_eq!(ask(&index, 1, day(1)), Verdict::Doubtful(Some(LICENSE)));
    assert_eq!(feed(&index, 5, &steps[4].0), Effect::Applied, "in order, but on a doubtful entry");
    assert_eq!(ask(&index, 1, day(1)), Verdict::Doubtful(Some(LICENSE)));
    assert_eq!(index.observe(LICENSE, &steps[3].1, 4), Effect::Old, "older than what the feed has told of");
    assert_eq!(ask(&index, 1, day(1)), Verdict::Doubtful(Some(LICENSE)));
    assert_eq!(index.observe(LICENSE, &steps[4].1, 5), Effect::Applied);
    assert_eq!(ask(&index, 1, day(1)), expected(&steps[4].1, 1, day(1)));
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
    let (key, machine) = (HashPrefix::of_text("key"), HashPrefix::of_text("m"));
    assert_eq!(verify(&index, sister, key, machine, day(0)), Verdict::OtherProject);
    assert_eq!(verify(&index, foreign, key, machine, day(0)), Verdict::NotFound);
    assert_eq!(verify(&index, PROJECT, HashPrefix::of_text("none"), machine, day(0)), Verdict::NotFound);
}

#[test]
fn a_disabled_project_answers_before_its_licences() {
    let index = index();
    feed(&index, 1, &LicenseEvent::LicenseIssued(issue(1)));
    feed(&index, 2, &LicenseEvent::LicenseRevoked { reason: None });
    feed_project(&index, TENANT, PROJECT, 2, ProjectEvent::ProjectDisabled {});
    assert_eq!(ask(&index, 1, day(0)), Verdict::ProjectDisabled);
    assert_eq!(feed_project(&index, TENANT, PROJECT, 4, ProjectEvent::ProjectEnabled {}), Effect::Gap);
    assert_eq!(ask(&index, 1, day(0)), Verdict::Doubtful(None));
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
            project_id: PROJECT,
            plan_id: PlanId(Uuid::from_u128(5)),
            agent_id: AccountId(Uuid::from_u128(6)),
            terms: LicenseTerms { duration_days: None, max_machines: 1, features: vec![] },
            key_hash: key.into(),
            key: Sealed("x".into()),
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
    let ask = |key: &str| verify(&index, PROJECT, HashPrefix::of_text(key), HashPrefix::of_text("m"), day(0));
    assert_eq!(ask("k1"), Verdict::Doubtful(Some(LICENSE)));
    assert!(matches!(ask("k2"), Verdict::NeedsActivation(_)));
    feed(&index, 2, &LicenseEvent::LicenseDisabled {});
    assert!(matches!(ask("k1"), Verdict::Disabled(_)));
}
