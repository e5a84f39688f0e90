//! `POST /v1/client/licenses/activate`: binds a machine ahead of its use.
//!
//! Of licences whose validity begins with the first use, it does not begin yet.

use axum::extract::{Request, State};
use axum::response::Response;

use super::answer::VerifyAnswer;
use super::call::{ClientCall, ClientCalls};
use super::decision::{Asked, Step};
use super::request::ActivateRequest;
use crate::problem::Problem;
use crate::state::AppState;

/// Binds a machine to a licence, and activates the licence if it is the first; a bound machine stays as it is.
///
/// The outcome is always a 200 with a `code`; only a request that is not in order gets a problem.
#[utoipa::path(post, path = "/v1/client/licenses/activate", tag = "client", request_body = ActivateRequest,
    responses((status = 200, description = "The outcome; signed if `Accept-Signature` was sent", body = VerifyAnswer)))]
pub async fn handle(State(state): State<AppState>, request: Request) -> Response {
    let calls = ClientCalls::of(&state);
    let call = match calls.receive(request).await {
        Ok(call) => call,
        Err(refused) => return calls.refuse(refused).await,
    };
    let answer = calls.activation(&call).await;
    calls.respond(&call, answer).await
}

impl ClientCalls<'_> {
    async fn activation<'c>(&self, call: &'c ClientCall) -> Result<VerifyAnswer<'c>, Problem> {
        let request: ActivateRequest = call.body()?;
        request.machine.check().map_err(|(pointer, detail)| Problem::invalid(pointer, detail))?;
        let asked = Asked::of(self.vault(), call, Step::Activate, &request.key, &request.machine.fingerprint);
        self.decide(call, asked.map(|asked| asked.on(&request.machine))).await
    }
}
