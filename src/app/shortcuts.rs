//! One table of keys: the input reads it, tooltips and the help sheet show it.

use std::sync::LazyLock;

use egui::{Key, KeyboardShortcut, Modifiers};

use super::commands::{Command, Tool};

/// A key, what it does, and where it stands on the help sheet.
pub struct Binding {
    pub group: &'static str,
    pub about: &'static str,
    pub shortcut: KeyboardShortcut,
    pub command: Command,
}

const PLAIN: Modifiers = Modifiers::NONE;
const CTRL: Modifiers = Modifiers::COMMAND;
const CTRL_SHIFT: Modifiers = Modifiers::COMMAND.plus(Modifiers::SHIFT);
/// How much a key changes the brush size.
const SIZE_STEP: f32 = 1.15;

/// The table, made once: every button asks it for its key in every frame.
pub fn bindings() -> &'static [Binding] {
    static TABLE: LazyLock<Vec<Binding>> = LazyLock::new(table);
    &TABLE
}

/// Every key that stands for a command. Longer chords first, so that Ctrl+Shift+Z is not taken for
/// Ctrl+Z.
fn table() -> Vec<Binding> {
    let row = |group, about, modifiers, key, command| Binding {
        group,
        about,
        shortcut: KeyboardShortcut::new(modifiers, key),
        command,
    };
    let mut rows = vec![
        row("Generate", "Generate", CTRL, Key::Enter, Command::Generate),
        row("Generate", "Cancel, or leave", PLAIN, Key::Escape, Command::Escape),
        row("Generate", "Accept the result", PLAIN, Key::Enter, Command::Accept),
        row("Generate", "Discard the result", PLAIN, Key::Delete, Command::Discard),
        row("Generate", "Previous result", PLAIN, Key::ArrowLeft, Command::SelectResult(-1)),
        row("Generate", "Next result", PLAIN, Key::ArrowRight, Command::SelectResult(1)),
        row("Paint", "Brush", PLAIN, Key::B, Command::SelectTool(Tool::Brush)),
        row("Paint", "Eraser", PLAIN, Key::E, Command::SelectTool(Tool::Eraser)),
        row("Paint", "Smart select", PLAIN, Key::W, Command::SelectTool(Tool::Select)),
        row(
            "Paint",
            "Harder brush",
            Modifiers::SHIFT,
            Key::CloseBracket,
            Command::AddHardness(0.1),
        ),
        row(
            "Paint",
            "Softer brush",
            Modifiers::SHIFT,
            Key::OpenBracket,
            Command::AddHardness(-0.1),
        ),
        row("Paint", "Larger brush", PLAIN, Key::CloseBracket, Command::ScaleBrush(SIZE_STEP)),
        row(
            "Paint",
            "Smaller brush",
            PLAIN,
            Key::OpenBracket,
            Command::ScaleBrush(1.0 / SIZE_STEP),
        ),
        row("Paint", "Show or hide the mask", PLAIN, Key::Q, Command::ToggleOverlay),
        row("Paint", "Clear the mask", CTRL, Key::D, Command::ClearMask),
        row("Paint", "Mask everything", CTRL, Key::A, Command::FillMask),
        row("Paint", "Invert the mask", CTRL_SHIFT, Key::I, Command::InvertMask),
        row("View", "Move the picture", PLAIN, Key::H, Command::SelectTool(Tool::Hand)),
        row("View", "Fit the window", CTRL, Key::Num0, Command::FitView),
        row("View", "Actual size", CTRL, Key::Num1, Command::ActualSize),
        row("View", "Zoom in", CTRL, Key::Plus, Command::ZoomBy(1.25)),
        row("View", "Zoom out", CTRL, Key::Minus, Command::ZoomBy(0.8)),
        row("Picture", "Save as", CTRL_SHIFT, Key::S, Command::SaveAs),
        row("Picture", "Open", CTRL, Key::O, Command::ChooseFile),
        row("Picture", "Save", CTRL, Key::S, Command::Save),
        row("Picture", "Redo", CTRL_SHIFT, Key::Z, Command::Redo),
        row("Picture", "Undo", CTRL, Key::Z, Command::Undo),
        row("Picture", "Redo", CTRL, Key::Y, Command::Redo),
        row("Picture", "This sheet", PLAIN, Key::F1, Command::ToggleHelp),
    ];
    rows.extend(digits().map(|(key, opacity)| Binding {
        group: "",
        about: "Brush opacity",
        shortcut: KeyboardShortcut::new(PLAIN, key),
        command: Command::SetOpacity(opacity),
    }));
    rows
}

