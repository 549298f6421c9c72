// The canvas around the picture: background, drop shadow and a hairline border.
#include "common.wgsl"

const SHADOW_POINTS: f32 = 14.0;
const SHADOW_OPACITY: f32 = 0.35;
const BORDER_OPACITY: f32 = 0.6;

// Distance from the picture's rectangle, 0 inside it.
fn distance_outside(window: vec2<f32>, drop: f32) -> f32 {
    let low = frame.origin + vec2<f32>(0.0, drop);
    let nearest = clamp(window, low, low + frame.size);
    return distance(window, nearest);
}

@fragment
fn fragment_main(@builtin(position) position: vec4<f32>) -> @location(0) vec4<f32> {
    let reach = SHADOW_POINTS * frame.pixels_per_point;
    let nearness = 1.0 - clamp(distance_outside(position.xy, reach * 0.25) / reach, 0.0, 1.0);
    let shadow = SHADOW_OPACITY * nearness * nearness;
    let border = select(0.0, BORDER_OPACITY, distance_outside(position.xy, 0.0) < 1.0);
    let light = 1.0 - max(shadow, border);
    return to_target(vec4<f32>(frame.background.rgb * light, 1.0));
}
