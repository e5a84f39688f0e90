//! A statement of a million movements of one account, taken over HTTP from the whole service: how long, and how much memory
//! the process needs beside what it has anyway.
//!
//! The movements are put into the log by SQL, as valid events of one stream; the read models are then made from them as
//! always.

use std::time::{Duration, Instant};

use base64::Engine as _;
use quotary_api::tokens::TokenKeys;
use quotary_commands::account::create::CreateAccount;
use quotary_commands::{Context, clock};
use quotary_domain::account::Username;
use quotary_domain::{AccountId, Actor, Quota, Role};
use quotary_projections::{accounts, generation, ledger};
use sqlx::PgPool;

use super::memory::peak_during;
use super::report::{Line, Report};
use super::scene::{Failure, fresh_database};
use crate::config::{Config, Secret};
use crate::database;
use crate::embedded::Servers;
use crate::service::{Halves, Service};

const LINES: u64 = 1_000_000;
/// Lines of the PDF, which takes much longer a line.
const PDF_LINES: u64 = 100_000;
const STEP: u64 = 100_000;
const PASSWORD: &str = "bench-password";
const PATIENCE: Duration = Duration::from_secs(600);

/// Measures the CSV; the workbook and the pages stand in the note.
///
/// # Errors
/// If the service fails or a download is not whole.
pub async fn measure(servers: &Servers, report: &mut Report) -> Result<(), Failure> {
    let database_url = fresh_database(servers, "bench_statement").await?;
    let config = Config {
        database_url: Some(Secret::from(database_url.clone())),
        listen: std::net::SocketAddr::from(([127, 0, 0, 1], 0)),
        master_key: Some(Secret::from(base64::engine::general_purpose::STANDARD.encode([7; 32]))),
        token_keys: Some(Secret::from(TokenKeys::generate_json()?.to_string())),
        ..Config::default()
    };
    let service = Service::start(&config, Halves::Both).await?;
    let (admin, agent) = prepare(&service).await?;
    let owner = database::owner_pool(&database_url, 2).await?;
    let pdf_until = fill(&owner, admin, agent).await?;
    projected(&service.pool).await?;
    let token = log_in(&service).await?;
    let path = format!("http://{}/v1/quota/accounts/{agent}/statement/export", service.address);
    let csv = taken(&token, &format!("{path}?format=csv")).await?;
    if csv.line_ends != LINES + 3 {
        return Err(format!("{} lines came, with opening, closing and header", csv.line_ends).into());
    }
    let xlsx = taken(&token, &format!("{path}?format=xlsx")).await?;
    let pdf = taken(&token, &format!("{path}?format=pdf&to={}", pdf_until.replace('+', "%2B"))).await?;
    let note = format!(
        "{LINES} lines as CSV over HTTP, client in the same process: {}; XLSX {:.1} s, {}; PDF of {PDF_LINES} lines {:.1} s, {}; \
         events put into the log by SQL",
        csv.sizes(),
        xlsx.seconds,
        xlsx.sizes(),
        pdf.seconds,
        pdf.sizes()
    );
    report.add(Line::plain("statement_1m", "s", csv.seconds, note))?;
    owner.close().await;
    Ok(service.run_until(std::future::ready(())).await?)
}

/// A tenant and one agent.
async fn prepare(service: &Service) -> Result<(Actor, AccountId), Failure> {
    let tenant = quotary_commands::tenant::create::CreateTenant {
        name: "bench".into(),
        username: Username::parse("admin")?,
        email: "admin@example.com".into(),
        password: zeroize::Zeroizing::new(PASSWORD.into()),
        must_change_password: false,
    };
    let created = service.commands.create_tenant(tenant).await?.value;
    let admin = Actor { tenant_id: created.tenant_id, account_id: created.account_id, role: Role::SuperAdmin };
    let input = CreateAccount {
        username: Username::parse("seller")?,
        email: "seller@example.com".into(),
        password: Some(zeroize::Zeroizing::new(PASSWORD.into())),
        must_change_password: false,
        role: Role::Agent,
        opening_quota: Quota::ZERO,
    };
    let context = Context::of(admin, "account.create", clock::now());
    Ok((admin, service.commands.create_account(&context, input).await?.value.account_id))
}

