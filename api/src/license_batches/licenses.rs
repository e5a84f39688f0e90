//! `GET /v1/license-batches/{id}/licenses`: the licences of a batch, with their keys for the owner.
//!
//! What must always hold: a key is opened for the account that owns the batch and for nobody else, whatever their role.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, header};
use quotary_commands::clock;
use quotary_domain::BatchId;
use quotary_projections::licenses::{self, LicenseFilter};
use uuid::Uuid;

use crate::export::open_key;
use crate::extract::{ApiPath, ApiQuery, Authed, MinPosition, Paging};
use crate::licenses::LicenseBody;
use crate::problem::Problem;
use crate::reply::Items;
use crate::state::AppState;

/// Licences of a batch, newest first; `key` is there for the owner of the batch only.
///
/// # Errors
/// If there is no such batch that the account may see.
#[utoipa::path(get, path = "/v1/license-batches/{id}/licenses", tag = "license-batches",
    params(("id" = Uuid, Path), Paging),
    responses((status = 200, description = "A page of licences", body = Items<LicenseBody>)))]
pub async fn handle(
    State(state): State<AppState>,
    Authed { actor, .. }: Authed,
    ApiPath(id): ApiPath<Uuid>,
    ApiQuery(paging): ApiQuery<Paging>,
    position: MinPosition,
) -> Result<([(HeaderName, HeaderValue); 1], Json<Items<LicenseBody>>), Problem> {
    let page = paging.request()?;
    position.wait(&state, &["licenses", "accounts"]).await?;
    let batch_id = BatchId(id);
    let batch = licenses::batch(&state.pool, &actor, batch_id).await?.ok_or_else(|| Problem::not_found("batch"))?;
    let filter = LicenseFilter { batch_id: Some(batch_id), ..LicenseFilter::default() };
    let now = clock::now();
    let page = licenses::list(&state.pool, &actor, &filter, now, &page).await?;
    let vault = state.commands.log().vault();
    let owns = batch.agent_id == actor.account_id;
    let mut items = Vec::with_capacity(page.items.len());
    for mut license in page.items {
        let sealed = std::mem::take(&mut license.key_sealed);
        let key = if owns { Some(open_key(vault, actor.tenant_id, license.license_id, sealed)?) } else { None };
        let key = key.map(|key| key.as_str().to_owned());
        items.push(LicenseBody { key, ..LicenseBody::of_record(license, now) });
    }
    let secret = [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    Ok((secret, Json(Items { items, next_cursor: page.next_cursor })))
}
