//! The end of a licence is noted once for each end: also after downtime, by two workers, on a late list, after a renewal.

#![allow(clippy::unwrap_used, reason = "a test that can't go on stops where it is")]

#[path = "../../projections/tests/read_model_fixture/mod.rs"]
mod fixture;

use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use fixture::{Fixture, PATIENCE, TENANT, fact};
use quotary_commands::{Commands, EventLog, Limits, Vault, clock};
use quotary_domain::license::{Issue, License, LicenseEvent, LicenseTerms, Machine};
use quotary_domain::{LicenseId, Sealed};
use quotary_projections::license_ends::{LicenseEnds, due};
use quotary_workers::expire_licenses::{expire_due, run};
use quotary_workers::leader::LeaderOptions;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use zeroize::Zeroizing;

fn process(fixture: &Fixture) -> Commands {
    let vault = Vault::new(Zeroizing::new([7; 32]));
    Commands::new(EventLog::start(fixture.pool.clone(), vault, Limits::default(), 1_000).0)
}

/// A licence that was activated and ends then.
async fn license(fixture: &Fixture, number: u128, end: Option<DateTime<Utc>>) -> LicenseId {
    let id = LicenseId(Uuid::from_u128(number));
    let issued = LicenseEvent::LicenseIssued(Issue {
        plan_version: 1,
        expires_at: None,
        batch_id: Uuid::from_u128(1).into(),
        project_id: Uuid::from_u128(2).into(),
        plan_id: Uuid::from_u128(3).into(),
        agent_id: Uuid::from_u128(4).into(),
        terms: LicenseTerms::usual(Some(30), 1, vec![]),
        key_hash: format!("hash-{number}"),
        key: Sealed("v1.k.x".to_owned()),
    });
    let activated = LicenseEvent::LicenseActivated {
        activated_at: clock::now() - TimeDelta::days(30),
        expires_at: end,
        machine: Machine::of("m"),
    };
    fixture.append(vec![fact::<License>(id, &issued), fact::<License>(id, &activated)]).await;
    id
}

/// The ends that the log has noted of a licence.
async fn noted(fixture: &Fixture, id: LicenseId) -> Vec<DateTime<Utc>> {
    sqlx::query_scalar(
        "select (payload->'LicenseExpired'->>'expires_at')::timestamptz from events
         where aggregate_id = $1 and event_type = 'LicenseExpired' order by position",
    )
    .bind(id.to_string())
    .fetch_all(&fixture.pool)
    .await
    .unwrap()
}

