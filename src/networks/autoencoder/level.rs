//! One level of an autoencoder: all at once, or in bands of rows where memory is short.
//!
//! A band sees as many rows beyond its own as the convolutions reach, and every normalisation
//! takes its statistics from the whole level: a first round over the bands gathers those of the
//! first normalisation, the next, with these, those of the second, and so on. So the bands give
//! what the whole gives, up to rounding, and no seam has to be hidden. The price is time: a
//! level's beginning is computed once for each of its normalisations.

use candle_core::{Module, Result, Tensor};

use crate::networks::layers::{
    Activation, Conv2d, Downsample2D, GroupNorm, Moments, ResnetBlock2D, Upsample2D,
};

/// What a level does, in order. A change of size comes first (enlarging) or last (shrinking).
pub enum Operation<'a> {
    Enlarge(&'a Upsample2D),
    Convolve(&'a Conv2d),
    Normalise(&'a GroupNorm, Activation),
    /// Keeps the tensor for [`Operation::Add`].
    Keep,
    /// Adds what was kept, through a convolution of single pixels where channels differ.
    Add(Option<&'a Conv2d>),
    Shrink(&'a Downsample2D),
}

/// The fewest rows of a band; narrower ones would mostly compute each other's surroundings.
const FEWEST_ROWS: usize = 16;

/// A chain of operations.
#[derive(Default)]
pub struct Level<'a>(Vec<Operation<'a>>);

impl<'a> Level<'a> {
    pub fn then(mut self, operation: Operation<'a>) -> Self {
        self.0.push(operation);
        self
    }

    pub fn then_resnets(self, resnets: &'a [ResnetBlock2D]) -> Self {
        resnets.iter().fold(self, |level, resnet| {
            let parts = resnet.parts();
            level
                .then(Operation::Keep)
                .then(Operation::Normalise(parts.norm1, parts.activation))
                .then(Operation::Convolve(parts.conv1))
                .then(Operation::Normalise(parts.norm2, parts.activation))
                .then(Operation::Convolve(parts.conv2))
                .then(Operation::Add(parts.shortcut))
        })
    }

    /// Runs the level on [B, C, H, W] with about `room` bytes for what lies between input and
    /// output; `None` is without limit. Takes the input, so that it can be given up on the way.
    pub fn run(&self, x: Tensor, room: Option<usize>) -> Result<Tensor> {
        let (batch, channels, height, width) = x.dims4()?;
        let (rows, width) = (height * self.enlarges(), width * self.enlarges());
        let steps = self.steps();
        let row = batch * live_channels(&steps, channels) * width;
        let room = room.map(|bytes| bytes / x.dtype().size_in_bytes());
        match rows_within(&steps, row, rows, room) {
            None => self.part(x, None, &[]),
            Some(rows) => self.in_bands(&x, rows),
        }
    }

    /// What the memory of the level depends on.
    fn steps(&self) -> Vec<Step> {
        let step = |operation: &Operation<'_>| match operation {
            Operation::Enlarge(up) => Step::Enlarge(up.outputs()),
            Operation::Convolve(conv) => Step::Convolve(conv.outputs()),
            Operation::Normalise(..) => Step::Normalise,
            Operation::Keep => Step::Keep,
            Operation::Add(shortcut) => Step::Add { shortcut: shortcut.is_some() },
            Operation::Shrink(_) => Step::Shrink,
        };
        self.0.iter().map(step).collect()
    }

    /// 2 where the level begins by doubling the size.
    fn enlarges(&self) -> usize {
        if matches!(self.0.first(), Some(Operation::Enlarge(_))) { 2 } else { 1 }
    }

    /// 2 where it ends by halving it.
    fn shrinks(&self) -> usize {
        if matches!(self.0.last(), Some(Operation::Shrink(_))) { 2 } else { 1 }
    }

    fn in_bands(&self, x: &Tensor, rows: usize) -> Result<Tensor> {
        let height = x.dim(2)? * self.enlarges();
        let bands: Vec<Band> = (0..height)
            .step_by(rows)
            .map(|start| Band::new(start..(start + rows).min(height), reach(&self.steps()), height))
            .collect();
        let mut moments: Vec<Vec<Moments>> = Vec::new();
        for _ in self.0.iter().filter(|o| matches!(o, Operation::Normalise(..))) {
            let mut of_all: Vec<Moments> = Vec::new();
            for band in &bands {
                let of_band = self.moments(self.seen(x, band)?, band, &moments)?;
                of_all.resize(of_band.len(), Moments::default());
                of_all.iter_mut().zip(of_band).for_each(|(all, one)| *all = all.and(one));
            }
            moments.push(of_all);
        }
        let mut out: Option<Tensor> = None;
        for band in &bands {
            let part = self.part(self.seen(x, band)?, None, &moments)?;
            let (inset, rows) =
                (band.inset() / self.shrinks(), band.own.len().div_ceil(self.shrinks()));
            let part = part.narrow(2, inset, rows)?.contiguous()?;
            let out = match &out {
                Some(out) => out,
                None => {
                    let (batch, channels, _, width) = part.dims4()?;
                    let shape = (batch, channels, height / self.shrinks(), width);
                    out.insert(Tensor::zeros(shape, part.dtype(), part.device())?)
                }
            };
            out.slice_set(&part, 2, band.own.start / self.shrinks())?;
        }
        out.ok_or_else(|| candle_core::Error::Msg("a level of no rows".into()))
    }

    /// The rows of the input that a band needs.
    fn seen(&self, x: &Tensor, band: &Band) -> Result<Tensor> {
        let (start, end) =
            (band.seen.start / self.enlarges(), band.seen.end.div_ceil(self.enlarges()));
        x.narrow(2, start, end - start)?.contiguous()
    }

    /// Statistics of the next normalisation whose own are not among `moments` yet.
    fn moments(&self, x: Tensor, band: &Band, moments: &[Vec<Moments>]) -> Result<Vec<Moments>> {
        let is_norm = |operation: &Operation<'_>| matches!(operation, Operation::Normalise(..));
        let norms = self.0.iter().enumerate().filter(|(_, operation)| is_norm(operation));
        let Some((end, Operation::Normalise(norm, _))) = norms.into_iter().nth(moments.len())
        else {
            return Ok(Vec::new());
        };
        let x = self.part(x, Some(end), moments)?;
        norm.moments(&x.narrow(2, band.inset(), band.own.len())?.contiguous()?)
    }

    /// Runs the operations up to `end`; normalisations take the statistics given, or their own
    /// where none are.
    fn part(&self, mut x: Tensor, end: Option<usize>, moments: &[Vec<Moments>]) -> Result<Tensor> {
        let mut moments = moments.iter();
        let mut kept = None;
        for operation in &self.0[..end.unwrap_or(self.0.len())] {
            x = match operation {
                Operation::Enlarge(up) => up.forward(&x, None)?,
                Operation::Convolve(conv) => conv.forward(&x)?,
                Operation::Shrink(down) => down.forward(&x)?,
                Operation::Normalise(norm, activation) => match moments.next() {
                    Some(moments) => norm.forward_given(*activation, &x, moments)?,
                    None => norm.forward_then(*activation, &x)?,
                },
                Operation::Keep => {
                    kept = Some(x.clone());
                    x
                }
                Operation::Add(shortcut) => match (kept.take(), shortcut) {
                    (Some(kept), Some(shortcut)) => (shortcut.forward(&kept)? + x)?,
                    (Some(kept), None) => (kept + x)?,
                    (None, _) => x,
                },
            };
        }
        Ok(x)
    }
}

/// Rows of a level.
struct Band {
    /// Those that it makes.
    own: std::ops::Range<usize>,
    /// Those that it looks at.
    seen: std::ops::Range<usize>,
}

impl Band {
    fn new(own: std::ops::Range<usize>, reach: usize, height: usize) -> Self {
        let seen = own.start.saturating_sub(reach)..(own.end + reach).min(height);
        Self { own, seen }
    }

    /// Where its own rows begin among those it looks at.
    fn inset(&self) -> usize {
        self.own.start - self.seen.start
    }
}

/// An operation as far as memory goes; numbers are channels that come out.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    Enlarge(usize),
    Convolve(usize),
    Normalise,
    Keep,
    Add { shortcut: bool },
    Shrink,
}

/// Rows in each direction that a row depends on, apart from the statistics; even.
pub fn reach(steps: &[Step]) -> usize {
    let rows = steps.iter().map(|step| match step {
        Step::Enlarge(_) | Step::Convolve(_) => 1,
        Step::Shrink => 2,
        Step::Normalise | Step::Keep | Step::Add { .. } => 0,
    });
    rows.sum::<usize>().next_multiple_of(2)
}

/// How many of a level's `rows`, each of which takes `row` numbers, make up a band that fits into
/// `room` numbers with what it looks at beyond them; `None` if all fit at once.
pub fn rows_within(steps: &[Step], row: usize, rows: usize, room: Option<usize>) -> Option<usize> {
    let room = room.filter(|room| row.saturating_mul(rows) > *room)?;
    let band = (room / row.max(1)).saturating_sub(2 * reach(steps)).max(FEWEST_ROWS);
    Some(band.next_multiple_of(2)).filter(|band| *band < rows)
}

/// The most channels that are held at once, counted at the larger size of the level.
pub fn live_channels(steps: &[Step], inputs: usize) -> usize {
    let (mut x, mut kept, mut most) = (inputs, 0, inputs);
    // What is kept and what goes on are one tensor until the next operation.
    let mut shared = false;
    for &step in steps {
        let both = if shared { kept } else { kept + x };
        let (held, next) = match step {
            // The input lies at a quarter of the size; the enlarged copy is convolved.
            Step::Enlarge(outputs) => (x.div_ceil(4) + x + outputs, outputs),
            Step::Convolve(outputs) => (both + outputs, outputs),
            Step::Normalise => (both + x, x),
            Step::Keep => (x, x),
            Step::Add { shortcut } => (both + if shortcut { 2 * x } else { x }, x),
            // Padded first, then a quarter of the size comes out.
            Step::Shrink => (2 * x + x.div_ceil(4), x),
        };
        shared = matches!(step, Step::Keep);
        match step {
            Step::Keep => kept = x,
            Step::Add { .. } => kept = 0,
            _ => {}
        }
        most = most.max(held);
        x = next;
    }
    most
}
