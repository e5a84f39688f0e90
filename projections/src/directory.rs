//! The accounts of all tenants in memory: who may log in, as what, and below whom.
//!
//! Always true: an account changes only by the next event of its stream or by a newer whole state; one that missed an
//! event is not answered from. A directory whose feed is late ([`Directory::is_trusted`]) proves nothing.

use std::sync::Arc;
use std::time::Instant;

use futures::TryStreamExt;
use hashbrown::HashMap;
use parking_lot::RwLock;
use quotary_domain::account::{Account, AccountEvent, Profile};
use quotary_domain::{AccountId, Actor, Event, RecordedEvent, Role, TenantId};
use sqlx::{Connection, FromRow, PgPool};
use uuid::Uuid;

use crate::freshness::{Effect, Freshness, step};
use crate::generation::{self, GenerationError};

/// An account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectoryEntry {
    /// Its id.
    pub account_id: AccountId,
    /// Whose it is.
    pub tenant_id: TenantId,
    /// Its login name, unique in the tenant.
    pub username: Arc<str>,
    /// What it may do.
    pub role: Role,
    /// From the root of the tree down to its parent.
    pub ancestors: Arc<[AccountId]>,
    /// Disabled accounts can do nothing.
    pub disabled: bool,
    /// The event that it stands at.
    pub sequence: u64,
    /// Whether an event was missed; the log must be asked.
    pub doubtful: bool,
}

impl DirectoryEntry {
    /// The account as the one behind a command.
    #[must_use]
    pub fn actor(&self) -> Actor {
        Actor { tenant_id: self.tenant_id, account_id: self.account_id, role: self.role }
    }

    fn new(tenant_id: TenantId, account_id: AccountId, profile: &Profile, disabled: bool, sequence: u64) -> Self {
        Self {
            account_id,
            tenant_id,
            username: profile.username.as_str().into(),
            role: profile.role,
            ancestors: profile.ancestors.as_slice().into(),
            disabled,
            sequence,
            doubtful: false,
        }
    }
}

/// Why the directory can't be loaded.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// The read model can't be read.
    #[error("the accounts can't be read")]
    Database(#[from] sqlx::Error),
    /// Its checkpoint can't be read.
    #[error("the checkpoint of the accounts can't be read")]
    Generation(#[from] GenerationError),
    /// The read model holds a role that no event can have led to.
    #[error("account {account_id} has the unknown role {role:?}")]
    Role {
        /// Whose.
        account_id: AccountId,
        /// What stands there.
        role: String,
    },
}

#[derive(Default)]
struct Maps {
    by_id: HashMap<AccountId, Arc<DirectoryEntry>>,
    by_name: HashMap<(TenantId, Arc<str>), AccountId>,
}

/// All accounts.
#[derive(Default)]
pub struct Directory {
    maps: RwLock<Maps>,
    freshness: Freshness,
}

impl std::fmt::Debug for Directory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Directory")
            .field("accounts", &self.len())
            .field("freshness", &self.freshness)
            .finish_non_exhaustive()
    }
}

impl Directory {
    /// The account.
    #[must_use]
    pub fn get(&self, account_id: AccountId) -> Option<Arc<DirectoryEntry>> {
        self.maps.read().by_id.get(&account_id).cloned()
    }

    /// The account of a tenant with this login name, in lower case.
    #[must_use]
    pub fn by_username(&self, tenant_id: TenantId, username: &str) -> Option<Arc<DirectoryEntry>> {
        let maps = self.maps.read();
        let account_id = maps.by_name.get(&(tenant_id, username.into()))?;
        maps.by_id.get(account_id).cloned()
    }

