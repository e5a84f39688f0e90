//! The read models as they stand, table by table, beside what follows from the log.

mod holds;
mod notices;
mod orders;
mod transfers;

use std::borrow::Cow;
use std::collections::BTreeMap;

use hashbrown::{HashMap, HashSet};
use quotary_audit::replay::Posting;
use quotary_domain::reconciliation::Class;
use sha2::{Digest as _, Sha256};
use sqlx::{PgConnection, Row as _};
use uuid::Uuid;

use super::compare::{Difference, Differences, MAX_DIFFERENCES};
use super::proof::{DayKey, Proof, RowsSeal};
use super::read_log::{ReadError, Row, rows};

/// The read models that are compared.
pub(super) const READ_MODELS: [&str; 7] =
    ["ledger", "movements", "withdrawals", "licenses", "orders", "holds", "notices"];

/// The tables whose older rows an incremental run compares by a sum over their digests.
const SEALED: [&str; 2] = ["entries", "notices"];

/// Where each read model stands; 0 for one that does not serve.
pub(super) async fn checkpoints(connection: &mut PgConnection) -> Result<Vec<(String, u64)>, sqlx::Error> {
    let known: Vec<(String, i64)> =
        sqlx::query_as("select name, checkpoint from public.projections where state = 'serving' and name = any($1)")
            .bind(READ_MODELS.map(str::to_owned).to_vec())
            .fetch_all(connection)
            .await?;
    let known: BTreeMap<_, _> = known.into_iter().collect();
    let of = |name: &str| known.get(name).copied().unwrap_or(0).cast_unsigned();
    Ok(READ_MODELS.into_iter().map(|name| (name.to_owned(), of(name))).collect())
}

/// The rows of the sealed tables up to a position.
pub(super) async fn seals(connection: &mut PgConnection, position: u64) -> Result<Vec<RowsSeal>, sqlx::Error> {
    let mut seals = Vec::with_capacity(SEALED.len());
    for table in SEALED {
        seals.push(seal(table, connection, position).await?);
    }
    Ok(seals)
}

/// Whether the older rows of a table are those that the last run compared.
async fn is_sealed(table: &str, connection: &mut PgConnection, proof: &Proof, from: u64) -> Result<bool, ReadError> {
    let known = proof.beside.rows.iter().find(|seal| seal.table == table);
    Ok(from == 0 || known == Some(&seal(table, connection, from).await?))
}

async fn seal(table: &str, connection: &mut PgConnection, position: u64) -> Result<RowsSeal, sqlx::Error> {
    let row = sqlx::query(&format!(
        "select count(*) as count, \
             coalesce(sum(('x' || substr(md5(t::text), 1, 15))::bit(60)::bigint::numeric), 0)::text as sum \
             from read.{table} t where position <= $1"
    ))
    .bind(position.cast_signed())
    .fetch_one(&mut *connection)
    .await?;
    Ok(RowsSeal { table: table.to_owned(), count: row.try_get("count")?, sum: row.try_get("sum")? })
}

/// What every posting's row has to be, by position, and the seal of the rows before.
pub(super) struct Expected {
    from: u64,
    /// Of each event after `from`: digests of its amounts and of the rest; zero for events without postings.
    entries: Vec<[u64; 2]>,
    /// The rows were compared; what comes after is not theirs.
    is_done: bool,
    /// What everybody has to be told after `from`.
    pub(super) notices: notices::Expected,
}

impl Expected {
    pub(super) fn new(from: u64) -> Self {
        Self { from, entries: Vec::new(), is_done: false, notices: notices::Expected::default() }
    }

    /// Notes what the row of an event's postings has to be.
    pub(super) fn posting(&mut self, posting: &Posting, recorded_at: i64, occurred_at: i64) {
        if self.is_done {
            return;
        }
        let Some(index) = posting.position.checked_sub(self.from + 1).and_then(|index| usize::try_from(index).ok())
        else {
            return;
        };
        if self.entries.len() <= index {
            self.entries.resize(index + 1, [0; 2]);
        }
        let after = |amount: i128| i64::try_from(amount).unwrap_or(i64::MAX);
        let amounts = [posting.available, posting.held, after(posting.available_after), after(posting.held_after)];
        let mut account = String::new();
        if let Some(counter) = posting.counter_account {
            account = counter.to_string();
        }
        self.entries[index] = [
            amounts_digest(posting.agent_id, amounts),
            rest_digest(
                [posting.tenant_id, posting.journal_id, posting.source.1],
                [posting.kind, &account, posting.source.0],
                [recorded_at, occurred_at],
            ),
        ];
    }
}

