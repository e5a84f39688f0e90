//! Signs callbacks by the Standard Webhooks specification: HMAC-SHA256 over `id.timestamp.body`, `v1,` and base64.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// The value of `webhook-signature`: one signature for each secret, the newest first.
///
/// # Panics
/// Never: HMAC takes a key of any length.
#[must_use]
pub fn sign<S: AsRef<[u8]>>(secrets: &[S], id: &str, timestamp: i64, body: &str) -> String {
    let signatures = secrets.iter().map(|secret| {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_ref()).expect("HMAC takes a key of any length");
        mac.update(format!("{id}.{timestamp}.").as_bytes());
        mac.update(body.as_bytes());
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    });
    signatures.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_specification_has_its_signature() {
        let secret = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signature = sign(&[secret], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn two_secrets_give_two_signatures_with_a_blank_between() {
        let (one, two) = (sign(&["a"], "id", 1, "{}"), sign(&["b"], "id", 1, "{}"));
        assert_eq!(sign(&["a", "b"], "id", 1, "{}"), format!("{one} {two}"));
        for other in [sign(&["a"], "ie", 1, "{}"), sign(&["a"], "id", 2, "{}"), sign(&["a"], "id", 1, "{ }")] {
            assert_ne!(one, other);
        }
    }
}
