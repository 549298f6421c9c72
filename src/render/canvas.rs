//! Draws a [`Scene`]: what is new is uploaded in `prepare`, the layers are drawn in `paint`.

use std::time::{Duration, Instant};

use super::{
    layer::Placement,
    layouts::{Layouts, bind_group},
    mask_blur::{BlurInput, MaskBlur},
    pipelines::Pipelines,
    scene::{Compare, Scene, StagedLayer},
    shaders::{ShaderError, ShaderSources},
    tile_source::Cut,
    tiles::{Gpu, TileLayer, tile_budget},
    uniforms::{FrameUniform, uniform_buffer},
};
use crate::geometry::{Bounds, Point};

/// How often shader files are looked at in debug builds.
const RELOAD_INTERVAL: Duration = Duration::from_millis(500);
/// Physical pixels per picture pixel beyond which the pixel grid shows; as in `pixel_grid.wgsl`.
const PIXEL_GRID_ZOOM: f32 = 16.0;
/// A wipe that everything lies right of.
const NO_WIPE: f32 = -1e9;

/// Everything the canvas keeps on the graphics card.
pub struct CanvasRenderer {
    target: wgpu::TextureFormat,
    layouts: Layouts,
    pipelines: Pipelines,
    sources: ShaderSources,
    looked_at: Instant,
    shader_error: Option<ShaderError>,
    frame: wgpu::Buffer,
    frame_group: wgpu::BindGroup,
    picture: TileLayer,
    mask: TileLayer,
    staged: TileLayer,
    coverage: TileLayer,
    blur: MaskBlur,
    drawn: Drawn,
}

/// Which layers the scene prepared last has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Drawn {
    staged: bool,
    composite: bool,
    mask_overlay: bool,
    pixel_grid: bool,
    cursor: bool,
}

/// How much work was done since the renderer was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    pub picture_tiles_uploaded: u64,
    pub mask_tiles_uploaded: u64,
    pub staged_tiles_uploaded: u64,
    pub masks_blurred: u64,
}

impl CanvasRenderer {
    /// For render targets of one format. Formats that are not sRGB-encoded take the colours as
    /// they are and blend in sRGB, as the CPU does; an sRGB-encoding format blends in linear light.
    ///
    /// # Errors
    /// When the device refuses a shader.
    pub fn new(device: &wgpu::Device, target: wgpu::TextureFormat) -> Result<Self, ShaderError> {
        Self::with_shaders(device, target, ShaderSources::for_this_build())
    }

    /// As [`CanvasRenderer::new`], with shaders from a source of one's own.
    ///
    /// # Errors
    /// When the device refuses a shader or a source is missing.
    pub fn with_shaders(
        device: &wgpu::Device,
        target: wgpu::TextureFormat,
        sources: ShaderSources,
    ) -> Result<Self, ShaderError> {
        let layouts = Layouts::new(device);
        let pipelines = Pipelines::new(device, &layouts, &sources, target)?;
        let frame = uniform_buffer::<FrameUniform>(device, "frame");
        let resources = [frame.as_entire_binding()];
        let frame_group = bind_group(device, "frame", &layouts.frame, &resources);
        Ok(Self {
            target,
            pipelines,
            sources,
            looked_at: Instant::now(),
            shader_error: None,
            frame_group,
            frame,
            picture: TileLayer::new(device, &layouts, "picture", 4),
            mask: TileLayer::new(device, &layouts, "mask", 1),
            staged: TileLayer::new(device, &layouts, "staged", 4),
            coverage: TileLayer::new(device, &layouts, "staged coverage", 1),
            blur: MaskBlur::new(device, &layouts),
            drawn: Drawn::default(),
            layouts,
        })
    }

    /// The format of the render targets it draws to.
    pub fn target_format(&self) -> wgpu::TextureFormat {
        self.target
    }

    /// Why a shader file that was changed on disk is not in use; the one before it is.
    pub fn shader_error(&self) -> Option<&ShaderError> {
        self.shader_error.as_ref()
    }

    /// What was uploaded and computed so far.
    pub fn work(&self) -> Work {
        Work {
            picture_tiles_uploaded: self.picture.uploads(),
            mask_tiles_uploaded: self.mask.uploads(),
            staged_tiles_uploaded: self.staged.uploads(),
            masks_blurred: self.blur.runs(),
        }
    }

