//! The signature base and the `@signature-params` text (RFC 9421, sections 2.3 and 2.5).
//!
//! The text is always serialised anew from what was understood, never copied from the header, so that the two sides
//! agree on the meaning and not on the spelling.

use std::fmt::Write as _;

use super::components::{Component, Message};
use super::error::SignatureError;

/// The canonical text of a covered-components list and its parameters, in the order in which they are added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ParamsText(String);

impl ParamsText {
    /// The list of components without parameters.
    pub(super) fn new(components: &[Component]) -> Self {
        let mut text = String::with_capacity(256);
        text.push('(');
        for (index, component) in components.iter().enumerate() {
            if index > 0 {
                text.push(' ');
            }
            text.push('"');
            // Component names are tokens or "@" and a token: there is nothing to escape.
            text.push_str(component.name());
            text.push('"');
        }
        text.push(')');
        Self(text)
    }

    /// Appends an integer parameter.
    pub(super) fn integer(&mut self, name: &str, value: i64) {
        // Writing into a String cannot fail.
        write!(self.0, ";{name}={value}").unwrap_or_default();
    }

    /// Appends a string parameter, escaped; the text must be printable ASCII.
    pub(super) fn string(&mut self, name: &str, value: &str) -> Result<(), SignatureError> {
        if !value.bytes().all(|byte| (0x20..=0x7e).contains(&byte)) {
            let reason = "a parameter is not printable ASCII";
            return Err(SignatureError::Malformed { header: "signature-input", reason });
        }
        self.0.push(';');
        self.0.push_str(name);
        self.0.push_str("=\"");
        for character in value.chars() {
            if matches!(character, '"' | '\\') {
                self.0.push('\\');
            }
            self.0.push(character);
        }
        self.0.push('"');
        Ok(())
    }

    /// Appends parameters as they are written.
    #[cfg(test)]
    pub(super) fn raw(&mut self, params: &str) {
        self.0.push_str(params);
    }

    /// The text, as it stands after `label=` and in the last line of the base.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Builds the bytes that are signed.
pub(super) fn signature_base(
    components: &[Component],
    params: &ParamsText,
    message: Message<'_>,
) -> Result<Vec<u8>, SignatureError> {
    let mut base = Vec::with_capacity(params.0.len() + 64 * components.len() + 64);
    for component in components {
        base.push(b'"');
        base.extend_from_slice(component.name().as_bytes());
        base.extend_from_slice(b"\": ");
        component.append_value(message, &mut base)?;
        base.push(b'\n');
    }
    base.extend_from_slice(b"\"@signature-params\": ");
    base.extend_from_slice(params.0.as_bytes());
    Ok(base)
}
