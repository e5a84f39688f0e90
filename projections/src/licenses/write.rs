//! The set-based write of a run: a bounded number of statements however many events the run had.
//!
//! Licences are inserted, never upserted: an issue seen twice is a fault of the runner and must stop it.

use chrono::{DateTime, Utc};
use hashbrown::HashMap;
use quotary_domain::license::LicenseTerms;
use quotary_domain::{BatchId, LicenseId};
use sqlx::PgConnection;
use uuid::Uuid;

use super::fold::{BatchChange, Issued, LicenseRows, MachineChange, Moved, Standing};
use crate::rows::expect_rows;

pub(super) async fn write(rows: LicenseRows, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    let LicenseRows { issued, changed, moved, used, machines, batches, .. } = rows;
    write_batches(batches, connection).await?;
    if !issued.is_empty() {
        let numbers = number(&issued, connection).await?;
        insert_licenses(issued, numbers, connection).await?;
    }
    if !changed.is_empty() {
        update_licenses(changed, connection).await?;
    }
    if !moved.is_empty() {
        move_licenses(moved, connection).await?;
    }
    if !used.is_empty() {
        add_usage(used, connection).await?;
    }
    if !machines.is_empty() {
        write_machines(machines, connection).await?;
    }
    Ok(())
}

/// The next numbers within their batches, in the order of issue.
async fn number(issued: &[Issued], connection: &mut PgConnection) -> Result<Vec<i64>, sqlx::Error> {
    let mut counts: HashMap<BatchId, i64> = HashMap::new();
    let mut numbers: Vec<i64> = Vec::with_capacity(issued.len());
    for row in issued {
        let count = counts.entry(row.issue.batch_id).or_default();
        *count += 1;
        numbers.push(*count);
    }
    let (batches, added): (Vec<Uuid>, Vec<i64>) = counts.into_iter().map(|(id, count)| (id.0, count)).unzip();
    let query = "
        with added as (select * from unnest($1::uuid[], $2::bigint[]) as a (batch_id, n)),
        moved as (
            insert into batch_numbers as b (batch_id, last) select batch_id, n from added
            on conflict (batch_id) do update set last = b.last + excluded.last
            returning b.batch_id, b.last
        )
        -- What was numbered before this run.
        select batch_id, moved.last - added.n from moved join added using (batch_id)";
    let before: Vec<(Uuid, i64)> = sqlx::query_as(query).bind(batches).bind(added).fetch_all(connection).await?;
    let before: HashMap<Uuid, i64> = before.into_iter().collect();
    for (row, number) in issued.iter().zip(&mut numbers) {
        *number += before.get(&row.issue.batch_id.0).copied().unwrap_or_default();
    }
    Ok(numbers)
}

const INSERT_LICENSES: &str = "
insert into licenses (license_id, tenant_id, project_id, plan_id, agent_id, batch_id, number, key_hash, key_sealed,
                      duration_days, max_machines, features, issued_at, position,
                      activated_at, expires_at, in_use, disabled, revoked, extra_days, unbinds, sequence,
                      plan_version, policy, unbound_at, holder, transfers)
select n.license_id, n.tenant_id, n.project_id, n.plan_id, n.agent_id, n.batch_id, n.number, n.key_hash, n.key_sealed,
       n.duration_days, n.max_machines, n.features::json, n.issued_at, n.position,
       n.activated_at, n.expires_at, n.in_use, n.disabled, n.revoked, n.extra_days, n.unbinds, n.sequence,
       n.plan_version, n.policy::json, n.unbound_at, n.holder, n.transfers
from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::uuid[], $6::uuid[], $7::bigint[], $8::text[], $9::text[],
            $10::bigint[], $11::bigint[], $12::text[], $13::timestamptz[], $14::bigint[],
            $15::timestamptz[], $16::timestamptz[], $17::boolean[], $18::boolean[], $19::boolean[],
            $20::bigint[], $21::bigint[], $22::bigint[],
            $23::bigint[], $24::text[], $25::timestamptz[], $26::text[], $27::bigint[])
     as n (license_id, tenant_id, project_id, plan_id, agent_id, batch_id, number, key_hash, key_sealed,
           duration_days, max_machines, features, issued_at, position,
           activated_at, expires_at, in_use, disabled, revoked, extra_days, unbinds, sequence,
           plan_version, policy, unbound_at, holder, transfers)";

