//! Reading `Signature-Input` and `Signature` (RFC 9421, section 4).
//!
//! Each header has one line, each label and each parameter occurs once: where RFC 9651 lets the last one win, this
//! refuses, because two readers could pick differently. Several signatures may stand side by side (a proxy may add
//! its own); a fault in one that is not for us does no harm.

use std::convert::Infallible;

use axum::http::{HeaderMap, HeaderName};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sfv::visitor::{DictionaryVisitor, EntryVisitor, Ignored, InnerListVisitor, ItemVisitor, ParameterVisitor};
use sfv::{BareItemFromInput, KeyRef, Parser, Version};

use super::base::ParamsText;
use super::components::{Component, SIGNATURE, SIGNATURE_INPUT};
use super::error::SignatureError;
use super::request::{MAX_FIELD_BYTES, MAX_NONCE_CHARS};

/// Most signatures side by side in one message.
const MAX_SIGNATURES: usize = 8;
/// Most components that one signature covers.
const MAX_COMPONENTS: usize = 32;

/// One member of `Signature-Input`.
#[derive(Debug, Default)]
pub(super) struct SignatureInput {
    pub(super) label: String,
    pub(super) components: Vec<Component>,
    pub(super) created: Option<i64>,
    pub(super) expires: Option<i64>,
    pub(super) nonce: Option<String>,
    pub(super) key_id: Option<String>,
    alg: Option<String>,
    tag: Option<String>,
    /// The parameters in their order, which the signature base repeats.
    order: Vec<&'static str>,
    /// The first fault; it counts only if this member is the chosen one.
    fault: Option<SignatureError>,
}

/// The one member of `Signature-Input` whose `alg` is `algorithm`.
pub(super) fn signature_input(headers: &HeaderMap, algorithm: &str) -> Result<SignatureInput, SignatureError> {
    let value = single_line(headers, &SIGNATURE_INPUT, "signature-input")?;
    let inputs = Parser::new(value)
        .with_version(Version::Rfc8941)
        .parse_dictionary_with_visitor(Inputs::default())
        .map_err(|_| malformed("signature-input", "not a dictionary of inner lists"))?;
    if inputs.repeated {
        return Err(SignatureError::Ambiguous { reason: "a label occurs twice in signature-input" });
    }
    if inputs.members.len() > MAX_SIGNATURES {
        let subject = "the number of signatures".to_owned();
        return Err(SignatureError::TooLarge { subject, limit: MAX_SIGNATURES });
    }
    let count = inputs.members.len();
    let mut other_algorithm = None;
    let mut chosen = None;
    for mut member in inputs.members {
        if member.alg.as_deref() == Some(algorithm) {
            if chosen.replace(member).is_some() {
                return Err(SignatureError::Ambiguous { reason: "several signatures have the accepted algorithm" });
            }
        } else {
            if let (1, Some(fault)) = (count, member.fault.take()) {
                return Err(fault);
            }
            other_algorithm = other_algorithm.or(member.alg);
        }
    }
    match chosen {
        None if count == 0 => Err(SignatureError::Missing { header: "signature-input" }),
        None => Err(SignatureError::AlgorithmUnsupported { found: other_algorithm }),
        Some(mut member) => member.fault.take().map_or(Ok(member), Err),
    }
}

/// The key id and the nonce (empty without one) that a message claims, however wrong the rest of its signature is; to sign
/// a refusal with. Nothing of it may be believed.
#[must_use]
pub fn claimed(headers: &HeaderMap) -> Option<(String, String)> {
    let lines = headers.get_all(&SIGNATURE_INPUT).iter().take(MAX_SIGNATURES);
    let inputs = lines.filter(|line| line.len() <= MAX_FIELD_BYTES).filter_map(|line| {
        let parser = Parser::new(line.as_bytes()).with_version(Version::Rfc8941);
        parser.parse_dictionary_with_visitor(Inputs::default()).ok()
    });
    let fits = |text: &String| (1..=MAX_NONCE_CHARS).contains(&text.len());
    inputs.flat_map(|inputs| inputs.members).find_map(|member| {
        let key_id = member.key_id.filter(fits)?;
        Some((key_id, member.nonce.filter(fits).unwrap_or_default()))
    })
}

