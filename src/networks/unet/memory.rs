//! How much memory one prediction holds besides the weights, from the configuration alone: what
//! `forward` keeps alive at once, followed through the network with numbers in place of tensors.

use super::config::{BlockKind, Level, MidBlock, UNetConfig};

/// Widest state of a feed-forward layer in widths of its block: the doubled hidden layer twice
/// (its bias is added to a copy), the normalised input and what the block adds to.
const FEED_FORWARD: usize = 18;

/// Widest state of a single attention layer, counted the same way: the normalised input as picture
/// and as tokens, queries, keys and values, once more with those of the prompt, and the result.
const SIMPLE_ATTENTION: usize = 8;

/// Rows and columns of a level.
#[derive(Clone, Copy)]
struct Size {
    height: usize,
    width: usize,
}

impl Size {
    fn area(self) -> usize {
        self.height * self.width
    }

    fn halved(self) -> Self {
        Self { height: self.height.div_ceil(2), width: self.width.div_ceil(2) }
    }
}

/// Numbers that are alive at once, and the most there were.
#[derive(Default)]
struct Tally {
    skips: Vec<usize>,
    most: usize,
}

impl Tally {
    /// A layer holds `numbers`, on top of the skips.
    fn holds(&mut self, numbers: usize) {
        self.most = self.most.max(numbers + self.skips.iter().sum::<usize>());
    }
}

/// The most numbers that a prediction for latents [batch, _, height, width] holds.
pub fn working_numbers(config: &UNetConfig, batch: usize, height: usize, width: usize) -> usize {
    let mut tally = Tally::default();
    let sizes: Vec<Size> =
        std::iter::successors(Some(Size { height, width }), |s| Some(s.halved()))
            .take(config.levels.len())
            .collect();
    let area = |index: usize| batch * sizes[index].area();
    let finest = config.levels[0].channels;
    tally.holds(area(0) * (2 * config.in_channels + finest));
    tally.skips.push(area(0) * finest);
    for (index, level) in config.levels.iter().enumerate() {
        let mut inputs = config.levels[index.saturating_sub(1)].channels;
        for depth in &level.down_depths {
            // What comes in is among the skips already.
            tally.holds(resnet(inputs, level.channels, area(index)));
            attention(&mut tally, level, level.down, *depth, area(index));
            tally.skips.push(area(index) * level.channels);
            inputs = level.channels;
        }
        if index + 1 < config.levels.len() {
            tally.skips.push(area(index + 1) * level.channels);
        }
    }
    middle(config, &mut tally, area(config.levels.len() - 1));
    for (index, level) in config.levels.iter().enumerate().rev() {
        let mut x = config.levels.get(index + 1).unwrap_or(level).channels;
        for depth in &level.up_depths {
            let skip = tally.skips.pop().unwrap_or_default();
            // Both and what they become; then that alone.
            let inputs = x * area(index) + skip;
            tally.holds(2 * inputs);
            tally.holds(inputs + resnet(inputs / area(index).max(1), level.channels, area(index)));
            attention(&mut tally, level, level.up, *depth, area(index));
            x = level.channels;
        }
        if index > 0 {
            // The state, its enlarged copy, and what the convolution makes of that.
            tally.holds(x * (area(index) + 2 * area(index - 1)));
        }
    }
    tally.holds(area(0) * (2 * finest + config.out_channels));
    tally.most
}

/// Numbers of all states that the path down leaves to the path up, and of the middle's: as many as
/// a ControlNet adds to them.
pub fn skip_numbers(config: &UNetConfig, batch: usize, height: usize, width: usize) -> usize {
    let mut size = Size { height, width };
    let mut sum = config.levels[0].channels * size.area();
    for (index, level) in config.levels.iter().enumerate() {
        sum += level.layers * level.channels * size.area();
        if index + 1 < config.levels.len() {
            size = size.halved();
        }
        // What leads to the next level; after the last one the middle.
        sum += level.channels * size.area();
    }
    batch * sum
}

/// What a residual block holds besides its input.
fn resnet(inputs: usize, outputs: usize, area: usize) -> usize {
    let end = if inputs == outputs { 2 * outputs } else { 3 * outputs };
    area * (inputs + outputs).max(end)
}

fn attention(tally: &mut Tally, level: &Level, kind: BlockKind, depth: usize, area: usize) {
    let states = match kind {
        BlockKind::CrossAttention if depth > 0 => FEED_FORWARD,
        BlockKind::SimpleCrossAttention => SIMPLE_ATTENTION,
        _ => return,
    };
    // The input is held until the end.
    tally.holds(level.channels * area * (1 + states));
}

/// The kind of block that has the attention of the middle.
fn middle_kind(config: &UNetConfig) -> BlockKind {
    match config.mid_block {
        MidBlock::CrossAttention => BlockKind::CrossAttention,
        MidBlock::SimpleCrossAttention { .. } => BlockKind::SimpleCrossAttention,
        MidBlock::Plain | MidBlock::None => BlockKind::Plain,
    }
}

fn middle(config: &UNetConfig, tally: &mut Tally, area: usize) {
    let Some(level) = config.levels.last() else { return };
    if config.mid_block != MidBlock::None {
        let state = level.channels * area;
        tally.holds(state + resnet(level.channels, level.channels, area));
        attention(tally, level, middle_kind(config), level.down_depths[0], area);
    }
}

/// Numbers of the largest part that is read at once where not all of the network stays in memory:
/// a residual block with the attention that follows it.
pub fn largest_layer(config: &UNetConfig) -> usize {
    let time = config.time.width;
    let layers = config.levels.iter().enumerate().map(|(index, level)| {
        let coarser = config.levels.get(index + 1).unwrap_or(level).channels;
        let outputs = level.channels;
        let up = resnet_weights(coarser + outputs, outputs, time)
            + attention_weights(level, level.up, most(&level.up_depths));
        let down = resnet_weights(outputs, outputs, time)
            + attention_weights(level, level.down, most(&level.down_depths));
        up.max(down)
    });
    let middle = config.levels.last();
    let middle =
        middle.map(|level| attention_weights(level, middle_kind(config), level.down_depths[0]));
    layers.chain(middle).max().unwrap_or(0)
}

fn most(depths: &[usize]) -> usize {
    depths.iter().copied().max().unwrap_or(0)
}

fn resnet_weights(inputs: usize, outputs: usize, time: usize) -> usize {
    outputs * (9 * inputs + 9 * outputs + time + if inputs == outputs { 0 } else { inputs })
}

fn attention_weights(level: &Level, kind: BlockKind, depth: usize) -> usize {
    let width = level.channels;
    match kind {
        BlockKind::Plain | BlockKind::Resnet => 0,
        BlockKind::SimpleCrossAttention => 4 * width * width + 2 * width * level.context,
        BlockKind::CrossAttention => {
            // Two attentions, of which one sees the prompt, and the feed-forward layers.
            let block = 6 * width * width + 2 * width * level.context + 12 * width * width;
            2 * width * width + depth * block
        }
    }
}
