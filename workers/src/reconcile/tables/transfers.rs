//! Movements between agents: what moved at once, what a rule suspended, and what was taken back of both.

use hashbrown::{HashMap, HashSet};
use quotary_audit::replay::{JournalStanding, MovementStanding};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Side, differ};
use crate::reconcile::compare::Differences;
use crate::reconcile::proof::Proof;
use crate::reconcile::read_log::{ReadError, rows};

/// Compares every movement.
pub(super) async fn compare(
    connection: &mut PgConnection,
    proof: &Proof,
    found: &mut Differences,
) -> Result<(), ReadError> {
    moved(connection, proof, found).await?;
    reviews(connection, proof, found).await
}

/// Compares what moved at once.
async fn moved(connection: &mut PgConnection, proof: &Proof, found: &mut Differences) -> Result<(), ReadError> {
    let mut seen: HashSet<Uuid> = HashSet::new();
    let text = |kind: &str, from: Option<Uuid>, to: Uuid, amount: i64, position: u64, status: &str, back: i64| {
        let from = from.map_or_else(|| "the tenant".to_owned(), |from| from.to_string());
        format!("{kind} of {amount} from {from} to {to}, at {position}, {status}, {back} taken back")
    };
    let side = |journal: &JournalStanding| {
        let amount = i64::try_from(journal.amount).unwrap_or(i64::MAX);
        let back = i64::try_from(proof.replay.taken_back(journal.journal_id)).unwrap_or(i64::MAX);
        let status = after_reversal("completed", amount, back);
        Some(Side {
            tenant: journal.tenant_id,
            text: text(journal.kind, journal.from, journal.to?, amount, journal.position, status, back),
            amount: Some(amount.into()),
            rest: status.into(),
        })
    };
    let statement = "copy (select journal_id, position, tenant_id, kind, from_id, to_id, amount, \
                     coalesce(reversed, 0), status from read.transfers \
                     where status in ('completed', 'reversed', 'partly_reversed') and kind in ('transfer', 'top_up')) to stdout (format binary)";
    rows(connection, statement, 9, |row| {
        let journal = row.uuid(0)?;
        if proof.replay.is_suspended_transfer(journal) {
            return Ok(());
        }
        let (amount, back, status, position) = (row.int8(6)?, row.int8(7)?, row.text(8)?, row.int8(1)?.cast_unsigned());
        let theirs = Side {
            tenant: row.uuid(2)?,
            text: text(row.text(3)?, row.uuid_or_null(4)?, row.uuid(5)?, amount, position, status, back),
            amount: Some(amount.into()),
            rest: status.into(),
        };
        let again = !seen.insert(journal);
        let ours = proof.replay.journal(journal).filter(|_| !again).and_then(|journal| side(&journal));
        differ("transfers", &journal.to_string(), ours.as_ref(), Some(&theirs), found);
        Ok(())
    })
    .await?;
    for journal in proof.replay.movements() {
        if !seen.contains(&journal.journal_id) && !proof.replay.is_suspended_transfer(journal.journal_id) {
            differ("transfers", &journal.journal_id.to_string(), side(&journal).as_ref(), None, found);
        }
    }
    Ok(())
}

/// A movement's status once so much of what moved was taken back.
fn after_reversal(status: &'static str, moved: i64, back: i64) -> &'static str {
    match status {
        "completed" if back == moved => "reversed",
        "completed" if back > 0 => "partly_reversed",
        other => other,
    }
}

/// Transfers that a rule suspended: where they stand, what moved, and what was taken back of it.
async fn reviews(connection: &mut PgConnection, proof: &Proof, found: &mut Differences) -> Result<(), ReadError> {
    let mut ours: HashMap<Uuid, _> =
        proof.replay.suspended_transfers().map(|transfer| (transfer.transfer_id, transfer)).collect();
    let text = |asked: i64, moved: i64, back: i64, status: &str| {
        format!("{moved} of {asked} moved, {status}, {back} taken back")
    };
    let amount = |amount: u64| i64::try_from(amount).unwrap_or(i64::MAX);
    let side = |it: &MovementStanding, settlement: Uuid| {
        let (moved, back) = (amount(it.released), amount(proof.replay.taken_back(settlement)));
        let status = after_reversal(it.status, moved, back);
        let text = text(amount(it.asked), moved, back, status);
        Side { tenant: it.tenant_id, text, amount: Some(it.asked.into()), rest: status.into() }
    };
    let statement = "copy (select journal_id, tenant_id, amount, coalesce(moved, 0), status, coalesce(reversed, 0), \
                     settlement from read.transfers where reasons is not null) to stdout (format binary)";
    rows(connection, statement, 7, |row| {
        let (id, asked, status, settlement) = (row.uuid(0)?, row.int8(2)?, row.text(4)?, row.uuid(6)?);
        let theirs = Side {
            tenant: row.uuid(1)?,
            text: text(asked, row.int8(3)?, row.int8(5)?, status),
            amount: Some(asked.into()),
            rest: status.into(),
        };
        let known = ours.remove(&id);
        let known = known.as_ref().map(|it| side(it, settlement));
        differ("transfers", &id.to_string(), known.as_ref(), Some(&theirs), found);
        Ok(())
    })
    .await?;
    for (id, standing) in ours {
        differ("transfers", &id.to_string(), Some(&side(&standing, id)), None, found);
    }
    Ok(())
}
