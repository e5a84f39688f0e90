//! Who may call a route (row U1). What an account may see and change within a route is decided by its data: read models
//! take the actor, commands check it against the tree.

use quotary_domain::Role;

/// Who may call a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everyone.
    Anyone,
    /// Client software, by a signature with its project's API key; the handler checks it.
    Client,
    /// Any access token, also one that only opens the change of the password.
    AnyToken,
    /// Every account.
    Account,
    /// Accounts of these roles.
    Roles(&'static [Role]),
}

/// Those who run the tenant.
pub const SUPER_ADMINS: Access = Access::Roles(&[Role::SuperAdmin]);
/// Those who manage accounts below them.
pub const ADMINS: Access = Access::Roles(&[Role::SuperAdmin, Role::AgentAdmin]);
/// Those who hold quota.
pub const QUOTA_HOLDERS: Access = Access::Roles(&[Role::SuperAdmin, Role::AgentAdmin, Role::Agent]);
/// Those who see how the whole tenant works.
pub const OVERSEERS: Access = Access::Roles(&[Role::SuperAdmin, Role::Analyst, Role::Auditor]);
/// Those who read the log.
pub const AUDITORS: Access = Access::Roles(&[Role::SuperAdmin, Role::Auditor]);

impl Access {
    /// In words, for the OpenAPI document.
    #[must_use]
    pub fn describe(self) -> String {
        match self {
            Self::Anyone => "Open to everyone.".to_owned(),
            Self::Client => "For client software, signed with the project's API key (RFC 9421).".to_owned(),
            Self::AnyToken => "For every account, also before its first change of the password.".to_owned(),
            Self::Account => "For every account, over what it may see.".to_owned(),
            Self::Roles(roles) => {
                format!("For roles {}.", roles.iter().map(|role| role.as_str()).collect::<Vec<_>>().join(", "))
            }
        }
    }
}
