//! A file as physical lines, and lines as fields.
//!
//! What must always hold: every line feed ends a line, and the numbers of lines count from 1.

use std::borrow::Cow;

use super::mapping::Shape;

/// A line without its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Line<'t> {
    /// From 1.
    pub number: u64,
    pub text: &'t str,
}

impl Line<'_> {
    pub fn is_blank(&self) -> bool {
        self.text.trim().is_empty()
    }
}

/// All lines of a text; a line feed at the very end begins no line.
pub(super) fn lines(text: &str) -> Vec<Line<'_>> {
    (1..).zip(text.lines()).map(|(number, text)| Line { number, text }).collect()
}

/// A row: its first line, how many lines it spans, and its fields.
#[derive(Debug)]
pub(super) struct Row<'t> {
    pub number: u64,
    pub spans: u64,
    pub fields: Vec<Cow<'t, str>>,
}

/// A line that can't be split, and why.
pub(super) type Unsplit = (u64, &'static str);

/// Splits lines into rows, hands them over one by one, and gives the number of blank lines.
///
/// The error is a line that can't be split.
pub(super) fn rows<'t>(lines: &[Line<'t>], shape: Shape, mut take: impl FnMut(Row<'t>)) -> Result<u64, Unsplit> {
    let mut blank = 0;
    let mut at = 0;
    while let Some(line) = lines.get(at) {
        if line.is_blank() {
            blank += 1;
            at += 1;
            continue;
        }
        let (fields, spans) = match shape {
            Shape::Plain(delimiter) => (line.text.split(delimiter).map(trimmed).collect(), 1),
            Shape::Marked(delimiter, mark) => (marked(line, delimiter, mark)?, 1),
            Shape::Quoted(delimiter) => quoted(&lines[at..], delimiter)?,
        };
        take(Row { number: line.number, spans: spans as u64, fields });
        at += spans;
    }
    Ok(blank)
}

fn trimmed(text: &str) -> Cow<'_, str> {
    Cow::Borrowed(text.trim())
}

/// Fields that each begin with a mark: `` `a,`b,c,`d `` has three.
fn marked<'t>(line: &Line<'t>, delimiter: char, mark: char) -> Result<Vec<Cow<'t, str>>, Unsplit> {
    let text =
        line.text.trim().strip_prefix(mark).ok_or((line.number, "the row does not begin with the mark of a value"))?;
    let (mut fields, mut start) = (vec![], 0);
    for (at, found) in text.char_indices() {
        let next = at + found.len_utf8();
        if found == delimiter && text[next..].starts_with(mark) && at >= start {
            fields.push(trimmed(&text[start..at]));
            start = next + mark.len_utf8();
        }
    }
    fields.push(trimmed(&text[start..]));
    Ok(fields)
}

/// Fields as RFC 4180 says; a quoted one may span lines, a quote inside is doubled.
fn quoted<'t>(lines: &[Line<'t>], delimiter: u8) -> Result<(Vec<Cow<'t, str>>, usize), Unsplit> {
    let first = lines[0];
    let delimiter = char::from(delimiter);
    if !first.text.contains('"') {
        return Ok((first.text.split(delimiter).map(trimmed).collect(), 1));
    }
    let (mut fields, mut field, mut inside, mut closed) = (vec![], String::new(), false, false);
    for (spans, line) in (1..).zip(lines) {
        let mut characters = line.text.chars().peekable();
        while let Some(character) = characters.next() {
            match character {
                '"' if inside && characters.peek() == Some(&'"') => {
                    characters.next();
                    field.push('"');
                }
                '"' if inside => (inside, closed) = (false, true),
                '"' if field.trim().is_empty() && !closed => {
                    field.clear();
                    inside = true;
                }
                _ if character == delimiter && !inside => {
                    fields.push(finished(&mut field, &mut closed));
                }
                _ if closed && !character.is_whitespace() => {
                    return Err((line.number, "text stands after a closing quote"));
                }
                _ if closed => {}
                _ => field.push(character),
            }
        }
        if !inside {
            fields.push(finished(&mut field, &mut closed));
            return Ok((fields, spans));
        }
        field.push('\n');
    }
    Err((first.number, "a quote is not closed"))
}

fn finished(field: &mut String, closed: &mut bool) -> Cow<'static, str> {
    *closed = false;
    Cow::Owned(std::mem::take(field).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    type Found = (u64, u64, Vec<String>);

    fn split(text: &str, shape: Shape) -> Result<(Vec<Found>, u64), Unsplit> {
        let mut found = vec![];
        let blank = rows(&lines(text), shape, |row| {
            found.push((row.number, row.spans, row.fields.iter().map(ToString::to_string).collect()));
        })?;
        Ok((found, blank))
    }

    fn only(text: &str, shape: Shape) -> Vec<String> {
        split(text, shape).unwrap().0.remove(0).2
    }

    #[test]
    fn a_mark_before_each_value_protects_the_delimiter() {
        let fields = only("`2024-07-09,`{\"a\":1,\"b\":2},`,`0.54%,`", Shape::Marked(',', '`'));
        assert_eq!(fields, ["2024-07-09", "{\"a\":1,\"b\":2}", "", "0.54%", ""]);
        assert_eq!(split("`a\nb", Shape::Marked(',', '`')).unwrap_err().0, 2);
    }

    #[test]
    fn quotes_may_hold_delimiters_quotes_and_line_feeds() {
        let (found, blank) = split("a,\"b,\"\"c\"\"\nd\" ,e\r\n\n f ,g,\n", Shape::Quoted(b',')).unwrap();
        let texts = |fields: &[&str]| fields.iter().map(|field| (*field).to_owned()).collect::<Vec<_>>();
        assert_eq!(found, [(1, 2, texts(&["a", "b,\"c\"\nd", "e"])), (4, 1, texts(&["f", "g", ""]))]);
        assert_eq!(blank, 1);
        assert_eq!(split("ok\n\"a,b\n", Shape::Quoted(b',')).unwrap_err(), (2, "a quote is not closed"));
        assert_eq!(split("\"a\"b,c", Shape::Quoted(b',')).unwrap_err().0, 1);
        assert_eq!(only("5\" pipe,b", Shape::Quoted(b',')), ["5\" pipe", "b"]);
    }

    #[test]
    fn plain_lines_have_no_quotes() {
        assert_eq!(only("5\" pipe,b\t, c", Shape::Plain(',')), ["5\" pipe", "b", "c"]);
    }
}
