// The picture that is edited.
#include "common.wgsl"

@group(1) @binding(0) var<uniform> layer: Layer;
@group(1) @binding(1) var atlas: texture_2d_array<f32>;
@group(1) @binding(2) var table: texture_2d<u32>;

@fragment
fn fragment_main(@builtin(position) position: vec4<f32>) -> @location(0) vec4<f32> {
    if picture_coverage(position.xy) <= 0.0 {
        discard;
    }
    return to_target(area_mean(atlas, table, layer, position.xy));
}
