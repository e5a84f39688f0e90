//! `quotary reconcile`: compares records of the same payments.

use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use chrono::{DateTime, TimeDelta, Utc};
use clap::{Args, Subcommand};
use quotary::config::Config;
use quotary_audit::bill::{self, Mapping};
use quotary_audit::external::{Comparison, Orders, ReadBill};
use quotary_audit::matching::{Class, Options, Period, Rule};
use quotary_commands::account::claims::find_tenant;
use quotary_workers::reconcile_bills::orders;

use super::{Failure, open_to_read, reconcile_internal};

#[derive(Subcommand)]
pub enum Reconcile {
    /// The read models with the log, by a replay of its own. Prints the result; the exit code is 1 if there are differences
    /// and 2 if it could not be completed. Needs a database that can be read, and writes nothing.
    Internal {
        /// From the log's start, not from the last proved position.
        #[arg(long)]
        full: bool,
    },
    /// A provider's bill against orders from a file, which needs no database and no network, or against a tenant's orders, which
    /// writes nothing to the log. The same input gives the same report.
    Bill(Box<Compare>),
    /// Prints a mapping that comes with the program, to begin one of one's own with.
    Mapping {
        /// alipay, wechat, stripe, generic or orders.
        name: String,
    },
}

#[derive(Args)]
pub struct Compare {
    /// The provider's mapping: alipay, wechat, stripe, generic, or a file.
    #[arg(long)]
    mapping: String,
    /// The provider's bill.
    #[arg(long)]
    bill: PathBuf,
    /// Our orders, as a file.
    #[arg(long, required_unless_present = "tenant", conflicts_with = "tenant")]
    orders: Option<PathBuf>,
    /// The vendor whose orders are compared, from the database.
    #[arg(long)]
    tenant: Option<String>,
    /// The provider as a tenant's orders name it; that of the mapping if absent.
    #[arg(long)]
    provider: Option<String>,
    /// How to read the orders.
    #[arg(long, default_value = "orders")]
    orders_mapping: String,
    /// The beginning of the period. Without one a file is compared as a whole, a tenant's orders within the days of the bill.
    #[arg(long, requires = "to")]
    from: Option<DateTime<Utc>>,
    /// The end of the period, which is not in it.
    #[arg(long, requires = "from")]
    to: Option<DateTime<Utc>>,
    /// How far the amounts of one number may be apart, in minor units.
    #[arg(long, default_value_t = 0)]
    tolerance: i64,
    /// Also match without numbers where there is one possibility: `MINOR_UNITS:DAYS`, the strictest first. Can be repeated.
    #[arg(long = "rule", value_parser = rule)]
    rules: Vec<Rule>,
    /// Where the reports go; nothing is written without it.
    #[arg(long)]
    out: Option<PathBuf>,
}

fn rule(text: &str) -> Result<Rule, String> {
    Rule::parse(text).ok_or_else(|| "minor units and days, such as 0:1".to_owned())
}

