//! Faults of the bus: nats-server killed, its store deleted, frozen; the stream deleted.

use std::path::Path;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use quotary::embedded::Nats;

use super::kind::Kind;
use super::stage::Stage;
use crate::support::dice::Dice;

/// A fault comes within so many milliseconds.
const MOMENT_MS: u64 = 150;
/// How many commands are acknowledged between two faults at least.
const BETWEEN: u64 = 5;

const KINDS: [Kind; 4] = [Kind::NatsKilled, Kind::NatsStoreDeleted, Kind::NatsFrozen, Kind::StreamDeleted];

/// Brings faults about until there are enough; nats-server, whose store is `store`, runs at the end.
pub async fn lane(stage: &Stage, nats: &mut Nats, store: &Path, mut dice: Dice) {
    while let Some(kind) = stage.next_fault(&KINDS, &mut dice).await {
        if !stage.progress(&stage.acknowledged, BETWEEN).await {
            stage.violation("nothing is acknowledged any more after a fault of the bus".to_owned());
            stage.tally.put_back(kind);
            break;
        }
        stage.some_moment(&mut dice, MOMENT_MS).await;
        let in_flight = stage.writes_in_flight();
        if in_flight == 0 {
            stage.tally.missed(kind);
            continue;
        }
        match kind {
            Kind::NatsFrozen => {
                let pid = Pid::from_raw(nats.pid().cast_signed());
                kill(pid, Signal::SIGSTOP).unwrap();
                tokio::time::sleep(Stage::freeze_time(&mut dice)).await;
                kill(pid, Signal::SIGCONT).unwrap();
            }
            Kind::StreamDeleted => {
                let stream = stage.installation.names.stream();
                if stage.installation.nats.delete_stream(stream).await.is_err() {
                    // It is not there: the relay has not made it anew yet.
                    stage.tally.put_back(kind);
                    continue;
                }
            }
            _ => {
                nats.kill().await.unwrap();
                if kind == Kind::NatsStoreDeleted && store.exists() {
                    std::fs::remove_dir_all(store).unwrap();
                }
                nats.restart().await.unwrap();
            }
        }
        stage.tally.hit(kind, in_flight);
    }
}
