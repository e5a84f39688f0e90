//! `quotary bench`: measures on private servers.

use std::path::PathBuf;

use clap::Args;
use quotary::bench;

use super::Failure;

#[derive(Args)]
pub struct Bench {
    /// Only measurements whose name starts with this.
    #[arg(long)]
    only: Option<String>,
    /// Where the lines go.
    #[arg(long, default_value = "target/bench.jsonl")]
    out: PathBuf,
    /// The orders to import (`customer,date,quantity,amount_cents`); without them that measurement is left out, and
    /// says so.
    #[arg(long)]
    orders: Option<PathBuf>,
}

impl Bench {
    pub async fn run(self) -> Result<(), Failure> {
        bench::run(&bench::Options { only: self.only, out: self.out, orders: self.orders }).await
    }
}
