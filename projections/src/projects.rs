//! The read model of projects, their plans and grants (rows P1–P3).
//!
//! A project's row also keeps its sealed credentials, and a table its signing keys, from which the licence index starts; no
//! query for people reads them. Changes of one project within a run are folded into one row or one change.

use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use hashbrown::HashMap;
use quotary_domain::license::Policy;
use quotary_domain::project::{Credentials, Plan, ProjectDetails, ProjectEvent};
use quotary_domain::{AccountId, Actor, Event, PlanId, ProjectId, Quota, RecordedEvent, TenantId};
use serde::Serialize;
use sqlx::types::Json;
use sqlx::{FromRow, PgConnection, PgExecutor, QueryBuilder};
use uuid::Uuid;

use crate::page::{Page, PageError, PageRequest};
use crate::projection::Projection;
use crate::rows::expect_rows;
use crate::visibility::push_visible;

pub mod signing_keys;

use signing_keys::KeyRow;

const TABLES: &str = r"
create table projects (
    project_id           uuid        primary key,
    tenant_id            uuid        not null,
    name                 text        not null,
    description          text,
    version              text,
    callback_url         text,
    disabled             boolean     not null,
    api_key_id           text        not null,
    api_secret           text        not null,      -- sealed
    previous_api_key_id  text,
    previous_api_secret  text,                      -- sealed
    previous_until       timestamptz,
    created_at           timestamptz not null,
    sequence             bigint      not null check (sequence > 0)
);
create index projects_tenant on projects (tenant_id, project_id);
create table plans (
    plan_id       uuid   primary key,
    project_id    uuid   not null,
    tenant_id     uuid   not null,
    name          text   not null,
    duration_days int,                              -- null is perpetual
    max_machines  int    not null check (max_machines > 0),
    unit_price    bigint not null check (unit_price >= 0),
    features      jsonb  not null,
    policy        jsonb  not null,                  -- empty is the usual one
    version       bigint not null,
    retired       boolean not null,
    position      bigint not null
);
create index plans_project on plans (project_id, position);
create table grants (
    project_id uuid        not null,
    agent_id   uuid        not null,
    tenant_id  uuid        not null,
    expires_at timestamptz,                         -- null is without end
    granted_at timestamptz not null,
    primary key (project_id, agent_id)
);
create index grants_agent on grants (agent_id);
";

/// The projection `projects`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Projects;

/// What a run means for projects.
#[derive(Default)]
pub struct ProjectRows {
    created: HashMap<ProjectId, ProjectRow>,
    changed: HashMap<ProjectId, ProjectChange>,
    keys: Vec<KeyRow>,
    /// The last word of the run on each plan.
    plans: HashMap<PlanId, PlanRow>,
    /// The last word of the run on each grant; `None` takes it back.
    grants: HashMap<(ProjectId, AccountId), Option<GrantRow>>,
}

#[derive(Serialize)]
struct ProjectRow {
    project_id: ProjectId,
    tenant_id: TenantId,
    name: String,
    description: Option<String>,
    version: Option<String>,
    callback_url: Option<String>,
    disabled: bool,
    api_key_id: String,
    api_secret: String,
    previous_api_key_id: Option<String>,
    previous_api_secret: Option<String>,
    previous_until: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
    sequence: u64,
}

/// What a run changes in a project of an earlier run; absent is unchanged.
#[derive(Default, Serialize)]
struct ProjectChange {
    project_id: ProjectId,
    details: Option<ProjectDetails>,
    disabled: Option<bool>,
    rotation: Option<Rotation>,
    sequence: u64,
}

#[derive(Serialize)]
struct Rotation {
    api_key_id: String,
    api_secret: String,
    /// The credentials before; absent means those in the row.
    previous: Option<Credentials>,
    previous_until: DateTime<Utc>,
}

#[derive(Serialize)]
struct PlanRow {
    plan_id: PlanId,
    project_id: ProjectId,
    tenant_id: TenantId,
    name: String,
    duration_days: Option<u32>,
    max_machines: u32,
    unit_price: Quota,
    features: Vec<String>,
    policy: Policy,
    version: u32,
    retired: bool,
    /// Of its addition; a change keeps it.
    position: u64,
}

