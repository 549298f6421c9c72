// Hairlines between the picture's pixels when they are large on the screen.
#include "common.wgsl"

// Window pixels per picture pixel where the grid begins to show and where it is fully there.
const FADE_FROM: f32 = 16.0;
const FADE_TO: f32 = 24.0;
const OPACITY: f32 = 0.3;

@fragment
fn fragment_main(@builtin(position) position: vec4<f32>) -> @location(0) vec4<f32> {
    if picture_coverage(position.xy) <= 0.0 {
        discard;
    }
    let before = floor((position.xy - 0.5 - frame.origin) / frame.zoom);
    let after = floor((position.xy + 0.5 - frame.origin) / frame.zoom);
    if all(before == after) {
        discard;
    }
    let alpha = OPACITY * clamp((frame.zoom - FADE_FROM) / (FADE_TO - FADE_FROM), 0.0, 1.0);
    return to_target(vec4<f32>(vec3<f32>(0.5) * alpha, alpha));
}
