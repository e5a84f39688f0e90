//! Accounts and tenants: who exists, with which role and place in the tree.
//!
//! A username is unique in its tenant. The ancestors of an account stand in its row, so that whoever may see it is found
//! without walking the tree; other read models look them up here.

use chrono::{DateTime, Utc};
use hashbrown::HashMap;
use quotary_domain::account::AccountEvent;
use quotary_domain::tenant::TenantEvent;
use quotary_domain::{AccountId, Actor, Event, RecordedEvent, Role, TenantId};
use serde::{Deserialize, Serialize};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, PgExecutor, Postgres, QueryBuilder, Row};
use uuid::Uuid;

use crate::copy_rows::storable;
use crate::page::{Page, PageError, PageRequest};
use crate::projection::Projection;
use crate::rows::expect_rows;

/// The name of this read model.
pub const NAME: &str = "accounts";

/// The accounts read model.
#[derive(Clone, Copy, Debug, Default)]
pub struct Accounts;

const TABLES: &str = "
create table tenants (
    tenant_id  uuid        primary key,
    name       text        not null unique,
    created_at timestamptz not null
);

create table accounts (
    account_id uuid        primary key,
    tenant_id  uuid        not null,
    username   text        not null,
    role       text        not null,
    ancestors  uuid[]      not null,      -- from the root down to the parent
    parent_id  uuid,
    disabled   boolean     not null,
    rates      integer[]   not null,      -- commission by level, in hundredths of a percent
    created_at timestamptz not null,
    sequence   bigint      not null,      -- of the account's last event: its ETag
    unique (tenant_id, username)
);
create index on accounts using gin (ancestors);
";

/// What a run of events means for accounts and tenants.
#[derive(Default)]
pub struct AccountRows {
    tenants: Vec<(Uuid, String, DateTime<Utc>)>,
    created: Vec<Account>,
    /// Where in `created` an account of this run stands.
    places: HashMap<Uuid, usize>,
    /// Accounts of earlier runs.
    changed: HashMap<Uuid, Change>,
}

/// What a run changed in an account of an earlier one.
#[derive(Default)]
struct Change {
    sequence: i64,
    disabled: Option<bool>,
    rates: Option<Vec<u16>>,
}

/// An account as queries show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Its id.
    pub account_id: AccountId,
    /// Its tenant.
    pub tenant_id: TenantId,
    /// Its login name.
    pub username: String,
    /// Its role.
    pub role: Role,
    /// Its ancestors from the root of the tree down to its parent.
    pub ancestors: Vec<AccountId>,
    /// Who created it; `None` for the first super admin.
    pub parent_id: Option<AccountId>,
    /// Disabled accounts can do nothing.
    pub disabled: bool,
    /// What it earns by sales of those below, by level, in hundredths of a percent.
    pub commission_rates: Vec<u16>,
    /// When it came into being.
    pub created_at: DateTime<Utc>,
    /// The sequence of its last event.
    pub sequence: u64,
}

/// A tenant as queries show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tenant {
    /// Its id.
    pub tenant_id: TenantId,
    /// Its name.
    pub name: String,
    /// When it came into being.
    pub created_at: DateTime<Utc>,
}

impl Projection for Accounts {
    type Rows = AccountRows;

    fn name(&self) -> &'static str {
        NAME
    }

    fn version(&self) -> i32 {
        2
    }

    fn tables(&self) -> &'static str {
        TABLES
    }

    fn views(&self) -> &'static [&'static str] {
        &["accounts", "tenants"]
    }

    fn concerns(&self, aggregate_type: &str) -> bool {
        matches!(aggregate_type, "Account" | "Tenant")
    }

    fn fold(&self, rows: &mut AccountRows, recorded: &RecordedEvent, event: &Event) {
        match event {
            Event::Tenant(TenantEvent::TenantCreated { name }) => {
                rows.tenants.push((recorded.aggregate_id, storable(name).into_owned(), recorded.occurred_at()));
            }
            Event::Account(event) => rows.add(recorded, event),
            _ => {}
        }
    }

    async fn write(&self, rows: AccountRows, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        write_tenants(rows.tenants, connection).await?;
        write_created(rows.created, connection).await?;
        write_changed(rows.changed, connection).await
    }
}

