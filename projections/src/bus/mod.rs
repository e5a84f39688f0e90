//! The bus: the log's events as CloudEvents on one JetStream stream.
//!
//! What always holds: the stream's sequence of a message is the log's position of its event, and nothing stands on the
//! stream that does not stand in the log. Losing the bus makes readers late, never wrong.

pub mod agreement;
pub mod cloud_event;
pub mod connect;
pub mod subjects;

pub use agreement::{Agreement, AgreementError};
pub use cloud_event::{BusMessage, CloudEventError};
pub use subjects::Names;
