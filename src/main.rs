//! scratch
use quotary::bench::{commands, report::Report, transfers};
use quotary::embedded::{EmbeddedConfig, Profile, Servers};
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    tracing_subscriber::fmt().with_env_filter("warn").init();
    let servers = Servers::start(&EmbeddedConfig::new("/tmp/lead-bench", Profile::Bench)).await?;
    let mut report = Report::create(std::path::Path::new("/tmp/bench.jsonl"))?;
    for n in [1, 64, 512] { commands::measure(&servers, &mut report, n).await?; }
    transfers::measure(&servers, &mut report).await?;
    eprintln!("{}", report.table());
    servers.stop().await?;
    Ok(())
}
