//! Generations: each read model's tables stand in a schema of their own, and the views in `read` point at the one that
//! serves.
//!
//! Always true: at most one generation of a read model serves (a unique index says so); the views and that state change in
//! one transaction; a generation's rows are written only together with its checkpoint. The role `quotary_projector` owns
//! the schemas, the tables and the views; `quotary_service` can only read.

use std::time::Duration;

use sqlx::{Executor as _, PgConnection, PgPool, Postgres, Row, Transaction};

use crate::projection::Projection;

/// How long a transaction over the read models may be silent unless a runner's options say otherwise.
pub(crate) const SILENT_AT_MOST: Duration = Duration::from_secs(15);

/// Where a generation stands in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GenerationState {
    /// Is filled beside the serving one.
    Building,
    /// Is what queries see.
    Serving,
    /// Was replaced and waits to be dropped.
    Retired,
}

impl GenerationState {
    /// The state's name in the table.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Building => "building",
            Self::Serving => "serving",
            Self::Retired => "retired",
        }
    }
}

/// One set of tables of a read model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generation {
    /// The read model.
    pub name: String,
    /// Counts from 1.
    pub generation: i32,
    /// The shape of its tables.
    pub version: i32,
    /// The last position that its rows contain.
    pub checkpoint: u64,
    /// Where it stands.
    pub state: GenerationState,
}

/// Why a generation can't be made or found.
#[derive(Debug, thiserror::Error)]
pub enum GenerationError {
    /// The database refused.
    #[error("the read models' tables can't be managed")]
    Database(#[from] sqlx::Error),
    /// A name that can't stand in a schema's name.
    #[error("{0:?} is no name for a read model")]
    Name(String),
    /// The table `projections` holds something this program does not know.
    #[error("the read model {name} has the unknown state {state:?}")]
    State {
        /// The read model.
        name: String,
        /// What stands there.
        state: String,
    },
}

impl Generation {
    /// The PostgreSQL schema of its tables, e.g. `ledger_1`.
    #[must_use]
    pub fn schema(&self) -> String {
        format!("{}_{}", self.name, self.generation)
    }
}

const COLUMNS: &str = "name, generation, version, checkpoint, state";

fn read(row: &sqlx::postgres::PgRow) -> Result<Generation, GenerationError> {
    let name: String = row.try_get("name")?;
    let state: String = row.try_get("state")?;
    let state = match state.as_str() {
        "building" => GenerationState::Building,
        "serving" => GenerationState::Serving,
        "retired" => GenerationState::Retired,
        _ => return Err(GenerationError::State { name, state }),
    };
    Ok(Generation {
        name,
        generation: row.try_get("generation")?,
        version: row.try_get("version")?,
        checkpoint: row.try_get::<i64, _>("checkpoint")?.cast_unsigned(),
        state,
    })
}

/// Every generation of every read model, by name and generation.
///
/// # Errors
/// [`GenerationError`] if the database refuses.
pub async fn list(pool: &PgPool) -> Result<Vec<Generation>, GenerationError> {
    let rows = sqlx::query(&format!("select {COLUMNS} from public.projections order by name, generation"))
        .fetch_all(pool)
        .await?;
    rows.iter().map(read).collect()
}

/// The serving generation of a read model, made as its first generation when there is none.
///
/// # Errors
/// [`GenerationError`] if the name is wrong or the database refuses.
pub async fn ensure<P: Projection>(pool: &PgPool, projection: &P) -> Result<Generation, GenerationError> {
    if let Some(serving) = serving(&mut *pool.acquire().await?, projection.name()).await? {
        return Ok(serving);
    }
    let mut transaction = begin(pool).await?;
    lock_name(&mut transaction, projection.name()).await?;
    if let Some(made_meanwhile) = serving(&mut transaction, projection.name()).await? {
        return Ok(made_meanwhile);
    }
    let mut first = create(&mut transaction, projection).await?;
    set_state(&mut transaction, &first, "serving").await?;
    first.state = GenerationState::Serving;
    point_views(&mut transaction, projection, &first).await?;
    transaction.commit().await?;
    Ok(first)
}

/// The serving generation of a read model.
///
/// # Errors
/// [`GenerationError`] if the database refuses.
pub async fn serving(connection: &mut PgConnection, name: &str) -> Result<Option<Generation>, GenerationError> {
    let row = sqlx::query(&format!("select {COLUMNS} from public.projections where name = $1 and state = 'serving'"))
        .bind(name)
        .fetch_optional(connection)
        .await?;
    row.as_ref().map(read).transpose()
}

/// What to do with a generation that an interrupted build left behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leftover {
    /// Go on where it stopped, if its tables have today's shape.
    Resume,
    /// Drop it and begin anew.
    Discard,
}

/// The generation to build: what an interrupted build left, or a new one. Drops retired ones and leftovers of no use.
pub(crate) async fn building<P: Projection>(
    pool: &PgPool,
    projection: &P,
    leftover: Leftover,
) -> Result<Generation, GenerationError> {
    drop_unused(pool, projection, leftover).await?;
    let mut transaction = begin(pool).await?;
    lock_name(&mut transaction, projection.name()).await?;
    let row = sqlx::query(&format!(
        "select {COLUMNS} from public.projections where name = $1 and state = 'building' order by generation limit 1"
    ))
    .bind(projection.name())
    .fetch_optional(&mut *transaction)
    .await?;
    if let Some(row) = row {
        return read(&row);
    }
    let fresh = create(&mut transaction, projection).await?;
    transaction.commit().await?;
    Ok(fresh)
}

