//! Smart select: clicks on a picture to the mask of the object under them, with Segment Anything.
//! A job of its own: it needs no model for painting, and its answer is a mask.

use std::{collections::VecDeque, ops::ControlFlow, path::PathBuf, sync::Arc};

use candle_core::Tensor;

use super::{Device, EngineError, Monitor, device, tensors::opaque};
use crate::{
    document::PictureTiles,
    geometry::{Extent, Point},
    networks::{
        SegmentAnything,
        segment_anything::{self, MASK_SIDE, SIDE},
    },
    pixels::{
        Mask, Picture,
        resize::{Filter, resize_picture},
    },
};

/// How many pictures stay embedded: the present one, and the one that undo leads to.
const EMBEDDINGS_KEPT: usize = 2;

/// What is asked for.
#[derive(Clone)]
pub struct SelectRequest {
    /// A file of weights: MobileSAM's, or the original's.
    pub weights: PathBuf,
    /// The picture at one moment.
    pub picture: PictureTiles,
    /// Without any, the picture is only looked at, so that the first click is answered at once.
    pub clicks: Vec<Click>,
    pub device: Device,
}

/// A click on the picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Click {
    /// In picture pixels.
    pub position: Point,
    /// Whether it is part of the object, or just not.
    pub inside: bool,
}

/// The answer.
#[derive(Clone, Debug)]
pub struct Selected {
    /// 255 on the object and 0 elsewhere, of the picture's extent; none where nothing was clicked.
    pub mask: Option<Arc<Mask>>,
}

/// Answers selections, and keeps what can be used again.
#[derive(Default)]
pub struct Selector {
    network: Option<(PathBuf, Device, SegmentAnything)>,
    /// The newest first; all by the present network.
    embedded: VecDeque<(PictureTiles, Embedded)>,
}

/// What the network knows about a picture.
#[derive(Clone)]
struct Embedded {
    embedding: Tensor,
    /// The picture's size as the network saw it: the longer side is [`SIDE`].
    seen: Extent,
}

impl Selector {
    /// The object that the clicks mean.
    ///
    /// # Errors
    /// When the weights cannot be read, the network fails, or the job is cancelled.
    pub fn select(
        &mut self,
        request: &SelectRequest,
        monitor: &mut dyn Monitor,
    ) -> Result<Selected, EngineError> {
        let extent = request.picture.extent();
        let Embedded { embedding, seen } = self.embedded(request, monitor)?;
        if request.clicks.is_empty() {
            return Ok(Selected { mask: None });
        }
        let network = self.network(request, monitor)?;
        let clicks: Vec<_> =
            request.clicks.iter().map(|click| seen_at(*click, extent, seen)).collect();
        let found = network.candidates(&embedding, &clicks).map_err(EngineError::failed)?;
        let best =
            best(&found.qualities).ok_or_else(|| EngineError::failed("no mask was found"))?;
        let logits = found.masks.get(best).and_then(|mask| mask.flatten_all()?.to_vec1());
        let logits: Vec<f32> = logits.map_err(EngineError::failed)?;
        Ok(Selected { mask: Some(Arc::new(enlarged(&logits, seen, extent))) })
    }

    fn network(
        &mut self,
        request: &SelectRequest,
        monitor: &mut dyn Monitor,
    ) -> Result<&SegmentAnything, EngineError> {
        let known = |(weights, device, _): &(PathBuf, Device, _)| {
            *weights == request.weights && *device == request.device
        };
        if !self.network.as_ref().is_some_and(known) {
            (self.network, self.embedded) = (None, VecDeque::new());
            let device = device::open(request.device)?;
            let what = "Loading smart select";
            let network = SegmentAnything::load(&request.weights, &device, |read| {
                let fraction = read.done as f32 / read.total.max(1) as f32;
                match monitor.loading(what, Some(fraction)) {
                    Ok(()) => ControlFlow::Continue(()),
                    Err(_) => ControlFlow::Break(()),
                }
            })?;
            self.network = Some((request.weights.clone(), request.device, network));
        }
        match &self.network {
            Some((.., network)) => Ok(network),
            None => Err(EngineError::failed("the network was not kept")),
        }
    }

    fn embedded(
        &mut self,
        request: &SelectRequest,
        monitor: &mut dyn Monitor,
    ) -> Result<Embedded, EngineError> {
        self.network(request, monitor)?;
        let same = |(picture, _): &(PictureTiles, _)| request.picture.is_same(picture);
        if let Some(at) = self.embedded.iter().position(same)
            && let Some(entry) = self.embedded.remove(at)
        {
            self.embedded.push_front(entry.clone());
            return Ok(entry.1);
        }
        monitor.loading("Looking at the picture", None)?;
        let picture = opaque(&request.picture.to_picture());
        let seen = size_seen(picture.extent())?;
        let network = self.network(request, monitor)?;
        let tensor =
            bytes_tensor(&resize_picture(&picture, seen, Filter::Bilinear), network.device());
        let embedding = tensor.and_then(|tensor| network.embed(&tensor));
        let embedded = Embedded { embedding: embedding.map_err(EngineError::failed)?, seen };
        self.embedded.push_front((request.picture.clone(), embedded.clone()));
        self.embedded.truncate(EMBEDDINGS_KEPT);
        if monitor.is_cancelled() { Err(EngineError::Cancelled) } else { Ok(embedded) }
    }
}

