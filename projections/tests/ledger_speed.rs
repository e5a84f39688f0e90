//! How fast the ledger is replayed from the log; run by hand, in release: `cargo test --release --test ledger_speed -- --ignored
//! --nocapture`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod read_model_fixture;

use std::time::Instant;

use quotary_projections::ledger::{self, Ledger};
use read_model_fixture::Fixture;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn replay_of_half_a_million_events() {
    let fixture = Fixture::new().await;
    sqlx::query(
        r#"insert into events
           select n, gen_random_uuid(), '01900000-0000-7000-8000-000000000001', 'AgentQuota',
                  ('00000000-0000-7000-8000-' || lpad(to_hex(n % 1000), 12, '0')), n / 1000 + 1,
                  case when n <= 1000 then 'QuotaToppedUp' else 'QuotaSent' end, '1',
                  case when n <= 1000 then '{"QuotaToppedUp":{"journal_id":"' || gen_random_uuid() || '","amount":100000000}}'
                       else '{"QuotaSent":{"journal_id":"' || gen_random_uuid() || '","kind":"transfer","to":"'
                            || gen_random_uuid() || '","amount":7}}' end::json,
                  '{"actor":"01900000-0000-7000-8000-000000000001","command":"quota.transfer"}'::json,
                  timestamptz '2026-01-01' + n * interval '1 millisecond'
           from generate_series(1, 500000) n"#,
    )
    .execute(&fixture.owner)
    .await
    .unwrap();
    sqlx::query("update log_head set position = 500000").execute(&fixture.owner).await.unwrap();
    sqlx::query("analyze events").execute(&fixture.owner).await.unwrap();
    for max_run in [1_000, 5_000, 20_000] {
        let started = Instant::now();
        let running = fixture.run(Ledger, max_run);
        fixture.reached(&running, ledger::NAME, 500_000).await;
        let seconds = started.elapsed().as_secs_f64();
        running.end().await.unwrap();
        eprintln!("runs of {max_run}: {:.0} events/s", 500_000.0 / seconds);
        sqlx::raw_sql("drop schema ledger_1 cascade; delete from projections").execute(&fixture.owner).await.unwrap();
    }
    fixture.finish().await;
}
