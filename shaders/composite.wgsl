// A raw result blended over the picture through a mask: raw * m + original * (1 - m). The blend
// unit multiplies the original, which is already in the render target.
#include "common.wgsl"

@group(1) @binding(0) var<uniform> layer: Layer;
@group(1) @binding(1) var atlas: texture_2d_array<f32>;
@group(1) @binding(2) var table: texture_2d<u32>;
@group(2) @binding(0) var<uniform> mask_layer: Layer;
@group(2) @binding(1) var mask_atlas: texture_2d_array<f32>;
@group(2) @binding(2) var mask_table: texture_2d<u32>;

@fragment
fn fragment_main(@builtin(position) position: vec4<f32>) -> @location(0) vec4<f32> {
    if position.x < frame.wipe || picture_coverage(position.xy) <= 0.0 {
        discard;
    }
    let raw = area_mean(atlas, table, layer, position.xy);
    let coverage = area_mean(mask_atlas, mask_table, mask_layer, position.xy).r;
    return to_target(raw * coverage);
}
