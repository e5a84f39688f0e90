//! Lines above and below the rows, written as they look, with `{…}` where they vary.
//!
//! `{}` stands for anything, `{count}` for the number of rows, `{count:sale}` for that of one kind, `{sum:COLUMN}` and
//! `{sum:COLUMN:refund}` for the sum of a column.
//!
//! What must always hold: full-width and half-width characters count as the same and spaces do not count, since the same
//! provider writes both; everything else must be there.

use super::exact::NumberFormat;
use super::{Exact, ExactError};

/// A line with places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Template {
    /// As the mapping file writes it.
    pub written: String,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Anything,
    Stated(Stated),
}

/// A total that the bill states about its rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stated {
    /// The column that is added up; none for the number of rows.
    pub column: Option<String>,
    /// Only rows of this rule; all rows if none.
    pub rule: Option<String>,
}

impl Stated {
    /// What is stated, for a reader.
    pub fn name(&self) -> String {
        let of = self.rule.as_ref().map(|rule| format!(" of {rule}")).unwrap_or_default();
        match &self.column {
            Some(column) => format!("sum of {column}{of}"),
            None => format!("number of rows{of}"),
        }
    }
}

/// Why a template is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum TemplateError {
    /// A `{` without `}`.
    #[error("a `{{` is not closed")]
    Open,
    /// A place that has no meaning.
    #[error("`{{{0}}}` is no place that is known")]
    Place(String),
    /// Two places without text between them.
    #[error("two places stand side by side")]
    SideBySide,
}

impl Template {
    pub fn parse(written: &str) -> Result<Self, TemplateError> {
        let (mut parts, mut rest) = (vec![], written);
        while let Some(start) = rest.find('{') {
            let text = folded(&rest[..start]);
            if text.is_empty() && !matches!(parts.last(), None | Some(Part::Text(_))) {
                return Err(TemplateError::SideBySide);
            }
            if !text.is_empty() {
                parts.push(Part::Text(text));
            }
            let end = rest[start..].find('}').ok_or(TemplateError::Open)? + start;
            parts.push(place(&rest[start + 1..end])?);
            rest = &rest[end + 1..];
        }
        if !folded(rest).is_empty() {
            parts.push(Part::Text(folded(rest)));
        }
        Ok(Self { written: written.to_owned(), parts })
    }

    /// The totals that a line of this form states; nothing if the line has another form.
    pub fn matches(&self, line: &str, format: NumberFormat) -> Option<Vec<(&Stated, Result<Exact, ExactError>)>> {
        let line = folded(line);
        let (mut at, mut open, mut stated) = (0, None, vec![]);
        for part in &self.parts {
            let Part::Text(text) = part else {
                open = Some(part);
                continue;
            };
            let found = line[at..].find(text.as_str())? + at;
            match open.take() {
                Some(Part::Stated(total)) => stated.push((total, Exact::parse(&line[at..found], format))),
                Some(_) => {}
                None if found == at => {}
                None => return None,
            }
            at = found + text.len();
        }
        match open {
            Some(Part::Stated(total)) => stated.push((total, Exact::parse(&line[at..], format))),
            Some(_) => {}
            None if at == line.len() => {}
            None => return None,
        }
        Some(stated)
    }

    /// The totals that it has places for.
    pub fn stated(&self) -> impl Iterator<Item = &Stated> {
        self.parts.iter().filter_map(|part| match part {
            Part::Stated(stated) => Some(stated),
            Part::Text(_) | Part::Anything => None,
        })
    }
}

fn place(inside: &str) -> Result<Part, TemplateError> {
    let mut words = inside.split(':').map(str::trim);
    let total = |column: Option<&str>, rule: Option<&str>| {
        Part::Stated(Stated { column: column.map(str::to_owned), rule: rule.map(str::to_owned) })
    };
    match (words.next(), words.next(), words.next(), words.next()) {
        (Some(""), None, ..) => Ok(Part::Anything),
        (Some("count"), rule, None, _) => Ok(total(None, rule)),
        (Some("sum"), Some(column), rule, None) => Ok(total(Some(column), rule)),
        _ => Err(TemplateError::Place(inside.to_owned())),
    }
}

/// A text without spaces, full-width ASCII made half-width.
pub(super) fn folded(text: &str) -> String {
    let narrow = |character: char| match character {
        '\u{FF01}'..='\u{FF5E}' => char::from_u32(u32::from(character) - 0xFEE0).unwrap_or(character),
        other => other,
    };
    text.chars().filter(|character| !character.is_whitespace()).map(narrow).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(template: &str, line: &str) -> Option<Vec<(String, String)>> {
        let template = Template::parse(template).unwrap();
        let found = template.matches(line, NumberFormat::default())?;
        Some(found.into_iter().map(|(stated, number)| (stated.name(), number.unwrap().to_string())).collect())
    }

    #[test]
    fn a_line_states_its_totals() {
        let template = "#交易合计：{count:sale}笔，商家实收共{sum:商家实收（元）:sale}元，商家优惠共{}元";
        let line = "#交易合计：23811笔，商家实收共7563180.81元，商家优惠共0.00元";
        let expected = [("number of rows of sale", "23811"), ("sum of 商家实收（元） of sale", "7563180.81")];
        let expected: Vec<_> = expected.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        assert_eq!(values(template, line), Some(expected));
    }

    #[test]
    fn widths_and_spaces_do_not_matter_and_everything_else_does() {
        assert!(values("#账号：[{}]", "#账号:[2088 123]").is_some());
        assert!(values("#起始日期：[{}] 终止日期：[{}]", "#起始日期：[a]   终止日期：[b]").is_some());
        for other in ["账号：[2088]", "#账号：2088]", "#账号：[2088] ！", "", "x#账号：[2088]"] {
            assert_eq!(values("#账号：[{}]", other), None, "{other}");
        }
        assert_eq!(values("end", "the end"), None);
        assert_eq!(values("end", "end of it"), None);
        assert_eq!(values("{}", "whatever"), Some(vec![]));
    }

    #[test]
    fn a_template_with_an_unknown_place_is_refused() {
        for (wrong, error) in [
            ("{total}", TemplateError::Place("total".into())),
            ("{sum}", TemplateError::Place("sum".into())),
            ("{count:sale:x}", TemplateError::Place("count:sale:x".into())),
            ("a{b", TemplateError::Open),
            ("{}{}", TemplateError::SideBySide),
        ] {
            assert_eq!(Template::parse(wrong), Err(error), "{wrong}");
        }
    }
}
