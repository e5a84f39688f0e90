//! Finding journals: by account, kind, amount, time, cause, actor and source.
//!
//! What must always hold: nobody is shown a posting of an account that one may not see; a journal is on a list once, however
//! many of its rows were found, and stands where its newest found row stands.

use chrono::{DateTime, Utc};
use quotary_domain::{AccountId, Actor, JournalId};
use serde::{Deserialize, Serialize};
use sqlx::postgres::PgRow;
use sqlx::{PgExecutor, Postgres, QueryBuilder, Row};
use uuid::Uuid;

use crate::ledger_account::AccountName;
use crate::page::{Page, PageError, PageRequest};
use crate::visibility::push_visible;

/// What journals are asked for.
#[derive(Clone, Debug, Default)]
pub struct JournalFilter {
    /// With a posting of this account.
    pub account: Option<AccountName>,
    /// Of this kind, e.g. `transfer`.
    pub kind: Option<String>,
    /// With a posting of at least so many minor units, whatever its sign.
    pub min_amount: Option<i64>,
    /// With a posting of at most so many.
    pub max_amount: Option<i64>,
    /// Not before this time.
    pub from: Option<DateTime<Utc>>,
    /// Before this time.
    pub to: Option<DateTime<Utc>>,
    /// Of one business step (correlation id).
    pub cause: Option<String>,
    /// Of one command, e.g. `quota.transfer`.
    pub command: Option<String>,
    /// Done by this account.
    pub actor: Option<AccountId>,
    /// About this batch, withdrawal, agent, hold or journal.
    pub source_id: Option<Uuid>,
}

/// One account's part of a journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalPosting {
    /// Where its event stands in the log.
    pub position: u64,
    /// The account.
    pub account: String,
    /// Minor units; more than zero is a credit to the account, less a debit.
    pub amount: i64,
}

/// A journal as far as one may see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Journal {
    /// Its id.
    pub journal_id: JournalId,
    /// What kind of movement its first event is.
    pub kind: String,
    /// Where its first event stands in the log.
    pub position: u64,
    /// Where the newest of what was found stands; lists go on from it.
    pub found_at: u64,
    /// The journal that it takes back.
    pub reverses: Option<JournalId>,
    /// What `source_id` is.
    pub source_kind: String,
    /// What it is about.
    pub source_id: Uuid,
    /// A remark.
    pub note: Option<String>,
    /// Who did it; absent for what runs by itself.
    pub actor: Option<String>,
    /// The command behind it.
    pub command: Option<String>,
    /// The business step that it belongs to.
    pub correlation_id: Option<String>,
    /// When it happened.
    pub occurred_at: DateTime<Utc>,
    /// When it was recorded.
    pub recorded_at: DateTime<Utc>,
    /// Its postings, in the order of the log; they sum to zero.
    pub postings: Vec<JournalPosting>,
    /// How many of its postings one may not see.
    pub hidden_postings: u64,
}

/// Adds the conditions of `filter` on the rows called `alias`.
fn push_filter(query: &mut QueryBuilder<'_, Postgres>, actor: &Actor, filter: &JournalFilter, alias: &str) {
    push_visible(query, actor, alias);
    match &filter.account {
        Some(AccountName::Available(agent)) => {
            query.push(format_args!(" and {alias}.available <> 0 and {alias}.agent_id = ")).push_bind(agent.0);
        }
        Some(AccountName::Held(agent)) => {
            query.push(format_args!(" and {alias}.held <> 0 and {alias}.agent_id = ")).push_bind(agent.0);
        }
        Some(AccountName::Other(name)) => {
            query.push(format_args!(" and {alias}.counter_account = ")).push_bind(name.clone());
        }
        None => {}
    }
    if let Some(kind) = &filter.kind {
        query.push(format_args!(" and {alias}.kind = ")).push_bind(kind.clone());
    }
    if let Some(least) = filter.min_amount {
        query.push(format_args!(" and {alias}.amount >= ")).push_bind(least);
    }
    if let Some(most) = filter.max_amount {
        query.push(format_args!(" and {alias}.amount <= ")).push_bind(most);
    }
    if let Some(from) = filter.from {
        query.push(format_args!(" and {alias}.occurred_at >= ")).push_bind(from);
    }
    if let Some(to) = filter.to {
        query.push(format_args!(" and {alias}.occurred_at < ")).push_bind(to);
    }
    if let Some(cause) = &filter.cause {
        query.push(format_args!(" and {alias}.correlation_id = ")).push_bind(cause.clone());
    }
    if let Some(command) = &filter.command {
        query.push(format_args!(" and {alias}.command = ")).push_bind(command.clone());
    }
    if let Some(by) = filter.actor {
        query.push(format_args!(" and {alias}.actor = ")).push_bind(by.to_string());
    }
    if let Some(source) = filter.source_id {
        query.push(format_args!(" and {alias}.source_id = ")).push_bind(source);
    }
}

