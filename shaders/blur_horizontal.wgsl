// One box pass along rows. One invocation slides the box over one row, so the cost does not grow
// with the radius.
#include "blur_common.wgsl"

fn value(x: i32, y: i32) -> u32 {
    return textureLoad(source, vec2<i32>(clamp(x, 0, box.extent.x - 1), y), 0).r;
}

@compute @workgroup_size(64)
fn compute_main(@builtin(global_invocation_id) id: vec3<u32>) {
    let y = i32(id.x);
    if y >= box.extent.y {
        return;
    }
    let radius = box.radius;
    var sum = 0u;
    for (var x = -radius; x <= radius; x++) {
        sum += value(x, y);
    }
    for (var x = 0; x < box.extent.x; x++) {
        let before = value(x - radius - 1, y);
        let after = value(x + radius + 1, y);
        textureStore(blurred, vec2<i32>(x, y), vec4<u32>(rounded(sum, before + after), 0u, 0u, 0u));
        sum += after;
        sum -= value(x - radius, y);
    }
}
