//! Results that are blended anew, and what fifty of them leave alone.

use std::sync::Arc;

use super::*;
use crate::{
    document::Patch,
    geometry::Bounds,
    pixels::blend::{Blend, Edge, EdgeWidth, Hole, Inlay, InnerSides, Seam},
};

/// A result around a painted square, as the engine would make it for this document.
fn result(document: &Document, bounds: Bounds, square: Bounds, seed: u32, blend: Blend) -> Patch {
    let bounds = bounds.intersect(EXTENT.bounds());
    let mut painted = Mask::new(EXTENT);
    let square = square.intersect(bounds);
    for y in square.y..square.bottom() {
        painted.row_mut(y as u32)[square.x as usize..square.right() as usize].fill(255);
    }
    let hole = Hole {
        painted: Arc::new(painted.crop(bounds)),
        strength: 1.0,
        inner_sides: InnerSides::of(bounds, EXTENT),
    };
    let raw = Arc::new(noise_picture(bounds.extent(), seed));
    let patch = Patch {
        bounds,
        layer: Arc::clone(&raw),
        composite_mask: None,
        inlay: Some((Inlay { raw, hole }, blend)),
        seed: u64::from(seed),
        settings: "{}".into(),
    };
    patch.reblended(document.picture(), blend)
}

/// The `i`th of many different blends.
fn blend(i: u32) -> Blend {
    let own = |px: u32| EdgeWidth::Px(px as f32);
    let edge = match i % 3 {
        0 => Edge::AUTO,
        1 => Edge::default(),
        _ => Edge { grow: own(i % 7), feather: own(i % 11), fade: own(i % 13) },
    };
    let seam = if i.is_multiple_of(2) { Seam::Match } else { Seam::Feather };
    Blend { edge, color_match: !i.is_multiple_of(5), seam, opacity: 1.0 - (i % 4) as f32 * 0.2 }
}

#[test]
fn fifty_edits_leave_every_byte_outside_their_masks() {
    let mut document = document();
    let before = document.picture().to_picture();
    let mut touched = Mask::new(EXTENT);
    for i in 0..50 {
        let corner = ((i * 37 % 150) as i32, (i * 53 % 120) as i32);
        let square = Bounds::new(corner.0 + 30, corner.1 + 30, 5 + i % 20, 4 + i % 17);
        let bounds = Bounds::new(corner.0 - 10, corner.1 - 10, 130, 120);
        let patch = result(&document, bounds, square, i, blend(i + 1));
        let _ = document.stage(vec![patch.clone()]).unwrap();
        let patch = patch.reblended(document.picture(), blend(i));
        let _ = document.replace_staged(patch.clone()).unwrap();
        let _ = document.accept_staged();
        let mask = patch.composite_mask.unwrap();
        for y in 0..mask.extent().height {
            let row = &mut touched.row_mut((patch.bounds.y as u32) + y)[patch.bounds.x as usize..];
            row.iter_mut().zip(mask.row(y)).for_each(|(all, one)| *all = (*all).max(*one));
        }
    }
    let after = document.picture().to_picture();
    let (mut kept, mut changed) = (0, 0);
    for (i, &mask) in touched.bytes().iter().enumerate() {
        let [old, new] = [&before, &after].map(|p| &p.bytes()[i * 4..i * 4 + 4]);
        if mask == 0 {
            assert_eq!(old, new, "pixel {i}");
            kept += 1;
        }
        changed += u32::from(old != new);
    }
    assert!(kept > 5_000 && changed > 5_000, "{kept} {changed}");
}

#[test]
fn blending_anew_needs_only_what_the_result_keeps() {
    let document = document();
    let (bounds, square) = (Bounds::new(40, 40, 150, 150), Bounds::new(100, 100, 30, 30));
    let first = result(&document, bounds, square, 3, blend(0));
    let other = first.reblended(document.picture(), blend(2));
    assert_ne!(other.composite_mask, first.composite_mask);
    assert_eq!(other.blend(), Some(blend(2)));
    let again = other.reblended(document.picture(), blend(0));
    assert_eq!((again.layer, again.composite_mask), (first.layer, first.composite_mask));
}

#[test]
fn a_new_blend_finds_the_result_that_it_is_of() {
    let mut document = document();
    let square = Bounds::new(60, 60, 20, 20);
    let results = [1, 2].map(|seed| result(&document, EXTENT.bounds(), square, seed, blend(0)));
    let _ = document.stage(results.to_vec()).unwrap();
    let _ = document.select_staged(0);
    let anew = results[1].reblended(document.picture(), blend(2));
    let _ = document.replace_staged(anew).unwrap();
    let blends: Vec<_> =
        document.staged().unwrap().patches().iter().map(|patch| patch.blend().unwrap()).collect();
    assert_eq!(blends, [blend(0), blend(2)]);
    let _ = document.discard_staged();
    let _ = document.replace_staged(results[0].clone()).unwrap();
    assert!(document.staged().is_none());
}
