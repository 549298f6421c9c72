//! The one place where egui and the renderer meet: a paint callback that draws a scene.

use egui::{PaintCallbackInfo, Rect};
use egui_wgpu::{Callback, CallbackResources, CallbackTrait, RenderState, ScreenDescriptor};

use crate::render::{CanvasRenderer, Scene, shaders::ShaderError};

/// Puts a renderer where the callbacks find it.
///
/// # Errors
/// When the graphics driver refuses a shader.
pub fn install(state: &RenderState) -> Result<(), ShaderError> {
    let renderer = CanvasRenderer::new(&state.device, state.target_format)?;
    state.renderer.write().callback_resources.insert(renderer);
    Ok(())
}

/// A shape that draws `scene` at `rect`.
pub fn paint_callback(rect: Rect, scene: Scene) -> egui::PaintCallback {
    Callback::new_paint_callback(rect, DrawScene(scene))
}

struct DrawScene(Scene);

impl CallbackTrait for DrawScene {
    fn prepare(
        &self,
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        _screen: &ScreenDescriptor,
        encoder: &mut wgpu::CommandEncoder,
        resources: &mut CallbackResources,
    ) -> Vec<wgpu::CommandBuffer> {
        if let Some(renderer) = resources.get_mut::<CanvasRenderer>() {
            renderer.prepare(device, queue, encoder, &self.0);
        }
        Vec::new()
    }

    fn paint(
        &self,
        _info: PaintCallbackInfo,
        pass: &mut wgpu::RenderPass<'static>,
        resources: &CallbackResources,
    ) {
        if let Some(renderer) = resources.get::<CanvasRenderer>() {
            renderer.paint(pass);
        }
    }
}
