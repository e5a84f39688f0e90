//! The crash harness: clients under load, processes killed with SIGKILL at all kinds of moments, and afterwards every
//! promise checked against the log, the read models and the stream.

mod command;
mod load;
mod log;
mod rounds;
mod world;

use std::sync::Arc;
use std::time::Instant;

use self::load::Load;
use self::rounds::{Cluster, Round};
use self::world::{OPENING, World};
use crate::support::derived;
use crate::support::dice::Dice;
use crate::support::installation::Installation;

/// How a run goes.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The same seed gives the same plans and the same throws of each client.
    pub seed: u64,
    /// How many kills.
    pub rounds: u64,
}

/// Runs the whole harness.
pub async fn run(options: Options) {
    let start = Instant::now();
    println!("seed {} (QUOTARY_FAULT_SEED repeats it), {} rounds", options.seed, options.rounds);
    let dice = Dice::new(options.seed);
    let installation = Installation::new("crash").await;
    let first = installation.start("serve").await;
    let world = Arc::new(World::build(&installation, &first.url).await);
    println!("{:>6.1} s  the vendor stands", start.elapsed().as_secs_f64());
    let load = Load::start(&world, &dice.fork(1_000));
    let mut cluster =
        Cluster { installation: &installation, world: world.clone(), servers: vec![first], records: vec![], seen: 0 };
    let mut round_dice = dice.fork(2_000);
    let mut rounds = Vec::new();
    for number in 0..options.rounds {
        let plan = rounds::plan(number, &mut round_dice);
        let round = cluster.round(plan, &mut round_dice).await;
        tell(number, &round, start);
        rounds.push(round);
    }
    world.stop();
    let mut done = load.finish().await;
    done.records.append(&mut cluster.records);
    derived::all_batches_done(&installation).await;
    let head = derived::caught_up(&installation).await;
    println!("{:>6.1} s  the log ends at {head}, everything has caught up", start.elapsed().as_secs_f64());
    check(&installation, &world, &done, &rounds).await;
    for server in &mut cluster.servers {
        assert!(server.process.terminate().await.success(), "{}", server.process.diagnostics());
    }
    assert_eq!(installation.failures(), Vec::<String>::new(), "a process met a failure of the inside");
    drop(cluster);
    installation.finish().await;
    println!("{:>6.1} s  done", start.elapsed().as_secs_f64());
}

fn tell(number: u64, round: &Round, start: Instant) {
    println!(
        "{:>6.1} s  round {number:>2}: {:<13} killed {:<18} {:<27} in flight {:>3}, licences open {:>5}, \
         acknowledged before {:>5}, up again after {:>4} ms{}",
        start.elapsed().as_secs_f64(),
        round.plan.processes.join("+"),
        round.plan.victims.iter().map(|&victim| round.plan.processes[victim]).collect::<Vec<_>>().join(" and "),
        format!("{:?}", round.plan.moment),
        round.in_flight,
        round.licenses_open,
        round.acknowledged,
        round.restart.as_millis(),
        if round.plan.stream_lost { ", the stream was lost too" } else { "" },
    );
}

/// Every promise, one after the other; a line each.
async fn check(installation: &Installation, world: &World, done: &load::Done, rounds: &[Round]) {
    let say = |what: &str, figures: String| println!("{:<58} {figures}", format!("{what}:"));
    println!("\n-- what was promised --");
    let counted = rounds.iter().filter(|round| round.counts()).count();
    let in_flight: usize = rounds.iter().map(|round| round.in_flight).sum();
    say("kills that met something", format!("{counted} of {}, {in_flight} requests in flight", rounds.len()));
    let log = log::read(&installation.pool).await;
    let tally = log::compare(&log, done);
    say("acknowledged commands, each in the log exactly once", tally.acknowledged.to_string());
    say("activations, each in the log exactly once", tally.activations.to_string());
    say("refused commands, none in the log", format!("{} {:?}", tally.refused, tally.refusals));
    say("answers lost, each resolved to one outcome", format!("{}, {} had been done", tally.ambiguous, tally.stored));
    let verified = installation.run(&["log", "verify"]).await;
    say("the ledger sums to zero at every position", verified.trim().to_owned());
    let expected = log::balances(world.agents.len(), OPENING, &done.records);
    let replayed = derived::replayed(installation).await;
    let read = derived::balances(installation).await;
    for (agent, told) in world.agents.iter().zip(&expected) {
        assert_eq!(&replayed[&agent.id], told, "what {} was told is not what the log says", agent.username);
    }
    assert_eq!(read, replayed, "read.balances is not what the log says");
    say("balances equal to what clients were told, and to a replay", expected.len().to_string());
    let views = derived::check_read_models(installation).await;
    say("rows of read models equal to a replay", format!("{views:?}"));
    let positions: Vec<(i64, uuid::Uuid)> = log.iter().map(|event| (event.position, event.event_id)).collect();
    derived::check_stream(installation, &positions).await;
    say("messages at their event's position in the stream", log.len().to_string());
    assert_eq!(counted, rounds.len(), "a kill that met nothing does not count");
    assert!(tally.ambiguous > 0 && tally.refused > 0 && tally.activations > 0, "the load was not what it should be");
}
