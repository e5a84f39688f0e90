//! Rows as pages to print: a head of facts, a table whose head comes again on every page, page numbers.
//!
//! What must always hold: every row stands on exactly one page; a row that is cut because it would not fit on a page says
//! so with an ellipsis. The pages of a document are in memory until its end, so a document has at most
//! [`PDF_ROWS`](super::PDF_ROWS) rows: a longer report is a ZIP archive of such parts.

use std::fs::File;
use std::io::{Seek as _, SeekFrom, Write as _};

use krilla::Document;
use krilla::color::luma;
use krilla::geom::{PathBuilder, Rect};
use krilla::metadata::Metadata;
use krilla::page::PageSettings;
use krilla::paint::Fill;
use krilla::surface::Surface;
use tokio::sync::mpsc;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::typeset::{Set, Style, Typesetter};
use super::{Cell, Column, Kind, PDF_ROWS, ReportError, Row, UNIT};

/// A4, in points.
const SHORT: f32 = 595.0;
const LONG: f32 = 842.0;
const MARGIN: f32 = 34.0;
/// Between the text of a column and the next.
const GAP: f32 = 5.0;
/// Above and below the text of a row.
const PADDING: f32 = 1.6;
const FOOT: f32 = 14.0;
/// More columns than this are printed on the long side.
const UPRIGHT_COLUMNS: usize = 6;
/// Characters of a cell that are printed; fewer if the row would be higher than a page.
const CELL_CHARACTERS: usize = 600;

const TITLE: Style = Style { size: 13.0, bold: true, right: false };
const FACT: Style = Style { size: 8.0, bold: false, right: false };
const NAME: Style = Style { size: 8.0, bold: true, right: false };
const SMALL: Style = Style { size: 7.0, bold: false, right: false };

/// What a document is made of, beside its rows.
pub(super) struct Frame {
    pub title: String,
    pub file_name: String,
    pub facts: Vec<(String, String)>,
    pub columns: &'static [Column],
}

/// Sets all rows that come, and answers the file, at its beginning: a document, or an archive if there are more `parts`.
pub(super) fn write(frame: &Frame, parts: u64, rows: mpsc::Receiver<Vec<Row>>) -> Result<File, ReportError> {
    write_parts(frame, parts, PDF_ROWS, rows)
}

fn write_parts(
    frame: &Frame,
    parts: u64,
    part_rows: u64,
    mut rows: mpsc::Receiver<Vec<Row>>,
) -> Result<File, ReportError> {
    let mut file = Parts::new(parts)?;
    let (mut paper, mut count) = (Paper::new(frame, 1, parts), 0);
    while let Some(run) = rows.blocking_recv() {
        for row in run {
            if row.cells.len() != frame.columns.len() {
                return Err(ReportError::Shape { expected: frame.columns.len(), found: row.cells.len() });
            }
            if count == part_rows {
                let next = paper.part + 1;
                if next > parts {
                    return Err(ReportError::TooLong { announced: parts * part_rows });
                }
                file.add(frame, &paper.finish()?)?;
                (paper, count) = (Paper::new(frame, next, parts), 0);
            }
            count += 1;
            paper.add(&row)?;
        }
    }
    file.add(frame, &paper.finish()?)?;
    file.finish()
}

/// The documents as they are delivered.
enum Parts {
    One(File),
    Many(Box<ZipWriter<File>>, u64),
}

impl Parts {
    fn new(parts: u64) -> Result<Self, ReportError> {
        let file = tempfile::tempfile()?;
        Ok(if parts == 1 { Self::One(file) } else { Self::Many(Box::new(ZipWriter::new(file)), 0) })
    }

    fn add(&mut self, frame: &Frame, document: &[u8]) -> Result<(), ReportError> {
        match self {
            Self::One(file) => file.write_all(document)?,
            Self::Many(archive, number) => {
                *number += 1;
                // The pages are compressed already.
                let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
                archive.start_file(format!("{}-part-{number:04}.pdf", frame.file_name), options)?;
                archive.write_all(document)?;
            }
        }
        Ok(())
    }

