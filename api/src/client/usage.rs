//! `POST /v1/client/licenses/usage`: counts the use of something metered, exactly once (row L13).
//!
//! What must always hold: a report counts once for its id, however often, with whichever nonce and to whichever process it
//! is sent; the same id with another content is refused.

use axum::extract::{Request, State};
use axum::response::Response;
use quotary_commands::{Context, Idempotency};
use serde::Serialize;
use utoipa::ToSchema;

use super::call::{ClientCall, ClientCalls};
use super::request::UsageRequest;
use super::timestamp::Timestamp;
use crate::problem::Problem;
use crate::state::AppState;

/// Longest name of a report, in characters.
const MAX_REPORT_ID: usize = 100;

/// What was used of a meter.
#[derive(Debug, Serialize, ToSchema)]
pub struct UsageAnswer<'a> {
    /// The meter.
    pub meter: String,
    /// How much was used, this report included.
    pub used: u64,
    /// How much may be used; null is as much as one likes.
    pub limit: Option<u64>,
    /// Whether more was used than that.
    pub over_limit: bool,
    /// Whether the report was counted before.
    pub replayed: bool,
    /// The request's nonce.
    pub nonce: &'a str,
    /// The server's time.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
}

/// Counts usage of a meter of a licence.
#[utoipa::path(post, path = "/v1/client/licenses/usage", tag = "client", request_body = UsageRequest,
    responses((status = 200, description = "What was used; signed if `Accept-Signature` was sent", body = UsageAnswer)))]
pub async fn handle(State(state): State<AppState>, request: Request) -> Response {
    let calls = ClientCalls::of(&state);
    let call = match calls.receive(request).await {
        Ok(call) => call,
        Err(refused) => return calls.refuse(refused).await,
    };
    let answer = calls.usage(&call).await;
    calls.respond(&call, answer).await
}

impl ClientCalls<'_> {
    async fn usage<'c>(&self, call: &'c ClientCall) -> Result<UsageAnswer<'c>, Problem> {
        let request: UsageRequest = call.body()?;
        let length = request.report_id.chars().count();
        if !(1..=MAX_REPORT_ID).contains(&length) || request.report_id.chars().any(char::is_control) {
            return Err(Problem::invalid("/report_id", format!("must have 1 to {MAX_REPORT_ID} characters")));
        }
        let found = self.own_license(call, &request.key).await?;
        let scope = format!("usage/{}", found.id);
        let counted = (&request.meter, request.amount);
        let counted = serde_json::to_vec(&counted).map_err(|error| Problem::internal(&error))?;
        let context = Context {
            idempotency: Some(Idempotency::new(&scope, &request.report_id, &counted)),
            ..call.context("license.report_usage")
        };
        let project = call.key.project_id;
        let done = self.commands.report_usage(&context, project, found.id, &request.meter, request.amount).await?;
        let after = done.value;
        self.index.observe(found.id, &after.license, after.sequence);
        let used = after.license.used.get(&request.meter).copied().unwrap_or(0);
        let terms = after.license.issue.map(|issue| issue.terms);
        let limit = terms.and_then(|terms| terms.policy.meters.get(&request.meter).and_then(|meter| meter.limit));
        Ok(UsageAnswer {
            over_limit: limit.is_some_and(|limit| used > limit),
            meter: request.meter,
            used,
            limit,
            replayed: done.replayed,
            nonce: call.nonce(),
            at: Timestamp(call.now),
        })
    }
}