async fn insert_licenses(
    issued: Vec<Issued>,
    numbers: Vec<i64>,
    connection: &mut PgConnection,
) -> Result<(), sqlx::Error> {
    let column = |of: fn(&Issued) -> Uuid| -> Vec<Uuid> { issued.iter().map(of).collect() };
    let count = |of: fn(&Issued) -> i64| -> Vec<i64> { issued.iter().map(of).collect() };
    let flag = |of: fn(&Issued) -> bool| -> Vec<bool> { issued.iter().map(of).collect() };
    let time =
        |of: fn(&Issued) -> Option<DateTime<Utc>>| -> Vec<Option<DateTime<Utc>>> { issued.iter().map(of).collect() };
    let (features, policies) = term_texts(issued.iter().map(|row| &row.issue.terms))?;
    sqlx::query(INSERT_LICENSES)
        .bind(column(|row| row.license_id.0))
        .bind(column(|row| row.tenant_id.0))
        .bind(column(|row| row.issue.project_id.0))
        .bind(column(|row| row.issue.plan_id.0))
        .bind(column(|row| row.issue.agent_id.0))
        .bind(column(|row| row.issue.batch_id.0))
        .bind(numbers)
        .bind(issued.iter().map(|row| row.issue.key_hash.as_str()).collect::<Vec<_>>())
        .bind(issued.iter().map(|row| row.issue.key.0.as_str()).collect::<Vec<_>>())
        .bind(issued.iter().map(|row| row.issue.terms.duration_days.map(i64::from)).collect::<Vec<_>>())
        .bind(count(|row| row.issue.terms.max_machines.into()))
        .bind(features)
        .bind(issued.iter().map(|row| row.at).collect::<Vec<_>>())
        .bind(count(|row| row.position.cast_signed()))
        .bind(time(|row| row.standing.activated_at))
        .bind(time(|row| row.standing.expires_at))
        .bind(flag(|row| row.standing.in_use.unwrap_or_default()))
        .bind(flag(|row| row.standing.disabled.unwrap_or_default()))
        .bind(flag(|row| row.standing.revoked))
        .bind(count(|row| row.standing.extra_days.into()))
        .bind(count(|row| row.standing.unbinds.into()))
        .bind(count(|row| row.standing.sequence.cast_signed()))
        .bind(count(|row| row.issue.plan_version.into()))
        .bind(policies)
        .bind(time(|row| row.standing.unbound_at))
        .bind(issued.iter().map(|row| row.standing.holder.as_ref().map(|holder| holder.0.as_str())).collect::<Vec<_>>())
        .bind(count(|row| row.standing.transfers.into()))
        .execute(connection)
        .await?;
    Ok(())
}

/// The features and the policy of terms as JSON; licences of one batch share them, so they are written out once per
/// change of terms. The usual policy is no text.
fn term_texts<'a>(
    all: impl Iterator<Item = &'a LicenseTerms>,
) -> Result<(Vec<String>, Vec<Option<String>>), sqlx::Error> {
    let text = |error: serde_json::Error| sqlx::Error::Encode(error.into());
    let mut last: Option<(&LicenseTerms, String, Option<String>)> = None;
    let (mut features, mut policies) = (Vec::new(), Vec::new());
    for terms in all {
        let (of, policy) = match last {
            Some((same, of, policy)) if same.features == terms.features && same.policy == terms.policy => (of, policy),
            _ => {
                let policy = (!terms.policy.is_usual()).then(|| serde_json::to_string(&terms.policy));
                (serde_json::to_string(&terms.features).map_err(text)?, policy.transpose().map_err(text)?)
            }
        };
        features.push(of.clone());
        policies.push(policy.clone());
        last = Some((terms, of, policy));
    }
    Ok((features, policies))
}

const UPDATE_LICENSES: &str = "
update licenses l set
    activated_at = coalesce(c.activated_at, l.activated_at),
    -- A move to a perpetual plan takes the end away.
    expires_at   = case when c.ends then c.expires_at else l.expires_at end,
    in_use       = coalesce(c.in_use, l.in_use),
    disabled     = coalesce(c.disabled, l.disabled),
    revoked      = l.revoked or c.revoked,
    extra_days   = l.extra_days + c.extra_days,
    unbinds      = l.unbinds + c.unbinds,
    unbound_at   = coalesce(c.unbound_at, l.unbound_at),
    holder       = case when c.transfers > 0 then c.holder else l.holder end,
    transfers    = l.transfers + c.transfers,
    sequence     = c.sequence
