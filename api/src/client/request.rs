//! The bodies that client software sends.
//!
//! Unknown fields are refused; every text has a limit; nothing here is believed before the signature was verified.

use std::collections::BTreeMap;

use serde::Deserialize;
use utoipa::ToSchema;

/// Longest fingerprint, in bytes.
pub const MAX_FINGERPRINT_BYTES: usize = 512;
/// Longest machine name, in characters.
pub const MAX_NAME_CHARS: usize = 100;
/// Most features that can be asked for.
pub const MAX_FEATURES: usize = 100;
/// Most components of a machine.
pub const MAX_COMPONENTS: usize = 64;
/// Longest name and value of a component, in bytes.
pub const MAX_COMPONENT_BYTES: usize = 512;

/// The machine that asks.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MachineRequest {
    /// What tells this machine from others; 1 to 512 bytes. Only a keyed hash of it is kept.
    pub fingerprint: String,
    /// A name for people, at most 100 characters; kept encrypted.
    #[serde(default)]
    pub name: Option<String>,
    /// Parts of the machine that tell it again when its fingerprint has changed, by name; only keyed hashes are kept.
    #[serde(default)]
    pub components: Option<BTreeMap<String, String>>,
}

/// `POST /v1/client/licenses/verify`
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VerifyRequest {
    /// The licence key, as people type it.
    pub key: String,
    /// Where it is to be used.
    pub machine: MachineRequest,
    /// Features that the licence must have; at most 100.
    #[serde(default)]
    pub features: Vec<String>,
    /// False asks without binding the machine; usually it is bound if there is room.
    #[serde(default = "yes")]
    #[schema(default = true)]
    pub bind: bool,
}

fn yes() -> bool {
    true
}

/// `POST /v1/client/licenses/activate`
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ActivateRequest {
    /// The licence key, as people type it.
    pub key: String,
    /// Where it is to be used.
    pub machine: MachineRequest,
}

/// A machine that is bound already.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BoundMachine {
    /// As it was when the machine was bound.
    pub fingerprint: String,
}

/// `POST /v1/client/licenses/heartbeat`
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HeartbeatRequest {
    /// The licence key, as people type it.
    pub key: String,
    /// Which machine.
    pub machine: BoundMachine,
}

/// `POST /v1/client/licenses/usage`
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UsageRequest {
    /// The licence key, as people type it.
    pub key: String,
    /// The report's own name, 1 to 100 characters: reported again, it is not counted again.
    pub report_id: String,
    /// Which meter of the licence.
    pub meter: String,
    /// How much was used since the last report: 1 to 2^53 − 1.
    #[schema(minimum = 1)]
    pub amount: u64,
}

/// `POST /v1/client/licenses/deactivate`
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeactivateRequest {
    /// The licence key, as people type it.
    pub key: String,
    /// Which machine.
    pub machine: BoundMachine,
}

/// `POST /v1/client/licenses/query`
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct QueryRequest {
    /// The licence key, as people type it.
    pub key: String,
}

/// A field out of its limits: its JSON pointer and what is wrong.
pub(crate) type FieldError = (&'static str, String);

pub(super) fn check_fingerprint(fingerprint: &str) -> Result<(), FieldError> {
    if (1..=MAX_FINGERPRINT_BYTES).contains(&fingerprint.len()) {
        return Ok(());
    }
    Err(("/machine/fingerprint", format!("must have 1 to {MAX_FINGERPRINT_BYTES} bytes")))
}

impl MachineRequest {
    pub(crate) fn check(&self) -> Result<(), FieldError> {
        check_fingerprint(&self.fingerprint)?;
        if let Some(name) = &self.name {
            // A character has at least one byte, so most names need not be counted.
            if name.len() > MAX_NAME_CHARS && name.chars().count() > MAX_NAME_CHARS {
                return Err(("/machine/name", format!("must have at most {MAX_NAME_CHARS} characters")));
            }
            if name.chars().any(char::is_control) {
                return Err(("/machine/name", "must not have control characters".to_owned()));
            }
        }
        if let Some(components) = &self.components {
            let long = |(name, value): (&String, &String)| name.len().max(value.len()) > MAX_COMPONENT_BYTES;
            if components.len() > MAX_COMPONENTS || components.iter().any(long) {
                let detail = format!("must be at most {MAX_COMPONENTS} texts of at most {MAX_COMPONENT_BYTES} bytes");
                return Err(("/machine/components", detail));
            }
        }
        Ok(())
    }
}
