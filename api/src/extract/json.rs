//! Bodies: at most 1 MiB of JSON with known fields only.
//!
//! Which code a wrong body gets: not JSON → `malformed-json`; a field that is not known → `unknown-field`; a value of
//! another JSON type → `wrong-type` (all 400); a missing field or a value that is never allowed → `validation-failed`
//! (422), each with a JSON pointer.

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, header};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::Value;
use serde_path_to_error::{Path, Segment};

use crate::problem::{Code, Problem};

/// The largest body, in bytes.
pub const BODY_LIMIT: usize = 1 << 20;

/// A JSON body.
#[derive(Debug)]
pub struct ApiJson<T>(pub T);

impl<S: Sync, T: DeserializeOwned> FromRequest<S> for ApiJson<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        check_content_type(&parts.headers)?;
        parse_json(&read_body(&parts.headers, body).await?).map(Self)
    }
}

/// Refuses other media types than JSON.
pub(super) fn check_content_type(headers: &HeaderMap) -> Result<(), Problem> {
    let media_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json")) {
        Ok(())
    } else {
        Err(Problem::new(Code::UnsupportedMediaType, "the content-type must be application/json"))
    }
}

/// The whole body.
///
/// # Errors
/// `payload-too-large` beyond [`BODY_LIMIT`], `malformed-json` if it ends early.
pub async fn read_body(headers: &HeaderMap, body: Body) -> Result<Bytes, Problem> {
    let too_large = || Problem::new(Code::PayloadTooLarge, format!("a body may have {BODY_LIMIT} bytes"));
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > BODY_LIMIT as u64) {
        return Err(too_large());
    }
    to_bytes(body, BODY_LIMIT).await.map_err(|error| {
        let mut cause: Option<&(dyn std::error::Error + 'static)> = std::error::Error::source(&error);
        while let Some(error) = cause {
            if error.to_string().contains("length limit") {
                return too_large();
            }
            cause = error.source();
        }
        Problem::new(Code::MalformedJson, "the body could not be read to its end")
    })
}

/// The value in a JSON text.
///
/// # Errors
/// See the module.
pub fn parse_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    // serde would also take the fields of an object from an array.
    if bytes.iter().find(|byte| !byte.is_ascii_whitespace()).is_some_and(|byte| *byte != b'{') {
        return Err(match serde_json::from_slice::<IgnoredAny>(bytes) {
            Ok(_) => Problem::new(Code::WrongType, "the body must be an object").with_error("", "must be an object"),
            Err(error) => Problem::new(Code::MalformedJson, error.to_string()),
        });
    }
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().clone();
        problem(&path, &error.into_inner(), bytes)
    })?;
    deserializer.end().map_err(|error| Problem::new(Code::MalformedJson, error.to_string()))?;
    Ok(value)
}

fn problem(path: &Path, error: &serde_json::Error, bytes: &[u8]) -> Problem {
    let text = error.to_string();
    // serde_json adds the place in the text, which the pointer says better.
    let detail = text.rsplit_once(" at line ").map_or(text.as_str(), |(detail, _)| detail).to_owned();
    if !error.is_data() && detail == "number out of range" {
        // JSON has numbers of any size, so this is a value and no syntax.
        let pointer = pointer(path, None);
        return Problem::new(Code::ValidationFailed, format!("{pointer}: {detail}")).with_error(pointer, detail);
    }
    // Not `IgnoredAny`, which skips texts without looking whether they are Unicode.
    if !error.is_data() && serde_json::from_slice::<Value>(bytes).is_ok() {
        // An enum from anything but a text is a syntax error to serde_json, though the text is JSON.
        let pointer = pointer(path, None);
        return Problem::new(Code::WrongType, format!("{pointer}: {detail}")).with_error(pointer, detail);
    }
    if !error.is_data() || detail.starts_with("duplicate field") {
        return Problem::new(Code::MalformedJson, text);
    }
    let field = detail.split('`').nth(1);
    let code = if detail.starts_with("unknown field") {
        Code::UnknownField
    } else if detail.starts_with("invalid type") {
        Code::WrongType
    } else {
        Code::ValidationFailed
    };
    let names_field = detail.starts_with("unknown field") || detail.starts_with("missing field");
    let pointer = pointer(path, if names_field { field } else { None });
    Problem::new(code, format!("{}: {detail}", if pointer.is_empty() { "the body" } else { &pointer }))
        .with_error(pointer, detail)
}

fn pointer(path: &Path, field: Option<&str>) -> String {
    let mut pointer = String::new();
    let mut push = |name: &str| {
        pointer.push('/');
        pointer.push_str(&name.replace('~', "~0").replace('/', "~1"));
    };
    let mut last = None;
    for segment in path {
        match segment {
            Segment::Map { key } => {
                push(key);
                last = Some(key.as_str());
            }
            Segment::Seq { index } => push(&index.to_string()),
            Segment::Enum { variant } => push(variant),
            Segment::Unknown => {}
        }
    }
    if let Some(field) = field.filter(|field| last != Some(*field)) {
        push(field);
    }
    pointer
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::extract::Amount;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only read by serde")]
    struct Sample {
        amount: Amount,
        note: Option<String>,
        inner: Option<Inner>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only read by serde")]
    struct Inner {
        list: Vec<u32>,
    }

    #[test]
    fn every_kind_of_wrong_body_has_its_code_and_pointer() {
        for (body, code, pointer) in [
            ("", Code::MalformedJson, None),
            ("{", Code::MalformedJson, None),
            (r#"{"amount":1} x"#, Code::MalformedJson, None),
            (r#"{"amount":1,"amount":2}"#, Code::MalformedJson, None),
            ("[]", Code::WrongType, Some("")),
            (r#"{"amount":1,"x":2}"#, Code::UnknownField, Some("/x")),
            (r#"{"amount":"1"}"#, Code::WrongType, Some("/amount")),
            (r#"{"amount":1.5}"#, Code::WrongType, Some("/amount")),
            (r#"{"amount":null}"#, Code::WrongType, Some("/amount")),
            (r#"{"amount":-1}"#, Code::ValidationFailed, Some("/amount")),
            (r#"{"amount":9007199254740992}"#, Code::ValidationFailed, Some("/amount")),
            (r#"{"amount":18446744073709551615}"#, Code::ValidationFailed, Some("/amount")),
            (r#"{"amount":99999999999999999999999999}"#, Code::ValidationFailed, Some("/amount")),
            (r#"{"amount":1e400}"#, Code::ValidationFailed, Some("/amount")),
            (r#"{"amount":1,"note":"\ud800"}"#, Code::MalformedJson, None),
            (r#"{"amount":-99999999999999999999999999}"#, Code::ValidationFailed, Some("/amount")),
            (r"{}", Code::ValidationFailed, Some("/amount")),
            (r#"{"amount":1,"note":5}"#, Code::WrongType, Some("/note")),
            (r#"{"amount":1,"inner":{"list":[1,"a"]}}"#, Code::WrongType, Some("/inner/list/1")),
            (r#"{"amount":1,"inner":{"y":1}}"#, Code::UnknownField, Some("/inner/y")),
        ] {
            let problem = parse_json::<Sample>(body.as_bytes()).unwrap_err();
            assert_eq!(problem.code(), code, "{body}");
            assert_eq!(problem.errors().first().map(|error| error.pointer.as_str()), pointer, "{body}");
        }
        let not_unicode = parse_json::<Sample>(b"{\"amount\":1,\"note\":\"\xff\"}").unwrap_err();
        assert_eq!(not_unicode.code(), Code::MalformedJson);
    }
}