from unnest($1::uuid[], $2::timestamptz[], $3::timestamptz[], $4::boolean[], $5::boolean[], $6::boolean[],
            $7::bigint[], $8::bigint[], $9::bigint[], $10::boolean[], $11::timestamptz[], $12::text[], $13::bigint[])
     as c (license_id, activated_at, expires_at, in_use, disabled, revoked, extra_days, unbinds, sequence, ends,
           unbound_at, holder, transfers)
where l.license_id = c.license_id";

async fn update_licenses(
    changed: HashMap<LicenseId, Standing>,
    connection: &mut PgConnection,
) -> Result<(), sqlx::Error> {
    // Rows in the order of their ids are close to the order of their pages.
    let mut changed: Vec<_> = changed.into_iter().collect();
    changed.sort_unstable_by_key(|(license_id, _)| *license_id);
    let done = sqlx::query(UPDATE_LICENSES)
        .bind(changed.iter().map(|(id, _)| id.0).collect::<Vec<_>>())
        .bind(changed.iter().map(|(_, row)| row.activated_at).collect::<Vec<_>>())
        .bind(changed.iter().map(|(_, row)| row.expires_at).collect::<Vec<_>>())
        .bind(changed.iter().map(|(_, row)| row.in_use).collect::<Vec<_>>())
        .bind(changed.iter().map(|(_, row)| row.disabled).collect::<Vec<_>>())
        .bind(changed.iter().map(|(_, row)| row.revoked).collect::<Vec<_>>())
        .bind(changed.iter().map(|(_, row)| i64::from(row.extra_days)).collect::<Vec<_>>())
        .bind(changed.iter().map(|(_, row)| i64::from(row.unbinds)).collect::<Vec<_>>())
        .bind(changed.iter().map(|(_, row)| row.sequence.cast_signed()).collect::<Vec<_>>())
        .bind(changed.iter().map(|(_, row)| row.ends).collect::<Vec<_>>())
        .bind(changed.iter().map(|(_, row)| row.unbound_at).collect::<Vec<_>>())
        .bind(changed.iter().map(|(_, row)| row.holder.as_ref().map(|holder| holder.0.as_str())).collect::<Vec<_>>())
        .bind(changed.iter().map(|(_, row)| i64::from(row.transfers)).collect::<Vec<_>>())
        .execute(connection)
        .await?;
    expect_rows("licenses", &done, changed.len())
}

async fn move_licenses(moved: HashMap<LicenseId, Moved>, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    let moved: Vec<_> = moved.into_iter().collect();
    let (features, policies) = term_texts(moved.iter().map(|(_, row)| &row.terms))?;
    let query = "
        update licenses l set
            plan_id = m.plan_id, plan_version = m.plan_version, duration_days = m.duration_days,
            max_machines = m.max_machines, features = m.features::json, policy = m.policy::json
        from unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::bigint[], $5::bigint[], $6::text[], $7::text[])
             as m (license_id, plan_id, plan_version, duration_days, max_machines, features, policy)
        where l.license_id = m.license_id";
    let done = sqlx::query(query)
        .bind(moved.iter().map(|(id, _)| id.0).collect::<Vec<_>>())
        .bind(moved.iter().map(|(_, row)| row.plan_id.0).collect::<Vec<_>>())
        .bind(moved.iter().map(|(_, row)| i64::from(row.plan_version)).collect::<Vec<_>>())
        .bind(moved.iter().map(|(_, row)| row.terms.duration_days.map(i64::from)).collect::<Vec<_>>())
        .bind(moved.iter().map(|(_, row)| i64::from(row.terms.max_machines)).collect::<Vec<_>>())
        .bind(features)
        .bind(policies)
        .execute(connection)
        .await?;
    expect_rows("licenses", &done, moved.len())
}

async fn add_usage(used: HashMap<(LicenseId, String), u64>, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    let query = "insert into meters as m (license_id, meter, used)
                 select * from unnest($1::uuid[], $2::text[], $3::bigint[])
                 on conflict (license_id, meter) do update set used = m.used + excluded.used";
    sqlx::query(query)
        .bind(used.keys().map(|(id, _)| id.0).collect::<Vec<_>>())
        .bind(used.keys().map(|(_, meter)| meter.as_str()).collect::<Vec<_>>())
        .bind(used.values().map(|amount| amount.cast_signed()).collect::<Vec<_>>())
        .execute(connection)
        .await?;
    Ok(())
}

