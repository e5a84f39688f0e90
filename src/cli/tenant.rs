//! `quotary tenant`: makes vendors.

use clap::Subcommand;
use quotary::config::Config;
use quotary_commands::license_key::LicenseKey;
use quotary_commands::tenant::create::CreateTenant;
use quotary_domain::account::Username;
use zeroize::Zeroizing;

use super::{Failure, commands, open};

#[derive(Subcommand)]
pub enum Tenant {
    /// Makes a tenant with its first super admin and prints a password that must be changed at the first login.
    Create {
        /// The tenant's name.
        #[arg(long)]
        name: String,
        /// The super admin's login name.
        #[arg(long, default_value = "admin")]
        username: String,
        /// The super admin's e-mail address.
        #[arg(long)]
        email: String,
    },
}

impl Tenant {
    #[expect(clippy::print_stdout, reason = "this is the command's output")]
    pub async fn run(self, config: &Config) -> Result<(), Failure> {
        let Self::Create { name, username, email } = self;
        let commands = commands(config, open(config).await?)?;
        let password = Zeroizing::new(LicenseKey::generate()?.as_str().to_lowercase());
        let tenant = CreateTenant {
            name,
            username: Username::parse(&username)?,
            email,
            password: password.clone(),
            must_change_password: true,
        };
        let created = commands.create_tenant(tenant).await?.value;
        println!("tenant {} with super admin {username}, password {}", created.tenant_id, password.as_str());
        Ok(())
    }
}
