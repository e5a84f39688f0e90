//! The table that a run ends with, and `target/fault.json`.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::checks::Findings;
use super::judge::Resolved;
use super::tally::Tally;

/// The report in numbers, for scripts.
pub fn json(seed: u64, tally: &Tally, findings: &Findings) -> Value {
    let Resolved { done, not_done, refused, unresolved } = findings.resolved;
    json!({
        "seed": seed,
        "faults": tally.report(),
        "acknowledged": findings.acknowledged,
        "refused": findings.refused.values().sum::<usize>(),
        "refused_by_code": findings.refused,
        "ambiguous": findings.ambiguous,
        "lost_answers": findings.lost,
        "resolved": { "done": done, "not_done": not_done, "refused": refused, "unresolved": unresolved },
        "checked": {
            "events": findings.events,
            "journals": findings.journals,
            "types": findings.types,
            "holds": findings.holds,
            "chunks": findings.chunks,
            "disabled": findings.disabled,
            "sealed": findings.sealed,
            "expired": findings.expired,
            "repeated_answers": findings.repeats,
            "balances_read": findings.readings,
            "rows_of_read_models": findings.rows,
            "messages_of_streams": findings.messages,
        },
        "longest_standstill_ms": u64::try_from(findings.longest_standstill.as_millis()).unwrap(),
        "violations": findings.violations,
    })
}

/// Writes `fault.json` beside what cargo builds; where.
pub fn write(report: &Value) -> PathBuf {
    let built = PathBuf::from(env!("CARGO_BIN_EXE_quotary"));
    let path = built.ancestors().nth(2).unwrap().join("fault.json");
    std::fs::write(&path, format!("{report:#}\n")).unwrap();
    path
}

/// The table for people.
pub fn print(tally: &Tally, findings: &Findings) {
    println!("\n{:<30} {:>7} {:>9} {:>26}", "fault", "count", "not run", "writes in flight");
    println!("{:<30} {:>7} {:>9} {:>9} {:>7} {:>8}", "", "", "", "total", "least", "most");
    for (kind, hits) in tally.hits() {
        let (name, count, not_run) = (kind.name(), hits.count, hits.not_run);
        println!("{name:<30} {count:>7} {not_run:>9} {:>9} {:>7} {:>8}", hits.total, hits.min, hits.max);
    }
    let Resolved { done, not_done, refused, unresolved } = findings.resolved;
    let say = |what: &str, figures: String| println!("{:<72} {figures}", format!("{what}:"));
    println!();
    say("acknowledged, each in the log once and as the model predicts", findings.acknowledged.to_string());
    say("  of those with nothing to write, as the model predicts", findings.already.to_string());
    say("refused, as the model predicts, none in the log", format!("{:?}", findings.refused));
    say("repeated answers, identical to the first", findings.repeats.to_string());
    say("commands of which an answer was lost", findings.ambiguous.to_string());
    say("  because of", format!("{:?}", findings.lost));
    say("  had been done / done by the repeat / refused", format!("{done} / {not_done} / {refused}"));
    say("  never resolved", unresolved.to_string());
    say("balances read, each as of its position and not too late", findings.readings.to_string());
    say("chunks of licences issued, as the model predicts", findings.chunks.to_string());
    say("licences of refunded batches disabled, as the model predicts", findings.disabled.to_string());
    say("events sealed, and verified from a bundle", findings.sealed.to_string());
    say("suspended movements that ended by themselves, as the model predicts", findings.expired.to_string());
    let ledger = format!("{}, {} journals, {} holds", findings.events, findings.journals, findings.holds);
    say("events: dense, streams whole, times rise, the ledger balances at each", ledger);
    say("  by type", format!("{:?}", findings.types));
    say("rows of read models equal to a replay", findings.rows.to_string());
    say("messages at their event's position in the stream", findings.messages.to_string());
    say("longest time in which nothing was acknowledged", format!("{:?}", findings.longest_standstill));
    say("violations", findings.violations.len().to_string());
    for violation in &findings.violations {
        println!("  {violation}");
    }
}
