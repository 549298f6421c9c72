//! The few controls that panels share. Each has an accessible name and a tooltip that says what it
//! does to the picture.

use std::ops::RangeInclusive;

use egui::{Align, Button, FontId, Layout, Response, RichText, Role, Slider, Ui, Vec2, WidgetInfo};

use super::{
    commands::{Command, CommandQueue},
    shortcuts, theme,
};

/// Width of the names in front of sliders.
const NAME_WIDTH: f32 = 76.0;
/// Width of the number behind a slider.
const NUMBER_WIDTH: f32 = 62.0;

/// An icon button that pushes a command and names its key in the tooltip.
pub fn command_button(
    ui: &mut Ui,
    commands: &mut CommandQueue,
    text: (&str, &str, &str),
    command: Command,
    selected: bool,
) -> Response {
    sized_command_button(ui, commands, text, command, selected, Vec2::splat(34.0))
}

/// The same in another size, for lines that are lower than the toolbar's buttons.
pub fn sized_command_button(
    ui: &mut Ui,
    commands: &mut CommandQueue,
    (glyph, name, tip): (&str, &str, &str),
    command: Command,
    selected: bool,
    size: Vec2,
) -> Response {
    let key = shortcuts::key_of(ui.ctx(), &command);
    let title = if key.is_empty() { name.to_owned() } else { format!("{name}  ({key})") };
    let color = if selected { theme::ACCENT } else { theme::TEXT };
    let button = Button::new(theme::icon(glyph, 19.0).color(color))
        .min_size(size)
        .fill(if selected { theme::RAISED } else { egui::Color32::TRANSPARENT });
    let response = ui.add(button);
    let enabled = ui.is_enabled();
    response.widget_info(|| WidgetInfo::selected(Role::Button, enabled, selected, name));
    if response.clicked() {
        commands.push(command);
    }
    response.on_hover_text(tooltip(&title, tip)).on_disabled_hover_text(tooltip(&title, tip))
}

/// The one button that a panel is about.
pub fn primary_button(ui: &mut Ui, glyph: &str, text: &str, size: Vec2) -> Response {
    let mut job = egui::text::LayoutJob::default();
    let format = |family, size| egui::TextFormat {
        font_id: FontId::new(size, family),
        color: theme::ON_ACCENT,
        valign: Align::Center,
        ..Default::default()
    };
    job.append(glyph, 0.0, format(theme::icon_family(), 17.0));
    job.append(text, 7.0, format(theme::strong_family(), 14.0));
    ui.scope(|ui| {
        let widgets = &mut ui.visuals_mut().widgets;
        widgets.inactive.weak_bg_fill = theme::ACCENT;
        widgets.hovered.weak_bg_fill = theme::ACCENT_HOVERED;
        widgets.active.weak_bg_fill = theme::ACCENT_HOVERED;
        let response = ui.add_sized(size, Button::new(job));
        let enabled = ui.is_enabled();
        response.widget_info(|| WidgetInfo::labeled(Role::Button, enabled, text));
        response
    })
    .inner
}

/// How a labelled slider shows its number.
pub struct Scale {
    pub range: RangeInclusive<f64>,
    pub decimals: usize,
    pub step: f64,
    pub suffix: &'static str,
    pub logarithmic: bool,
}

impl Scale {
    pub fn new(range: RangeInclusive<f64>, decimals: usize, step: f64) -> Self {
        Self { range, decimals, step, suffix: "", logarithmic: false }
    }

    pub fn suffix(self, suffix: &'static str) -> Self {
        Self { suffix, ..self }
    }

    pub fn logarithmic(self) -> Self {
        Self { logarithmic: true, ..self }
    }
}

/// `name [----o-----] 0.75` on one line, aligned with its neighbours.
pub fn slider(ui: &mut Ui, name: &str, tip: &str, value: &mut f64, scale: Scale) -> Response {
    ui.horizontal(|ui| {
        let label = name_cell(ui, name);
        ui.spacing_mut().slider_width =
            (ui.available_width() - NUMBER_WIDTH - ui.spacing().item_spacing.x).max(40.0);
        let rail = Slider::new(value, scale.range.clone())
            .show_value(false)
            .step_by(scale.step)
            .logarithmic(scale.logarithmic);
        let response = ui.add(rail).labelled_by(label.id).on_hover_text(tip);
        let number = egui::DragValue::new(value)
            .range(scale.range)
            .speed(scale.step.max(0.01))
            .fixed_decimals(scale.decimals)
            .suffix(scale.suffix);
        let field = ui
            .add_sized([NUMBER_WIDTH, ui.spacing().interact_size.y], number)
            .labelled_by(label.id)
            .on_hover_text(tip);
        response.union(field)
    })
    .inner
}

/// `name` in the column that sliders keep for it, with room for one control behind it.
pub fn row<R>(ui: &mut Ui, name: &str, add: impl FnOnce(&mut Ui, egui::Id) -> R) -> R {
    ui.horizontal(|ui| {
        let label = name_cell(ui, name);
        add(ui, label.id)
    })
    .inner
}

fn name_cell(ui: &mut Ui, name: &str) -> Response {
    let size = egui::vec2(NAME_WIDTH, ui.spacing().interact_size.y);
    ui.allocate_ui_with_layout(size, Layout::left_to_right(Align::Center), |ui| {
        ui.set_min_size(size);
        ui.label(RichText::new(name).color(theme::TEXT))
    })
    .inner
}

fn tooltip(title: &str, tip: &str) -> String {
    if tip.is_empty() { title.to_owned() } else { format!("{title}\n{tip}") }
}

/// A short time for a person: "3 s", "2 min 5 s".
pub fn human_time(duration: std::time::Duration) -> String {
    let secs = duration.as_secs_f32();
    if secs < 10.0 {
        format!("{:.0} s", secs.ceil())
    } else if secs < 90.0 {
        format!("{secs:.0} s")
    } else {
        let whole = duration.as_secs();
        format!("{} min {} s", whole / 60, whole % 60)
    }
}

/// A thin bar of this name; moving stripes are not needed where no fraction is known, an empty rail says it too.
pub fn bar(ui: &mut Ui, fraction: Option<f32>, name: &str) {
    let size = egui::vec2(ui.available_width(), 5.0);
    let (rect, response) = ui.allocate_exact_size(size, egui::Sense::hover());
    response.widget_info(|| {
        let mut info = egui::WidgetInfo::labeled(egui::Role::ProgressIndicator, true, name);
        info.value = fraction.map(f64::from);
        info
    });
    ui.painter().rect_filled(rect, 2.5, theme::WELL);
    if let Some(fraction) = fraction {
        let filled = rect.with_max_x(rect.left() + rect.width() * fraction.clamp(0.0, 1.0));
        ui.painter().rect_filled(filled, 2.5, theme::ACCENT);
    }
}
