//! The fault harness: clients under load, faults of every kind while their writes are in flight, and afterwards every
//! promise checked against the log, the read models, the stream and a model of the ledger.
//!
//! What always holds: a fault that hit nothing does not count, whatever an answer was lost of is asked again until it is
//! known, and only processes that the harness itself started are touched. `docs/faults.md` says how to read the table.

mod bus;
mod cable;
mod checks;
mod client;
mod connections;
mod database;
mod judge;
mod kind;
mod load;
mod log;
mod model;
mod node;
mod processes;
mod record;
mod report;
mod requests;
mod sabotage;
mod sales;
mod seal;
mod stage;
mod tally;
mod watchdog;
mod world;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use futures::future::join_all;
use quotary::embedded::{EmbeddedConfig, Nats, Postgres, Profile};

use self::checks::Findings;
use self::kind::Kind;
use self::node::Node;
use self::record::Done;
use self::seal::Seal;
use self::stage::Stage;
use self::tally::Tally;
use self::world::World;
use crate::support::dice::Dice;
use crate::support::installation::Installation;

/// The processes of an installation.
const PROCESSES: [&str; 4] = ["serve", "api", "serve", "worker"];
/// Faults of each kind on one installation; then a new one, so that what has to be replayed stays small.
const ON_ONE_INSTALLATION: u64 = 25;
/// How long the faults of one installation may take.
const TIME: Duration = Duration::from_secs(360);
/// What a run of that length has done, in every way of moving quota.
const EXPECTED: [&str; 22] = [
    "QuotaToppedUp",
    "QuotaSent",
    "QuotaReceived",
    "QuotaHeld",
    "HoldSettled",
    "HoldReleased",
    "HoldExpired",
    "CommissionEarned",
    "QuotaTakenBack",
    "QuotaGivenBack",
    "TransferReleased",
    "TransferRefused",
    "TransferExpired",
    "WithdrawalReleased",
    "WithdrawalCancelled",
    "WithdrawalExpired",
    "WithdrawalPaid",
    "OrderPaid",
    "OrderRefunded",
    "BatchRefunded",
    "JournalReversed",
    "ActConfirmed",
];
/// Installations beyond those planned, for faults that hit nothing.
const MORE_INSTALLATIONS: u64 = 3;

/// How a run goes.
#[derive(Clone, Debug)]
pub struct Options {
    /// The same seed gives the same throws of each client and of each lane of faults.
    pub seed: u64,
    /// How many faults of each kind.
    pub faults: u64,
    /// Whether to write `target/fault.json`.
    pub report: bool,
    /// The names of the kinds that are wanted; all if there are none.
    pub only: Vec<String>,
}

/// Runs the whole harness, writes `target/fault.json`, and fails if anything was found.
pub async fn run(options: Options) {
    let start = Instant::now();
    let Options { seed, faults, report, only } = options;
    let named = only.iter().map(|name| Kind::named(name).unwrap_or_else(|| panic!("there is no kind {name}")));
    let kinds: Vec<Kind> = if only.is_empty() { Kind::ALL.to_vec() } else { named.collect() };
    println!("seed {seed} (QUOTARY_FAULT_SEED repeats it), {faults} faults of every kind");
    let place = tempfile::Builder::new().prefix("quotary-fault-servers-").tempdir_in(fast_place()).unwrap();
    let config = EmbeddedConfig::new(place.path(), Profile::Test);
    let mut postgres = Postgres::start(&config).await.unwrap();
    let mut nats = Nats::start(&config).await.unwrap();
    let store = place.path().join("nats").join("store");
    let (tally, mut findings) = (Arc::<Tally>::default(), Findings::default());
    let planned = faults.div_ceil(ON_ONE_INSTALLATION);
    for number in 0..planned + MORE_INSTALLATIONS {
        tally.aim_at(faults.min((number + 1) * ON_ONE_INSTALLATION), &kinds);
        if number >= planned && tally.missing(&Kind::ALL).is_empty() {
            break;
        }
        let dice = Dice::new(seed).fork(number + 1);
        let is_last = number + 1 == planned;
        one_installation(&mut postgres, &mut nats, &store, &tally, &mut findings, &dice, is_last).await;
        let missing: Vec<&str> = tally.missing(&Kind::ALL).into_iter().map(Kind::name).collect();
        println!(
            "{:>6.1} s  installation {number} is done; not enough yet: {missing:?}",
            start.elapsed().as_secs_f64()
        );
        if !findings.violations.is_empty() {
            break;
        }
    }
    for kind in tally.missing(&Kind::ALL) {
        findings.violations.push(format!("there were not enough faults of the kind {}", kind.name()));
    }
    nats.stop().await.unwrap();
    postgres.stop().await.unwrap();
    report::print(&tally, &findings);
    if report {
        println!("{}", report::write(&report::json(seed, &tally, &findings)).display());
    }
    assert_eq!(findings.violations, Vec::<String>::new(), "seed {seed}");
    assert!(findings.ambiguous > 0 && !findings.refused.is_empty(), "the load was not what it should be");
    if faults >= ON_ONE_INSTALLATION {
        let absent: Vec<&str> = EXPECTED.into_iter().filter(|kind| !findings.types.contains_key(*kind)).collect();
        assert_eq!(absent, Vec::<&str>::new(), "the load did not do everything");
    }
}

