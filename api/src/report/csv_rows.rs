//! Rows as comma-separated values (RFC 4180).
//!
//! What must always hold: no cell of text begins with a character that a spreadsheet takes for a formula. Numbers, ids and
//! times are ours and stay as they are: a negative amount is a number, not a formula.

use std::borrow::Cow;

use super::{Cell, Column, ReportError, Row};

/// Writes `rows`, after the header if this is the `first` part.
pub(super) fn write(columns: &[Column], rows: &[Row], first: bool) -> Result<Vec<u8>, ReportError> {
    let buffer = Vec::with_capacity(rows.len() * 160 + 256);
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(buffer);
    if first {
        writer.write_record(columns.iter().map(|column| column.name))?;
    }
    for row in rows {
        if row.cells.len() != columns.len() {
            return Err(ReportError::Shape { expected: columns.len(), found: row.cells.len() });
        }
        for cell in &row.cells {
            match cell {
                Cell::Text(text) => writer.write_field(&*inert(text))?,
                Cell::Secret(text) => writer.write_field(&*inert(text))?,
                other => writer.write_field(other.plain().as_str())?,
            }
        }
        writer.write_record(None::<&[u8]>)?;
    }
    writer.into_inner().map_err(|error| csv::Error::from(error.into_error()).into())
}

/// Text that no spreadsheet takes for a formula: an apostrophe goes before what would start one (OWASP, "CSV injection").
fn inert(text: &str) -> Cow<'_, str> {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠']) {
        Cow::Owned(format!("'{text}"))
    } else {
        Cow::Borrowed(text)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Kind;
    use super::*;

    const COLUMNS: [Column; 3] = [
        Column::new("change_minor", "Change", Kind::Minor, 1),
        Column::new("note", "Note", Kind::Text, 1),
        Column::new("actor", "Who", Kind::Text, 1),
    ];

    #[test]
    fn text_that_would_be_a_formula_is_made_inert_and_numbers_are_not() {
        let note = Cell::Text("=HYPERLINK(\"http://x\",\"y\")".to_owned());
        let rows = [Row::new(vec![Cell::Number(-1), note, Cell::Empty])];
        let text = String::from_utf8(write(&COLUMNS, &rows, true).unwrap()).unwrap();
        assert_eq!(text, "change_minor,note,actor\r\n-1,\"'=HYPERLINK(\"\"http://x\"\",\"\"y\"\")\",\r\n");
    }

    #[test]
    fn quotes_commas_and_line_ends_survive() {
        let note = "甲方, \"乙方\"\r\nпривет";
        let rows = [Row::new(vec![Cell::Number(7), Cell::Text(note.to_owned()), Cell::Text("-5".to_owned())])];
        let bytes = write(&COLUMNS, &rows, false).unwrap();
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(bytes.as_slice());
        let record = reader.records().next().unwrap().unwrap();
        assert_eq!(record.iter().collect::<Vec<_>>(), ["7", note, "'-5"]);
    }

    #[test]
    fn a_row_of_another_shape_is_an_error() {
        let rows = [Row::new(vec![Cell::Number(7)])];
        assert!(matches!(write(&COLUMNS, &rows, false), Err(ReportError::Shape { expected: 3, found: 1 })));
    }
}
