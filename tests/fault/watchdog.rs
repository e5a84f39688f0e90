//! Watches that the load goes on: the system must come back by itself soon after each fault.

use std::time::{Duration, Instant};

use sqlx::{ConnectOptions as _, Connection as _};

use super::stage::Stage;

/// How often it looks.
const LOOK: Duration = Duration::from_millis(250);
/// A standstill of this length is told, with what PostgreSQL is doing.
const TOLD_AFTER: Duration = Duration::from_secs(6);
/// A standstill of this length is a finding. Faults follow each other closely, so it is more than one of them takes.
const TOO_LONG: Duration = Duration::from_secs(30);

/// Watches until the clients are told to end; gives the longest standstill.
pub async fn watch(stage: &Stage) -> Duration {
    let (mut seen, mut since, mut is_told) = (0, Instant::now(), false);
    let mut longest = Duration::ZERO;
    let mut last_look = Instant::now();
    while !stage.is_over() {
        tokio::time::sleep(LOOK).await;
        // When this process itself got no processor, that is nobody's standstill.
        let own_pause = last_look.elapsed().saturating_sub(LOOK * 2);
        since += own_pause;
        last_look = Instant::now();
        let now = *stage.acknowledged.borrow();
        if now != seen {
            (seen, since, is_told) = (now, Instant::now(), false);
        }
        longest = longest.max(since.elapsed());
        if since.elapsed() > TOLD_AFTER && !is_told {
            is_told = true;
            println!("          nothing was acknowledged for {:?}: {:?}", since.elapsed(), activity(stage).await);
        }
        if since.elapsed() > TOO_LONG {
            stage.violation(format!("nothing was acknowledged for {TOO_LONG:?}: {:?}", activity(stage).await));
            since = Instant::now();
        }
    }
    longest
}

/// What PostgreSQL's sessions are doing: process, state, what they wait for, since when, and the query.
async fn activity(stage: &Stage) -> Vec<(i32, Option<String>, Option<String>, Option<String>, String)> {
    let server: sqlx::postgres::PgConnectOptions = stage.installation.database_url().parse().unwrap();
    let asked = async {
        let mut connection = server.connect().await?;
        let rows = sqlx::query_as(
            "select pid, state, wait_event_type || ' ' || wait_event, (now() - xact_start)::text, left(query, 60)
             from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()
             order by xact_start nulls last",
        )
        .fetch_all(&mut connection)
        .await?;
        connection.close().await?;
        Ok::<_, sqlx::Error>(rows)
    };
    tokio::time::timeout(Duration::from_secs(3), asked).await.unwrap_or(Ok(vec![])).unwrap_or_default()
}