impl AccountRows {
    fn add(&mut self, recorded: &RecordedEvent, event: &AccountEvent) {
        let id = recorded.aggregate_id;
        let mut rates = None;
        let disabled = match event {
            AccountEvent::AccountCreated(profile) => {
                self.places.insert(id, self.created.len());
                self.created.push(Account {
                    account_id: AccountId(id),
                    tenant_id: recorded.tenant_id,
                    username: profile.username.as_str().to_owned(),
                    role: profile.role,
                    ancestors: profile.ancestors.clone(),
                    parent_id: profile.ancestors.last().copied(),
                    disabled: false,
                    commission_rates: vec![],
                    created_at: recorded.occurred_at(),
                    sequence: recorded.sequence,
                });
                return;
            }
            AccountEvent::AccountDisabled {} => Some(true),
            AccountEvent::AccountEnabled {} => Some(false),
            AccountEvent::CommissionRatesSet { rates: now } => {
                rates = Some(now.iter().map(|rate| rate.0).collect());
                None
            }
            AccountEvent::PasswordChanged {}
            | AccountEvent::AccountUnlocked {}
            | AccountEvent::ErasureRequested { .. }
            | AccountEvent::PersonalDataErased { .. } => None,
        };
        if let Some(account) = self.places.get(&id).and_then(|place| self.created.get_mut(*place)) {
            account.sequence = recorded.sequence;
            account.disabled = disabled.unwrap_or(account.disabled);
            if let Some(rates) = rates {
                account.commission_rates = rates;
            }
        } else {
            let change = self.changed.entry(id).or_default();
            change.sequence = recorded.sequence.cast_signed();
            change.disabled = disabled.or(change.disabled);
            change.rates = rates.or(change.rates.take());
        }
    }
}

async fn write_tenants(
    tenants: Vec<(Uuid, String, DateTime<Utc>)>,
    connection: &mut PgConnection,
) -> Result<(), sqlx::Error> {
    for (id, name, created_at) in tenants {
        sqlx::query("insert into tenants (tenant_id, name, created_at) values ($1, $2, $3)")
            .bind(id)
            .bind(name)
            .bind(created_at)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

async fn write_created(created: Vec<Account>, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    if created.is_empty() {
        return Ok(());
    }
    let (mut ids, mut tenants, mut names, mut roles) = (vec![], vec![], vec![], vec![]);
    let (mut ancestors, mut disabled, mut times, mut sequences) = (vec![], vec![], vec![], vec![]);
    let mut rates = vec![];
    for account in created {
        rates.push(array(&account.commission_rates));
        ids.push(account.account_id.0);
        tenants.push(account.tenant_id.0);
        names.push(account.username);
        roles.push(account.role.as_str());
        // unnest takes arrays of arrays apart, so each one travels as text.
        ancestors.push(array(&account.ancestors));
        disabled.push(account.disabled);
        times.push(account.created_at);
        sequences.push(account.sequence.cast_signed());
    }
    sqlx::query(
        "insert into accounts (account_id, tenant_id, username, role, ancestors, parent_id, disabled, created_at, sequence,
                               rates)
         select n.id, n.tenant, n.name, n.role, n.path::uuid[], (n.path::uuid[])[cardinality(n.path::uuid[])],
                n.disabled, n.at, n.sequence, n.rates::integer[]
         from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::boolean[], $7::timestamptz[],
                     $8::bigint[], $9::text[]) as n (id, tenant, name, role, path, disabled, at, sequence, rates)",
    )
    .bind(ids)
    .bind(tenants)
    .bind(names)
    .bind(roles)
    .bind(ancestors)
    .bind(disabled)
    .bind(times)
    .bind(sequences)
    .bind(rates)
    .execute(connection)
    .await?;
    Ok(())
}

/// An array in the form in which PostgreSQL reads it from a text.
fn array<T: std::fmt::Display>(values: &[T]) -> String {
    let values: Vec<String> = values.iter().map(ToString::to_string).collect();
    format!("{{{}}}", values.join(","))
}

async fn write_changed(changed: HashMap<Uuid, Change>, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    if changed.is_empty() {
        return Ok(());
    }
    let (mut ids, mut sequences, mut disabled, mut rates) = (vec![], vec![], vec![], vec![]);
    for (id, change) in changed {
        ids.push(id);
        sequences.push(change.sequence);
        disabled.push(change.disabled);
        rates.push(change.rates.as_deref().map(array));
    }
    let expected = ids.len();
    let done = sqlx::query(
        "update accounts a set sequence = n.sequence, disabled = coalesce(n.disabled, a.disabled),
                               rates = coalesce(n.rates::integer[], a.rates)
         from unnest($1::uuid[], $2::bigint[], $3::boolean[], $4::text[]) as n (id, sequence, disabled, rates)
         where a.account_id = n.id",
    )
    .bind(ids)
    .bind(sequences)
    .bind(disabled)
    .bind(rates)
    .execute(connection)
    .await?;
    expect_rows("accounts", &done, expected)
}

const COLUMNS: &str = "account_id, tenant_id, username, role, ancestors, parent_id, disabled, rates, created_at, \
    sequence";

fn read(row: &PgRow) -> Result<Account, sqlx::Error> {
    let role: &str = row.try_get("role")?;
    let role = Role::parse(role).ok_or_else(|| sqlx::Error::ColumnDecode {
        index: "role".to_owned(),
        source: format!("there is no role {role}").into(),
    })?;
    Ok(Account {
        account_id: AccountId(row.try_get("account_id")?),
        tenant_id: TenantId(row.try_get("tenant_id")?),
        username: row.try_get("username")?,
        role,
        ancestors: row.try_get::<Vec<Uuid>, _>("ancestors")?.into_iter().map(AccountId).collect(),
        parent_id: row.try_get::<Option<Uuid>, _>("parent_id")?.map(AccountId),
        disabled: row.try_get("disabled")?,
        // Never below zero, never above the whole.
        commission_rates: row
            .try_get::<Vec<i32>, _>("rates")?
            .into_iter()
            .map(|rate| u16::try_from(rate).unwrap_or_default())
            .collect(),
        created_at: row.try_get("created_at")?,
        sequence: row.try_get::<i64, _>("sequence")?.cast_unsigned(),
    })
}

