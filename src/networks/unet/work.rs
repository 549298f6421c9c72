//! How much one prediction computes, from the configuration alone.

use super::config::{AdditionConfig, BlockKind, Level, MidBlock, UNetConfig};

/// The sizes of a prediction.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    pub batch: usize,
    /// Of the latents.
    pub height: usize,
    pub width: usize,
    /// Of the encoded prompt.
    pub tokens: usize,
}

/// Multiply-adds of the convolutions, linear layers and attentions of a prediction; what is done to
/// single numbers (normalisations, activations, sums) is left out, as is usual.
///
/// `None` for networks with other blocks than Stable Diffusion's.
pub fn multiply_adds(config: &UNetConfig, sizes: Sizes) -> Option<u64> {
    let plain = |kind| matches!(kind, BlockKind::Plain | BlockKind::CrossAttention);
    let known = config.levels.iter().all(|level| plain(level.down) && plain(level.up));
    if !known || matches!(config.mid_block, MidBlock::SimpleCrossAttention { .. }) {
        return None;
    }
    let count = Count { config, tokens: sizes.tokens as u64 };
    Some(sizes.batch as u64 * count.prediction(sizes.height, sizes.width))
}

/// Counts for one entry of the batch.
struct Count<'a> {
    config: &'a UNetConfig,
    tokens: u64,
}

impl Count<'_> {
    fn prediction(&self, height: usize, width: usize) -> u64 {
        let levels = &self.config.levels;
        let sizes = std::iter::successors(Some((height, width)), |&(height, width)| {
            Some((height.div_ceil(2), width.div_ceil(2)))
        });
        let areas: Vec<u64> =
            sizes.take(levels.len()).map(|(height, width)| (height * width) as u64).collect();
        let finest = levels[0].channels;
        let ends = conv(self.config.in_channels, finest, self.config.conv_in_kernel, areas[0])
            + conv(finest, self.config.out_channels, self.config.conv_out_kernel, areas[0]);
        let mut skips = vec![finest];
        let mut sum = ends + self.time_embedding(finest);
        for (index, level) in levels.iter().enumerate() {
            sum += self.down(index, &areas, &mut skips);
            if index + 1 == levels.len() {
                sum += self.middle(level, areas[index]);
            }
        }
        for index in (0..levels.len()).rev() {
            sum += self.up(index, &areas, &mut skips);
        }
        sum
    }

    /// Two layers, and two more for what the network is told besides.
    fn time_embedding(&self, finest: usize) -> u64 {
        let width = self.config.time.width;
        let two = |inputs: usize| (inputs * width + width * width) as u64;
        let added = match self.config.addition {
            Some(AdditionConfig::TextTime { inputs, .. }) => two(inputs),
            Some(AdditionConfig::Image { .. }) | None => 0,
        };
        two(finest) + added
    }

    fn down(&self, index: usize, areas: &[u64], skips: &mut Vec<usize>) -> u64 {
        let level = &self.config.levels[index];
        let mut sum = 0;
        for depth in &level.down_depths {
            let inputs = skips.last().copied().unwrap_or_default();
            sum += self.resnet(inputs, level.channels, areas[index]);
            sum += self.attention(level, level.down, *depth, areas[index]);
            skips.push(level.channels);
        }
        if let Some(&next) = areas.get(index + 1) {
            sum += conv(level.channels, level.channels, 3, next);
            skips.push(level.channels);
        }
        sum
    }

    fn middle(&self, level: &Level, area: u64) -> u64 {
        let resnet = self.resnet(level.channels, level.channels, area);
        match self.config.mid_block {
            MidBlock::None => 0,
            MidBlock::CrossAttention => {
                let kind = BlockKind::CrossAttention;
                2 * resnet + self.attention(level, kind, level.down_depths[0], area)
            }
            MidBlock::Plain | MidBlock::SimpleCrossAttention { .. } => 2 * resnet,
        }
    }

    fn up(&self, index: usize, areas: &[u64], skips: &mut Vec<usize>) -> u64 {
        let levels = &self.config.levels;
        let level = &levels[index];
        let mut inputs = levels.get(index + 1).unwrap_or(level).channels;
        let mut sum = 0;
        for depth in &level.up_depths {
            let both = inputs + skips.pop().unwrap_or_default();
            sum += self.resnet(both, level.channels, areas[index]);
            sum += self.attention(level, level.up, *depth, areas[index]);
            inputs = level.channels;
        }
        if index > 0 {
            sum += conv(level.channels, level.channels, 3, areas[index - 1]);
        }
        sum
    }

    fn resnet(&self, inputs: usize, outputs: usize, area: u64) -> u64 {
        let shortcut = if inputs == outputs { 0 } else { conv(inputs, outputs, 1, area) };
        let time = (self.config.time.width * outputs) as u64;
        conv(inputs, outputs, 3, area) + conv(outputs, outputs, 3, area) + shortcut + time
    }

    fn attention(&self, level: &Level, kind: BlockKind, depth: usize, area: u64) -> u64 {
        if kind != BlockKind::CrossAttention {
            return 0;
        }
        let (width, context) = (level.channels as u64, level.context as u64);
        let project = width * width * area;
        // Queries and output; keys and values; the products with them.
        let over =
            |keys: u64, from: u64| 2 * project + 2 * keys * from * width + 2 * area * keys * width;
        let first = match level.only_cross_attention {
            true => over(self.tokens, context),
            false => over(area, width),
        };
        let feed_forward = 12 * project;
        2 * project + depth as u64 * (first + over(self.tokens, context) + feed_forward)
    }
}

/// A convolution that makes pictures of `area` pixels.
fn conv(inputs: usize, outputs: usize, kernel: usize, area: u64) -> u64 {
    (inputs * outputs * kernel * kernel) as u64 * area
}