fn short(digest: Sha256) -> u64 {
    let bytes: [u8; 32] = digest.finalize().into();
    let (first, _) = bytes.split_first_chunk::<8>().unwrap_or((&[0; 8], &[]));
    // Zero says that there is nothing.
    u64::from_be_bytes(*first).max(1)
}

fn amounts_digest(agent: Uuid, amounts: [i64; 4]) -> u64 {
    let mut digest = Sha256::new_with_prefix(agent.as_bytes());
    for amount in amounts {
        digest.update(amount.to_be_bytes());
    }
    short(digest)
}

fn rest_digest(ids: [Uuid; 3], texts: [&str; 3], times: [i64; 2]) -> u64 {
    let mut digest = Sha256::new();
    for id in ids {
        digest.update(id.as_bytes());
    }
    for text in texts {
        digest.update((text.len() as u64).to_be_bytes());
        digest.update(text);
    }
    for time in times {
        digest.update(time.to_be_bytes());
    }
    short(digest)
}

/// Compares one read model, which stands where the proof does. Answers whether rows before the last proved position are
/// other than they were.
pub(super) async fn compare(
    name: &str,
    connection: &mut PgConnection,
    proof: &Proof,
    expected: &mut Expected,
    found: &mut Differences,
) -> Result<bool, ReadError> {
    match name {
        "ledger" => {
            balances(connection, proof, found).await?;
            totals(connection, proof, found).await?;
            daily(connection, proof, found).await?;
            if !is_sealed("entries", connection, proof, expected.from).await? {
                return Ok(true);
            }
            entries(connection, expected, found).await?;
        }
        "movements" => transfers::compare(connection, proof, found).await?,
        "withdrawals" => withdrawals(connection, proof, found).await?,
        "licenses" => batches(connection, proof, found).await?,
        "orders" => orders::compare(connection, proof, found).await?,
        "holds" => holds::compare(connection, proof, found).await?,
        "notices" => {
            if !is_sealed("notices", connection, proof, expected.from).await? {
                return Ok(true);
            }
            notices::compare(connection, expected.from, &mut expected.notices, found).await?;
        }
        _ => {}
    }
    Ok(false)
}

/// A row of one side.
struct Side<'a> {
    tenant: Uuid,
    text: String,
    /// In minor units, where the row has an amount.
    amount: Option<i128>,
    /// What else has to be the same.
    rest: Cow<'a, str>,
}

/// Adds what differs between two rows of one key.
fn differ(source: &str, key: &str, ours: Option<&Side<'_>>, theirs: Option<&Side<'_>>, found: &mut Differences) {
    found.checked += 1;
    let class = match (ours, theirs) {
        (None, None) => return,
        (Some(_), None) => Class::Missing,
        (None, Some(_)) => Class::Extra,
        (Some(ours), Some(theirs)) if ours.text == theirs.text && ours.tenant == theirs.tenant => return,
        (Some(_), Some(theirs)) if source == "balances" && theirs.amount.is_some_and(|it| it < 0) => Class::Negative,
        (Some(ours), Some(theirs)) if ours.amount != theirs.amount || ours.rest == theirs.rest => Class::Amount,
        (Some(_), Some(_)) => Class::State,
    };
    let amount = |side: Option<&Side<'_>>| side.map_or(Some(0), |side| side.amount);
    let by = amount(ours).zip(amount(theirs)).map(|(ours, theirs)| ours - theirs);
    found.add(Difference {
        class,
        source: source.to_owned(),
        key: key.to_owned(),
        // A row that the log does not know is filed to the tenant it claims to be of.
        tenant_id: ours.or(theirs).map_or(Uuid::nil(), |side| side.tenant),
        ours: ours.map(|side| side.text.clone()),
        theirs: theirs.map(|side| side.text.clone()),
        amount: by.filter(|by| *by != 0).and_then(|by| i64::try_from(by).ok()),
        position: None,
    });
}

async fn balances(connection: &mut PgConnection, proof: &Proof, found: &mut Differences) -> Result<(), ReadError> {
    let mut ours: HashMap<Uuid, _> = proof.replay.agents().map(|agent| (agent.agent_id, agent)).collect();
    let text =
        |available: i128, held: i128, position: u64| format!("available {available}, held {held}, last at {position}");
    let statement = "copy (select agent_id, tenant_id, available, held, position from read.balances) \
                     to stdout (format binary)";
    let side = |agent: &quotary_audit::replay::AgentStanding| Side {
        tenant: agent.tenant_id,
        text: text(agent.available, agent.held, agent.position),
        amount: Some(agent.available + agent.held),
        rest: "".into(),
    };
    rows(connection, statement, 5, |row| {
        let (agent, available, held) = (row.uuid(0)?, i128::from(row.int8(2)?), i128::from(row.int8(3)?));
        let theirs = Side {
            tenant: row.uuid(1)?,
            text: text(available, held, row.int8(4)?.cast_unsigned()),
            amount: Some(if available < 0 || held < 0 { available.min(held) } else { available + held }),
            rest: "".into(),
        };
        let ours = ours.remove(&agent);
        differ("balances", &agent.to_string(), ours.as_ref().map(side).as_ref(), Some(&theirs), found);
        Ok(())
    })
    .await?;
    for (agent, standing) in ours {
        differ("balances", &agent.to_string(), Some(&side(&standing)), None, found);
    }
    Ok(())
}

