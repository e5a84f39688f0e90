//! Secrets that callbacks are signed with: made here, shown once, sealed ever after.
//!
//! The text form is that of Standard Webhooks: `whsec_` and the bytes in base64.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use quotary_domain::TenantId;
use quotary_domain::project::CallbackSecret;
use zeroize::Zeroizing;

use crate::vault::{Vault, VaultError, random};

/// What the sealed secret of callbacks is for.
fn purpose(secret_id: &str) -> String {
    format!("callback-secret/{secret_id}")
}

/// A new secret, sealed and as it is shown.
pub(crate) fn new_secret(vault: &Vault, tenant: TenantId) -> Result<(CallbackSecret, String), VaultError> {
    let bytes = random::<32>()?;
    let secret_id = format!("cs_{}", URL_SAFE_NO_PAD.encode(random::<9>()?.as_ref()));
    let secret = vault.seal(tenant, &purpose(&secret_id), bytes.as_ref())?;
    let shown = format!("whsec_{}", STANDARD.encode(bytes.as_ref()));
    Ok((CallbackSecret { secret_id, secret }, shown))
}

/// The bytes of a secret.
///
/// # Errors
/// [`VaultError`] if it was sealed for another or with another master key.
pub fn open_secret(vault: &Vault, tenant: TenantId, of: &CallbackSecret) -> Result<Zeroizing<Vec<u8>>, VaultError> {
    vault.open(tenant, &purpose(&of.secret_id), &of.secret)
}
