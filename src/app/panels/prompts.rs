//! The prompts in the panel at the right: their fields, how much of each is read, and how they are
//! written.

use egui::{Align, CollapsingHeader, ComboBox, Label, Layout, RichText, TextEdit, Ui};

use crate::{
    app::{
        commands::{Command, CommandQueue},
        prompt_counts::PromptCounts,
        settings::Settings,
        theme,
        widgets::{self, Scale},
    },
    engine::{
        PromptSyntax,
        prompts::{FoundEmbedding, PromptReading},
    },
};

/// Characters of a text that is not read which are shown.
const SHOWN: usize = 90;

/// Prompt and negative prompt.
pub fn fields(ui: &mut Ui, settings: &mut Settings, counts: &PromptCounts) {
    let readings = counts.readings();
    let reading = |index: usize| readings.as_ref()?.as_ref().ok().map(|both| &both[index]);
    let edit = TextEdit::multiline(&mut settings.prompt).hint_text("wet sand, soft light");
    field(ui, "What should be there", reading(0), edit.desired_rows(3));
    let mut long = (!settings.prior.is_read_through).then_some(&mut settings.long_prompts);
    not_read(ui, reading(0), long.as_deref_mut());
    let edit = TextEdit::multiline(&mut settings.negative_prompt).hint_text("blurry, text");
    field(ui, "What should not", reading(1), edit.desired_rows(1));
    not_read(ui, reading(1), long);
    if let Some(Err(why)) = readings {
        ui.add(Label::new(RichText::new(why).small().color(theme::ERROR)).wrap());
    }
}

/// A name, how much of the text is read, and the text.
fn field(ui: &mut Ui, name: &str, reading: Option<&PromptReading>, edit: TextEdit<'_>) {
    let heading = ui.horizontal(|ui| {
        let label = ui.label(theme::heading(name));
        if let Some(reading) = reading.filter(|reading| reading.count.tokens > 0) {
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| tokens(ui, reading));
        }
        label
    });
    ui.add(edit.desired_width(f32::INFINITY)).labelled_by(heading.inner.id);
}

/// "12/75"
fn tokens(ui: &mut Ui, reading: &PromptReading) {
    let count = &reading.count;
    let color = if count.cut.is_some() { theme::ERROR } else { theme::TEXT_QUIET };
    let text = RichText::new(format!("{}/{}", count.tokens, count.room)).small().color(color);
    ui.label(text).on_hover_text(format!(
        "{} tokens (words or parts of words); {} are read.\nRead as: {}",
        count.tokens, count.room, reading.text
    ));
}

/// What is cut off, and the way to have it read where the model can.
fn not_read(ui: &mut Ui, reading: Option<&PromptReading>, long: Option<&mut bool>) {
    let Some(cut) = reading.and_then(|reading| reading.count.cut.as_deref()) else { return };
    let shown: String = cut.chars().take(SHOWN).collect();
    let more = if shown.len() < cut.len() { " ..." } else { "" };
    let text = RichText::new(format!("Not read: {shown}{more}")).small().color(theme::ERROR);
    ui.add(Label::new(text).wrap()).on_hover_text(cut);
    if let Some(long) = long
        && ui.link(RichText::new("Read all of it").small()).clicked()
    {
        *long = true;
    }
}

/// How prompts are written and read; closed until somebody wants it.
pub fn options(ui: &mut Ui, settings: &mut Settings, commands: &mut CommandQueue) {
    CollapsingHeader::new("Prompts").id_salt("prompts").show(ui, |ui| {
        syntax(ui, settings);
        ui.checkbox(&mut settings.long_prompts, "Read all of long prompts").on_hover_text(
            "In rows of 75 tokens, one after the other. Otherwise what is over 75 is cut.",
        );
        widgets::slider(
            ui,
            "Clip skip",
            "Layers of the text encoder to leave out. Some models were made for 1.",
            &mut settings.clip_skip,
            Scale::new(0.0..=4.0, 0, 1.0),
        );
        if settings.embeddings.shape.is_pair() {
            second(ui, "For the second text encoder", &mut settings.prompt_2);
            second(ui, "What should not, for the second", &mut settings.negative_prompt_2);
        }
        embeddings(ui, settings, commands);
    });
}

fn syntax(ui: &mut Ui, settings: &mut Settings) {
    let name = |syntax| match syntax {
        PromptSyntax::Plain => "Plain",
        PromptSyntax::A1111 => "(more:1.3) [less]",
        PromptSyntax::Compel => "more++ less--",
    };
    let about = |syntax| match syntax {
        PromptSyntax::Plain => "Every character means itself.",
        PromptSyntax::A1111 => {
            "AUTOMATIC1111's: (x), (x:1.3), [x], \\( for a bracket, BREAK, and {a|b} for a choice \
             by the seed."
        }
        PromptSyntax::Compel => {
            "Compel's: x++, x--, (a b)1.3, (\"a\", \"b\").and(), .blend(), and {a|b} for a choice \
             by the seed."
        }
    };
    widgets::row(ui, "Weights", |ui, label| {
        let combo = ComboBox::from_id_salt("prompt syntax")
            .width(ui.available_width())
            .selected_text(name(settings.prompt_syntax));
        let response = combo.show_ui(ui, |ui| {
            for syntax in [PromptSyntax::A1111, PromptSyntax::Compel, PromptSyntax::Plain] {
                ui.selectable_value(&mut settings.prompt_syntax, syntax, name(syntax))
                    .on_hover_text(about(syntax));
            }
        });
        response.response.labelled_by(label).on_hover_text(about(settings.prompt_syntax));
    });
}

fn second(ui: &mut Ui, name: &str, text: &mut String) {
    let label = ui.label(RichText::new(name).color(theme::TEXT));
    let edit = TextEdit::multiline(text).desired_rows(1).desired_width(f32::INFINITY);
    ui.add(edit.hint_text("the same text")).labelled_by(label.id);
}

/// The words that fit the model, to put into the prompt, and where they are looked for.
fn embeddings(ui: &mut Ui, settings: &mut Settings, commands: &mut CommandQueue) {
    ui.label(RichText::new("Embeddings").color(theme::TEXT));
    ui.horizontal_wrapped(|ui| {
        for embedding in settings.embeddings.fitting() {
            if ui.link(&embedding.token).on_hover_text(about(embedding)).clicked() {
                commands.push(Command::UseEmbedding(embedding.path.clone()));
            }
        }
        if settings.embeddings.fitting().next().is_none() {
            let text = "None found for this model.";
            ui.label(RichText::new(text).small().color(theme::TEXT_QUIET));
        }
    });
    ui.horizontal(|ui| {
        let add = ui.link("Add a folder of embeddings ...");
        if add.on_hover_text("Embeddings in it and below it are listed here").clicked() {
            commands.push(Command::ChooseEmbeddingFolder);
        }
        if ui.link("Look again").on_hover_text("After files came or went").clicked() {
            commands.push(Command::FindEmbeddings);
        }
    });
}

fn about(embedding: &FoundEmbedding) -> String {
    let plural = if embedding.vectors == 1 { "" } else { "s" };
    format!(
        "Puts this word into the prompt; it counts as {} token{plural}\n{}",
        embedding.vectors,
        embedding.path.display()
    )
}
