//! Glyphs of the icon font (Phosphor, regular weight). A glyph that is added here must also be in
//! `assets/fonts/Phosphor-subset.ttf`; a test below looks.

pub const BRUSH: &str = "\u{e6f0}";
pub const ERASER: &str = "\u{e21e}";
pub const WAND: &str = "\u{e6b6}";
pub const HAND: &str = "\u{e298}";
pub const FIT: &str = "\u{e626}";
pub const ZOOM_IN: &str = "\u{e310}";
pub const ZOOM_OUT: &str = "\u{e30e}";
pub const OPEN: &str = "\u{e256}";
pub const SAVE: &str = "\u{e248}";
pub const COPY: &str = "\u{e1ca}";
pub const UNDO: &str = "\u{e038}";
pub const REDO: &str = "\u{e036}";
pub const EYE: &str = "\u{e220}";
pub const EYE_OFF: &str = "\u{e224}";
pub const SPARKLE: &str = "\u{e6a2}";
pub const CLOSE: &str = "\u{e4f6}";
pub const CHECK: &str = "\u{e182}";
pub const DICE: &str = "\u{e1ee}";
pub const LOCK: &str = "\u{e2fa}";
pub const TRASH: &str = "\u{e4a6}";
pub const INVERT: &str = "\u{e744}";
pub const HELP: &str = "\u{e3e8}";
pub const PREVIOUS: &str = "\u{e058}";
pub const NEXT: &str = "\u{e06c}";
pub const PICTURE: &str = "\u{e2ca}";
pub const WARNING: &str = "\u{e4e0}";
pub const INFO: &str = "\u{e2ce}";
pub const AGAIN: &str = "\u{e094}";
pub const PAINT_ALL: &str = "\u{e392}";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_icon_is_in_the_font() {
        let ctx = egui::Context::default();
        crate::app::theme::install(&ctx);
        // Fonts become usable with the first frame.
        ctx.run_ui(egui::RawInput::default(), |_| {}).textures_delta.clear();
        let font = egui::FontId::new(16.0, crate::app::theme::icon_family());
        for icon in [
            BRUSH, ERASER, WAND, HAND, FIT, ZOOM_IN, ZOOM_OUT, OPEN, SAVE, COPY, UNDO, REDO, EYE,
            EYE_OFF, SPARKLE, CLOSE, CHECK, DICE, LOCK, TRASH, INVERT, HELP, PREVIOUS, NEXT,
            PICTURE, WARNING, INFO, AGAIN, PAINT_ALL,
        ] {
            let there = ctx.fonts_mut(|fonts| fonts.has_glyphs(&font, icon));
            assert!(there, "{icon:?} is missing from the icon font");
        }
    }
}