#[derive(Serialize)]
struct GrantRow {
    project_id: ProjectId,
    agent_id: AccountId,
    tenant_id: TenantId,
    expires_at: Option<DateTime<Utc>>,
    granted_at: DateTime<Utc>,
}

impl ProjectRow {
    fn created(recorded: &RecordedEvent, of: ProjectDetails, credentials: &Credentials) -> Self {
        Self {
            project_id: recorded.aggregate_id.into(),
            tenant_id: recorded.tenant_id,
            name: of.name,
            description: of.description,
            version: of.version,
            callback_url: of.callback_url,
            disabled: false,
            api_key_id: credentials.api_key_id.0.clone(),
            api_secret: credentials.api_secret.0.clone(),
            previous_api_key_id: None,
            previous_api_secret: None,
            previous_until: None,
            created_at: recorded.occurred_at(),
            sequence: recorded.sequence,
        }
    }

    fn change(&mut self, details: &ProjectDetails) {
        let ProjectDetails { name, description, version, callback_url } = details.clone();
        (self.name, self.description, self.version, self.callback_url) = (name, description, version, callback_url);
    }

    fn rotate(&mut self, credentials: &Credentials, previous_until: DateTime<Utc>) {
        let new = (credentials.api_key_id.0.clone(), credentials.api_secret.0.clone());
        self.previous_api_key_id = Some(std::mem::replace(&mut self.api_key_id, new.0));
        self.previous_api_secret = Some(std::mem::replace(&mut self.api_secret, new.1));
        self.previous_until = Some(previous_until);
    }
}

impl ProjectChange {
    fn rotate(&mut self, credentials: &Credentials, previous_until: DateTime<Utc>) {
        let previous = self.rotation.take().map(|before| Credentials {
            api_key_id: quotary_domain::ApiKeyId(before.api_key_id),
            api_secret: quotary_domain::Sealed(before.api_secret),
        });
        let Credentials { api_key_id, api_secret } = credentials.clone();
        self.rotation = Some(Rotation { api_key_id: api_key_id.0, api_secret: api_secret.0, previous, previous_until });
    }
}

impl ProjectRows {
    /// Changes the row created in this run, or notes the change for one of an earlier run.
    fn alter(
        &mut self,
        recorded: &RecordedEvent,
        row: impl FnOnce(&mut ProjectRow),
        change: impl FnOnce(&mut ProjectChange),
    ) {
        let project_id = recorded.aggregate_id.into();
        if let Some(created) = self.created.get_mut(&project_id) {
            row(created);
            created.sequence = recorded.sequence;
        } else {
            let changed = self.changed.entry(project_id).or_default();
            changed.project_id = project_id;
            changed.sequence = recorded.sequence;
            change(changed);
        }
    }

    fn put_plan(&mut self, recorded: &RecordedEvent, plan_id: PlanId, plan: &Plan) {
        let position = self.plans.get(&plan_id).map_or(recorded.position, |added| added.position);
        let row = PlanRow {
            plan_id,
            project_id: recorded.aggregate_id.into(),
            tenant_id: recorded.tenant_id,
            name: plan.name.clone(),
            duration_days: plan.terms.duration_days,
            max_machines: plan.terms.max_machines,
            unit_price: plan.unit_price,
            features: plan.terms.features.clone(),
            policy: plan.terms.policy.clone(),
            version: plan.version,
            retired: plan.retired,
            position,
        };
        self.plans.insert(plan_id, row);
        self.alter(recorded, |_| {}, |_| {});
    }

    fn grant(&mut self, recorded: &RecordedEvent, agent_id: AccountId, expires_at: Option<DateTime<Utc>>) {
        let project_id = recorded.aggregate_id.into();
        let (tenant_id, granted_at) = (recorded.tenant_id, recorded.occurred_at());
        let row = GrantRow { project_id, agent_id, tenant_id, expires_at, granted_at };
        self.grants.insert((project_id, agent_id), Some(row));
        self.alter(recorded, |_| {}, |_| {});
    }
}

