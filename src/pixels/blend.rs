//! A generated picture over the original, through a mask.

use super::{Mask, Picture};

/// `raw` over `original` by `mask`, all of one extent. Where the mask is 0 the original's four
/// bytes are copied; where it is 255, raw's. Panics when the extents differ.
pub fn composite(original: &Picture, raw: &Picture, mask: &Mask) -> Picture {
    let _ = (original, raw, mask);
    todo!()
}
