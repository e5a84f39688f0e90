//! Tests of the client signature: published vectors here, refusals, properties and nonces in the files beside.
//!
//! The vectors are RFC 9421's appendix B.2 and RFC 9530's appendix B, plus one whole request computed with another
//! implementation of HMAC. No test reads a clock.

mod known_answers;
mod nonces;
mod properties;
mod refusals;
mod responses;

use axum::http::{HeaderMap, HeaderValue, Method, Uri};

use super::{HmacKey, ParsedSignature, RequestToSign, SignatureError, sign_request};

const NOW: i64 = 1_700_000_000;
const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";
const BODY: &[u8] = br#"{"key":"K-1","machine":{"fingerprint":"m1"}}"#;

fn key() -> HmacKey {
    HmacKey::new(SECRET).expect("long enough")
}

/// A request under test, changed freely before it is checked.
#[derive(Debug, Clone)]
struct Request {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Request {
    fn unsigned(uri: &str) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert("host", HeaderValue::from_static("quota.example:8443"));
        headers.insert("content-type", HeaderValue::from_static("application/json"));
        Self { method: Method::POST, uri: uri.parse().expect("uri"), headers, body: BODY.to_vec() }
    }

    fn signed() -> Self {
        Self::unsigned("/v1/client/licenses/verify?trace=1").sign(&["content-type"])
    }

    fn sign(mut self, extra_components: &[&str]) -> Self {
        let to_sign = RequestToSign {
            method: &self.method,
            uri: &self.uri,
            headers: &self.headers,
            body: &self.body,
            extra_components,
        };
        sign_request(&to_sign, "ak_1", &key(), NOW, "n-1").expect("signed").apply(&mut self.headers);
        self
    }

    fn set(mut self, name: &'static str, value: &str) -> Self {
        self.headers.insert(name, HeaderValue::from_str(value).expect("value"));
        self
    }

    fn text(&self, name: &str) -> String {
        self.headers[name].to_str().expect("ascii").to_owned()
    }

    /// The same signature with `Signature-Input` edited.
    fn edit_input(self, from: &str, to: &str) -> Self {
        let input = self.text("signature-input");
        assert!(input.contains(from), "{from} is not in {input}");
        self.set("signature-input", &input.replacen(from, to, 1))
    }

    fn check_at(&self, now: i64) -> Result<(), SignatureError> {
        let parsed = ParsedSignature::parse(&self.headers)?;
        parsed.verify(&self.method, &self.uri, &self.headers, &self.body, &key(), now)
    }

    fn check(&self) -> Result<(), SignatureError> {
        self.check_at(NOW)
    }

    fn code(&self) -> &'static str {
        self.check().expect_err("must be refused").code()
    }

    /// Signs a `Signature-Input` of the test's own making correctly, so that only the refusal under test applies.
    fn sign_input(self, components: &[&str], params: &str) -> Self {
        use super::base::{ParamsText, signature_base};
        use super::components::{Component, Message};
        use base64::Engine as _;
        let components: Vec<_> = components.iter().map(|name| Component::parse(name).expect("component")).collect();
        let mut text = ParamsText::new(&components);
        text.raw(params);
        let message = Message::Request { method: &self.method, uri: &self.uri, headers: &self.headers };
        let base = signature_base(&components, &text, message).expect("base");
        let mac = base64::engine::general_purpose::STANDARD.encode(key().sign(&base));
        let input = format!("sig1={}", text.as_str());
        self.set("signature-input", &input).set("signature", &format!("sig1=:{mac}:"))
    }
}
