//! Text set for a page: shaped, broken into lines within a width, in fonts that cover Latin, Greek, Cyrillic, Arabic, Hebrew
//! and the scripts of China, Japan and Korea.
//!
//! What must always hold: no character is lost. One that no font has is drawn as an empty box; the copy of the text in the
//! document is right all the same.

use std::collections::HashMap;
use std::sync::Arc;

use krilla::geom::Point;
use krilla::surface::Surface;
use krilla::text::{Font, GlyphId, KrillaGlyph};
use parley::fontique::{Blob, Collection, CollectionOptions, SourceCache};
use parley::style::{FontFamily, FontFamilyName, FontWeight, LineHeight, OverflowWrap, StyleProperty};
use parley::{Alignment, AlignmentOptions, FontContext, Layout, LayoutContext};

use super::ReportError;

const REGULAR: &[u8] = include_bytes!("fonts/DejaVuSansCondensed.ttf");
const BOLD: &[u8] = include_bytes!("fonts/DejaVuSansCondensed-Bold.ttf");
const EAST_ASIAN: &[u8] = include_bytes!("fonts/wqy-microhei.ttc");

/// First the font of most text, then what it lacks.
const FAMILIES: [FontFamilyName<'static>; 2] =
    [FontFamilyName::named("DejaVu Sans"), FontFamilyName::named("WenQuanYi Micro Hei")];

/// How a text is set.
#[derive(Clone, Copy, Debug)]
pub(super) struct Style {
    /// In points.
    pub size: f32,
    pub bold: bool,
    pub right: bool,
}

/// A text that is set, and can be drawn.
pub(super) struct Set {
    text: String,
    layout: Layout<()>,
}

impl Set {
    /// In points.
    pub(super) fn height(&self) -> f32 {
        self.layout.height()
    }
}

/// Sets texts and draws them. One for a document: krilla knows a font again by its identity.
pub(super) struct Typesetter {
    fonts: FontContext,
    layouts: LayoutContext<()>,
    embedded: HashMap<(u64, u32), Font>,
}

impl Typesetter {
    pub(super) fn new() -> Self {
        let mut collection = Collection::new(CollectionOptions { shared: false, system_fonts: false });
        for font in [REGULAR, BOLD, EAST_ASIAN] {
            collection.register_fonts(Blob::new(Arc::new(font)), None);
        }
        let fonts = FontContext { collection, source_cache: SourceCache::default() };
        Self { fonts, layouts: LayoutContext::new(), embedded: HashMap::new() }
    }

    /// Sets `text` in lines of at most `width` points. Line ends and other control characters become spaces.
    pub(super) fn set(&mut self, text: &str, style: Style, width: f32) -> Set {
        let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let mut builder = self.layouts.ranged_builder(&mut self.fonts, &text, 1.0, false);
        builder.push_default(StyleProperty::FontFamily(FontFamily::List((&FAMILIES[..]).into())));
        builder.push_default(StyleProperty::FontSize(style.size));
        builder.push_default(StyleProperty::LineHeight(LineHeight::FontSizeRelative(1.25)));
        builder.push_default(StyleProperty::OverflowWrap(OverflowWrap::Anywhere));
        if style.bold {
            builder.push_default(StyleProperty::FontWeight(FontWeight::BOLD));
        }
        let mut layout = builder.build(&text);
        layout.break_all_lines(Some(width));
        let alignment = if style.right { Alignment::Right } else { Alignment::Start };
        layout.align(alignment, AlignmentOptions::default());
        Set { text, layout }
    }

    /// Draws `set` with its upper left corner at `x` and `y`.
    pub(super) fn draw(&mut self, surface: &mut Surface<'_>, set: &Set, x: f32, y: f32) -> Result<(), ReportError> {
        for line in set.layout.lines() {
            let metrics = line.metrics();
            let (baseline, mut at) = (y + metrics.baseline, x + metrics.offset);
            for run in line.runs() {
                let start = at;
                let size = run.font_size();
                let mut glyphs = Vec::<KrillaGlyph>::new();
                for cluster in run.visual_clusters() {
                    let range = cluster.text_range();
                    if cluster.is_ligature_continuation() {
                        if let Some(glyph) = glyphs.last_mut() {
                            glyph.text_range.end = range.end;
                        }
                        continue;
                    }
                    for glyph in cluster.glyphs() {
                        glyphs.push(KrillaGlyph::new(
                            GlyphId::new(glyph.id),
                            glyph.advance / size,
                            glyph.x / size,
                            glyph.y / size,
                            0.0,
                            range.clone(),
                            None,
                        ));
                        at += glyph.advance;
                    }
                }
                if !glyphs.is_empty() {
                    let font = self.font(run.font())?;
                    surface.draw_glyphs(Point::from_xy(start, baseline), &glyphs, font, &set.text, size, false);
                }
            }
        }
        Ok(())
    }

    fn font(&mut self, font: &parley::FontData) -> Result<Font, ReportError> {
        let key = (font.data.id(), font.index);
        if let Some(known) = self.embedded.get(&key) {
            return Ok(known.clone());
        }
        let (data, _) = font.data.clone().into_raw_parts();
        let made =
            Font::new(data.into(), font.index).ok_or_else(|| ReportError::Pdf("a font can't be read".to_owned()))?;
        self.embedded.insert(key, made.clone());
        Ok(made)
    }
}
