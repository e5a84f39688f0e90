//! What a read model is: a pure fold into rows, and one set-based write of them.
//!
//! The tables of a projection live in a PostgreSQL schema of their own, one per generation (`ledger_1`, `ledger_2` …);
//! queries read views in the schema `read`, which point at the generation that serves. A rebuild fills the next
//! generation beside the serving one and switches the views in one transaction.

use quotary_domain::{Event, RecordedEvent};
use sqlx::PgConnection;

/// A read model.
///
/// `fold` is pure and sees every event of the log once, in order. `write` runs inside the transaction that also moves the
/// checkpoint, with `search_path` set to the generation's schema, so that its statements name tables without a schema.
pub trait Projection: Send + Sync + 'static {
    /// Rows gathered from a run of events.
    type Rows: Default + Send + 'static;

    /// The read model's name, e.g. `ledger`.
    fn name(&self) -> &'static str;

    /// The shape of its tables; a higher number makes the runner build a new generation.
    fn version(&self) -> i32;

    /// `create table …; create index …;` without schema names.
    fn tables(&self) -> &'static str;

    /// The tables that queries see as `read.<table>`.
    fn views(&self) -> &'static [&'static str];

    /// Whether events of this aggregate type mean anything here; the others are not even decoded.
    fn concerns(&self, aggregate_type: &str) -> bool {
        let _ = aggregate_type;
        true
    }

    /// Adds what `event` means for this read model to `rows`; does nothing for events that don't concern it.
    fn fold(&self, rows: &mut Self::Rows, recorded: &RecordedEvent, event: &Event);

    /// Writes the rows of a run in sets.
    fn write(
        &self,
        rows: Self::Rows,
        connection: &mut PgConnection,
    ) -> impl Future<Output = Result<(), sqlx::Error>> + Send;
}
