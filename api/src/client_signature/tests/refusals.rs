//! Each refusal of a request, with its code, and the neighbouring case that is accepted.
//!
//! Where the refusal could hide behind an invalid signature, the test signs correctly first.

use axum::http::{HeaderMap, HeaderValue, Method, Uri};

use super::super::{HmacKey, ParsedSignature, SecretTooShort, SignatureError};
use super::{BODY, NOW, Request, key};

const PARAMS: &str = ";created=1700000000;nonce=\"n\";keyid=\"k\";alg=\"hmac-sha256\"";
const REQUIRED: [&str; 4] = ["@method", "@path", "@query", "content-digest"];

#[test]
fn missing_headers_are_named() {
    for (name, code) in [
        ("signature-input", "signature-missing"),
        ("signature", "signature-missing"),
        ("content-digest", "content-digest-missing"),
        ("content-type", "signature-component-absent"),
    ] {
        let mut request = Request::signed();
        request.headers.remove(name);
        assert_eq!(request.code(), code, "{name}");
    }
    assert_eq!(Request::signed().set("signature-input", "").code(), "signature-missing");
}

#[test]
fn repeated_lines_labels_and_parameters_are_ambiguous() {
    for name in ["signature-input", "signature"] {
        let mut request = Request::signed();
        request.headers.append(name, request.headers[name].clone());
        assert_eq!(request.code(), "signature-ambiguous", "{name} twice");
        let request = Request::signed();
        let twice = format!("{0}, {0}", request.text(name));
        assert_eq!(request.set(name, &twice).code(), "signature-ambiguous", "label of {name} twice");
    }
    for parameter in [";created=1", ";nonce=\"x\"", ";keyid=\"x\"", ";alg=\"hmac-sha256\""] {
        let request = Request::signed();
        let input = request.text("signature-input") + parameter;
        assert_eq!(request.set("signature-input", &input).code(), "signature-ambiguous", "{parameter}");
    }
}

#[test]
fn of_several_signatures_the_one_with_our_algorithm_counts() {
    let request = Request::signed();
    let foreign = "proxy=(\"@target-uri\" \"x\";bs);created=1;alg=\"ed25519\"";
    let inputs = format!("{foreign}, {}", request.text("signature-input"));
    let values = format!("{}, proxy=:AAAA:", request.text("signature"));
    let beside = request.clone().set("signature-input", &inputs).set("signature", &values);
    assert_eq!(beside.check(), Ok(()));

    let second = inputs.replace("ed25519", "hmac-sha256");
    assert_eq!(request.clone().set("signature-input", &second).code(), "signature-ambiguous");

    let many: Vec<_> = (0..9).map(|n| format!("s{n}=()")).collect();
    assert_eq!(request.set("signature-input", &many.join(", ")).code(), "signature-too-large");
}

#[test]
fn any_other_algorithm_is_refused_before_a_key_is_used() {
    for alg in ["ed25519", "rsa-pss-sha512", "hmac-sha512", "HMAC-SHA256", "none", ""] {
        let request = Request::signed().edit_input("alg=\"hmac-sha256\"", &format!("alg=\"{alg}\""));
        let error = ParsedSignature::parse(&request.headers).expect_err("refused");
        assert_eq!(error, SignatureError::AlgorithmUnsupported { found: Some(alg.to_owned()) });
    }
    let request = Request::signed().edit_input(";alg=\"hmac-sha256\"", "");
    assert_eq!(request.check(), Err(SignatureError::AlgorithmUnsupported { found: None }));
}

#[test]
fn every_required_component_must_be_covered() {
    for missing in REQUIRED {
        let rest: Vec<_> = REQUIRED.into_iter().filter(|name| *name != missing).collect();
        let request = Request::signed().sign_input(&rest, PARAMS);
        assert_eq!(request.check(), Err(SignatureError::ComponentsMissing { component: missing }));
    }
    assert_eq!(Request::signed().sign_input(&REQUIRED, PARAMS).check(), Ok(()));
    let bare = Request::unsigned("/v1/x").sign(&[]);
    assert!(!bare.text("signature-input").contains("@query"));
    assert_eq!(bare.check(), Ok(()));
    let mut with_query = bare;
    with_query.uri = Uri::from_static("/v1/x?");
    assert_eq!(with_query.code(), "signature-components-missing");
}

