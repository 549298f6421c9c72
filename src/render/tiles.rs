//! A tiled layer on the graphics card: an atlas of tile slots, and a page table that says where
//! each visible tile lies. One draw call shows any number of tiles, and because shaders look up
//! each texel by itself, filters reach across tile boundaries.
//!
//! Only visible tiles are resident, at the one level that the zoom calls for, and only those
//! whose contents changed are uploaded. What was seen before stays until its room is needed.

use super::{
    layer::{LevelTiles, Placement, TileBudget},
    layouts::{Layouts, bind_group},
    pyramid::{self, Pyramid, TileKey},
    slots::{Placed, Slots},
    tile_source::TileSource,
    uniforms::{LayerUniform, uniform_buffer},
};
use crate::{
    document::TILE_SIDE,
    geometry::{Bounds, Extent},
};

/// Tiles along one side of an atlas page; as in `tiles.wgsl`.
const PAGE_TILES: u32 = 4;
const TILES_A_PAGE: u32 = PAGE_TILES * PAGE_TILES;
/// At least two, because OpenGL takes an array of one layer for no array; always a power of two,
/// because it takes six for a cube.
const FIRST_PAGES: u32 = 2;
/// At most 1024 tiles of a layer are resident: 256 MiB of colour, 64 MiB of coverage. A window
/// that shows more at once is drawn from a coarser level.
const MOST_PAGES: u32 = 64;

/// A layer's textures.
pub struct TileLayer {
    label: &'static str,
    format: wgpu::TextureFormat,
    source_extent: Extent,
    slots: Slots,
    pyramid: Pyramid,
    atlas: wgpu::Texture,
    table: wgpu::Texture,
    table_written: Vec<u32>,
    uniform: wgpu::Buffer,
    uniform_written: Option<LayerUniform>,
    bind_group: wgpu::BindGroup,
    contents: u64,
    uploads: u64,
}

impl TileLayer {
    /// An empty layer of `channels` bytes a pixel (4: colour, else coverage).
    pub fn new(
        device: &wgpu::Device,
        layouts: &Layouts,
        label: &'static str,
        channels: usize,
    ) -> Self {
        let format = match channels {
            4 => wgpu::TextureFormat::Rgba8Unorm,
            _ => wgpu::TextureFormat::R8Unorm,
        };
        let atlas = create_atlas(device, label, format, FIRST_PAGES);
        let table = create_table(device, label, (8, 8));
        let uniform = uniform_buffer::<LayerUniform>(device, label);
        let bind_group = layer_bind_group(device, layouts, label, &uniform, &atlas, &table);
        let mut slots = Slots::default();
        slots.grow(FIRST_PAGES * TILES_A_PAGE);
        Self {
            label,
            format,
            source_extent: Extent::default(),
            slots,
            pyramid: Pyramid::default(),
            atlas,
            table,
            table_written: Vec::new(),
            uniform,
            uniform_written: None,
            bind_group,
            contents: 0,
            uploads: 0,
        }
    }

    /// Makes what is inside `wanted` (pixels of the layer) resident at the level that the zoom
    /// calls for, or at a coarser one if that takes more tiles than `budget` or the atlas have
    /// room for. Returns the level.
    pub fn prepare<S: TileSource>(
        &mut self,
        gpu: Gpu<'_>,
        source: &S,
        placement: Placement,
        wanted: Bounds,
        budget: TileBudget,
    ) -> u32 {
        if source.extent() != self.source_extent {
            self.restart(gpu, source.extent());
        }
        let level = placement.level(wanted, budget.at_most(tile_budget(gpu.device)));
        let tiles = LevelTiles::new(placement.extent, level, wanted);
        let entries = self.make_resident(gpu, source, tiles);
        self.write_table(gpu, tiles, entries);
        let uniform = placement.uniform(tiles);
        if self.uniform_written.replace(uniform) != Some(uniform) {
            gpu.queue.write_buffer(&self.uniform, 0, bytemuck::bytes_of(&uniform));
        }
        level
    }

    /// Gives all room back once there is nothing to show.
    pub fn release(&mut self, gpu: Gpu<'_>) {
        if !self.source_extent.is_empty() {
            self.restart(gpu, Extent::default());
        }
    }

    /// What shaders read the layer through.
    pub fn bind_group(&self) -> &wgpu::BindGroup {
        &self.bind_group
    }

