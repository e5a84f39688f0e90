//! `GET /v1/ledger/journals`.

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use quotary_domain::AccountId;
use quotary_projections::journal_search::{self, JournalFilter, JournalPosting};
use quotary_projections::ledger_account::{AccountName, InvalidAccount};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::READ_MODELS;
use crate::extract::{ApiQuery, Authed, MinPosition, Paging, Time, storable};
use crate::problem::Problem;
use crate::reply::Items;
use crate::state::AppState;

/// Which journals; all that is given must hold of one event of the journal.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// How many items at most, 1 to 200; 50 if absent.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
    /// With a posting of this account, e.g. `issuance` or `agent:<id>:available`.
    account: Option<String>,
    /// Of this kind, e.g. `transfer`.
    kind: Option<String>,
    /// With postings of at least so many minor units, without regard to the sign.
    #[param(minimum = 0)]
    min_amount: Option<i64>,
    /// With postings of at most so many minor units.
    #[param(minimum = 0)]
    max_amount: Option<i64>,
    /// Not before this time, in RFC 3339.
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<Time>,
    /// Before this time, in RFC 3339.
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<Time>,
    /// Of one business step: a correlation id.
    cause: Option<String>,
    /// Of one command, e.g. `quota.transfer`.
    command: Option<String>,
    /// Done by this account.
    actor: Option<Uuid>,
    /// About this batch, withdrawal, agent, hold or journal.
    source_id: Option<Uuid>,
}

/// One account's part of a journal.
#[derive(Debug, Serialize, ToSchema)]
pub struct Posting {
    /// Where its event stands in the log.
    position: u64,
    /// The account.
    account: String,
    /// In minor units; more than zero is a credit to the account, less a debit.
    amount: i64,
}

impl From<JournalPosting> for Posting {
    fn from(JournalPosting { position, account, amount }: JournalPosting) -> Self {
        Self { position, account, amount }
    }
}

/// A movement with its postings, as far as one may see them. The postings of every event sum to zero.
#[derive(Debug, Serialize, ToSchema)]
pub struct Journal {
    /// Its id.
    #[serde(rename = "journal_id")]
    id: Uuid,
    /// What kind of movement it is, e.g. `transfer`.
    kind: String,
    /// Where its first event stands in the log.
    position: u64,
    /// The journal that it takes back.
    reverses: Option<Uuid>,
    /// What `source_id` is, e.g. `batch`.
    source_kind: String,
    /// What it is about.
    source_id: Uuid,
    /// A remark.
    note: Option<String>,
    /// Who did it; `null` for what runs by itself.
    actor: Option<String>,
    /// The command behind it.
    command: Option<String>,
    /// The business step that it belongs to.
    correlation_id: Option<String>,
    /// When it happened.
    occurred_at: DateTime<Utc>,
    /// When it was recorded.
    recorded_at: DateTime<Utc>,
    /// Its postings, in the order of the log, of each event the debit first.
    postings: Vec<Posting>,
    /// How many more postings it has, of accounts that one may not see.
    hidden_postings: u64,
}

impl From<journal_search::Journal> for Journal {
    fn from(journal: journal_search::Journal) -> Self {
        Self {
            id: journal.journal_id.0,
            kind: journal.kind,
            position: journal.position,
            reverses: journal.reverses.map(|id| id.0),
            source_kind: journal.source_kind,
            source_id: journal.source_id,
            note: journal.note,
            actor: journal.actor,
            command: journal.command,
            correlation_id: journal.correlation_id,
            occurred_at: journal.occurred_at,
            recorded_at: journal.recorded_at,
            postings: journal.postings.into_iter().map(Posting::from).collect(),
            hidden_postings: journal.hidden_postings,
        }
    }
}

/// Finds movements by account, kind, amount, time, cause, actor and source, newest first.
///
/// # Errors
/// `invalid-parameter`.
#[utoipa::path(get, path = "/v1/ledger/journals", tag = "ledger", params(Filter),
    responses((status = 200, description = "A page of journals", body = Items<Journal>)))]
pub async fn handle(
    State(state): State<AppState>,
    Authed { actor, .. }: Authed,
    position: MinPosition,
    ApiQuery(filter): ApiQuery<Filter>,
) -> Result<Json<Items<Journal>>, Problem> {
    let page = Paging { limit: filter.limit, cursor: filter.cursor.clone() }.request()?;
    let filter = checked(filter)?;
    position.wait(&state, &READ_MODELS).await?;
    let found = journal_search::journals(&state.pool, &actor, &filter, &page).await?;
    Ok(Json(Items::of(found, Journal::from)))
}

fn checked(filter: Filter) -> Result<JournalFilter, Problem> {
    for (name, text) in [("kind", &filter.kind), ("cause", &filter.cause), ("command", &filter.command)] {
        storable(name, text.as_deref())?;
    }
    let account = filter.account.as_deref().map(str::parse::<AccountName>).transpose();
    let account = account.map_err(|error: InvalidAccount| Problem::parameter("account", error.to_string()))?;
    for (name, amount) in [("min_amount", filter.min_amount), ("max_amount", filter.max_amount)] {
        if amount.is_some_and(|amount| amount < 0) {
            return Err(Problem::parameter(name, "must not be negative: amounts are compared without their sign"));
        }
    }
    if matches!((filter.min_amount, filter.max_amount), (Some(least), Some(most)) if least > most) {
        return Err(Problem::parameter("min_amount", "must not be more than max_amount"));
    }
    let (from, to) = (filter.from.map(|time| time.0), filter.to.map(|time| time.0));
    if matches!((from, to), (Some(from), Some(to)) if from > to) {
        return Err(Problem::parameter("from", "must not be after the end"));
    }
    Ok(JournalFilter {
        account,
        kind: filter.kind,
        min_amount: filter.min_amount,
        max_amount: filter.max_amount,
        from,
        to,
        cause: filter.cause,
        command: filter.command,
        actor: filter.actor.map(AccountId),
        source_id: filter.source_id,
    })
}
