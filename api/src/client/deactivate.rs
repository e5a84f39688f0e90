//! `POST /v1/client/licenses/deactivate`: a machine gives its place back.
//!
//! A command with the request's nonce as its idempotency key.

use axum::extract::{Request, State};
use axum::response::Response;

use super::answer::LicenseOnly;
use super::call::{ClientCall, ClientCalls};
use super::from_log::FreshLicense;
use super::request::{DeactivateRequest, check_fingerprint};
use crate::problem::Problem;
use crate::state::AppState;

/// Takes the machine off the licence; its validity goes on.
#[utoipa::path(post, path = "/v1/client/licenses/deactivate", tag = "client", request_body = DeactivateRequest,
    responses((status = 200, description = "The licence after it; signed if `Accept-Signature` was sent", body = LicenseOnly)))]
pub async fn handle(State(state): State<AppState>, request: Request) -> Response {
    let calls = ClientCalls::of(&state);
    let call = match calls.receive(request).await {
        Ok(call) => call,
        Err(refused) => return calls.refuse(refused).await,
    };
    let answer = calls.deactivation(&call).await;
    calls.respond(&call, answer).await
}

impl ClientCalls<'_> {
    async fn deactivation<'c>(&self, call: &'c ClientCall) -> Result<LicenseOnly<'c>, Problem> {
        let request: DeactivateRequest = call.body()?;
        check_fingerprint(&request.machine.fingerprint)
            .map_err(|(pointer, detail)| Problem::invalid(pointer, detail))?;
        let found = self.own_license(call, &request.key).await?;
        let fingerprint_hash = self.vault().hash(call.key.tenant_id, "fingerprint", &request.machine.fingerprint);
        let context = call.context("license.deactivate");
        let done = self.commands.deactivate_machine(&context, call.key.project_id, found.id, fingerprint_hash).await?;
        self.index.observe(found.id, &done.value.license, done.value.sequence);
        self.license_answer(call, &FreshLicense { license: done.value.license, sequence: done.value.sequence, ..found })
    }
}
