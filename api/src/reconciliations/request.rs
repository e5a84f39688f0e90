//! `POST /v1/reconciliations`.

use axum::extract::State;
use chrono::NaiveDate;
use quotary_commands::Context;
use quotary_domain::Role;
use quotary_domain::order::Payment;
use quotary_domain::reconciliation::{BillRun, RunKind, RunSubject};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::bill_input::{invalid, read};
use crate::extract::{ApiCommand, Whole};
use crate::problem::{Code, Problem};
use crate::reply::Reply;
use crate::state::AppState;

/// What is compared.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RequestReconciliation {
    /// `internal`: the read models with the log. `external`: a provider's bill with our orders.
    #[schema(value_type = String, example = "external")]
    kind: RunKind,
    /// For `internal`: from the log's start, not from the last proved position.
    full: Option<bool>,
    /// For `external`.
    bill: Option<RequestBill>,
}

/// A bill and how it is compared.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RequestBill {
    /// The bill, as the upload answered it.
    sha256: String,
    /// `alipay`, `wechat`, `stripe`, `generic`, or the `sha256` of a mapping file that was uploaded like a bill.
    #[schema(example = "alipay")]
    mapping: String,
    /// The provider as orders name it; that of the mapping if absent.
    provider: Option<String>,
    /// The first day, in the provider's zone; the bill's first day if absent.
    #[schema(value_type = Option<String>, format = Date)]
    from: Option<NaiveDate>,
    /// The last day; the bill's last day if absent.
    #[schema(value_type = Option<String>, format = Date)]
    to: Option<NaiveDate>,
    /// How far amounts of one number may be apart, in minor units.
    #[schema(value_type = Option<u32>, maximum = 1000)]
    tolerance_minor_units: Option<Whole<0, 1_000>>,
    /// How far outside the days an order may be to be a partner of a line inside; a day at least.
    #[schema(value_type = Option<u32>, maximum = 366)]
    tolerance_days: Option<Whole<0, 366>>,
    /// Rules for lines and orders that know no number of each other, the strictest first: `MINOR_UNITS:DAYS`.
    #[serde(default)]
    #[schema(example = json!(["0:1"]))]
    rules: Vec<String>,
}

/// A run that was asked for.
#[derive(Debug, Serialize, ToSchema)]
pub struct RequestedReconciliation {
    /// The run.
    pub id: Uuid,
    /// `internal` or `external`.
    pub kind: &'static str,
    /// For an external run: the days that are compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub days: Option<[String; 2]>,
}

/// Asks for a reconciliation; it is done in the background. A bill is read at once, so that what is wrong with it or its mapping is
/// told here. Bills need a super admin.
///
/// # Errors
/// `mapping-invalid`, `bill-unreadable`.
#[utoipa::path(post, path = "/v1/reconciliations", tag = "reconciliations", request_body = RequestReconciliation,
    responses((status = 201, description = "The run", body = RequestedReconciliation)))]
pub async fn handle(
    State(state): State<AppState>,
    command: ApiCommand<RequestReconciliation>,
) -> Result<Reply<RequestedReconciliation>, Problem> {
    let context = command.context("reconciliation.request");
    let subject = match (&command.body, command.body.kind) {
        (RequestReconciliation { bill: None, full, .. }, RunKind::Internal) => {
            RunSubject::Internal { full: full.unwrap_or(false) }
        }
        (RequestReconciliation { bill: Some(bill), full: None, .. }, RunKind::External) => {
            RunSubject::External(bill_run(&state, &context, bill).await?)
        }
        (_, RunKind::Internal) => return Err(invalid("/bill", "an internal run has no bill")),
        (RequestReconciliation { bill: None, .. }, RunKind::External) => {
            return Err(invalid("/bill", "an external run needs a bill"));
        }
        (_, RunKind::External) => return Err(invalid("/full", "an external run is always full")),
    };
    let days = match &subject {
        RunSubject::External(BillRun { from: Some(from), to: Some(to), .. }) => Some([from.clone(), to.clone()]),
        _ => None,
    };
    let done = state.commands.request_reconciliation(&context, subject).await?;
    let (id, sequence) = (done.value.id.0, done.value.sequence);
    let answer = RequestedReconciliation { id, kind: command.body.kind.as_str(), days };
    Ok(Reply::new(done, |_| answer).etag(sequence).created(format!("/v1/reconciliations/{id}")))
}

/// A bill as the run will read it, read once to see that it can be.
async fn bill_run(state: &AppState, context: &Context, asked: &RequestBill) -> Result<BillRun, Problem> {
    if context.actor.is_none_or(|actor| actor.role != Role::SuperAdmin) {
        return Err(Problem::new(Code::Forbidden, "a bill needs a super admin"));
    }
    let read = read(&state.pool, context.tenant_id, &asked.sha256, &asked.mapping).await?;
    let provider = asked.provider.clone().unwrap_or_else(|| read.provider().to_owned());
    if !Payment::is_provider(&provider) {
        return Err(invalid("/bill/provider", "a provider has 1 to 32 characters of a-z 0-9 _ -"));
    }
    let text = |day: Option<NaiveDate>| day.map(|day| day.to_string());
    let (from, to) = (text(asked.from).or(read.days().map(|days| days.0.to_string())), text(asked.to));
    let to = to.or(read.days().map(|days| days.1.to_string()));
    if from.is_none() || to.is_none() {
        return Err(invalid("/bill/from", "the bill has no rows, so the days must be said"));
    }
    let tolerance = asked.tolerance_minor_units.map_or(0, |whole| u64::from(whole.0));
    let options = read.options((from.as_deref(), to.as_deref()), tolerance, &asked.rules);
    options.map_err(|(field, why)| invalid(&format!("/bill/{field}"), &why))?;
    Ok(BillRun {
        provider,
        bill_sha256: asked.sha256.to_ascii_lowercase(),
        mapping: asked.mapping.clone(),
        from,
        to,
        tolerance_minor_units: tolerance,
        tolerance_days: asked.tolerance_days.map_or(0, |whole| whole.0),
        rules: asked.rules.clone(),
    })
}
