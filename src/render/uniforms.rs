//! The structs that shaders read, byte for byte as WGSL lays them out.

use bytemuck::{Pod, Zeroable};

/// `Frame` of `common.wgsl`; the meaning of the fields stands there.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
pub struct FrameUniform {
    pub origin: [f32; 2],
    pub size: [f32; 2],
    pub background: [f32; 4],
    pub overlay: [f32; 4],
    pub cursor: [f32; 4],
    pub zoom: f32,
    pub pixels_per_point: f32,
    pub wipe: f32,
    pub outline_phase: f32,
    pub blurred: [i32; 4],
    pub overlay_inverted: u32,
    pub target_is_linear: u32,
    pub padding: [u32; 2],
}

/// `Layer` of `tiles.wgsl`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
pub struct LayerUniform {
    pub origin: [f32; 2],
    pub scale: f32,
    pub padding: f32,
    pub extent: [i32; 2],
    pub first_tile: [i32; 2],
}

/// `Box` of `blur_common.wgsl`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
pub struct BoxUniform {
    pub extent: [i32; 2],
    pub radius: i32,
    pub weight: u32,
    pub edge_weight: u32,
    pub padding: u32,
}

/// A buffer that holds one of these structs.
pub fn uniform_buffer<T: Pod>(device: &wgpu::Device, label: &str) -> wgpu::Buffer {
    device.create_buffer(&wgpu::BufferDescriptor {
        label: Some(label),
        size: size_of::<T>() as u64,
        usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
        mapped_at_creation: false,
    })
}

#[cfg(test)]
mod tests {
    use std::mem::offset_of;

    use super::*;
    use crate::render::shaders::ShaderSources;

    /// Name and byte offset of each member of a WGSL struct.
    fn members(shader: &str, name: &str) -> Vec<(String, usize)> {
        let text = ShaderSources::built_in().text(shader).unwrap();
        let module = naga::front::wgsl::parse_str(&text).unwrap();
        let (_, found) = module
            .types
            .iter()
            .find(|(_, ty)| ty.name.as_deref() == Some(name))
            .expect("the struct is in the shader");
        let naga::TypeInner::Struct { members, .. } = &found.inner else { panic!("a struct") };
        members.iter().map(|m| (m.name.clone().unwrap(), m.offset as usize)).collect()
    }

    macro_rules! assert_same_layout {
        ($shader:literal, $name:literal, $rust:ty, $($field:ident),+) => {
            let expected = [$((stringify!($field).to_owned(), offset_of!($rust, $field))),+];
            assert_eq!(members($shader, $name), expected);
        };
    }

    #[test]
    fn structs_lie_as_the_shaders_read_them() {
        assert_same_layout!(
            "picture.wgsl",
            "Frame",
            FrameUniform,
            origin,
            size,
            background,
            overlay,
            cursor,
            zoom,
            pixels_per_point,
            wipe,
            outline_phase,
            blurred,
            overlay_inverted,
            target_is_linear,
            padding
        );
        assert_same_layout!(
            "picture.wgsl",
            "Layer",
            LayerUniform,
            origin,
            scale,
            padding,
            extent,
            first_tile
        );
        assert_same_layout!(
            "blur_vertical.wgsl",
            "Box",
            BoxUniform,
            extent,
            radius,
            weight,
            edge_weight
        );
    }
}
