//! A receiver's check of a callback, written from the text of the Standard Webhooks specification and sharing no code with the
//! sender.
//!
//! The text: the secret is base64 after `whsec_`; the signed content is id, timestamp and body joined by full stops; the header
//! is a list of signatures separated by spaces, each a version and a signature separated by a comma; any one that is right is
//! enough; a timestamp further than the tolerance from now is refused.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::scene::Seen;

/// Seconds.
const TOLERANCE: i64 = 5 * 60;

/// Whether the callback is from who has the secret, and not an old one.
pub fn verify(seen: &Seen, secret: &str, now: i64) -> Result<(), &'static str> {
    let key = secret.strip_prefix("whsec_").ok_or("no secret")?;
    let key = STANDARD.decode(key).map_err(|_| "no base64")?;
    if !(24..=64).contains(&key.len()) {
        return Err("a secret has 24 to 64 bytes");
    }
    let timestamp: i64 = seen.header("webhook-timestamp").parse().map_err(|_| "no timestamp")?;
    if (now - timestamp).abs() > TOLERANCE {
        return Err("too old or too new");
    }
    let content = format!("{}.{}.{}", seen.header("webhook-id"), timestamp, seen.body);
    for signature in seen.header("webhook-signature").split(' ') {
        let Some(("v1", encoded)) = signature.split_once(',') else { continue };
        let Ok(bytes) = STANDARD.decode(encoded) else { continue };
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).map_err(|_| "no key")?;
        mac.update(content.as_bytes());
        if mac.verify_slice(&bytes).is_ok() {
            return Ok(());
        }
    }
    Err("no signature is right")
}
