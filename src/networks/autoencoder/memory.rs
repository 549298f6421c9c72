//! How much memory encoding and decoding hold besides the weights, from the configuration alone.

use super::{
    config::AutoencoderConfig,
    level::{Step, live_channels, reach, rows_within},
};

/// A level as far as memory goes.
pub(super) struct Part {
    pub steps: Vec<Step>,
    /// Channels that come in, at the size before any change.
    pub inputs: usize,
    outputs: usize,
    /// How many times smaller than the picture, a side, at its larger end and where it comes in.
    pub shrunk: usize,
    shrunk_input: usize,
    /// Where it goes out.
    shrunk_output: usize,
}

/// A picture's size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PictureSize {
    pub width: usize,
    pub height: usize,
}

/// The most numbers that decoding one picture of this size holds; with `room` (in numbers) as
/// [`AutoencoderKl::decode_within`](super::AutoencoderKl::decode_within) takes it.
pub fn decoding_numbers(
    config: &AutoencoderConfig,
    size: PictureSize,
    room: Option<usize>,
) -> usize {
    most(config, &decoder(config), size, room)
}

/// The same of encoding.
pub fn encoding_numbers(
    config: &AutoencoderConfig,
    size: PictureSize,
    room: Option<usize>,
) -> usize {
    most(config, &encoder(config), size, room)
}

fn most(
    config: &AutoencoderConfig,
    parts: &[Part],
    size: PictureSize,
    room: Option<usize>,
) -> usize {
    let area = |shrunk: usize| (size.height / shrunk) * (size.width / shrunk);
    let middle = config.block_out_channels.last().copied().unwrap_or(0);
    // Queries, keys and values, what attention makes of them, and what the block began with.
    let attention = 8 * middle * area(config.downsampling());
    let held = parts.iter().map(|part| {
        let live = live_channels(&part.steps, part.inputs);
        let rows = size.height / part.shrunk;
        let row = live * (size.width / part.shrunk);
        match rows_within(&part.steps, row, rows, room) {
            None => row * rows,
            Some(band) => {
                let (whole_input, whole_output) = (
                    part.inputs * area(part.shrunk_input),
                    part.outputs * area(part.shrunk_output),
                );
                whole_input + whole_output + row * (band + 2 * reach(&part.steps)).min(rows)
            }
        }
    });
    held.chain([attention]).max().unwrap_or(0)
}

/// Residual blocks from `inputs` to `outputs` channels.
fn resnets(count: usize, inputs: usize, outputs: usize) -> Vec<Step> {
    let block = |i: usize| {
        let changes = i == 0 && inputs != outputs;
        [
            Step::Keep,
            Step::Normalise,
            Step::Convolve(outputs),
            Step::Normalise,
            Step::Convolve(outputs),
            Step::Add { shortcut: changes },
        ]
    };
    (0..count).flat_map(block).collect()
}

pub(super) fn encoder(config: &AutoencoderConfig) -> Vec<Part> {
    let channels = &config.block_out_channels;
    let part = |i: usize| {
        let last = i + 1 == channels.len();
        let (before, here) = (channels[i.saturating_sub(1)], channels[i]);
        let begins: Vec<Step> = if i == 0 { vec![Step::Convolve(here)] } else { Vec::new() };
        let ends: Vec<Step> = if last { Vec::new() } else { vec![Step::Shrink] };
        let blocks = resnets(config.layers_per_block, before, here);
        Part {
            steps: begins.into_iter().chain(blocks).chain(ends).collect(),
            inputs: if i == 0 { config.in_channels } else { before },
            outputs: here,
            shrunk: 1 << i,
            shrunk_input: 1 << i,
            shrunk_output: if last { 1 << i } else { 2 << i },
        }
    };
    (0..channels.len()).map(part).collect()
}

pub(super) fn decoder(config: &AutoencoderConfig) -> Vec<Part> {
    let channels: Vec<usize> = config.block_out_channels.iter().rev().copied().collect();
    let part = |i: usize| {
        let last = i + 1 == channels.len();
        let (before, here) = (channels[i.saturating_sub(1)], channels[i]);
        let begins: Vec<Step> = if i == 0 { Vec::new() } else { vec![Step::Enlarge(before)] };
        let out = [Step::Normalise, Step::Convolve(config.out_channels)];
        let ends = if last { out.to_vec() } else { Vec::new() };
        let blocks = resnets(config.layers_per_block + 1, before, here);
        let shrunk = 1 << (channels.len() - 1 - i);
        Part {
            steps: begins.into_iter().chain(blocks).chain(ends).collect(),
            inputs: before,
            outputs: if last { config.out_channels } else { here },
            shrunk,
            shrunk_input: if i == 0 { shrunk } else { 2 * shrunk },
            shrunk_output: shrunk,
        }
    };
    (0..channels.len()).map(part).collect()
}