    fn finish(self) -> Result<File, ReportError> {
        let mut file = match self {
            Self::One(file) => file,
            Self::Many(archive, _) => archive.finish()?,
        };
        file.seek(SeekFrom::Start(0))?;
        Ok(file)
    }
}

/// A column as it is printed.
struct Track {
    place: usize,
    x: f32,
    width: f32,
    right: bool,
}

/// A row that is set, and waits for its page to be full.
struct Line {
    sets: Vec<Set>,
    height: f32,
    sum: bool,
}

struct Paper<'f> {
    frame: &'f Frame,
    document: Document,
    typesetter: Typesetter,
    tracks: Vec<Track>,
    head: Line,
    size: (f32, f32),
    part: u64,
    parts: u64,
    page: u32,
    /// Facts above the table; only on the first page.
    preface: Vec<(Set, Set, f32)>,
    lines: Vec<Line>,
    /// What `lines` take.
    filled: f32,
    /// What lines of this page may take.
    room: f32,
}

impl<'f> Paper<'f> {
    fn new(frame: &'f Frame, part: u64, parts: u64) -> Self {
        let printed: Vec<(usize, &Column)> =
            frame.columns.iter().enumerate().filter(|(_, column)| column.width > 0).collect();
        let size = if printed.len() > UPRIGHT_COLUMNS { (LONG, SHORT) } else { (SHORT, LONG) };
        let shares: u16 = printed.iter().map(|(_, column)| column.width).sum();
        let unit = (size.0 - 2.0 * MARGIN) / f32::from(shares.max(1));
        let mut x = MARGIN;
        let mut tracks = Vec::new();
        for (place, column) in printed {
            let full = f32::from(column.width) * unit;
            let right = matches!(column.kind, Kind::Number | Kind::Minor);
            tracks.push(Track { place, x, width: full - GAP, right });
            x += full;
        }
        let mut typesetter = Typesetter::new();
        let sets = tracks.iter().map(|track| {
            let style = Style { bold: true, right: track.right, ..SMALL };
            typesetter.set(frame.columns[track.place].title, style, track.width)
        });
        let head = Line::of(sets.collect(), true);
        let mut document = Document::new();
        document.set_metadata(Metadata::new().title(frame.title.clone()).language("en".to_owned()));
        let mut paper = Self {
            frame,
            document,
            typesetter,
            tracks,
            head,
            size,
            part,
            parts,
            page: 0,
            preface: Vec::new(),
            lines: Vec::new(),
            filled: 0.0,
            room: 0.0,
        };
        paper.set_preface();
        paper.room = paper.room_below(paper.preface_height());
        paper
    }

    fn set_preface(&mut self) {
        let width = self.size.0 - 2.0 * MARGIN;
        let mut more = vec![("Amounts".to_owned(), UNIT.to_owned()), ("Times".to_owned(), "UTC".to_owned())];
        if self.parts > 1 {
            more.push(("Part".to_owned(), format!("{} of {}", self.part, self.parts)));
        }
        for (name, value) in self.frame.facts.iter().chain(&more) {
            let name = self.typesetter.set(name, NAME, width * 0.2 - GAP);
            let value = self.typesetter.set(value, FACT, width * 0.8);
            let height = name.height().max(value.height()) + PADDING;
            self.preface.push((name, value, height));
        }
    }

    fn preface_height(&self) -> f32 {
        TITLE.size * 1.8 + self.preface.iter().map(|(_, _, height)| height).sum::<f32>() + 6.0
    }

    /// What lines may take on a page on which so much stands above the table.
    fn room_below(&self, above: f32) -> f32 {
        self.size.1 - 2.0 * MARGIN - FOOT - above - self.head.height
    }