async fn write_machines(
    machines: HashMap<LicenseId, MachineChange>,
    connection: &mut PgConnection,
) -> Result<(), sqlx::Error> {
    let mut cleared = Vec::new();
    let (mut removed_from, mut removed) = (Vec::new(), Vec::new());
    let (mut extended_of, mut extended, mut held_until) = (Vec::new(), Vec::new(), Vec::new());
    let mut bound = Vec::new();
    for (license_id, change) in machines {
        if change.cleared {
            cleared.push(license_id.0);
        }
        for fingerprint_hash in change.removed {
            removed_from.push(license_id.0);
            removed.push(fingerprint_hash);
        }
        for (fingerprint_hash, until) in change.extended {
            extended_of.push(license_id.0);
            extended.push(fingerprint_hash);
            held_until.push(until);
        }
        bound.extend(change.bound.into_iter().map(|machine| (license_id, machine)));
    }
    if !cleared.is_empty() {
        let query = "delete from machines where license_id = any($1)";
        sqlx::query(query).bind(cleared).execute(&mut *connection).await?;
    }
    if !removed.is_empty() {
        // A machine bound and given back within the run has no row.
        let query = "delete from machines m using unnest($1::uuid[], $2::text[]) as r (license_id, fingerprint_hash)
                     where m.license_id = r.license_id and m.fingerprint_hash = r.fingerprint_hash";
        sqlx::query(query).bind(removed_from).bind(removed).execute(&mut *connection).await?;
    }
    if !extended.is_empty() {
        // A machine heard of and taken off within the run has no row.
        let query = "update machines m set held_until = e.held_until
                     from unnest($1::uuid[], $2::text[], $3::timestamptz[]) as e (license_id, fingerprint_hash, held_until)
                     where m.license_id = e.license_id and m.fingerprint_hash = e.fingerprint_hash";
        sqlx::query(query).bind(extended_of).bind(extended).bind(held_until).execute(&mut *connection).await?;
    }
    if !bound.is_empty() {
        bound.sort_unstable_by_key(|(license_id, machine)| (*license_id, machine.position));
        let query = "
            insert into machines (license_id, fingerprint_hash, tenant_id, name, bound_at, position, held_until)
            select * from unnest($1::uuid[], $2::text[], $3::uuid[], $4::text[], $5::timestamptz[], $6::bigint[],
                                 $7::timestamptz[])";
        sqlx::query(query)
            .bind(bound.iter().map(|(id, _)| id.0).collect::<Vec<_>>())
            .bind(bound.iter().map(|(_, row)| row.machine.fingerprint_hash.as_str()).collect::<Vec<_>>())
            .bind(bound.iter().map(|(_, row)| row.tenant_id.0).collect::<Vec<_>>())
            .bind(
                bound.iter().map(|(_, row)| row.machine.name.as_ref().map(|name| name.0.as_str())).collect::<Vec<_>>(),
            )
            .bind(bound.iter().map(|(_, row)| row.at).collect::<Vec<_>>())
            .bind(bound.iter().map(|(_, row)| row.position.cast_signed()).collect::<Vec<_>>())
            .bind(bound.iter().map(|(_, row)| row.machine.held_until).collect::<Vec<_>>())
            .execute(connection)
            .await?;
    }
    Ok(())
}

const INSERT_BATCHES: &str = "
insert into batches (batch_id, tenant_id, agent_id, project_id, plan_id, count, total_price, issued, status,
                     requested_at, completed_at, exports, exported, position, sequence, order_id, refunded_at, refunded,
                     disabled)
select * from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::uuid[], $6::bigint[], $7::bigint[], $8::bigint[],
                     $9::text[], $10::timestamptz[], $11::timestamptz[], $12::bigint[], $13::bigint[], $14::bigint[],
                     $15::bigint[], $16::uuid[], $17::timestamptz[], $18::bigint[], $19::bigint[])";

const UPDATE_BATCHES: &str = "
update batches b set
    issued       = b.issued + c.issued,
    status       = coalesce(c.status, b.status),
    completed_at = coalesce(c.completed_at, b.completed_at),
    exports      = b.exports + c.exports,
    exported     = greatest(b.exported, c.exported),
    sequence     = c.sequence,
    order_id     = coalesce(c.order_id, b.order_id),
    refunded_at  = coalesce(c.refunded_at, b.refunded_at),
    refunded     = coalesce(c.refunded, b.refunded),
    disabled     = b.disabled + c.disabled