async fn totals(connection: &mut PgConnection, proof: &Proof, found: &mut Differences) -> Result<(), ReadError> {
    let mut ours: HashMap<(Uuid, String), i128> = HashMap::new();
    for (tenant, account, balance) in proof.replay.accounts() {
        ours.insert((tenant, account.to_string()), balance);
    }
    let side = |tenant: Uuid, balance: i128| Side {
        tenant,
        text: balance.to_string(),
        amount: Some(balance),
        rest: "".into(),
    };
    let statement = "copy (select tenant_id, account, balance from read.ledger_totals) to stdout (format binary)";
    rows(connection, statement, 3, |row| {
        let (tenant, account, balance) = (row.uuid(0)?, row.text(1)?.to_owned(), i128::from(row.int8(2)?));
        let known = ours.remove(&(tenant, account.clone())).map(|balance| side(tenant, balance));
        // Accounts that only give, like issuance, are below zero by their nature.
        let theirs = side(tenant, balance);
        if known.as_ref().is_none_or(|known| known.text != theirs.text) {
            let amount = known.as_ref().and_then(|known| known.amount).unwrap_or(0) - balance;
            found.add(Difference {
                class: if known.is_some() { Class::Amount } else { Class::Extra },
                source: "ledger_totals".to_owned(),
                key: format!("{tenant} {account}"),
                tenant_id: tenant,
                ours: known.map(|known| known.text),
                theirs: Some(theirs.text),
                amount: i64::try_from(amount).ok(),
                position: None,
            });
        }
        found.checked += 1;
        Ok(())
    })
    .await?;
    for ((tenant, account), balance) in ours {
        let key = format!("{tenant} {account}");
        differ("ledger_totals", &key, Some(&side(tenant, balance)), None, found);
    }
    Ok(())
}

async fn daily(connection: &mut PgConnection, proof: &Proof, found: &mut Differences) -> Result<(), ReadError> {
    let mut seen: HashSet<DayKey> = HashSet::with_capacity(proof.beside.daily.len());
    let text = |n: [i64; 7]| {
        format!(
            "{} entries, received {}, given {}, moved {}, available {}, held {}, last at {}",
            n[0], n[1], n[2], n[3], n[4], n[5], n[6]
        )
    };
    let side = |day: &super::proof::Day| Side {
        tenant: day.tenant,
        text: text([
            day.entries,
            day.received,
            day.given,
            day.moved,
            day.available,
            day.held,
            day.last_position.cast_signed(),
        ]),
        amount: Some(i128::from(day.available) + i128::from(day.held)),
        rest: "".into(),
    };
    let name = |key: &DayKey| format!("{} day {} {}", key.agent, key.day, key.kind);
    let statement = "copy (select agent_id, (day - date '1970-01-01')::bigint, kind, tenant_id, entries, received, given, \
                     moved, available, held, last_position from read.quota_daily) to stdout (format binary)";
    rows(connection, statement, 11, |row| {
        let day = i32::try_from(row.int8(1)?).map_err(|_| ReadError::Format)?;
        let key = DayKey { agent: row.uuid(0)?, day, kind: row.text(2)?.to_owned() };
        let mut numbers = [0; 7];
        for (place, number) in numbers.iter_mut().enumerate() {
            *number = row.int8(4 + place)?;
        }
        let amount = i128::from(numbers[4]) + i128::from(numbers[5]);
        let theirs = Side { tenant: row.uuid(3)?, text: text(numbers), amount: Some(amount), rest: "".into() };
        let ours = proof.beside.daily.get(&key).map(side);
        differ("quota_daily", &name(&key), ours.as_ref(), Some(&theirs), found);
        seen.insert(key);
        Ok(())
    })
    .await?;
    for (key, day) in &proof.beside.daily {
        if !seen.contains(key) {
            differ("quota_daily", &name(key), Some(&side(day)), None, found);
        }
    }
    Ok(())
}

