//! Notes that the validity of a licence is over, for those who want to be told (rows L7, L11).

use quotary_domain::LicenseId;
use quotary_domain::license::{License, LicenseCommand};

use crate::context::Context;
use crate::refusal::Refusal;
use crate::unit::Plan;
use crate::use_case::{Commands, Outcome};

impl Commands {
    /// Notes the end if it has come by `context.now`; nothing happens if it has not, or was noted already.
    ///
    /// # Errors
    /// [`Refusal`] if there is no such licence.
    pub async fn expire_license(&self, context: &Context, license_id: LicenseId) -> Outcome<()> {
        let at = context.now;
        let mut plan = Plan::new();
        let license = plan.open::<License>(license_id);
        self.log
            .execute(context, &plan, |unit| {
                unit.decide(license, LicenseCommand::Expire { at })?;
                Ok::<_, Refusal>(())
            })
            .await
    }
}
