//! Files that are carried to where there is no network: licence files, machine files, revocation lists (row L9).
//!
//! The format is Keygen's published one, so that the verifiers that exist for it read our files too. What must always hold: a
//! file is signed over its kind and all of its content; a file of one kind is never taken for one of another; everything
//! here is pure but for the operating system's random numbers.

mod document;
mod envelope;
mod signer;

#[cfg(test)]
mod tests;

pub use document::{Included, LicenseInFile, MachineInFile, Meta, license_document, machine_document};
pub use envelope::{FileError, FileKey, FileKind, seal};
pub use signer::FileSigner;
