//! Rows as an Excel workbook: on as many sheets as they need, and the facts on a last one.
//!
//! What must always hold: rows go to files of their own as they come, so memory does not grow with their number; every cell
//! is a text, a number or a time and never a formula; a number that Excel can't hold exactly is written as text.

use std::fs::File;
use std::io::{Seek as _, SeekFrom};

use chrono::{DateTime, Datelike as _, Timelike as _, Utc};
use rust_xlsxwriter::{ExcelDateTime, Format, Workbook, Worksheet, XlsxError};
use tokio::sync::mpsc;

use super::{Cell, Column, Kind, ReportError, Row, UNIT};

/// Rows that a sheet has at most, its header among them.
const SHEET_ROWS: u32 = 1_048_576;
/// Characters that a cell has at most.
const CELL_CHARACTERS: usize = 32_767;
/// Whole numbers up to here are exact in Excel.
const EXACT: u64 = 1 << 53;

/// What a workbook is made of, beside its rows.
pub(super) struct Frame {
    pub title: String,
    pub sheet: &'static str,
    pub facts: Vec<(String, String)>,
    pub columns: &'static [Column],
}

/// Writes all rows that come, and answers the file, at its beginning.
pub(super) fn write(frame: &Frame, rows: mpsc::Receiver<Vec<Row>>) -> Result<File, ReportError> {
    write_sheets(frame, rows, SHEET_ROWS)
}

fn write_sheets(frame: &Frame, mut rows: mpsc::Receiver<Vec<Row>>, sheet_rows: u32) -> Result<File, ReportError> {
    let mut workbook = Workbook::new();
    let formats = Formats::new();
    let mut sheets = 0;
    let mut line = sheet_rows;
    while let Some(run) = rows.blocking_recv() {
        for row in run {
            if row.cells.len() != frame.columns.len() {
                return Err(ReportError::Shape { expected: frame.columns.len(), found: row.cells.len() });
            }
            if line == sheet_rows {
                sheets += 1;
                begin(&mut workbook, frame, sheets, &formats)?;
                line = 1;
            }
            let last = workbook.worksheets().len() - 1;
            write_row(workbook.worksheet_from_index(last)?, line, &row, &formats)?;
            line += 1;
        }
    }
    if sheets == 0 {
        begin(&mut workbook, frame, 1, &formats)?;
    }
    if !frame.facts.is_empty() {
        about(&mut workbook, frame)?;
    }
    let mut file = tempfile::tempfile()?;
    workbook.save_to_writer(&mut file)?;
    file.seek(SeekFrom::Start(0))?;
    Ok(file)
}

struct Formats {
    head: Format,
    sum: Format,
    time: Format,
    sum_time: Format,
    amount: Format,
    sum_amount: Format,
}

impl Formats {
    fn new() -> Self {
        let time = Format::new().set_num_format("yyyy-mm-dd hh:mm:ss.000");
        let amount = Format::new().set_num_format("0");
        Self {
            head: Format::new().set_bold(),
            sum: Format::new().set_bold(),
            sum_time: time.clone().set_bold(),
            time,
            sum_amount: amount.clone().set_bold(),
            amount,
        }
    }
}

/// The last sheet: what the report is about.
fn about(workbook: &mut Workbook, frame: &Frame) -> Result<(), XlsxError> {
    let bold = Format::new().set_bold();
    let sheet = workbook.add_worksheet_with_constant_memory()?;
    sheet.set_name("about")?.set_column_width(0, 24)?.set_column_width(1, 80)?;
    sheet.write_string_with_format(0, 0, fitting(&frame.title), &bold)?;
    let unit = [("Amounts".to_owned(), UNIT.to_owned()), ("Times".to_owned(), "UTC".to_owned())];
    for (line, (name, value)) in (1..).zip(frame.facts.iter().chain(&unit)) {
        sheet.write_string(line, 0, fitting(name))?;
        sheet.write_string(line, 1, fitting(value))?;
    }
    Ok(())
}

/// Adds the next sheet of rows, with its header.
fn begin(workbook: &mut Workbook, frame: &Frame, number: u32, formats: &Formats) -> Result<(), XlsxError> {
    let name = if number == 1 { frame.sheet.to_owned() } else { format!("{} {number}", frame.sheet) };
    let sheet = workbook.add_worksheet_with_constant_memory()?;
    sheet.set_name(name)?.set_freeze_panes(1, 0)?;
    for (place, column) in (0_u16..).zip(frame.columns) {
        let width = match column.kind {
            Kind::Id => 38,
            Kind::Time => 24,
            Kind::Text => 28,
            Kind::Number | Kind::Minor => 16,
        };
        sheet.set_column_width(place, width)?;
        sheet.write_string_with_format(0, place, column.name, &formats.head)?;
    }
    Ok(())
}

