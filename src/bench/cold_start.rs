//! How soon a node that starts on a million licences answers the first verification from memory.

use std::time::{Duration, Instant};

use quotary_commands::{Context, clock};
use quotary_domain::license::{Machine, UsedBy};

use super::http::{Connection, find};
use super::report::{Line, Report};
use super::scene::Failure;
use super::shop::Shop;
use crate::config::Config;
use crate::service::{Halves, Service};

/// As many times as many licences as were issued.
const TIMES: i32 = 10;
const PATIENCE: Duration = Duration::from_secs(60);

/// Makes the read model of `shop` ten times as large, starts a second API on it, and verifies one of its licences.
///
/// # Errors
/// If the second API does not start or answers another thing.
pub async fn measure(config: &Config, service: &Service, shop: &Shop, report: &mut Report) -> Result<(), Failure> {
    let tenant = shop.admin.tenant_id;
    let machine = Machine::of(service.commands.log().vault().hash(tenant, "fingerprint", "cold"));
    let context = Context::system(tenant, "license.use", clock::now());
    let used =
        service.commands.use_license(&context, shop.project_id, shop.licenses[0].0, machine, UsedBy::Verification);
    let position = used.await?.position;
    multiply(config, service, position).await?;
    let start = Instant::now();
    let cold = Service::start(config, Halves::Api).await?;
    let listening = start.elapsed();
    let mut connection = Connection::open(cold.address).await?;
    let mut tries = 0;
    while find(connection.ask(&shop.verify(cold.address, 0, "cold", tries)?).await?, b"\"code\":\"VALID\"").is_none() {
        tries += 1;
        if start.elapsed() > PATIENCE {
            return Err("the node did not serve in time".into());
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let seconds = start.elapsed().as_secs_f64();
    let count: i64 = sqlx::query_scalar("select count(*) from read.licenses").fetch_one(&service.pool).await?;
    let note = format!(
        "{count} licences, 100000 of them issued and the rest copies of their rows; listening after {:.1} s",
        listening.as_secs_f64()
    );
    report.add(Line::plain("cold_start_1m", "s", seconds, note))?;
    Ok(cold.run_until(std::future::ready(())).await?)
}

/// Waits for the read model and copies its rows under other ids and keys.
async fn multiply(config: &Config, service: &Service, position: u64) -> Result<(), Failure> {
    let give_up = Instant::now() + PATIENCE;
    let checkpoint = "select checkpoint from projections where name = 'licenses' and state = 'serving'";
    while sqlx::query_scalar::<_, i64>(checkpoint).fetch_one(&service.pool).await?.cast_unsigned() < position {
        if Instant::now() > give_up {
            return Err("the read model did not catch up in time".into());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let owner = crate::database::owner_pool(&config.database_url()?, 1).await?;
    let schema: String = sqlx::query_scalar(
        "select view_schema.table_schema::text from information_schema.view_table_usage view_schema
         where view_schema.view_schema = 'read' and view_schema.view_name = 'licenses' and view_schema.table_name = 'licenses'",
    )
    .fetch_one(&owner)
    .await?;
    let columns: Vec<String> = sqlx::query_scalar(
        "select column_name::text from information_schema.columns
         where table_schema = $1 and table_name = 'licenses' order by ordinal_position",
    )
    .bind(&schema)
    .fetch_all(&owner)
    .await?;
    let copied = columns.iter().map(|column| match column.as_str() {
        "license_id" => "gen_random_uuid()".to_owned(),
        "number" => "l.number + n * 1000000".to_owned(),
        "key_hash" => {
            "rtrim(translate(encode(sha256((l.key_hash || n)::bytea), 'base64'), '+/', '-_'), '=')".to_owned()
        }
        column => format!("l.{column}"),
    });
    let copied = copied.collect::<Vec<_>>().join(", ");
    let insert = format!(
        "insert into {schema}.licenses ({}) select {copied} from {schema}.licenses l, generate_series(1, {}) n",
        columns.join(", "),
        TIMES - 1
    );
    sqlx::raw_sql(&insert).execute(&owner).await?;
    owner.close().await;
    Ok(())
}
