// What shows through where the picture is transparent. Its squares keep their size on the screen.
#include "common.wgsl"

const SQUARE_POINTS: f32 = 8.0;
const LIGHT: f32 = 0.8;
const DARK: f32 = 0.6;

@fragment
fn fragment_main(@builtin(position) position: vec4<f32>) -> @location(0) vec4<f32> {
    let coverage = picture_coverage(position.xy);
    if coverage <= 0.0 {
        discard;
    }
    let square = vec2<i32>(floor((position.xy - frame.origin) / (SQUARE_POINTS * frame.pixels_per_point)));
    let grey = select(DARK, LIGHT, ((square.x + square.y) & 1) == 0);
    return to_target(vec4<f32>(vec3<f32>(grey) * coverage, coverage));
}