    /// Names what the tiles made resident last hold; 0 if all are absent.
    pub fn contents(&self) -> u64 {
        self.contents
    }

    /// Number of tiles uploaded since the layer was made.
    pub fn uploads(&self) -> u64 {
        self.uploads
    }

    /// Reduced tiles of the source; shared with the blur that runs on the CPU.
    pub fn pyramid_mut(&mut self) -> &mut Pyramid {
        &mut self.pyramid
    }

    /// Begins anew with little room, for a source of another size.
    fn restart(&mut self, gpu: Gpu<'_>, extent: Extent) {
        self.source_extent = extent;
        self.pyramid.clear();
        self.slots = Slots::default();
        self.slots.grow(FIRST_PAGES * TILES_A_PAGE);
        self.atlas = create_atlas(gpu.device, self.label, self.format, FIRST_PAGES);
        self.rebind(gpu);
    }

    /// Uploads what is missing or stale; returns a page table entry for each tile.
    fn make_resident<S: TileSource>(
        &mut self,
        gpu: Gpu<'_>,
        source: &S,
        tiles: LevelTiles,
    ) -> Vec<u32> {
        self.reserve(gpu, tiles.count() as u32);
        self.slots.begin_frame();
        self.contents = 0;
        let mut uploads = Vec::new();
        let entries = tiles
            .keys()
            .map(|key| {
                let stamp = pyramid::stamp(source, key);
                self.contents = pyramid::mix(self.contents, stamp);
                if stamp == 0 {
                    self.slots.release(key);
                    return 0;
                }
                let Some(placed) = self.slots.place(key, stamp) else { return 0 };
                if let Placed::ToUpload(slot) = placed {
                    uploads.push((key, slot));
                }
                placed.slot() + 1
            })
            .collect();
        self.upload(gpu, source, &uploads);
        entries
    }

    fn upload<S: TileSource>(&mut self, gpu: Gpu<'_>, source: &S, uploads: &[(TileKey, u32)]) {
        self.uploads += uploads.len() as u64;
        // In portions, so that a first look at a large picture does not hold all of it twice.
        for portion in uploads.chunks(64) {
            let keys: Vec<_> = portion.iter().map(|(key, _)| *key).collect();
            let contents = self.pyramid.tiles(source, &keys);
            for (bytes, (_, slot)) in contents.iter().zip(portion) {
                if let Some(bytes) = bytes {
                    self.write_tile(gpu.queue, *slot, bytes);
                }
            }
        }
    }

    fn write_tile(&self, queue: &wgpu::Queue, slot: u32, bytes: &[u8]) {
        let origin = wgpu::Origin3d {
            x: slot % PAGE_TILES * TILE_SIDE,
            y: slot / PAGE_TILES % PAGE_TILES * TILE_SIDE,
            z: slot / TILES_A_PAGE,
        };
        let to = wgpu::TexelCopyTextureInfo { origin, ..self.atlas.as_image_copy() };
        write_texture(queue, to, bytes, (TILE_SIDE, TILE_SIDE));
    }

    /// Enlarges the atlas until so many tiles fit, within the budget.
    fn reserve(&mut self, gpu: Gpu<'_>, tiles: u32) {
        if tiles <= self.slots.capacity() {
            return;
        }
        let pages = tiles.div_ceil(TILES_A_PAGE).next_power_of_two().min(most_pages(gpu.device));
        let larger = create_atlas(gpu.device, self.label, self.format, pages);
        // Submitted at once: uploads that follow must come after the copy.
        let mut encoder = gpu.device.create_command_encoder(&Default::default());
        let old = std::mem::replace(&mut self.atlas, larger);
        encoder.copy_texture_to_texture(
            old.as_image_copy(),
            self.atlas.as_image_copy(),
            old.size(),
        );
        gpu.queue.submit([encoder.finish()]);
        self.slots.grow(pages * TILES_A_PAGE);
        self.rebind(gpu);
    }

