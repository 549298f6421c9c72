//! The context area: which part of the picture is sampled, and at which size. Only it costs time,
//! so that the cost follows the mask and not the picture.

use crate::geometry::{Bounds, Extent};

/// Sampled sizes are multiples of this.
pub const MULTIPLE: u32 = 8;
/// An area up to this many times the model's own is sampled as it is.
const AREA_SLACK: f64 = 1.5;

/// The part of a `picture` to sample around a mask's box.
///
/// `margin` in pixels, or `None` for one that grows with the mask and the strength (0 to 1): a
/// model needs to see what its work has to fit to. The part is at least `native` pixels a side,
/// where the picture has them.
pub fn around(
    mask: Bounds,
    picture: Extent,
    margin: Option<u32>,
    strength: f64,
    native: u32,
) -> Bounds {
    let margin = margin.unwrap_or_else(|| automatic_margin(mask, picture, strength));
    let grown = mask.grow(margin).intersect(picture.bounds());
    let (x, width) = at_least(grown.x, grown.width, native, picture.width);
    let (y, height) = at_least(grown.y, grown.height, native, picture.height);
    Bounds::new(x, y, width, height)
}

/// A tenth of the mask's diagonal and more; with nothing of the original left to go by (strength
/// 1), as much as half the mask's side.
fn automatic_margin(mask: Bounds, picture: Extent, strength: f64) -> u32 {
    let (width, height) = (f64::from(mask.width), f64::from(mask.height));
    let diagonal = width.hypot(height);
    let feather = (0.10 * strength * diagonal).floor().max((32.0 * strength).round());
    let margin = feather + 4.0 + (0.06 * diagonal).floor();
    if strength < 1.0 {
        return margin as u32;
    }
    let longest = f64::from(picture.width.max(picture.height));
    margin.max(longest / 16.0).max((width + height) / 4.0) as u32
}

/// A span widened to `least` around its middle, kept inside `0..limit`.
fn at_least(start: i32, length: u32, least: u32, limit: u32) -> (i32, u32) {
    let wanted = length.max(least).min(limit);
    let start = start - ((wanted - length) / 2) as i32;
    (start.clamp(0, (limit - wanted) as i32), wanted)
}

/// The size that a part of the picture is sampled at: near the model's own area, in the part's
/// proportions, multiples of 8 and of `unit`, a power of two.
pub fn sampling_size(part: Extent, native: u32, unit: u32) -> Extent {
    let budget = f64::from(native) * f64::from(native);
    let area = part.area() as f64;
    let scale = if area < budget {
        (budget / area).sqrt()
    } else {
        (budget * AREA_SLACK / area).sqrt().min(1.0)
    };
    let unit = unit.max(MULTIPLE);
    let side = |length: u32| {
        let units = (f64::from(length) * scale / f64::from(unit)).round().max(1.0);
        units as u32 * unit
    };
    Extent::new(side(part.width), side(part.height))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_mask_in_a_large_picture_is_seen_at_the_models_own_size() {
        let area = around(Bounds::new(1000, 20, 60, 40), Extent::new(4000, 3000), None, 0.5, 512);
        assert_eq!(area.extent(), Extent::new(512, 512));
        assert_eq!(area.y, 0, "pushed back inside");
        assert!(area.x < 1000 && area.right() > 1060);
        assert_eq!(sampling_size(area.extent(), 512, 8), Extent::new(512, 512));
    }

    #[test]
    fn the_area_never_leaves_the_picture_and_always_holds_the_mask() {
        let picture = Extent::new(700, 300);
        for mask in [
            Bounds::new(0, 0, 700, 300),
            Bounds::new(699, 299, 1, 1),
            Bounds::new(0, 0, 1, 1),
            Bounds::new(100, 0, 500, 300),
        ] {
            for margin in [None, Some(0), Some(5000)] {
                let area = around(mask, picture, margin, 1.0, 512);
                assert_eq!(area.intersect(picture.bounds()), area);
                assert_eq!(area.union(mask), area);
            }
        }
    }

    #[test]
    fn sizes_are_near_the_models_area_and_multiples_of_eight() {
        for (part, native) in
            [((100, 100), 512), ((2000, 500), 512), ((513, 640), 512), ((1, 4000), 256)]
        {
            let size = sampling_size(Extent::new(part.0, part.1), native, 8);
            assert_eq!((size.width % 8, size.height % 8), (0, 0));
            let ratio = size.area() as f64 / f64::from(native * native);
            assert!((0.9..=1.6).contains(&ratio) || part.0 == 1, "{part:?}: {size}");
        }
        assert_eq!(sampling_size(Extent::new(600, 600), 512, 8), Extent::new(600, 600));
        assert!(sampling_size(Extent::new(1, 4000), 256, 8).width >= 8);
        assert_eq!(sampling_size(Extent::new(600, 700), 512, 64), Extent::new(576, 704));
    }

    #[test]
    fn at_full_strength_more_of_the_surroundings_is_seen() {
        let (mask, picture) = (Bounds::new(900, 900, 300, 300), Extent::new(2048, 2048));
        let weak = around(mask, picture, None, 0.5, 64);
        let full = around(mask, picture, None, 1.0, 64);
        assert!(full.width > weak.width);
        assert_eq!(around(mask, picture, Some(10), 1.0, 64).extent(), Extent::new(320, 320));
    }
}
