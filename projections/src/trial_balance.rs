//! The trial balance of a tenant, now and at any moment of the past.
//!
//! What must always hold: debits and credits are equal. The agents' side is read from the read model `ledger`, the other side
//! from `journals`: two folds of the log made apart from each other, both as of one position or time.

use quotary_domain::TenantId;
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgPool, Row};

use crate::ledger::{self, start_of_day};
use crate::moment::Moment;
use crate::statement_walk::snapshot;
use crate::{generation, journals};

/// The balance of one account, or of all agents' accounts of a kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrialLine {
    /// `agents:available`, `agents:held`, `issuance`, `sales:<project>`, `transit` or `paid_out`.
    pub account: String,
    /// In minor units; more than zero is a credit.
    pub balance: i64,
}

impl TrialLine {
    /// What stands on the left.
    #[must_use]
    pub fn debit(&self) -> i64 {
        (-self.balance).max(0)
    }

    /// What stands on the right.
    #[must_use]
    pub fn credit(&self) -> i64 {
        self.balance.max(0)
    }
}

/// A tenant's whole ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrialBalanceAt {
    /// The position up to which the log is in it.
    pub position: u64,
    /// One line per account that was ever used.
    pub lines: Vec<TrialLine>,
}

impl TrialBalanceAt {
    /// The sum of all; anything but zero is an error of the system.
    #[must_use]
    pub fn total(&self) -> i64 {
        self.lines.iter().map(|line| line.balance).sum()
    }
}

/// The trial balance: at a position what the log said when it ended there, at a time everything that had happened by then,
/// and without a moment as of now. Never later than both read models are.
///
/// # Errors
/// If the database refuses.
pub async fn trial_balance_at(
    pool: &PgPool,
    tenant: TenantId,
    at: Option<Moment>,
) -> Result<TrialBalanceAt, sqlx::Error> {
    let mut snapshot = snapshot(pool).await?;
    let known = common_checkpoint(&mut snapshot).await?;
    let position = match at {
        Some(Moment::Position(asked)) => asked.min(known),
        _ => known,
    };
    let mut lines = agents(&mut snapshot, tenant, at, position).await?;
    lines.extend(others(&mut snapshot, tenant, at, position).await?);
    snapshot.rollback().await?;
    Ok(TrialBalanceAt { position, lines })
}

/// The last position that both read models contain, as this snapshot sees it.
async fn common_checkpoint(connection: &mut PgConnection) -> Result<u64, sqlx::Error> {
    let mut common = u64::MAX;
    for name in [ledger::NAME, journals::NAME] {
        let serving = generation::serving(connection, name).await.map_err(|error| match error {
            generation::GenerationError::Database(error) => error,
            other => sqlx::Error::Protocol(other.to_string()),
        })?;
        common = common.min(serving.map_or(0, |serving| serving.checkpoint));
    }
    Ok(common)
}

async fn agents(
    connection: &mut PgConnection,
    tenant: TenantId,
    at: Option<Moment>,
    position: u64,
) -> Result<Vec<TrialLine>, sqlx::Error> {
    let row = if let Some(Moment::Time(time)) = at {
        // Whole days from the daily sums, the rest of the last day from each agent's entries.
        sqlx::query(
            "select count(*) as agents, coalesce(sum(available), 0)::bigint as available,
                    coalesce(sum(held), 0)::bigint as held
             from (
                 select available, held from read.quota_daily where tenant_id = $1 and day < $2
                 union all
                 select e.available, e.held from read.balances b join read.entries e on e.agent_id = b.agent_id
                 where b.tenant_id = $1 and e.tenant_id = $1 and e.occurred_at >= $3 and e.occurred_at <= $4
                   and e.position <= $5
                 union all
                 -- What the days have from after the position: this read model may be ahead of the other.
                 select -e.available, -e.held from read.balances b join read.entries e on e.agent_id = b.agent_id
                 where b.tenant_id = $1 and b.position > $5 and e.tenant_id = $1 and e.position > $5
                   and e.occurred_at < $3
             ) changes",
        )
        .bind(tenant.0)
        .bind(time.date_naive())
        .bind(start_of_day(time))
        .bind(time)
        .bind(position.cast_signed())
        .fetch_one(connection)
        .await?
    } else {
        // One probe per agent: each entry knows the balance after it.
        sqlx::query(
            "select count(*) as agents, coalesce(sum(e.available_after), 0)::bigint as available,
                    coalesce(sum(e.held_after), 0)::bigint as held
             from read.balances b
             cross join lateral (
                 select available_after, held_after from read.entries e
                 where e.agent_id = b.agent_id and e.tenant_id = $1 and e.position <= $2
                 order by e.position desc limit 1
             ) e
             where b.tenant_id = $1",
        )
        .bind(tenant.0)
        .bind(position.cast_signed())
        .fetch_one(connection)
        .await?
    };
    if row.try_get::<i64, _>("agents")? == 0 {
        return Ok(vec![]);
    }
    Ok(vec![
        TrialLine { account: "agents:available".to_owned(), balance: row.try_get("available")? },
        TrialLine { account: "agents:held".to_owned(), balance: row.try_get("held")? },
    ])
}

async fn others(
    connection: &mut PgConnection,
    tenant: TenantId,
    at: Option<Moment>,
    position: u64,
) -> Result<Vec<TrialLine>, sqlx::Error> {
    let rows = if let Some(Moment::Time(time)) = at {
        sqlx::query(
            "select account, sum(amount)::bigint as balance
             from (
                 select account, amount from read.account_daily where tenant_id = $1 and day < $2
                 union all
                 select t.account, -(r.available + r.held) from read.account_totals t
                 join read.journal_rows r on r.tenant_id = t.tenant_id and r.counter_account = t.account
                 where t.tenant_id = $1 and r.occurred_at >= $3 and r.occurred_at <= $4 and r.position <= $5
                 union all
                 select r.counter_account, r.available + r.held from read.journal_rows r
                 where r.tenant_id = $1 and r.position > $5 and r.counter_account is not null and r.occurred_at < $3
             ) changes
             group by account order by account collate \"C\"",
        )
        .bind(tenant.0)
        .bind(time.date_naive())
        .bind(start_of_day(time))
        .bind(time)
        .bind(position.cast_signed())
        .fetch_all(connection)
        .await?
    } else {
        // One probe per account: each row knows the balance after it.
        sqlx::query(
            "select t.account, r.counter_after as balance from read.account_totals t
             cross join lateral (
                 select counter_after from read.journal_rows r
                 where r.tenant_id = $1 and r.counter_account = t.account and r.position <= $2
                 order by r.position desc limit 1
             ) r
             where t.tenant_id = $1 order by t.account collate \"C\"",
        )
        .bind(tenant.0)
        .bind(position.cast_signed())
        .fetch_all(connection)
        .await?
    };
    rows.iter()
        .map(|row| Ok(TrialLine { account: row.try_get("account")?, balance: row.try_get("balance")? }))
        .collect()
}