    /// Folds an event of the feed.
    ///
    /// [`Effect::Gap`] means that an event before was missed: the account is doubtful until its state is observed. A gap of
    /// an unknown account can't be marked, so the feed must then load the directory anew.
    pub fn apply(&self, recorded: &RecordedEvent, event: &Event) -> Effect {
        let Event::Account(event) = event else { return Effect::Unrelated };
        let account_id = AccountId(recorded.aggregate_id);
        let mut maps = self.maps.write();
        let Some(known) = maps.by_id.get(&account_id) else {
            let AccountEvent::AccountCreated(profile) = event else { return Effect::Gap };
            maps.put(DirectoryEntry::new(recorded.tenant_id, account_id, profile, false, recorded.sequence));
            return Effect::Applied;
        };
        let effect = step(known.sequence, recorded.sequence);
        if effect == Effect::Old {
            return effect;
        }
        let mut account = DirectoryEntry::clone(known);
        account.sequence = recorded.sequence;
        account.doubtful |= effect == Effect::Gap;
        match event {
            // What is doubtful stays as it was until the whole state is observed.
            _ if account.doubtful => {}
            AccountEvent::AccountDisabled {} => account.disabled = true,
            AccountEvent::AccountEnabled {} => account.disabled = false,
            AccountEvent::AccountCreated(_)
            | AccountEvent::PasswordChanged {}
            | AccountEvent::AccountUnlocked {}
            | AccountEvent::CommissionRatesSet { .. }
            | AccountEvent::ErasureRequested { .. }
            | AccountEvent::PersonalDataErased { .. } => {}
        }
        maps.put(account);
        effect
    }

    /// Takes over the state of an account after a command of this process, or as read from the log, if it is newer.
    pub fn observe(&self, tenant_id: TenantId, account_id: AccountId, state: &Account, sequence: u64) -> Effect {
        match &state.profile {
            Some(profile) => self.take(DirectoryEntry::new(tenant_id, account_id, profile, state.disabled, sequence)),
            None => Effect::Unrelated,
        }
    }

    fn take(&self, newer: DirectoryEntry) -> Effect {
        let mut maps = self.maps.write();
        let old = maps.by_id.get(&newer.account_id).is_some_and(|known| {
            if known.doubtful { newer.sequence < known.sequence } else { newer.sequence <= known.sequence }
        });
        if old {
            return Effect::Old;
        }
        maps.put(newer);
        Effect::Applied
    }

    /// Fills the directory from the read model `accounts` and answers the position after which the feed goes on.
    ///
    /// The feed must not run meanwhile. The directory is trusted only after the feed has caught up.
    ///
    /// # Errors
    /// [`DirectoryError`] if the read model can't be read or holds nonsense.
    pub async fn load(&self, pool: &PgPool) -> Result<u64, DirectoryError> {
        let mut connection = pool.acquire().await?;
        let mut snapshot = connection.begin_with("begin transaction isolation level repeatable read read only").await?;
        // Without a read model the feed must begin at the beginning.
        let Some(serving) = generation::serving(&mut snapshot, "accounts").await? else { return Ok(0) };
        let select = "select account_id, tenant_id, username, role, ancestors, disabled, sequence from read.accounts";
        let mut rows = sqlx::query_as::<_, AccountRow>(select).fetch(&mut *snapshot);
        while let Some(row) = rows.try_next().await? {
            self.take(row.entry()?);
        }
        drop(rows);
        snapshot.commit().await?;
        Ok(serving.checkpoint)
    }

    /// How many accounts it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.maps.read().by_id.len()
    }

    /// Whether it holds no account.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Notes that at `at` the directory held everything up to `position`, the end of the log.
    pub fn mark_fresh(&self, position: u64, at: Instant) {
        self.freshness.mark_fresh(position, at);
    }

    /// Whether the directory may be answered from at `now`.
    #[must_use]
    pub fn is_trusted(&self, now: Instant) -> bool {
        self.freshness.is_trusted(now)
    }

    /// The last position that the feed confirmed.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.freshness.position()
    }
}

#[derive(FromRow)]
struct AccountRow {
    account_id: Uuid,
    tenant_id: Uuid,
    username: String,
    role: String,
    ancestors: Vec<Uuid>,
    disabled: bool,
    sequence: i64,
}

impl AccountRow {
    fn entry(self) -> Result<DirectoryEntry, DirectoryError> {
        let account_id = AccountId(self.account_id);
        let Some(role) = Role::parse(&self.role) else {
            return Err(DirectoryError::Role { account_id, role: self.role });
        };
        Ok(DirectoryEntry {
            account_id,
            tenant_id: self.tenant_id.into(),
            username: self.username.into(),
            role,
            ancestors: self.ancestors.into_iter().map(AccountId).collect(),
            disabled: self.disabled,
            sequence: self.sequence.cast_unsigned(),
            doubtful: false,
        })
    }
}

