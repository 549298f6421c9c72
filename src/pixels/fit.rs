//! diffusers' two ways to resize with the aspect ratio kept: "fill" and "crop".

use super::{
    Mask, Picture,
    resize::{
        Filter, Kernel, horizontal, premultiply, resize_mask, resize_picture, unpremultiply,
        vertical,
    },
};
use crate::geometry::{Bounds, Extent};

/// `resize_mode="fill"`: as large as fits inside `extent`, centred; the rest is filled from the
/// first and last rows (or columns). The result is opaque, as the reference's RGB is.
pub fn resize_and_fill(picture: &Picture, extent: Extent) -> Picture {
    let Some(inner) = fitted(picture.extent(), extent, Fit::Inside) else {
        return opaque_black(extent);
    };
    let resized = resize_picture(picture, inner.extent(), Filter::Lanczos);
    let mut out = opaque_black(extent);
    paste(&mut out, &resized, inner);
    for (strip, end) in strips(inner, extent) {
        let mut data = premultiply(resized.bytes());
        data = stretch::<4>(&data, inner, strip, end);
        unpremultiply(&mut data);
        paste(&mut out, &Picture { extent: strip.extent(), data }, strip);
    }
    out
}

/// `resize_mode="fill"` of a mask. The reference goes through RGB and back, which changes nothing.
pub fn resize_mask_and_fill(mask: &Mask, extent: Extent) -> Mask {
    let Some(inner) = fitted(mask.extent(), extent, Fit::Inside) else {
        return Mask::new(extent);
    };
    let resized = resize_mask(mask, inner.extent(), Filter::Lanczos);
    let mut out = Mask::new(extent);
    paste_mask(&mut out, &resized, inner);
    for (strip, end) in strips(inner, extent) {
        let data = stretch::<1>(resized.bytes(), inner, strip, end);
        paste_mask(&mut out, &Mask { extent: strip.extent(), data }, strip);
    }
    out
}

/// `resize_mode="crop"`: just large enough to cover `extent`, centred, the excess cut off. The
/// result is opaque.
pub fn resize_and_crop(picture: &Picture, extent: Extent) -> Picture {
    let mut out = opaque_black(extent);
    if let Some(outer) = fitted(picture.extent(), extent, Fit::Cover) {
        paste(&mut out, &resize_picture(picture, outer.extent(), Filter::Lanczos), outer);
    }
    out
}

#[derive(Clone, Copy, PartialEq)]
enum Fit {
    Inside,
    Cover,
}

/// Where a picture of size `from` comes to lie in `to`; `None` when there would be nothing of it.
fn fitted(from: Extent, to: Extent, fit: Fit) -> Option<Bounds> {
    if from.is_empty() || to.is_empty() {
        return None;
    }
    let ratio = f64::from(to.width) / f64::from(to.height);
    let source_ratio = f64::from(from.width) / f64::from(from.height);
    let (full_width, full_height) = match fit {
        Fit::Inside => (ratio < source_ratio, ratio >= source_ratio),
        Fit::Cover => (ratio > source_ratio, ratio <= source_ratio),
    };
    let scaled =
        |side: u32, by: u32, over: u32| (u64::from(side) * u64::from(by) / u64::from(over)) as u32;
    let width = if full_width { to.width } else { scaled(from.width, to.height, from.height) };
    let height = if full_height { to.height } else { scaled(from.height, to.width, from.width) };
    let middle = |outer: u32, inner: u32| outer as i32 / 2 - inner as i32 / 2;
    (width > 0 && height > 0)
        .then(|| Bounds::new(middle(to.width, width), middle(to.height, height), width, height))
}

/// Which end of the resized picture a strip continues.
#[derive(Clone, Copy)]
enum End {
    First,
    Last,
}

/// The two strips that `inner` leaves open. Both are as wide as the first, so a last row may stay
/// open, as in the reference.
fn strips(inner: Bounds, extent: Extent) -> Vec<(Bounds, End)> {
    let (width, height) = (extent.width, extent.height);
    if inner.y > 0 {
        let first = Bounds::new(0, 0, width, inner.y as u32);
        return vec![(first, End::First), (Bounds { y: inner.bottom(), ..first }, End::Last)];
    }
    if inner.x > 0 {
        let first = Bounds::new(0, 0, inner.x as u32, height);
        return vec![(first, End::First), (Bounds { x: inner.right(), ..first }, End::Last)];
    }
    Vec::new()
}

/// Pillow's `resize` with an empty box at one end of the picture: every new row (or column) is
/// the same bicubic sample of the two outermost ones.
fn stretch<const C: usize>(source: &[u8], from: Bounds, strip: Bounds, end: End) -> Vec<u8> {
    let kernel = |side: u32, to: u32| {
        let at = match end {
            End::First => 0.0,
            End::Last => side as f32,
        };
        Kernel::new(side, (at, at), to, Filter::Bicubic)
    };
    // Not by their sizes: a strip beside the picture may be exactly as wide as the picture.
    if strip.y != from.y {
        vertical::<C>(source, from.width, &kernel(from.height, strip.height), strip.height)
    } else {
        horizontal::<C>(source, from.width, &kernel(from.width, strip.width), strip.width)
    }
}

pub(super) fn opaque_black(extent: Extent) -> Picture {
    Picture { extent, data: [0, 0, 0, 255].repeat(extent.area()) }
}

/// `from`'s colours into `into` at `bounds` (clipped), opaque: Pillow's RGB paste.
pub(super) fn paste(into: &mut Picture, from: &Picture, bounds: Bounds) {
    let inside = bounds.intersect(into.extent().bounds());
    for y in inside.y..inside.bottom() {
        let source = &from.row((y - bounds.y) as u32)[(inside.x - bounds.x) as usize * 4..];
        let target =
            &mut into.row_mut(y as u32)[inside.x as usize * 4..inside.right() as usize * 4];
        for (t, s) in target.chunks_exact_mut(4).zip(source.chunks_exact(4)) {
            t[..3].copy_from_slice(&s[..3]);
        }
    }
}

fn paste_mask(into: &mut Mask, from: &Mask, bounds: Bounds) {
    let inside = bounds.intersect(into.extent().bounds());
    for y in inside.y..inside.bottom() {
        let source = &from.row((y - bounds.y) as u32)[(inside.x - bounds.x) as usize..];
        let target = &mut into.row_mut(y as u32)[inside.x as usize..inside.right() as usize];
        target.copy_from_slice(&source[..inside.width as usize]);
    }
}
