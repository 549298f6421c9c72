//! Colours, type and spacing. Quiet and dark: the picture is the brightest thing on the screen, and
//! one accent (ochre) marks the one thing to do next.

use std::sync::Arc;

use egui::{
    Color32, CornerRadius, FontData, FontDefinitions, FontFamily, FontId, Margin, Stroke,
    TextStyle, Visuals, style::WidgetVisuals,
};

/// Behind the picture.
pub const CANVAS: Color32 = Color32::from_rgb(0x13, 0x14, 0x16);
/// Panels around the canvas.
pub const PANEL: Color32 = Color32::from_rgb(0x1b, 0x1d, 0x20);
/// Text fields and slider rails: below the panel.
pub const WELL: Color32 = Color32::from_rgb(0x12, 0x13, 0x15);
/// Buttons at rest: above the panel.
pub const RAISED: Color32 = Color32::from_rgb(0x2a, 0x2d, 0x32);
pub const HOVERED: Color32 = Color32::from_rgb(0x36, 0x3a, 0x40);
pub const LINE: Color32 = Color32::from_rgb(0x2f, 0x32, 0x37);
pub const TEXT: Color32 = Color32::from_rgb(0xd2, 0xd4, 0xd8);
pub const TEXT_BRIGHT: Color32 = Color32::from_rgb(0xf2, 0xf3, 0xf5);
/// Secondary text: 5.6:1 on the panel.
pub const TEXT_QUIET: Color32 = Color32::from_rgb(0x96, 0x9c, 0xa6);
pub const ACCENT: Color32 = Color32::from_rgb(0xe3, 0xa4, 0x4a);
pub const ACCENT_HOVERED: Color32 = Color32::from_rgb(0xf0, 0xb6, 0x62);
/// Text on the accent.
pub const ON_ACCENT: Color32 = Color32::from_rgb(0x1d, 0x15, 0x08);
/// What is well. 7:1 on the panel.
pub const GOOD: Color32 = Color32::from_rgb(0x8f, 0xba, 0x94);
pub const ERROR: Color32 = Color32::from_rgb(0xf0, 0x7b, 0x6b);

/// Between controls of one group, in points.
pub const GAP: f32 = 8.0;
/// Between groups.
pub const GROUP_GAP: f32 = 14.0;
/// Inside panels, at their edges.
pub const PANEL_MARGIN: i8 = 14;

const ROUND: CornerRadius = CornerRadius::same(6);

/// The icon font's family.
pub fn icon_family() -> FontFamily {
    FontFamily::Name("icons".into())
}

/// Medium weight of the text font, for buttons and labels of groups.
pub fn medium_family() -> FontFamily {
    FontFamily::Name("medium".into())
}

/// Semi-bold weight of the text font, for titles.
pub fn strong_family() -> FontFamily {
    FontFamily::Name("strong".into())
}

/// An icon as text of `size` points.
pub fn icon(glyph: &str, size: f32) -> egui::RichText {
    egui::RichText::new(glyph).font(FontId::new(size, icon_family()))
}

/// A group's heading.
pub fn heading(text: &str) -> egui::RichText {
    egui::RichText::new(text).font(FontId::new(13.0, medium_family())).color(TEXT_QUIET)
}

/// A quieter frame for panels.
pub fn panel_frame() -> egui::Frame {
    egui::Frame::new().fill(PANEL).inner_margin(Margin::same(PANEL_MARGIN))
}

/// Fonts and style for every frame that follows.
pub fn install(ctx: &egui::Context) {
    ctx.set_fonts(fonts());
    ctx.set_theme(egui::Theme::Dark);
    ctx.set_visuals_of(egui::Theme::Dark, visuals());
    ctx.all_styles_mut(|style| {
        style.text_styles = [
            (TextStyle::Small, FontId::new(11.5, FontFamily::Proportional)),
            (TextStyle::Body, FontId::new(13.0, FontFamily::Proportional)),
            (TextStyle::Button, FontId::new(13.0, medium_family())),
            (TextStyle::Heading, FontId::new(17.0, strong_family())),
            (TextStyle::Monospace, FontId::new(12.5, FontFamily::Monospace)),
        ]
        .into();
        let spacing = &mut style.spacing;
        spacing.item_spacing = egui::vec2(GAP, GAP);
        spacing.button_padding = egui::vec2(10.0, 5.0);
        spacing.interact_size = egui::vec2(36.0, 26.0);
        spacing.slider_rail_height = 4.0;
        spacing.menu_margin = Margin::same(8);
        spacing.window_margin = Margin::same(18);
        spacing.tooltip_width = 280.0;
        style.interaction.tooltip_delay = 0.45;
        style.interaction.selectable_labels = false;
    });
}

fn fonts() -> FontDefinitions {
    let mut fonts = FontDefinitions::default();
    let fallback = fonts.families[&FontFamily::Proportional].clone();
    let mut add = |name: &str, bytes: &'static [u8], family: FontFamily| {
        fonts.font_data.insert(name.to_owned(), Arc::new(FontData::from_static(bytes)));
        let mut names = vec![name.to_owned()];
        names.extend(fallback.iter().cloned());
        fonts.families.insert(family, names);
    };
    add("Inter", include_bytes!("../../assets/fonts/Inter-Regular.otf"), FontFamily::Proportional);
    add("Inter Medium", include_bytes!("../../assets/fonts/Inter-Medium.otf"), medium_family());
    add("Inter SemiBold", include_bytes!("../../assets/fonts/Inter-SemiBold.otf"), strong_family());
    add("Phosphor", include_bytes!("../../assets/fonts/Phosphor-subset.ttf"), icon_family());
    fonts
}

fn visuals() -> Visuals {
    let mut v = Visuals::dark();
    v.panel_fill = PANEL;
    v.window_fill = PANEL;
    v.window_stroke = Stroke::new(1.0, LINE);
    v.window_corner_radius = CornerRadius::same(10);
    v.menu_corner_radius = CornerRadius::same(8);
    v.extreme_bg_color = WELL;
    v.text_edit_bg_color = Some(WELL);
    v.faint_bg_color = RAISED;
    v.weak_text_color = Some(TEXT_QUIET);
    v.error_fg_color = ERROR;
    v.warn_fg_color = ACCENT;
    v.hyperlink_color = ACCENT;
    v.selection.bg_fill = ACCENT.gamma_multiply(0.35);
    v.selection.stroke = Stroke::new(1.0, ACCENT_HOVERED);
    v.slider_trailing_fill = true;
    v.handle_shape = egui::style::HandleShape::Circle;
    v.disabled_alpha = 0.45;
    v.interact_cursor = Some(egui::CursorIcon::PointingHand);
    let widget = |fill: Color32, line: Color32, text: Color32| WidgetVisuals {
        bg_fill: fill,
        weak_bg_fill: fill,
        bg_stroke: Stroke::new(1.0, line),
        corner_radius: ROUND,
        fg_stroke: Stroke::new(1.0, text),
        expansion: 0.0,
    };
    v.widgets.noninteractive = widget(PANEL, LINE, TEXT);
    v.widgets.inactive = widget(RAISED, Color32::TRANSPARENT, TEXT);
    v.widgets.hovered = widget(HOVERED, Color32::TRANSPARENT, TEXT_BRIGHT);
    v.widgets.active = widget(HOVERED, ACCENT, TEXT_BRIGHT);
    v.widgets.open = widget(HOVERED, Color32::TRANSPARENT, TEXT_BRIGHT);
    v
}
