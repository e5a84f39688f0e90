//! `POST /v1/licenses/{id}/explain`: why a verification comes out as it does, or came out at a time of the past.
//!
//! Asks only, and changes nothing. Reads the log, so that the answer is true whatever the state of this process.

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use quotary_commands::clock;
use quotary_commands::log::stream;
use quotary_domain::LicenseId;
use quotary_domain::license::License;
use quotary_domain::license::explanation::{Checked, Circumstances, Explanation};
use quotary_domain::license::verification::{Intent, Question, Verdict};
use quotary_domain::license_batch::LicenseBatch;
use quotary_domain::project::Project;
use quotary_projections::licenses;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::client::answer::Code;
use crate::client::kept;
use crate::client::request::{MAX_FEATURES, MachineRequest};
use crate::extract::{ApiJson, ApiPath, Authed, MinPosition, Time};
use crate::problem::Problem;
use crate::state::AppState;

/// What is to be explained.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Explain {
    /// The machine that asked.
    machine: MachineRequest,
    /// The features that it asked for.
    #[serde(default)]
    features: Vec<String>,
    /// False explains a verification that binds nothing.
    #[serde(default = "yes")]
    #[schema(default = true)]
    bind: bool,
    /// When it asked; now if absent. The licence, its project and its batch are looked at as they were then.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    at: Option<Time>,
}

fn yes() -> bool {
    true
}

/// Why a verification comes out as it does.
#[derive(Debug, Serialize, ToSchema)]
pub struct Explained {
    /// Whether the licence may be used on the machine.
    valid: bool,
    /// What client software is answered.
    code: Code,
    /// The time that was looked at.
    at: DateTime<Utc>,
    /// The checks in their order.
    checks: Vec<CheckBody>,
}

/// A check of a verification.
#[derive(Debug, Serialize, ToSchema)]
pub struct CheckBody {
    /// `project`, `revocation`, `suspension`, `validity`, `features`, `machine`, `lease` or `places`.
    #[schema(example = "validity")]
    check: &'static str,
    /// `passed`, `failed`, or `skipped` if one before it failed.
    #[schema(example = "failed")]
    outcome: &'static str,
    /// What was seen; null if nobody looked.
    detail: Option<String>,
}

impl From<Checked> for CheckBody {
    fn from(checked: Checked) -> Self {
        Self { check: checked.check.as_str(), outcome: checked.outcome.as_str(), detail: checked.detail }
    }
}

/// Explains what a verification comes to, now or at a time of the past.
///
/// # Errors
/// If there is no such licence that the account may see, or there was none at that time.
#[utoipa::path(post, path = "/v1/licenses/{id}/explain", tag = "licenses", params(("id" = Uuid, Path)), request_body = Explain,
    responses((status = 200, description = "The checks and what they came to", body = Explained)))]
pub async fn handle(
    State(state): State<AppState>,
    Authed { actor, .. }: Authed,
    ApiPath(id): ApiPath<Uuid>,
    position: MinPosition,
    ApiJson(asked): ApiJson<Explain>,
) -> Result<Json<Explained>, Problem> {
    asked.machine.check().map_err(|(pointer, detail)| Problem::invalid(pointer, detail))?;
    if asked.features.len() > MAX_FEATURES {
        return Err(Problem::invalid("/features", format!("must be at most {MAX_FEATURES}")));
    }
    position.wait(&state, &["licenses", "accounts"]).await?;
    let id = LicenseId(id);
    let visible = licenses::get(&state.pool, &actor, id).await?.ok_or_else(|| Problem::not_found("license"))?;
    let at = asked.at.map_or_else(clock::now, |Time(at)| at);
    let license = stream::load_as_of::<License>(&state.pool, id.0, at).await?.aggregate;
    let project = stream::load_as_of::<Project>(&state.pool, visible.project_id.0, at).await?.aggregate;
    let batch = stream::load_as_of::<LicenseBatch>(&state.pool, visible.batch_id.0, at).await?.aggregate;
    let machine = kept(state.commands.log().vault(), actor.tenant_id, id, &asked.machine)?;
    let intent = if asked.bind { Intent::Use } else { Intent::Look };
    let question = Question { features: &asked.features, intent, at };
    let circumstances = Circumstances { project_disabled: project.disabled, refunded: batch.refunded.is_some() };
    let explained = license.explain(&machine, &question, circumstances);
    let Explanation { verdict, checks } = explained.ok_or_else(|| Problem::not_found("license"))?;
    // What only a command could tell was asked of the aggregate: it would let the machine in.
    let code = verdict.map_or(Code::ProjectDisabled, |verdict| Code::of(verdict).unwrap_or(Code::Valid));
    let valid = matches!(verdict, Some(Verdict::Valid | Verdict::OverLimit | Verdict::NeedsUse));
    Ok(Json(Explained { valid, code, at, checks: checks.into_iter().map(CheckBody::from).collect() }))
}
