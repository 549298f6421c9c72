// The mask as a tint over the picture, as painted or as its blur leaves it, and its outline.
#include "common.wgsl"

@group(1) @binding(0) var<uniform> layer: Layer;
@group(1) @binding(1) var atlas: texture_2d_array<f32>;
@group(1) @binding(2) var table: texture_2d<u32>;
// Values 0 to 255 of the region frame.blurred.
@group(2) @binding(0) var blurred: texture_2d<u32>;

const DASH_POINTS: f32 = 4.0;

fn coverage_at(texel: vec2<i32>) -> f32 {
    if frame.blurred.z == 0 {
        return fetch(atlas, table, layer, texel).r;
    }
    let place = texel - frame.blurred.xy;
    let outside = any(place < vec2<i32>(0)) || any(place >= frame.blurred.zw);
    if outside || any(texel < vec2<i32>(0)) || any(texel >= layer.extent) {
        return 0.0;
    }
    return f32(textureLoad(blurred, place, 0).r) / 255.0;
}

// As area_mean, from either source.
fn coverage_mean(window: vec2<f32>) -> f32 {
    if frame.blurred.z == 0 {
        return area_mean(atlas, table, layer, window).r;
    }
    let low = (window - 0.5 - layer.origin) / layer.scale;
    let high = (window + 0.5 - layer.origin) / layer.scale;
    let first = vec2<i32>(floor(low));
    let last = min(vec2<i32>(ceil(high)) - 1, first + 2);
    var sum = 0.0;
    var weight_sum = 0.0;
    for (var y = first.y; y <= last.y; y++) {
        let weight_y = overlap(y, low.y, high.y);
        for (var x = first.x; x <= last.x; x++) {
            let weight = weight_y * overlap(x, low.x, high.x);
            sum += weight * coverage_at(vec2<i32>(x, y));
            weight_sum += weight;
        }
    }
    return sum / max(weight_sum, 1e-6);
}

fn is_masked(window: vec2<f32>) -> bool {
    return coverage_at(vec2<i32>(floor((window - layer.origin) / layer.scale))) >= 0.5;
}

// Whether a window pixel lies on the inner side of the mask's border.
fn is_border(window: vec2<f32>) -> bool {
    if !is_masked(window) {
        return false;
    }
    let point = frame.pixels_per_point;
    return !(is_masked(window + vec2<f32>(point, 0.0)) && is_masked(window - vec2<f32>(point, 0.0))
        && is_masked(window + vec2<f32>(0.0, point)) && is_masked(window - vec2<f32>(0.0, point)));
}

@fragment
fn fragment_main(@builtin(position) position: vec4<f32>) -> @location(0) vec4<f32> {
    let inside = picture_coverage(position.xy);
    if inside <= 0.0 {
        discard;
    }
    if frame.outline_phase >= 0.0 && is_border(position.xy) {
        let dash = DASH_POINTS * frame.pixels_per_point;
        let along = position.x + position.y + frame.outline_phase;
        let white = (i32(floor(along / dash)) & 1) == 0;
        return to_target(vec4<f32>(vec3<f32>(select(0.0, 1.0, white)), 1.0));
    }
    var coverage = coverage_mean(position.xy);
    if frame.overlay_inverted != 0u {
        coverage = inside - coverage;
    }
    let alpha = clamp(coverage, 0.0, 1.0) * frame.overlay.a;
    return to_target(vec4<f32>(frame.overlay.rgb * alpha, alpha));
}