#[test]
fn unknown_components_and_parameters_are_named() {
    for name in ["@target-uri", "@scheme", "@request-target", "@query-param", "@signature-params", "@new", "X-Up"] {
        let request = Request::signed().edit_input("\"content-type\"", &format!("\"{name}\""));
        assert_eq!(request.check(), Err(SignatureError::ComponentUnsupported { component: name.to_owned() }));
    }
    for name in ["signature", "signature-input", "", "a b", "@status"] {
        let request = Request::signed().edit_input("\"content-type\"", &format!("\"{name}\""));
        assert_eq!(request.code(), "signature-component-unsupported", "{name}");
    }
    for parameter in ["sf", "bs", "req", "tr", "key=\"a\"", "name=\"a\""] {
        let request = Request::signed().edit_input("\"content-type\"", &format!("\"content-type\";{parameter}"));
        let parameter = parameter.split('=').next().unwrap_or_default().to_owned();
        let component = "content-type".to_owned();
        assert_eq!(request.check(), Err(SignatureError::ComponentParameterUnsupported { component, parameter }));
    }
    let twice = Request::signed().edit_input("\"content-type\"", "\"content-type\" \"@path\"");
    assert_eq!(twice.code(), "signature-component-duplicated");
    let unknown = Request::signed().edit_input(";keyid", ";future=1;keyid");
    assert_eq!(unknown.check(), Err(SignatureError::ParameterUnsupported { parameter: "future".to_owned() }));
    let tagged = Request::signed().sign_input(&REQUIRED, &format!("{PARAMS};tag=\"app\""));
    assert_eq!(tagged.check(), Ok(()));
}

#[test]
fn malformed_fields_are_refused() {
    for input in ["(", "sig1", "sig1=1", "sig1=(a);alg=\"hmac-sha256\"", "sig1=();created=\"x\";alg=\"hmac-sha256\""] {
        assert_eq!(Request::signed().set("signature-input", input).code(), "signature-malformed", "{input}");
    }
    for input in ["created=1.5", "created=@1700000000", "created=?1"] {
        let request = Request::signed().edit_input("created=1700000000", input);
        assert_eq!(request.code(), "signature-malformed", "{input}");
    }
    for value in ["sig1", "sig1=(:AAAA:)", "sig1=\"x\"", "sig1=:!:", "x"] {
        let code = Request::signed().set("signature", value).code();
        assert_eq!(code, if value == "x" { "signature-label-unmatched" } else { "signature-malformed" }, "{value}");
    }
    let canonical = Request::signed().text("signature");
    let loose = Request::signed().set("signature", &canonical.replace("zY=:", "zZ=:"));
    assert_eq!(loose.code(), "signature-malformed");
    for short in ["sig1=:AAAA:", "sig1=::"] {
        assert_eq!(Request::signed().set("signature", short).code(), "signature-invalid");
    }
}

#[test]
fn the_window_is_300_seconds_each_way() {
    let request = Request::signed();
    for (offset, expected) in [
        (-300, Ok(())),
        (300, Ok(())),
        (301, Err(SignatureError::TooOld { age_seconds: 301 })),
        (-301, Err(SignatureError::InFuture { ahead_seconds: 301 })),
    ] {
        assert_eq!(request.check_at(NOW + offset), expected);
    }
    assert!(matches!(request.check_at(i64::MIN), Err(SignatureError::InFuture { .. })));
    assert!(matches!(request.check_at(i64::MAX), Err(SignatureError::TooOld { .. })));
    assert_eq!(Request::signed().edit_input(";created=1700000000", "").code(), "created-missing");
}

#[test]
fn the_signers_own_expiry_counts() {
    let request = Request::signed().sign_input(&REQUIRED, &format!("{PARAMS};expires=1700000010"));
    assert_eq!(request.check_at(NOW + 10), Ok(()));
    assert_eq!(request.check_at(NOW + 11), Err(SignatureError::Expired { expires: NOW + 10 }));
}

#[test]
fn nonce_and_key_id_must_be_there_and_short() {
    for (from, to, code) in [
        (";nonce=\"n-1\"", "", "nonce-missing"),
        (";nonce=\"n-1\"", ";nonce=\"\"", "nonce-missing"),
        (";keyid=\"ak_1\"", "", "key-id-missing"),
        (";keyid=\"ak_1\"", ";keyid=\"\"", "key-id-missing"),
    ] {
        assert_eq!(Request::signed().edit_input(from, to).code(), code);
    }
    let with = |length: usize| {
        let params = PARAMS.replace("\"n\"", &format!("\"{}\"", "n".repeat(length)));
        Request::signed().sign_input(&REQUIRED, &params)
    };
    assert_eq!(with(128).check(), Ok(()));
    assert_eq!(with(129).check(), Err(SignatureError::NonceTooLong { length: 129, limit: 128 }));
    let long_id = PARAMS.replace("\"k\"", &format!("\"{}\"", "k".repeat(129)));
    assert_eq!(Request::signed().sign_input(&REQUIRED, &long_id).code(), "signature-too-large");
}

