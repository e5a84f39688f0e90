//! Imports a file of orders as the history of a vendor: a project, a plan, 50 agents with opening quota, and for each
//! order a batch of licences at the order's date.
//!
//! Every id and key follows from the tenant and the order's place in the file, so a second run adds nothing and one that
//! was stopped half-way goes on.

use std::collections::HashSet;
use std::path::Path;

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use indicatif::{ProgressBar, ProgressStyle};
use quotary_commands::account::create::CreateAccount;
use quotary_commands::{Commands, Context, Idempotency, clock};
use quotary_domain::account::Username;
use quotary_domain::license::LicenseTerms;
use quotary_domain::license_batch::BatchRequest;
use quotary_domain::project::{Plan, ProjectDetails};
use quotary_domain::{AccountId, Actor, BatchId, PlanId, ProjectId, Quota, Role, TenantId};
use serde::Deserialize;
use uuid::Uuid;

/// How many agents the customers are spread over.
const AGENTS: u64 = 50;
/// How many orders are on their way into the log at a time.
const IN_FLIGHT: usize = 512;
/// How many orders are asked for at a time whether they are there already.
const PAGE: usize = 2_000;

/// A line of the file.
#[derive(Clone, Debug, Deserialize)]
struct Order {
    customer: u64,
    date: NaiveDate,
    quantity: u32,
    amount_cents: i64,
}

/// What an import did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// Orders in the file.
    pub orders: u64,
    /// Orders added by this run.
    pub added: u64,
    /// Licences in the file.
    pub licenses: u64,
    /// What all orders cost, in minor units.
    pub amount: i64,
}