from unnest($1::uuid[], $2::bigint[], $3::text[], $4::timestamptz[], $5::bigint[], $6::bigint[], $7::bigint[],
            $8::uuid[], $9::timestamptz[], $10::bigint[], $11::bigint[])
     as c (batch_id, issued, status, completed_at, exports, exported, sequence, order_id, refunded_at, refunded,
           disabled)
where b.batch_id = c.batch_id";

async fn write_batches(
    batches: HashMap<BatchId, BatchChange>,
    connection: &mut PgConnection,
) -> Result<(), sqlx::Error> {
    let mut requested = Vec::new();
    let mut changed = Vec::new();
    for (id, mut change) in batches {
        match change.requested.take() {
            Some(first) => requested.push((id, first, change)),
            None => changed.push((id, change)),
        }
    }
    if !requested.is_empty() {
        sqlx::query(INSERT_BATCHES)
            .bind(requested.iter().map(|(id, ..)| id.0).collect::<Vec<_>>())
            .bind(requested.iter().map(|(_, row, _)| row.tenant_id.0).collect::<Vec<_>>())
            .bind(requested.iter().map(|(_, row, _)| row.request.agent_id.0).collect::<Vec<_>>())
            .bind(requested.iter().map(|(_, row, _)| row.request.project_id.0).collect::<Vec<_>>())
            .bind(requested.iter().map(|(_, row, _)| row.request.plan_id.0).collect::<Vec<_>>())
            .bind(requested.iter().map(|(_, row, _)| i64::from(row.request.count)).collect::<Vec<_>>())
            .bind(requested.iter().map(|(_, row, _)| row.request.total_price.minor_units()).collect::<Vec<_>>())
            .bind(requested.iter().map(|(.., change)| i64::from(change.issued)).collect::<Vec<_>>())
            .bind(requested.iter().map(|(.., change)| change.status.unwrap_or("issuing")).collect::<Vec<_>>())
            .bind(requested.iter().map(|(_, row, _)| row.at).collect::<Vec<_>>())
            .bind(requested.iter().map(|(.., change)| change.completed_at).collect::<Vec<_>>())
            .bind(requested.iter().map(|(.., change)| i64::from(change.exports)).collect::<Vec<_>>())
            .bind(requested.iter().map(|(.., change)| i64::from(change.exported)).collect::<Vec<_>>())
            .bind(requested.iter().map(|(_, row, _)| row.position.cast_signed()).collect::<Vec<_>>())
            .bind(requested.iter().map(|(.., change)| change.sequence.cast_signed()).collect::<Vec<_>>())
            .bind(requested.iter().map(|(.., change)| change.order_id.map(|order| order.0)).collect::<Vec<_>>())
            .bind(requested.iter().map(|(.., change)| change.refunded.map(|(at, _)| at)).collect::<Vec<_>>())
            .bind(requested.iter().map(|(.., change)| change.refunded_amount()).collect::<Vec<_>>())
            .bind(requested.iter().map(|(.., change)| i64::from(change.disabled)).collect::<Vec<_>>())
            .execute(&mut *connection)
            .await?;
    }
    if !changed.is_empty() {
        let done = sqlx::query(UPDATE_BATCHES)
            .bind(changed.iter().map(|(id, _)| id.0).collect::<Vec<_>>())
            .bind(changed.iter().map(|(_, change)| i64::from(change.issued)).collect::<Vec<_>>())
            .bind(changed.iter().map(|(_, change)| change.status).collect::<Vec<_>>())
            .bind(changed.iter().map(|(_, change)| change.completed_at).collect::<Vec<_>>())
            .bind(changed.iter().map(|(_, change)| i64::from(change.exports)).collect::<Vec<_>>())
            .bind(changed.iter().map(|(_, change)| i64::from(change.exported)).collect::<Vec<_>>())
            .bind(changed.iter().map(|(_, change)| change.sequence.cast_signed()).collect::<Vec<_>>())
            .bind(changed.iter().map(|(_, change)| change.order_id.map(|order| order.0)).collect::<Vec<_>>())
            .bind(changed.iter().map(|(_, change)| change.refunded.map(|(at, _)| at)).collect::<Vec<_>>())
            .bind(changed.iter().map(|(_, change)| change.refunded_amount()).collect::<Vec<_>>())
            .bind(changed.iter().map(|(_, change)| i64::from(change.disabled)).collect::<Vec<_>>())
            .execute(connection)
            .await?;
        expect_rows("batches", &done, changed.len())?;
    }
    Ok(())
}
