// Copies the mask's tiles into the region that is to be blurred, as values 0 to 255.
#include "tiles.wgsl"

@group(0) @binding(0) var<uniform> region: vec4<i32>;
@group(0) @binding(1) var gathered: texture_storage_2d<r32uint, write>;
@group(1) @binding(0) var<uniform> layer: Layer;
@group(1) @binding(1) var atlas: texture_2d_array<f32>;
@group(1) @binding(2) var table: texture_2d<u32>;

@compute @workgroup_size(8, 8)
fn compute_main(@builtin(global_invocation_id) id: vec3<u32>) {
    let place = vec2<i32>(id.xy);
    if any(place >= region.zw) {
        return;
    }
    let coverage = fetch(atlas, table, layer, region.xy + place).r;
    textureStore(gathered, place, vec4<u32>(u32(round(coverage * 255.0)), 0u, 0u, 0u));
}
