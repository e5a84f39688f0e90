//! Enables a licence again (row L7).

use quotary_domain::LicenseId;
use quotary_domain::license::LicenseCommand;

use super::change::{LicenseAfter, Right};
use crate::context::Context;
use crate::use_case::{Commands, Outcome};

impl Commands {
    /// Enables a licence. One whose batch was refunded stays disabled, whoever asks.
    ///
    /// # Errors
    /// [`Refusal`](crate::refusal::Refusal) if the actor has no right to it or the licence's status does not allow it.
    pub async fn enable_license(&self, context: &Context, id: LicenseId) -> Outcome<LicenseAfter> {
        self.change_license(context, id, Right::Seller, || LicenseCommand::Enable).await
    }
}
