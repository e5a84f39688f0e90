//! Private PostgreSQL and NATS servers that live and die with this process.
//!
//! What always holds: every server listens on 127.0.0.1 only, on a port of its own, with a random secret, and keeps all its
//! data under the data directory it was given. No cluster or server that was not started from that directory is touched.

mod child;
mod config;
mod error;
mod files;
mod locate;
mod nats;
mod orphan;
mod port;
mod postgres;
mod privileges;
mod servers;
mod spawner;
mod with_servers;

pub use config::{EmbeddedConfig, Profile};
pub use error::{EmbeddedError, ServerKind};
pub use nats::Nats;
pub use postgres::Postgres;
pub use servers::{ServerExit, Servers};
pub use with_servers::with_servers;
