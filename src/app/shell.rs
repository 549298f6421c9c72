//! The window's state, and its two halves of a frame: `logic`, then `ui`.

use eframe::CreationContext;
use egui::Ui;

use super::{
    background::Background,
    canvas::{self, Canvas},
    commands::{Command, CommandQueue, Tool},
    controls::ControlChoice,
    guard::Guard,
    jobs::Jobs,
    journal::Keeping,
    launch::Options,
    library::Library,
    models::ModelChoice,
    panels::{
        generate::{self, GenerateView},
        help,
        memory::Foreseen,
        models as models_window, notices, result_bar,
        status::{self, StatusView},
        tool_options::{self, BrushSettings},
        tools::{self, ToolsView},
    },
    passes::ToldHandovers,
    prompt_counts::PromptCounts,
    reblending::Reblending,
    settings::{Notice, Overlay, Settings},
    shortcuts,
    smart_select::SmartSelect,
    theme,
};
use crate::{
    catalog::AutoencoderPlace,
    document::{
        Document,
        tools::{BrushMode, BrushTool, Tool as _},
    },
    engine::Engine,
    render::{MaskOverlay, StagedLayer},
};

/// The window.
pub struct App {
    pub(super) commands: CommandQueue,
    pub(super) document: Option<Document>,
    pub(super) canvas: Canvas,
    pub(super) tool: Tool,
    pub(super) brush: BrushSettings,
    brush_tool: BrushTool,
    eraser_tool: BrushTool,
    pub(super) smart_select: SmartSelect,
    pub(super) settings: Settings,
    pub(super) overlay: Overlay,
    foreseen: Foreseen,
    pub(super) models: Vec<ModelChoice>,
    pub(super) controlnets: Vec<ControlChoice>,
    /// Those that lie by themselves, without a model.
    pub(super) autoencoders: Vec<AutoencoderPlace>,
    pub(super) engine: Engine,
    pub(super) jobs: Jobs,
    pub(super) reblending: Reblending,
    pub(super) prompt_counts: PromptCounts,
    pub(super) handovers: ToldHandovers,
    pub(super) background: Background,
    pub(super) keeping: Keeping,
    pub(super) notices: Vec<Notice>,
    pub(super) guard: Guard,
    pub(super) help_open: bool,
    pub(super) library: Library,
    /// The file that Save writes to, once there is one.
    pub(super) saved_to: Option<std::path::PathBuf>,
    /// A mask that belongs to the picture that is being read.
    pub(super) mask_to_open: Option<std::path::PathBuf>,
    /// The staged result as the renderer wants it.
    pub(super) staged_layer: Option<StagedLayer>,
    /// Names contents for the renderer; only grows.
    pub(super) next_version: u64,
    /// Whether the compare button was held in the last frame.
    compare_held: bool,
    device: String,
}

impl App {
    /// A window on `engine`, which tells it to wake up by repainting `cc.egui_ctx`.
    pub fn new(cc: &CreationContext<'_>, options: Options, engine: Engine) -> Self {
        theme::install(&cc.egui_ctx);
        if let Some(state) = &cc.wgpu_render_state
            && let Err(why) = canvas::bridge::install(state)
        {
            log::error!("the canvas cannot be drawn: {why}");
        }
        let models = super::models::choices();
        let hub = options.hub.clone().unwrap_or_else(crate::hub::Settings::from_env);
        let loras = super::loras::choices(crate::catalog::LORAS.list(), &[]);
        let mut app = Self {
            commands: CommandQueue::default(),
            document: None,
            canvas: Canvas::default(),
            tool: Tool::Brush,
            brush: BrushSettings::default(),
            brush_tool: BrushTool::new(BrushMode::Paint, Default::default()),
            eraser_tool: BrushTool::new(BrushMode::Erase, Default::default()),
            smart_select: SmartSelect::new(),
            settings: Settings { loras, ..Settings::default() },
            overlay: Overlay::default(),
            foreseen: Foreseen::default(),
            models,
            controlnets: super::controls::choices(),
            autoencoders: crate::catalog::autoencoders(),
            engine,
            jobs: Jobs::default(),
            reblending: Reblending::default(),
            prompt_counts: PromptCounts::default(),
            handovers: ToldHandovers::default(),
            background: Background::new(cc.egui_ctx.clone()),
            keeping: Keeping::default(),
            notices: Vec::new(),
            guard: Guard::default(),
            help_open: false,
            library: Library::new(hub, &cc.egui_ctx),
            saved_to: None,
            mask_to_open: None,
            staged_layer: None,
            next_version: 1,
            compare_held: false,
            device: crate::engine::device_name(crate::engine::Device::Auto),
        };
        app.begin_session(options);
        app.look_at_shelf();
        app
    }