impl Reconcile {
    #[expect(clippy::print_stdout, reason = "this is the command's output")]
    pub async fn run(self, config: impl Fn() -> Result<Config, Failure>) -> Result<ExitCode, Failure> {
        match self {
            Self::Internal { full } => return reconcile_internal::run(&config()?, full).await,
            Self::Bill(compare) => compare.run(config).await?,
            Self::Mapping { name } => {
                print!("{}", provided(&name).ok_or_else(|| format!("there is no mapping `{name}`"))?);
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Compare {
    async fn run(self, config: impl Fn() -> Result<Config, Failure>) -> Result<(), Failure> {
        let bill = ReadBill::new(&mapping(&self.mapping)?, &read(&self.bill)?)?;
        let mut period = self.from.zip(self.to).map(|(from, to)| Period { from, to });
        let orders = match (&self.orders, &self.tenant) {
            (Some(file), _) => Orders::from_file(&Mapping::parse(&mapping(&self.orders_mapping)?)?, &read(file)?)?,
            (None, Some(tenant)) => {
                let days = bill.days().and_then(|(from, to)| bill.period(from, to));
                let within = period.or(days).ok_or("the bill has no rows, so the period must be said")?;
                period = Some(within);
                self.orders_of(tenant, bill.provider(), within, &config()?).await?
            }
            (None, None) => return Err("either a file of orders or a tenant is needed".into()),
        };
        let options = Options { tolerance: self.tolerance, rules: self.rules.clone(), period };
        let compared = bill.compare(orders, options)?;
        if let Some(folder) = &self.out {
            fs::create_dir_all(folder)?;
            let mut json = BufWriter::new(File::create(folder.join("report.json"))?);
            compared.report().write_json(&mut json)?;
            json.flush()?;
            compared.report().write_csv(BufWriter::new(File::create(folder.join("report.csv"))?))?;
        }
        print(&compared);
        Ok(())
    }
}

impl Compare {
    /// The tenant's orders as of now, also some days around the period, for partners at its ends.
    async fn orders_of(
        &self,
        tenant: &str,
        provider: &str,
        within: Period,
        config: &Config,
    ) -> Result<Orders, Failure> {
        let pool = open_to_read(config).await?;
        let tenant = find_tenant(&pool, Some(tenant)).await?.ok_or("there is no such tenant")?;
        let position: i64 = sqlx::query_scalar("select position from log_head").fetch_one(&pool).await?;
        let days = self.rules.iter().map(|rule| rule.days).max().unwrap_or(0).max(1);
        let around =
            Period { from: within.from - TimeDelta::days(days.into()), to: within.to + TimeDelta::days(days.into()) };
        let provider = self.provider.as_deref().unwrap_or(provider);
        let items = orders::load(&pool, tenant, provider, around, position.cast_unsigned()).await?;
        pool.close().await;
        Ok(Orders::from_items(items))
    }
}

/// What a person wants to know first.
#[expect(clippy::print_stdout, reason = "this is the command's output")]
fn print(compared: &Comparison) {
    let accounting = compared.inputs.accounting;
    println!(
        "{}: {} lines, of which {} head, {} columns, {} rows, {} set aside, {} foot, {} blank; {} stated totals agree",
        compared.inputs.provider,
        accounting.lines,
        accounting.head,
        accounting.columns,
        accounting.rows,
        accounting.aside,
        accounting.foot,
        accounting.blank,
        compared.inputs.stated.len(),
    );
    let totals = &compared.matching.totals;
    println!(
        "{:<17} {:>9} {:>9} {:>9}  amounts in minor units, lines / orders",
        "class", "findings", "lines", "orders"
    );
    for class in Class::ALL {
        let count = |side: &[quotary_audit::matching::ClassTotal]| {
            side.iter().filter(|total| total.class == class).map(|total| total.count).sum::<u64>()
        };
        let amounts = |side: &[quotary_audit::matching::ClassTotal]| {
            let of_class = side.iter().filter(|total| total.class == class);
            let each = of_class.map(|total| format!("{} {} {}", total.kind.as_str(), total.amount, total.currency));
            each.collect::<Vec<_>>().join(", ")
        };
        let findings = totals.findings.get(&class).copied().unwrap_or_default();
        let (lines, orders) = (count(&totals.lines), count(&totals.orders));
        println!(
            "{:<17} {findings:>9} {lines:>9} {orders:>9}  {} / {}",
            class.as_str(),
            amounts(&totals.lines),
            amounts(&totals.orders)
        );
    }
}

fn provided(name: &str) -> Option<&'static str> {
    bill::PROVIDED.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

/// The text of a mapping: one that comes with the program, or a file.
fn mapping(name: &str) -> Result<String, Failure> {
    match provided(name) {
        Some(text) => Ok(text.to_owned()),
        None => Ok(fs::read_to_string(name).map_err(|error| format!("{name}: {error}"))?),
    }
}

fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    Ok(fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?)
}