fn write_row(sheet: &mut Worksheet, line: u32, row: &Row, formats: &Formats) -> Result<(), XlsxError> {
    let (amount, time) =
        if row.sum { (&formats.sum_amount, &formats.sum_time) } else { (&formats.amount, &formats.time) };
    for (place, cell) in (0_u16..).zip(&row.cells) {
        let written = match cell {
            Cell::Empty => continue,
            Cell::Number(number) if number.unsigned_abs() <= EXACT =>
            {
                #[expect(clippy::cast_precision_loss, reason = "numbers up to 2^53 are exact")]
                sheet.write_number_with_format(line, place, *number as f64, amount)
            }
            // Whole milliseconds are what Excel keeps.
            Cell::Time(moment) => match excel_time(*moment) {
                Ok(value) => sheet.write_datetime_with_format(line, place, value, time),
                Err(_) => sheet.write_string(line, place, cell.plain().as_str()),
            },
            text if row.sum => sheet.write_string_with_format(line, place, fitting(&text.plain()), &formats.sum),
            text => sheet.write_string(line, place, fitting(&text.plain())),
        };
        written?;
    }
    Ok(())
}

/// A time as Excel keeps it, if it is of its years (1900 to 9999).
fn excel_time(time: DateTime<Utc>) -> Result<ExcelDateTime, XlsxError> {
    let year = u16::try_from(time.year()).map_err(|_| XlsxError::DateTimeRangeError(time.to_string()))?;
    let small = |number: u32| u8::try_from(number).unwrap_or_default();
    ExcelDateTime::from_ymd(year, small(time.month()), small(time.day()))?.and_hms_milli(
        u16::try_from(time.hour()).unwrap_or_default(),
        small(time.minute()),
        small(time.second()),
        u16::try_from(time.timestamp_subsec_millis()).unwrap_or_default(),
    )
}

/// `text`, cut visibly where a cell has no more room.
fn fitting(text: &str) -> String {
    // Excel counts UTF-16 units; a character has at most two.
    if text.encode_utf16().count() <= CELL_CHARACTERS {
        return text.to_owned();
    }
    let cut: String = text.chars().take(CELL_CHARACTERS / 2 - 1).collect();
    format!("{cut}…")
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    const COLUMNS: [Column; 4] = [
        Column::new("position", "Position", Kind::Number, 1),
        Column::new("occurred_at", "Time", Kind::Time, 1),
        Column::new("note", "Note", Kind::Text, 1),
        Column::new("change_minor", "Change", Kind::Minor, 1),
    ];

    fn row(position: i64, note: &str) -> Row {
        let time = DateTime::from_timestamp_millis(1_700_000_000_123).unwrap();
        Row::new(vec![Cell::Number(position), Cell::Time(time), Cell::Text(note.to_owned()), Cell::Number(i64::MIN)])
    }

    /// The XML of a part of a workbook.
    fn part(file: &mut File, name: &str) -> String {
        let mut archive = zip::ZipArchive::new(file).unwrap();
        let mut text = String::new();
        archive.by_name(name).unwrap().read_to_string(&mut text).unwrap();
        text
    }

    fn workbook(rows: Vec<Row>, sheet_rows: u32) -> File {
        let facts = vec![("Account".to_owned(), "=1+1".to_owned())];
        let frame = Frame { title: "Statement".to_owned(), sheet: "lines", facts, columns: &COLUMNS };
        let (sender, receiver) = mpsc::channel(1);
        sender.blocking_send(rows).unwrap();
        drop(sender);
        write_sheets(&frame, receiver, sheet_rows).unwrap()
    }

    #[test]
    fn rows_go_on_on_the_next_sheet_and_facts_come_last() {
        let mut file = workbook((1..=5).map(|n| row(n, "甲方")).collect(), 3);
        let names = part(&mut file, "xl/workbook.xml");
        for name in ["\"lines\"", "\"lines 2\"", "\"lines 3\"", "\"about\""] {
            assert!(names.contains(&format!("name={name}")), "{names}");
        }
        let counts = [(1, 3), (2, 3), (3, 2), (4, 4)];
        for (sheet, rows) in counts {
            let text = part(&mut file, &format!("xl/worksheets/sheet{sheet}.xml"));
            assert_eq!(text.matches("<row ").count(), rows, "sheet {sheet}: {text}");
        }
        assert!(part(&mut file, "xl/worksheets/sheet4.xml").contains(UNIT));
    }

    #[test]
    fn no_cell_is_a_formula_and_no_number_is_rounded() {
        let mut file = workbook(vec![row(1 << 53, "=HYPERLINK(\"x\")"), row((1 << 53) + 1, &"长".repeat(40_000))], 100);
        let text = part(&mut file, "xl/worksheets/sheet1.xml");
        assert!(!text.contains("<f>") && text.contains("=HYPERLINK"), "{text}");
        assert!(text.contains("<v>9007199254740992</v>"), "{text}");
        assert!(text.contains(">9007199254740993</t>") && text.contains(&i64::MIN.to_string()), "{text}");
        assert!(text.contains('…'));
    }
}
