//! Account: a user of a tenant with a role and a place in the tree.
//!
//! Passwords and e-mail addresses live beside the log, never in it, so that they can be erased. What of a person stands in
//! the log (bank details) is sealed with the person's own key; two super admins together can have that key deleted.

use serde::{Deserialize, Serialize};

use crate::{AccountId, Quota, Role, event_names, impl_aggregate};

/// The deepest tree of accounts.
pub const MAX_DEPTH: usize = 16;

/// A login name: 3 to 32 of `a-z 0-9 . _ -`, starting with a letter or digit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Username(String);

/// Why a text is no username.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a username has 3 to 32 characters of a-z 0-9 . _ - and starts with a letter or digit")]
pub struct InvalidUsername;

impl Username {
    /// The username in `text`; upper case is folded to lower case.
    ///
    /// # Errors
    /// [`InvalidUsername`] if the length or a character is wrong.
    pub fn parse(text: &str) -> Result<Self, InvalidUsername> {
        let name = text.to_ascii_lowercase();
        let fits = (3..=32).contains(&name.len())
            && name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-'))
            && name.as_bytes()[0].is_ascii_alphanumeric();
        if fits { Ok(Self(name)) } else { Err(InvalidUsername) }
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Username {
    type Error = InvalidUsername;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<Username> for String {
    fn from(name: Username) -> Self {
        name.0
    }
}

/// The state of an account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// What it was created with; `None` before creation.
    pub profile: Option<Profile>,
    /// Disabled accounts can do nothing.
    pub disabled: bool,
    /// What it earns by sales of those below, by level: the first rate for its own agents' sales.
    pub commission_rates: Vec<BasisPoints>,
    /// Who asked for its person's data to be erased.
    pub erasure_requested_by: Option<AccountId>,
    /// Its person's data is erased; the account stays disabled for good.
    pub erased: bool,
}

/// A hundredth of a percent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BasisPoints(pub u16);

impl BasisPoints {
    /// The whole.
    pub const ALL: Self = Self(10_000);

    /// This part of `amount`, rounded down.
    #[must_use]
    pub fn of(self, amount: Quota) -> Quota {
        amount.share(u32::from(self.0.min(Self::ALL.0)), u32::from(Self::ALL.0))
    }
}

/// What an account is created with and keeps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// Its login name.
    pub username: Username,
    /// Its role.
    pub role: Role,
    /// Its ancestors from the root of the tree down to its parent; empty for the first super admin.
    pub ancestors: Vec<AccountId>,
}

/// What can be asked of an account.
#[derive(Clone, Debug)]
pub enum AccountCommand {
    /// Comes into being.
    Create(Profile),
    /// Can do nothing from now on.
    Disable,
    /// Can act again.
    Enable,
    /// The password kept beside the log was changed.
    RecordPasswordChange,
    /// A lock after failed logins was lifted by an admin.
    RecordUnlock,
    /// Earns by sales of those below from now on.
    SetCommissionRates(Vec<BasisPoints>),
    /// Its person's data goes: the first super admin asks, a second one confirms.
    ErasePersonalData {
        /// Who says so.
        by: AccountId,
    },
}

/// What happened to an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AccountEvent {
    /// The account came into being.
    AccountCreated(Profile),
    /// It was disabled.
    AccountDisabled {},
    /// It was enabled again.
    AccountEnabled {},
    /// Its password was changed.
    PasswordChanged {},
    /// A lock after failed logins was lifted.
    AccountUnlocked {},
    /// What it earns by sales of those below has changed.
    CommissionRatesSet {
        /// By level, in hundredths of a percent; empty for nothing.
        rates: Vec<BasisPoints>,
    },
    /// Its person's data is to be erased once another confirms it.
    ErasureRequested {
        /// Who asked.
        by: AccountId,
    },
    /// Its person's data is erased: the key that sealed it is no more, and none will be made again.
    PersonalDataErased {
        /// Who confirmed.
        by: AccountId,
    },
}

