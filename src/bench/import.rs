//! Seconds for the import of a file of real orders.

use std::path::Path;
use std::time::Instant;

use super::report::{Line, Report};
use super::scene::{Failure, Scene};
use crate::embedded::Servers;
use crate::import::orders;

/// Measures the import into a fresh database.
///
/// # Errors
/// If the import fails.
pub async fn measure(servers: &Servers, report: &mut Report, file: Option<&Path>) -> Result<(), Failure> {
    let Some(file) = file else {
        tracing::warn!("no file of orders was given; import_cdnow is NOT measured");
        return Ok(());
    };
    let scene = Scene::set(servers, "bench_import").await?;
    let start = Instant::now();
    let imported = orders::run(&scene.commands, scene.admin, file, false).await?;
    let took = start.elapsed().as_secs_f64();
    let note = format!("{} orders, {} licences, {} minor units", imported.added, imported.licenses, imported.amount);
    report.add(Line::plain("import_cdnow", "s", took, note))?;
    scene.strike().await
}
