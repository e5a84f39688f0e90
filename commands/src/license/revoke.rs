//! Ends a licence for good (row L7).

use quotary_domain::LicenseId;
use quotary_domain::license::LicenseCommand;

use super::change::{LicenseAfter, Right};
use crate::context::Context;
use crate::event_log::CommandError;
use crate::quota::movement::check_note;
use crate::use_case::{Commands, Outcome};

impl Commands {
    /// Ends a licence for good.
    ///
    /// # Errors
    /// [`Refusal`](crate::refusal::Refusal) if the actor has no right to it or the licence's status does not allow it.
    pub async fn revoke_license(
        &self,
        context: &Context,
        id: LicenseId,
        reason: Option<String>,
    ) -> Outcome<LicenseAfter> {
        check_note(reason.as_deref()).map_err(CommandError::Refused)?;
        self.change_license(context, id, Right::Seller, || LicenseCommand::Revoke { reason: reason.clone() }).await
    }
}