    /// Asks for something, as a panel or key would.
    pub fn push(&mut self, command: Command) {
        self.commands.push(command);
    }

    /// The document, if a picture is open.
    pub fn document(&self) -> Option<&Document> {
        self.document.as_ref()
    }

    /// What the panel at the right is set to.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Screen points per picture pixel, once a picture was shown.
    pub fn zoom(&self) -> Option<f32> {
        self.canvas.zoom()
    }

    /// The texts of all cards over the canvas.
    pub fn messages(&self) -> Vec<&str> {
        self.notices.iter().map(|n| n.text.as_str()).collect()
    }

    /// Shows a line for a while.
    pub(super) fn tell(&mut self, ctx: &egui::Context, text: impl Into<String>) {
        let until = ctx.input(|i| i.time) + Notice::LIFETIME.as_secs_f64();
        self.notices.push(Notice { text: text.into(), is_error: false, until: Some(until) });
    }

    /// Shows an error until it is closed. The same one is not shown twice.
    pub(super) fn complain(&mut self, text: impl Into<String>) {
        let notice = Notice { text: text.into(), is_error: true, until: None };
        if !self.notices.contains(&notice) {
            self.notices.push(notice);
        }
    }

    /// A number that names contents for the renderer.
    pub(super) fn version(&mut self) -> u64 {
        self.next_version += 1;
        self.next_version
    }

    /// Aborts the stroke that is being drawn; false if none is.
    pub(super) fn abort_stroke(&mut self) -> bool {
        let busy = self.canvas.is_drawing();
        self.canvas.release();
        if let Some(document) = &mut self.document {
            for tool in [&mut self.brush_tool, &mut self.eraser_tool] {
                // Tiles carry versions: the renderer sees by itself what changed.
                let _ = tool.cancel(document);
            }
        }
        busy
    }

    fn drive_tool(&mut self, ctx: &egui::Context) {
        let gathered = self.canvas.gather(ctx, self.tool);
        if self.tool == Tool::Select {
            return self.select_with(&gathered.events);
        }
        let Some(document) = &mut self.document else { return };
        let tool = match self.tool {
            Tool::Eraser => &mut self.eraser_tool,
            Tool::Brush | Tool::Select | Tool::Hand => &mut self.brush_tool,
        };
        tool.brush.size_px = self.brush.size as f32;
        tool.brush.hardness = self.brush.hardness as f32;
        tool.brush.opacity = self.brush.opacity as f32;
        for event in gathered.events {
            // Tiles carry versions: the renderer sees by itself what changed.
            let _ = tool.handle(event, document);
        }
    }

    fn toolbar(&mut self, ui: &mut Ui) {
        let view = ToolsView {
            tool: self.tool,
            has_document: self.document.is_some(),
            can_select: self.smart_select.is_available(),
            can_undo: self.document.as_ref().is_some_and(|d| d.history().undo_name().is_some()),
            can_redo: self.document.as_ref().is_some_and(|d| d.history().redo_name().is_some()),
        };
        let frame =
            egui::Frame::new().fill(theme::PANEL).inner_margin(egui::Margin::symmetric(9, 10));
        egui::Panel::left("tools").exact_size(tools::WIDTH).resizable(false).frame(frame).show(
            ui,
            |ui| {
                tools::show(ui, &view, &mut self.commands);
            },
        );
    }

    fn options_line(&mut self, ui: &mut Ui) {
        let frame =
            egui::Frame::new().fill(theme::PANEL).inner_margin(egui::Margin::symmetric(14, 4));
        let zoom = self.document.as_ref().and(self.canvas.zoom());
        egui::Panel::top("options").exact_size(46.0).resizable(false).frame(frame).show(ui, |ui| {
            let (brush, select) = (&mut self.brush, &mut self.smart_select);
            tool_options::show(ui, self.tool, brush, select, zoom, &mut self.commands);
        });
    }

    fn generate_panel(&mut self, ui: &mut Ui) {
        let strength = self.settings.strength;
        let mut view = GenerateView {
            foreseen: &mut self.foreseen,
            settings: &mut self.settings,
            overlay: &mut self.overlay,
            models: &self.models,
            controlnets: &self.controlnets,
            autoencoders: &self.autoencoders,
            jobs: &self.jobs,
            prompt_counts: &self.prompt_counts,
            handovers: &self.handovers,
            has_document: self.document.is_some(),
            has_staged: self.document.as_ref().is_some_and(|d| d.staged().is_some()),
            automatic_edge: self.reblending.automatic_edge(self.document.as_ref(), strength),
        };
        let panel = egui::Panel::right("generate").exact_size(generate::WIDTH).resizable(false);
        panel.frame(theme::panel_frame()).show(ui, |ui| {
            generate::show(ui, &mut view, &mut self.commands);
        });
    }