    /// Uploads what changed since the last call and is visible. To be called before the render
    /// pass, with the encoder that the pass will be recorded to.
    pub fn prepare(
        &mut self,
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        encoder: &mut wgpu::CommandEncoder,
        scene: &Scene,
    ) {
        self.reload_changed_shaders(device);
        let placement = placement(scene);
        let gpu = Gpu { device, queue, layouts: &self.layouts };
        let budget = tile_budget(device);
        let visible = placement.visible(scene.viewport_px);
        self.picture.prepare(gpu, &scene.picture, placement, visible, budget);

        let mut drawn = Drawn {
            pixel_grid: placement.zoom > PIXEL_GRID_ZOOM,
            cursor: scene.cursor.is_some(),
            ..Drawn::default()
        };
        if let Some(staged) = scene.staged.as_ref().filter(|_| scene.compare != Compare::Before) {
            drawn.staged = staged.coverage.is_none();
            drawn.composite = staged.coverage.is_some();
            self.prepare_staged(device, queue, staged, placement, scene);
        }
        if scene.staged.is_none() {
            self.staged.release(Gpu { device, queue, layouts: &self.layouts });
            self.coverage.release(Gpu { device, queue, layouts: &self.layouts });
        }
        let blurred = self.prepare_mask(device, queue, encoder, placement, scene);
        drawn.mask_overlay =
            scene.overlay.visible && (self.mask.contents() != 0 || scene.overlay.inverted);
        self.drawn = drawn;
        let linear = self.target.is_srgb();
        let uniform = frame_uniform(scene, placement, blurred, linear);
        queue.write_buffer(&self.frame, 0, bytemuck::bytes_of(&uniform));
    }

    /// Draws the scene prepared last into the pass's viewport. The pass's attachment has the format
    /// given to [`CanvasRenderer::new`], one sample a pixel and no depth buffer; the canvas covers
    /// what is there.
    pub fn paint(&self, pass: &mut wgpu::RenderPass<'_>) {
        let Pipelines { backdrop, checkerboard, picture, .. } = &self.pipelines;
        let mut draw = |pipeline: &wgpu::RenderPipeline, groups: &[&wgpu::BindGroup]| {
            pass.set_pipeline(pipeline);
            pass.set_bind_group(0, &self.frame_group, &[]);
            for (index, group) in (1..).zip(groups) {
                pass.set_bind_group(index, *group, &[]);
            }
            pass.draw(0..3, 0..1);
        };
        draw(backdrop, &[]);
        draw(checkerboard, &[]);
        draw(picture, &[self.picture.bind_group()]);
        let Pipelines { staged, composite, mask_overlay, pixel_grid, cursor, .. } = &self.pipelines;
        if self.drawn.staged {
            draw(staged, &[self.staged.bind_group()]);
        }
        if self.drawn.composite {
            draw(composite, &[self.staged.bind_group(), self.coverage.bind_group()]);
        }
        if self.drawn.mask_overlay {
            draw(mask_overlay, &[self.mask.bind_group(), self.blur.bind_group()]);
        }
        if self.drawn.pixel_grid {
            draw(pixel_grid, &[]);
        }
        if self.drawn.cursor {
            draw(cursor, &[]);
        }
    }

    fn prepare_staged(
        &mut self,
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        staged: &StagedLayer,
        picture: Placement,
        scene: &Scene,
    ) {
        let gpu = Gpu { device, queue, layouts: &self.layouts };
        let corner = |origin: f32, at: i32| origin + at as f32 * picture.zoom;
        let placement = Placement {
            origin: Point::new(
                corner(picture.origin.x, staged.bounds.x),
                corner(picture.origin.y, staged.bounds.y),
            ),
            extent: staged.picture.extent(),
            ..picture
        };
        let wanted = placement.visible(scene.viewport_px);
        let budget = tile_budget(device);
        let source = Cut { buffer: &*staged.picture, version: staged.version };
        self.staged.prepare(gpu, &source, placement, wanted, budget);
        if let Some(coverage) = &staged.coverage {
            let source = Cut { buffer: &**coverage, version: staged.version };
            self.coverage.prepare(gpu, &source, placement, wanted, budget);
        }
    }