/// The journals that `actor` may see something of, the newest first. Visibility also reads the read model `accounts`.
///
/// # Errors
/// [`PageError`] if the cursor is wrong or the database refuses.
pub async fn journals(
    db: impl PgExecutor<'_> + Copy,
    actor: &Actor,
    filter: &JournalFilter,
    request: &PageRequest,
) -> Result<Page<Journal>, PageError> {
    let mut query = QueryBuilder::<Postgres>::new("select r.journal_id, r.position from read.journal_rows r where ");
    push_filter(&mut query, actor, filter, "r");
    if let Some(before) = request.after::<i64>()? {
        query.push(" and r.position < ").push_bind(before);
    }
    // Of all found rows of a journal only the newest: one probe of the index on journals for each row that is shown.
    query.push(
        " and not exists (select from read.journal_rows l where l.journal_id = r.journal_id and l.position > r.position and ",
    );
    push_filter(&mut query, actor, filter, "l");
    query.push(") order by r.position desc limit ").push_bind(request.fetch());
    let rows = query.build().fetch_all(db).await?;
    let found = rows
        .iter()
        .map(|row| Ok((row.try_get::<Uuid, _>("journal_id")?, row.try_get::<i64, _>("position")?)))
        .collect::<Result<Vec<_>, sqlx::Error>>()?;
    let page = request.page(found, |(_, position)| *position);
    let items = whole(db, actor, &page.items).await?;
    Ok(Page { items, next_cursor: page.next_cursor })
}

/// One journal, if `actor` may see something of it.
///
/// # Errors
/// If the database refuses.
pub async fn journal(
    db: impl PgExecutor<'_> + Copy,
    actor: &Actor,
    id: JournalId,
) -> Result<Option<Journal>, sqlx::Error> {
    let mut query =
        QueryBuilder::<Postgres>::new("select max(r.position) from read.journal_rows r where r.journal_id = ");
    query.push_bind(id.0).push(" and ");
    push_visible(&mut query, actor, "r");
    let newest: Option<i64> = query.build_query_scalar().fetch_one(db).await?;
    match newest {
        Some(position) => Ok(whole(db, actor, &[(id.0, position)]).await?.pop()),
        None => Ok(None),
    }
}

/// The journals with all their postings, in the order of `found` (id, position of the newest row that was found).
async fn whole(
    db: impl PgExecutor<'_> + Copy,
    actor: &Actor,
    found: &[(Uuid, i64)],
) -> Result<Vec<Journal>, sqlx::Error> {
    let ids: Vec<Uuid> = found.iter().map(|(id, _)| *id).collect();
    let mut query = QueryBuilder::<Postgres>::new(
        "select r.journal_id, r.position, r.kind, r.agent_id, r.available, r.held, r.counter_account, r.source_kind, \
         r.source_id, r.note, r.actor, r.command, r.correlation_id, r.occurred_at, r.recorded_at, (",
    );
    push_visible(&mut query, actor, "r");
    query.push(") as visible from read.journal_rows r where r.journal_id = any(").push_bind(ids);
    query.push(") and r.tenant_id = ").push_bind(actor.tenant_id.0).push(" order by r.position");
    let rows = query.build().fetch_all(db).await?;
    let mut journals: Vec<Option<Journal>> = vec![None; found.len()];
    for row in &rows {
        let id: Uuid = row.try_get("journal_id")?;
        let Some(place) = found.iter().position(|(known, _)| *known == id) else { continue };
        let visible: bool = row.try_get("visible")?;
        match &mut journals[place] {
            Some(journal) if visible => journal.postings.extend(both(row)?),
            Some(journal) => journal.hidden_postings += 2,
            empty => {
                let mut journal = head(row, JournalId(id), found[place].1)?;
                if visible {
                    journal.postings.extend(both(row)?);
                } else {
                    journal.hidden_postings = 2;
                    // The remark is the same on both sides of a movement; what it is about may name somebody else.
                    journal.note = None;
                }
                *empty = Some(journal);
            }
        }
    }
    Ok(journals.into_iter().flatten().collect())
}

fn head(row: &PgRow, journal_id: JournalId, found_at: i64) -> Result<Journal, sqlx::Error> {
    let source_kind: String = row.try_get("source_kind")?;
    let source_id: Uuid = row.try_get("source_id")?;
    Ok(Journal {
        journal_id,
        kind: row.try_get("kind")?,
        position: row.try_get::<i64, _>("position")?.cast_unsigned(),
        found_at: found_at.cast_unsigned(),
        reverses: (source_kind == "journal").then_some(JournalId(source_id)),
        source_kind,
        source_id,
        note: row.try_get("note")?,
        actor: row.try_get("actor")?,
        command: row.try_get("command")?,
        correlation_id: row.try_get("correlation_id")?,
        occurred_at: row.try_get("occurred_at")?,
        recorded_at: row.try_get("recorded_at")?,
        postings: Vec::new(),
        hidden_postings: 0,
    })
}

/// A row's two postings, the debit first.
fn both(row: &PgRow) -> Result<[JournalPosting; 2], sqlx::Error> {
    let position = row.try_get::<i64, _>("position")?.cast_unsigned();
    let agent = AccountId(row.try_get("agent_id")?);
    let (available, held): (i64, i64) = (row.try_get("available")?, row.try_get("held")?);
    let counter: Option<String> = row.try_get("counter_account")?;
    let posting = |account: String, amount: i64| JournalPosting { position, account, amount };
    let mut sides: Vec<JournalPosting> = Vec::with_capacity(2);
    if available != 0 {
        sides.push(posting(AccountName::Available(agent).to_string(), available));
    }
    if held != 0 {
        sides.push(posting(AccountName::Held(agent).to_string(), held));
    }
    if let Some(account) = counter {
        sides.push(posting(account, -(available + held)));
    }
    sides.sort_by_key(|side| side.amount);
    sides.try_into().map_err(|_| sqlx::Error::Protocol("a row of a journal has no two postings".to_owned()))
}
