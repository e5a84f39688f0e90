//! Disables a licence for now (row L7).

use quotary_domain::LicenseId;
use quotary_domain::license::LicenseCommand;

use super::change::{LicenseAfter, Right};
use crate::context::Context;
use crate::use_case::{Commands, Outcome};

impl Commands {
    /// Disables a licence until it is enabled.
    ///
    /// # Errors
    /// [`Refusal`](crate::refusal::Refusal) if the actor has no right to it or the licence's status does not allow it.
    pub async fn disable_license(&self, context: &Context, id: LicenseId) -> Outcome<LicenseAfter> {
        self.change_license(context, id, Right::Seller, || LicenseCommand::Disable).await
    }
}