    fn add(&mut self, row: &Row) -> Result<(), ReportError> {
        let mut most = CELL_CHARACTERS;
        let mut line = self.set(row, most);
        while line.height > self.room_below(0.0) && most > 1 {
            most /= 2;
            line = self.set(row, most);
        }
        if self.filled + line.height > self.room && (self.page == 0 || !self.lines.is_empty()) {
            self.turn()?;
        }
        self.filled += line.height;
        self.lines.push(line);
        Ok(())
    }

    /// Sets a row, of each cell at most so many characters.
    fn set(&mut self, row: &Row, most: usize) -> Line {
        let typesetter = &mut self.typesetter;
        let sets = self.tracks.iter().map(|track| {
            let style = Style { bold: row.sum, right: track.right, ..SMALL };
            typesetter.set(&printed(&row.cells[track.place], most), style, track.width)
        });
        Line::of(sets.collect(), row.sum)
    }

    /// Draws the page that is full.
    fn turn(&mut self) -> Result<(), ReportError> {
        self.page += 1;
        let (width, height) = self.size;
        let settings =
            PageSettings::from_wh(width, height).ok_or_else(|| ReportError::Pdf("no page size".to_owned()))?;
        let number = if self.parts == 1 { self.page.to_string() } else { format!("part {}, {}", self.part, self.page) };
        let number = self.typesetter.set(&number, Style { right: true, ..SMALL }, width - 2.0 * MARGIN);
        let foot = self.typesetter.set(&self.frame.title, SMALL, width * 0.7);
        let mut page = self.document.start_page_with(settings);
        let mut surface = page.surface();
        let pen = &mut self.typesetter;
        let mut y = MARGIN;
        if self.page == 1 {
            let title = pen.set(&self.frame.title, TITLE, width - 2.0 * MARGIN);
            pen.draw(&mut surface, &title, MARGIN, y)?;
            y += TITLE.size * 1.8;
            for (name, value, height) in &self.preface {
                pen.draw(&mut surface, name, MARGIN, y)?;
                pen.draw(&mut surface, value, MARGIN + (width - 2.0 * MARGIN) * 0.2, y)?;
                y += height;
            }
            y += 6.0;
        }
        for line in std::iter::once(&self.head).chain(&self.lines) {
            if line.sum {
                shade(&mut surface, MARGIN, y, width - 2.0 * MARGIN, line.height);
            }
            for (set, track) in line.sets.iter().zip(&self.tracks) {
                pen.draw(&mut surface, set, track.x, y + PADDING)?;
            }
            y += line.height;
        }
        let below = height - MARGIN - FOOT + 4.0;
        pen.draw(&mut surface, &foot, MARGIN, below)?;
        pen.draw(&mut surface, &number, MARGIN, below)?;
        surface.finish();
        page.finish();
        self.lines.clear();
        self.filled = 0.0;
        self.room = self.room_below(0.0);
        Ok(())
    }

    fn finish(mut self) -> Result<Vec<u8>, ReportError> {
        if self.page == 0 || !self.lines.is_empty() {
            self.turn()?;
        }
        self.document.finish().map_err(|error| ReportError::Pdf(format!("{error:?}")))
    }
}

impl Line {
    fn of(sets: Vec<Set>, sum: bool) -> Self {
        let height = sets.iter().map(Set::height).fold(0.0, f32::max) + 2.0 * PADDING;
        Self { sets, height, sum }
    }
}

/// A pale band behind a row.
fn shade(surface: &mut Surface<'_>, x: f32, y: f32, width: f32, height: f32) {
    let Some(rect) = Rect::from_xywh(x, y, width, height) else { return };
    let mut path = PathBuilder::new();
    path.push_rect(rect);
    if let Some(path) = path.finish() {
        surface.set_fill(Some(Fill { paint: luma::Color::new(233).into(), ..Fill::default() }));
        surface.draw_path(&path);
        surface.set_fill(Some(Fill::default()));
    }
}

