//! Draws a scene without a window and reads the pixels back.

use std::sync::mpsc;

use super::{canvas::CanvasRenderer, scene::Scene};
use crate::{geometry::Extent, pixels::Picture};

/// What a renderer for [`render_to_picture`] is best made for: colours as they are, blended in
/// sRGB, as in the windows of most systems.
pub const READBACK_FORMAT: wgpu::TextureFormat = wgpu::TextureFormat::Rgba8Unorm;

/// Why a frame could not be read back.
#[derive(Debug, thiserror::Error)]
pub enum ReadbackError {
    /// The frame is empty or larger than the device's textures.
    #[error(
        "a frame of {extent} pixels cannot be drawn: this graphics device draws 1 to {limit} a side"
    )]
    Extent { extent: Extent, limit: u32 },
    /// The renderer draws to something else than RGBA bytes.
    #[error(
        "frames of the format {0:?} cannot be read back: make the renderer for {READBACK_FORMAT:?}"
    )]
    Format(wgpu::TextureFormat),
    /// The device was lost, or waiting for it failed.
    #[error("the graphics device did not finish the frame: {0}")]
    Device(String),
}

/// Draws the scene into a texture of `extent` pixels and waits for its pixels: sRGB, opaque. The
/// renderer must have been made for [`READBACK_FORMAT`] or its sRGB-encoding sibling.
///
/// # Errors
/// When the extent or the format is impossible or the device fails.
pub fn render_to_picture(
    device: &wgpu::Device,
    queue: &wgpu::Queue,
    renderer: &mut CanvasRenderer,
    scene: &Scene,
    extent: Extent,
) -> Result<Picture, ReadbackError> {
    let limit = device.limits().max_texture_dimension_2d;
    if extent.is_empty() || extent.width.max(extent.height) > limit {
        return Err(ReadbackError::Extent { extent, limit });
    }
    let format = renderer.target_format();
    if format.remove_srgb_suffix() != READBACK_FORMAT {
        return Err(ReadbackError::Format(format));
    }
    let target = create_target(device, extent, format);
    let mut encoder = device.create_command_encoder(&Default::default());
    renderer.prepare(device, queue, &mut encoder, scene);
    paint_to(&mut encoder, renderer, &target);
    let stride = stride(extent);
    let buffer = copy_to_buffer(device, &mut encoder, &target, stride);
    queue.submit([encoder.finish()]);
    read(device, &buffer, extent, stride)
}

fn create_target(
    device: &wgpu::Device,
    extent: Extent,
    format: wgpu::TextureFormat,
) -> wgpu::Texture {
    device.create_texture(&wgpu::TextureDescriptor {
        label: Some("readback"),
        size: wgpu::Extent3d {
            width: extent.width,
            height: extent.height,
            depth_or_array_layers: 1,
        },
        mip_level_count: 1,
        sample_count: 1,
        dimension: wgpu::TextureDimension::D2,
        format,
        usage: wgpu::TextureUsages::RENDER_ATTACHMENT | wgpu::TextureUsages::COPY_SRC,
        view_formats: &[],
    })
}

fn paint_to(encoder: &mut wgpu::CommandEncoder, renderer: &CanvasRenderer, target: &wgpu::Texture) {
    let view = target.create_view(&Default::default());
    let attachment = wgpu::RenderPassColorAttachment {
        view: &view,
        depth_slice: None,
        resolve_target: None,
        ops: wgpu::Operations {
            load: wgpu::LoadOp::Clear(wgpu::Color::BLACK),
            store: wgpu::StoreOp::Store,
        },
    };
    let mut pass = encoder.begin_render_pass(&wgpu::RenderPassDescriptor {
        label: Some("readback"),
        color_attachments: &[Some(attachment)],
        ..Default::default()
    });
    renderer.paint(&mut pass);
}

/// Bytes from row to row, as copies to buffers want them.
fn stride(extent: Extent) -> u32 {
    (extent.width * 4).next_multiple_of(wgpu::COPY_BYTES_PER_ROW_ALIGNMENT)
}

fn copy_to_buffer(
    device: &wgpu::Device,
    encoder: &mut wgpu::CommandEncoder,
    target: &wgpu::Texture,
    stride: u32,
) -> wgpu::Buffer {
    let buffer = device.create_buffer(&wgpu::BufferDescriptor {
        label: Some("readback"),
        size: u64::from(stride) * u64::from(target.height()),
        usage: wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::MAP_READ,
        mapped_at_creation: false,
    });
    let layout = wgpu::TexelCopyBufferLayout {
        offset: 0,
        bytes_per_row: Some(stride),
        rows_per_image: None,
    };
    let to = wgpu::TexelCopyBufferInfo { buffer: &buffer, layout };
    encoder.copy_texture_to_buffer(target.as_image_copy(), to, target.size());
    buffer
}

fn read(
    device: &wgpu::Device,
    buffer: &wgpu::Buffer,
    extent: Extent,
    stride: u32,
) -> Result<Picture, ReadbackError> {
    let failed = |error: &dyn std::fmt::Display| ReadbackError::Device(error.to_string());
    let (sender, receiver) = mpsc::sync_channel(1);
    // The receiver is there until the end of this function, so nothing is lost if sending fails.
    buffer.map_async(wgpu::MapMode::Read, .., move |result| drop(sender.send(result)));
    device.poll(wgpu::PollType::wait_indefinitely()).map_err(|error| failed(&error))?;
    let mapped = receiver.recv().map_err(|error| failed(&error))?;
    mapped.map_err(|error| failed(&error))?;
    let bytes = buffer.get_mapped_range(..).map_err(|error| failed(&error))?;
    let mut picture = Picture::new(extent);
    for (y, row) in (0..extent.height).zip(bytes.chunks_exact(stride as usize)) {
        picture.row_mut(y).copy_from_slice(&row[..extent.width as usize * Picture::CHANNELS]);
    }
    Ok(picture)
}
