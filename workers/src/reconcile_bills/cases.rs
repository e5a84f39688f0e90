//! The cases of a run: one for every difference, and an end for those that are none any more.
//!
//! What must always hold: the same difference in another run is the same case; a case ends by itself only if the run looked at
//! what it is about, or at the same days of the same provider, and saw that it is no difference or another one.

use std::collections::{BTreeMap, HashSet};

use futures::future::BoxFuture;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use quotary_audit::external::Comparison;
use quotary_audit::item::Item;
use quotary_audit::matching::Finding;
use quotary_commands::Commands;
use quotary_domain::case::{CaseEvent, Sighting, Subject};
use quotary_domain::reconciliation::{BillRun, RunKind};
use quotary_domain::{CaseId, ReconciliationId, TenantId};
use sqlx::types::Json;
use uuid::Uuid;

use super::run::{RunError, class};
use super::step;

/// How many commands are under way at a time.
const IN_FLIGHT: usize = 64;
/// The most differences of one run that get a case; beyond that something else is wrong, and the report has them all.
pub const MOST_CASES: usize = 10_000;
/// How much of the items a sighting tells.
const TOLD: usize = 5;

/// Opens or finds the case of every difference, and tells which case goes with the finding at which place.
///
/// # Errors
/// [`RunError`] if a command fails.
pub async fn see(
    commands: &Commands,
    tenant_id: TenantId,
    run_id: ReconciliationId,
    asked: &BillRun,
    compared: &Comparison,
) -> Result<BTreeMap<usize, CaseId>, RunError> {
    let mut seeing: Vec<BoxFuture<'_, Result<(usize, CaseId), RunError>>> = vec![];
    for (place, finding) in compared.matching.findings.iter().enumerate() {
        let Some(subject) = subject(asked, finding).filter(|_| seeing.len() < MOST_CASES) else { continue };
        let (id, seen) = (CaseId::of(tenant_id, &subject), sighting(run_id, compared, finding));
        seeing.push(Box::pin(async move {
            commands.see_case(&step(tenant_id, run_id, "case.see"), subject, seen).await?;
            Ok((place, id))
        }));
    }
    stream::iter(seeing).buffer_unordered(IN_FLIGHT).try_collect().await
}

/// What the case of a finding is about; nothing if it is no difference.
fn subject(asked: &BillRun, finding: &Finding) -> Option<Subject> {
    let class = class(finding.class);
    class.is_difference().then(|| Subject {
        kind: RunKind::External,
        source: asked.provider.clone(),
        class,
        key: finding.key.clone(),
    })
}

fn sighting(run_id: ReconciliationId, compared: &Comparison, finding: &Finding) -> Sighting {
    let matching = &compared.matching;
    Sighting {
        run_id,
        ours: told(finding.orders.iter().map(|place| &matching.orders[*place])),
        theirs: told(finding.lines.iter().map(|place| &matching.lines[*place])),
        amount: finding.difference.and_then(|difference| i64::try_from(-difference).ok()),
    }
}

/// What one side says: numbers, amounts and states, of the first few.
fn told<'i>(items: impl Iterator<Item = &'i Item>) -> Option<String> {
    let mut texts: Vec<String> = items.map(tell).collect();
    let more = texts.len().saturating_sub(TOLD);
    texts.truncate(TOLD);
    if more > 0 {
        texts.push(format!("and {more} more"));
    }
    (!texts.is_empty()).then(|| texts.join("; "))
}

fn tell(item: &Item) -> String {
    let Item { kind, id, at, other_id, amount, currency, state, .. } = item;
    let other = other_id.as_ref().map(|other| format!(" ({other})")).unwrap_or_default();
    let at = at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
    format!("{} {id}{other}: {amount} {currency}, {}, {at}", kind.as_str(), state.as_str())
}

/// Ends the open cases that this run shows to be none.
///
/// # Errors
/// [`RunError`] if a command fails or the database refuses.
pub async fn vanish(
    commands: &Commands,
    tenant_id: TenantId,
    run_id: ReconciliationId,
    asked: &BillRun,
    compared: &Comparison,
) -> Result<(), RunError> {
    let findings = &compared.matching.findings;
    let seen: HashSet<CaseId> = findings
        .iter()
        .filter_map(|finding| subject(asked, finding))
        .map(|subject| CaseId::of(tenant_id, &subject))
        .collect();
    let looked_at = looked_at(compared);
    let mut ending: Vec<BoxFuture<'_, Result<(), RunError>>> = vec![];
    for case in open(commands, tenant_id, asked).await? {
        let stem = case.key.split_once('#').map_or(case.key.as_str(), |(stem, _)| stem);
        let same_period = case.days.0.is_some() && case.days == (asked.from.clone(), asked.to.clone());
        if !seen.contains(&case.id) && (same_period || looked_at.contains(stem)) {
            ending.push(Box::pin(async move {
                commands.vanish_case(&step(tenant_id, run_id, "case.vanish"), case.id, run_id).await?;
                Ok(())
            }));
        }
    }
    stream::iter(ending).buffer_unordered(IN_FLIGHT).try_collect().await
}

/// The keys that any item of this run could have a case under.
fn looked_at(compared: &Comparison) -> HashSet<String> {
    let key = |side: &str, item: &Item| format!("{}/{side}/{}", item.kind.as_str(), item.id);
    let lines = compared.matching.lines.iter().map(|item| key("line", item));
    lines.chain(compared.matching.orders.iter().map(|item| key("order", item))).collect()
}

/// An open case.
struct OpenCase {
    id: CaseId,
    key: String,
    /// Of the run that opened it.
    days: (Option<String>, Option<String>),
}

/// How a case was opened: its id, the event, and the days of the run that opened it.
type Opened = (Uuid, Json<CaseEvent>, Option<String>, Option<String>);

/// The open cases of this provider: from the log, which has all that ever were.
async fn open(commands: &Commands, tenant_id: TenantId, asked: &BillRun) -> Result<Vec<OpenCase>, RunError> {
    let rows: Vec<Opened> = sqlx::query_as(
        "select o.aggregate_id::uuid, o.payload, \
                r.payload -> 'ReconciliationRequested' -> 'subject' -> 'external' ->> 'from', \
                r.payload -> 'ReconciliationRequested' -> 'subject' -> 'external' ->> 'to' \
         from events o \
         left join events r on r.aggregate_type = 'Reconciliation' and r.sequence = 1 \
                           and r.aggregate_id = o.payload -> 'CaseOpened' -> 'seen' ->> 'run_id' \
         where o.tenant_id = $1 and o.aggregate_type = 'Case' and o.event_type = 'CaseOpened' \
           and o.payload -> 'CaseOpened' -> 'subject' ->> 'source' = $2 \
           and (select l.event_type from events l where l.aggregate_type = 'Case' and l.aggregate_id = o.aggregate_id \
                  and l.event_type <> 'CaseNoted' order by l.sequence desc limit 1) \
               in ('CaseOpened', 'CaseChanged', 'CaseReopened')",
    )
    .bind(tenant_id.0)
    .bind(&asked.provider)
    .fetch_all(commands.log().pool())
    .await?;
    let case = |(id, Json(opened), from, to): Opened| match opened {
        CaseEvent::CaseOpened { subject, .. } if subject.kind == RunKind::External => {
            Some(OpenCase { id: CaseId(id), key: subject.key, days: (from, to) })
        }
        _ => None,
    };
    Ok(rows.into_iter().filter_map(case).collect())
}
