//! Gives a licence more days; only the vendor can, since nothing is paid for them (row L7).

use quotary_domain::LicenseId;
use quotary_domain::license::LicenseCommand;

use super::change::{LicenseAfter, Right};
use crate::context::Context;
use crate::use_case::{Commands, Outcome};

impl Commands {
    /// Adds days to a licence.
    ///
    /// # Errors
    /// [`Refusal`](crate::refusal::Refusal) if the actor has no right to it or the licence's status does not allow it.
    pub async fn renew_license(&self, context: &Context, id: LicenseId, days: u32) -> Outcome<LicenseAfter> {
        let at = context.now;
        self.change_license(context, id, Right::SuperAdmin, || LicenseCommand::Renew { days, at }).await
    }
}