/// 1 to 9 are 10 to 90 %, 0 is 100 %.
fn digits() -> impl Iterator<Item = (Key, f32)> {
    [
        (Key::Num1, 0.1),
        (Key::Num2, 0.2),
        (Key::Num3, 0.3),
        (Key::Num4, 0.4),
        (Key::Num5, 0.5),
        (Key::Num6, 0.6),
        (Key::Num7, 0.7),
        (Key::Num8, 0.8),
        (Key::Num9, 0.9),
        (Key::Num0, 1.0),
    ]
    .into_iter()
}

/// Keys that are read where they act, for the help sheet.
pub const HELD_KEYS: &[(&str, &str, &str)] = &[
    ("Paint", "Opacity 10 to 100 %", "1 to 9, 0"),
    ("Paint", "Line from the last stroke", "Shift+click"),
    ("Paint", "Smart select: leave out", "Alt+click"),
    ("View", "Move the picture", "Space, middle"),
    ("View", "Zoom at the pointer", "Wheel"),
    ("Generate", "Hold to see the original", "\\"),
    ("Picture", "Copy the picture", "Ctrl+C"),
    ("Picture", "Paste a picture", "Ctrl+V"),
];

/// The key that shows the original while it is held.
pub const COMPARE_KEY: Key = Key::Backslash;

/// Commands whose keys were pressed this frame. Keys without Ctrl are left to a focused text field.
pub fn pressed(ctx: &egui::Context) -> Vec<Command> {
    let typing = ctx.text_edit_focused();
    let focused = ctx.memory(|m| m.focused().is_some());
    let mut commands = Vec::new();
    ctx.input_mut(|input| {
        for binding in bindings() {
            let chord = binding.shortcut.modifiers.command;
            let always = chord && !is_text_editing(&binding.command);
            let leaves =
                binding.command == Command::Escape || binding.command == Command::ToggleHelp;
            // Enter and arrows belong to a focused button or slider.
            let belongs_to_focus = matches!(
                binding.command,
                Command::Accept | Command::Discard | Command::SelectResult(_)
            );
            if typing && !always && !leaves || focused && belongs_to_focus {
                continue;
            }
            if input.consume_shortcut(&binding.shortcut) {
                commands.push(binding.command.clone());
            }
        }
    });
    commands
}

/// Chords that a text field has its own use for.
fn is_text_editing(command: &Command) -> bool {
    matches!(command, Command::Undo | Command::Redo | Command::FillMask)
}

/// A shortcut as a person reads it on the keyboard.
pub fn text_of(ctx: &egui::Context, shortcut: &KeyboardShortcut) -> String {
    const NAMES: [(&str, &str); 5] = [
        ("OpenBracket", "["),
        ("CloseBracket", "]"),
        ("Plus", "+"),
        ("Minus", "-"),
        ("Escape", "Esc"),
    ];
    let text = ctx.format_shortcut(shortcut);
    NAMES.iter().fold(text, |text, (name, sign)| text.replace(name, sign))
}

/// The key of a command as text, for tooltips; empty if it has none.
pub fn key_of(ctx: &egui::Context, command: &Command) -> String {
    bindings()
        .iter()
        .find(|b| b.command == *command)
        .map(|b| text_of(ctx, &b.shortcut))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_chord_stands_twice() {
        let rows = bindings();
        for (i, a) in rows.iter().enumerate() {
            for b in &rows[i + 1..] {
                assert!(a.shortcut != b.shortcut, "{} and {}", a.about, b.about);
            }
        }
    }
}
