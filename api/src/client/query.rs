//! `POST /v1/client/licenses/query`: a licence and its machines, without using it.
//!
//! Reads the log, so that the answer is true whatever the state of this process.

use axum::extract::{Request, State};
use axum::response::Response;
use quotary_commands::license_key::LicenseKey;

use super::answer::{LicenseAnswer, LicenseOnly, LicenseWithMachines, bindings, view_of};
use super::call::{ClientCall, ClientCalls};
use super::decision::{MISTYPED, remaining};
use super::from_log::FreshLicense;
use super::request::QueryRequest;
use super::timestamp::Timestamp;
use crate::problem::{Code as ProblemCode, Problem};
use crate::state::AppState;

/// Answers a licence of the caller's own project.
#[utoipa::path(post, path = "/v1/client/licenses/query", tag = "client", request_body = QueryRequest,
    responses((status = 200, description = "The licence; signed if `Accept-Signature` was sent", body = LicenseOnly)))]
pub async fn handle(State(state): State<AppState>, request: Request) -> Response {
    let calls = ClientCalls::of(&state);
    let call = match calls.receive(request).await {
        Ok(call) => call,
        Err(refused) => return calls.refuse(refused).await,
    };
    let answer = calls.question(&call).await;
    calls.respond(&call, answer).await
}

impl ClientCalls<'_> {
    async fn question<'c>(&self, call: &'c ClientCall) -> Result<LicenseOnly<'c>, Problem> {
        let request: QueryRequest = call.body()?;
        let found = self.own_license(call, &request.key).await?;
        self.license_answer(call, &found)
    }

    /// The licence of a key, if it is one of the caller's own project.
    pub(super) async fn own_license(&self, call: &ClientCall, key: &str) -> Result<FreshLicense, Problem> {
        let key = LicenseKey::parse(key).map_err(|_| Problem::new(ProblemCode::NotFound, MISTYPED))?;
        let key_hash = self.vault().hash(call.key.tenant_id, "license-key", key.as_str());
        let found = self.the_log().license_of_key(call.key.tenant_id, &key_hash).await?;
        found
            .filter(|found| found.license.issue.as_ref().is_some_and(|issue| issue.project_id == call.key.project_id))
            .ok_or_else(|| Problem::not_found("license"))
    }

    /// The answer that shows a licence with its machines.
    pub(super) fn license_answer<'c>(
        &self,
        call: &'c ClientCall,
        found: &FreshLicense,
    ) -> Result<LicenseOnly<'c>, Problem> {
        let view = view_of(found, call.now).ok_or_else(|| Problem::not_found("license"))?;
        let bindings = bindings(self.vault(), call.key.tenant_id, found.id, &found.license)
            .map_err(|error| Problem::internal(&error))?;
        Ok(LicenseOnly {
            remaining_seconds: view.expires_at.map(|end| remaining(end, call.now)),
            license: LicenseWithMachines { license: LicenseAnswer::from(view), bindings },
            nonce: call.nonce(),
            at: Timestamp(call.now),
        })
    }
}
