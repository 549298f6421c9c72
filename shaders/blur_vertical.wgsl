// One box pass along columns. One invocation slides the box over one column, so the cost does not grow
// with the radius.
#include "blur_common.wgsl"

fn value(x: i32, y: i32) -> u32 {
    return textureLoad(source, vec2<i32>(x, clamp(y, 0, box.extent.y - 1)), 0).r;
}

@compute @workgroup_size(64)
fn compute_main(@builtin(global_invocation_id) id: vec3<u32>) {
    let x = i32(id.x);
    if x >= box.extent.x {
        return;
    }
    let radius = box.radius;
    var sum = 0u;
    for (var y = -radius; y <= radius; y++) {
        sum += value(x, y);
    }
    for (var y = 0; y < box.extent.y; y++) {
        let before = value(x, y - radius - 1);
        let after = value(x, y + radius + 1);
        textureStore(blurred, vec2<i32>(x, y), vec4<u32>(rounded(sum, before + after), 0u, 0u, 0u));
        sum += after;
        sum -= value(x, y - radius);
    }
}
