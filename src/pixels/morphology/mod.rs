//! Growing, shrinking, smoothing and closing the holes of a mask.
//!
//! Distances are exact and Euclidean. Grey stays grey: a soft edge moves as it is, because growing
//! takes the largest value within reach of each pixel, and not a distance to an outline.

mod disc;
mod holes;
mod median;

pub use holes::fill_holes;
pub use median::smooth;

use super::Mask;

/// How many discs a round edge is put together from.
const RINGS: usize = 4;

/// Every pixel gets the largest value that lies within `radius` pixels of it. At the rim, from
/// `radius` to one pixel further, a value counts in part, in quarters: round corners stay smooth and
/// straight edges of whole pixels stay sharp. Beyond the buffer there is nothing.
pub fn grow(mask: &Mask, radius: f32) -> Mask {
    let radii: [f32; RINGS] =
        std::array::from_fn(|k| radius.max(0.0) + (k as f32 + 0.5) / RINGS as f32);
    let grown = disc::largest_within(mask, radii);
    let mut out = Mask::new(mask.extent());
    for (i, pixel) in out.bytes_mut().iter_mut().enumerate() {
        let sum: u32 = grown.iter().map(|ring| u32::from(ring.bytes()[i])).sum();
        *pixel = ((sum + RINGS as u32 / 2) / RINGS as u32) as u8;
    }
    out
}

/// What [`grow`] does to the rest of the picture. The picture's own edge is no edge of the mask.
pub fn shrink(mask: &Mask, radius: f32) -> Mask {
    inverted(grow(&inverted(mask.clone()), radius))
}

fn inverted(mut mask: Mask) -> Mask {
    mask.bytes_mut().iter_mut().for_each(|value| *value = 255 - *value);
    mask
}

/// How far [`grow`], [`shrink`] and [`smooth`] look, in whole pixels.
pub fn reach(radius: f32) -> u32 {
    radius.max(0.0) as u32 + 1
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::geometry::Extent;

    /// Straight from the definition.
    fn slow_grow(mask: &Mask, radius: f32) -> Vec<u8> {
        let Extent { width, height } = mask.extent();
        let reach = reach(radius) as i32 + 1;
        let mut out = Vec::new();
        for (y, x) in (0..height as i32).flat_map(|y| (0..width as i32).map(move |x| (y, x))) {
            let mut rings = [0u8; RINGS];
            for (dy, dx) in (-reach..=reach).flat_map(|dy| (-reach..=reach).map(move |dx| (dy, dx)))
            {
                let (u, v) = (x + dx, y + dy);
                if u < 0 || v < 0 || u >= width as i32 || v >= height as i32 {
                    continue;
                }
                for (k, ring) in rings.iter_mut().enumerate() {
                    let limit = f64::from(radius) + (k as f64 + 0.5) / RINGS as f64;
                    if f64::from(dx * dx + dy * dy) <= limit * limit {
                        *ring = (*ring).max(mask.pixel(u as u32, v as u32)[0]);
                    }
                }
            }
            let sum: u32 = rings.iter().map(|&v| u32::from(v)).sum();
            out.push(((sum + 2) / 4) as u8);
        }
        out
    }

    /// Some grey, more of nothing and of everything.
    fn any_mask() -> impl Strategy<Value = Mask> {
        let value = prop_oneof![6 => Just(0u8), 2 => Just(255u8), 1 => any::<u8>()];
        (1u32..40, 1u32..34).prop_flat_map(move |(width, height)| {
            let extent = Extent::new(width, height);
            proptest::collection::vec(value.clone(), extent.area())
                .prop_map(move |bytes| Mask::from_raw(extent, bytes).unwrap())
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn growing_is_what_its_definition_says(mask in any_mask(), quarters in 0u32..60) {
            let radius = quarters as f32 / 4.0;
            let grown = grow(&mask, radius);
            prop_assert_eq!(grown.bytes(), &slow_grow(&mask, radius)[..]);
        }

        #[test]
        fn shrinking_mirrors_growing_and_loses_nothing_at_the_edge(mask in any_mask(), r in 0f32..9.0) {
            let shrunk = shrink(&mask, r);
            let complement = inverted(mask.clone());
            prop_assert_eq!(inverted(shrunk.clone()), grow(&complement, r));
            prop_assert!(shrunk.bytes().iter().zip(mask.bytes()).all(|(s, m)| s <= m));
            let full = inverted(Mask::new(mask.extent()));
            prop_assert_eq!(&shrink(&full, r), &full);
        }
    }

    #[test]
    fn growing_by_nothing_is_nothing() {
        let mask = Mask::from_raw(Extent::new(3, 1), vec![0, 77, 255]).unwrap();
        assert_eq!(grow(&mask, 0.0), mask);
        assert_eq!(shrink(&mask, 0.0), mask);
        assert_eq!(grow(&mask, -3.0), mask);
        assert_eq!(grow(&Mask::default(), 4.0), Mask::default());
    }

    #[test]
    fn sharp_edges_stay_sharp_and_soft_ones_soft() {
        let row = |bytes: &[u8]| Mask::from_raw(Extent::new(8, 1), bytes.to_vec()).unwrap();
        assert_eq!(
            grow(&row(&[0, 0, 0, 0, 0, 255, 255, 255]), 2.0).bytes(),
            [0, 0, 0, 255, 255, 255, 255, 255]
        );
        assert_eq!(
            grow(&row(&[0, 0, 0, 0, 60, 120, 180, 240]), 2.0).bytes(),
            [0, 0, 60, 120, 180, 240, 240, 240]
        );
    }
}
