//! What holds across the files of this room, checked with random strokes and pictures.

mod blends;
mod edits;
mod strokes;

use super::{
    Brush, Document, PressureTarget,
    tools::{BrushMode, BrushTool, Modifiers, Phase, PointerEvent, Tool},
};
use crate::{
    geometry::{Extent, Point},
    pixels::{Mask, Picture},
};
use proptest::prelude::*;

/// Larger than a tile on both sides, and not a multiple of one.
pub(super) const EXTENT: Extent = Extent::new(300, 270);

/// Bytes without a pattern, the same for the same seed.
fn noise(len: usize, seed: u32) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2_654_435_761) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state >> 8) as u8
    };
    (0..len).map(|_| next()).collect()
}

pub(super) fn noise_picture(extent: Extent, seed: u32) -> Picture {
    Picture::from_raw(extent, noise(extent.area() * 4, seed)).unwrap()
}

pub(super) fn noise_mask(extent: Extent, seed: u32) -> Mask {
    Mask::from_raw(extent, noise(extent.area(), seed)).unwrap()
}

pub(super) fn document() -> Document {
    Document::new(&noise_picture(EXTENT, 1)).unwrap()
}

/// A document whose mask is noise, with nothing in its history to undo but that.
pub(super) fn masked_document() -> Document {
    let mut document = document();
    let _ = document.set_mask("Import mask", &noise_mask(EXTENT, 2)).unwrap();
    document
}

fn event(phase: Phase, position: Point) -> PointerEvent {
    PointerEvent { phase, position, pressure: 1.0, modifiers: Modifiers::default() }
}

/// Down at the first point, through the others, up at the last.
pub(super) fn draw(document: &mut Document, mode: BrushMode, brush: Brush, points: &[(f32, f32)]) {
    let mut tool = BrushTool::new(mode, brush);
    let points: Vec<_> = points.iter().map(|&(x, y)| Point::new(x, y)).collect();
    let _ = tool.handle(event(Phase::Down, points[0]), document);
    for &point in &points {
        let _ = tool.handle(event(Phase::Move, point), document);
    }
    let _ = tool.handle(event(Phase::Up, points[points.len() - 1]), document);
}

fn mask_bytes(document: &Document) -> Vec<u8> {
    document.mask().to_mask().into_bytes()
}

fn any_mode() -> impl Strategy<Value = BrushMode> {
    prop_oneof![Just(BrushMode::Paint), Just(BrushMode::Erase)]
}

fn any_brush() -> impl Strategy<Value = Brush> {
    let spacing = prop_oneof![Just(0.0f32), 0.05f32..2.0];
    (1f32..120.0, 0f32..=1.0, 0.1f32..=1.0, spacing, 0f32..40.0).prop_map(
        |(size_px, hardness, opacity, spacing, smoothing_px)| Brush {
            size_px,
            hardness,
            opacity,
            spacing,
            smoothing_px,
            pressure: PressureTarget::Nothing,
        },
    )
}

/// Points on the picture and around it.
fn any_points() -> impl Strategy<Value = Vec<(f32, f32)>> {
    proptest::collection::vec((-150f32..450.0, -150f32..420.0), 1..6)
}
