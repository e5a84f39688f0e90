//! Faults of a process' connections and of its clock: cut at a point of the protocol, and leaps by hours.

use std::time::Duration;

use super::cable::Cut;
use super::kind::Kind;
use super::node::Node;
use super::stage::Stage;
use crate::support::dice::Dice;

/// How long an append may be in coming.
const APPEND_WITHIN: Duration = Duration::from_secs(2);
/// The clock is wrong by so many milliseconds at most, either way: twelve hours.
pub const WRONG_BY_AT_MOST: i64 = 12 * 3_600_000;
/// The shortest leap: an hour.
const LEAP_AT_LEAST: i64 = 3_600_000;

/// Cuts the process' connections until that was done often enough.
pub async fn cuts(stage: &Stage, node: &Node, mut dice: Dice) {
    let kinds = [Kind::CutBeforeAppend, Kind::CutDuringAppend, Kind::CutAnswer];
    while let Some(kind) = stage.next_fault(&kinds, &mut dice).await {
        let cut = match kind {
            Kind::CutBeforeAppend => Cut::BeforeAppend,
            Kind::CutDuringAppend => Cut::DuringAppend,
            _ => Cut::Answer,
        };
        if !stage.progress(node.progress(stage), 1).await {
            return stage.tally.put_back(kind);
        }
        let told = node.cable.arm(cut);
        if let Ok(Ok(in_flight)) = tokio::time::timeout(APPEND_WITHIN, told).await {
            stage.tally.hit(kind, in_flight);
        } else {
            // No append came, or the server ended the connection before the cut.
            node.cable.disarm();
            stage.tally.put_back(kind);
        }
    }
}

/// Moves the process' clock until that was done often enough.
pub async fn clock(stage: &Stage, node: &Node, mut dice: Dice) {
    let mut wrong_by = 0;
    while let Some(kind) = stage.next_fault(&[Kind::ClockForward, Kind::ClockBack], &mut dice).await {
        if !stage.progress(node.progress(stage), 1).await {
            return stage.tally.put_back(kind);
        }
        let (low, high) = if kind == Kind::ClockForward {
            (wrong_by + LEAP_AT_LEAST, WRONG_BY_AT_MOST)
        } else {
            (-WRONG_BY_AT_MOST, wrong_by - LEAP_AT_LEAST)
        };
        if low >= high {
            // It stands at its end already.
            stage.tally.put_back(kind);
            wrong_by = 0;
            node.set_clock(wrong_by);
            continue;
        }
        let in_flight = node.writes_in_flight(stage);
        if in_flight > 0 {
            wrong_by = low + i64::try_from(dice.within(0, (high - low).unsigned_abs())).unwrap();
            node.set_clock(wrong_by);
        }
        stage.tally.hit(kind, in_flight);
    }
}
