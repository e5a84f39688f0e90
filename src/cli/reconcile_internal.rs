//! `quotary reconcile internal`: the read models with the log.

use std::process::ExitCode;

use quotary::config::Config;
use quotary_workers::reconcile::record::compare_only;
use serde_json::json;

use super::{Failure, open_to_read};

/// Compares and prints: a line with the result, then a line for each difference.
#[expect(clippy::print_stdout, reason = "this is the command's output")]
pub async fn run(config: &Config, full: bool) -> Result<ExitCode, Failure> {
    let pool = open_to_read(config).await?;
    let compared = match compare_only(&pool, full).await? {
        Ok(compared) => compared,
        Err(incomplete) => {
            let reason = incomplete.reason().as_str();
            println!("{}", json!({ "result": "incomplete", "reason": reason, "detail": incomplete.to_string() }));
            return Ok(ExitCode::from(2));
        }
    };
    let result = if compared.is_pass() { "pass" } else { "differences" };
    println!(
        "{}",
        json!({
            "result": result,
            "from_position": compared.from_position,
            "position": compared.position,
            "checked": compared.checked,
            "counts": compared.counts,
            "log_digest": compared.log_digest,
        })
    );
    for difference in &compared.differences {
        println!("{}", serde_json::to_string(difference)?);
    }
    Ok(if compared.is_pass() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
