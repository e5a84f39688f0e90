//! The clients: each does one thing after the other until it is told to stop.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::task::JoinSet;

use super::command::{Command, Fate, Intent, Record, UnderWay};
use super::world::World;
use crate::support::api::Answer;
use crate::support::dice::Dice;

/// Agents' clients at a time.
const CLIENTS: u64 = 40;
/// Client software at a time.
const MACHINES: u64 = 8;
/// How long an activation may be of unknown fate.
const PATIENCE: Duration = Duration::from_secs(60);

/// A licence that was activated, and on how many machines.
#[derive(Clone, Debug)]
pub struct Activation {
    /// The licence.
    pub license_id: String,
    /// Machines that were acknowledged.
    pub machines: usize,
    /// How often an answer did not arrive.
    pub lost_answers: u32,
}

/// What the clients did.
#[derive(Debug, Default)]
pub struct Done {
    /// Commands.
    pub records: Vec<Record>,
    /// Activations.
    pub activations: Vec<Activation>,
}

/// The clients at work.
pub struct Load(JoinSet<Done>);

impl Load {
    /// Starts all clients.
    pub fn start(world: &Arc<World>, dice: &Dice) -> Self {
        let mut clients = JoinSet::new();
        for number in 0..CLIENTS + MACHINES {
            let (world, mut dice) = (world.clone(), dice.fork(number));
            clients.spawn(async move {
                let mut done = Done::default();
                while !world.is_stopped() {
                    if number < CLIENTS {
                        agent_step(&world, &mut dice, &mut done.records).await;
                    } else if let Some(key) = world.take_key() {
                        done.activations.push(activate(&world, &mut dice, key).await);
                    } else {
                        break;
                    }
                }
                done
            });
        }
        Self(clients)
    }

    /// Waits until every client has finished what it is at.
    pub async fn finish(mut self) -> Done {
        let mut all = Done::default();
        while let Some(done) = self.0.join_next().await {
            let done = done.expect("a client failed");
            all.records.extend(done.records);
            all.activations.extend(done.activations);
        }
        all
    }
}

/// One thing that an agent, or an admin, does.
async fn agent_step(world: &World, dice: &mut Dice, records: &mut Vec<Record>) {
    let count = world.agents.len() as u64;
    let agent = usize::try_from(dice.next() % count).unwrap();
    let other = usize::try_from(dice.next() % count).unwrap();
    let token = world.agents[agent].token.as_str();
    let amount = i64::try_from(dice.within(1, 500)).unwrap();
    // One in twenty spends more than there can be: what is refused must leave nothing.
    let spent = if dice.chance(5) { 90_000_000_000 } else { amount };
    match dice.next() % 10 {
        0..5 => {
            let body = json!({ "to_username": world.agents[other].username, "amount": spent, "note": "load" });
            let intent = Intent::Transfer { from: agent, to: other, amount: spent };
            let path = "/v1/quota/transfers".to_owned();
            records.push(world.perform(dice, Command { intent, token, path, body }).await);
        }
        5 => {
            let body = json!({ "agent_id": world.agents[other].id, "amount": amount });
            let intent = Intent::TopUp { to: other, amount };
            let path = "/v1/quota/top-ups".to_owned();
            records.push(world.perform(dice, Command { intent, token: &world.vendor.token, path, body }).await);
        }
        6 => {
            // An agent admin pays for those below it; to all others this is refused.
            let body = json!({ "agent_id": world.agents[other].id, "amount": amount });
            let intent = Intent::PaidTopUp { from: 0, to: other, amount };
            let (token, path) = (world.agents[0].token.as_str(), "/v1/quota/top-ups".to_owned());
            records.push(world.perform(dice, Command { intent, token, path, body }).await);
        }
        7 => {
            let count = u32::try_from(dice.within(1, 12)).unwrap();
            records.push(request_batch(world, dice, agent, count).await);
        }
        _ => withdraw(world, dice, agent, spent, records).await,
    }
}

/// Asks for licences in the name of an agent.
pub async fn request_batch(world: &World, dice: &mut Dice, agent: usize, count: u32) -> Record {
    let body = json!({ "project_id": world.project.id, "plan_id": world.plan_id, "count": count });
    let intent = Intent::Batch { agent, count: i64::from(count) };
    let (token, path) = (world.agents[agent].token.as_str(), "/v1/license-batches".to_owned());
    world.perform(dice, Command { intent, token, path, body }).await
}

/// Asks for money, and an admin decides on it.
async fn withdraw(world: &World, dice: &mut Dice, agent: usize, amount: i64, records: &mut Vec<Record>) {
    let body = json!({ "amount": amount, "payee": { "bank": "First", "account_number": "6222021234567890" } });
    let intent = Intent::Withdrawal { agent, amount };
    let (token, path) = (world.agents[agent].token.as_str(), "/v1/withdrawals".to_owned());
    let asked = world.perform(dice, Command { intent, token, path, body }).await;
    let id = match &asked.fate {
        Fate::Acknowledged { id, .. } => Some(id.clone()),
        Fate::Refused(_) => None,
    };
    records.push(asked);
    // Some stay open.
    let Some(id) = id.filter(|_| dice.chance(80)) else { return };
    let approved = dice.chance(50);
    let intent = Intent::Decision { agent, amount, approved };
    let path = format!("/v1/withdrawals/{id}/{}", if approved { "approve" } else { "refuse" });
    let command = Command { intent, token: &world.vendor.token, path, body: json!({}) };
    records.push(world.perform(dice, command).await);
}

/// Uses a licence on one or two machines.
async fn activate(world: &World, dice: &mut Dice, key: &str) -> Activation {
    let machines = if dice.chance(30) { 2 } else { 1 };
    let mut activation = Activation { license_id: String::new(), machines, lost_answers: 0 };
    for machine in 0..machines {
        let body =
            json!({ "key": key, "machine": { "fingerprint": format!("machine {machine} of {key}"), "name": "desk" } });
        let start = Instant::now();
        let answer = loop {
            let url = world.address(dice).await;
            if let Some(answer) = verify(world, &url, &body).await {
                break answer;
            }
            activation.lost_answers += 1;
            assert!(start.elapsed() < PATIENCE, "an activation stays unknown");
            world.news().await;
        };
        assert_eq!(answer.body["code"], "VALID", "{}", answer.text);
        answer.body["license"]["id"].as_str().unwrap().clone_into(&mut activation.license_id);
        world.acknowledged.send_modify(|count| *count += 1);
    }
    activation
}

/// Sends a signed request once; `None` if that leaves its outcome unknown.
async fn verify(world: &World, url: &str, body: &serde_json::Value) -> Option<Answer> {
    let request = world.project.key.request(&world.http, url, "/v1/client/licenses/verify", body);
    let _under_way = UnderWay::begin(&world.in_flight);
    let answer = Answer::read(request.send().await.ok()?).await.ok()?;
    if answer.status == 503 {
        return None;
    }
    Some(answer.expect(200))
}
