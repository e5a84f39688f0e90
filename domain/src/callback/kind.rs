//! The catalogue of callbacks: every type there is, and which event of a licence is told as which.
//!
//! A new one is a line in `types!`, an arm where its event is, a schema with a sample in `schema/callbacks/`, and a line in
//! `docs/callbacks.md`; tests miss each of them.

use serde::{Deserialize, Serialize};

use crate::license::LicenseEvent;

macro_rules! types {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)+) => {
        /// What a callback is about.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum CallbackType {
            $($(#[$doc])* #[serde(rename = $text)] $name,)+
        }

        impl CallbackType {
            /// All types.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// The type's name in bodies, filters and columns.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                }
            }
        }
    };
}

types! {
    /// A licence was used for the first time and bound to a machine.
    LicenseActivated = "license.activated",
    /// A licence was bound to one more machine.
    LicenseMachineBound = "license.machine_bound",
    /// A machine gave its place back.
    LicenseMachineDeactivated = "license.machine_deactivated",
    /// All bindings of a licence were cleared.
    LicenseUnbound = "license.unbound",
    /// A licence was disabled.
    LicenseDisabled = "license.disabled",
    /// A licence was enabled again.
    LicenseEnabled = "license.enabled",
    /// A licence was ended for good.
    LicenseRevoked = "license.revoked",
    /// A licence got more days.
    LicenseRenewed = "license.renewed",
    /// The validity of a licence is over.
    LicenseExpired = "license.expired",
    /// A licence is in use on more machines than its plan has.
    LicenseOverLimit = "license.over_limit",
    /// Client software was told that a licence is not valid.
    VerificationRefused = "verification.refused",
    /// Somebody pressed the test button.
    Test = "test",
}

impl CallbackType {
    /// The type with that name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.as_str() == text)
    }

    /// As which type an event of a licence is told; `None` if it is not told.
    #[must_use]
    pub fn of_license(event: &LicenseEvent) -> Option<Self> {
        Some(match event {
            LicenseEvent::LicenseIssued(_)
            | LicenseEvent::MachineChanged { .. }
            | LicenseEvent::LeaseExtended { .. }
            | LicenseEvent::ValidityBegan { .. }
            | LicenseEvent::UsageReported { over_limit: false, .. }
            | LicenseEvent::LicenseMoved { .. }
            | LicenseEvent::LicenseTransferred { .. } => return None,
            LicenseEvent::LicenseActivated { .. } => Self::LicenseActivated,
            LicenseEvent::MachineBound { over_limit: true, .. }
            | LicenseEvent::UsageReported { over_limit: true, .. } => Self::LicenseOverLimit,
            LicenseEvent::MachineBound { over_limit: false, .. } => Self::LicenseMachineBound,
            LicenseEvent::MachineDeactivated { .. } | LicenseEvent::MachineLapsed { .. } => {
                Self::LicenseMachineDeactivated
            }
            LicenseEvent::LicenseUnbound { .. } => Self::LicenseUnbound,
            LicenseEvent::LicenseDisabled {} => Self::LicenseDisabled,
            LicenseEvent::LicenseEnabled {} => Self::LicenseEnabled,
            LicenseEvent::LicenseRevoked { .. } => Self::LicenseRevoked,
            LicenseEvent::LicenseRenewed { .. } => Self::LicenseRenewed,
            LicenseEvent::LicenseExpired { .. } => Self::LicenseExpired,
        })
    }
}
