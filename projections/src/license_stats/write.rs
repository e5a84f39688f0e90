//! The set-based write of a run of statistics.
//!
//! The order matters: what earlier runs left unexported is counted before the run's own licences are added.

use chrono::{DateTime, NaiveDate, Utc};
use hashbrown::{HashMap, HashSet};
use quotary_domain::{BatchId, LicenseId};
use sqlx::{FromRow, PgConnection};
use uuid::Uuid;

use super::fold::{BatchRun, CohortCounts, Counts, DayCounts, Fact, Kind, LicenseStatRows, Subject};

pub(super) async fn write(rows: LicenseStatRows, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    let LicenseStatRows { mut counts, issued, later, batches, .. } = rows;
    count_earlier_licenses(&later, &mut counts, connection).await?;
    count_exports(&batches, &mut counts, connection).await?;
    if !issued.is_empty() {
        let subjects = subject_ids(&issued, connection).await?;
        insert_facts(issued, &subjects, connection).await?;
        add_batch_days(batches, &subjects, connection).await?;
    }
    add_days(counts.days, connection).await?;
    add_cohorts(counts.cohorts, connection).await
}

#[derive(FromRow)]
#[expect(clippy::struct_field_names, reason = "the columns' names")]
struct SubjectColumns {
    tenant_id: Uuid,
    project_id: Uuid,
    plan_id: Uuid,
    agent_id: Uuid,
}

impl From<SubjectColumns> for Subject {
    fn from(row: SubjectColumns) -> Self {
        Self {
            tenant_id: row.tenant_id.into(),
            project_id: row.project_id.into(),
            plan_id: row.plan_id.into(),
            agent_id: row.agent_id.into(),
        }
    }
}

#[derive(FromRow)]
struct FactRow {
    license_id: Uuid,
    issued_at: DateTime<Utc>,
    #[sqlx(flatten)]
    subject: SubjectColumns,
}

/// Counts events of licences that were issued in earlier runs.
async fn count_earlier_licenses(
    later: &[(LicenseId, Kind, DateTime<Utc>)],
    counts: &mut Counts,
    connection: &mut PgConnection,
) -> Result<(), sqlx::Error> {
    if later.is_empty() {
        return Ok(());
    }
    let wanted: HashSet<LicenseId> = later.iter().map(|(id, ..)| *id).collect();
    let mut wanted: Vec<Uuid> = wanted.into_iter().map(Uuid::from).collect();
    wanted.sort_unstable();
    let query = "select f.license_id, f.issued_at, s.tenant_id, s.project_id, s.plan_id, s.agent_id
                 from unnest($1::uuid[]) as w (license_id)
                 join license_facts f using (license_id) join license_subjects s using (subject_id)";
    let found: Vec<FactRow> = sqlx::query_as(query).bind(wanted).fetch_all(connection).await?;
    let facts: HashMap<LicenseId, Fact> = found
        .into_iter()
        .map(|row| (row.license_id.into(), Fact { subject: row.subject.into(), issued_at: row.issued_at }))
        .collect();
    for (license_id, kind, at) in later {
        let fact = facts
            .get(license_id)
            .ok_or_else(|| sqlx::Error::Protocol(format!("no issue is known of the licence {license_id}")))?;
        counts.happened(*kind, *fact, *at);
    }
    Ok(())
}

#[derive(FromRow)]
struct LeftRow {
    batch_id: Uuid,
    day: NaiveDate,
    remaining: i64,
    #[sqlx(flatten)]
    subject: SubjectColumns,
}

/// Counts licences of earlier runs whose batch is handed out in this run.
async fn count_exports(
    batches: &HashMap<BatchId, BatchRun>,
    counts: &mut Counts,
    connection: &mut PgConnection,
) -> Result<(), sqlx::Error> {
    let exported: Vec<Uuid> =
        batches.iter().filter(|(_, run)| run.first_export.is_some()).map(|(batch, _)| batch.0).collect();
    if exported.is_empty() {
        return Ok(());
    }
    let query = "
        with due as (
            select batch_id, subject_id, day, issued - exported as remaining
            from batch_days where batch_id = any($1) and exported < issued
        ), marked as (
            update batch_days b set exported = b.issued
            from due d where b.batch_id = d.batch_id and b.subject_id = d.subject_id and b.day = d.day
        )
        select d.batch_id, d.day, d.remaining, s.tenant_id, s.project_id, s.plan_id, s.agent_id
        from due d join license_subjects s using (subject_id)";
    let due: Vec<LeftRow> = sqlx::query_as(query).bind(exported).fetch_all(connection).await?;
    for row in due {
        if let Some(day) = batches.get(&BatchId(row.batch_id)).and_then(|run| run.first_export) {
            counts.exported(row.subject.into(), row.day, day, row.remaining);
        }
    }
    Ok(())
}

