//! Convolution on the processor in f32, as products of matrices.
//!
//! The picture is taken in tiles of output pixels. For some input channels at a time, what every
//! pixel of a tile sees is laid out in columns; the weights, as they are stored, times these
//! columns are added to the tile. A task never holds more than [`COLUMNS`] numbers.

use candle_core::{CpuStorage, CustomOp3, Layout as TensorLayout, Result, Shape, bail};
use rayon::prelude::*;

use crate::networks::layers::{
    product::{Layout, product_at},
    storage::numbers,
};

/// Numbers in a task's columns: 1 MiB, which a core's cache holds.
const COLUMNS: usize = 1 << 18;

/// Output pixels of a task.
const TILE: std::ops::RangeInclusive<usize> = 64..=512;

/// Fewer output channels than this are not worth another task.
const CHANNELS: usize = 32;

pub struct Convolve {
    pub stride: usize,
    pub padding: usize,
}

#[derive(Clone, Copy)]
struct Geometry {
    batch: usize,
    inputs: usize,
    height: usize,
    width: usize,
    outputs: usize,
    kernel: usize,
    stride: usize,
    padding: usize,
    out_height: usize,
    out_width: usize,
}

impl Geometry {
    fn new(x: &[usize], weight: &[usize], bias: &[usize], op: &Convolve) -> Result<Self> {
        let (&[batch, inputs, height, width], &[outputs, seen, kernel, other], &[biases]) =
            (x, weight, bias)
        else {
            bail!("convolution: {x:?}, {weight:?} and {bias:?} are not shapes of a convolution")
        };
        let &Convolve { stride, padding } = op;
        let out = |size: usize| Some((size + 2 * padding).checked_sub(kernel)? / stride + 1);
        match (out(height), out(width)) {
            (Some(out_height), Some(out_width))
                if inputs == seen && kernel == other && outputs == biases && kernel > 0 =>
            {
                Ok(Self {
                    batch,
                    inputs,
                    height,
                    width,
                    outputs,
                    kernel,
                    stride,
                    padding,
                    out_height,
                    out_width,
                })
            }
            _ => bail!("convolution: {x:?}, {weight:?} and {bias:?} do not fit together"),
        }
    }

    fn area(&self) -> usize {
        self.height * self.width
    }

    fn out_area(&self) -> usize {
        self.out_height * self.out_width
    }

    /// Weights of one input channel.
    fn taps(&self) -> usize {
        self.kernel * self.kernel
    }

    /// Whether each pixel depends on the same pixel of the input alone.
    fn is_pointwise(&self) -> bool {
        self.kernel == 1 && self.stride == 1 && self.padding == 0
    }

    /// What the pixels from `start` on see of `plane` through the tap (ky, kx).
    fn look(&self, plane: &[f32], (ky, kx): (usize, usize), start: usize, seen: &mut [f32]) {
        let mut done = 0;
        while done < seen.len() {
            let (y, x) = ((start + done) / self.out_width, (start + done) % self.out_width);
            let length = (self.out_width - x).min(seen.len() - done);
            let seen = &mut seen[done..done + length];
            match (y * self.stride + ky).checked_sub(self.padding).filter(|y| *y < self.height) {
                Some(y) => self.look_at_row(&plane[y * self.width..][..self.width], x, kx, seen),
                None => seen.fill(0.0),
            }
            done += length;
        }
    }

    /// As [`look`](Self::look), within one row, from the output column `x` on.
    fn look_at_row(&self, row: &[f32], x: usize, kx: usize, seen: &mut [f32]) {
        let end = x + seen.len();
        // Output columns whose tap lies inside the row.
        let inside = self.padding.saturating_sub(kx).div_ceil(self.stride);
        let outside = (self.width + self.padding).saturating_sub(kx).div_ceil(self.stride);
        let from = inside.clamp(x, end);
        let to = outside.clamp(from, end);
        seen[..from - x].fill(0.0);
        seen[to - x..].fill(0.0);
        if from == to {
            return;
        }
        let source = &row[from * self.stride + kx - self.padding..];
        let seen = &mut seen[from - x..to - x];
        if self.stride == 1 {
            seen.copy_from_slice(&source[..seen.len()]);
        } else {
            let source = source.iter().step_by(self.stride);
            seen.iter_mut().zip(source).for_each(|(seen, value)| *seen = *value);
        }
    }
}

/// A tile of one batch entry, and some of its output channels.
struct Task {
    entry: usize,
    pixels: std::ops::Range<usize>,
    channels: std::ops::Range<usize>,
}

