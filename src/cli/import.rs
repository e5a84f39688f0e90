//! `quotary import`: brings a vendor's history.

use std::io::IsTerminal as _;
use std::path::PathBuf;

use clap::Subcommand;
use quotary::config::Config;
use quotary::{demo, import};
use quotary_commands::account::claims::find_tenant;

use super::{Failure, commands, open};

#[derive(Subcommand)]
pub enum Import {
    /// Orders as CSV with the columns `customer,date,quantity,amount_cents`. A second run adds nothing; one that was stopped goes on.
    Orders {
        /// The file.
        file: PathBuf,
        /// The vendor's tenant.
        #[arg(long)]
        tenant: String,
        /// The super admin in whose name it is done.
        #[arg(long = "as", default_value = "admin")]
        username: String,
    },
}

impl Import {
    #[expect(clippy::print_stdout, reason = "this is the command's output")]
    pub async fn run(self, config: &Config) -> Result<(), Failure> {
        let Self::Orders { file, tenant, username } = self;
        let pool = open(config).await?;
        let commands = commands(config, pool.clone())?;
        let tenant_id = find_tenant(&pool, Some(&tenant)).await?.ok_or("there is no such tenant")?;
        let admin = demo::super_admin(&commands, &pool, tenant_id, &username).await?;
        let imported = import::orders::run(&commands, admin, &file, std::io::stderr().is_terminal()).await?;
        println!(
            "{} orders with {} licences for {} minor units; {} orders were added",
            imported.orders, imported.licenses, imported.amount, imported.added
        );
        Ok(())
    }
}
