//! Which rows of a tenant an actor may read, as a condition in SQL (row U1).
//!
//! Every query names the tenant; agents see their own, agent admins also their subtree, super admins, analysts and
//! auditors the whole tenant.

use quotary_domain::{Actor, Role};
use sqlx::{Postgres, QueryBuilder};

/// Adds `<table>.tenant_id = … [and <table>.agent_id …]` for what `actor` may see.
pub(crate) fn push_visible(query: &mut QueryBuilder<'_, Postgres>, actor: &Actor, table: &str) {
    query.push(format_args!("{table}.tenant_id = ")).push_bind(actor.tenant_id.0);
    match actor.role {
        Role::SuperAdmin | Role::Analyst | Role::Auditor => {}
        Role::Agent => {
            query.push(format_args!(" and {table}.agent_id = ")).push_bind(actor.account_id.0);
        }
        Role::AgentAdmin => {
            query.push(format_args!(" and {table}.agent_id in ("));
            push_subtree(query, actor);
            query.push(")");
        }
    }
}

/// Adds a select of the actor's own account and those below it.
fn push_subtree(query: &mut QueryBuilder<'_, Postgres>, actor: &Actor) {
    query.push("select ").push_bind(actor.account_id.0);
    query.push(" union all select a.account_id from read.accounts a where a.tenant_id = ").push_bind(actor.tenant_id.0);
    query.push(" and a.ancestors @> array[").push_bind(actor.account_id.0).push("]");
}
