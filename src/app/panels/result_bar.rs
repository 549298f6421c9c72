//! The bar under a result that waits on the canvas: look, choose, accept or discard.

use egui::{Align2, RichText};

use crate::app::{
    commands::{Command, CommandQueue},
    icons, theme, widgets,
};

/// What the bar needs to know of the staged results.
pub struct ResultView {
    /// Which of how many, from 0.
    pub index: usize,
    pub count: usize,
    pub seed: u64,
}

/// Shows the bar at the foot of the canvas. True while the compare button is held.
pub fn show(
    ctx: &egui::Context,
    canvas: egui::Rect,
    view: &ResultView,
    commands: &mut CommandQueue,
) -> bool {
    let frame = egui::Frame::popup(&ctx.global_style())
        .fill(theme::PANEL)
        .inner_margin(egui::Margin::symmetric(8, 6));
    egui::Area::new(egui::Id::unique("result"))
        .order(egui::Order::Middle)
        .pivot(Align2::CENTER_BOTTOM)
        .fixed_pos(canvas.center_bottom() - egui::vec2(0.0, 16.0))
        .show(ctx, |ui| {
            frame.show(ui, |ui| ui.horizontal(|ui| contents(ui, view, commands)).inner).inner
        })
        .inner
}

fn contents(ui: &mut egui::Ui, view: &ResultView, commands: &mut CommandQueue) -> bool {
    ui.spacing_mut().item_spacing.x = 6.0;
    if view.count > 1 {
        let previous = (icons::PREVIOUS, "Previous result", "");
        widgets::command_button(ui, commands, previous, Command::SelectResult(-1), false);
        ui.label(
            RichText::new(format!("{} of {}", view.index + 1, view.count)).color(theme::TEXT_QUIET),
        );
        let next = (icons::NEXT, "Next result", "");
        widgets::command_button(ui, commands, next, Command::SelectResult(1), false);
    }
    let seed =
        egui::Button::new(RichText::new(format!("Seed {}", view.seed)).color(theme::TEXT_QUIET))
            .frame(false)
            .min_size(egui::vec2(0.0, 34.0));
    if ui.add(seed).on_hover_text("Use this seed for the next run").clicked() {
        commands.push(Command::UseSeed(view.seed));
    }
    let before = ui
        .add(egui::Button::new("Original").min_size(egui::vec2(0.0, 34.0)))
        .on_hover_text("Hold to see the picture without the result  (\\)");
    if ui
        .add(egui::Button::new("Discard").min_size(egui::vec2(0.0, 34.0)))
        .on_hover_text("Delete")
        .clicked()
    {
        commands.push(Command::Discard);
    }
    let accept = widgets::primary_button(ui, icons::CHECK, "Accept", egui::vec2(96.0, 34.0));
    if accept.on_hover_text("Makes the result part of the picture  (Enter)").clicked() {
        commands.push(Command::Accept);
    }
    before.is_pointer_button_down_on()
}