/// Drops retired generations, and half-built ones unless they can be resumed.
pub(crate) async fn drop_unused<P: Projection>(
    pool: &PgPool,
    projection: &P,
    leftover: Leftover,
) -> Result<(), GenerationError> {
    let unused: Vec<Generation> = list(pool)
        .await?
        .into_iter()
        .filter(|found| found.name == projection.name())
        .filter(|found| match found.state {
            GenerationState::Serving => false,
            GenerationState::Retired => true,
            GenerationState::Building => leftover == Leftover::Discard || found.version != projection.version(),
        })
        .collect();
    for generation in unused {
        drop_generation(pool, &generation).await?;
    }
    Ok(())
}

/// Drops a generation that does not serve, its tables and its row in one step.
async fn drop_generation(pool: &PgPool, generation: &Generation) -> Result<(), GenerationError> {
    let mut transaction = begin(pool).await?;
    lock_name(&mut transaction, &generation.name).await?;
    let gone = sqlx::query("delete from public.projections where name = $1 and generation = $2 and state <> 'serving'")
        .bind(&generation.name)
        .bind(generation.generation)
        .execute(&mut *transaction)
        .await?;
    if gone.rows_affected() == 1 {
        transaction.execute(format!("drop schema if exists {} cascade", generation.schema()).as_str()).await?;
    }
    transaction.commit().await?;
    Ok(())
}

/// Makes the next generation's tables and its row, in the state `building`.
async fn create<P: Projection>(connection: &mut PgConnection, projection: &P) -> Result<Generation, GenerationError> {
    let name = projection.name();
    // The table's own check says the same; this is before the name becomes part of a statement.
    if !name.starts_with(|c: char| c.is_ascii_lowercase())
        || name.len() > 41
        || !name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
    {
        return Err(GenerationError::Name(name.to_owned()));
    }
    let number: i32 = sqlx::query_scalar(
        "insert into public.projections (name, generation, version, state)
         select $1, coalesce(max(generation), 0) + 1, $2, 'building' from public.projections where name = $1
         returning generation",
    )
    .bind(name)
    .bind(projection.version())
    .fetch_one(&mut *connection)
    .await?;
    let made = Generation {
        name: name.to_owned(),
        generation: number,
        version: projection.version(),
        checkpoint: 0,
        state: GenerationState::Building,
    };
    let schema = made.schema();
    connection
        .execute(
            format!(
                "create schema {schema}; set local search_path to {schema}; {tables};
         grant usage on schema {schema} to quotary_service;
         grant select on all tables in schema {schema} to quotary_service;",
                tables = projection.tables().trim_end().trim_end_matches(';'),
            )
            .as_str(),
        )
        .await?;
    connection.execute("set local search_path to default").await?;
    Ok(made)
}

/// Makes the views show `generation`. Old views are dropped, not replaced, because their columns may differ; queries that
/// come meanwhile wait for the end of the transaction and then find the new ones.
pub(crate) async fn point_views<P: Projection>(
    connection: &mut PgConnection,
    projection: &P,
    generation: &Generation,
) -> Result<(), GenerationError> {
    let schema = generation.schema();
    for view in projection.views() {
        connection
            .execute(
                format!(
                    "drop view if exists read.{view};
             create view read.{view} as select * from {schema}.{view};
             grant select on read.{view} to quotary_service;"
                )
                .as_str(),
            )
            .await?;
    }
    Ok(())
}

pub(crate) async fn set_state(
    connection: &mut PgConnection,
    generation: &Generation,
    state: &str,
) -> Result<(), GenerationError> {
    sqlx::query(
        "update public.projections
         set state = $3, switched_at = case when $3 = 'serving' then clock_timestamp() else switched_at end
         where name = $1 and generation = $2",
    )
    .bind(&generation.name)
    .bind(generation.generation)
    .bind(state)
    .execute(connection)
    .await?;
    Ok(())
}

/// Orders everybody who makes or drops generations of this read model; held until the transaction ends.
async fn lock_name(connection: &mut PgConnection, name: &str) -> Result<(), sqlx::Error> {
    sqlx::query("select pg_advisory_xact_lock(hashtext('quotary generations'), hashtext($1))")
        .bind(name)
        .execute(connection)
        .await?;
    Ok(())
}

/// A transaction under the role that owns the read models.
pub(crate) async fn begin(pool: &PgPool) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
    let mut transaction = pool.begin().await?;
    become_projector(&mut transaction, SILENT_AT_MOST).await?;
    Ok(transaction)
}

/// Takes the role that owns the read models, for the rest of the transaction. The server ends the transaction, and with
/// it the locks that others wait for, if it hears nothing for longer than `silent_at_most`: the process is frozen then.
pub(crate) async fn become_projector(
    connection: &mut PgConnection,
    silent_at_most: Duration,
) -> Result<(), sqlx::Error> {
    let silent_ms = silent_at_most.as_millis();
    let settings =
        format!("set local role quotary_projector; set local idle_in_transaction_session_timeout = {silent_ms}");
    connection.execute(settings.as_str()).await.map(|_| ())
}
