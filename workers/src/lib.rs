//! workers

pub mod relay;
