//! How much encoding and decoding compute, from the configuration alone.

use super::{
    config::AutoencoderConfig,
    level::Step,
    memory::{Part, PictureSize, decoder, encoder},
};

/// Multiply-adds of the convolutions and attentions of encoding one picture.
pub fn encoding_work(config: &AutoencoderConfig, size: PictureSize) -> u64 {
    let latents = 2 * config.latent_channels;
    let ends = conv(middle_channels(config), latents, 3)
        + if config.use_quant_conv { conv(latents, latents, 1) } else { 0 };
    half(config, &encoder(config), size) + ends * latent_area(config, size)
}

/// Multiply-adds of the convolutions and attentions of decoding one picture.
pub fn decoding_work(config: &AutoencoderConfig, size: PictureSize) -> u64 {
    let latents = config.latent_channels;
    let ends = conv(latents, middle_channels(config), 3)
        + if config.use_post_quant_conv { conv(latents, latents, 1) } else { 0 };
    half(config, &decoder(config), size) + ends * latent_area(config, size)
}

/// All levels and the middle.
fn half(config: &AutoencoderConfig, parts: &[Part], size: PictureSize) -> u64 {
    let levels: u64 = parts.iter().map(|part| level(part, size)).sum();
    levels + middle(config, latent_area(config, size))
}

fn level(part: &Part, size: PictureSize) -> u64 {
    let mut area = area_at(size, part.shrunk);
    let (mut channels, mut kept, mut sum) = (part.inputs, part.inputs, 0);
    for step in &part.steps {
        match *step {
            Step::Enlarge(outputs) | Step::Convolve(outputs) => {
                sum += conv(channels, outputs, 3) * area;
                channels = outputs;
            }
            Step::Keep => kept = channels,
            Step::Add { shortcut: true } => sum += conv(kept, channels, 1) * area,
            Step::Add { shortcut: false } | Step::Normalise => {}
            Step::Shrink => {
                area = area_at(size, 2 * part.shrunk);
                sum += conv(channels, channels, 3) * area;
            }
        }
    }
    sum
}

/// Two residual blocks, and attention of one head.
fn middle(config: &AutoencoderConfig, area: u64) -> u64 {
    let channels = middle_channels(config);
    let attention = 4 * conv(channels, channels, 1) + 2 * area * channels as u64;
    let attention = if config.mid_block_add_attention { attention } else { 0 };
    (4 * conv(channels, channels, 3) + attention) * area
}

fn middle_channels(config: &AutoencoderConfig) -> usize {
    config.block_out_channels.last().copied().unwrap_or_default()
}

fn latent_area(config: &AutoencoderConfig, size: PictureSize) -> u64 {
    area_at(size, config.downsampling())
}

fn area_at(size: PictureSize, shrunk: usize) -> u64 {
    ((size.height / shrunk) * (size.width / shrunk)) as u64
}

/// Multiply-adds of a convolution for each pixel that it makes.
fn conv(inputs: usize, outputs: usize, kernel: usize) -> u64 {
    (inputs * outputs * kernel * kernel) as u64
}
