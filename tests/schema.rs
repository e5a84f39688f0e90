//! The database's shape: migrations apply to an empty database, and the log can't be changed by the service.
//!
//! What always holds: each test has a database of its own, which goes with it even when it fails.

#![allow(clippy::unwrap_used, reason = "a test that can't go on stops where it is")]

use sqlx::migrate::Migrator;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, PgConnection};
use uuid::Uuid;

static MIGRATIONS: Migrator = sqlx::migrate!("./schema/migrations");

/// An empty database.
struct Database {
    server: PgConnectOptions,
    name: String,
}

impl Database {
    async fn new() -> Self {
        let server: PgConnectOptions = environment("DATABASE_URL").parse().unwrap();
        let name = format!("schema_{}", quotary_commands::clock::new_id().simple());
        let mut connection = server.connect().await.unwrap();
        sqlx::query(&format!("create database {name}")).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        Self { server, name }
    }

    async fn migrated() -> (Self, PgConnection) {
        let database = Self::new().await;
        let mut connection = database.connect().await;
        MIGRATIONS.run(&mut connection).await.unwrap();
        (database, connection)
    }

    async fn connect(&self) -> PgConnection {
        self.server.clone().database(&self.name).connect().await.unwrap()
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let (server, name) = (self.server.clone(), self.name.clone());
        let gone = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let mut connection = server.connect().await?;
                sqlx::query(&format!("drop database {name} with (force)")).execute(&mut connection).await
            })
        });
        let gone = gone.join();
        assert!(std::thread::panicking() || gone.is_ok_and(|outcome| outcome.is_ok()), "the database is still there");
    }
}

#[expect(clippy::disallowed_methods, reason = "the server of the tests is given by the environment")]
fn environment(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set; `make test` sets it"))
}

/// Everything that migrations make, as sorted lines: columns, constraints, indexes, functions, rights, the migrations.
async fn shape(connection: &mut PgConnection) -> Vec<String> {
    sqlx::query_scalar(
        "select line from ( \
             select format('%s.%s.%s %s %s %s', table_schema, table_name, column_name, data_type, is_nullable, \
                           column_default) as line \
             from information_schema.columns where table_schema not in ('pg_catalog', 'information_schema') \
             union all select format('%s %s', conrelid::regclass, pg_get_constraintdef(oid)) from pg_constraint \
             union all select indexdef from pg_indexes where schemaname not in ('pg_catalog', 'information_schema') \
             union all select pg_get_functiondef(p.oid) || coalesce(p.proacl::text, '') from pg_proc p \
                 join pg_namespace n on n.oid = p.pronamespace \
                 where n.nspname not in ('pg_catalog', 'information_schema') and p.prokind = 'f' \
             union all select format('%s %s %s', oid::regclass, relkind, relacl) from pg_class \
                 where relnamespace::regnamespace::text not in ('pg_catalog', 'information_schema', 'pg_toast') \
             union all select format('%s %s %s %s', version, success, encode(checksum, 'hex'), installed_on) \
                 from _sqlx_migrations \
         ) as lines order by line",
    )
    .fetch_all(connection)
    .await
    .unwrap()
}

/// The error code of a statement, or `None` if it was done.
async fn refused(connection: &mut PgConnection, statement: &str) -> Option<String> {
    let error = sqlx::query(statement).execute(connection).await.err()?;
    Some(error.into_database_error().unwrap().code().unwrap().into_owned())
}

#[tokio::test]
async fn all_migrations_apply_to_an_empty_database_and_a_second_time_change_nothing() {
    let (_database, mut connection) = Database::migrated().await;
    let files = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/schema/migrations")).unwrap().count();
    let applied: i64 = sqlx::query_scalar("select count(*) from _sqlx_migrations where success")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(usize::try_from(applied).unwrap(), files);
    let first = shape(&mut connection).await;
    MIGRATIONS.run(&mut connection).await.unwrap();
    assert_eq!(shape(&mut connection).await, first);
}

#[tokio::test]
async fn the_service_can_add_to_the_log_and_read_it_and_never_change_it() {
    let (_database, mut connection) = Database::migrated().await;
    sqlx::query("set role quotary_service").execute(&mut connection).await.unwrap();
    let appended: (i64,) = sqlx::query_as(
        "select base_position from append_events( \
             '{Tenant}', '{t}', '{0}', $1, $2, '{Tenant}', '{t}', '{1}', '{TenantCreated}', '{1}', '{\"{}\"}', '{\"{}\"}', \
             $2, $3, $3, '{1}', $3, $2, '{username}', '{boss}', $2)",
    )
    .bind(vec![Uuid::from_u128(1)])
    .bind(vec![Uuid::from_u128(2)])
    .bind(vec![vec![0_u8; 32]])
    .fetch_one(&mut connection)
    .await
    .unwrap();
    assert_eq!(appended.0, 0);
    for table in ["events", "receipts", "claims"] {
        let rows: i64 =
            sqlx::query_scalar(&format!("select count(*) from {table}")).fetch_one(&mut connection).await.unwrap();
        assert_eq!(rows, 1, "{table}");
    }
    let forbidden = [
        "update events set payload = '{}'",
        "update events set position = position + 1",
        "delete from events",
        "truncate events",
        "alter table events add column x int",
        "drop table events",
        "update receipts set response = ''",
        "delete from receipts",
        "truncate receipts",
        "update claims set owner_id = owner_id",
        "delete from claims",
        "truncate claims",
        "update seal_tiles set hashes = hashes",
        "delete from seal_tiles",
        "truncate seal_tiles",
        "update seal_checkpoints set note = note",
        "delete from seal_checkpoints",
        "truncate seal_checkpoints",
        "update seal_keys set note = note",
        "delete from seal_keys",
        "truncate seal_keys",
        "delete from log_head",
        "insert into log_head values (false, 0, now())",
        "truncate log_head",
        "create or replace function append_events() returns void language sql as ''",
    ];
    for statement in forbidden {
        let code = refused(&mut connection, statement).await;
        assert_eq!(code.as_deref(), Some("42501"), "insufficient privilege is the answer to: {statement}");
    }
}

#[tokio::test]
async fn the_tables_repeat_what_must_hold_of_the_log() {
    let (_database, mut connection) = Database::migrated().await;
    let row = |position: i64, sequence: i64| {
        format!(
            "insert into events values ({position}, '{}', '{}', 'Tenant', 't', {sequence}, 'x', '1', '{{}}', '{{}}', now())",
            Uuid::from_u128(1),
            Uuid::from_u128(2)
        )
    };
    assert_eq!(refused(&mut connection, &row(1, 1)).await, None);
    assert_eq!(refused(&mut connection, &row(1, 2)).await.as_deref(), Some("23505"), "a position is given once");
    assert_eq!(refused(&mut connection, &row(2, 1)).await.as_deref(), Some("23505"), "a sequence is given once");
    assert_eq!(refused(&mut connection, &row(0, 2)).await.as_deref(), Some("23514"), "positions begin at 1");
    assert_eq!(refused(&mut connection, &row(2, 0)).await.as_deref(), Some("23514"), "sequences begin at 1");
    assert_eq!(
        refused(&mut connection, "insert into log_head values (true, 0, now())").await.as_deref(),
        Some("23505"),
        "there is one head"
    );
}