/// The bytes that `Signature` has under `label`, `length` of them.
pub(super) fn signature_bytes(headers: &HeaderMap, label: &str, length: usize) -> Result<Vec<u8>, SignatureError> {
    let value = single_line(headers, &SIGNATURE, "signature")?;
    let found = Parser::new(value)
        .with_version(Version::Rfc8941)
        .parse_dictionary_with_visitor(Values { label, bytes: None, seen: 0 })
        .map_err(|_| malformed("signature", "not a dictionary of byte sequences"))?;
    match found {
        (0, _) => Err(SignatureError::LabelUnmatched { label: label.to_owned() }),
        (1, Some(bytes)) => {
            // The decoder is lenient about padding and trailing bits; one signature must not have several spellings.
            let canonical = format!(":{}:", STANDARD.encode(&bytes));
            if !value.windows(canonical.len()).any(|part| part == canonical.as_bytes()) {
                return Err(malformed("signature", "the base64 of the signature is not canonical"));
            }
            if bytes.len() == length { Ok(bytes) } else { Err(SignatureError::Invalid) }
        }
        (1, None) => Err(malformed("signature", "the signature is not a byte sequence")),
        _ => Err(SignatureError::Ambiguous { reason: "the label occurs twice in the signature header" }),
    }
}

impl SignatureInput {
    /// The canonical text of `@signature-params`.
    pub(super) fn params_text(&self) -> Result<ParamsText, SignatureError> {
        let mut text = ParamsText::new(&self.components);
        for &name in &self.order {
            let string = match name {
                "created" | "expires" => {
                    let value = if name == "created" { self.created } else { self.expires };
                    text.integer(name, value.unwrap_or_default());
                    continue;
                }
                "nonce" => &self.nonce,
                "keyid" => &self.key_id,
                "alg" => &self.alg,
                _ => &self.tag,
            };
            text.string(name, string.as_deref().unwrap_or_default())?;
        }
        Ok(text)
    }

    fn fail(&mut self, fault: SignatureError) {
        self.fault.get_or_insert(fault);
    }

    fn component(&mut self, item: &BareItemFromInput<'_>) {
        let Some(name) = item.as_string() else {
            return self.fail(malformed("signature-input", "a covered component is not a string"));
        };
        if self.components.len() == MAX_COMPONENTS {
            let subject = "the number of covered components".to_owned();
            return self.fail(SignatureError::TooLarge { subject, limit: MAX_COMPONENTS });
        }
        match Component::parse(name.as_str()) {
            Ok(component) if self.components.contains(&component) => {
                self.fail(SignatureError::ComponentDuplicated { component: name.as_str().to_owned() });
            }
            Ok(component) => self.components.push(component),
            Err(fault) => self.fail(fault),
        }
    }

    fn set_parameter(&mut self, key: &str, item: &BareItemFromInput<'_>) {
        let known = ["created", "expires", "nonce", "keyid", "alg", "tag"].into_iter().find(|name| *name == key);
        let Some(name) = known else {
            return self.fail(SignatureError::ParameterUnsupported { parameter: key.to_owned() });
        };
        if self.order.contains(&name) {
            return self.fail(SignatureError::Ambiguous { reason: "a signature parameter occurs twice" });
        }
        self.order.push(name);
        if matches!(name, "created" | "expires") {
            let Some(value) = item.as_integer() else {
                return self.fail(malformed("signature-input", "created or expires is not an integer"));
            };
            let slot = if name == "created" { &mut self.created } else { &mut self.expires };
            *slot = Some(i64::from(value));
            return;
        }
        let Some(value) = item.as_string() else {
            return self.fail(malformed("signature-input", "nonce, keyid, alg or tag is not a string"));
        };
        let slot = match name {
            "nonce" => &mut self.nonce,
            "keyid" => &mut self.key_id,
            "alg" => &mut self.alg,
            _ => &mut self.tag,
        };
        *slot = Some(value.as_str().to_owned());
    }
}

fn malformed(header: &'static str, reason: &'static str) -> SignatureError {
    SignatureError::Malformed { header, reason }
}

/// The bytes of a header that must have exactly one line within the size limit.
fn single_line<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
    header: &'static str,
) -> Result<&'a [u8], SignatureError> {
    let mut lines = headers.get_all(name).iter();
    let value = lines.next().ok_or(SignatureError::Missing { header })?.as_bytes();
    if lines.next().is_some() {
        return Err(SignatureError::Ambiguous { reason: "signature-input or signature has several lines" });
    }
    if value.len() > MAX_FIELD_BYTES {
        return Err(SignatureError::TooLarge { subject: format!("the {header} header"), limit: MAX_FIELD_BYTES });
    }
    Ok(value)
}

/// The whole of `Signature-Input`.
#[derive(Default)]
struct Inputs {
    members: Vec<SignatureInput>,
    repeated: bool,
}

