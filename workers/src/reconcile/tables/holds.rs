//! Open holds: what is reserved of whose quota, for what, and until when.

use hashbrown::HashMap;
use quotary_audit::replay::HoldStanding;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Side, differ};
use crate::reconcile::compare::Differences;
use crate::reconcile::proof::Proof;
use crate::reconcile::read_log::{ReadError, rows};

const ROWS: &str = "copy (select hold_id, agent_id, tenant_id, amount, amount_left, purpose, purpose_id, held_at, expires_at, \
    position from read.holds) to stdout (format binary)";

/// Compares every open hold.
pub(super) async fn compare(
    connection: &mut PgConnection,
    proof: &Proof,
    found: &mut Differences,
) -> Result<(), ReadError> {
    let mut ours: HashMap<(Uuid, Uuid), HoldStanding> =
        proof.replay.holds().map(|hold| ((hold.hold_id, hold.agent_id), hold)).collect();
    rows(connection, ROWS, 10, |row| {
        let (hold_id, agent_id) = (row.uuid(0)?, row.uuid(1)?);
        let theirs = HoldStanding {
            tenant_id: row.uuid(2)?,
            hold_id,
            agent_id,
            amount: row.int8(3)?.cast_unsigned(),
            left: row.int8(4)?.cast_unsigned(),
            purpose: (purpose(row.text(5)?), row.uuid(6)?),
            held_at: row.time(7)?,
            expires_at: row.bytes(8).map(|_| row.time(8)).transpose()?,
            position: row.int8(9)?.cast_unsigned(),
        };
        let known = ours.remove(&(hold_id, agent_id)).as_ref().map(side);
        differ("holds", &key(&theirs), known.as_ref(), Some(&side(&theirs)), found);
        Ok(())
    })
    .await?;
    for standing in ours.values() {
        differ("holds", &key(standing), Some(&side(standing)), None, found);
    }
    Ok(())
}

fn purpose(text: &str) -> &'static str {
    match text {
        "batch" => "batch",
        "withdrawal" => "withdrawal",
        "transfer" => "transfer",
        _ => "something that does not exist",
    }
}

fn key(hold: &HoldStanding) -> String {
    format!("{} {}", hold.hold_id, hold.agent_id)
}

fn side(hold: &HoldStanding) -> Side<'static> {
    let rest = rest(hold);
    Side {
        tenant: hold.tenant_id,
        text: format!("{} of {} held {rest}", hold.left, hold.amount),
        amount: Some(hold.left.into()),
        rest: rest.into(),
    }
}

/// All but the amounts.
fn rest(hold: &HoldStanding) -> String {
    let (kind, id) = hold.purpose;
    let end = hold.expires_at.map_or_else(|| "for ever".to_owned(), |end| format!("until {end} us"));
    format!("for {kind} {id}, since {} us, {end}, position {}", hold.held_at, hold.position)
}
