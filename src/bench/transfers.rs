//! Transfers between two accounts through the whole use case: spread over many accounts, and all from one.

use std::sync::Arc;
use std::time::Duration;

use quotary_commands::{Commands, Context, clock};
use quotary_domain::{AccountId, Actor, Quota, Role, TenantId};

use super::load::{Measured, closed_loop};
use super::report::{Line, Report};
use super::scene::{Failure, Scene};
use crate::embedded::Servers;

const AGENTS: usize = 5_000;
const IN_FLIGHT: usize = 64;
const WARM_UP: Duration = Duration::from_secs(2);
const PERIOD: Duration = Duration::from_secs(6);

/// Measures both, in one database, spread first.
///
/// # Errors
/// If a transfer fails.
pub async fn measure(servers: &Servers, report: &mut Report) -> Result<(), Failure> {
    let scene = Scene::set(servers, "bench_transfers").await?;
    let agents = Arc::new(scene.agents(AGENTS, Quota::new(1_000_000_000)?).await?);
    let spread = run(&scene, agents.clone(), |number, count| (number % count, (number * 7 + 1) % count)).await?;
    let hot = run(&scene, agents, |number, count| (0, 1 + number % (count - 1))).await?;
    report.add(Line::of_loop("transfers_spread_64", "transfers/s", &spread, None))?;
    report.add(Line::of_loop("transfers_hot_64", "transfers/s", &hot, Some(&spread)))?;
    scene.strike().await
}

async fn run(
    scene: &Scene,
    agents: Arc<Vec<AccountId>>,
    pair: fn(usize, usize) -> (usize, usize),
) -> Result<Measured, Failure> {
    keep_going(scene, agents, pair, (IN_FLIGHT, WARM_UP, PERIOD)).await
}

/// Fills the log with transfers for a while, many at a time.
///
/// # Errors
/// If a transfer fails.
pub async fn fill(scene: &Scene, agents: Arc<Vec<AccountId>>, period: Duration) -> Result<(), Failure> {
    let spread = |number: usize, count: usize| (number % count, (number * 7 + 1) % count);
    keep_going(scene, agents, spread, (512, Duration::ZERO, period)).await?;
    Ok(())
}

async fn keep_going(
    scene: &Scene,
    agents: Arc<Vec<AccountId>>,
    pair: fn(usize, usize) -> (usize, usize),
    (in_flight, warm_up, period): (usize, Duration, Duration),
) -> Result<Measured, Failure> {
    let (commands, tenant_id) = (scene.commands.clone(), scene.tenant_id);
    closed_loop(in_flight, warm_up, period, move |number| {
        let (commands, agents) = (commands.clone(), agents.clone());
        async move {
            let number = usize::try_from(number)?;
            let (from, mut to) = pair(number, agents.len());
            if from == to {
                to = (to + 1) % agents.len();
            }
            transfer(&commands, tenant_id, agents[from], agents[to]).await
        }
    })
    .await
}

async fn transfer(commands: &Commands, tenant_id: TenantId, from: AccountId, to: AccountId) -> Result<(), Failure> {
    let actor = Actor { tenant_id, account_id: from, role: Role::Agent };
    let context = Context::of(actor, "quota.transfer", clock::now());
    commands.transfer_to(&context, to, Quota::new(1)?, None).await?;
    Ok(())
}