    /// Returns the region that is shown blurred, in texels; empty if the mask is shown as painted.
    fn prepare_mask(
        &mut self,
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        encoder: &mut wgpu::CommandEncoder,
        placement: Placement,
        scene: &Scene,
    ) -> Bounds {
        let gpu = Gpu { device, queue, layouts: &self.layouts };
        if !scene.overlay.visible {
            return Bounds::default();
        }
        let radius_px = scene.overlay.blur_radius_px;
        if radius_px <= 0.0 {
            let wanted = placement.visible(scene.viewport_px);
            self.mask.prepare(gpu, &scene.mask, placement, wanted, tile_budget(device));
            return Bounds::default();
        }
        let input = BlurInput {
            mask: &scene.mask,
            layer: &mut self.mask,
            placement,
            viewport: scene.viewport_px,
            radius_px,
        };
        self.blur.prepare(gpu, encoder, self.pipelines.blur.as_ref(), input)
    }

    fn reload_changed_shaders(&mut self, device: &wgpu::Device) {
        if self.looked_at.elapsed() < RELOAD_INTERVAL {
            return;
        }
        self.looked_at = Instant::now();
        if self.sources.changed() {
            self.reload_shaders(device);
        }
    }

    /// Compiles the sources as they are now. On an error those in use stay, and
    /// [`CanvasRenderer::shader_error`] tells it. Debug builds do this when a file changes.
    pub fn reload_shaders(&mut self, device: &wgpu::Device) {
        match Pipelines::new(device, &self.layouts, &self.sources, self.target) {
            Ok(pipelines) => {
                self.pipelines = pipelines;
                self.shader_error = None;
            }
            Err(error) => self.shader_error = Some(error),
        }
    }
}

/// The picture's place in physical pixels, snapped so that pixels meet pixels: its corner to a
/// whole pixel, and a zoom that is a whole number but for rounding to that number.
fn placement(scene: &Scene) -> Placement {
    let zoom = scene.view.zoom * scene.pixels_per_point;
    let whole = zoom.round();
    let zoom = if whole >= 1.0 && (zoom - whole).abs() < 1e-4 * whole { whole } else { zoom };
    let corner = |at: f32| (at * scene.pixels_per_point).round();
    Placement {
        origin: Point::new(corner(scene.view.offset.x), corner(scene.view.offset.y)),
        zoom,
        extent: scene.picture.extent(),
    }
}

fn frame_uniform(
    scene: &Scene,
    placement: Placement,
    blurred: Bounds,
    target_is_linear: bool,
) -> FrameUniform {
    let scale = scene.pixels_per_point;
    let overlay = &scene.overlay;
    let size = |side: u32| side as f32 * placement.zoom;
    FrameUniform {
        origin: [placement.origin.x, placement.origin.y],
        size: [size(placement.extent.width), size(placement.extent.height)],
        background: colour(scene.background, 1.0),
        overlay: colour(overlay.colour, overlay.opacity.clamp(0.0, 1.0)),
        cursor: scene.cursor.map_or([0.0; 4], |cursor| {
            let hard = cursor.radius * cursor.hardness.clamp(0.0, 1.0);
            [cursor.centre.x, cursor.centre.y, cursor.radius, hard].map(|length| length * scale)
        }),
        zoom: placement.zoom,
        pixels_per_point: scale,
        wipe: match scene.compare {
            Compare::Wipe { x } => x * scale,
            Compare::After | Compare::Before => NO_WIPE,
        },
        outline_phase: overlay.outline_phase.map_or(-1.0, |phase| phase.abs() * scale),
        blurred: [blurred.x, blurred.y, blurred.width as i32, blurred.height as i32],
        overlay_inverted: u32::from(overlay.inverted),
        target_is_linear: u32::from(target_is_linear),
        padding: [0; 2],
    }
}

/// 0 to 255 as 0 to 1.
fn colour([r, g, b]: [u8; 3], alpha: f32) -> [f32; 4] {
    let unit = |value: u8| f32::from(value) / 255.0;
    [unit(r), unit(g), unit(b), alpha]
}
