//! `POST /v1/client/licenses/heartbeat`: a bound machine is heard of and keeps its place.
//!
//! While more than half of its lease is left, the answer comes from memory and nothing is written.

use axum::extract::{Request, State};
use axum::response::Response;

use super::answer::VerifyAnswer;
use super::call::{ClientCall, ClientCalls};
use super::decision::{Asked, Step};
use super::request::{HeartbeatRequest, check_fingerprint};
use crate::problem::Problem;
use crate::state::AppState;

/// Keeps a machine's place. A machine that is not bound is not bound by it.
///
/// The outcome is always a 200 with a `code`; only a request that is not in order gets a problem.
#[utoipa::path(post, path = "/v1/client/licenses/heartbeat", tag = "client", request_body = HeartbeatRequest,
    responses((status = 200, description = "The outcome; signed if `Accept-Signature` was sent", body = VerifyAnswer)))]
pub async fn handle(State(state): State<AppState>, request: Request) -> Response {
    let calls = ClientCalls::of(&state);
    let call = match calls.receive(request).await {
        Ok(call) => call,
        Err(refused) => return calls.refuse(refused).await,
    };
    let answer = calls.beat(&call).await;
    calls.respond(&call, answer).await
}

impl ClientCalls<'_> {
    async fn beat<'c>(&self, call: &'c ClientCall) -> Result<VerifyAnswer<'c>, Problem> {
        let request: HeartbeatRequest = call.body()?;
        let fingerprint = &request.machine.fingerprint;
        check_fingerprint(fingerprint).map_err(|(pointer, detail)| Problem::invalid(pointer, detail))?;
        self.decide(call, Asked::of(self.vault(), call, Step::Beat, &request.key, fingerprint)).await
    }
}