event_names!(AccountEvent {
    AccountCreated,
    AccountDisabled,
    AccountEnabled,
    PasswordChanged,
    AccountUnlocked,
    CommissionRatesSet,
    ErasureRequested,
    PersonalDataErased,
});

/// Why a command on an account is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AccountError {
    /// There is no such account.
    #[error("there is no such account")]
    Unknown,
    /// The id is taken by an account with another profile.
    #[error("the account exists already with another profile")]
    Exists,
    /// The tree would be deeper than [`MAX_DEPTH`].
    #[error("the tree of accounts can't be deeper than {MAX_DEPTH}")]
    TooDeep,
    /// More levels than the tree can have, or more than the whole.
    #[error("commission rates are at most {MAX_DEPTH} levels and 10000 basis points in all")]
    InvalidRates,
    /// Its person's data is erased, so it can't act again.
    #[error("the account's personal data is erased")]
    Erased,
    /// Its person's data is erased only when the account can't use it any more.
    #[error("only the personal data of a disabled account can be erased")]
    NotDisabled,
}

impl_aggregate!(Account, "Account", AccountCommand, AccountEvent, AccountError);

impl Account {
    fn decisions(&self, command: AccountCommand) -> Result<Vec<AccountEvent>, AccountError> {
        let Some(profile) = &self.profile else {
            return match command {
                AccountCommand::Create(profile) if profile.ancestors.len() >= MAX_DEPTH => Err(AccountError::TooDeep),
                AccountCommand::Create(profile) => Ok(vec![AccountEvent::AccountCreated(profile)]),
                _ => Err(AccountError::Unknown),
            };
        };
        Ok(match command {
            AccountCommand::Create(same) if same == *profile => vec![],
            AccountCommand::Create(_) => return Err(AccountError::Exists),
            AccountCommand::Disable if self.disabled => vec![],
            AccountCommand::Disable => vec![AccountEvent::AccountDisabled {}],
            AccountCommand::Enable if self.erased => return Err(AccountError::Erased),
            AccountCommand::Enable if !self.disabled => vec![],
            AccountCommand::Enable => vec![AccountEvent::AccountEnabled {}],
            AccountCommand::ErasePersonalData { .. } if self.erased => vec![],
            AccountCommand::ErasePersonalData { .. } if !self.disabled => return Err(AccountError::NotDisabled),
            AccountCommand::ErasePersonalData { by } => match self.erasure_requested_by {
                None => vec![AccountEvent::ErasureRequested { by }],
                Some(asker) if asker == by => vec![],
                Some(_) => vec![AccountEvent::PersonalDataErased { by }],
            },
            AccountCommand::RecordPasswordChange => vec![AccountEvent::PasswordChanged {}],
            AccountCommand::RecordUnlock => vec![AccountEvent::AccountUnlocked {}],
            AccountCommand::SetCommissionRates(rates) => {
                let sum: u32 = rates.iter().map(|rate| u32::from(rate.0)).sum();
                if rates.len() > MAX_DEPTH || sum > u32::from(BasisPoints::ALL.0) {
                    return Err(AccountError::InvalidRates);
                }
                if rates == self.commission_rates {
                    return Ok(vec![]);
                }
                vec![AccountEvent::CommissionRatesSet { rates }]
            }
        })
    }

