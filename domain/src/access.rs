//! Who acts, and whom an actor may see and manage (row U1).
//!
//! The tree of accounts is fixed at creation: an account carries its ancestors, so a decision needs no look-up.

use serde::{Deserialize, Serialize};

use crate::{AccountId, TenantId};

/// What an account may do in its tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Runs the tenant.
    SuperAdmin,
    /// Runs the subtree of agents it created.
    AgentAdmin,
    /// Sells licences from its own quota.
    Agent,
    /// Reads statistics of the whole tenant.
    Analyst,
    /// Reads the log and the ledger of the whole tenant.
    Auditor,
}

impl Role {
    /// The role's name in tokens, columns and answers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SuperAdmin => "super_admin",
            Self::AgentAdmin => "agent_admin",
            Self::Agent => "agent",
            Self::Analyst => "analyst",
            Self::Auditor => "auditor",
        }
    }

    /// The role of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::SuperAdmin, Self::AgentAdmin, Self::Agent, Self::Analyst, Self::Auditor]
            .into_iter()
            .find(|role| role.as_str() == name)
    }

    /// Whether accounts of this role hold quota and issue licences.
    #[must_use]
    pub fn holds_quota(self) -> bool {
        matches!(self, Self::SuperAdmin | Self::AgentAdmin | Self::Agent)
    }

    /// Whether an account of this role may create one of role `other`.
    #[must_use]
    pub fn may_create(self, other: Self) -> bool {
        match self {
            Self::SuperAdmin => true,
            Self::AgentAdmin => matches!(other, Self::Agent | Self::AgentAdmin),
            Self::Agent | Self::Analyst | Self::Auditor => false,
        }
    }
}

/// The account behind a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Actor {
    /// The only tenant whose data the actor can reach.
    pub tenant_id: TenantId,
    /// The account.
    pub account_id: AccountId,
    /// Its role.
    pub role: Role,
}

impl Actor {
    /// Whether the actor may manage an account with these ancestors: a super admin everyone in the tenant, an agent
    /// admin those below it. Nobody manages oneself.
    #[must_use]
    pub fn manages(&self, account: AccountId, ancestors: &[AccountId]) -> bool {
        account != self.account_id
            && match self.role {
                Role::SuperAdmin => true,
                Role::AgentAdmin => ancestors.contains(&self.account_id),
                Role::Agent | Role::Analyst | Role::Auditor => false,
            }
    }

    /// Whether the actor may see the account: oneself, those one manages, and for analysts and auditors everyone.
    #[must_use]
    pub fn sees(&self, account: AccountId, ancestors: &[AccountId]) -> bool {
        account == self.account_id
            || matches!(self.role, Role::Analyst | Role::Auditor)
            || self.manages(account, ancestors)
    }
}