/// Tasks that together make up the output, enough for all threads.
fn tasks(geometry: &Geometry) -> Vec<Task> {
    let threads = rayon::current_num_threads().max(1);
    let (batch, area) = (geometry.batch, geometry.out_area());
    let tile = (batch * area).div_ceil(threads).clamp(*TILE.start(), *TILE.end());
    let parts = threads.div_ceil((batch * area.div_ceil(tile)).max(1));
    let part = geometry.outputs.div_ceil(parts).max(CHANNELS);
    let mut tasks = Vec::new();
    for entry in 0..batch {
        for start in (0..area).step_by(tile) {
            for channel in (0..geometry.outputs).step_by(part) {
                tasks.push(Task {
                    entry,
                    pixels: start..(start + tile).min(area),
                    channels: channel..(channel + part).min(geometry.outputs),
                });
            }
        }
    }
    tasks
}

/// Where the tasks write, each to its own part.
#[derive(Clone, Copy)]
struct Output(*mut f32);

// SAFETY: tasks are disjoint in entry, pixels or channels, and so in what they write.
unsafe impl Send for Output {}
unsafe impl Sync for Output {}

impl Output {
    /// A method, so that closures capture the whole and not the bare pointer.
    fn at(self, offset: usize) -> *mut f32 {
        self.0.wrapping_add(offset)
    }
}

struct Operands<'a> {
    x: &'a [f32],
    weight: &'a [f32],
    bias: &'a [f32],
}

fn convolve(geometry: &Geometry, operands: &Operands<'_>) -> Vec<f32> {
    let mut out = vec![0f32; geometry.batch * geometry.outputs * geometry.out_area()];
    let output = Output(out.as_mut_ptr());
    tasks(geometry).into_par_iter().for_each(|task| run(geometry, operands, &task, output));
    out
}

fn run(geometry: &Geometry, operands: &Operands<'_>, task: &Task, output: Output) {
    let (area, taps) = (geometry.out_area(), geometry.taps());
    let first = (task.entry * geometry.outputs + task.channels.start) * area + task.pixels.start;
    let place = Layout::rows(task.channels.len(), task.pixels.len(), area);
    for (row, channel) in task.channels.clone().enumerate() {
        // SAFETY: the task's own part of the output, see `Output`.
        let row = unsafe {
            std::slice::from_raw_parts_mut(output.at(first + row * area), task.pixels.len())
        };
        row.fill(operands.bias[channel]);
    }
    let weights = |channels: std::ops::Range<usize>| {
        let stride = geometry.inputs * taps;
        let start = task.channels.start * stride + channels.start * taps;
        let layout = Layout::rows(task.channels.len(), channels.len() * taps, stride);
        (&operands.weight[start..], layout)
    };
    let x = &operands.x[task.entry * geometry.inputs * geometry.area()..];
    let add = |weights: (&[f32], Layout), columns: (&[f32], Layout)| {
        // SAFETY: `place` lies in the task's own part of the output, see `Output`.
        unsafe { product_at(output.at(first), place, weights, columns, 1.0, true) };
    };
    if geometry.is_pointwise() {
        let layout = Layout::rows(geometry.inputs, task.pixels.len(), area);
        return add(weights(0..geometry.inputs), (&x[task.pixels.start..], layout));
    }
    let block = (COLUMNS / (taps * task.pixels.len())).clamp(1, geometry.inputs);
    let mut columns = vec![0f32; block * taps * task.pixels.len()];
    for start in (0..geometry.inputs).step_by(block) {
        let channels = start..(start + block).min(geometry.inputs);
        let rows = channels.len() * taps;
        for (row, seen) in columns.chunks_mut(task.pixels.len()).take(rows).enumerate() {
            let plane = &x[(start + row / taps) * geometry.area()..][..geometry.area()];
            let tap = (row % taps / geometry.kernel, row % geometry.kernel);
            geometry.look(plane, tap, task.pixels.start, seen);
        }
        let layout = Layout::rows(rows, task.pixels.len(), task.pixels.len());
        add(weights(channels), (&columns, layout));
    }
}

impl CustomOp3 for Convolve {
    fn name(&self) -> &'static str {
        "convolve"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &TensorLayout,
        weight: &CpuStorage,
        weight_layout: &TensorLayout,
        bias: &CpuStorage,
        bias_layout: &TensorLayout,
    ) -> Result<(CpuStorage, Shape)> {
        let geometry =
            Geometry::new(x_layout.dims(), weight_layout.dims(), bias_layout.dims(), self)?;
        let operands = Operands {
            x: numbers(self.name(), x, x_layout)?,
            weight: numbers(self.name(), weight, weight_layout)?,
            bias: numbers(self.name(), bias, bias_layout)?,
        };
        let out = convolve(&geometry, &operands);
        let shape =
            (geometry.batch, geometry.outputs, geometry.out_height, geometry.out_width).into();
        Ok((CpuStorage::F32(out), shape))
    }
}