/// A member, its inner list or its parameters: sfv visits them in this order.
struct MemberVisitor<'a>(&'a mut SignatureInput);

/// One covered component.
struct ComponentVisitor<'a>(&'a mut SignatureInput);

impl<'de> DictionaryVisitor<'de> for Inputs {
    type Out = Self;
    type Error = Infallible;

    fn entry(&mut self, key: &'de KeyRef) -> Result<impl EntryVisitor<'de>, Infallible> {
        self.repeated |= self.members.iter().any(|member| member.label == key.as_str());
        self.members.push(SignatureInput { label: key.as_str().to_owned(), ..SignatureInput::default() });
        Ok(self.members.last_mut().map(MemberVisitor))
    }

    fn finish(self) -> Result<Self, Infallible> {
        Ok(self)
    }
}

impl<'de> EntryVisitor<'de> for MemberVisitor<'_> {
    type Error = Infallible;

    fn item(self) -> Result<impl ItemVisitor<'de>, Infallible> {
        self.0.fail(malformed("signature-input", "a member is not an inner list"));
        Ok(Ignored)
    }

    fn inner_list(self) -> Result<impl InnerListVisitor<'de>, Infallible> {
        Ok(self)
    }
}

impl<'de> InnerListVisitor<'de> for MemberVisitor<'_> {
    type Error = Infallible;

    fn item(&mut self) -> Result<impl ItemVisitor<'de>, Infallible> {
        Ok(ComponentVisitor(self.0))
    }

    fn finish(self) -> Result<impl ParameterVisitor<'de>, Infallible> {
        Ok(self)
    }
}

impl<'de> ParameterVisitor<'de> for MemberVisitor<'_> {
    type Out = ();
    type Error = Infallible;

    fn parameter(&mut self, key: &'de KeyRef, value: BareItemFromInput<'de>) -> Result<(), Infallible> {
        self.0.set_parameter(key.as_str(), &value);
        Ok(())
    }

    fn finish(self) -> Result<(), Infallible> {
        Ok(())
    }
}

impl<'de> ItemVisitor<'de> for ComponentVisitor<'_> {
    type Out = ();
    type Error = Infallible;

    fn bare_item(self, item: BareItemFromInput<'de>) -> Result<impl ParameterVisitor<'de, Out = ()>, Infallible> {
        self.0.component(&item);
        Ok(self)
    }
}

impl<'de> ParameterVisitor<'de> for ComponentVisitor<'_> {
    type Out = ();
    type Error = Infallible;

    fn parameter(&mut self, key: &'de KeyRef, _value: BareItemFromInput<'de>) -> Result<(), Infallible> {
        let component = self.0.components.last().map(|last| last.name().to_owned()).unwrap_or_default();
        self.0.fail(SignatureError::ComponentParameterUnsupported { component, parameter: key.as_str().to_owned() });
        Ok(())
    }

    fn finish(self) -> Result<(), Infallible> {
        Ok(())
    }
}

/// The search of one label in `Signature`.
struct Values<'l> {
    label: &'l str,
    bytes: Option<Vec<u8>>,
    seen: usize,
}

/// The value under the label.
struct ValueVisitor<'a>(&'a mut Option<Vec<u8>>);

impl<'de> DictionaryVisitor<'de> for Values<'_> {
    type Out = (usize, Option<Vec<u8>>);
    type Error = Infallible;

    fn entry(&mut self, key: &'de KeyRef) -> Result<impl EntryVisitor<'de>, Infallible> {
        if key.as_str() != self.label {
            return Ok(None);
        }
        self.seen += 1;
        Ok(Some(ValueVisitor(&mut self.bytes)))
    }

    fn finish(self) -> Result<Self::Out, Infallible> {
        Ok((self.seen, self.bytes))
    }
}

impl<'de> EntryVisitor<'de> for ValueVisitor<'_> {
    type Error = Infallible;

    fn item(self) -> Result<impl ItemVisitor<'de>, Infallible> {
        Ok(self)
    }

    fn inner_list(self) -> Result<impl InnerListVisitor<'de>, Infallible> {
        Ok(Ignored)
    }
}

impl<'de> ItemVisitor<'de> for ValueVisitor<'_> {
    type Out = ();
    type Error = Infallible;

    fn bare_item(self, item: BareItemFromInput<'de>) -> Result<impl ParameterVisitor<'de, Out = ()>, Infallible> {
        if let BareItemFromInput::ByteSequence(bytes) = item {
            *self.0 = Some(bytes);
        }
        Ok(Ignored)
    }
}