#[test]
fn oversize_headers_are_refused() {
    let long = "a".repeat(9000);
    let request = Request::signed();
    let input = format!("{}, x=({long})", request.text("signature-input"));
    assert_eq!(request.clone().set("signature-input", &input).code(), "signature-too-large");
    let value = format!("{}, x=:{long}:", request.text("signature"));
    assert_eq!(request.clone().set("signature", &value).code(), "signature-too-large");
    assert_eq!(request.set("content-type", &long).code(), "signature-too-large");
    let names: Vec<_> = (0..33).map(|n| format!("\"h{n}\"")).collect();
    let many = Request::signed().edit_input("\"content-type\"", &names.join(" "));
    assert_eq!(many.code(), "signature-too-large");
}

#[test]
fn a_changed_part_is_refused() {
    let mut request = Request::signed();
    request.body.push(b' ');
    assert_eq!(request.code(), "content-digest-mismatch");
    let mut request = Request::signed();
    request.method = Method::PUT;
    assert_eq!(request.code(), "signature-invalid");
    for uri in ["/v1/client/licenses/verify?trace=2", "/v1/client/licenses/query?trace=1", "/?trace=1"] {
        let mut request = Request::signed();
        request.uri = uri.parse().expect("uri");
        assert_eq!(request.code(), "signature-invalid", "{uri}");
    }
    assert_eq!(Request::signed().set("content-type", "text/plain").code(), "signature-invalid");
    let request = Request::signed();
    let parsed = ParsedSignature::parse(&request.headers).expect("parsed");
    assert_eq!((parsed.key_id(), parsed.nonce(), parsed.created()), ("ak_1", "n-1", NOW));
    let other = HmacKey::new(b"another secret of 32 bytes......").expect("long enough");
    let result = parsed.verify(&request.method, &request.uri, &request.headers, BODY, &other, NOW);
    assert_eq!(result, Err(SignatureError::Invalid));
}

#[test]
fn several_values_of_a_header_are_joined_and_none_may_be_added() {
    let mut request = Request::unsigned("/v1/x");
    request.headers.append("x-list", HeaderValue::from_static(" a "));
    request.headers.append("x-list", HeaderValue::from_static("b,c"));
    let mut request = request.sign(&["x-list"]);
    assert_eq!(request.check(), Ok(()));
    // A proxy may join the lines: the same message.
    assert_eq!(request.clone().set("x-list", "a, b,c").check(), Ok(()));
    request.headers.append("x-list", HeaderValue::from_static("d"));
    assert_eq!(request.code(), "signature-invalid");
    let bytes = HeaderValue::from_bytes(b"caf\xe9").expect("value");
    request.headers.insert("x-list", bytes);
    assert_eq!(request.code(), "signature-component-absent");
}

#[test]
fn the_authority_is_compared_in_lower_case_without_default_port() {
    let request = Request::unsigned("/v1/x").set("host", "Quota.Example:443").sign(&["@authority"]);
    for same in ["quota.example", "QUOTA.EXAMPLE:443"] {
        assert_eq!(request.clone().set("host", same).check(), Ok(()), "{same}");
    }
    let mut absolute = request.clone();
    absolute.headers.remove("host");
    absolute.uri = Uri::from_static("https://quota.example:443/v1/x");
    assert_eq!(absolute.check(), Ok(()));
    for other in ["quota.example:8443", "other.example"] {
        assert_eq!(request.clone().set("host", other).code(), "signature-invalid", "{other}");
    }
    for none in ["", "user@quota.example"] {
        assert_eq!(request.clone().set("host", none).code(), "signature-component-absent", "{none}");
    }
    let mut twice = request;
    twice.headers.append("host", HeaderValue::from_static("quota.example"));
    assert_eq!(twice.code(), "signature-ambiguous");
}

#[test]
fn short_secrets_and_wrong_parameters_are_refused_and_keys_are_not_printed() {
    assert!(matches!(HmacKey::new(b"fifteen bytes.."), Err(SecretTooShort { length: 15 })));
    assert_eq!(format!("{:?}", key()), "HmacKey(…)");
    let headers = HeaderMap::new();
    let uri = Uri::from_static("/x");
    let request =
        super::RequestToSign { method: &Method::GET, uri: &uri, headers: &headers, body: b"", extra_components: &[] };
    let error = super::sign_request(&request, "ak", &key(), NOW, "é").expect_err("refused");
    assert_eq!(error.code(), "signature-malformed");
}