#[derive(FromRow)]
struct SubjectRow {
    subject_id: i32,
    #[sqlx(flatten)]
    subject: SubjectColumns,
}

/// The numbers of the run's subjects; new ones get one.
async fn subject_ids(
    issued: &[(LicenseId, Fact)],
    connection: &mut PgConnection,
) -> Result<HashMap<Subject, i32>, sqlx::Error> {
    let subjects: HashSet<Subject> = issued.iter().map(|(_, fact)| fact.subject).collect();
    let subjects: Vec<Subject> = subjects.into_iter().collect();
    let [tenants, projects, plans, agents] = columns(&subjects);
    let query = "
        with wanted as (
            select * from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[])
                          as w (tenant_id, project_id, plan_id, agent_id)
        ), made as (
            insert into license_subjects (tenant_id, project_id, plan_id, agent_id)
            -- Only what is missing, so that known ones don't use up numbers.
            select * from wanted w where not exists (
                select from license_subjects s where (s.tenant_id, s.project_id, s.plan_id, s.agent_id)
                                                   = (w.tenant_id, w.project_id, w.plan_id, w.agent_id))
            returning subject_id, tenant_id, project_id, plan_id, agent_id
        )
        select subject_id, tenant_id, project_id, plan_id, agent_id from made
        union all
        select s.subject_id, s.tenant_id, s.project_id, s.plan_id, s.agent_id
        from wanted join license_subjects s using (tenant_id, project_id, plan_id, agent_id)";
    let rows: Vec<SubjectRow> =
        sqlx::query_as(query).bind(tenants).bind(projects).bind(plans).bind(agents).fetch_all(connection).await?;
    Ok(rows.into_iter().map(|row| (row.subject.into(), row.subject_id)).collect())
}

fn columns(subjects: &[Subject]) -> [Vec<Uuid>; 4] {
    [
        subjects.iter().map(|subject| subject.tenant_id.0).collect(),
        subjects.iter().map(|subject| subject.project_id.0).collect(),
        subjects.iter().map(|subject| subject.plan_id.0).collect(),
        subjects.iter().map(|subject| subject.agent_id.0).collect(),
    ]
}

fn number_of(subjects: &HashMap<Subject, i32>, subject: &Subject) -> Result<i32, sqlx::Error> {
    subjects.get(subject).copied().ok_or_else(|| sqlx::Error::Protocol(format!("{subject:?} was given no number")))
}

async fn insert_facts(
    issued: Vec<(LicenseId, Fact)>,
    subjects: &HashMap<Subject, i32>,
    connection: &mut PgConnection,
) -> Result<(), sqlx::Error> {
    let mut numbers = Vec::with_capacity(issued.len());
    for (_, fact) in &issued {
        numbers.push(number_of(subjects, &fact.subject)?);
    }
    let query = "insert into license_facts (license_id, issued_at, subject_id)
                 select * from unnest($1::uuid[], $2::timestamptz[], $3::int[])";
    sqlx::query(query)
        .bind(issued.iter().map(|(id, _)| id.0).collect::<Vec<_>>())
        .bind(issued.iter().map(|(_, fact)| fact.issued_at).collect::<Vec<_>>())
        .bind(numbers)
        .execute(connection)
        .await?;
    Ok(())
}