    fn status_line(&mut self, ui: &mut Ui) {
        let view = self.document.as_ref().map(|document| StatusView {
            name: document
                .metadata
                .path
                .as_deref()
                .and_then(|p| p.file_name())
                .map_or_else(|| "Untitled".to_owned(), |n| n.to_string_lossy().into_owned()),
            unsaved: document.is_modified(),
            extent: document.extent(),
            device: self.device.clone(),
        });
        let frame =
            egui::Frame::new().fill(theme::PANEL).inner_margin(egui::Margin::symmetric(14, 0));
        egui::Panel::bottom("status").exact_size(26.0).resizable(false).frame(frame).show(
            ui,
            |ui| {
                let news = self.library.news();
                status::show(ui, view.as_ref(), news, &mut self.commands);
            },
        );
    }

    fn canvas_area(&mut self, ui: &mut Ui) {
        let hovering = ui.ctx().input(|i| !i.raw.hovered_files.is_empty());
        let Some(document) = &self.document else {
            canvas::show_empty(ui, hovering, &mut self.commands);
            return;
        };
        let key_held =
            !ui.ctx().text_edit_focused() && ui.ctx().input(|i| i.key_down(shortcuts::COMPARE_KEY));
        let shown = canvas::Shown {
            document,
            tool: self.tool,
            brush_radius_px: self.brush.size as f32 / 2.0,
            brush_hardness: self.brush.hardness as f32,
            clicks: match self.tool {
                Tool::Select => self.smart_select.clicks(document),
                _ => &[],
            },
            overlay: MaskOverlay {
                visible: self.overlay.visible
                    && self.staged_layer.is_none()
                    && self.jobs.preview().is_none(),
                colour: self.overlay.color,
                opacity: self.overlay.opacity as f32,
                blur_radius_px: self.settings.mask_blur as f32,
                ..MaskOverlay::default()
            },
            staged: self.jobs.preview().or(self.staged_layer.as_ref()).cloned(),
            compare: self.compare_held || key_held,
        };
        self.canvas.show(ui, &shown);
        self.result_bar(ui.ctx());
    }

    fn result_bar(&mut self, ctx: &egui::Context) {
        self.compare_held = false;
        let staged = self.document.as_ref().and_then(|d| d.staged());
        if let (Some(staged), Some(rect), None) = (staged, self.canvas.rect(), self.jobs.running())
        {
            let view = result_bar::ResultView {
                index: staged.selected_index(),
                count: staged.patches().len(),
                seed: staged.selected().seed,
            };
            self.compare_held = result_bar::show(ctx, rect, &view, &mut self.commands);
        }
    }
}

impl eframe::App for App {
    fn logic(&mut self, ctx: &egui::Context, _frame: &mut eframe::Frame) {
        self.receive_engine_events(ctx);
        self.receive_background(ctx);
        self.receive_downloads(ctx);
        self.receive_drops_and_pastes(ctx);
        self.watch_close_button(ctx);
        self.drive_tool(ctx);
        for command in shortcuts::pressed(ctx) {
            self.commands.push(command);
        }
        for command in self.commands.drain() {
            self.execute(ctx, command);
        }
        self.count_prompts();
        self.keep_blended();
        self.ask_for_handovers();
        self.keep_journal(ctx);
    }

    fn on_exit(&mut self) {
        if self.may_close() {
            self.end_journal();
        }
    }

    fn ui(&mut self, ui: &mut Ui, _frame: &mut eframe::Frame) {
        self.toolbar(ui);
        self.generate_panel(ui);
        self.options_line(ui);
        self.status_line(ui);
        let central = egui::CentralPanel::no_frame();
        let area = central.show(ui, |ui| self.canvas_area(ui)).response.rect;
        notices::show(ui.ctx(), area, &mut self.notices);
        self.guard.show(ui.ctx(), &mut self.commands);
        models_window::show(ui.ctx(), &mut self.library, &self.settings.model, &mut self.commands);
        help::show(ui.ctx(), &mut self.help_open);
        if !self.commands.is_empty() {
            ui.ctx().request_repaint();
        }
    }
}
