//! Transfers between two accounts through the whole use case: spread over many accounts, all from one, and with everything
//! on that can slow them down.

use std::sync::Arc;
use std::time::Duration;

use quotary_commands::{Commands, Context, Plan, Refusal, Unit, clock};
use quotary_domain::account::{Account, AccountCommand, BasisPoints};
use quotary_domain::risk::{MovementRules, Night, RiskRules, Window};
use quotary_domain::{AccountId, Actor, Quota, Role, TenantId};

use super::load::{Measured, closed_loop};
use super::report::{Line, Report};
use super::scene::{Failure, Scene};
use super::sealing::Sealing;
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

/// How often each side is measured in turn, so that a machine that is busy for a while slows both.
const TURNS: usize = 7;
/// How long each turn is warmed up and measured: many short ones, since a disk is slow for seconds at a time.
const TURN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(4));

/// Measures transfers with all risk rules set (none suspends), commission rates on the ancestors and the log being sealed,
/// beside transfers without any of it, in turns on two databases of one server.
///
/// # Errors
/// If a transfer fails or is suspended.
pub async fn measure_full(servers: &Servers, report: &mut Report) -> Result<(), Failure> {
    let plain = Scene::set(servers, "bench_transfers_plain").await?;
    let full = Scene::set(servers, "bench_transfers_full").await?;
    let of_plain = Arc::new(plain.agents(AGENTS, Quota::new(1_000_000_000)?).await?);
    let of_full = Arc::new(full.agents(AGENTS, Quota::new(1_000_000_000)?).await?);
    turn_all_on(&full).await?;
    let folder = tempfile::tempdir()?;
    let sealing = Sealing::start(&full.pool, folder.path())?;
    let spread = |number: usize, count: usize| (number % count, (number * 7 + 1) % count);
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for turn in 0..TURNS {
        // Who comes first changes, too.
        if turn % 2 == 0 {
            without.push(turn_of(&plain, of_plain.clone(), spread).await?);
            with.push(turn_of(&full, of_full.clone(), spread).await?);
        } else {
            with.push(turn_of(&full, of_full.clone(), spread).await?);
            without.push(turn_of(&plain, of_plain.clone(), spread).await?);
        }
    }
    let suspended: i64 = sqlx::query_scalar("select count(*) from events where aggregate_type = 'Transfer'")
        .fetch_one(&full.pool)
        .await?;
    if suspended != 0 {
        return Err(format!("{suspended} transfers were suspended, so not all were measured to their end").into());
    }
    let head: i64 = sqlx::query_scalar("select position from log_head").fetch_one(&full.pool).await?;
    let behind = sealing.reach(head.cast_unsigned()).await?;
    sealing.stop().await?;
    let (without, with) = (Measured::median(without), Measured::median(with));
    let line = Line::of_loop("transfers_full_64", "transfers/s", &with, Some(&without));
    let note = format!(
        "all risk rules and commission rates set, sealing on ({} ms behind at the end); medians of {TURNS} turns",
        behind.as_millis()
    );
    report.add(line.noting(&note))?;
    plain.strike().await?;
    full.strike().await
}

/// Sets every rule there is, with limits that no transfer of the measurement reaches, and commission rates.
async fn turn_all_on(scene: &Scene) -> Result<(), Failure> {
    let high = Some(Quota::new(1_000_000_000_000)?);
    let window = Window { minutes: 1_440, sum_above: high, count_above: Some(u32::MAX) };
    let each = MovementRules { amount_above: high, window: Some(window), new_receiver_above: high, night_above: high };
    let rules = RiskRules {
        min_transfer: Some(Quota::new(1)?),
        min_withdrawal: Some(Quota::new(1)?),
        max_withdrawn_per_day: high,
        transfers: each.clone(),
        withdrawals: MovementRules { new_receiver_above: None, ..each },
        night: Some(Night { from_minute: 0, to_minute: 1_439, utc_offset_minutes: 480 }),
        second_person_above: high,
        review_within_minutes: Some(60),
    };
    let context = Context::of(scene.admin, "bench.turn-all-on", clock::now());
    scene.commands.set_risk_rules(&context, rules).await?;
    let mut plan = Plan::new();
    let admin = plan.open::<Account>(scene.admin.account_id);
    let rates = vec![BasisPoints(500), BasisPoints(100)];
    let set = |unit: &mut Unit| {
        unit.decide(admin, AccountCommand::SetCommissionRates(rates.clone()))?;
        Ok::<_, Refusal>(())
    };
    scene.commands.log().execute(&context, &plan, set).await?;
    Ok(())
}

async fn run(
    scene: &Scene,
    agents: Arc<Vec<AccountId>>,
    pair: fn(usize, usize) -> (usize, usize),
) -> Result<Measured, Failure> {
    keep_going(scene, agents, pair, (IN_FLIGHT, WARM_UP, PERIOD)).await
}

async fn turn_of(
    scene: &Scene,
    agents: Arc<Vec<AccountId>>,
    pair: fn(usize, usize) -> (usize, usize),
) -> Result<Measured, Failure> {
    keep_going(scene, agents, pair, (IN_FLIGHT, TURN.0, TURN.1)).await
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
