//! Sets what an account earns by sales of those below it (row Q11).

use quotary_domain::account::{Account, AccountCommand, BasisPoints};
use quotary_domain::{AccountId, Role};

use super::disable::AccountAfter;
use crate::context::Context;
use crate::refusal::Refusal;
use crate::unit::Plan;
use crate::use_case::{Acting, Commands, Outcome};

impl Commands {
    /// Sets the commission rates of an account that the actor manages, by level. Commissions come out of the vendor's
    /// sales, so an agent admin gives no rate above its own of that level; a super admin gives any, also to itself.
    ///
    /// # Errors
    /// [`Refusal`] if the actor does not manage the account, the account can't have anyone below it, or the rates are
    /// out of limits.
    pub async fn set_commission_rates(
        &self,
        context: &Context,
        id: AccountId,
        rates: Vec<BasisPoints>,
    ) -> Outcome<AccountAfter> {
        let mut plan = Plan::new();
        let account = plan.open::<Account>(id);
        let acting = Acting::open(context, &mut plan)?;
        self.log
            .execute(context, &plan, |unit| {
                if id == acting.actor.account_id {
                    acting.check_super_admin(unit)?;
                } else {
                    acting.check_manages(unit, id, account)?;
                }
                let role = unit.get(account).profile.as_ref().map(|profile| profile.role);
                if !role.is_some_and(|role| role.may_create(Role::Agent)) && !rates.is_empty() {
                    return Err(Refusal::invalid("rates", "accounts of this role have nobody below them"));
                }
                if acting.actor.role != Role::SuperAdmin {
                    let own = &acting.account(unit).commission_rates;
                    let above = |(level, rate): (usize, &BasisPoints)| own.get(level).is_none_or(|own| rate > own);
                    let mut given = rates.iter().enumerate().filter(|(_, rate)| rate.0 > 0);
                    if given.any(above) {
                        return Err(Refusal::invalid("rates", "are above those of the account that sets them"));
                    }
                }
                unit.decide(account, AccountCommand::SetCommissionRates(rates.clone()))?;
                Ok(AccountAfter { account: unit.get(account).clone(), sequence: unit.sequence(account) })
            })
            .await
    }
}
