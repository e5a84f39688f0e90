//! Random histories of licences, as the domain decides them, through the auditor's replay, which shares no code with it.
//!
//! What always holds: what the domain allows the auditor finds legal. That it finds what is not legal, `tests/tampering.rs`
//! shows.

#![allow(clippy::unwrap_used, reason = "a test that can't go on stops where it is")]

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use cqrs_es::Aggregate as _;
use proptest::prelude::*;
use quotary_audit::entry::Entry;
use quotary_audit::replay::{Kind, Replay};
use quotary_domain::license::terms::{Heartbeat, Matching, Meter, Overage, Silence, Unbinding, ValidFrom};
use quotary_domain::license::{Issue, License, LicenseCommand, LicenseEvent, LicenseTerms, Machine, Policy, UsedBy};
use quotary_domain::license_batch::{BatchRequest, LicenseBatchEvent};
use quotary_domain::{AccountId, Aggregate as _, BatchId, EventName, PlanId, ProjectId, Quota, Sealed};
use uuid::Uuid;

fn id<T: From<Uuid>>(n: u128) -> T {
    Uuid::from_u128(n).into()
}

fn at(half_days: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000, 0).unwrap() + TimeDelta::hours(12 * half_days)
}

/// The log as it is read, one event after the other.
struct Log {
    replay: Replay,
    sequences: BTreeMap<u128, u64>,
    position: u64,
}

impl Log {
    fn append<E: EventName + serde::Serialize>(&mut self, aggregate_type: &str, aggregate: u128, event: &E) {
        self.position += 1;
        let sequence = self.sequences.entry(aggregate).or_default();
        *sequence += 1;
        let payload = serde_json::to_string(event).unwrap();
        let entry = Entry {
            position: self.position,
            event_id: Uuid::from_u128(1_000_000 + u128::from(self.position)),
            tenant_id: Uuid::from_u128(1),
            aggregate_type,
            aggregate_id: &Uuid::from_u128(aggregate).to_string(),
            sequence: *sequence,
            event_type: event.name(),
            event_version: event.version(),
            recorded_at: 1_700_000_000_000_000 + i64::try_from(self.position).unwrap(),
            payload: &payload,
            metadata: "{}",
        };
        // What a licence costs is no part of these histories; only states are looked at.
        self.replay.check(&entry).ok();
    }

    fn illegal(&self) -> Vec<String> {
        let states = self.replay.findings().iter().filter(|finding| matches!(finding.kind, Kind::State | Kind::Shape));
        states.map(ToString::to_string).collect()
    }
}

fn any_policy() -> impl Strategy<Value = Policy> {
    let silence = prop_oneof![Just(Silence::Free), Just(Silence::Keep), Just(Silence::KeepFor(86_400))];
    let valid_from = prop_oneof![Just(ValidFrom::Issue), Just(ValidFrom::Activation), Just(ValidFrom::FirstUse)];
    let matching = prop_oneof![Just(Matching::Exact), Just(Matching::Any), Just(Matching::Two), Just(Matching::All)];
    let overage = prop_oneof![Just(Overage::Refuse), Just(Overage::Allow)];
    (prop::option::of(silence), valid_from, matching, overage, any::<bool>(), 0..3u32).prop_map(
        |(silence, valid_from, matching, overage, trial, few)| Policy {
            heartbeat: silence.map(|silence| Heartbeat { interval_seconds: 86_400, grace_seconds: 43_200, silence }),
            valid_from,
            matching,
            overage,
            trial,
            unbinding: Unbinding { max: few, pause_seconds: 86_400 * few },
            max_transfers: few,
            meters: [("pages".to_owned(), Meter { limit: Some(100) }), ("free".to_owned(), Meter { limit: None })]
                .into(),
            ..Policy::default()
        },
    )
}