/// A row that is not what it should be: whose it says it is, and what it says.
struct WrongRow {
    tenant: Uuid,
    text: String,
    class: Class,
}

async fn entries(
    connection: &mut PgConnection,
    expected: &mut Expected,
    found: &mut Differences,
) -> Result<(), ReadError> {
    let mut wrong: BTreeMap<u64, Vec<WrongRow>> = BTreeMap::new();
    let mut wrong_rows = 0;
    let from = expected.from;
    let statement = format!(
        "copy (select agent_id, position, tenant_id, journal_id, kind, available, held, counter_account, source_kind, \
         source_id, recorded_at, occurred_at, available_after, held_after from read.entries where position > {from}) \
         to stdout (format binary)"
    );
    rows(connection, &statement, 14, |row| {
        found.checked += 1;
        let position = row.int8(1)?.cast_unsigned();
        let index = position.checked_sub(from + 1).and_then(|index| usize::try_from(index).ok());
        let slot = index.and_then(|index| expected.entries.get_mut(index)).filter(|slot| slot[0] != 0);
        let digests = entry_digests(row)?;
        let class = match slot {
            Some(slot) if *slot == digests => {
                *slot = [0; 2];
                return Ok(());
            }
            Some(slot) => {
                let class = if slot[0] == digests[0] { Class::State } else { Class::Amount };
                *slot = [0; 2];
                class
            }
            None => Class::Extra,
        };
        if wrong_rows < MAX_DIFFERENCES {
            let row = WrongRow { tenant: row.uuid(2)?, text: entry_text(row)?, class };
            wrong.entry(position).or_default().push(row);
        }
        wrong_rows += 1;
        Ok(())
    })
    .await?;
    let missing: Vec<u64> = expected
        .entries
        .iter()
        .zip(from + 1..)
        .filter(|(slot, _)| slot[0] != 0)
        .map(|(_, position)| position)
        .take(MAX_DIFFERENCES)
        .collect();
    expected.entries = Vec::new();
    expected.is_done = true;
    if wrong.is_empty() && missing.is_empty() {
        return Ok(());
    }
    let wanted: Vec<i64> = wrong.keys().chain(&missing).map(|position| position.cast_signed()).collect();
    let mut said = HashMap::new();
    for part in wanted.chunks(5_000) {
        let events: Vec<(i64, Uuid, String, String)> = sqlx::query_as(
            "select position, tenant_id, aggregate_id, payload::text from public.events where position = any($1)",
        )
        .bind(part)
        .fetch_all(&mut *connection)
        .await?;
        for (position, tenant, agent, payload) in events {
            said.insert(position.cast_unsigned(), (tenant, agent, payload));
        }
    }
    let mut add = |position: u64, class: Class, theirs: Option<WrongRow>| {
        let ours = if class == Class::Extra { None } else { said.get(&position) };
        let agent = ours.map_or("", |(_, agent, _)| agent);
        found.add(Difference {
            class,
            source: "entries".to_owned(),
            key: format!("{position} {agent}").trim_end().to_owned(),
            tenant_id: ours.map(|(tenant, ..)| *tenant).or(theirs.as_ref().map(|row| row.tenant)).unwrap_or_default(),
            ours: ours.map(|(_, _, payload)| payload.clone()),
            theirs: theirs.map(|row| row.text),
            amount: None,
            position: Some(position),
        });
    };
    for (position, rows) in wrong {
        for row in rows {
            add(position, row.class, Some(row));
        }
    }
    for position in missing {
        add(position, Class::Missing, None);
    }
    Ok(())
}

fn entry_digests(row: &Row<'_>) -> Result<[u64; 2], ReadError> {
    let amounts = [row.int8(5)?, row.int8(6)?, row.int8(12)?, row.int8(13)?];
    let ids = [row.uuid(2)?, row.uuid(3)?, row.uuid(9)?];
    let texts = [row.text(4)?, row.text_or_null(7)?.unwrap_or(""), row.text(8)?];
    Ok([amounts_digest(row.uuid(0)?, amounts), rest_digest(ids, texts, [row.time(10)?, row.time(11)?])])
}

fn entry_text(row: &Row<'_>) -> Result<String, ReadError> {
    Ok(format!(
        "agent {}, {} in journal {}: available {:+} to {}, held {:+} to {}, {}",
        row.uuid(0)?,
        row.text(4)?,
        row.uuid(3)?,
        row.int8(5)?,
        row.int8(12)?,
        row.int8(6)?,
        row.int8(13)?,
        row.text_or_null(7)?.unwrap_or("within the agent's accounts"),
    ))
}

