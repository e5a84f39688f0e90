//! `GET /v1/licenses/{id}`: a licence with its machines.

use std::collections::BTreeMap;

use axum::extract::State;
use quotary_commands::clock;
use quotary_commands::license::transfer::holder_purpose;
use quotary_domain::{LicenseId, Sealed};
use quotary_projections::licenses::{self, MachineRecord};
use uuid::Uuid;

use super::LicenseBody;
use super::body::MachineBody;
use crate::client::answer::machine_name_purpose;
use crate::extract::{ApiPath, Authed, MinPosition};
use crate::problem::Problem;
use crate::reply::Resource;
use crate::state::AppState;

/// A licence with its machines.
///
/// # Errors
/// If there is none that the account may see.
#[utoipa::path(get, path = "/v1/licenses/{id}", tag = "licenses", params(("id" = Uuid, Path)),
    responses((status = 200, description = "The licence", body = LicenseBody)))]
pub async fn handle(
    State(state): State<AppState>,
    Authed { actor, .. }: Authed,
    ApiPath(id): ApiPath<Uuid>,
    position: MinPosition,
) -> Result<Resource<LicenseBody>, Problem> {
    position.wait(&state, &["licenses", "accounts"]).await?;
    let id = LicenseId(id);
    let license = licenses::get(&state.pool, &actor, id).await?.ok_or_else(|| Problem::not_found("license"))?;
    let machines = licenses::machines(&state.pool, actor.tenant_id, id).await?;
    let (vault, purpose) = (state.commands.log().vault(), machine_name_purpose(id));
    let shown = |machine: MachineRecord| -> Result<MachineBody, Problem> {
        let name = machine.name.map(|name| vault.open(actor.tenant_id, &purpose, &Sealed(name))).transpose()?;
        let name = name.map(|name| String::from_utf8_lossy(&name).into_owned());
        let MachineRecord { fingerprint_hash, bound_at, held_until, .. } = machine;
        Ok(MachineBody { fingerprint_hash, name, bound_at, held_until })
    };
    let bindings = machines.into_iter().map(shown).collect::<Result<_, _>>()?;
    let holder = license.holder.clone().map(|holder| vault.open(actor.tenant_id, &holder_purpose(id), &Sealed(holder)));
    let holder = holder.transpose()?.map(|holder| String::from_utf8_lossy(&holder).into_owned());
    let used = licenses::used(&state.pool, id).await?;
    let used = used.into_iter().map(|(meter, used)| (meter, used.cast_unsigned())).collect();
    let used = Some(used).filter(|used: &BTreeMap<_, _>| !used.is_empty());
    let sequence = license.sequence.cast_unsigned();
    let body = LicenseBody { bindings: Some(bindings), holder, used, ..LicenseBody::of_record(license, clock::now()) };
    Ok(Resource { sequence, body })
}
