// The brush outline: a light ring inside a dark one, so that it shows on every background, and a
// fainter inner ring up to which the brush has full strength.
#include "common.wgsl"

// Wide enough that a pixel of the line is mostly covered wherever the line lies.
const LINE_POINTS: f32 = 1.5;
// Below this radius (screen points) the ring alone would vanish: a cross marks the centre.
const SMALL_POINTS: f32 = 3.0;
// The inner ring needs this much room on both sides.
const INNER_GAP_POINTS: f32 = 3.0;

// Coverage of a line of the given width whose middle is `distance` away.
fn line(distance: f32, width: f32) -> f32 {
    return clamp(0.5 + width * 0.5 - abs(distance), 0.0, 1.0);
}

fn over(above: vec4<f32>, below: vec4<f32>) -> vec4<f32> {
    return above + below * (1.0 - above.a);
}

fn grey(value: f32, alpha: f32) -> vec4<f32> {
    return vec4<f32>(vec3<f32>(value) * alpha, alpha);
}

// A light line with a dark one outside it.
fn ring(from_centre: f32, radius: f32, opacity: f32) -> vec4<f32> {
    let width = LINE_POINTS * frame.pixels_per_point;
    let light = grey(1.0, opacity * line(from_centre - radius, width));
    let dark = grey(0.0, opacity * line(from_centre - radius - width, width));
    return over(light, dark);
}

fn cross_mark(offset: vec2<f32>) -> vec4<f32> {
    let point = frame.pixels_per_point;
    let a = abs(offset);
    let arm = max(a.x, a.y);
    if arm < 3.0 * point || arm > 8.0 * point {
        return vec4<f32>(0.0);
    }
    let across = min(a.x, a.y);
    return over(grey(1.0, line(across, point)), grey(0.0, line(across - point, point)));
}

@fragment
fn fragment_main(@builtin(position) position: vec4<f32>) -> @location(0) vec4<f32> {
    let offset = position.xy - frame.cursor.xy;
    let radius = frame.cursor.z;
    let inner = frame.cursor.w;
    let from_centre = length(offset);
    let point = frame.pixels_per_point;
    if from_centre > max(radius, 9.0 * point) + 4.0 * point {
        discard;
    }
    var colour = ring(from_centre, radius, 0.9);
    let gap = INNER_GAP_POINTS * point;
    if inner > gap && radius - inner > gap {
        colour = over(colour, ring(from_centre, inner, 0.4));
    }
    if radius < SMALL_POINTS * point {
        colour = over(cross_mark(offset), colour);
    }
    return to_target(colour);
}