/// The size at which the longer side is [`SIDE`], as the network's authors round it.
fn size_seen(extent: Extent) -> Result<Extent, EngineError> {
    if extent.is_empty() {
        return Err(EngineError::invalid("the picture has no pixels"));
    }
    let scale = SIDE as f64 / f64::from(extent.width.max(extent.height));
    let side = |length: u32| ((f64::from(length) * scale + 0.5) as u32).max(1);
    Ok(Extent::new(side(extent.width), side(extent.height)))
}

/// A click where the network sees it. Pixels are named by their corner there, not by their middle.
fn seen_at(click: Click, extent: Extent, seen: Extent) -> segment_anything::Click {
    let at = |position: f32, length: u32, seen: u32| {
        let pixel = f64::from(position).floor().clamp(0.0, f64::from(length.saturating_sub(1)));
        pixel * (f64::from(seen) / f64::from(length))
    };
    segment_anything::Click {
        x: at(click.position.x, extent.width, seen.width),
        y: at(click.position.y, extent.height, seen.height),
        inside: click.inside,
    }
}

fn best(qualities: &[f32]) -> Option<usize> {
    (0..qualities.len()).max_by(|&a, &b| qualities[a].total_cmp(&qualities[b]))
}

/// [3, H, W], 0 to 255.
fn bytes_tensor(picture: &Picture, device: &candle_core::Device) -> candle_core::Result<Tensor> {
    let Extent { width, height } = picture.extent();
    let channel = |c: usize| picture.bytes().chunks_exact(4).map(move |pixel| f32::from(pixel[c]));
    let values: Vec<f32> = (0..3).flat_map(channel).collect();
    Tensor::from_vec(values, (3, height as usize, width as usize), device)
}

/// The network's answer [`MASK_SIDE`] squared at the size of the picture: to [`SIDE`], cut to what
/// was seen, to the picture, each time linearly between pixels; then what lies above 0.
fn enlarged(logits: &[f32], seen: Extent, extent: Extent) -> Mask {
    let square = |side: usize| Extent::new(side as u32, side as u32);
    let mut whole = Vec::with_capacity(seen.area());
    interpolate(logits, square(MASK_SIDE), square(SIDE), |y, row| {
        if y < seen.height {
            whole.extend_from_slice(&row[..seen.width as usize]);
        }
    });
    let mut mask = Mask::new(extent);
    interpolate(&whole, seen, extent, |y, row| {
        for (value, logit) in mask.row_mut(y).iter_mut().zip(row) {
            *value = if *logit > 0.0 { 255 } else { 0 };
        }
    });
    mask
}

/// `values` (rows of `from`) at the size `to`, row by row, linearly between the centres of pixels:
/// `torch.nn.functional.interpolate(mode="bilinear")`.
fn interpolate(values: &[f32], from: Extent, to: Extent, mut take: impl FnMut(u32, &[f32])) {
    let place = |i: u32, from: u32, to: u32| {
        let at = ((i as f32 + 0.5) * (from as f32 / to as f32) - 0.5).max(0.0);
        let first = (at as u32).min(from - 1);
        (first as usize, (first + 1).min(from - 1) as usize, at - first as f32)
    };
    let columns: Vec<_> = (0..to.width).map(|x| place(x, from.width, to.width)).collect();
    let width = from.width as usize;
    let mut row = vec![0.0; to.width as usize];
    for y in 0..to.height {
        let (above, below, down) = place(y, from.height, to.height);
        let (above, below) = (&values[above * width..][..width], &values[below * width..][..width]);
        for (value, &(left, right, across)) in row.iter_mut().zip(&columns) {
            let between = |row: &[f32]| row[left] * (1.0 - across) + row[right] * across;
            *value = between(above) * (1.0 - down) + between(below) * down;
        }
        take(y, &row);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_lie_linearly_between_centres() {
        let mut rows = Vec::new();
        // torch.nn.functional.interpolate of [[0, 3], [6, 9]] to 2 x 4.
        interpolate(&[0.0, 3.0, 6.0, 9.0], Extent::new(2, 2), Extent::new(4, 2), |_, row| {
            rows.extend_from_slice(row);
        });
        assert_eq!(rows, [0.0, 0.75, 2.25, 3.0, 6.0, 6.75, 8.25, 9.0]);
    }

    #[test]
    fn clicks_are_where_the_network_sees_them() {
        let seen = size_seen(Extent::new(150, 101)).unwrap();
        assert_eq!(seen, Extent::new(1024, 689));
        let click = Click { position: Point::new(40.9, 500.0), inside: true };
        let at = seen_at(click, Extent::new(150, 101), seen);
        assert!((at.x - 40.0 * 1024.0 / 150.0).abs() < 1e-9);
        assert!((at.y - 100.0 * 689.0 / 101.0).abs() < 1e-9, "inside the picture");
        assert!(size_seen(Extent::new(0, 7)).is_err());
        assert_eq!(size_seen(Extent::new(1, 9000)).unwrap(), Extent::new(1, 1024));
    }

    #[test]
    fn what_lies_above_zero_is_selected() {
        let half = |i: usize| if i % MASK_SIDE < MASK_SIDE / 2 { 1.0 } else { -1.0 };
        let logits: Vec<f32> = (0..MASK_SIDE * MASK_SIDE).map(half).collect();
        let extent = Extent::new(200, 100);
        let mask = enlarged(&logits, size_seen(extent).unwrap(), extent);
        assert_eq!(mask.row(50)[..100], [255; 100]);
        assert_eq!(mask.row(50)[100..], [0; 100]);
    }

    #[test]
    fn the_best_guess_is_taken() {
        assert_eq!(best(&[0.2, 0.9, 0.5]), Some(1));
        assert_eq!(best(&[]), None);
    }
}