impl Projection for Projects {
    type Rows = ProjectRows;

    fn name(&self) -> &'static str {
        "projects"
    }

    fn version(&self) -> i32 {
        3
    }

    fn tables(&self) -> &'static str {
        static WITH_KEYS: LazyLock<String> = LazyLock::new(|| [TABLES, signing_keys::TABLE].concat());
        &WITH_KEYS
    }

    fn views(&self) -> &'static [&'static str] {
        &["projects", "plans", "grants", "signing_keys"]
    }

    fn fold(&self, rows: &mut ProjectRows, recorded: &RecordedEvent, event: &Event) {
        let Event::Project(event) = event else { return };
        match event {
            ProjectEvent::ProjectCreated { details, credentials, signing_key } => {
                let row = ProjectRow::created(recorded, details.clone(), credentials);
                rows.keys.push(KeyRow::new(recorded, signing_key, None));
                rows.created.insert(row.project_id, row);
            }
            ProjectEvent::ProjectChanged(details) => {
                rows.alter(recorded, |row| row.change(details), |change| change.details = Some(details.clone()));
            }
            ProjectEvent::ProjectDisabled {} => {
                rows.alter(recorded, |row| row.disabled = true, |change| change.disabled = Some(true));
            }
            ProjectEvent::ProjectEnabled {} => {
                rows.alter(recorded, |row| row.disabled = false, |change| change.disabled = Some(false));
            }
            ProjectEvent::CredentialsRotated { credentials, previous_until: until } => {
                rows.alter(recorded, |r| r.rotate(credentials, *until), |c| c.rotate(credentials, *until));
            }
            ProjectEvent::SigningKeyRotated { signing_key, previous_until } => {
                rows.keys.push(KeyRow::new(recorded, signing_key, *previous_until));
                rows.alter(recorded, |_| {}, |_| {});
            }
            ProjectEvent::PlanAdded { plan_id, plan } | ProjectEvent::PlanChanged { plan_id, plan } => {
                rows.put_plan(recorded, *plan_id, plan);
            }
            ProjectEvent::ProjectGranted { agent_id, expires_at } => rows.grant(recorded, *agent_id, *expires_at),
            ProjectEvent::GrantRevoked { agent_id } => {
                rows.grants.insert((recorded.aggregate_id.into(), *agent_id), None);
                rows.alter(recorded, |_| {}, |_| {});
            }
            // What they are is asked of the aggregate; here only the sequence moves.
            ProjectEvent::CallbackTypesChosen { .. }
            | ProjectEvent::CallbackSecretRotated { .. }
            | ProjectEvent::CallbacksStopped {}
            | ProjectEvent::CallbacksResumed {}
            | ProjectEvent::CallbackTested { .. }
            | ProjectEvent::CallbackReplayed { .. } => rows.alter(recorded, |_| {}, |_| {}),
        }
    }

    async fn write(&self, rows: ProjectRows, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        if !rows.created.is_empty() {
            let created: Vec<_> = rows.created.into_values().collect();
            sqlx::query("insert into projects select * from jsonb_populate_recordset(null::projects, $1)")
                .bind(Json(created))
                .execute(&mut *connection)
                .await?;
        }
        if !rows.changed.is_empty() {
            let changed: Vec<_> = rows.changed.into_values().collect();
            let expected = changed.len();
            let done = sqlx::query(UPDATE_PROJECTS).bind(Json(changed)).execute(&mut *connection).await?;
            expect_rows("projects", &done, expected)?;
        }
        signing_keys::write(rows.keys, connection).await?;
        if !rows.plans.is_empty() {
            let plans: Vec<_> = rows.plans.into_values().collect();
            sqlx::query(PUT_PLANS).bind(Json(plans)).execute(&mut *connection).await?;
        }
        write_grants(rows.grants, connection).await
    }
}

const PUT_PLANS: &str = "
insert into plans select * from jsonb_populate_recordset(null::plans, $1)
on conflict (plan_id) do update set
    name = excluded.name, duration_days = excluded.duration_days, max_machines = excluded.max_machines,
    unit_price = excluded.unit_price, features = excluded.features, policy = excluded.policy,
    version = excluded.version, retired = excluded.retired";