async fn read(fixture: &Fixture) {
    let head: i64 = sqlx::query_scalar("select position from log_head").fetch_one(&fixture.pool).await.unwrap();
    fixture.project(LicenseEnds, head.cast_unsigned()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_end_that_came_while_nothing_ran_is_noted_once_by_two_workers_and_on_a_late_list() {
    let fixture = Fixture::new().await;
    let (here, there) = (process(&fixture), process(&fixture));
    let (now, cancel) = (clock::now(), CancellationToken::new());
    let over = license(&fixture, 10, Some(now - TimeDelta::days(2))).await;
    let valid = license(&fixture, 11, Some(now + TimeDelta::days(1))).await;
    let perpetual = license(&fixture, 12, None).await;
    read(&fixture).await;
    let early = now - TimeDelta::days(3);
    assert_eq!(expire_due(&here, &fixture.pool, early, &cancel).await.unwrap(), 0, "the clock went back");
    let (one, two) =
        tokio::join!(expire_due(&here, &fixture.pool, now, &cancel), expire_due(&there, &fixture.pool, now, &cancel));
    assert_eq!((one.unwrap(), two.unwrap()), (1, 1));
    assert_eq!(expire_due(&there, &fixture.pool, now, &cancel).await.unwrap(), 1, "the list is late");
    assert_eq!(noted(&fixture, over).await, [now - TimeDelta::days(2)]);
    read(&fixture).await;
    assert_eq!(expire_due(&here, &fixture.pool, now, &cancel).await.unwrap(), 0);
    assert_eq!((noted(&fixture, valid).await, noted(&fixture, perpetual).await), (vec![], vec![]));
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_renewed_licence_ends_again_and_one_renewed_after_the_list_was_read_does_not_end() {
    let fixture = Fixture::new().await;
    let (now, cancel) = (clock::now(), CancellationToken::new());
    let end = now - TimeDelta::days(2);
    let again = license(&fixture, 20, Some(end)).await;
    let renewed = license(&fixture, 21, Some(end)).await;
    let revoked = license(&fixture, 22, Some(end)).await;
    read(&fixture).await;
    let renew = |expires_at| LicenseEvent::LicenseRenewed { days: 10, expires_at: Some(expires_at) };
    let second = now + TimeDelta::days(8);
    fixture
        .append(vec![
            fact::<License>(renewed, &renew(second)),
            fact::<License>(revoked, &LicenseEvent::LicenseRevoked { reason: None }),
        ])
        .await;
    let commands = process(&fixture);
    assert_eq!(expire_due(&commands, &fixture.pool, now, &cancel).await.unwrap(), 3);
    assert_eq!((noted(&fixture, renewed).await, noted(&fixture, revoked).await), (vec![], vec![]));
    assert_eq!(noted(&fixture, again).await, [end]);
    read(&fixture).await;
    let later = now + TimeDelta::days(9);
    let listed = due(&fixture.pool, later, None, 10).await.unwrap();
    assert_eq!(listed, [(TENANT, renewed, second)]);
    let commands = process(&fixture);
    assert_eq!(expire_due(&commands, &fixture.pool, later, &cancel).await.unwrap(), 1);
    assert_eq!(noted(&fixture, renewed).await, [second]);
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_move_to_another_plan_that_keeps_the_end_makes_nothing_due_again() {
    let fixture = Fixture::new().await;
    let (now, cancel) = (clock::now(), CancellationToken::new());
    let end = now - TimeDelta::days(2);
    let (one, other) = (license(&fixture, 30, Some(end)).await, license(&fixture, 31, Some(end)).await);
    read(&fixture).await;
    assert_eq!(expire_due(&process(&fixture), &fixture.pool, now, &cancel).await.unwrap(), 2);
    read(&fixture).await;
    let moved = |expires_at| LicenseEvent::LicenseMoved {
        plan_id: Uuid::from_u128(5).into(),
        plan_version: 1,
        terms: LicenseTerms { duration_days: Some(30), max_machines: 1, ..LicenseTerms::default() },
        expires_at,
    };
    // Written by hand: the fixture numbers the events of its own alone.
    let query = "insert into events select position + $1, gen_random_uuid(), tenant_id, aggregate_type, aggregate_id, sequence + 1,
        'LicenseMoved', '1', $2::json, '{}', recorded_at + interval '1 second' from events
        where aggregate_id = $3 and event_type = 'LicenseExpired'";
    let head: i64 = sqlx::query_scalar("select position from log_head").fetch_one(&fixture.pool).await.unwrap();
    for (number, (id, end)) in (1_i64..).zip([(one, Some(end)), (other, Some(now - TimeDelta::days(1)))]) {
        let position: i64 = sqlx::query_scalar("select position from events where aggregate_id = $1 and sequence = 3")
            .bind(id.to_string())
            .fetch_one(&fixture.pool)
            .await
            .unwrap();
        sqlx::query(query)
            .bind(head + number - position)
            .bind(serde_json::to_string(&moved(end)).unwrap())
            .bind(id.to_string())
            .execute(&fixture.owner)
            .await
            .unwrap();
    }
    sqlx::query("update log_head set position = position + 2").execute(&fixture.owner).await.unwrap();
    read(&fixture).await;
    let listed = due(&fixture.pool, now, None, 10).await.unwrap();
    assert_eq!(listed, [(TENANT, other, now - TimeDelta::days(1))], "the same end is noted already");
    assert_eq!(expire_due(&process(&fixture), &fixture.pool, now, &cancel).await.unwrap(), 1);
    assert_eq!((noted(&fixture, one).await.len(), noted(&fixture, other).await.len()), (1, 2));
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_worker_notes_more_ends_than_one_page_has() {
    let fixture = Fixture::new().await;
    let end = clock::now() - TimeDelta::days(1);
    let mut facts = vec![];
    for number in 0..1_200 {
        let id = LicenseId(Uuid::from_u128(100 + number));
        let issued = LicenseEvent::LicenseIssued(Issue {
            plan_version: 1,
            expires_at: None,
            batch_id: Uuid::from_u128(1).into(),
            project_id: Uuid::from_u128(2).into(),
            plan_id: Uuid::from_u128(3).into(),
            agent_id: Uuid::from_u128(4).into(),
            terms: LicenseTerms::usual(Some(30), 1, vec![]),
            key_hash: format!("hash-{number}"),
            key: Sealed("v1.k.x".to_owned()),
        });
        let activated = LicenseEvent::LicenseActivated {
            activated_at: end - TimeDelta::days(30),
            expires_at: Some(end),
            machine: Machine::of("m"),
        };
        facts.extend([fact::<License>(id, &issued), fact::<License>(id, &activated)]);
    }
    fixture.append(facts).await;
    read(&fixture).await;
    let (commands, cancel) = (process(&fixture), CancellationToken::new());
    let worker = run(commands, fixture.pool.clone(), LeaderOptions::default(), cancel.clone());
    let worker = tokio::spawn(worker);
    let count = "select count(*) from events where event_type = 'LicenseExpired'";
    let start = Instant::now();
    while sqlx::query_scalar::<_, i64>(count).fetch_one(&fixture.pool).await.unwrap() < 1_200 {
        assert!(start.elapsed() < PATIENCE, "not all were noted");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    cancel.cancel();
    worker.await.unwrap();
    assert_eq!(sqlx::query_scalar::<_, i64>(count).fetch_one(&fixture.pool).await.unwrap(), 1_200);
    fixture.finish().await;
}
