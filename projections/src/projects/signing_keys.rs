//! The signing keys of projects in the read model, from which the licence index starts.
//!
//! What must always hold: read in the order of their making, the rows give the same keys as the aggregate has.

use chrono::{DateTime, Utc};
use hashbrown::HashMap;
use quotary_domain::project::{SigningKey, SigningKeys, UnknownAlgorithm};
use quotary_domain::{ProjectId, RecordedEvent, Sealed, TenantId};
use serde::Serialize;
use sqlx::types::Json;
use sqlx::{FromRow, PgConnection};
use uuid::Uuid;

pub(super) const TABLE: &str = r"
create table signing_keys (
    position       bigint primary key,
    project_id     uuid   not null,
    tenant_id      uuid   not null,
    algorithm      text   not null,
    key_id         text   not null,
    public_key     text   not null,
    secret_key     text   not null,                 -- sealed
    previous_until timestamptz                      -- how long the one before is published; null without one
);
create index signing_keys_project on signing_keys (project_id, position);
";

/// A key as it was made.
#[derive(Serialize)]
pub(super) struct KeyRow {
    position: u64,
    project_id: ProjectId,
    tenant_id: TenantId,
    algorithm: &'static str,
    key_id: String,
    public_key: String,
    secret_key: String,
    previous_until: Option<DateTime<Utc>>,
}

impl KeyRow {
    pub(super) fn new(recorded: &RecordedEvent, key: &SigningKey, previous_until: Option<DateTime<Utc>>) -> Self {
        Self {
            position: recorded.position,
            project_id: recorded.aggregate_id.into(),
            tenant_id: recorded.tenant_id,
            algorithm: key.algorithm.as_str(),
            key_id: key.key_id.clone(),
            public_key: key.public_key.clone(),
            secret_key: key.secret_key.0.clone(),
            previous_until,
        }
    }
}

pub(super) async fn write(rows: Vec<KeyRow>, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    if !rows.is_empty() {
        sqlx::query("insert into signing_keys select * from jsonb_populate_recordset(null::signing_keys, $1)")
            .bind(Json(rows))
            .execute(connection)
            .await?;
    }
    Ok(())
}

#[derive(FromRow)]
struct Made {
    project_id: Uuid,
    algorithm: String,
    key_id: String,
    public_key: String,
    secret_key: String,
    previous_until: Option<DateTime<Utc>>,
}

/// The keys of every project of every tenant; for the licence index alone, since secrets are among them (sealed).
///
/// # Errors
/// [`sqlx::Error`] if the read model can't be read, or names an algorithm that this program does not know.
pub async fn all(connection: &mut PgConnection) -> Result<HashMap<ProjectId, SigningKeys>, sqlx::Error> {
    let select = "select project_id, algorithm, key_id, public_key, secret_key, previous_until
                  from read.signing_keys order by project_id, position";
    let made: Vec<Made> = sqlx::query_as(select).fetch_all(connection).await?;
    let mut keys: HashMap<ProjectId, SigningKeys> = HashMap::new();
    for row in made {
        let algorithm = row.algorithm.parse().map_err(|error: UnknownAlgorithm| sqlx::Error::Decode(error.into()))?;
        let (key_id, public_key, secret_key) = (row.key_id, row.public_key, Sealed(row.secret_key));
        let key = SigningKey { algorithm, key_id, public_key, secret_key };
        keys.entry(row.project_id.into()).or_default().rotate(key, row.previous_until);
    }
    Ok(keys)
}
