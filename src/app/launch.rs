//! From arguments to a window, or to one line that says why there is none.

use std::{path::PathBuf, sync::Arc};

use anyhow::{Context as _, bail};

use super::{App, commands::Command};
use crate::engine::Engine;

/// What the window opens with.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// `None` is the sample picture.
    pub picture: Option<PathBuf>,
    pub mask: Option<PathBuf>,
    pub model: Option<String>,
    /// Where the window keeps what must survive it, such as journals; `None` keeps nothing.
    pub state: Option<PathBuf>,
    /// Opens with no picture at all.
    pub empty: bool,
    /// How the hub is reached; `None` is as the environment says.
    pub hub: Option<crate::hub::Settings>,
    /// What to run where there is no window: shown when none can be opened.
    pub headless_command: String,
}

/// The window's least size, in points.
const MIN_SIZE: [f32; 2] = [860.0, 560.0];
const FIRST_SIZE: [f32; 2] = [1280.0, 720.0];

/// Opens the window and returns when it closes.
///
/// # Errors
/// When there is no display or no graphics driver; the text names the headless command.
pub fn run(options: Options) -> anyhow::Result<()> {
    if !has_display() {
        bail!("there is no display here. Without one: {}", options.headless_command);
    }
    let headless_command = options.headless_command.clone();
    let native = eframe::NativeOptions {
        viewport: egui::ViewportBuilder::default()
            .with_title("Overpaint")
            .with_app_id("overpaint")
            .with_inner_size(FIRST_SIZE)
            .with_min_inner_size(MIN_SIZE)
            .with_icon(icon()?),
        renderer: eframe::Renderer::Wgpu,
        ..Default::default()
    };
    let result = eframe::run_native(
        "Overpaint",
        native,
        Box::new(move |cc| {
            let ctx = cc.egui_ctx.clone();
            let engine = Engine::start(
                crate::engine::diffusion_backend,
                Arc::new(move || ctx.request_repaint()),
            )?;
            Ok(Box::new(App::new(cc, options, engine)))
        }),
    );
    result.map_err(|why| {
        anyhow::anyhow!("the window could not be opened ({why}). Without one: {headless_command}")
    })
}

impl App {
    /// Opens what the command line named.
    pub(super) fn apply_options(&mut self, options: Options) {
        match options.model {
            Some(model) => self.use_model(model),
            None => self.use_model(crate::catalog::default_id().to_owned()),
        }
        match (options.picture, options.empty) {
            (Some(path), _) => self.commands.push(Command::OpenPath(path)),
            (None, true) => {}
            (None, false) => self.open_sample(),
        }
        if let Some(path) = options.mask {
            self.mask_to_open = Some(path);
        }
    }
}

/// Whether a window can be asked for at all. On X11 and Wayland the display is named by a variable;
/// elsewhere there always is one.
fn has_display() -> bool {
    if cfg!(all(unix, not(target_os = "macos"))) {
        ["DISPLAY", "WAYLAND_DISPLAY"]
            .iter()
            .any(|name| std::env::var_os(name).is_some_and(|v| !v.is_empty()))
    } else {
        true
    }
}

fn icon() -> anyhow::Result<egui::IconData> {
    eframe::icon_data::from_png_bytes(include_bytes!("../../assets/icon.png"))
        .context("the window icon")
}