/// The account of that id, whoever asks.
///
/// # Errors
/// If the database refuses.
pub async fn by_id(
    db: impl PgExecutor<'_>,
    tenant: TenantId,
    account: AccountId,
) -> Result<Option<Account>, sqlx::Error> {
    let row = sqlx::query(&format!("select {COLUMNS} from read.accounts where tenant_id = $1 and account_id = $2"))
        .bind(tenant.0)
        .bind(account.0)
        .fetch_optional(db)
        .await?;
    row.as_ref().map(read).transpose()
}

/// The account of that username (in lower case, as `Username` folds it), whoever asks.
///
/// # Errors
/// If the database refuses.
pub async fn by_username(
    db: impl PgExecutor<'_>,
    tenant: TenantId,
    username: &str,
) -> Result<Option<Account>, sqlx::Error> {
    let row = sqlx::query(&format!("select {COLUMNS} from read.accounts where tenant_id = $1 and username = $2"))
        .bind(tenant.0)
        .bind(username)
        .fetch_optional(db)
        .await?;
    row.as_ref().map(read).transpose()
}

/// The account of that id if `actor` may see it.
///
/// # Errors
/// If the database refuses.
pub async fn visible(
    db: impl PgExecutor<'_>,
    actor: &Actor,
    account: AccountId,
) -> Result<Option<Account>, sqlx::Error> {
    let found = by_id(db, actor.tenant_id, account).await?;
    Ok(found.filter(|found| actor.sees(found.account_id, &found.ancestors)))
}

/// What a list of accounts is asked for.
#[derive(Clone, Debug, Default)]
pub struct AccountFilter {
    /// A part of the username.
    pub search: Option<String>,
    /// One role only.
    pub role: Option<Role>,
    /// Only disabled or only enabled ones.
    pub disabled: Option<bool>,
}

/// The accounts that `actor` may see, by username.
///
/// # Errors
/// [`PageError`] if the cursor is wrong or the database refuses.
pub async fn list(
    db: impl PgExecutor<'_>,
    actor: &Actor,
    filter: &AccountFilter,
    request: &PageRequest,
) -> Result<Page<Account>, PageError> {
    let mut query =
        QueryBuilder::<Postgres>::new(format!("select {COLUMNS} from read.accounts a where a.tenant_id = "));
    query.push_bind(actor.tenant_id.0);
    match actor.role {
        Role::SuperAdmin | Role::Analyst | Role::Auditor => {}
        Role::Agent => {
            query.push(" and a.account_id = ").push_bind(actor.account_id.0);
        }
        Role::AgentAdmin => {
            query.push(" and (a.account_id = ").push_bind(actor.account_id.0);
            query.push(" or a.ancestors @> array[").push_bind(actor.account_id.0).push("])");
        }
    }
    if let Some(search) = &filter.search {
        // Not "like": nothing in the text has a meaning of its own.
        query.push(" and strpos(a.username, ").push_bind(storable(&search.to_lowercase()).into_owned()).push(") > 0");
    }
    if let Some(role) = filter.role {
        query.push(" and a.role = ").push_bind(role.as_str());
    }
    if let Some(disabled) = filter.disabled {
        query.push(" and a.disabled = ").push_bind(disabled);
    }
    if let Some(after) = request.after::<String>()? {
        query.push(" and a.username > ").push_bind(after);
    }
    query.push(" order by a.username limit ").push_bind(request.fetch());
    let rows = query.build().fetch_all(db).await?;
    let accounts = rows.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    Ok(request.page(accounts, |account| account.username.clone()))
}

fn read_tenant(row: &PgRow) -> Result<Tenant, sqlx::Error> {
    Ok(Tenant {
        tenant_id: TenantId(row.try_get("tenant_id")?),
        name: row.try_get("name")?,
        created_at: row.try_get("created_at")?,
    })
}

/// The tenant of that name.
///
/// # Errors
/// If the database refuses.
pub async fn tenant_by_name(db: impl PgExecutor<'_>, name: &str) -> Result<Option<Tenant>, sqlx::Error> {
    let row = sqlx::query("select tenant_id, name, created_at from read.tenants where name = $1")
        .bind(storable(name).as_ref())
        .fetch_optional(db)
        .await?;
    row.as_ref().map(read_tenant).transpose()
}

/// The only tenant; `None` if there is none or more than one.
///
/// # Errors
/// If the database refuses.
pub async fn only_tenant(db: impl PgExecutor<'_>) -> Result<Option<Tenant>, sqlx::Error> {
    let rows = sqlx::query("select tenant_id, name, created_at from read.tenants limit 2").fetch_all(db).await?;
    match rows.as_slice() {
        [only] => read_tenant(only).map(Some),
        _ => Ok(None),
    }
}