    fn write_table(&mut self, gpu: Gpu<'_>, tiles: LevelTiles, entries: Vec<u32>) {
        let size = (self.table.width(), self.table.height());
        if tiles.size.0 > size.0 || tiles.size.1 > size.1 {
            let room = |needed: u32, has: u32| needed.next_power_of_two().max(has);
            let size = (room(tiles.size.0, size.0), room(tiles.size.1, size.1));
            self.table = create_table(gpu.device, self.label, size);
            self.table_written.clear();
            self.rebind(gpu);
        }
        let (width, height) = (self.table.width(), self.table.height());
        let mut padded = vec![0; width as usize * height as usize];
        if tiles.count() > 0 {
            let columns = tiles.size.0 as usize;
            for (to, from) in padded.chunks_mut(width as usize).zip(entries.chunks(columns)) {
                to[..columns].copy_from_slice(from);
            }
        }
        if padded != self.table_written {
            let to = self.table.as_image_copy();
            write_texture(gpu.queue, to, bytemuck::cast_slice(&padded), (width, height));
            self.table_written = padded;
        }
    }

    fn rebind(&mut self, gpu: Gpu<'_>) {
        self.bind_group = layer_bind_group(
            gpu.device,
            gpu.layouts,
            self.label,
            &self.uniform,
            &self.atlas,
            &self.table,
        );
    }
}

/// What uploading needs.
#[derive(Clone, Copy)]
pub struct Gpu<'a> {
    pub device: &'a wgpu::Device,
    pub queue: &'a wgpu::Queue,
    pub layouts: &'a Layouts,
}

/// Writes rows without padding over the whole of one layer, or a `size` of it from an origin.
pub fn write_texture(
    queue: &wgpu::Queue,
    to: wgpu::TexelCopyTextureInfo<'_>,
    bytes: &[u8],
    (width, height): (u32, u32),
) {
    let layout = wgpu::TexelCopyBufferLayout {
        offset: 0,
        bytes_per_row: Some(bytes.len() as u32 / height),
        rows_per_image: Some(height),
    };
    let size = wgpu::Extent3d { width, height, depth_or_array_layers: 1 };
    queue.write_texture(to, bytes, layout, size);
}

fn most_pages(device: &wgpu::Device) -> u32 {
    let allowed = device.limits().max_texture_array_layers;
    MOST_PAGES.min(if allowed.is_power_of_two() {
        allowed
    } else {
        allowed.next_power_of_two() / 2
    })
}

/// How many tiles an atlas has room for.
pub fn tile_budget(device: &wgpu::Device) -> TileBudget {
    let tiles = most_pages(device) * TILES_A_PAGE;
    TileBudget { tiles: tiles as usize, side: tiles }
}

fn create_atlas(
    device: &wgpu::Device,
    label: &str,
    format: wgpu::TextureFormat,
    pages: u32,
) -> wgpu::Texture {
    use wgpu::TextureUsages as Usage;
    let side = PAGE_TILES * TILE_SIDE;
    let size = wgpu::Extent3d { width: side, height: side, depth_or_array_layers: pages };
    create_texture(device, label, format, size, Usage::COPY_SRC)
}

fn create_table(device: &wgpu::Device, label: &str, (width, height): (u32, u32)) -> wgpu::Texture {
    let size = wgpu::Extent3d { width, height, depth_or_array_layers: 1 };
    let usage = wgpu::TextureUsages::empty();
    create_texture(device, label, wgpu::TextureFormat::R32Uint, size, usage)
}

/// A texture that is written by copies and read by shaders, and `usage` besides.
pub fn create_texture(
    device: &wgpu::Device,
    label: &str,
    format: wgpu::TextureFormat,
    size: wgpu::Extent3d,
    usage: wgpu::TextureUsages,
) -> wgpu::Texture {
    device.create_texture(&wgpu::TextureDescriptor {
        label: Some(label),
        size,
        mip_level_count: 1,
        sample_count: 1,
        dimension: wgpu::TextureDimension::D2,
        format,
        usage: wgpu::TextureUsages::TEXTURE_BINDING | wgpu::TextureUsages::COPY_DST | usage,
        view_formats: &[],
    })
}

fn layer_bind_group(
    device: &wgpu::Device,
    layouts: &Layouts,
    label: &str,
    uniform: &wgpu::Buffer,
    atlas: &wgpu::Texture,
    table: &wgpu::Texture,
) -> wgpu::BindGroup {
    let pages = atlas.create_view(&wgpu::TextureViewDescriptor {
        dimension: Some(wgpu::TextureViewDimension::D2Array),
        ..Default::default()
    });
    let table = table.create_view(&Default::default());
    let resources = [
        uniform.as_entire_binding(),
        wgpu::BindingResource::TextureView(&pages),
        wgpu::BindingResource::TextureView(&table),
    ];
    bind_group(device, label, &layouts.layer, &resources)
}