async fn withdrawals(connection: &mut PgConnection, proof: &Proof, found: &mut Differences) -> Result<(), ReadError> {
    let mut ours: HashMap<Uuid, _> =
        proof.replay.withdrawals().map(|withdrawal| (withdrawal.withdrawal_id, withdrawal)).collect();
    let text = |agent: Uuid, amount: i64, status: &str, sequence: u64| {
        format!("{amount} for {agent}, {status}, event {sequence}")
    };
    let statement = "copy (select withdrawal_id, tenant_id, agent_id, amount, status, sequence from read.withdrawals) \
                     to stdout (format binary)";
    let mut differences = Vec::new();
    rows(connection, statement, 6, |row| {
        let (id, amount, status) = (row.uuid(0)?, row.int8(3)?, row.text(4)?);
        let theirs =
            (row.uuid(1)?, text(row.uuid(2)?, amount, status, row.int8(5)?.cast_unsigned()), amount, status.to_owned());
        differences.push((id, ours.remove(&id), theirs));
        Ok(())
    })
    .await?;
    for (id, standing, (tenant, said, amount, status)) in differences {
        let theirs = Side { tenant, text: said, amount: Some(amount.into()), rest: status.as_str().into() };
        let ours = standing.map(|it| {
            // A part of it may have been let go: either amount is right.
            let is_asked = i64::try_from(it.asked) == Ok(amount);
            let amount = i64::try_from(if is_asked { it.asked } else { it.amount }).unwrap_or(i64::MAX);
            let text = text(it.agent_id, amount, it.status, it.sequence);
            Side { tenant: it.tenant_id, text, amount: Some(amount.into()), rest: it.status.into() }
        });
        differ("withdrawals", &id.to_string(), ours.as_ref(), Some(&theirs), found);
    }
    for (id, it) in ours {
        let amount = i64::try_from(it.amount).unwrap_or(i64::MAX);
        let text = text(it.agent_id, amount, it.status, it.sequence);
        let side = Side { tenant: it.tenant_id, text, amount: Some(amount.into()), rest: it.status.into() };
        differ("withdrawals", &id.to_string(), Some(&side), None, found);
    }
    Ok(())
}

async fn batches(connection: &mut PgConnection, proof: &Proof, found: &mut Differences) -> Result<(), ReadError> {
    let mut ours: HashMap<Uuid, _> = proof.replay.batches().map(|batch| (batch.batch_id, batch)).collect();
    let text = |issued: i64, asked: i64, licences: i64, price: i64, status: &str| {
        format!("{issued} of {asked} issued, {licences} licences, price {price}, {status}")
    };
    let side = |it: &quotary_audit::replay::BatchStanding| {
        let price = i64::try_from(it.price).unwrap_or(i64::MAX);
        let text = text(it.announced.into(), it.asked.into(), it.issued.into(), price, it.status);
        Side { tenant: it.tenant_id, text, amount: Some(price.into()), rest: it.status.into() }
    };
    let statement = "copy (select b.batch_id, b.tenant_id, b.count, b.issued, b.total_price, b.status, \
                     coalesce(l.licences, 0)::bigint \
                     from read.batches b left join (select batch_id, count(*) as licences from read.licenses \
                     group by batch_id) l on l.batch_id = b.batch_id) to stdout (format binary)";
    rows(connection, statement, 7, |row| {
        let (id, price, status) = (row.uuid(0)?, row.int8(4)?, row.text(5)?);
        let theirs = Side {
            tenant: row.uuid(1)?,
            text: text(row.int8(3)?, row.int8(2)?, row.int8(6)?, price, status),
            amount: Some(price.into()),
            rest: status.into(),
        };
        let known = ours.remove(&id);
        differ("batches", &id.to_string(), known.as_ref().map(side).as_ref(), Some(&theirs), found);
        Ok(())
    })
    .await?;
    for (id, standing) in ours {
        differ("batches", &id.to_string(), Some(&side(&standing)), None, found);
    }
    let (licences, revoked): (i64, i64) =
        sqlx::query_as("select count(*), count(*) filter (where revoked) from read.licenses")
            .fetch_one(connection)
            .await?;
    let counts = proof.replay.licenses();
    let text = |issued: i128, revoked: i128| format!("{issued} licences, {revoked} of them revoked");
    let side = |issued: i128, revoked: i128| Side {
        tenant: Uuid::nil(),
        text: text(issued, revoked),
        amount: Some(issued),
        rest: "".into(),
    };
    let ours = side(counts.issued.into(), counts.revoked.into());
    differ("licenses", "all", Some(&ours), Some(&side(licences.into(), revoked.into())), found);
    Ok(())
}