/// Puts the movements into the log: a top-up of 3, then a sale of 1, and so on. Answers the time after which the PDF's
/// lines are over.
async fn fill(owner: &PgPool, admin: Actor, agent: AccountId) -> Result<String, Failure> {
    let mut until = String::new();
    let mut done = 0;
    while done < LINES {
        let mut transaction = owner.begin().await?;
        let (head, at): (i64, chrono::DateTime<chrono::Utc>) =
            sqlx::query_as("select position, greatest(recorded_at, clock_timestamp()) from log_head for update")
                .fetch_one(&mut *transaction)
                .await?;
        sqlx::query(
            "insert into events
               select $1 + n, gen_random_uuid(), $2, 'AgentQuota', $3, $4 + n,
                      case when n % 2 = 1 then 'QuotaToppedUp' else 'QuotaSpent' end, '1',
                      case when n % 2 = 1
                          then json_build_object('QuotaToppedUp', json_build_object(
                              'journal_id', gen_random_uuid(), 'amount', 3, 'note', 'Nachschub № ' || n))
                          else json_build_object('QuotaSpent', json_build_object(
                              'journal_id', gen_random_uuid(), 'amount', 1, 'to', json_build_object('sales',
                                  json_build_object('project_id', $6::text, 'batch_id', gen_random_uuid()))))
                      end,
                      json_build_object('actor', $5::text, 'command', 'bench', 'correlation_id', gen_random_uuid()),
                      $7::timestamptz + n * interval '1 microsecond'
               from generate_series(1, $8) n",
        )
        .bind(head)
        .bind(admin.tenant_id.0)
        .bind(agent.to_string())
        .bind(i64::try_from(done)?)
        .bind(admin.account_id.to_string())
        .bind(clock::new_id().to_string())
        .bind(at)
        .bind(i64::try_from(STEP)?)
        .execute(&mut *transaction)
        .await?;
        let (last, time): (i64, chrono::DateTime<chrono::Utc>) = sqlx::query_as(
            "update log_head set position = $1, recorded_at = (select recorded_at from events where position = $1)
             returning position, recorded_at",
        )
        .bind(head + i64::try_from(STEP)?)
        .fetch_one(&mut *transaction)
        .await?;
        sqlx::query("select pg_notify('quotary_log', $1)").bind(last.to_string()).execute(&mut *transaction).await?;
        transaction.commit().await?;
        done += STEP;
        if done == PDF_LINES {
            // The end is not included.
            until = (time + chrono::TimeDelta::microseconds(1)).to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
        }
    }
    Ok(until)
}

/// Waits until the read models contain the log.
async fn projected(pool: &PgPool) -> Result<(), Failure> {
    let head: i64 = sqlx::query_scalar("select position from log_head").fetch_one(pool).await?;
    let give_up = Instant::now() + PATIENCE;
    loop {
        // All of them, so that none is at work while the download is measured.
        let known = generation::list(pool).await?;
        let needed = [ledger::NAME, accounts::NAME];
        let ready = known.iter().filter(|known| known.checkpoint >= head.cast_unsigned()).count();
        if ready == known.len() && needed.iter().all(|name| known.iter().any(|known| known.name == *name)) {
            return Ok(());
        }
        if Instant::now() > give_up {
            return Err(format!("the read models are at {known:?} and not at {head}").into());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn log_in(service: &Service) -> Result<String, Failure> {
    let body = serde_json::json!({"username": "admin", "password": PASSWORD});
    let url = format!("http://{}/v1/auth/login", service.address);
    let answer: serde_json::Value =
        reqwest::Client::new().post(url).json(&body).send().await?.error_for_status()?.json().await?;
    Ok(answer["access_token"].as_str().ok_or("no token")?.to_owned())
}

/// What a download was.
struct Taken {
    seconds: f64,
    bytes: u64,
    line_ends: u64,
    before: u64,
    peak: u64,
}

impl Taken {
    fn sizes(&self) -> String {
        let mib = |bytes: u64| bytes / (1 << 20);
        format!(
            "{} MiB, memory {} MiB before and at most {} MiB during",
            mib(self.bytes),
            mib(self.before),
            mib(self.peak)
        )
    }
}

/// Takes a download as fast as it comes, keeping nothing of it.
async fn taken(token: &str, url: &str) -> Result<Taken, Failure> {
    let before = super::memory::resident_bytes()?;
    let start = Instant::now();
    let taking = async {
        let mut answer = reqwest::Client::new().get(url).bearer_auth(token).send().await?.error_for_status()?;
        let (mut bytes, mut line_ends) = (0, 0);
        while let Some(part) = answer.chunk().await? {
            bytes += part.len() as u64;
            line_ends += (part.split(|byte| *byte == b'\n').count() - 1) as u64;
        }
        Ok::<_, Failure>((bytes, line_ends))
    };
    let (outcome, peak) = peak_during(taking).await?;
    let (bytes, line_ends) = outcome?;
    Ok(Taken { seconds: start.elapsed().as_secs_f64(), bytes, line_ends, before, peak })
}