impl Maps {
    fn put(&mut self, account: DirectoryEntry) {
        self.by_name.insert((account.tenant_id, account.username.clone()), account.account_id);
        self.by_id.insert(account.account_id, Arc::new(account));
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use quotary_domain::account::Username;
    use quotary_domain::{Aggregate as _, Metadata};
    use serde_json::value::RawValue;

    use super::*;

    const TENANT: TenantId = TenantId(Uuid::from_u128(1));
    const ALICE: AccountId = AccountId(Uuid::from_u128(2));

    fn profile() -> Profile {
        Profile { username: Username::parse("alice").unwrap(), role: Role::Agent, ancestors: vec![] }
    }

    fn apply(directory: &Directory, sequence: u64, event: AccountEvent) -> Effect {
        let recorded = RecordedEvent {
            position: sequence,
            event_id: Uuid::nil(),
            tenant_id: TENANT,
            aggregate_type: "Account".into(),
            aggregate_id: ALICE.0,
            sequence,
            event_type: String::new(),
            event_version: "1".into(),
            payload: RawValue::NULL.to_owned(),
            metadata: Metadata::default(),
            recorded_at: DateTime::UNIX_EPOCH,
        };
        directory.apply(&recorded, &Event::Account(event))
    }

    #[test]
    fn late_and_repeated_events_change_nothing() {
        let directory = Directory::default();
        assert_eq!(apply(&directory, 1, AccountEvent::AccountCreated(profile())), Effect::Applied);
        let disabled = Account { profile: Some(profile()), disabled: true, ..Account::default() };
        assert_eq!(directory.observe(TENANT, ALICE, &disabled, 4), Effect::Applied);
        assert_eq!(apply(&directory, 3, AccountEvent::AccountEnabled {}), Effect::Old);
        assert_eq!(apply(&directory, 4, AccountEvent::AccountDisabled {}), Effect::Old);
        assert!(directory.get(ALICE).unwrap().disabled);
        assert_eq!(apply(&directory, 5, AccountEvent::AccountEnabled {}), Effect::Applied);
        assert!(!directory.get(ALICE).unwrap().disabled);
    }

    #[test]
    fn a_missed_event_makes_an_account_doubtful_until_its_state_is_observed() {
        let directory = Directory::default();
        assert_eq!(apply(&directory, 2, AccountEvent::AccountDisabled {}), Effect::Gap);
        assert_eq!(apply(&directory, 1, AccountEvent::AccountCreated(profile())), Effect::Applied);
        assert_eq!(apply(&directory, 3, AccountEvent::AccountEnabled {}), Effect::Gap);
        assert!(directory.get(ALICE).unwrap().doubtful);
        let state = Account { profile: Some(profile()), disabled: false, ..Account::default() };
        assert_eq!(directory.observe(TENANT, ALICE, &state, 2), Effect::Old, "older than what was missed");
        assert_eq!(directory.observe(TENANT, ALICE, &state, 3), Effect::Applied);
        assert!(!directory.get(ALICE).unwrap().doubtful);
    }

    #[test]
    fn names_belong_to_their_tenant() {
        let directory = Directory::default();
        apply(&directory, 1, AccountEvent::AccountCreated(profile()));
        assert_eq!(directory.by_username(TENANT, "alice").unwrap().account_id, ALICE);
        assert_eq!(directory.by_username(TenantId(Uuid::from_u128(9)), "alice"), None);
    }

    #[test]
    fn the_fold_equals_the_aggregate() {
        use quotary_domain::account::AccountCommand::{Create, Disable, Enable, RecordUnlock};
        let directory = Directory::default();
        let mut state = Account::default();
        let mut sequence = 0;
        for command in [Create(profile()), Disable, Disable, RecordUnlock, Enable, Disable] {
            for event in state.decide(command).unwrap() {
                sequence += 1;
                assert_eq!(apply(&directory, sequence, event.clone()), Effect::Applied);
                cqrs_es::Aggregate::apply(&mut state, event);
            }
            assert_eq!(directory.get(ALICE).unwrap().disabled, state.disabled);
        }
    }
}