    fn evolve(&mut self, event: AccountEvent) {
        match event {
            AccountEvent::AccountCreated(profile) => self.profile = Some(profile),
            AccountEvent::AccountDisabled {} => self.disabled = true,
            // Whoever acts again has not left: an erasure would have to be asked for anew.
            AccountEvent::AccountEnabled {} => {
                self.disabled = false;
                self.erasure_requested_by = None;
            }
            AccountEvent::ErasureRequested { by } => self.erasure_requested_by = Some(by),
            AccountEvent::PersonalDataErased { .. } => self.erased = true,
            AccountEvent::CommissionRatesSet { rates } => self.commission_rates = rates,
            AccountEvent::PasswordChanged {} | AccountEvent::AccountUnlocked {} => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use cqrs_es::test::TestFramework;

    use super::*;

    fn profile() -> Profile {
        Profile { username: Username::parse("Alice").unwrap(), role: Role::Agent, ancestors: vec![] }
    }

    #[test]
    fn a_repeated_creation_changes_nothing_and_another_profile_is_refused() {
        let given = || TestFramework::<Account>::with(()).given(vec![AccountEvent::AccountCreated(profile())]);
        given().when(AccountCommand::Create(profile())).then_expect_events(vec![]);
        given()
            .when(AccountCommand::Create(Profile { role: Role::Auditor, ..profile() }))
            .then_expect_error(AccountError::Exists);
    }

    #[test]
    fn an_unknown_account_cannot_be_disabled() {
        TestFramework::<Account>::with(())
            .given_no_previous_events()
            .when(AccountCommand::Disable)
            .then_expect_error(AccountError::Unknown);
    }

    #[test]
    fn commission_rates_are_at_most_the_whole() {
        let given = || TestFramework::<Account>::with(()).given(vec![AccountEvent::AccountCreated(profile())]);
        let rates = vec![BasisPoints(500), BasisPoints(100)];
        given()
            .when(AccountCommand::SetCommissionRates(rates.clone()))
            .then_expect_events(vec![AccountEvent::CommissionRatesSet { rates }]);
        for rates in [vec![BasisPoints(9_000), BasisPoints(1_001)], vec![BasisPoints(1); MAX_DEPTH + 1]] {
            given().when(AccountCommand::SetCommissionRates(rates)).then_expect_error(AccountError::InvalidRates);
        }
        assert_eq!(BasisPoints(250).of(Quota::new(999).unwrap()), Quota::new(24).unwrap());
    }

    #[test]
    fn two_people_erase_the_data_of_a_disabled_account_for_good() {
        let (one, two) = (AccountId(uuid::Uuid::from_u128(1)), AccountId(uuid::Uuid::from_u128(2)));
        let created = AccountEvent::AccountCreated(profile());
        let given = |more: Vec<AccountEvent>| {
            let mut events = vec![created.clone()];
            events.extend(more);
            TestFramework::<Account>::with(()).given(events)
        };
        let erase = |by| AccountCommand::ErasePersonalData { by };
        let (disabled, enabled) = (AccountEvent::AccountDisabled {}, AccountEvent::AccountEnabled {});
        let (asked, erased) =
            (AccountEvent::ErasureRequested { by: one }, AccountEvent::PersonalDataErased { by: two });
        given(vec![]).when(erase(one)).then_expect_error(AccountError::NotDisabled);
        given(vec![disabled.clone()]).when(erase(one)).then_expect_events(vec![asked.clone()]);
        given(vec![disabled.clone(), asked.clone()]).when(erase(one)).then_expect_events(vec![]);
        given(vec![disabled.clone(), asked.clone()]).when(erase(two)).then_expect_events(vec![erased.clone()]);
        given(vec![disabled.clone(), asked.clone(), enabled, disabled.clone()])
            .when(erase(two))
            .then_expect_events(vec![AccountEvent::ErasureRequested { by: two }]);
        let gone = || given(vec![disabled.clone(), asked.clone(), erased.clone()]);
        gone().when(AccountCommand::Enable).then_expect_error(AccountError::Erased);
        gone().when(erase(one)).then_expect_events(vec![]);
    }

    #[test]
    fn usernames_are_folded_and_checked() {
        assert_eq!(Username::parse("Bob.1").unwrap().as_str(), "bob.1");
        for bad in ["ab", "-abc", "a b c", "ünïcode", &"x".repeat(33)] {
            assert_eq!(Username::parse(bad), Err(InvalidUsername), "{bad}");
        }
    }
}