/// Where the servers' files are: in memory if there is such a place. A killed process loses nothing of what it wrote there
/// either, and a PostgreSQL that was killed syncs all its files before it starts, which takes a busy disk many seconds.
fn fast_place() -> PathBuf {
    let in_memory = PathBuf::from("/dev/shm");
    if in_memory.is_dir() { in_memory } else { std::env::temp_dir() }
}

/// Faults on an installation of its own, and the checks afterwards.
async fn one_installation(
    postgres: &mut Postgres,
    nats: &mut Nats,
    store: &Path,
    tally: &Arc<Tally>,
    findings: &mut Findings,
    dice: &Dice,
    is_last: bool,
) {
    let mut installation = Installation::on("fault", postgres.database_url(), nats.nats_url().to_owned()).await;
    let seal = Seal::of(&mut installation);
    let mut nodes = Vec::new();
    for kind in PROCESSES {
        nodes.push(Arc::new(Node::new(kind, installation.database_url()).await));
    }
    let in_flight = Arc::<AtomicU64>::default();
    let stage = Arc::new(Stage::new(installation, nodes, tally.clone(), in_flight, TIME));
    let first = stage.nodes[0].start(&stage).await;
    let url = stage.nodes[0].url.borrow().clone().unwrap_or_default();
    let world = Arc::new(World::build(&stage.installation, &url).await);
    let mut processes = vec![first];
    for node in &stage.nodes[1..] {
        processes.push(node.start(&stage).await);
    }
    println!("          the vendor stands, at {}", world.begins_after);
    let mut load = load::start(&stage, &world, &dice.fork(1_000));

    let lanes = stage.nodes.iter().zip(processes).enumerate().map(|(place, (node, process))| {
        let dice = dice.fork(2_000 + place as u64);
        let stage = &stage;
        async move {
            let cuts = async {
                if node.serves() {
                    connections::cuts(stage, node, dice.fork(1)).await;
                }
            };
            let clock = connections::clock(stage, node, dice.fork(2));
            tokio::join!(processes::lane(stage, node, process, dice.fork(3)), cuts, clock).0
        }
    });
    let faults = async {
        let lanes = tokio::join!(
            join_all(lanes),
            database::lane(&stage, postgres, dice.fork(3_000)),
            bus::lane(&stage, nats, store, dice.fork(4_000)),
            requests::enough(&stage),
        );
        stage.end();
        lanes.0
    };
    let (mut processes, longest) = tokio::join!(faults, watchdog::watch(&stage));
    findings.longest_standstill = findings.longest_standstill.max(longest);
    let mut done = Done::default();
    while let Some(client) = load.join_next().await {
        match client {
            Ok(client) => done.absorb(client),
            Err(error) => stage.violation(format!("a client failed: {error}")),
        }
    }
    println!("          the faults are over, {} commands", done.records.len());
    crate::support::derived::all_batches_done(&stage.installation).await;
    findings.check(&stage, &world, &seal, done, is_last).await;
    for (process, kind) in processes.iter_mut().zip(PROCESSES) {
        let status = process.terminate().await;
        if !status.success() {
            findings.violations.push(format!("a {kind} ended with {status}: {}", process.diagnostics()));
        }
    }
    drop(processes);
    let Ok(stage) = Arc::try_unwrap(stage) else { panic!("somebody still holds the stage") };
    stage.installation.finish().await;
}
