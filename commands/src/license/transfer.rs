//! Hands a licence to another holder; its machines go, its validity goes on (row P2).

use quotary_domain::LicenseId;
use quotary_domain::license::LicenseCommand;

use super::change::{LicenseAfter, Right};
use crate::context::Context;
use crate::event_log::CommandError;
use crate::refusal::Refusal;
use crate::use_case::{Commands, Outcome};

impl Commands {
    /// Hands a licence to `holder`, a text of at most 200 characters; `None` if it is nobody's any more.
    ///
    /// # Errors
    /// [`Refusal`] if the actor has no right to it, it is over, or it changed its holder as often as its terms allow.
    pub async fn transfer_license(
        &self,
        context: &Context,
        id: LicenseId,
        holder: Option<&str>,
    ) -> Outcome<LicenseAfter> {
        if let Some(holder) = holder {
            Refusal::check_text("holder", holder, 1, 200).map_err(CommandError::Refused)?;
        }
        let seal = |holder: &str| self.log.vault().seal(context.tenant_id, &holder_purpose(id), holder.as_bytes());
        let holder = holder.map(seal).transpose()?;
        let at = context.now;
        let command = || LicenseCommand::Transfer { holder: holder.clone(), at };
        self.change_license(context, id, Right::Seller, command).await
    }
}

/// What a sealed holder is for.
#[must_use]
pub fn holder_purpose(id: LicenseId) -> String {
    format!("license-holder/{id}")
}
