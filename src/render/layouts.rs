//! Bind group layouts: what the groups of the shaders hold.

use wgpu::{
    BindGroupLayout, BindGroupLayoutEntry, BindingType, BufferBindingType, Device, ShaderStages,
    StorageTextureAccess, TextureFormat, TextureSampleType, TextureViewDimension,
};

/// The layouts that pipelines and bind groups share.
pub struct Layouts {
    /// Group 0 of all drawing shaders: the frame's uniform.
    pub frame: BindGroupLayout,
    /// A tiled layer: uniform, atlas, page table.
    pub layer: BindGroupLayout,
    /// Group 2 of the mask overlay: the blurred region.
    pub blurred: BindGroupLayout,
    /// Of the passes that blur the mask; absent where the device has no compute shaders.
    pub compute: Option<ComputeLayouts>,
}

/// Group 0 of the compute passes.
pub struct ComputeLayouts {
    /// The region and where to write it.
    pub gather: BindGroupLayout,
    /// The box, source and destination.
    pub blur_pass: BindGroupLayout,
}

/// Format of the textures that the blur passes work on: whole numbers, 0 to 255.
pub const BLUR_FORMAT: TextureFormat = TextureFormat::R32Uint;

/// Whether the device can run compute shaders. OpenGL ES 3.0 and WebGL cannot.
fn has_compute(device: &Device) -> bool {
    device.limits().max_compute_workgroups_per_dimension > 0
}

impl Layouts {
    /// For a device.
    pub fn new(device: &Device) -> Self {
        let compute = has_compute(device);
        let fragment = ShaderStages::FRAGMENT;
        let both = if compute { fragment | ShaderStages::COMPUTE } else { fragment };
        Self {
            frame: layout(device, "frame", fragment, &[UNIFORM]),
            layer: layout(device, "layer", both, &[UNIFORM, ATLAS, NUMBERS]),
            blurred: layout(device, "blurred mask", fragment, &[NUMBERS]),
            compute: compute.then(|| ComputeLayouts {
                gather: layout(device, "gather", ShaderStages::COMPUTE, &[UNIFORM, WRITTEN]),
                blur_pass: layout(
                    device,
                    "blur pass",
                    ShaderStages::COMPUTE,
                    &[UNIFORM, NUMBERS, WRITTEN],
                ),
            }),
        }
    }
}

const UNIFORM: BindingType = BindingType::Buffer {
    ty: BufferBindingType::Uniform,
    has_dynamic_offset: false,
    min_binding_size: None,
};
const ATLAS: BindingType =
    texture(TextureSampleType::Float { filterable: false }, TextureViewDimension::D2Array);
const NUMBERS: BindingType = texture(TextureSampleType::Uint, TextureViewDimension::D2);
const WRITTEN: BindingType = BindingType::StorageTexture {
    access: StorageTextureAccess::WriteOnly,
    format: BLUR_FORMAT,
    view_dimension: TextureViewDimension::D2,
};

const fn texture(sample_type: TextureSampleType, dimension: TextureViewDimension) -> BindingType {
    BindingType::Texture { sample_type, view_dimension: dimension, multisampled: false }
}

/// Bindings numbered from 0.
fn layout(
    device: &Device,
    label: &str,
    visibility: ShaderStages,
    types: &[BindingType],
) -> BindGroupLayout {
    let entries: Vec<_> = (0..)
        .zip(types)
        .map(|(binding, &ty)| BindGroupLayoutEntry { binding, visibility, ty, count: None })
        .collect();
    let descriptor = wgpu::BindGroupLayoutDescriptor { label: Some(label), entries: &entries };
    device.create_bind_group_layout(&descriptor)
}

/// A bind group whose bindings are numbered from 0.
pub fn bind_group(
    device: &Device,
    label: &str,
    layout: &BindGroupLayout,
    resources: &[wgpu::BindingResource<'_>],
) -> wgpu::BindGroup {
    let entries: Vec<_> = (0..)
        .zip(resources)
        .map(|(binding, resource)| wgpu::BindGroupEntry { binding, resource: resource.clone() })
        .collect();
    device.create_bind_group(&wgpu::BindGroupDescriptor {
        label: Some(label),
        layout,
        entries: &entries,
    })
}
