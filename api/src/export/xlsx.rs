//! Rows as an Excel workbook with one sheet.
//!
//! What must always hold: rows go to a file of their own as they come, so memory does not grow with their number; every
//! cell is a text or a number and never a formula.

use rust_xlsxwriter::{Format, Workbook, XlsxError};
use tokio::sync::{Semaphore, mpsc};

use super::source::{ExportError, KeySource};
use super::{COLUMNS, KeyRow};

/// How many workbooks are made at a time; each is compressed in memory at its end.
const AT_A_TIME: usize = 2;
/// Pages between the reader and the writer.
const WAITING: usize = 2;

static WORKBOOKS: Semaphore = Semaphore::const_new(AT_A_TIME);

/// Makes the whole workbook.
pub(super) async fn workbook(mut source: KeySource) -> Result<Vec<u8>, ExportError> {
    let _permit = WORKBOOKS.acquire().await?;
    let (pages, writer) = mpsc::channel(WAITING);
    let writer = tokio::task::spawn_blocking(move || write(writer));
    loop {
        let rows = source.next().await?;
        // A writer that ended has an error to tell.
        if rows.is_empty() || pages.send(rows).await.is_err() {
            break;
        }
    }
    drop(pages);
    Ok(writer.await??)
}

fn write(mut pages: mpsc::Receiver<Vec<KeyRow>>) -> Result<Vec<u8>, XlsxError> {
    let mut workbook = Workbook::new();
    let sheet = workbook.add_worksheet_with_constant_memory()?;
    sheet.set_name("licenses")?;
    for (column, (width, name)) in (0_u16..).zip([10, 32, 38].into_iter().zip(COLUMNS)) {
        sheet.set_column_width(column, width)?;
        sheet.write_string_with_format(0, column, name, &Format::new().set_bold())?;
    }
    let mut line = 0;
    while let Some(rows) = pages.blocking_recv() {
        for row in rows {
            line += 1;
            // Numbers of a batch stay far below 2^32.
            sheet.write_number(line, 0, u32::try_from(row.number).unwrap_or_default())?;
            sheet.write_string(line, 1, row.key.as_str())?;
            sheet.write_string(line, 2, row.license_id.to_string())?;
        }
    }
    workbook.save_to_buffer()
}
