//! Faults of PostgreSQL: the postmaster or a backend killed, a backend frozen in the middle of an append.

use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use quotary::embedded::Postgres;
use sqlx::{ConnectOptions as _, Connection as _};

use super::kind::Kind;
use super::stage::{PATIENCE, Stage};
use crate::support::dice::Dice;
use crate::support::eventually;

/// A fault comes within so many milliseconds.
const MOMENT_MS: u64 = 100;
/// How many commands are acknowledged between two faults at least.
const BETWEEN: u64 = 5;

const KINDS: [Kind; 3] = [Kind::KillPostgres, Kind::KillBackend, Kind::FrozenBackend];

/// Brings faults about until there are enough; PostgreSQL runs at the end.
pub async fn lane(stage: &Stage, postgres: &mut Postgres, mut dice: Dice) {
    while let Some(kind) = stage.next_fault(&KINDS, &mut dice).await {
        if !stage.progress(&stage.acknowledged, BETWEEN).await {
            stage.violation("nothing is acknowledged any more after a fault of PostgreSQL".to_owned());
            stage.tally.put_back(kind);
            break;
        }
        stage.some_moment(&mut dice, MOMENT_MS).await;
        match kind {
            Kind::KillPostgres => kill_all(stage, postgres).await,
            Kind::KillBackend => kill_one(stage).await,
            _ => freeze_one(stage, &mut dice).await,
        }
    }
}

async fn kill_all(stage: &Stage, postgres: &mut Postgres) {
    let in_flight = stage.writes_in_flight();
    stage.tally.hit(Kind::KillPostgres, in_flight);
    if in_flight > 0 {
        stage.database_is_up.send_replace(false);
        let start = Instant::now();
        postgres.kill().await.unwrap();
        postgres.restart().await.unwrap();
        stage.database_is_up.send_replace(true);
        println!("          back after {} ms", start.elapsed().as_millis());
    }
}

/// A backend that appends, or that did last.
async fn appender(stage: &Stage) -> Option<Pid> {
    let found: Option<i32> = sqlx::query_scalar(
        "select pid from pg_stat_activity
         where datname = current_database() and query like 'select base_position%'
         order by state = 'active' desc, random() limit 1",
    )
    .fetch_optional(&stage.installation.pool)
    .await
    .ok()?;
    found.map(Pid::from_raw)
}

async fn kill_one(stage: &Stage) {
    let Some(pid) = appender(stage).await else { return stage.tally.put_back(Kind::KillBackend) };
    let in_flight = stage.writes_in_flight();
    if in_flight > 0 && kill(pid, Signal::SIGKILL).is_err() {
        // It has ended by itself in this very moment.
        return stage.tally.put_back(Kind::KillBackend);
    }
    stage.tally.hit(Kind::KillBackend, in_flight);
    if in_flight > 0 {
        stage.database_is_up.send_replace(false);
        let start = Instant::now();
        let server: sqlx::postgres::PgConnectOptions = stage.installation.database_url().parse().unwrap();
        eventually("PostgreSQL is back after the end of a backend", PATIENCE, async || {
            let mut connection = server.connect().await.ok()?;
            connection.ping().await.ok()
        })
        .await;
        stage.database_is_up.send_replace(true);
        println!("          back after {} ms", start.elapsed().as_millis());
    }
}

async fn freeze_one(stage: &Stage, dice: &mut Dice) {
    let Some(pid) = appender(stage).await else { return stage.tally.put_back(Kind::FrozenBackend) };
    if kill(pid, Signal::SIGSTOP).is_err() {
        return stage.tally.put_back(Kind::FrozenBackend);
    }
    // Counted a moment after, when what it holds up has come.
    tokio::time::sleep(Duration::from_millis(5)).await;
    let in_flight = stage.writes_in_flight();
    if in_flight > 0 {
        tokio::time::sleep(Stage::freeze_time(dice)).await;
    }
    if kill(pid, Signal::SIGCONT).is_err() {
        // It was ending already when it was stopped, and stood for nothing.
        return stage.tally.put_back(Kind::FrozenBackend);
    }
    stage.tally.hit(Kind::FrozenBackend, in_flight);
}
