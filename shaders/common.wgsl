// What all effects of the canvas share.
//
// Colours are sRGB-encoded ("gamma space") throughout, as the eight-bit pixels are: blends equal
// the ones made on the CPU. Straight alpha in tiles, premultiplied alpha from `area_mean` on.
//
// Spaces: "window" counts physical pixels of the render target from its top left corner, pixel
// centres at halves, as @builtin(position) does. "texel" counts texels of one level of a layer;
// a texel of level n covers 2^n by 2^n pixels.
#include "tiles.wgsl"

struct Frame {
    // Window position of the picture's corner; whole numbers.
    origin: vec2<f32>,
    // Size of the picture in window pixels.
    size: vec2<f32>,
    background: vec4<f32>,
    // Colour of the mask overlay; w is its opacity at full coverage.
    overlay: vec4<f32>,
    // Window position of the brush's centre, its radius and the radius at full strength.
    cursor: vec4<f32>,
    // Window pixels per picture pixel.
    zoom: f32,
    pixels_per_point: f32,
    // Window column right of which staged layers are shown.
    wipe: f32,
    // Phase of the outline's dashes in window pixels; negative for no outline.
    outline_phase: f32,
    // Corner and size of the blurred mask's region in texels of the mask's level; size 0 if the
    // mask is shown as painted.
    blurred: vec4<i32>,
    overlay_inverted: u32,
    // 1 if the render target expects linear light.
    target_is_linear: u32,
    padding: vec2<u32>,
}

@group(0) @binding(0) var<uniform> frame: Frame;

// One triangle over the whole viewport. Fragments know their place from @builtin(position), so
// nothing depends on the viewport.
@vertex
fn vertex_main(@builtin(vertex_index) index: u32) -> @builtin(position) vec4<f32> {
    let x = f32(i32(index & 1u) * 4 - 1);
    let y = f32(i32(index >> 1u) * 4 - 1);
    return vec4<f32>(x, y, 0.0, 1.0);
}

// How much of the stretch from `low` to `high` lies in texel number `index`.
fn overlap(index: i32, low: f32, high: f32) -> f32 {
    return max(min(f32(index + 1), high) - max(f32(index), low), 0.0);
}

// The mean, premultiplied, over the square that one window pixel covers. Enlarged, this is
// nearest-neighbour with antialiased texel edges; reduced, a box filter. A level is chosen so that
// a window pixel covers less than two texels a side, which touches three at most.
fn area_mean(
    atlas: texture_2d_array<f32>,
    table: texture_2d<u32>,
    layer: Layer,
    window: vec2<f32>,
) -> vec4<f32> {
    let low = (window - 0.5 - layer.origin) / layer.scale;
    let high = (window + 0.5 - layer.origin) / layer.scale;
    let first = vec2<i32>(floor(low));
    let last = min(vec2<i32>(ceil(high)) - 1, first + 2);
    var sum = vec4<f32>(0.0);
    var weight_sum = 0.0;
    for (var y = first.y; y <= last.y; y++) {
        let weight_y = overlap(y, low.y, high.y);
        for (var x = first.x; x <= last.x; x++) {
            let weight = weight_y * overlap(x, low.x, high.x);
            sum += weight * fetch(atlas, table, layer, vec2<i32>(x, y));
            weight_sum += weight;
        }
    }
    return sum / max(weight_sum, 1e-6);
}

// How much of a window pixel the picture's rectangle covers.
fn picture_coverage(window: vec2<f32>) -> f32 {
    let low = clamp(window - 0.5, frame.origin, frame.origin + frame.size);
    let high = clamp(window + 0.5, frame.origin, frame.origin + frame.size);
    let covered = high - low;
    return covered.x * covered.y;
}

fn linear_from_srgb(colour: vec3<f32>) -> vec3<f32> {
    let low = colour / 12.92;
    let high = pow((colour + 0.055) / 1.055, vec3<f32>(2.4));
    return select(high, low, colour <= vec3<f32>(0.04045));
}

// From a premultiplied sRGB colour to what the render target expects. Blending then happens in
// the target's space: in sRGB on the usual targets, in linear light only where the window system
// offers nothing else.
fn to_target(colour: vec4<f32>) -> vec4<f32> {
    if frame.target_is_linear == 0u || colour.a <= 0.0 {
        return colour;
    }
    return vec4<f32>(linear_from_srgb(colour.rgb / colour.a) * colour.a, colour.a);
}
