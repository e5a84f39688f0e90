//! Faults of a process: killed at a random moment or at a point of its code, or frozen for longer than every time-out.

use std::time::Duration;

use quotary_commands::fault_point;

use super::kind::Kind;
use super::node::{Node, POINTS};
use super::stage::Stage;
use crate::support::dice::Dice;
use crate::support::process::Process;

/// A fault at a random moment comes within so many milliseconds.
const MOMENT_MS: u64 = 150;
/// How long a process may take to come to a point. One that does not lead never publishes.
const REACHED_WITHIN: Duration = Duration::from_millis(800);

/// How long a lane leaves a fault to others that it could not bring about.
const TURN: Duration = Duration::from_millis(200);

const OF_API: [Kind; 5] =
    [Kind::KillApi, Kind::BeforeAppend, Kind::AfterAppend, Kind::BeforeAcknowledgement, Kind::ZombieApi];
const OF_WORKER: [Kind; 4] = [Kind::KillWorker, Kind::AfterPublish, Kind::BeforeCheckpoint, Kind::ZombieWorker];

/// Brings faults about until there are enough; the process runs at the end.
pub async fn lane(stage: &Stage, node: &Node, mut process: Process, mut dice: Dice) -> Process {
    let kinds: Vec<Kind> = match node.kind {
        "api" => OF_API.to_vec(),
        "worker" => OF_WORKER.to_vec(),
        _ => OF_API.into_iter().chain(OF_WORKER).collect(),
    };
    while let Some(kind) = stage.next_fault(&kinds, &mut dice).await {
        if process.has_ended() {
            stage.violation(format!("a {} ended by itself: {}", node.kind, process.diagnostics()));
            node.is_down();
            process = node.start(stage).await;
        }
        if !stage.progress(node.progress(stage), 1).await {
            stage.violation(format!("a {} acknowledges nothing any more: {}", node.kind, process.diagnostics()));
            stage.tally.put_back(kind);
            break;
        }
        match kind {
            Kind::ZombieApi | Kind::ZombieWorker => zombie(stage, node, &process, kind, &mut dice).await,
            _ => {
                if kill(stage, node, &mut process, kind, &mut dice).await {
                    node.is_down();
                    process = node.start(stage).await;
                }
            }
        }
    }
    process
}

/// Kills the process if that hits anything; whether it did.
async fn kill(stage: &Stage, node: &Node, process: &mut Process, kind: Kind, dice: &mut Dice) -> bool {
    let point = POINTS.iter().find(|(at, _)| *at == kind).map(|(_, point)| *point);
    if let Some(point) = point {
        if !node.reach(point, REACHED_WITHIN).await {
            stage.tally.put_back(kind);
            // Another process may be the one that leads: it gets its turn.
            tokio::time::sleep(TURN).await;
            return false;
        }
        // Frozen first, so that nothing of it goes on while the writes are counted.
        process.freeze();
    } else {
        stage.some_moment(dice, MOMENT_MS).await;
    }
    let in_flight = node.writes_in_flight(stage);
    stage.tally.hit(kind, in_flight);
    if in_flight == 0 {
        if let Some(point) = point {
            node.disarm(point);
            process.wake();
        }
        return false;
    }
    process.kill().await;
    true
}

/// Freezes the process, at a random moment or at a point, and lets it go on as if nothing had been.
async fn zombie(stage: &Stage, node: &Node, process: &Process, kind: Kind, dice: &mut Dice) {
    let Ok(_one_of_few) = stage.freezers.acquire().await else { return stage.tally.put_back(kind) };
    let points: &[&str] = if kind == Kind::ZombieApi {
        &[fault_point::BEFORE_APPEND, fault_point::AFTER_APPEND, fault_point::BEFORE_ACKNOWLEDGEMENT]
    } else {
        &[fault_point::AFTER_PUBLISH, fault_point::BEFORE_CHECKPOINT]
    };
    let mut point = Some(*dice.pick(points)).filter(|_| dice.chance(60));
    if let Some(name) = point
        && !node.reach(name, REACHED_WITHIN).await
    {
        point = None;
    }
    if point.is_none() {
        stage.some_moment(dice, MOMENT_MS).await;
    }
    process.freeze();
    let in_flight = node.writes_in_flight(stage);
    if in_flight > 0 {
        tokio::time::sleep(Stage::freeze_time(dice)).await;
    }
    // The file goes while the process stands still: it wakes up at the point and goes on at once.
    if let Some(point) = point {
        node.disarm(point);
    }
    process.wake();
    stage.tally.hit(kind, in_flight);
}