/// A cell's text as it is printed, at most so many characters of it.
fn printed(cell: &Cell, most: usize) -> String {
    match cell {
        Cell::Time(time) => time.format("%Y-%m-%d %H:%M:%S").to_string(),
        other => {
            let text = other.plain();
            if text.chars().count() <= most {
                return text.to_string();
            }
            let cut: String = text.chars().take(most.saturating_sub(1)).collect();
            format!("{cut}…")
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    const COLUMNS: [Column; 3] = [
        Column::new("position", "Position", Kind::Number, 1),
        Column::new("note", "Note", Kind::Text, 2),
        Column::new("id", "Id", Kind::Id, 0),
    ];

    fn made(rows: Vec<Row>, parts: u64, part_rows: u64) -> Result<File, ReportError> {
        let facts = vec![("Account".to_owned(), "甲方 — тест".to_owned())];
        let (title, file_name) = ("Statement".to_owned(), "statement".to_owned());
        let frame = Frame { title, file_name, facts, columns: &COLUMNS };
        let (sender, receiver) = mpsc::channel(1);
        sender.blocking_send(rows).unwrap();
        drop(sender);
        write_parts(&frame, parts, part_rows, receiver)
    }

    fn row(position: i64, note: &str) -> Row {
        Row::new(vec![Cell::Number(position), Cell::Text(note.to_owned()), Cell::Empty])
    }

    fn pages(document: &[u8]) -> usize {
        document.windows(11).filter(|part| part == b"/Type /Page" || part == b"/Type/Page\n").count()
    }

    #[test]
    fn a_document_has_every_font_it_needs_and_pages_for_all_rows() {
        let notes = ["päivää", "谢谢您的付款，请查收。", "ありがとう", "감사합니다", "شكرا", "=1+1", "\r\n\t\u{0}"];
        let rows = (0..300).map(|n| row(n, notes[usize::try_from(n).unwrap() % notes.len()])).collect();
        let mut document = Vec::new();
        made(rows, 1, 1_000).unwrap().read_to_end(&mut document).unwrap();
        assert!(document.starts_with(b"%PDF-1.7") && document.trim_ascii_end().ends_with(b"%%EOF"));
        let text = String::from_utf8_lossy(&document);
        assert!(text.contains("DejaVuSansCondensed") && text.contains("WenQuanYiMicroHei"));
        assert!(pages(&document) > 4, "{} pages", pages(&document));
        assert!(document.len() < 400_000, "fonts are subset: {} bytes", document.len());
    }

    #[test]
    fn a_note_that_is_longer_than_a_page_does_not_run_off_it() {
        let mut document = Vec::new();
        let rows = vec![row(1, &"很长的备注".repeat(5_000)), row(2, &"W".repeat(5_000)), row(3, "short")];
        made(rows, 1, 10).unwrap().read_to_end(&mut document).unwrap();
        assert!(document.starts_with(b"%PDF"));
    }

    #[test]
    fn what_is_too_long_for_one_document_comes_in_parts() {
        let mut file = made((0..25).map(|n| row(n, "x")).collect(), 3, 10).unwrap();
        let mut archive = zip::ZipArchive::new(&mut file).unwrap();
        assert_eq!(archive.len(), 3);
        for number in 0..3 {
            let mut part = archive.by_index(number).unwrap();
            assert_eq!(part.name().unwrap(), format!("statement-part-000{}.pdf", number + 1));
            let mut document = Vec::new();
            part.read_to_end(&mut document).unwrap();
            assert!(document.starts_with(b"%PDF"));
        }
    }

    #[test]
    fn more_rows_than_announced_are_an_error_and_never_left_out() {
        let found = made((0..21).map(|n| row(n, "x")).collect(), 2, 10);
        assert!(matches!(found, Err(ReportError::TooLong { announced: 20 })));
    }
}
