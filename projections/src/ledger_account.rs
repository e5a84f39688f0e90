//! The name of an account of the ledger, as paths and filters give it.

use quotary_domain::{AccountId, ProjectId};
use uuid::Uuid;

/// An account by name: `issuance`, `sales:<project>`, `transit`, `paid_out`, `agent:<id>:available` or `agent:<id>:held`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccountName {
    /// What an agent can spend.
    Available(AccountId),
    /// What an agent has reserved.
    Held(AccountId),
    /// An account that is no agent's, by its whole name.
    Other(String),
}

/// A text that names no account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "an account is issuance, transit, paid_out, sales:<project id>, agent:<account id>:available or agent:<account id>:held"
)]
pub struct InvalidAccount;

impl AccountName {
    /// What kind of account it is: `available`, `held`, `issuance`, `sales`, `transit` or `paid_out`.
    #[must_use]
    pub fn kind(&self) -> &str {
        match self {
            Self::Available(_) => "available",
            Self::Held(_) => "held",
            Self::Other(name) => name.split(':').next().unwrap_or_default(),
        }
    }

    /// The agent whose it is.
    #[must_use]
    pub fn agent(&self) -> Option<AccountId> {
        match self {
            Self::Available(agent) | Self::Held(agent) => Some(*agent),
            Self::Other(_) => None,
        }
    }
}

impl std::fmt::Display for AccountName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        use quotary_domain::ledger::LedgerAccount;
        match self {
            Self::Available(agent) => LedgerAccount::Available(*agent).fmt(f),
            Self::Held(agent) => LedgerAccount::Held(*agent).fmt(f),
            Self::Other(name) => f.write_str(name),
        }
    }
}

impl std::str::FromStr for AccountName {
    type Err = InvalidAccount;

    fn from_str(text: &str) -> Result<Self, InvalidAccount> {
        use quotary_domain::ledger::LedgerAccount;
        let id = |text: &str| Uuid::parse_str(text).map_err(|_| InvalidAccount);
        match text.split(':').collect::<Vec<_>>().as_slice() {
            ["issuance"] => Ok(Self::Other(LedgerAccount::Issuance.to_string())),
            ["transit"] => Ok(Self::Other(LedgerAccount::Transit.to_string())),
            ["paid_out"] => Ok(Self::Other(LedgerAccount::PaidOut.to_string())),
            // Made anew from the id, so that the name is in the form that is stored.
            ["sales", project] => Ok(Self::Other(LedgerAccount::Sales(ProjectId(id(project)?)).to_string())),
            ["agent", agent, "available"] => Ok(Self::Available(AccountId(id(agent)?))),
            ["agent", agent, "held"] => Ok(Self::Held(AccountId(id(agent)?))),
            _ => Err(InvalidAccount),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        let id = "0192f0c1-0000-7000-8000-000000000000";
        for (text, kind) in [
            ("issuance".to_owned(), "issuance"),
            ("transit".to_owned(), "transit"),
            ("paid_out".to_owned(), "paid_out"),
            (format!("sales:{id}"), "sales"),
            (format!("agent:{id}:available"), "available"),
            (format!("agent:{id}:held"), "held"),
        ] {
            let name: AccountName = text.parse().unwrap();
            assert_eq!((name.to_string(), name.kind()), (text, kind));
        }
        let upper: AccountName = format!("sales:{}", id.to_uppercase()).parse().unwrap();
        assert_eq!(upper.to_string(), format!("sales:{id}"));
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "sales", "sales:x", "agent:1:held", "agent::", "issuance:", "issuance ", "profit"] {
            assert_eq!(text.parse::<AccountName>(), Err(InvalidAccount), "{text}");
        }
    }
}
