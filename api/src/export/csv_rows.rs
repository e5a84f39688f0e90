//! Rows as comma-separated values (RFC 4180).
//!
//! What must always hold: no cell begins with a character that a spreadsheet takes for a formula.

use std::borrow::Cow;

use super::{COLUMNS, KeyRow};

/// Writes `rows`, after the header if this is the `first` part.
pub(super) fn write(rows: &[KeyRow], first: bool) -> Result<Vec<u8>, csv::Error> {
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    if first {
        writer.write_record(COLUMNS)?;
    }
    for row in rows {
        let (number, id) = (row.number.to_string(), row.license_id.to_string());
        writer.write_record([&*inert(&number), &*inert(&row.key), &*inert(&id)])?;
    }
    writer.into_inner().map_err(|error| error.into_error().into())
}

/// A cell that no spreadsheet takes for a formula: an apostrophe goes before what would start one.
fn inert(text: &str) -> Cow<'_, str> {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠']) {
        Cow::Owned(format!("'{text}"))
    } else {
        Cow::Borrowed(text)
    }
}

#[cfg(test)]
mod tests {
    use quotary_domain::LicenseId;
    use zeroize::Zeroizing;

    use super::*;

    #[test]
    fn cells_that_would_be_formulas_are_made_inert() {
        let key = Zeroizing::new("=HYPERLINK(\"http://x\",\"y\")".to_owned());
        let rows = [KeyRow { number: -1, license_id: LicenseId::default(), key }];
        let text = String::from_utf8(write(&rows, true).unwrap()).unwrap();
        let expected = "number,key,license_id\r\n'-1,\"'=HYPERLINK(\"\"http://x\"\",\"\"y\"\")\",\
                        00000000-0000-0000-0000-000000000000\r\n";
        assert_eq!(text, expected);
    }
}
