//! Notices: who was told what. They are facts that never change, so an incremental run compares only the new ones, and the older by
//! a digest over their rows.

use std::collections::BTreeMap;

use hashbrown::HashSet;
use quotary_audit::replay::Notice;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Side, differ};
use crate::reconcile::compare::Differences;
use crate::reconcile::read_log::{ReadError, rows};

/// What has to be told, by position.
#[derive(Default)]
pub(in crate::reconcile) struct Expected {
    notices: BTreeMap<u64, Notice>,
    /// The rows were compared; what comes after is not theirs.
    is_done: bool,
}

impl Expected {
    /// Notes what an event tells.
    pub(in crate::reconcile) fn add(&mut self, notice: &Notice) {
        if !self.is_done {
            self.notices.insert(notice.position, notice.clone());
        }
    }
}

/// Compares every notice after `from`.
pub(super) async fn compare(
    connection: &mut PgConnection,
    from: u64,
    expected: &mut Expected,
    found: &mut Differences,
) -> Result<(), ReadError> {
    let ours = std::mem::take(&mut expected.notices);
    expected.is_done = true;
    let mut seen: HashSet<(u64, Uuid)> = HashSet::new();
    let statement = format!(
        "copy (select account_id, position, tenant_id, kind, subject_id, amount, occurred_at from read.notices \
         where position > {from}) to stdout (format binary)"
    );
    rows(connection, &statement, 7, |row| {
        let (account, position, amount) = (row.uuid(0)?, row.int8(1)?.cast_unsigned(), row.int8(5)?);
        let rest = rest(row.text(3)?, row.uuid(4)?, row.time(6)?);
        let theirs = side(row.uuid(2)?, amount, rest);
        let known = ours.get(&position).filter(|notice| notice.whom.binary_search(&account).is_ok()).map(side_of);
        seen.insert((position, account));
        differ("notices", &key(position, account), known.as_ref(), Some(&theirs), found);
        Ok(())
    })
    .await?;
    for (position, notice) in &ours {
        for account in notice.whom.iter().filter(|account| !seen.contains(&(*position, **account))) {
            differ("notices", &key(*position, *account), Some(&side_of(notice)), None, found);
        }
    }
    Ok(())
}

fn key(position: u64, account: Uuid) -> String {
    format!("{position} {account}")
}

fn side(tenant: Uuid, amount: i64, rest: String) -> Side<'static> {
    Side { tenant, text: format!("{amount}, {rest}"), amount: Some(amount.into()), rest: rest.into() }
}

fn side_of(notice: &Notice) -> Side<'static> {
    let amount = i64::try_from(notice.amount).unwrap_or(i64::MAX);
    side(notice.tenant_id, amount, rest(notice.kind, notice.subject_id, notice.occurred_at))
}

/// All but the amount.
fn rest(kind: &str, subject: Uuid, occurred_at: i64) -> String {
    format!("{kind} of {subject} at {occurred_at} us")
}
