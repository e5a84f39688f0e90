//! Durable commands per second through the whole command path (load, decide, append, acknowledge), beside stock cqrs-es
//! with postgres-es on the same PostgreSQL. Both run the same aggregate, the same command and the same ids.

use std::sync::Arc;
use std::time::Duration;

use cqrs_es::CqrsFramework;
use postgres_es::{PostgresEventRepository, postgres_cqrs};
use quotary_commands::{Context, EventLog, Plan, Refusal, clock};
use quotary_domain::agent_quota::{AgentQuota, AgentQuotaCommand};
use quotary_domain::{Actor, JournalId, Quota};
use sqlx::Executor as _;
use sqlx::postgres::PgPoolOptions;
use uuid::Uuid;

use super::load::{Measured, closed_loop};
use super::report::{Line, Report};
use super::scene::{Failure, Scene, fresh_database};
use crate::embedded::Servers;

/// Aggregates the commands are spread over, so that the stock store's histories stay short.
const AGGREGATES: u128 = 10_000;
const WARM_UP: Duration = Duration::from_secs(2);
const PERIOD: Duration = Duration::from_secs(6);

/// The table that `postgres-es` documents.
const STOCK_TABLE: &str = "create table events (
    aggregate_type text not null, aggregate_id text not null, sequence bigint check (sequence >= 0) not null,
    event_type text not null, event_version text not null, payload json not null, metadata json not null,
    primary key (aggregate_type, aggregate_id, sequence))";

fn top_up() -> AgentQuotaCommand {
    let amount = Quota::new(5).expect("5 is an amount");
    AgentQuotaCommand::TopUp { journal_id: JournalId(clock::new_id()), amount, note: None }
}

fn id(number: u64) -> Uuid {
    // Spread like random ids, the same for both.
    Uuid::from_u128((u128::from(number) % AGGREGATES).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835) | 1)
}

/// Measures at one number of requests in flight.
///
/// # Errors
/// If a command fails.
pub async fn measure(servers: &Servers, report: &mut Report, in_flight: usize) -> Result<(), Failure> {
    let stock = stock(servers, in_flight).await?;
    let ours = ours(servers, in_flight).await?;
    report.add(Line::of_loop(format!("commands_{in_flight}"), "commands/s", &ours, Some(&stock)))?;
    Ok(())
}

async fn ours(servers: &Servers, in_flight: usize) -> Result<Measured, Failure> {
    let scene = Scene::set(servers, "bench_commands").await?;
    let measured = on(scene.commands.log().clone(), scene.admin, in_flight).await?;
    scene.strike().await?;
    Ok(measured)
}

/// Plain commands on a log.
///
/// # Errors
/// If a command fails.
pub async fn on(log: EventLog, admin: Actor, in_flight: usize) -> Result<Measured, Failure> {
    closed_loop(in_flight, WARM_UP, PERIOD, move |number| {
        let log = log.clone();
        async move {
            let mut plan = Plan::new();
            let quota = plan.open::<AgentQuota>(id(number));
            let context = Context::of(admin, "bench.top-up", clock::now());
            let decide = |unit: &mut quotary_commands::Unit| Ok::<_, Refusal>(unit.decide(quota, top_up())?);
            log.execute(&context, &plan, decide).await.map(|_| ()).map_err(Failure::from)
        }
    })
    .await
}

async fn stock(servers: &Servers, in_flight: usize) -> Result<Measured, Failure> {
    let url = fresh_database(servers, "bench_stock").await?;
    let connections = u32::try_from(in_flight.min(64))?;
    let pool = PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(Duration::from_secs(60))
        .connect(&url)
        .await?;
    pool.execute(STOCK_TABLE).await?;
    let cqrs: Arc<CqrsFramework<AgentQuota, _>> = Arc::new(stock_framework(pool.clone()));
    let measured = closed_loop(in_flight, WARM_UP, PERIOD, move |number| {
        let cqrs = cqrs.clone();
        async move {
            // Two of the loop can meet on one aggregate; the stock store answers a conflict, and the client asks again.
            loop {
                match cqrs.execute(&id(number).to_string(), top_up()).await {
                    Ok(()) => return Ok(()),
                    Err(cqrs_es::AggregateError::AggregateConflict) => {}
                    Err(error) => return Err(Failure::from(error.to_string())),
                }
            }
        }
    })
    .await?;
    pool.close().await;
    Ok(measured)
}

fn stock_framework(
    pool: sqlx::PgPool,
) -> CqrsFramework<AgentQuota, cqrs_es::persist::PersistedEventStore<PostgresEventRepository, AgentQuota>> {
    postgres_cqrs(pool, vec![], ())
}
