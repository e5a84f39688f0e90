//! `quotary audit`: checks that share nothing with what they check.

use clap::Subcommand;
use quotary::audit::cross_check;
use quotary::config::Config;

use super::{Failure, open_to_read};

#[derive(Subcommand)]
pub enum Audit {
    /// Rebuilds every aggregate through stock cqrs-es and postgres-es and compares.
    Crosscheck,
}

impl Audit {
    #[expect(clippy::print_stdout, reason = "this is the command's output")]
    pub async fn run(self, config: &Config) -> Result<(), Failure> {
        let Self::Crosscheck = self;
        let compared = cross_check::run(&open_to_read(config).await?).await?;
        println!("{compared} aggregates are equal");
        Ok(())
    }
}
