//! What every use case has: the log, and the rules about who may act on whom.

use quotary_domain::account::Account;
use quotary_domain::{AccountId, Actor, Role};

use crate::callback::target::Reach;
use crate::context::Context;
use crate::event_log::{CommandError, Done, EventLog};
use crate::refusal::Refusal;
use crate::unit::{Plan, Seen, Unit};

/// The outcome of a use case.
pub type Outcome<T> = Result<Done<T>, CommandError<Refusal>>;

/// All use cases; each has a file of its own that adds its method.
#[derive(Clone, Debug)]
pub struct Commands {
    pub(crate) log: EventLog,
    /// What callbacks may reach.
    pub(crate) callbacks: Reach,
}

impl Commands {
    /// The use cases over a log; callbacks reach the public internet alone.
    #[must_use]
    pub fn new(log: EventLog) -> Self {
        Self { log, callbacks: Reach::default() }
    }

    /// The same with another reach of callbacks.
    #[must_use]
    pub fn with_callbacks(self, callbacks: Reach) -> Self {
        Self { callbacks, ..self }
    }

    /// What callbacks may reach.
    #[must_use]
    pub fn callbacks(&self) -> Reach {
        self.callbacks
    }

    /// The log behind the use cases.
    #[must_use]
    pub fn log(&self) -> &EventLog {
        &self.log
    }
}

/// The acting account within a plan: part of what the command is decided on, so that disabling it stops it at once, on
/// every process.
#[derive(Clone, Copy)]
pub(crate) struct Acting {
    pub(crate) actor: Actor,
    account: Seen<Account>,
}

impl Acting {
    /// Opens the acting account; commands that need one are refused without.
    pub(crate) fn open(context: &Context, plan: &mut Plan) -> Result<Self, CommandError<Refusal>> {
        let actor = context.actor.ok_or(CommandError::Refused(Refusal::Forbidden))?;
        Ok(Self { actor, account: plan.read::<Account>(actor.account_id) })
    }

    /// Refuses if the account is unknown or disabled, or has another role than it says.
    pub(crate) fn check(&self, unit: &Unit) -> Result<(), Refusal> {
        let account = unit.see(self.account);
        let role = account.profile.as_ref().map(|profile| profile.role);
        if account.disabled || role != Some(self.actor.role) { Err(Refusal::Forbidden) } else { Ok(()) }
    }

    /// Like [`Acting::check`], for super admins only.
    pub(crate) fn check_super_admin(&self, unit: &Unit) -> Result<(), Refusal> {
        self.check(unit)?;
        if self.actor.role == Role::SuperAdmin { Ok(()) } else { Err(Refusal::Forbidden) }
    }

    /// Like [`Acting::check`], for those who hold quota.
    pub(crate) fn check_holds_quota(&self, unit: &Unit) -> Result<(), Refusal> {
        self.check(unit)?;
        if self.actor.role.holds_quota() { Ok(()) } else { Err(Refusal::Forbidden) }
    }

    /// The acting account.
    pub(crate) fn account<'u>(&self, unit: &'u Unit) -> &'u Account {
        unit.see(self.account)
    }

    /// The ancestors of an account created by the actor.
    pub(crate) fn line(&self, unit: &Unit) -> Vec<AccountId> {
        let above = unit.see(self.account).profile.iter().flat_map(|profile| profile.ancestors.iter().copied());
        above.chain([self.actor.account_id]).collect()
    }

    /// Refuses unless the actor manages the account. An account outside of the actor's sight does not exist for it.
    pub(crate) fn check_manages(
        &self,
        unit: &Unit,
        id: AccountId,
        account: impl Into<Seen<Account>>,
    ) -> Result<(), Refusal> {
        self.check(unit)?;
        let Some(profile) = &unit.see(account.into()).profile else { return Err(Refusal::NotFound("account")) };
        if self.actor.manages(id, &profile.ancestors) {
            Ok(())
        } else if self.actor.sees(id, &profile.ancestors) {
            Err(Refusal::Forbidden)
        } else {
            Err(Refusal::NotFound("account"))
        }
    }

    /// Refuses unless the account is the actor's own or one it manages, `what` being the thing that belongs to it.
    pub(crate) fn check_own_or_managed(
        &self,
        unit: &Unit,
        id: AccountId,
        account: impl Into<Seen<Account>>,
        what: &'static str,
    ) -> Result<(), Refusal> {
        if id == self.actor.account_id {
            return self.check(unit);
        }
        self.check_manages(unit, id, account).map_err(|refusal| match refusal {
            Refusal::NotFound(_) => Refusal::NotFound(what),
            other => other,
        })
    }
}
