//! `POST /v1/client/licenses/verify`: may this licence be used on this machine?

use axum::extract::{Request, State};
use axum::response::Response;

use super::answer::VerifyAnswer;
use super::call::{ClientCall, ClientCalls};
use super::decision::{Asked, Step};
use super::request::{MAX_FEATURES, VerifyRequest};
use crate::problem::Problem;
use crate::state::AppState;

/// Verifies a licence key on a machine; first use activates the licence and binds the machine.
///
/// The outcome of a verification is always a 200 with a `code`; only a request that is not in order gets a problem.
#[utoipa::path(post, path = "/v1/client/licenses/verify", tag = "client", request_body = VerifyRequest,
    responses((status = 200, description = "The outcome; signed if `Accept-Signature` was sent", body = VerifyAnswer)))]
pub async fn handle(State(state): State<AppState>, request: Request) -> Response {
    let calls = ClientCalls::of(&state);
    let call = match calls.receive(request).await {
        Ok(call) => call,
        Err(refused) => return calls.refuse(refused).await,
    };
    let answer = calls.verification(&call).await;
    calls.respond(&call, answer).await
}

impl ClientCalls<'_> {
    async fn verification<'c>(&self, call: &'c ClientCall) -> Result<VerifyAnswer<'c>, Problem> {
        let request: VerifyRequest = call.body()?;
        request.machine.check().map_err(|(pointer, detail)| Problem::invalid(pointer, detail))?;
        if request.features.len() > MAX_FEATURES {
            return Err(Problem::invalid("/features", format!("must be at most {MAX_FEATURES}")));
        }
        let step = if request.bind { Step::Verify } else { Step::Look };
        let asked = Asked::of(self.vault(), call, step, &request.key, &request.machine.fingerprint);
        self.decide(call, asked.map(|asked| asked.on(&request.machine).with(&request.features))).await
    }
}
