//! Nothing is lost by accident: what would throw unsaved changes away asks first.

use std::{path::PathBuf, sync::Arc};

use egui::{Align2, RichText};

use super::{
    App,
    background::Purpose,
    commands::{Command, CommandQueue},
    theme,
};
use crate::pixels::Picture;

/// Something that replaces the document or ends the program.
#[derive(Clone)]
pub enum Intent {
    Close,
    Open(PathBuf),
    OpenSample,
    Paste(Arc<Picture>),
}

impl Intent {
    fn question(&self) -> &'static str {
        match self {
            Self::Close => "Close without saving?",
            Self::Open(_) | Self::OpenSample => "Open another picture without saving this one?",
            Self::Paste(_) => "Paste as a new picture without saving this one?",
        }
    }
}

/// The question that is open, if one is.
#[derive(Default)]
pub struct Guard {
    asking: Option<Intent>,
    /// What to go on with once the picture is saved.
    after_saving: Option<Intent>,
    /// A path that is being typed.
    typing: Option<(Purpose, String)>,
    /// The person has said that the window may close.
    closing: bool,
}

impl Guard {
    pub fn is_open(&self) -> bool {
        self.asking.is_some() || self.typing.is_some()
    }

    pub fn close(&mut self) {
        self.asking = None;
        self.after_saving = None;
        self.typing = None;
    }

    /// Nothing was saved after all, so what should have followed does not.
    pub fn stay(&mut self) {
        self.after_saving = None;
    }

    /// Asks for a path in words, where the desktop has no file dialog.
    pub fn ask_for_path(&mut self, purpose: Purpose, suggestion: PathBuf) {
        self.typing = Some((purpose, suggestion.to_string_lossy().into_owned()));
    }

    /// Paints the question.
    pub fn show(&mut self, ctx: &egui::Context, commands: &mut CommandQueue) {
        self.show_typing(ctx, commands);
        let Some(intent) = self.asking.clone() else { return };
        egui::Window::new("Unsaved changes")
            .collapsible(false)
            .resizable(false)
            .anchor(Align2::CENTER_CENTER, egui::Vec2::ZERO)
            .show(ctx, |ui| {
                ui.label(RichText::new(intent.question()).color(theme::TEXT_BRIGHT));
                ui.add_space(theme::GROUP_GAP);
                ui.horizontal(|ui| {
                    if ui.button("Save first").clicked() {
                        self.after_saving = self.asking.take();
                        commands.push(Command::Save);
                    }
                    if ui.button("Go on without saving").clicked() {
                        commands.push(Command::CloseAnyway);
                    }
                    if ui.button("Stay").clicked() {
                        self.asking = None;
                    }
                });
            });
    }
}

impl Guard {
    fn show_typing(&mut self, ctx: &egui::Context, commands: &mut CommandQueue) {
        let Some((purpose, mut path)) = self.typing.take() else { return };
        let mut decided = None;
        egui::Window::new(purpose.title())
            .collapsible(false)
            .resizable(false)
            .anchor(Align2::CENTER_CENTER, egui::Vec2::ZERO)
            .show(ctx, |ui| {
                let why = ui.label("This desktop shows no file dialog, so type the path:");
                let field = egui::TextEdit::singleline(&mut path).desired_width(420.0);
                let response = ui.add(field).labelled_by(why.id);
                let entered =
                    response.lost_focus() && ui.input(|i| i.key_pressed(egui::Key::Enter));
                if !entered && !ui.memory(|m| m.focused().is_some()) {
                    response.request_focus();
                }
                ui.add_space(theme::GAP);
                ui.horizontal(|ui| {
                    let ok = ui.button("OK").clicked() || entered;
                    let cancel = ui.button("Cancel").clicked();
                    decided = if ok { Some(true) } else { cancel.then_some(false) };
                });
            });
        match decided {
            None => self.typing = Some((purpose, path)),
            Some(false) => self.after_saving = None,
            Some(true) => commands.push(purpose.command(path.into())),
        }
    }
}

impl App {
    /// Does what is intended, or asks first if it would lose changes.
    pub(super) fn intend(&mut self, ctx: &egui::Context, intent: Intent) {
        if self.has_something_to_lose() {
            self.guard.asking = Some(intent);
        } else {
            self.carry_out(ctx, intent);
        }
    }

    /// The person agreed to lose the changes.
    pub(super) fn close_anyway(&mut self, ctx: &egui::Context) {
        if let Some(intent) = self.guard.asking.take() {
            self.carry_out(ctx, intent);
        }
    }

    /// Goes on with what "Save first" put off. A result that still waits is asked about again.
    pub(super) fn go_on_after_saving(&mut self, ctx: &egui::Context) {
        if let Some(intent) = self.guard.after_saving.take() {
            self.intend(ctx, intent);
        }
    }

    fn carry_out(&mut self, ctx: &egui::Context, intent: Intent) {
        match intent {
            Intent::Close => {
                self.guard.closing = true;
                ctx.send_viewport_cmd(egui::ViewportCommand::Close);
            }
            Intent::Open(path) => {
                let mask = self.mask_to_open.take();
                self.background.read_picture(path, mask);
            }
            Intent::OpenSample => self.open_sample(),
            Intent::Paste(picture) => self.open_picture(&picture, None),
        }
    }

    /// The window's own close button goes through the same question.
    pub(super) fn watch_close_button(&mut self, ctx: &egui::Context) {
        let asked = ctx.input(|i| i.viewport().close_requested());
        if asked && !self.may_close() {
            ctx.send_viewport_cmd(egui::ViewportCommand::CancelClose);
            self.guard.asking = Some(Intent::Close);
        }
    }

    /// Whether nothing is lost when the window closes, or the person has agreed.
    pub(super) fn may_close(&self) -> bool {
        self.guard.closing || !self.has_something_to_lose()
    }

    /// Changes that no file has, or a result that was neither accepted nor discarded.
    fn has_something_to_lose(&self) -> bool {
        self.document.as_ref().is_some_and(|d| d.is_modified() || d.staged().is_some())
    }
}
