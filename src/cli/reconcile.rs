//! `quotary reconcile`: compares records of the same payments.

use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use quotary::config::Config;
use quotary_audit::bill::{self, Mapping};
use quotary_audit::external::{Comparison, Orders, compare};
use quotary_audit::matching::{Class, Options, Period, Rule};

use super::{Failure, reconcile_internal};

#[derive(Subcommand)]
pub enum Reconcile {
    /// The read models with the log, by a replay of its own. Prints the result; the exit code is 1 if there are differences
    /// and 2 if it could not be completed. Needs a database that can be read, and writes nothing.
    Internal {
        /// From the log's start, not from the last proved position.
        #[arg(long)]
        full: bool,
    },
    /// A provider's bill against orders from a file. Needs no database and no network; the same input gives the same report.
    Bill(Compare),
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
    /// Our orders.
    #[arg(long)]
    orders: PathBuf,
    /// How to read the orders.
    #[arg(long, default_value = "orders")]
    orders_mapping: String,
    /// The beginning of the period; without one everything is asked about.
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
    let (tolerance, days) = text.split_once(':').ok_or("minor units and days, such as 0:1")?;
    let number = |error: std::num::ParseIntError| error.to_string();
    Ok(Rule { tolerance: tolerance.parse().map_err(number)?, days: days.parse().map_err(number)? })
}

impl Reconcile {
    #[expect(clippy::print_stdout, reason = "this is the command's output")]
    pub async fn run(self, config: impl Fn() -> Result<Config, Failure>) -> Result<ExitCode, Failure> {
        match self {
            Self::Internal { full } => return reconcile_internal::run(&config()?, full).await,
            Self::Bill(compare) => compare.run()?,
            Self::Mapping { name } => {
                print!("{}", provided(&name).ok_or_else(|| format!("there is no mapping `{name}`"))?);
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Compare {
    fn run(self) -> Result<(), Failure> {
        let orders_mapping = Mapping::parse(&mapping(&self.orders_mapping)?)?;
        let orders = Orders::from_file(&orders_mapping, &read(&self.orders)?)?;
        let period = self.from.zip(self.to).map(|(from, to)| Period { from, to });
        let options = Options { tolerance: self.tolerance, rules: self.rules, period };
        let compared = compare(&mapping(&self.mapping)?, &read(&self.bill)?, orders, options)?;
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
