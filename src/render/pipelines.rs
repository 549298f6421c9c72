//! The pipelines made from the shaders.

use std::{
    pin::pin,
    task::{Context, Poll, Waker},
};

use super::{
    layouts::{ComputeLayouts, Layouts},
    shaders::{ShaderError, ShaderSources},
};

/// All pipelines of the canvas.
pub struct Pipelines {
    pub backdrop: wgpu::RenderPipeline,
    pub checkerboard: wgpu::RenderPipeline,
    pub picture: wgpu::RenderPipeline,
    pub staged: wgpu::RenderPipeline,
    pub composite: wgpu::RenderPipeline,
    pub mask_overlay: wgpu::RenderPipeline,
    pub pixel_grid: wgpu::RenderPipeline,
    pub cursor: wgpu::RenderPipeline,
    /// Absent where the device has no compute shaders.
    pub blur: Option<BlurPipelines>,
}

/// The passes that blur the mask.
pub struct BlurPipelines {
    pub gather: wgpu::ComputePipeline,
    pub horizontal: wgpu::ComputePipeline,
    pub vertical: wgpu::ComputePipeline,
}

impl Pipelines {
    /// Compiles all shaders.
    ///
    /// # Errors
    /// When a source is missing or the device refuses one; nothing was changed then.
    pub fn new(
        device: &wgpu::Device,
        layouts: &Layouts,
        sources: &ShaderSources,
        target: wgpu::TextureFormat,
    ) -> Result<Self, ShaderError> {
        let scope = device.push_error_scope(wgpu::ErrorFilter::Validation);
        let built = Builder { device, sources, target }.all(layouts);
        match (built, ready(scope.pop()).flatten()) {
            (Ok(_), Some(error)) => Err(ShaderError::Invalid(error.to_string())),
            (built, _) => built,
        }
    }
}

/// The value of a future that has it at once, as error scopes of native devices do.
fn ready<F: Future>(future: F) -> Option<F::Output> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

struct Builder<'a> {
    device: &'a wgpu::Device,
    sources: &'a ShaderSources,
    target: wgpu::TextureFormat,
}

impl Builder<'_> {
    fn all(&self, layouts: &Layouts) -> Result<Pipelines, ShaderError> {
        let Layouts { frame, layer, blurred, compute } = layouts;
        Ok(Pipelines {
            backdrop: self.drawing("backdrop.wgsl", &[frame])?,
            checkerboard: self.drawing("checkerboard.wgsl", &[frame])?,
            picture: self.drawing("picture.wgsl", &[frame, layer])?,
            staged: self.drawing("staged.wgsl", &[frame, layer])?,
            composite: self.drawing("composite.wgsl", &[frame, layer, layer])?,
            mask_overlay: self.drawing("mask_overlay.wgsl", &[frame, layer, blurred])?,
            pixel_grid: self.drawing("pixel_grid.wgsl", &[frame])?,
            cursor: self.drawing("cursor.wgsl", &[frame])?,
            blur: compute.as_ref().map(|compute| self.blur(compute, layer)).transpose()?,
        })
    }

    fn blur(
        &self,
        compute: &ComputeLayouts,
        layer: &wgpu::BindGroupLayout,
    ) -> Result<BlurPipelines, ShaderError> {
        Ok(BlurPipelines {
            gather: self.compute("blur_gather.wgsl", &[&compute.gather, layer])?,
            horizontal: self.compute("blur_horizontal.wgsl", &[&compute.blur_pass])?,
            vertical: self.compute("blur_vertical.wgsl", &[&compute.blur_pass])?,
        })
    }

    fn module(&self, name: &str) -> Result<wgpu::ShaderModule, ShaderError> {
        Ok(self.device.create_shader_module(wgpu::ShaderModuleDescriptor {
            label: Some(name),
            source: wgpu::ShaderSource::Wgsl(self.sources.text(name)?.into()),
        }))
    }

    fn layout(&self, groups: &[&wgpu::BindGroupLayout]) -> wgpu::PipelineLayout {
        let groups: Vec<_> = groups.iter().copied().map(Some).collect();
        self.device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: None,
            bind_group_layouts: &groups,
            immediate_size: 0,
        })
    }

    /// One triangle over the viewport, blended over what is there by premultiplied alpha.
    fn drawing(
        &self,
        name: &str,
        groups: &[&wgpu::BindGroupLayout],
    ) -> Result<wgpu::RenderPipeline, ShaderError> {
        let module = self.module(name)?;
        let target = wgpu::ColorTargetState {
            format: self.target,
            blend: Some(wgpu::BlendState::PREMULTIPLIED_ALPHA_BLENDING),
            write_mask: wgpu::ColorWrites::ALL,
        };
        Ok(self.device.create_render_pipeline(&wgpu::RenderPipelineDescriptor {
            label: Some(name),
            layout: Some(&self.layout(groups)),
            vertex: wgpu::VertexState {
                module: &module,
                entry_point: Some("vertex_main"),
                compilation_options: Default::default(),
                buffers: &[],
            },
            primitive: wgpu::PrimitiveState::default(),
            depth_stencil: None,
            multisample: wgpu::MultisampleState::default(),
            fragment: Some(wgpu::FragmentState {
                module: &module,
                entry_point: Some("fragment_main"),
                compilation_options: Default::default(),
                targets: &[Some(target)],
            }),
            multiview_mask: None,
            cache: None,
        }))
    }

    fn compute(
        &self,
        name: &str,
        groups: &[&wgpu::BindGroupLayout],
    ) -> Result<wgpu::ComputePipeline, ShaderError> {
        let module = self.module(name)?;
        Ok(self.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(name),
            layout: Some(&self.layout(groups)),
            module: &module,
            entry_point: Some("compute_main"),
            compilation_options: Default::default(),
            cache: None,
        }))
    }
}
