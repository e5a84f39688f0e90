//! What the clients work on: a vendor, its agents, a project, and the tokens by which they call.

use axum::http::Method;
use quotary_api::tokens::TokenKeys;
use quotary_commands::clock;
use quotary_domain::{AccountId, Actor, Role, TenantId};
use reqwest::Client;
use serde_json::{Value, json};
use std::time::Duration;

use super::connections::WRONG_BY_AT_MOST;
use crate::support::api::call;
use crate::support::installation::Installation;
use crate::support::vendor::{Agent, Project, Vendor};

/// What each agent begins with: little enough that some commands are refused.
pub const OPENING: i64 = 4_000;
/// What a licence costs.
pub const PRICE: i64 = 47;
/// Agents: two that manage, and six that sell, of which the last two stand below the first.
pub const AGENTS: usize = 8;
/// How many of them manage.
pub const ADMINS: usize = 2;
/// Where those begin that stand below the first.
pub const BELOW: usize = 6;
/// Who earns by what those sell that stand below it.
pub const EARNER: usize = 0;
/// How much of it.
pub const EARNED_PERCENT: i64 = 13;
/// Whether tenants can have rules that suspend movements, and withdrawals can be cancelled.
pub const REVIEWS: bool = true;
/// A rule suspends a transfer or withdrawal of more than this.
pub const SUSPENDED_ABOVE: i64 = if REVIEWS { 450 } else { i64::MAX / 2 };
/// More than this no super admin gives or takes back alone; the dearest batches cost more.
pub const SECOND_PERSON_ABOVE: i64 = 350;
/// How long a review may take. Clocks leap by more, so some end by themselves.
const REVIEW_WITHIN_MINUTES: u32 = 60;
/// How long a client waits for an answer: less than a freeze, more than a process takes to give up.
const ANSWER_WITHIN: Duration = Duration::from_millis(1_500);

/// Everything that the clients share.
pub struct World {
    /// The clients' own program.
    pub http: Client,
    /// The super admin's token.
    pub admin: String,
    /// Another super admin's token: whoever lets a withdrawal go on can't approve it.
    pub second_admin: String,
    /// Agents, with tokens that are good whatever the clocks say; the first two are agent admins.
    pub agents: Vec<Agent>,
    /// What is sold.
    pub project: Project,
    /// Under which plan.
    pub plan_id: String,
    /// The last position before the load.
    pub begins_after: i64,
}

impl World {
    /// Makes the vendor through the front door of a running server.
    pub async fn build(installation: &Installation, url: &str) -> Self {
        let patient = crate::support::api::http();
        let vendor = Vendor::create(installation, &patient, url, "vendor").await;
        let project = vendor.project(&patient, url, "Editor").await;
        let plan =
            json!({ "name": "Year", "duration_days": 365, "max_machines": 2, "unit_price": PRICE, "features": ["a"] });
        let plan_id = vendor.plan(&patient, url, &project, &plan).await;
        let mut agents: Vec<Agent> = Vec::new();
        for number in 0..AGENTS {
            let role = if number < ADMINS { "agent_admin" } else { "agent" };
            let name = format!("agent-{number}");
            let parent = if number < BELOW { vendor.token.clone() } else { agents[0].token.clone() };
            // The first pays for what those below it begin with.
            let opening = if number == 0 { OPENING * i64::try_from(AGENTS - BELOW + 1).unwrap() } else { OPENING };
            let agent = vendor.account(&patient, url, &parent, &name, role, opening).await;
            vendor.grant(&patient, url, &project, &agent).await;
            agents.push(agent);
        }
        let rates = json!({ "rates": [EARNED_PERCENT * 100] });
        let of_earner = format!("{url}/v1/agents/{}/commission-rates", agents[EARNER].id);
        call(&patient, &vendor.token, Method::PUT, &of_earner, &rates).await.expect(200);
        if REVIEWS {
            let large = json!({ "amount_above": SUSPENDED_ABOVE });
            let rules = json!({
                "transfers": large, "withdrawals": large, "second_person_above": SECOND_PERSON_ABOVE,
                "review_within_minutes": REVIEW_WITHIN_MINUTES,
            });
            call(&patient, &vendor.token, Method::PUT, &format!("{url}/v1/risk-rules"), &rules).await.expect(200);
        }
        let second = vendor.account(&patient, url, &vendor.token, "second", "super_admin", 0).await;
        let me = call(&patient, &vendor.token, Method::GET, &format!("{url}/v1/me"), &Value::Null).await.expect(200);
        let tenant_id = TenantId(tenant_of(installation).await);
        let root = AccountId(me.body["account"]["id"].as_str().unwrap().parse().unwrap());
        let keys = TokenKeys::from_json(&installation.token_keys).unwrap();
        // Good at every time that a process' wrong clock can show: logging in anew would cost more than all the rest.
        let late = clock::now() + chrono::TimeDelta::milliseconds(WRONG_BY_AT_MOST + 3_600_000);
        let token = |account_id, role| keys.issue(Actor { tenant_id, account_id, role }, None, late).unwrap();
        for agent in &mut agents {
            let as_role = if agent.role == "agent_admin" { Role::AgentAdmin } else { Role::Agent };
            agent.token = token(AccountId(agent.id.parse().unwrap()), as_role);
        }
        Self {
            http: Client::builder().timeout(ANSWER_WITHIN).build().unwrap(),
            admin: token(root, Role::SuperAdmin),
            second_admin: token(AccountId(second.id.parse().unwrap()), Role::SuperAdmin),
            agents,
            project,
            plan_id,
            begins_after: installation.head().await,
        }
    }
}

async fn tenant_of(installation: &Installation) -> uuid::Uuid {
    let of_any = "select tenant_id from events where aggregate_type = 'Project' limit 1";
    sqlx::query_scalar(of_any).fetch_one(&installation.pool).await.unwrap()
}
