//! The mask as its blur leaves it, for the part that is visible and as far around it as the blur
//! reaches. Computed anew only when the mask, the radius or that part changes.
//!
//! At level 0 (half size and closer) it equals the CPU's blur. Further out the reduced level is
//! blurred by a radius reduced as much, which differs by the rounding of the reduction.

use super::{
    box_blur::{ExtendedBox, PASSES},
    layer::{LevelTiles, Placement, TileBudget},
    layouts::{BLUR_FORMAT, ComputeLayouts, Layouts, bind_group},
    pipelines::BlurPipelines,
    pyramid::level_extent,
    scene::Viewport,
    tile_source::TileSource,
    tiles::{Gpu, TileLayer, create_texture, write_texture},
    uniforms::{BoxUniform, uniform_buffer},
};
use crate::{
    document::{MaskTiles, TILE_SIDE},
    geometry::{Bounds, Extent},
    pixels::{Mask, blur::gaussian_blur_mask},
};

/// At most this many tiles are blurred at once; a larger part is taken from a coarser level. Two
/// textures of four bytes a texel hold them: 96 MiB.
const MOST_TILES: usize = 192;
/// Parts begin and end at multiples of this many picture pixels, so that a small pan does not
/// call for another one.
const GRID: i32 = 256;

/// What a blurred region was made from.
#[derive(Clone, Copy, PartialEq)]
struct Key {
    region: Bounds,
    level: u32,
    radius_px: f32,
    contents: u64,
}

/// The blurred region and what it takes to make it.
pub struct MaskBlur {
    textures: [wgpu::Texture; 2],
    /// The finished region, for the overlay.
    bind_group: wgpu::BindGroup,
    region_uniform: wgpu::Buffer,
    box_uniform: wgpu::Buffer,
    key: Option<Key>,
    runs: u64,
}

impl MaskBlur {
    /// Nothing blurred yet.
    pub fn new(device: &wgpu::Device, layouts: &Layouts) -> Self {
        let textures = create_textures(device, layouts, Extent::new(1, 1));
        Self {
            bind_group: overlay_bind_group(device, layouts, &textures[0]),
            textures,
            region_uniform: uniform_buffer::<[i32; 4]>(device, "blur region"),
            box_uniform: uniform_buffer::<BoxUniform>(device, "blur box"),
            key: None,
            runs: 0,
        }
    }

    /// What the overlay reads the region through; its contents count only while
    /// [`MaskBlur::prepare`] says so.
    pub fn bind_group(&self) -> &wgpu::BindGroup {
        &self.bind_group
    }

    /// How often a region was blurred.
    pub fn runs(&self) -> u64 {
        self.runs
    }

    /// Makes the mask's tiles resident and blurs them by `radius_px` (picture pixels, > 0).
    /// Returns the region in texels of the level that the layer is then drawn at.
    pub fn prepare(
        &mut self,
        gpu: Gpu<'_>,
        encoder: &mut wgpu::CommandEncoder,
        pipelines: Option<&BlurPipelines>,
        input: BlurInput<'_>,
    ) -> Bounds {
        let BlurInput { mask, layer, placement, viewport, radius_px } = input;
        let wanted = wanted_pixels(placement.visible(viewport), occupied(mask), radius_px);
        let side = gpu.device.limits().max_texture_dimension_2d / TILE_SIDE;
        let budget = TileBudget { tiles: MOST_TILES, side };
        let level = layer.prepare(gpu, mask, placement, wanted, budget);
        let region = region_texels(placement.extent, level, wanted);
        if region.is_empty() {
            return region;
        }
        let key = Key { region, level, radius_px, contents: layer.contents() };
        if self.key.replace(key) == Some(key) {
            return region;
        }
        self.runs += 1;
        self.reserve(gpu, region.extent());
        let radius = radius_px / (1u32 << level) as f32;
        match (pipelines, &gpu.layouts.compute) {
            (Some(pipelines), Some(layouts)) => {
                self.on_card(gpu, encoder, (pipelines, layouts), layer, region, radius);
            }
            _ => {
                let tiles = LevelTiles::new(placement.extent, level, wanted);
                let flat = flatten(mask, layer, tiles).crop(Bounds {
                    x: region.x - (tiles.first.0 * TILE_SIDE) as i32,
                    y: region.y - (tiles.first.1 * TILE_SIDE) as i32,
                    ..region
                });
                self.on_cpu(gpu.queue, &gaussian_blur_mask(&flat, radius));
            }
        }
        region
    }