async fn add_batch_days(
    batches: HashMap<BatchId, BatchRun>,
    subjects: &HashMap<Subject, i32>,
    connection: &mut PgConnection,
) -> Result<(), sqlx::Error> {
    let (mut ids, mut numbers, mut days) = (Vec::new(), Vec::new(), Vec::new());
    let (mut issued, mut exported) = (Vec::new(), Vec::new());
    for (batch, run) in batches {
        for ((subject, day), (made, handed_out)) in run.days {
            ids.push(batch.0);
            numbers.push(number_of(subjects, &subject)?);
            days.push(day);
            issued.push(made);
            exported.push(handed_out);
        }
    }
    let query = "insert into batch_days as b (batch_id, subject_id, day, issued, exported)
                 select * from unnest($1::uuid[], $2::int[], $3::date[], $4::bigint[], $5::bigint[])
                 on conflict (batch_id, subject_id, day) do update
                 set issued = b.issued + excluded.issued, exported = b.exported + excluded.exported";
    sqlx::query(query).bind(ids).bind(numbers).bind(days).bind(issued).bind(exported).execute(connection).await?;
    Ok(())
}

async fn add_days(
    days: HashMap<(Subject, NaiveDate), DayCounts>,
    connection: &mut PgConnection,
) -> Result<(), sqlx::Error> {
    if days.is_empty() {
        return Ok(());
    }
    let (keys, counts): (Vec<_>, Vec<DayCounts>) = days.into_iter().unzip();
    let (subjects, days): (Vec<Subject>, Vec<NaiveDate>) = keys.into_iter().unzip();
    let [tenants, projects, plans, agents] = columns(&subjects);
    let count = |of: fn(&DayCounts) -> i64| -> Vec<i64> { counts.iter().map(of).collect() };
    let query = "
        insert into license_days as d (tenant_id, project_id, plan_id, agent_id, day,
                                       issued, exported, activated, unbound, disabled, revoked, renewed)
        select * from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::date[], $6::bigint[], $7::bigint[],
                             $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[])
        on conflict (tenant_id, project_id, plan_id, agent_id, day) do update set
            issued = d.issued + excluded.issued, exported = d.exported + excluded.exported,
            activated = d.activated + excluded.activated, unbound = d.unbound + excluded.unbound,
            disabled = d.disabled + excluded.disabled, revoked = d.revoked + excluded.revoked,
            renewed = d.renewed + excluded.renewed";
    sqlx::query(query)
        .bind(tenants)
        .bind(projects)
        .bind(plans)
        .bind(agents)
        .bind(days)
        .bind(count(|c| c.issued))
        .bind(count(|c| c.exported))
        .bind(count(|c| c.activated))
        .bind(count(|c| c.unbound))
        .bind(count(|c| c.disabled))
        .bind(count(|c| c.revoked))
        .bind(count(|c| c.renewed))
        .execute(connection)
        .await?;
    Ok(())
}

async fn add_cohorts(
    cohorts: HashMap<(Subject, NaiveDate), CohortCounts>,
    connection: &mut PgConnection,
) -> Result<(), sqlx::Error> {
    if cohorts.is_empty() {
        return Ok(());
    }
    let (keys, counts): (Vec<_>, Vec<CohortCounts>) = cohorts.into_iter().unzip();
    let (subjects, days): (Vec<Subject>, Vec<NaiveDate>) = keys.into_iter().unzip();
    let [tenants, projects, plans, agents] = columns(&subjects);
    let count = |of: fn(&CohortCounts) -> i64| -> Vec<i64> { counts.iter().map(of).collect() };
    // A merge, because an upsert would hold what is added, not the sum, against the checks of the table.
    let query = "
        merge into license_cohorts c
        using unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::date[],
                     $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[])
              as n (tenant_id, project_id, plan_id, agent_id, day, issued, exported, activated, soon)
        on (c.tenant_id, c.project_id, c.plan_id, c.agent_id, c.day)
         = (n.tenant_id, n.project_id, n.plan_id, n.agent_id, n.day)
        when matched then update set
            issued = c.issued + n.issued, exported = c.exported + n.exported, activated = c.activated + n.activated,
            activated_within_7_days = c.activated_within_7_days + n.soon
        when not matched then insert (tenant_id, project_id, plan_id, agent_id, day,
                                      issued, exported, activated, activated_within_7_days)
            values (n.tenant_id, n.project_id, n.plan_id, n.agent_id, n.day, n.issued, n.exported, n.activated, n.soon)";
    sqlx::query(query)
        .bind(tenants)
        .bind(projects)
        .bind(plans)
        .bind(agents)
        .bind(days)
        .bind(count(|c| c.issued))
        .bind(count(|c| c.exported))
        .bind(count(|c| c.activated))
        .bind(count(|c| c.activated_within_7_days))
        .execute(connection)
        .await?;
    Ok(())
}
