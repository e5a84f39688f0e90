//! Tenant: a vendor with its own users, projects and ledger.

use serde::{Deserialize, Serialize};

use crate::{event_names, impl_aggregate};

/// The state of a tenant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tenant {
    /// Its name, unique in the installation; `None` before creation.
    pub name: Option<String>,
}

/// What can be asked of a tenant.
#[derive(Clone, Debug)]
pub enum TenantCommand {
    /// Comes into being under a name.
    Create {
        /// 2 to 64 characters.
        name: String,
    },
}

/// What happened to a tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TenantEvent {
    /// The tenant came into being.
    TenantCreated {
        /// Its name.
        name: String,
    },
}

event_names!(TenantEvent { TenantCreated });

/// Why a command on a tenant is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TenantError {
    /// The tenant exists under another name.
    #[error("the tenant exists already under the name {0}")]
    Exists(String),
}

impl_aggregate!(Tenant, "Tenant", TenantCommand, TenantEvent, TenantError);

impl Tenant {
    fn decisions(&self, command: TenantCommand) -> Result<Vec<TenantEvent>, TenantError> {
        let TenantCommand::Create { name } = command;
        match &self.name {
            None => Ok(vec![TenantEvent::TenantCreated { name }]),
            Some(known) if *known == name => Ok(vec![]),
            Some(known) => Err(TenantError::Exists(known.clone())),
        }
    }

    fn evolve(&mut self, event: TenantEvent) {
        let TenantEvent::TenantCreated { name } = event;
        self.name = Some(name);
    }
}
