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
        let key = (row.uuid(0)?, row.uuid(1)?);
        let theirs = HoldStanding {
            tenant_id: row.uuid(2)?,
            hold_id: key.0,
            agent_id: key.1,
            amount: row.int8(3)?.cast_unsigned(),
            left: row.int8(4)?.cast_unsigned(),
            purpose: (purpose(row.text(5)?), row.uuid(6)?),
            held_at: row.time(7)?,
            expires_at: row.bytes(8).map(|_| row.time(8)).transpose()?,
            position: row.int8(9)?.cast_unsigned(),
        };
        let known = ours.remove(&key);
        add(known.as_ref(), Some(&theirs), found);
        Ok(())
    })
    .await?;
    for standing in ours.values() {
        add(Some(standing), None, found);
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

fn add(ours: Option<&HoldStanding>, theirs: Option<&HoldStanding>, found: &mut Differences) {
    let Some(hold) = ours.or(theirs) else { return };
    let rest = [ours, theirs].map(|side| side.map(rest).unwrap_or_default());
    let side = |hold: &HoldStanding, rest| Side {
        tenant: hold.tenant_id,
        text: format!("{} of {} held {rest}", hold.left, hold.amount),
        amount: Some(hold.left.into()),
        rest,
    };
    let [our_rest, their_rest] = &rest;
    let (our_side, their_side) = (ours.map(|hold| side(hold, our_rest)), theirs.map(|hold| side(hold, their_rest)));
    let key = format!("{} {}", hold.hold_id, hold.agent_id);
    differ("holds", &key, our_side.as_ref(), their_side.as_ref(), found);
}

/// All but the amounts.
fn rest(hold: &HoldStanding) -> String {
    let (kind, id) = hold.purpose;
    let end = hold.expires_at.map_or_else(|| "for ever".to_owned(), |end| format!("until {end} us"));
    format!("for {kind} {id}, since {} us, {end}, position {}", hold.held_at, hold.position)
}
