//! One run from its request to its end.
//!
//! What must always hold: a run that can't be completed ends as that, with the reason, and never as a pass; what only has to be
//! tried again does not end it.

use chrono::TimeDelta;
use quotary_audit::bill;
use quotary_audit::external::{Comparison, Orders, ReadBill, digest};
use quotary_audit::matching::{Class as Found, Options, Period, Rule};
use quotary_commands::{CommandError, Commands, Refusal};
use quotary_domain::reconciliation::{BillRun, Class, IncompleteReason, RunOutcome};
use quotary_domain::{ReconciliationId, TenantId};
use sqlx::PgPool;
use tokio::task::{JoinError, spawn_blocking};

use super::kept::{KeepError, keep};
use super::orders::{self, OrdersError};
use super::{cases, step};

/// The longest detail of a run that could not be completed.
const LONGEST_DETAIL: usize = 500;

/// Why a run has to be tried again.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The database answered with an error.
    #[error("the database answered with an error")]
    Database(#[from] sqlx::Error),
    /// A command failed.
    #[error("a command failed")]
    Command(#[from] Box<CommandError<Refusal>>),
    /// The result could not be kept.
    #[error(transparent)]
    Keep(#[from] KeepError),
}

impl From<CommandError<Refusal>> for RunError {
    fn from(error: CommandError<Refusal>) -> Self {
        Self::Command(Box::new(error))
    }
}

/// Why a run ends without a result.
#[derive(Debug)]
pub struct Incomplete {
    /// Which reason.
    pub reason: IncompleteReason,
    /// In words.
    pub detail: String,
}

enum Stopped {
    TryAgain(RunError),
    End(Incomplete),
}

impl<E: Into<RunError>> From<E> for Stopped {
    fn from(error: E) -> Self {
        Self::TryAgain(error.into())
    }
}

/// Does a run and ends it.
///
/// # Errors
/// [`RunError`] if it has to be tried again; it is open then.
pub async fn complete(
    commands: &Commands,
    tenant_id: TenantId,
    run_id: ReconciliationId,
    asked: &BillRun,
) -> Result<(), RunError> {
    match compare(commands.log().pool(), tenant_id, asked).await {
        Ok((compared, position)) => {
            let seen = cases::see(commands, tenant_id, run_id, asked, &compared).await?;
            cases::vanish(commands, tenant_id, run_id, asked, &compared).await?;
            let digest = keep(commands.log().pool(), tenant_id, run_id, &compared, &seen).await?;
            let outcome = outcome(&compared, position, digest);
            commands
                .complete_reconciliation(&step(tenant_id, run_id, "reconciliation.complete"), run_id, outcome)
                .await?;
        }
        Err(Stopped::End(Incomplete { reason, detail })) => {
            let detail: String = detail.chars().take(LONGEST_DETAIL).collect();
            let context = step(tenant_id, run_id, "reconciliation.abandon");
            commands.abandon_reconciliation(&context, run_id, reason, Some(detail)).await?;
        }
        Err(Stopped::TryAgain(error)) => return Err(error),
    }
    Ok(())
}

async fn compare(pool: &PgPool, tenant_id: TenantId, asked: &BillRun) -> Result<(Comparison, u64), Stopped> {
    let (read, options) = read(pool, tenant_id, asked).await?.map_err(Stopped::End)?;
    let Some(period) = options.period else {
        return Err(Stopped::End(unreadable("the bill has no rows and no period was asked for".to_owned())));
    };
    let position: i64 = sqlx::query_scalar("select position from log_head").fetch_one(pool).await?;
    let position = position.cast_unsigned();
    let items = match orders::load(pool, tenant_id, &asked.provider, wider(period, asked), position).await {
        Ok(items) => items,
        Err(OrdersError::Database(error)) => return Err(error.into()),
        Err(error @ OrdersError::Event(_)) => {
            let detail = error.to_string();
            return Err(Stopped::End(Incomplete { reason: IncompleteReason::LogUnreadable, detail }));
        }
    };
    let compared = spawn_blocking(move || read.compare(Orders::from_items(items), options)).await;
    let compared = compared.map_err(|error| Stopped::End(broken(&error)))?;
    compared.map(|compared| (compared, position)).map_err(|error| Stopped::End(unreadable(error.to_string())))
}

/// Reads what a run is asked with: the bill by its mapping, and how to match. Also checks a request before it is made.
///
/// # Errors
/// [`RunError`] if the database refuses; inside, why the input is not good.
pub async fn read(
    pool: &PgPool,
    tenant_id: TenantId,
    asked: &BillRun,
) -> Result<Result<(ReadBill, Options), Incomplete>, RunError> {
    let Some(bytes) = kept(pool, tenant_id, &asked.bill_sha256).await? else {
        return Ok(Err(unreadable("there is no such bill".to_owned())));
    };
    let Some(mapping) = mapping(pool, tenant_id, &asked.mapping).await? else {
        return Ok(Err(unreadable("there is no such mapping".to_owned())));
    };
    let read = match spawn_blocking(move || ReadBill::new(&mapping, &bytes)).await {
        Ok(read) => read,
        Err(error) => return Ok(Err(broken(&error))),
    };
    Ok(read.map_err(|error| unreadable(error.to_string())).and_then(|read| {
        let options = options(&read, asked)?;
        Ok((read, options))
    }))
}

/// The text of a mapping: one that comes with the program, or one that the tenant brought like a bill.
async fn mapping(pool: &PgPool, tenant_id: TenantId, name: &str) -> Result<Option<String>, sqlx::Error> {
    if let Some((_, text)) = bill::PROVIDED.iter().find(|(known, _)| *known == name) {
        return Ok(Some((*text).to_owned()));
    }
    let bytes = kept(pool, tenant_id, name).await?;
    Ok(bytes.and_then(|bytes| String::from_utf8(bytes).ok()))
}

async fn kept(pool: &PgPool, tenant_id: TenantId, hex: &str) -> Result<Option<Vec<u8>>, sqlx::Error> {
    match digest(hex) {
        Some(sha256) => quotary_commands::bill::read(pool, tenant_id, sha256).await,
        None => Ok(None),
    }
}

fn options(read: &ReadBill, asked: &BillRun) -> Result<Options, Incomplete> {
    let days = (asked.from.as_deref(), asked.to.as_deref());
    let options = read.options(days, asked.tolerance_minor_units, &asked.rules);
    options.map_err(|(field, why)| unreadable(format!("{field}: {why}")))
}

/// Partners of what is inside may be outside, by as many days as anything may be apart, and by one for the night.
fn wider(period: Period, asked: &BillRun) -> Period {
    let by_rules = asked.rules.iter().filter_map(|rule| Rule::parse(rule)).map(|rule| rule.days).max();
    let days = TimeDelta::days(i64::from(by_rules.unwrap_or(0).max(asked.tolerance_days).max(1)));
    Period { from: period.from - days, to: period.to + days }
}

/// A mistake of ours on this input: to try again would be to fail again.
fn broken(error: &JoinError) -> Incomplete {
    tracing::error!(%error, "reading or comparing a bill broke down");
    Incomplete { reason: IncompleteReason::Interrupted, detail: "reading or comparing the bill broke down".to_owned() }
}

fn unreadable(detail: String) -> Incomplete {
    Incomplete { reason: IncompleteReason::InputUnreadable, detail }
}

/// The class that the log knows.
pub(super) fn class(found: Found) -> Class {
    match found {
        Found::Matched => Class::Matched,
        Found::MissingHere => Class::MissingHere,
        Found::MissingThere => Class::MissingThere,
        Found::DifferentAmount => Class::DifferentAmount,
        Found::DifferentState => Class::DifferentState,
        Found::DuplicateHere => Class::DuplicateHere,
        Found::DuplicateThere => Class::DuplicateThere,
        Found::Ambiguous => Class::Ambiguous,
        Found::NotDue => Class::NotDue,
    }
}

fn outcome(compared: &Comparison, position: u64, digest: String) -> RunOutcome {
    let matching = &compared.matching;
    let mut outcome = RunOutcome {
        position,
        checked: (matching.lines.len() + matching.orders.len()) as u64,
        report_digest: Some(digest),
        ..RunOutcome::default()
    };
    for (found, count) in &matching.totals.findings {
        *outcome.counts.entry(class(*found)).or_default() += count;
    }
    outcome
}
