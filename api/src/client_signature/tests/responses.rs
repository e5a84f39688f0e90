//! Signed responses and the request for them.
//!
//! What the server signs, a client with the public key accepts; anything else it refuses.

use axum::http::{HeaderMap, HeaderValue, StatusCode};
use ed25519_dalek::SigningKey;

use super::super::{SignatureError, response_signature_requested, sign_response, verify_response};
use super::{BODY, NOW, Request};

fn signing_key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

fn signed() -> HeaderMap {
    let mut headers = HeaderMap::new();
    let signed = sign_response(StatusCode::OK, BODY, &signing_key(), "project-1", NOW, "n-1").expect("signed");
    signed.apply(&mut headers);
    headers
}

#[test]
fn a_signed_response_covers_status_and_digest_and_echoes_the_nonce() {
    let headers = signed();
    assert_eq!(
        headers["signature-input"],
        "sig1=(\"@status\" \"content-digest\");created=1700000000;nonce=\"n-1\";keyid=\"project-1\";alg=\"ed25519\""
    );
    let key = signing_key().verifying_key();
    let check = |status, headers: &HeaderMap, body: &[u8], nonce: &str, now| {
        verify_response(status, headers, body, &key, nonce, now)
    };
    assert_eq!(check(StatusCode::OK, &headers, BODY, "n-1", NOW), Ok(()));
    assert_eq!(check(StatusCode::CREATED, &headers, BODY, "n-1", NOW), Err(SignatureError::Invalid));
    assert_eq!(check(StatusCode::OK, &headers, b"", "n-1", NOW), Err(SignatureError::ContentDigestMismatch));
    assert_eq!(check(StatusCode::OK, &headers, BODY, "n-2", NOW), Err(SignatureError::NonceMismatch));
    let old = check(StatusCode::OK, &headers, BODY, "n-1", NOW + 301);
    assert_eq!(old, Err(SignatureError::TooOld { age_seconds: 301 }));
    let other = SigningKey::from_bytes(&[8; 32]).verifying_key();
    let result = verify_response(StatusCode::OK, &headers, BODY, &other, "n-1", NOW);
    assert_eq!(result, Err(SignatureError::Invalid));
}

#[test]
fn a_request_signature_is_not_a_response_signature() {
    let request = Request::signed();
    let key = signing_key().verifying_key();
    let result = verify_response(StatusCode::OK, &request.headers, BODY, &key, "n-1", NOW);
    assert_eq!(result.expect_err("refused").code(), "signature-algorithm-unsupported");
}

#[test]
fn accept_signature_asks_with_a_member() {
    for (lines, expected) in [
        (&[][..], false),
        (&[""], false),
        (&["sig1"], false),
        (&["sig1=1"], false),
        (&["("], false),
        (&["sig1=()"], true),
        (&["sig1=(\"@status\" \"content-digest\");created;keyid=\"x\";alg=\"ed25519\""], true),
        (&["broken=(", "sig1=(\"@status\")"], true),
    ] {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append("accept-signature", HeaderValue::from_static(line));
        }
        assert_eq!(response_signature_requested(&headers), expected, "{lines:?}");
    }
}
