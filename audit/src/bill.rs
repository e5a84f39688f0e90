//! A provider's bill, read by a mapping file.
//!
//! What must always hold: every line of the file is accounted for as head, columns, row, set aside, foot or blank, or the
//! reading fails and says which line is wrong; no amount ever passes through a float; sums and counts that the bill
//! itself states are checked against its rows.

mod aside;
mod decode;
mod exact;
mod mapping;
mod provided;
mod read;
mod row;
mod split;
mod template;
mod time;

pub use aside::Aside;
pub use decode::Encoding;
pub use exact::{Exact, ExactError, NumberFormat};
pub use mapping::{Mapping, MappingError};
pub use provided::{PROVIDED, provided};
pub use read::{Accounting, Bill, BillError, LineError, StatedTotal, read};