/// Why an import stopped.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file can't be read, or a line is no order.
    #[error("the file of orders can't be read")]
    File(#[from] csv::Error),
    /// A line has a value that no order has.
    #[error("order {line} is wrong: {why}")]
    Order {
        /// Which line, counted from 1 without the head.
        line: usize,
        /// What is wrong.
        why: String,
    },
    /// A command was refused or could not be done.
    #[error("a command failed: {0}")]
    Command(Box<dyn std::error::Error + Send + Sync>),
    /// The database answered with an error.
    #[error("the database answered with an error")]
    Database(#[from] sqlx::Error),
}

type Failed = quotary_commands::CommandError<quotary_commands::Refusal>;

impl From<Failed> for ImportError {
    fn from(error: Failed) -> Self {
        let causes = std::iter::successors(Some(&error as &dyn std::error::Error), |error| error.source());
        Self::Command(causes.map(ToString::to_string).collect::<Vec<_>>().join(": ").into())
    }
}

/// What all orders of an import share.
struct Vendor {
    tenant_id: TenantId,
    project_id: ProjectId,
    plan_id: PlanId,
    terms: LicenseTerms,
    agents: Vec<AccountId>,
}

/// Imports `file` for a tenant in the name of its super admin.
///
/// # Errors
/// [`ImportError`]; what was imported before stays, and the next run goes on.
pub async fn run(commands: &Commands, admin: Actor, file: &Path, show_progress: bool) -> Result<Imported, ImportError> {
    let orders = read(file)?;
    let vendor = move_in(commands, admin, &orders).await?;
    let progress = if show_progress { bar(orders.len()) } else { ProgressBar::hidden() };
    let mut imported = Imported {
        orders: orders.len() as u64,
        licenses: orders.iter().map(|order| u64::from(order.quantity)).sum(),
        amount: orders.iter().map(|order| order.amount_cents).sum(),
        added: 0,
    };
    let numbered: Vec<(usize, Order)> = orders.into_iter().enumerate().map(|(n, order)| (n + 1, order)).collect();
    for page in numbered.chunks(PAGE) {
        let known = known_batches(commands, &vendor, page).await?;
        progress.inc(known.len() as u64);
        let missing = page.iter().filter(|(line, order)| !known.contains(&batch_id(&vendor, *line, order).0));
        let added: Vec<bool> = stream::iter(missing)
            .map(|(line, order)| {
                let (vendor, progress) = (&vendor, &progress);
                async move {
                    let added = issue(commands, vendor, *line, order).await?;
                    progress.inc(1);
                    Ok::<_, ImportError>(added)
                }
            })
            .buffer_unordered(IN_FLIGHT)
            .try_collect()
            .await?;
        imported.added += added.into_iter().filter(|added| *added).count() as u64;
    }
    progress.finish();
    Ok(imported)
}

fn read(file: &Path) -> Result<Vec<Order>, ImportError> {
    let orders: Vec<Order> = csv::Reader::from_path(file)?.into_deserialize().collect::<Result<_, _>>()?;
    for (line, order) in (1..).zip(&orders) {
        if order.quantity == 0 || order.amount_cents < 0 {
            let why = format!("quantity {} and amount {}", order.quantity, order.amount_cents);
            return Err(ImportError::Order { line, why });
        }
    }
    Ok(orders)
}

/// Makes what the orders need: project, plan, agents with quota for their orders. A repeat gets the stored answers.
async fn move_in(commands: &Commands, admin: Actor, orders: &[Order]) -> Result<Vendor, ImportError> {
    let details = ProjectDetails {
        name: "Imported catalogue".into(),
        description: Some("Licences sold before the move to Quotary".into()),
        version: None,
        callback_url: None,
    };
    let project = commands.create_project(&once(admin, "project"), details).await?.value;
    let project_id = project.after.project_id;
    let terms = LicenseTerms::usual(None, 1, vec![]);
    let plan = Plan::new("Imported".into(), Quota::ZERO, terms.clone());
    let plan_id = commands.add_plan(&once(admin, "plan"), project_id, plan).await?.value.plan_id;
    let mut agents = Vec::new();
    for number in 0..AGENTS {
        let sold: i64 = orders.iter().filter(|order| order.customer % AGENTS == number).map(|o| o.amount_cents).sum();
        agents.push(agent(commands, admin, project_id, number, sold).await?);
    }
    Ok(Vendor { tenant_id: admin.tenant_id, project_id, plan_id, terms, agents })
}

async fn agent(
    commands: &Commands,
    admin: Actor,
    project_id: ProjectId,
    number: u64,
    sold: i64,
) -> Result<AccountId, ImportError> {
    let wrong = |why: String| ImportError::Order { line: 0, why };
    let input = CreateAccount {
        username: Username::parse(&format!("imported-agent-{number:02}")).map_err(|e| wrong(e.to_string()))?,
        email: format!("imported-agent-{number:02}@example.com"),
        password: None,
        must_change_password: true,
        role: Role::Agent,
        opening_quota: Quota::new(sold).map_err(|e| wrong(e.to_string()))?,
    };
    let created = commands.create_account(&once(admin, &format!("agent-{number}")), input).await?.value;
    commands.grant_project(&once(admin, &format!("grant-{number}")), project_id, created.account_id, None).await?;
    Ok(created.account_id)
}

/// A command of the import that is done once, whatever the file's content: the key names the step.
fn once(admin: Actor, step: &str) -> Context {
    let idempotency = Some(Idempotency::new("import/orders", step, step.as_bytes()));
    Context { idempotency, ..Context::of(admin, "import.orders", clock::now()) }
}

async fn issue(commands: &Commands, vendor: &Vendor, line: usize, order: &Order) -> Result<bool, ImportError> {
    let agent = usize::try_from(order.customer % AGENTS).unwrap_or(0);
    let total_price =
        Quota::new(order.amount_cents).map_err(|error| ImportError::Order { line, why: error.to_string() })?;
    let request = BatchRequest {
        agent_id: vendor.agents[agent],
        project_id: vendor.project_id,
        plan_id: vendor.plan_id,
        plan_version: 1,
        terms: vendor.terms.clone(),
        count: order.quantity,
        total_price,
    };
    let context = Context {
        occurred_at: Some(at(order.date)),
        ..Context::system(vendor.tenant_id, "import.orders", clock::now())
    };
    Ok(commands.issue_history(&context, batch_id(vendor, line, order), request).await?.value.added)
}

/// The order's day; the file has no time of day.
fn at(date: NaiveDate) -> DateTime<Utc> {
    date.and_time(NaiveTime::MIN).and_utc()
}

/// The batch of an order follows from its place in the file and its content: equal lines are different orders.
fn batch_id(vendor: &Vendor, line: usize, order: &Order) -> BatchId {
    let Order { customer, date, quantity, amount_cents } = order;
    let name = format!("import/orders/{line}/{customer}/{date}/{quantity}/{amount_cents}");
    BatchId(Uuid::new_v5(&vendor.tenant_id.0, name.as_bytes()))
}

async fn known_batches(
    commands: &Commands,
    vendor: &Vendor,
    page: &[(usize, Order)],
) -> Result<HashSet<Uuid>, ImportError> {
    let ids: Vec<String> = page.iter().map(|(line, order)| batch_id(vendor, *line, order).to_string()).collect();
    let known: Vec<String> = sqlx::query_scalar(
        "select aggregate_id from events \
         where aggregate_type = 'LicenseBatch' and aggregate_id = any($1) and sequence = 1",
    )
    .bind(ids)
    .fetch_all(commands.log().pool())
    .await?;
    Ok(known.iter().filter_map(|id| Uuid::parse_str(id).ok()).collect())
}

fn bar(orders: usize) -> ProgressBar {
    let bar = ProgressBar::new(orders as u64);
    match ProgressStyle::with_template("{bar:40} {pos}/{len} orders  {per_sec}  {eta} left") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