const UPDATE_PROJECTS: &str = "
update projects p set
    name         = coalesce(c.details->>'name', p.name),
    -- Details change as a whole: what the new ones leave out is gone.
    description  = case when c.details is null then p.description else c.details->>'description' end,
    version      = case when c.details is null then p.version else c.details->>'version' end,
    callback_url = case when c.details is null then p.callback_url else c.details->>'callback_url' end,
    disabled     = coalesce(c.disabled, p.disabled),
    api_key_id   = coalesce(c.rotation->>'api_key_id', p.api_key_id),
    api_secret   = coalesce(c.rotation->>'api_secret', p.api_secret),
    -- The credentials before are those of the row, unless the run rotated more than once.
    previous_api_key_id = case when c.rotation is null then p.previous_api_key_id
                               else coalesce(c.rotation->'previous'->>'api_key_id', p.api_key_id) end,
    previous_api_secret = case when c.rotation is null then p.previous_api_secret
                               else coalesce(c.rotation->'previous'->>'api_secret', p.api_secret) end,
    previous_until      = coalesce((c.rotation->>'previous_until')::timestamptz, p.previous_until),
    sequence     = c.sequence
from (
    -- A JSON null is no SQL null.
    select project_id, nullif(details, 'null') as details, disabled, nullif(rotation, 'null') as rotation, sequence
    from jsonb_to_recordset($1) as x (project_id uuid, details jsonb, disabled boolean, rotation jsonb, sequence bigint)
) c
where p.project_id = c.project_id";

async fn write_grants(
    grants: HashMap<(ProjectId, AccountId), Option<GrantRow>>,
    connection: &mut PgConnection,
) -> Result<(), sqlx::Error> {
    let mut given = Vec::new();
    let (mut projects, mut agents) = (Vec::new(), Vec::new());
    for ((project, agent), row) in grants {
        if let Some(row) = row {
            given.push(row);
        } else {
            projects.push(project.0);
            agents.push(agent.0);
        }
    }
    if !given.is_empty() {
        let query = "insert into grants select * from jsonb_populate_recordset(null::grants, $1)
                     on conflict (project_id, agent_id) do update
                     set expires_at = excluded.expires_at, granted_at = excluded.granted_at";
        sqlx::query(query).bind(Json(given)).execute(&mut *connection).await?;
    }
    if !projects.is_empty() {
        // A grant given and taken back within the run has no row.
        let query = "delete from grants g using unnest($1::uuid[], $2::uuid[]) as t (project_id, agent_id)
                     where g.project_id = t.project_id and g.agent_id = t.agent_id";
        sqlx::query(query).bind(projects).bind(agents).execute(&mut *connection).await?;
    }
    Ok(())
}

/// A project as people see it.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
#[expect(missing_docs, reason = "the names say it")]
pub struct ProjectRecord {
    #[sqlx(try_from = "Uuid")]
    pub project_id: ProjectId,
    #[sqlx(try_from = "Uuid")]
    pub tenant_id: TenantId,
    pub name: String,
    pub description: Option<String>,
    pub version: Option<String>,
    pub callback_url: Option<String>,
    pub disabled: bool,
    pub api_key_id: String,
    pub created_at: DateTime<Utc>,
    /// For `ETag`.
    pub sequence: i64,
}

/// A plan of a project.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
#[expect(missing_docs, reason = "the names say it")]
pub struct PlanRecord {
    #[sqlx(try_from = "Uuid")]
    pub plan_id: PlanId,
    #[sqlx(try_from = "Uuid")]
    pub project_id: ProjectId,
    pub name: String,
    pub duration_days: Option<i32>,
    pub max_machines: i32,
    #[sqlx(try_from = "i64")]
    pub unit_price: Quota,
    pub features: Json<Vec<String>>,
    pub policy: Json<Policy>,
    /// Grows with every change of what a licence grants.
    pub version: i64,
    /// Not sold any more.
    pub retired: bool,
}

