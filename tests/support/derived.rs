//! What is derived from the log, against the log: read models and the stream.

use std::collections::BTreeMap;
use std::time::Duration;

use async_nats::jetstream::consumer::{DeliverPolicy, pull};
use futures::StreamExt as _;
use serde_json::Value;
use uuid::Uuid;

use super::eventually;
use super::installation::Installation;

/// How long what is derived may take to catch up.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until every read model and the stream have the whole log; its head.
pub async fn caught_up(installation: &Installation) -> i64 {
    let head = installation.head().await;
    eventually("the read models have the whole log", PATIENCE, async || {
        let behind: i64 =
            sqlx::query_scalar("select count(*) from projections where state = 'serving' and checkpoint < $1")
                .bind(head)
                .fetch_one(&installation.pool)
                .await
                .unwrap();
        (behind == 0).then_some(())
    })
    .await;
    eventually("the stream has the whole log", PATIENCE, async || {
        let mut stream = installation.nats.get_stream(installation.names.stream()).await.ok()?;
        let last = stream.info().await.ok()?.state.last_sequence;
        (i64::try_from(last).unwrap() >= head).then_some(())
    })
    .await;
    assert_eq!(installation.head().await, head, "the log still grows");
    head
}

/// Compares every message of the stream with the event at its sequence, each given by its position and its id.
pub async fn check_stream(installation: &Installation, log: &[(i64, Uuid)]) {
    let stream = installation.nats.get_stream(installation.names.stream()).await.unwrap();
    let state = &stream.cached_info().state;
    assert_eq!((state.first_sequence, state.last_sequence), (1, log.len() as u64), "the stream's ends");
    let config = pull::OrderedConfig { deliver_policy: DeliverPolicy::All, ..pull::OrderedConfig::default() };
    // A server that has just come back can refuse for a moment.
    let consumer =
        eventually("the stream gives a consumer", PATIENCE, async || stream.create_consumer(config.clone()).await.ok())
            .await;
    let mut messages = consumer.messages().await.unwrap();
    for (position, event_id) in log {
        let message = tokio::time::timeout(PATIENCE, messages.next()).await.expect("the stream is cut short");
        let message = message.unwrap().unwrap();
        let sequence = message.info().unwrap().stream_sequence;
        assert_eq!(i64::try_from(sequence).unwrap(), *position);
        let id = message.headers.as_ref().and_then(|headers| headers.get("ce-id")).map(ToString::to_string);
        assert_eq!(id, Some(event_id.to_string()), "the message at {sequence}");
    }
}

/// The rows of every view that queries see, as texts.
type Rows = BTreeMap<String, Vec<String>>;

async fn rows(installation: &Installation) -> Rows {
    let views: Vec<String> = sqlx::query_scalar(
        "select table_name::text from information_schema.views where table_schema = 'read' order by 1",
    )
    .fetch_all(&installation.pool)
    .await
    .unwrap();
    let mut all = Rows::new();
    for view in views {
        let text = format!("select t::text from read.{view} t order by 1");
        let rows = sqlx::query_scalar(&text).fetch_all(&installation.pool).await.unwrap();
        all.insert(view, rows);
    }
    all
}

/// How often read models are built anew when the log moves meanwhile, as when a hold's time comes.
const ATTEMPTS: usize = 5;

async fn head(installation: &Installation) -> i64 {
    sqlx::query_scalar("select position from log_head").fetch_one(&installation.pool).await.unwrap()
}

/// Builds every read model anew from the log and compares every row; how many rows there are by view.
pub async fn check_read_models(installation: &Installation) -> BTreeMap<String, usize> {
    let names: Vec<String> = sqlx::query_scalar("select name from projections where state = 'serving' order by name")
        .fetch_all(&installation.pool)
        .await
        .unwrap();
    let mut pair = None;
    for _ in 0..ATTEMPTS {
        let position = head(installation).await;
        let before = rows(installation).await;
        for name in &names {
            installation.run(&["projection", "rebuild", name]).await;
        }
        let after = rows(installation).await;
        if head(installation).await == position {
            pair = Some((before, after));
            break;
        }
    }
    let (before, after) = pair.expect("the log came to rest");
    for (view, rows) in &before {
        let (mut kept, mut built) = (rows.iter(), after[view].iter());
        loop {
            match (kept.next(), built.next()) {
                (None, None) => break,
                (kept, built) => assert_eq!(kept, built, "read.{view} is not what a replay gives"),
            }
        }
    }
    assert!(before.len() >= names.len(), "there are views missing: {:?}", before.keys());
    before.into_iter().map(|(view, rows)| (view, rows.len())).collect()
}

/// The auditor's replay: agent → (available, held).
pub async fn replayed(installation: &Installation) -> BTreeMap<String, (i64, i64)> {
    let text = installation.run(&["log", "replay"]).await;
    let lines = text.lines().skip(1).map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines
        .map(|line| {
            let (available, held) = (line["available"].as_i64().unwrap(), line["held"].as_i64().unwrap());
            (line["agent_id"].as_str().unwrap().to_owned(), (available, held))
        })
        .collect()
}

/// What the read model says: agent → (available, held).
pub async fn balances(installation: &Installation) -> BTreeMap<String, (i64, i64)> {
    let rows: Vec<(String, i64, i64)> = sqlx::query_as("select agent_id::text, available, held from read.balances")
        .fetch_all(&installation.pool)
        .await
        .unwrap();
    rows.into_iter().map(|(agent, available, held)| (agent, (available, held))).collect()
}

/// Licences that were asked for and are not issued.
pub async fn licenses_open(installation: &Installation) -> i64 {
    let open: Option<i64> = sqlx::query_scalar(
        "select sum(coalesce((payload->'BatchRequested'->>'count')::bigint, 0)
                    - coalesce((payload->'ChunkIssued'->>'count')::bigint, 0)
                    - coalesce((payload->'BatchStopped'->>'remaining')::bigint, 0))::bigint
         from events where aggregate_type = 'LicenseBatch'",
    )
    .fetch_one(&installation.pool)
    .await
    .unwrap();
    open.unwrap_or_default()
}

/// Licences of refunded batches that are not disabled.
async fn refunded_open(installation: &Installation) -> i64 {
    let open: Option<i64> = sqlx::query_scalar(
        "select sum(coalesce((payload->'ChunkIssued'->>'count')::bigint, 0)
                    - coalesce((payload->'RefundedLicensesDisabled'->>'count')::bigint, 0))::bigint
         from events where aggregate_type = 'LicenseBatch'
           and aggregate_id in (select aggregate_id from events where event_type = 'BatchRefunded')",
    )
    .fetch_one(&installation.pool)
    .await
    .unwrap();
    open.unwrap_or_default()
}

/// Waits until every licence that was asked for is issued, and every one that was refunded is disabled.
pub async fn all_batches_done(installation: &Installation) {
    eventually("all batches are done", Duration::from_secs(90), async || {
        (licenses_open(installation).await == 0 && refunded_open(installation).await == 0).then_some(())
    })
    .await;
}
