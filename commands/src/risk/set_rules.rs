//! Sets a tenant's rules about movements of quota (row Q4). They hold for what is decided after them.

use quotary_domain::risk::{RiskPolicy, RiskPolicyCommand, RiskRules};
use serde::{Deserialize, Serialize};

use crate::context::Context;
use crate::refusal::Refusal;
use crate::unit::Plan;
use crate::use_case::{Acting, Commands, Outcome};

/// The rules after a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RulesAfter {
    /// All of them.
    pub rules: RiskRules,
    /// The sequence of the policy's last event.
    pub sequence: u64,
}

impl Commands {
    /// Sets all of the tenant's rules at once.
    ///
    /// # Errors
    /// [`Refusal`] if the actor is no super admin or a rule makes no sense.
    pub async fn set_risk_rules(&self, context: &Context, rules: RiskRules) -> Outcome<RulesAfter> {
        let mut plan = Plan::new();
        let policy = plan.open::<RiskPolicy>(context.tenant_id);
        let acting = Acting::open(context, &mut plan)?;
        self.log
            .execute(context, &plan, |unit| {
                acting.check_super_admin(unit)?;
                let (rules, by) = (rules.clone(), acting.actor.account_id);
                unit.decide(policy, RiskPolicyCommand::Set { rules, by })?;
                let (policy, sequence) = (unit.get(policy), unit.sequence(policy));
                Ok::<_, Refusal>(RulesAfter { rules: policy.rules.clone(), sequence })
            })
            .await
    }
}
