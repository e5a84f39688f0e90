//! `POST /v1/ledger/journals/{id}/reverse`.

use axum::extract::State;
use quotary_commands::ledger::reverse::JournalReversed;
use quotary_domain::JournalId;
use quotary_projections::journals;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::extract::{Amount, ApiCommand, ApiPath, MinPosition};
use crate::problem::Problem;
use crate::proposals;
use crate::proposals::answer::{DoneOrWaiting, Waiting};
use crate::reply::Reply;
use crate::state::AppState;

/// What to take back, and why.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReverseJournal {
    /// How much, in minor units; all that the journal moved if absent.
    #[schema(value_type = Option<i64>, minimum = 1)]
    amount: Option<Amount>,
    /// 1 to 500 characters.
    reason: String,
}

/// A journal that takes another one back.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReversedJournal {
    /// The new journal.
    journal_id: Uuid,
    /// The journal that it takes back.
    reverses: Uuid,
    /// How much, in minor units.
    amount: i64,
    /// Who gave it back.
    from: Uuid,
    /// Who got it back; `null` for the tenant itself.
    to: Option<Uuid>,
    /// Why.
    reason: String,
    /// Who decided.
    by: Uuid,
}

impl From<JournalReversed> for ReversedJournal {
    fn from(done: JournalReversed) -> Self {
        Self {
            journal_id: done.made.journal_id.0,
            reverses: done.made.reverses.0,
            amount: done.made.amount.minor_units(),
            from: done.from.0,
            to: done.to.map(|id| id.0),
            reason: done.made.reason,
            by: done.made.by.0,
        }
    }
}

/// Takes a top-up or transfer, or a part of its amount, back by a new journal: a top-up returns to whoever gave it, a
/// transfer to its giver. Once only. More than one may move alone waits for a second super admin. Licences are refunded with their batch or order instead.
///
/// # Errors
/// `not-found`, `not-reversible`, `already-reversed`, `insufficient-quota`.
#[utoipa::path(post, path = "/v1/ledger/journals/{id}/reverse", tag = "ledger", request_body = ReverseJournal,
    params(("id" = Uuid, Path, description = "The journal")),
    responses((status = 201, description = "The reversal", body = ReversedJournal),
              (status = 202, description = "It waits for a second super admin", body = Waiting),
              (status = 200, description = "The reversal, which had been made before", body = ReversedJournal)))]
pub async fn handle(
    State(state): State<AppState>,
    position: MinPosition,
    ApiPath(id): ApiPath<Uuid>,
    command: ApiCommand<ReverseJournal>,
) -> Result<Reply<DoneOrWaiting<ReversedJournal>>, Problem> {
    position.wait(&state, &[journals::NAME]).await?;
    let context = command.context("ledger.reverse");
    // Only where to look; what stands there is read from the log and checked.
    let id = JournalId(id);
    let positions = journals::positions(&state.pool, context.tenant_id, id).await?;
    let ReverseJournal { amount, reason } = command.body;
    let done = state.commands.reverse_journal(&context, id, &positions, amount.map(|amount| amount.0), reason).await?;
    Ok(proposals::answer::reply(done, |done| {
        let (added, journal_id) = (done.value.added, done.value.made.journal_id);
        let reply = Reply::new(done, ReversedJournal::from);
        if added { reply.created(format!("/v1/ledger/journals/{journal_id}")) } else { reply }
    }))
}
