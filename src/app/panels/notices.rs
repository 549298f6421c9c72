//! News and errors, as cards over the canvas. Errors stay until they are closed.

use egui::{Align2, RichText};

use crate::app::{icons, settings::Notice, theme};

/// Shows the cards and drops those that are over.
pub fn show(ctx: &egui::Context, area: egui::Rect, notices: &mut Vec<Notice>) {
    let now = ctx.input(|i| i.time);
    notices.retain(|n| n.until.is_none_or(|until| now < until));
    if let Some(next) = notices.iter().filter_map(|n| n.until).min_by(f64::total_cmp) {
        ctx.request_repaint_after(std::time::Duration::from_secs_f64((next - now).max(0.05)));
    }
    let mut closed = None;
    egui::Area::new(egui::Id::unique("notices"))
        .order(egui::Order::Foreground)
        .pivot(Align2::CENTER_TOP)
        .fixed_pos(area.center_top() + egui::vec2(0.0, 14.0))
        .show(ctx, |ui| {
            ui.set_max_width((area.width() - 40.0).clamp(200.0, 560.0));
            for (i, notice) in notices.iter().enumerate() {
                if card(ui, notice) {
                    closed = Some(i);
                }
            }
        });
    if let Some(i) = closed {
        notices.remove(i);
    }
}

/// One card; true when its cross was pressed.
fn card(ui: &mut egui::Ui, notice: &Notice) -> bool {
    let edge = if notice.is_error { theme::ERROR } else { theme::LINE };
    let frame =
        egui::Frame::popup(ui.style()).fill(theme::RAISED).stroke(egui::Stroke::new(1.0, edge));
    frame
        .show(ui, |ui| {
            ui.horizontal(|ui| {
                let (glyph, color) = if notice.is_error {
                    (icons::WARNING, theme::ERROR)
                } else {
                    (icons::INFO, theme::TEXT_QUIET)
                };
                ui.label(theme::icon(glyph, 18.0).color(color));
                let text = RichText::new(&notice.text).color(theme::TEXT_BRIGHT);
                ui.add(egui::Label::new(text).wrap().selectable(true));
                let close = egui::Button::new(theme::icon(icons::CLOSE, 14.0)).frame(false);
                let response = ui.add(close);
                response.widget_info(|| {
                    egui::WidgetInfo::labeled(egui::Role::Button, true, "Close the message")
                });
                response.clicked()
            })
            .inner
        })
        .inner
}
