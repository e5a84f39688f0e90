//! The log behind the shapes of `cqrs-es`: its [`EventStore`](cqrs_es::EventStore) over our committer, and its
//! `PersistedEventRepository`, so that users of the stock framework can write to our log.

pub mod event_store;
pub mod repository;
