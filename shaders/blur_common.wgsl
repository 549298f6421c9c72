// What the blur passes share: an extended box of width 2 * radius + 1 plus a fraction at both
// ends, in 8.24 fixed point. Edges repeat the outermost value. The sum stays below 2^32, and each
// pass rounds to eight bits, exactly as the CPU's blur does.

struct Box {
    extent: vec2<i32>,
    radius: i32,
    // 2^24 / (width of the box), and the share of the two pixels that stick out.
    weight: u32,
    edge_weight: u32,
}

@group(0) @binding(0) var<uniform> box: Box;
@group(0) @binding(1) var source: texture_2d<u32>;
@group(0) @binding(2) var blurred: texture_storage_2d<r32uint, write>;

fn rounded(sum: u32, ends: u32) -> u32 {
    return (sum * box.weight + ends * box.edge_weight + (1u << 23u)) >> 24u;
}
