//! What each command does. One arm, one call.

use super::{
    App, Command, Tool, background::Purpose, guard::Intent, settings::SeedChoice,
    smart_select::missing_weights,
};

impl App {
    pub(super) fn execute(&mut self, ctx: &egui::Context, command: Command) {
        match command {
            Command::ChooseFile => self.ask_for(Purpose::Open),
            Command::OpenSample => self.intend(ctx, Intent::OpenSample),
            Command::OpenPath(path) => self.intend(ctx, Intent::Open(path)),
            Command::Save => self.save(),
            Command::SaveAs => self.ask_for(Purpose::Save),
            Command::SaveTo(path) => self.save_to(path),
            Command::CopyPicture => self.copy_picture(ctx),
            Command::CloseAnyway => self.close_anyway(ctx),
            Command::Undo => self.step_history(true),
            Command::Redo => self.step_history(false),
            Command::ClearMask => self.change_mask(|d| d.clear_mask()),
            Command::InvertMask => self.change_mask(|d| d.invert_mask()),
            Command::FillMask => self.change_mask(|d| d.fill_mask()),
            Command::SelectTool(tool) => self.select_tool(tool),
            Command::NewObject => self.smart_select.forget(),
            Command::ScaleBrush(factor) => self.brush.scale(f64::from(factor)),
            Command::AddHardness(by) => self.add_hardness(f64::from(by)),
            Command::SetOpacity(opacity) => self.brush.opacity = f64::from(opacity),
            Command::FitView => self.canvas.fit(),
            Command::ActualSize => self.canvas.zoom_to(1.0 / ctx.pixels_per_point()),
            Command::ZoomBy(factor) => self.canvas.zoom_by(factor),
            Command::ToggleOverlay => self.overlay.visible = !self.overlay.visible,
            Command::Generate => self.generate(ctx),
            Command::Cancel => self.cancel(),
            Command::Accept => self.accept(),
            Command::Discard => self.discard(),
            Command::SelectResult(by) => self.select_result(by),
            Command::UseSeed(seed) => self.use_seed(ctx, seed),
            Command::ChooseModelFolder => self.ask_for(Purpose::ModelFolder),
            Command::ChooseModelFile => self.ask_for(Purpose::ModelFile),
            Command::ChooseControlFile => self.ask_for(Purpose::ControlFile),
            Command::ChooseControlFolder => self.ask_for(Purpose::ControlFolder),
            Command::ChooseControlImage(index) => self.ask_for(Purpose::ControlImage(index)),
            Command::AddControl(id) => self.add_control(id),
            Command::UseControlImage(index, path) => self.use_control_image(index, path),
            Command::UseModel(id) => self.use_model(id),
            Command::ChooseLoraFolder => self.ask_for(Purpose::LoraFolder),
            Command::AddLoraFolder(folder) => self.add_lora_folder(&folder),
            Command::FindLoras => self.find_loras(),
            Command::ChooseEmbeddingFolder => self.ask_for(Purpose::EmbeddingFolder),
            Command::AddEmbeddingFolder(folder) => self.add_embedding_folder(&folder),
            Command::FindEmbeddings => self.find_embeddings(),
            Command::UseLora(path) => self.use_lora(path),
            Command::UseFewSteps(wanted) => self.use_few_steps(wanted),
            Command::UseEmbedding(path) => self.use_embedding(&path),
            Command::ChooseAutoencoderFolder => self.ask_for(Purpose::AutoencoderFolder),
            Command::ChooseAutoencoderFile => self.ask_for(Purpose::AutoencoderFile),
            Command::UseAutoencoder(path) => self.use_autoencoder(path),
            Command::Library(ask) => self.ask_library(ask),
            Command::OpenPage(address) => super::pages::open(ctx, &address),
            Command::ToggleHelp => self.help_open = !self.help_open,
            Command::Escape => self.escape(),
        }
    }

    /// Leaves the innermost thing that is going on.
    fn escape(&mut self) {
        if self.abort_stroke() {
        } else if self.help_open {
            self.help_open = false;
        } else if self.guard.is_open() {
            self.guard.close();
        } else if self.library.open {
            self.library.open = false;
        } else if self.jobs.running().is_some() {
            self.cancel();
        } else if self.cancel_selection() {
        } else {
            self.notices.clear();
        }
    }

    fn select_tool(&mut self, tool: Tool) {
        self.abort_stroke();
        // Looked for anew each time: the file may have come meanwhile.
        if tool == Tool::Select && !self.smart_select.find_weights() {
            return self.complain(missing_weights());
        }
        self.tool = tool;
        if tool == Tool::Select {
            self.prepare_smart_select();
        }
    }

    fn add_hardness(&mut self, by: f64) {
        self.brush.hardness = ((self.brush.hardness + by) * 20.0).round().clamp(0.0, 20.0) / 20.0;
    }

    fn step_history(&mut self, back: bool) {
        self.canvas.release();
        if let Some(document) = &mut self.document {
            // Tiles carry versions: the renderer sees by itself what changed.
            let _ = if back { document.undo() } else { document.redo() };
        }
    }

    fn change_mask(
        &mut self,
        change: impl FnOnce(&mut crate::document::Document) -> crate::document::Effects,
    ) {
        self.abort_stroke();
        if let Some(document) = &mut self.document {
            // Tiles carry versions: the renderer sees by itself what changed.
            let _ = change(document);
        }
    }

    fn use_seed(&mut self, ctx: &egui::Context, seed: u64) {
        self.settings.seed = seed;
        self.settings.seed_choice = SeedChoice::Fixed;
        self.tell(ctx, format!("The next run uses seed {seed}"));
    }
}
