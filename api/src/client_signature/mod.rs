//! RFC 9421 HTTP message signatures and RFC 9530 content digests for the calls of client software.
//!
//! What must always hold: a request is believed only after [`ParsedSignature::verify`] and then [`NonceStore::insert`]
//! both said yes, in this order, so that nobody without the secret can burn a nonce or fill the memory; nothing here
//! reads a clock, a generator or the network; and everything the signature does not cover is treated as the attacker's.
//!
//! The way of a request: [`ParsedSignature::parse`] → the caller looks up [`HmacKey`] by [`ParsedSignature::key_id`] →
//! [`ParsedSignature::verify`] → [`NonceStore::insert`] → the handler → [`sign_response`] if
//! [`response_signature_requested`].

mod base;
mod components;
mod content_digest;
mod error;
mod fields;
mod hmac_key;
mod nonce;
mod request;
mod response;
mod signer;

#[cfg(test)]
mod tests;

pub use content_digest::{content_digest, verify_content_digest};
pub use error::SignatureError;
pub use fields::claimed;
pub use hmac_key::{HmacKey, SecretTooShort};
pub use nonce::{NONCE_RETENTION_SECONDS, NonceError, NonceStore};
pub use request::{CLOCK_WINDOW_SECONDS, MAX_FIELD_BYTES, MAX_NONCE_CHARS, ParsedSignature};
pub use response::{response_signature_requested, sign_response, verify_response};
pub use signer::{RequestToSign, SignatureHeaders, sign_request};