/// An agent's right to issue from a project.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
#[expect(missing_docs, reason = "the names say it")]
pub struct GrantRecord {
    #[sqlx(try_from = "Uuid")]
    pub project_id: ProjectId,
    #[sqlx(try_from = "Uuid")]
    pub agent_id: AccountId,
    pub expires_at: Option<DateTime<Utc>>,
    pub granted_at: DateTime<Utc>,
}

const PROJECT_COLUMNS: &str = "select p.project_id, p.tenant_id, p.name, p.description, p.version, p.callback_url,
    p.disabled, p.api_key_id, p.created_at, p.sequence from read.projects p where ";

fn push_visible_projects(query: &mut QueryBuilder<'_, sqlx::Postgres>, actor: &Actor) {
    use quotary_domain::Role::{Agent, AgentAdmin, Analyst, Auditor, SuperAdmin};
    query.push("p.tenant_id = ").push_bind(actor.tenant_id.0);
    match actor.role {
        SuperAdmin | Analyst | Auditor => {}
        Agent | AgentAdmin => {
            query.push(" and exists (select from read.grants g where g.project_id = p.project_id and ");
            push_visible(query, actor, "g");
            query.push(")");
        }
    }
}

/// The project, if the actor may see it: agents see what is granted to them, agent admins also what is granted below.
///
/// # Errors
/// [`sqlx::Error`] if the read model can't be read.
pub async fn get(
    database: impl PgExecutor<'_>,
    actor: &Actor,
    project_id: ProjectId,
) -> Result<Option<ProjectRecord>, sqlx::Error> {
    let mut query = QueryBuilder::new(PROJECT_COLUMNS);
    push_visible_projects(&mut query, actor);
    query.push(" and p.project_id = ").push_bind(project_id.0);
    query.build_query_as().fetch_optional(database).await
}

/// A page of the projects that the actor may see, newest first.
///
/// # Errors
/// [`PageError`] if the cursor is wrong or the read model can't be read.
pub async fn list(
    database: impl PgExecutor<'_>,
    actor: &Actor,
    page: &PageRequest,
) -> Result<Page<ProjectRecord>, PageError> {
    let mut query = QueryBuilder::new(PROJECT_COLUMNS);
    push_visible_projects(&mut query, actor);
    if let Some(before) = page.after::<Uuid>()? {
        query.push(" and p.project_id < ").push_bind(before);
    }
    query.push(" order by p.project_id desc limit ").push_bind(page.fetch());
    let rows: Vec<ProjectRecord> = query.build_query_as().fetch_all(database).await?;
    Ok(page.page(rows, |row| row.project_id))
}

/// The plans of a project in the order of their making; the caller has checked that the project may be seen.
///
/// # Errors
/// [`sqlx::Error`] if the read model can't be read.
pub async fn plans(
    database: impl PgExecutor<'_>,
    tenant_id: TenantId,
    project_id: ProjectId,
) -> Result<Vec<PlanRecord>, sqlx::Error> {
    let query =
        "select plan_id, project_id, name, duration_days, max_machines, unit_price, features, policy, version, retired
                 from read.plans where tenant_id = $1 and project_id = $2 order by position";
    sqlx::query_as(query).bind(tenant_id.0).bind(project_id.0).fetch_all(database).await
}

/// A page of the grants of a project that the actor may see.
///
/// # Errors
/// [`PageError`] if the cursor is wrong or the read model can't be read.
pub async fn grants(
    database: impl PgExecutor<'_>,
    actor: &Actor,
    project_id: ProjectId,
    page: &PageRequest,
) -> Result<Page<GrantRecord>, PageError> {
    let select = "select g.project_id, g.agent_id, g.expires_at, g.granted_at from read.grants g where ";
    let mut query = QueryBuilder::new(select);
    push_visible(&mut query, actor, "g");
    query.push(" and g.project_id = ").push_bind(project_id.0);
    if let Some(after) = page.after::<Uuid>()? {
        query.push(" and g.agent_id > ").push_bind(after);
    }
    query.push(" order by g.agent_id limit ").push_bind(page.fetch());
    let rows: Vec<GrantRecord> = query.build_query_as().fetch_all(database).await?;
    Ok(page.page(rows, |row| row.agent_id))
}