    /// Six passes from texture to texture; the last one ends where the first began.
    fn on_card(
        &self,
        gpu: Gpu<'_>,
        encoder: &mut wgpu::CommandEncoder,
        (pipelines, layouts): (&BlurPipelines, &ComputeLayouts),
        layer: &TileLayer,
        region: Bounds,
        radius: f32,
    ) {
        let extended = ExtendedBox::for_gaussian(radius);
        let size = [region.width as i32, region.height as i32];
        let place = [region.x, region.y, size[0], size[1]];
        gpu.queue.write_buffer(&self.region_uniform, 0, bytemuck::bytes_of(&place));
        let uniform = BoxUniform {
            extent: size,
            radius: extended.radius,
            weight: extended.weight,
            edge_weight: extended.edge_weight,
            padding: 0,
        };
        gpu.queue.write_buffer(&self.box_uniform, 0, bytemuck::bytes_of(&uniform));

        let views = [0, 1].map(|i| self.textures[i].create_view(&Default::default()));
        let gather = bind_group(
            gpu.device,
            "gather",
            &layouts.gather,
            &[
                self.region_uniform.as_entire_binding(),
                wgpu::BindingResource::TextureView(&views[0]),
            ],
        );
        let pass_groups = [(0, 1), (1, 0)].map(|(from, to)| {
            let resources = [
                self.box_uniform.as_entire_binding(),
                wgpu::BindingResource::TextureView(&views[from]),
                wgpu::BindingResource::TextureView(&views[to]),
            ];
            bind_group(gpu.device, "blur pass", &layouts.blur_pass, &resources)
        });

        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
            label: Some("mask blur"),
            timestamp_writes: None,
        });
        pass.set_pipeline(&pipelines.gather);
        pass.set_bind_group(0, &gather, &[]);
        pass.set_bind_group(1, layer.bind_group(), &[]);
        pass.dispatch_workgroups(region.width.div_ceil(8), region.height.div_ceil(8), 1);
        for (number, group) in pass_groups.iter().cycle().take(2 * PASSES).enumerate() {
            let (pipeline, lines) = if number < PASSES {
                (&pipelines.horizontal, region.height)
            } else {
                (&pipelines.vertical, region.width)
            };
            pass.set_pipeline(pipeline);
            pass.set_bind_group(0, group, &[]);
            pass.dispatch_workgroups(lines.div_ceil(64), 1, 1);
        }
    }

    /// For devices without compute shaders.
    fn on_cpu(&self, queue: &wgpu::Queue, blurred: &Mask) {
        let values: Vec<u32> = blurred.bytes().iter().map(|&value| u32::from(value)).collect();
        let Extent { width, height } = blurred.extent();
        let to = self.textures[0].as_image_copy();
        write_texture(queue, to, bytemuck::cast_slice(&values), (width, height));
    }

    /// Enlarges the textures if the region does not fit.
    fn reserve(&mut self, gpu: Gpu<'_>, extent: Extent) {
        let has = Extent::new(self.textures[0].width(), self.textures[0].height());
        if extent.width <= has.width && extent.height <= has.height {
            return;
        }
        let room = Extent::new(extent.width.max(has.width), extent.height.max(has.height));
        self.textures = create_textures(gpu.device, gpu.layouts, room);
        self.bind_group = overlay_bind_group(gpu.device, gpu.layouts, &self.textures[0]);
    }
}

/// What is blurred and where it is seen.
pub struct BlurInput<'a> {
    pub mask: &'a MaskTiles,
    pub layer: &'a mut TileLayer,
    pub placement: Placement,
    pub viewport: Viewport,
    pub radius_px: f32,
}

/// A rectangle around every pixel that is not zero, to the tile.
fn occupied(mask: &MaskTiles) -> Bounds {
    mask.tiles_in(mask.extent().bounds())
        .filter(|&(column, row)| mask.version(column, row) != 0)
        .fold(Bounds::default(), |all, (column, row)| all.union(mask.tile_bounds(column, row)))
}

/// The picture pixels that have to be known to blur the visible ones. Where nothing is painted
/// within reach there is nothing to blur.
fn wanted_pixels(visible: Bounds, occupied: Bounds, radius_px: f32) -> Bounds {
    if visible.is_empty() || occupied.is_empty() {
        return Bounds::default();
    }
    let reach = ExtendedBox::for_gaussian(radius_px).reach();
    let grown = visible.grow(reach).intersect(occupied.grow(reach));
    if grown.is_empty() {
        return grown;
    }
    let down = |at: i32| at.div_euclid(GRID) * GRID;
    let up = |at: i32| -(-at).div_euclid(GRID) * GRID;
    Bounds::from_corners(down(grown.x), down(grown.y), up(grown.right()), up(grown.bottom()))
}

/// The same in texels of a level.
fn region_texels(extent: Extent, level: u32, wanted: Bounds) -> Bounds {
    let scale = 1 << level;
    Bounds::from_corners(
        wanted.x.div_euclid(scale),
        wanted.y.div_euclid(scale),
        -(-wanted.right()).div_euclid(scale),
        -(-wanted.bottom()).div_euclid(scale),
    )
    .intersect(level_extent(extent, level).bounds())
}

/// Tiles put together into one buffer.
fn flatten(mask: &MaskTiles, layer: &mut TileLayer, tiles: LevelTiles) -> Mask {
    let side = TILE_SIDE as usize;
    let mut flat = Mask::new(Extent::new(tiles.size.0 * TILE_SIDE, tiles.size.1 * TILE_SIDE));
    let keys: Vec<_> = tiles.keys().collect();
    let contents = layer.pyramid_mut().tiles(mask, &keys);
    for (index, bytes) in contents.iter().enumerate() {
        let Some(bytes) = bytes else { continue };
        let columns = tiles.size.0 as usize;
        let (left, top) = (index % columns * side, index / columns * side);
        for (y, row) in bytes.chunks_exact(side * MaskTiles::CHANNELS).enumerate() {
            flat.row_mut((top + y) as u32)[left..left + side].copy_from_slice(row);
        }
    }
    flat
}

fn create_textures(device: &wgpu::Device, layouts: &Layouts, extent: Extent) -> [wgpu::Texture; 2] {
    let size =
        wgpu::Extent3d { width: extent.width, height: extent.height, depth_or_array_layers: 1 };
    let usage = match layouts.compute {
        Some(_) => wgpu::TextureUsages::STORAGE_BINDING,
        None => wgpu::TextureUsages::empty(),
    };
    [0, 1].map(|_| create_texture(device, "blurred mask", BLUR_FORMAT, size, usage))
}

fn overlay_bind_group(
    device: &wgpu::Device,
    layouts: &Layouts,
    texture: &wgpu::Texture,
) -> wgpu::BindGroup {
    let view = texture.create_view(&Default::default());
    let resources = [wgpu::BindingResource::TextureView(&view)];
    bind_group(device, "blurred mask", &layouts.blurred, &resources)
}
