//! The event log's write side: what is appended, the committer that batches it, and the reader of single streams.

pub mod append;
pub mod committer;
pub mod stream;