fn any_command() -> impl Strategy<Value = LicenseCommand> {
    let time = || (0..120i64).prop_map(at);
    let by = prop_oneof![Just(UsedBy::Verification), Just(UsedBy::Activation)];
    let machine = (0..5u8, 0..3u8).prop_map(|(n, mac)| Machine {
        components: [("mac".to_owned(), mac.to_string()), ("board".to_owned(), n.to_string())].into(),
        ..Machine::of(format!("m{n}"))
    });
    let moved =
        (1..4u32, 1..3u32, any::<bool>(), any_policy(), time()).prop_map(|(version, machines, endless, policy, at)| {
            let policy =
                if endless { Policy { trial: false, valid_from: ValidFrom::Activation, ..policy } } else { policy };
            let duration_days = if endless { None } else { Some(20) };
            let terms = LicenseTerms { policy, ..LicenseTerms::usual(duration_days, machines, vec![]) };
            LicenseCommand::Move { plan_id: id(5), plan_version: version, terms, at }
        });
    prop_oneof![
        8 => (machine, time(), by).prop_map(|(machine, at, by)| LicenseCommand::Use { machine, at, by }),
        3 => (0..5u8, time()).prop_map(|(n, at)| LicenseCommand::Beat { fingerprint_hash: format!("m{n}"), at }),
        2 => (any::<bool>(), 0..60u64, time()).prop_map(|(free, amount, at)| {
            LicenseCommand::ReportUsage { meter: if free { "free" } else { "pages" }.into(), amount, at }
        }),
        1 => (0..5u8).prop_map(|n| LicenseCommand::Deactivate { fingerprint_hash: format!("m{n}") }),
        1 => time().prop_map(|at| LicenseCommand::Unbind { at }),
        2 => time().prop_map(|at| LicenseCommand::Expire { at }),
        1 => Just(LicenseCommand::Disable),
        1 => Just(LicenseCommand::Enable),
        1 => (0..20u32, time()).prop_map(|(days, at)| LicenseCommand::Renew { days, at }),
        1 => time().prop_map(|at| LicenseCommand::Transfer { holder: Some(Sealed("v1.k.h".into())), at }),
        1 => moved,
    ]
}

proptest! {
    #[test]
    fn what_the_domain_allows_the_auditor_finds_legal(
        policy in any_policy(),
        commands in prop::collection::vec(any_command(), 0..60),
        revoked in any::<bool>(),
    ) {
        let terms = LicenseTerms { policy, ..LicenseTerms::usual(Some(30), 2, vec!["pro".into()]) };
        let (project_id, plan_id, agent_id): (ProjectId, PlanId, AccountId) = (id(4), id(5), id(2));
        let mut log = Log { replay: Replay::collecting(), sequences: BTreeMap::new(), position: 0 };
        let request = BatchRequest {
            agent_id,
            project_id,
            plan_id,
            plan_version: 1,
            terms: terms.clone(),
            count: 1,
            total_price: Quota::ZERO,
        };
        log.append("LicenseBatch", 6, &LicenseBatchEvent::BatchRequested(request));
        let chunk = LicenseBatchEvent::ChunkIssued { chunk: 0, count: 1, amount: Quota::ZERO, commissions: vec![] };
        log.append("LicenseBatch", 6, &chunk);
        let issue = Issue {
            batch_id: id::<BatchId>(6),
            project_id,
            plan_id,
            plan_version: 1,
            agent_id,
            expires_at: terms.end_at_issue(at(0)),
            terms,
            key_hash: "hash".into(),
            key: Sealed("v1.k.x".into()),
        };
        let mut license = License::default();
        let last = revoked.then_some(LicenseCommand::Revoke { reason: None });
        let mut history: Vec<LicenseEvent> = vec![];
        for command in [LicenseCommand::Issue(issue)].into_iter().chain(commands).chain(last) {
            for event in license.decide(command).unwrap_or_default() {
                license.apply(event.clone());
                log.append("License", 7, &event);
                history.push(event);
            }
        }
        prop_assert_eq!(log.illegal(), Vec::<String>::new(), "{:#?}", history);
        log.append("License", 7, &LicenseEvent::LicenseRenewed { days: 0, expires_at: None });
        prop_assert_eq!(log.illegal().len(), 1, "what is not legal is found");
    }
}
