//! Clears a licence's bindings; it is unused again and its validity is not reset (row L6).

use quotary_domain::LicenseId;
use quotary_domain::license::LicenseCommand;

use super::change::{LicenseAfter, Right};
use crate::context::Context;
use crate::use_case::{Commands, Outcome};

impl Commands {
    /// Clears the bindings of a used, unexpired licence.
    ///
    /// # Errors
    /// [`Refusal`](crate::refusal::Refusal) if the actor has no right to it or the licence's status does not allow it.
    pub async fn unbind_license(&self, context: &Context, id: LicenseId) -> Outcome<LicenseAfter> {
        let at = context.now;
        self.change_license(context, id, Right::Seller, || LicenseCommand::Unbind { at }).await
    }
}
