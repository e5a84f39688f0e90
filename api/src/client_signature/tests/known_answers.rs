//! Published vectors and one whole request computed elsewhere.
//!
//! They must never be adapted to the code.

use axum::http::{HeaderMap, HeaderValue, Method, Uri};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ed25519_dalek::{Signer as _, SigningKey};

use super::super::base::{ParamsText, signature_base};
use super::super::components::{Component, Message};
use super::super::{HmacKey, SignatureError, content_digest, verify_content_digest};
use super::{BODY, Request};

const B15_SECRET: &str = "uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ==";
const B14_SEED: &str = "n4Ni-HpISpVObnQMW0wOhCKROaIKqKtW_2ZYb2p9KcU";
const B14_PUBLIC: &str = "JrQLj5P_89iXES9-vFgrIy29clF9CC_oPPsw3c5D0bs";
const CREATED: i64 = 1_618_884_473;

/// The base of RFC 9421's test request for the given components.
fn b2_base(names: &[&str], key_id: &str) -> Vec<u8> {
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("host", "example.com"),
        ("date", "Tue, 20 Apr 2021 02:07:55 GMT"),
        ("content-type", "application/json"),
        ("content-length", "18"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    let components: Vec<_> = names.iter().map(|name| Component::parse(name).expect("component")).collect();
    let mut params = ParamsText::new(&components);
    params.integer("created", CREATED);
    params.string("keyid", key_id).expect("ascii");
    let uri: Uri = "/foo?param=Value&Pet=dog".parse().expect("uri");
    let message = Message::Request { method: &Method::POST, uri: &uri, headers: &headers };
    signature_base(&components, &params, message).expect("base")
}

#[test]
fn rfc9421_b25_hmac_sha256_is_met() {
    let base = b2_base(&["date", "@authority", "content-type"], "test-shared-secret");
    let expected = concat!(
        "\"date\": Tue, 20 Apr 2021 02:07:55 GMT\n",
        "\"@authority\": example.com\n",
        "\"content-type\": application/json\n",
        "\"@signature-params\": (\"date\" \"@authority\" \"content-type\")",
        ";created=1618884473;keyid=\"test-shared-secret\"",
    );
    assert_eq!(std::str::from_utf8(&base), Ok(expected));
    let key = HmacKey::new(&STANDARD.decode(B15_SECRET).expect("base64")).expect("long enough");
    assert_eq!(STANDARD.encode(key.sign(&base)), "pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=");
}

#[test]
fn rfc9421_b26_ed25519_is_met() {
    let names = ["date", "@method", "@path", "@authority", "content-type", "content-length"];
    let base = b2_base(&names, "test-key-ed25519");
    let expected = concat!(
        "\"date\": Tue, 20 Apr 2021 02:07:55 GMT\n",
        "\"@method\": POST\n",
        "\"@path\": /foo\n",
        "\"@authority\": example.com\n",
        "\"content-type\": application/json\n",
        "\"content-length\": 18\n",
        "\"@signature-params\": (\"date\" \"@method\" \"@path\" \"@authority\" \"content-type\" \"content-length\")",
        ";created=1618884473;keyid=\"test-key-ed25519\"",
    );
    assert_eq!(std::str::from_utf8(&base), Ok(expected));
    let seed: [u8; 32] = URL_SAFE_NO_PAD.decode(B14_SEED).expect("base64").try_into().expect("32 bytes");
    let key = SigningKey::from_bytes(&seed);
    assert_eq!(URL_SAFE_NO_PAD.encode(key.verifying_key().as_bytes()), B14_PUBLIC);
    assert_eq!(
        STANDARD.encode(key.sign(&base).to_bytes()),
        "wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw=="
    );
}

#[test]
fn rfc9530_digests_are_met() {
    for (body, expected) in [
        ("{\"hello\": \"world\"}\n", "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:"),
        ("{\"hello\": \"world\"}", "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:"),
        ("", "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:"),
    ] {
        assert_eq!(content_digest(body.as_bytes()), expected);
    }
}

#[test]
fn sha_256_may_stand_beside_other_algorithms_but_must_be_there() {
    let sha256 = "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:";
    let sha512 = "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:";
    let empty = "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:";
    let check = |lines: &[&str]| {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append("content-digest", HeaderValue::from_str(line).expect("value"));
        }
        verify_content_digest(&headers, b"{\"hello\": \"world\"}")
    };
    assert_eq!(check(&[sha256]), Ok(()));
    assert_eq!(check(&[&format!("{sha512}, {sha256}")]), Ok(()));
    assert_eq!(check(&[sha512, sha256]), Ok(()));
    assert_eq!(check(&[sha512]), Err(SignatureError::ContentDigestUnsupported));
    assert_eq!(check(&[empty]), Err(SignatureError::ContentDigestMismatch));
    assert_eq!(check(&[]), Err(SignatureError::ContentDigestMissing));
    for twice in [&[sha256, sha256][..], &[sha256, empty], &[empty, sha256]] {
        assert_eq!(check(twice), Err(SignatureError::ContentDigestMalformed));
    }
    for wrong in ["sha-256", "sha-256=\"x\"", "sha-256=(a)", "sha-256=:x", "%"] {
        assert_eq!(check(&[wrong]), Err(SignatureError::ContentDigestMalformed), "{wrong}");
    }
    assert!(matches!(check(&[&format!("a=:{}:", "A".repeat(9000))]), Err(SignatureError::TooLarge { .. })));
}

#[test]
fn a_signed_request_has_exactly_the_headers_that_another_implementation_computed() {
    let request = Request::signed();
    assert_eq!(request.body, BODY);
    assert_eq!(request.text("content-digest"), "sha-256=:Lj1u0z18ewA+81l3KosiqgQ5af16l0/dBp698jvVZEc=:");
    assert_eq!(
        request.text("signature-input"),
        "sig1=(\"@method\" \"@path\" \"@query\" \"content-digest\" \"content-type\")\
         ;created=1700000000;nonce=\"n-1\";keyid=\"ak_1\";alg=\"hmac-sha256\""
    );
    assert_eq!(request.text("signature"), "sig1=:Ek8AghjMtOZM8ZTxpRdJ8oAMiwpuMjOcKz25uZS19zY=:");
    assert_eq!(request.check(), Ok(()));
}
