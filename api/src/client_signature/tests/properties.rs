//! Properties over random requests: what was signed verifies, and no single bit of it may change.
//!
//! The flips run over everything that the server reads, spelled as it is on the wire.

use axum::http::{HeaderValue, Method, Uri};
use proptest::prelude::*;

use super::super::{ParsedSignature, RequestToSign, sign_request};
use super::{NOW, Request, key};

fn request() -> impl Strategy<Value = (Request, String, String)> {
    (
        prop::sample::select(vec!["GET", "POST", "DELETE"]),
        "/[a-z0-9/._~-]{0,30}",
        prop::option::of("[a-zA-Z0-9=&._%-]{0,30}"),
        prop::collection::vec(any::<u8>(), 0..300),
        "[ -~]{1,60}",
        "[ -~]{1,40}",
        "[!-~]([ -~]{0,20}[!-~])?",
    )
        .prop_map(|(method, path, query, body, nonce, key_id, extra)| {
            let target = query.map_or(path.clone(), |query| format!("{path}?{query}"));
            let mut request = Request::unsigned(&target).set("x-extra", &extra);
            request.method = Method::from_bytes(method.as_bytes()).expect("method");
            request.body = body;
            let to_sign = RequestToSign {
                method: &request.method,
                uri: &request.uri,
                headers: &request.headers,
                body: &request.body,
                extra_components: &["x-extra", "@authority"],
            };
            let signed = sign_request(&to_sign, &key_id, &key(), NOW, &nonce).expect("signed");
            signed.apply(&mut request.headers);
            (request, key_id, nonce)
        })
}

fn flip(bytes: &mut [u8], bit: prop::sample::Index) -> bool {
    if bytes.is_empty() {
        return false;
    }
    let bit = bit.index(bytes.len() * 8);
    bytes[bit / 8] ^= 1 << (bit % 8);
    true
}

/// Changes one bit of the given part; `None` where what results is not even a request, which the server never sees.
fn flipped(mut request: Request, part: usize, bit: prop::sample::Index) -> Option<Request> {
    let headers = ["signature-input", "signature", "content-digest", "x-extra"];
    match part {
        0 => flip(&mut request.body, bit).then_some(request),
        1 => {
            let mut text = request.uri.to_string().into_bytes();
            flip(&mut text, bit);
            request.uri = Uri::try_from(text).ok()?;
            Some(request)
        }
        2 => {
            let mut text = request.method.as_str().as_bytes().to_vec();
            flip(&mut text, bit);
            request.method = Method::from_bytes(&text).ok()?;
            Some(request)
        }
        _ => {
            let name = headers[part - 3];
            let mut value = request.headers[name].as_bytes().to_vec();
            flip(&mut value, bit);
            request.headers.insert(name, HeaderValue::from_bytes(&value).ok()?);
            Some(request)
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_was_signed_verifies((request, key_id, nonce) in request()) {
        let parsed = ParsedSignature::parse(&request.headers).expect("parsed");
        prop_assert_eq!(parsed.key_id(), key_id);
        prop_assert_eq!(parsed.nonce(), nonce);
        prop_assert_eq!(request.check(), Ok(()));
    }

    #[test]
    fn no_single_bit_may_change((request, _, _) in request(), part in 0_usize..7, bit in any::<prop::sample::Index>()) {
        if let Some(changed) = flipped(request.clone(), part, bit) {
            prop_assert!(changed.check().is_err(), "{:?}", changed);
        }
    }

    #[test]
    fn parsing_never_panics(input in "[ -~]{0,120}", value in "[ -~]{0,120}", tail in "[ -~]{0,40}") {
        let request = Request::signed().set("signature-input", &input).set("signature", &value);
        prop_assert!(request.check().is_err());
        let request = Request::signed();
        let input = request.text("signature-input") + &tail;
        // Another member or a blank may follow and change nothing; a parameter is signed.
        if request.set("signature-input", &input).check().is_ok() {
            prop_assert!(tail.trim_start().is_empty() || tail.trim_start().starts_with(','), "{}", tail);
        }
    }
}

#[test]
fn every_single_bit_of_one_request_counts() {
    let request = Request::signed();
    for name in ["signature-input", "signature", "content-digest", "content-type"] {
        let value = request.headers[name].as_bytes().to_vec();
        for bit in 0..value.len() * 8 {
            let mut changed = value.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let Ok(header) = HeaderValue::from_bytes(&changed) else { continue };
            let mut request = request.clone();
            request.headers.insert(name, header);
            assert!(request.check().is_err(), "bit {bit} of {name}: {:?}", request.headers[name]);
        }
    }
}
