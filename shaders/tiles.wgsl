// Reading tiles: a page table says in which slot of the atlas each tile of a layer lies.

// A tiled picture or mask at the one level that is drawn in this frame.
struct Layer {
    // Window position of its corner.
    origin: vec2<f32>,
    // Window pixels per texel.
    scale: f32,
    padding: f32,
    // Texels.
    extent: vec2<i32>,
    // Grid position of the page table's first entry.
    first_tile: vec2<i32>,
}

const TILE_SIDE: i32 = 256;
// Tiles along one side of an atlas page.
const PAGE_TILES: i32 = 4;

// One texel, premultiplied; zero outside the layer and where no tile is resident.
fn fetch(
    atlas: texture_2d_array<f32>,
    table: texture_2d<u32>,
    layer: Layer,
    texel: vec2<i32>,
) -> vec4<f32> {
    if any(texel < vec2<i32>(0)) || any(texel >= layer.extent) {
        return vec4<f32>(0.0);
    }
    let entry = texel / TILE_SIDE - layer.first_tile;
    if any(entry < vec2<i32>(0)) || any(entry >= vec2<i32>(textureDimensions(table))) {
        return vec4<f32>(0.0);
    }
    // Entries are slot numbers plus one.
    let slot = i32(textureLoad(table, entry, 0).r) - 1;
    if slot < 0 {
        return vec4<f32>(0.0);
    }
    let page = slot / (PAGE_TILES * PAGE_TILES);
    let place = vec2<i32>(slot % PAGE_TILES, (slot / PAGE_TILES) % PAGE_TILES);
    let colour = textureLoad(atlas, place * TILE_SIDE + texel % TILE_SIDE, page, 0);
    return vec4<f32>(colour.rgb * colour.a, colour.a);
}
