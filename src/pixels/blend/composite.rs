//! A generated picture over the original, through a mask.

use rayon::prelude::*;

use crate::pixels::{Mask, Picture};

/// `raw` over `original` by `mask`, all of one extent: a linear mixture of sRGB values, as every
/// painting program's normal mode. Where the mask is 0 the original's four bytes are copied;
/// where it is 255, raw's. Colours are weighted by their alpha, so the hidden colour of a
/// transparent pixel does not show. Rounded to nearest. Panics when the extents differ.
pub fn composite(original: &Picture, raw: &Picture, mask: &Mask) -> Picture {
    assert_eq!(original.extent(), raw.extent(), "composite: raw has the original's extent");
    assert_eq!(original.extent(), mask.extent(), "composite: the mask has the original's extent");
    let mut out = original.clone();
    let stride = (original.extent().width as usize).max(1);
    out.bytes_mut()
        .par_chunks_mut(stride * 4)
        .zip(raw.bytes().par_chunks(stride * 4))
        .zip(mask.bytes().par_chunks(stride))
        .for_each(|((below, above), mask)| composite_row(below, above, mask));
    out
}

fn composite_row(below: &mut [u8], above: &[u8], mask: &[u8]) {
    for ((b, a), &m) in below.chunks_exact_mut(4).zip(above.chunks_exact(4)).zip(mask) {
        match m {
            0 => {}
            255 => b.copy_from_slice(a),
            _ => mix(b, a, u32::from(m)),
        }
    }
}

/// `below` moved towards `above` by `m` of 255.
fn mix(below: &mut [u8], above: &[u8], m: u32) {
    // Weights of the two colours, of 255 * 255 in all when both are opaque.
    let over = m * u32::from(above[3]);
    let under = (255 - m) * u32::from(below[3]);
    let sum = over + under;
    if sum == 0 {
        return;
    }
    for c in 0..3 {
        let mixed = u64::from(above[c]) * u64::from(over) + u64::from(below[c]) * u64::from(under);
        below[c] = ((mixed + u64::from(sum) / 2) / u64::from(sum)) as u8;
    }
    below[3] = ((sum + 127) / 255) as u8;
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::geometry::Extent;

    fn pixels(bytes: Vec<u8>) -> Picture {
        Picture::from_raw(Extent::new((bytes.len() / 4) as u32, 1), bytes).unwrap()
    }

    fn mask_of(value: u8, like: &Picture) -> Mask {
        Mask::from_raw(like.extent(), vec![value; like.extent().area()]).unwrap()
    }

    proptest! {
        #[test]
        fn an_empty_mask_keeps_and_a_full_one_replaces(bytes in prop::collection::vec(any::<u8>(), 64)) {
            let original = pixels(bytes[..32].to_vec());
            let raw = pixels(bytes[32..].to_vec());
            prop_assert_eq!(&composite(&original, &raw, &mask_of(0, &raw)), &original);
            prop_assert_eq!(&composite(&original, &raw, &mask_of(255, &raw)), &raw);
        }

        #[test]
        fn a_mixture_lies_between(a in any::<[u8; 3]>(), b in any::<[u8; 3]>(), m in any::<u8>()) {
            let original = pixels(vec![a[0], a[1], a[2], 255]);
            let raw = pixels(vec![b[0], b[1], b[2], 255]);
            let mixed = composite(&original, &raw, &mask_of(m, &raw));
            prop_assert_eq!(mixed.bytes()[3], 255);
            for c in 0..3 {
                let exact = f64::from(a[c])
                    + (f64::from(b[c]) - f64::from(a[c])) * f64::from(m) / 255.0;
                prop_assert!((f64::from(mixed.bytes()[c]) - exact).abs() <= 0.5 + 1e-9);
            }
        }
    }

    #[test]
    fn hidden_colours_do_not_show() {
        let clear_red = pixels(vec![255, 0, 0, 0]);
        let green = pixels(vec![0, 255, 0, 255]);
        let mixed = composite(&clear_red, &green, &mask_of(128, &green));
        assert_eq!(mixed.bytes(), [0, 255, 0, 128]);
    }
}
