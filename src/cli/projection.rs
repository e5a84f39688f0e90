//! `quotary projection`: read models.

use std::sync::Arc;

use clap::Subcommand;
use quotary::config::Config;
use quotary_projections::generation::{self, Generation, Leftover};
use quotary_projections::log_reader::LogReader;
use quotary_projections::projection::Projection as ReadModel;
use quotary_projections::rebuild::rebuild;
use quotary_projections::{
    accounts, audit, cases, holds, journals, ledger, license_ends, license_stats, licenses, movements, notices, orders,
    projects, proposals, reconciliations, withdrawals,
};
use sqlx::PgPool;

use super::{Failure, open};

#[derive(Subcommand)]
pub enum Projection {
    /// Every read model and where it stands.
    List,
    /// Builds a read model anew beside the one that serves, and switches when it has caught up.
    Rebuild {
        /// The read model's name.
        name: String,
    },
}

impl Projection {
    #[expect(clippy::print_stdout, reason = "this is the command's output")]
    pub async fn run(self, config: &Config) -> Result<(), Failure> {
        let pool = open(config).await?;
        match self {
            Self::List => {
                for Generation { name, generation, version, checkpoint, state } in generation::list(&pool).await? {
                    println!("{name:<16} generation {generation} version {version} at {checkpoint} {}", state.as_str());
                }
            }
            Self::Rebuild { name } => {
                let built = match name.as_str() {
                    "accounts" => anew(&pool, accounts::Accounts).await?,
                    "audit" => anew(&pool, audit::Audit).await?,
                    "holds" => anew(&pool, holds::Holds).await?,
                    "journals" => anew(&pool, journals::Journals).await?,
                    "ledger" => anew(&pool, ledger::Ledger).await?,
                    "license_ends" => anew(&pool, license_ends::LicenseEnds).await?,
                    "license_stats" => anew(&pool, license_stats::LicenseStatistics).await?,
                    "reconciliations" => anew(&pool, reconciliations::Reconciliations).await?,
                    "cases" => anew(&pool, cases::Cases).await?,
                    "licenses" => anew(&pool, licenses::Licenses).await?,
                    "movements" => anew(&pool, movements::Movements).await?,
                    "notices" => anew(&pool, notices::Notices).await?,
                    "orders" => anew(&pool, orders::Orders).await?,
                    "proposals" => anew(&pool, proposals::Proposals).await?,
                    "projects" => anew(&pool, projects::Projects).await?,
                    "withdrawals" => anew(&pool, withdrawals::Withdrawals).await?,
                    _ => return Err(format!("there is no read model {name}; `projection list` shows them").into()),
                };
                println!("{} serves generation {} at {}", built.name, built.generation, built.checkpoint);
            }
        }
        Ok(())
    }
}

async fn anew<P: ReadModel>(pool: &PgPool, projection: P) -> Result<Generation, Failure>
where
    P::Rows: 'static,
{
    let (projection, log) = (Arc::new(projection), Arc::new(LogReader::new(pool.clone())));
    Ok(rebuild(pool, &projection, &log, Leftover::Discard).await?)
}
