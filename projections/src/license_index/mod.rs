//! Licences and projects in memory, for verification without a database.
//!
//! Always true: an entry changes only by the next event of its stream or by a whole state that is newer; an entry that
//! missed an event is not answered from. Nothing here is the truth: a node whose feed is late
//! ([`LicenseIndex::is_trusted`]) asks the log instead.

mod entry;
mod index;
mod load;
mod prefix;
mod project;
mod shards;
mod verify;

#[cfg(test)]
mod tests;

pub use index::LicenseIndex;
pub use load::{LoadError, Loaded};
pub use prefix::HashPrefix;
pub use project::ProjectEntry;
pub use verify::{Asked, LicenseView, Lookup, verify};
