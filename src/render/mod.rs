//! The canvas on the graphics card: tiles, mask, results, brush outline. wgpu only: the window
//! toolkit meets it in one file of [`crate::app`].
//!
//! Give [`CanvasRenderer`] a [`Scene`] each frame: `prepare` before the render pass, `paint` inside
//! it. Between frames it keeps what it uploaded, and compares versions to know what is stale.
//!
//! **Colour**: pixels are sRGB-encoded with straight alpha in the document and in textures
//! (`Rgba8Unorm`, not the `Srgb` variant: nothing decodes them). Shaders multiply by alpha after
//! reading and blend premultiplied colours in sRGB, so that what is shown equals what
//! [`crate::pixels`] computes. Only when the window's format itself encodes sRGB do shaders decode
//! before they write; blends then happen in linear light.

mod adapters;
mod box_blur;
mod canvas;
mod layer;
mod layouts;
mod mask_blur;
mod pipelines;
mod pyramid;
mod readback;
mod scene;
pub mod shaders;
mod slots;
mod tile_source;
mod tiles;
mod uniforms;

pub use adapters::adapter_names;
pub use canvas::{CanvasRenderer, Work};
pub use readback::{READBACK_FORMAT, ReadbackError, render_to_picture};
pub use scene::{Compare, Cursor, MaskOverlay, Scene, StagedLayer, Viewport};
