//! How much memory a run will take, and how much it may.

use egui::{CollapsingHeader, RichText, Ui};

use crate::{
    app::{
        settings::Settings,
        theme,
        widgets::{self, Scale},
    },
    catalog,
    engine::{
        Loaded, Request,
        memory::{foresee, in_words, machine_bytes},
    },
    geometry::Extent,
    pixels::blend::Blend,
};

/// The largest budget that can be set where the machine does not say what it has, in GiB.
const MOST: f64 = 64.0;

/// What was foreseen last, and for which settings: reading the headers of a model's files takes a
/// moment, so it is not done in every frame.
pub struct Foreseen {
    /// The largest budget, in GiB.
    most: f64,
    request: Option<Request>,
    /// Short, and as a sentence.
    texts: (String, String),
}

impl Default for Foreseen {
    fn default() -> Self {
        let most = machine_bytes().map_or(MOST, |(all, _)| all as f64 / f64::from(1 << 30));
        Self { most: most.ceil(), request: None, texts: Default::default() }
    }
}

impl Foreseen {
    /// In words, for the size that the model paints best at. While a slider is `held` they wait.
    fn text(&mut self, settings: &Settings, held: bool) -> (&str, &str) {
        if held && self.request.is_some() {
            return (&self.texts.0, &self.texts.1);
        }
        // Of these the memory does not depend; they change all the time.
        let mut request = Request {
            prompt: String::new(),
            negative_prompt: None,
            prompt_2: None,
            negative_prompt_2: None,
            seed: None,
            mask_blur: 0.0,
            blend: Blend::default(),
            ..settings.request()
        };
        request.chain.iter_mut().for_each(|stage| stage.prompt = None);
        if self.request.as_ref() != Some(&request) {
            self.texts = words(&request);
            self.request = Some(request);
        }
        (&self.texts.0, &self.texts.1)
    }
}

fn words(request: &Request) -> (String, String) {
    let Ok(catalog::Model::Diffusion(folder)) = catalog::find(&request.model) else {
        return Default::default();
    };
    let side = folder.native_size;
    match foresee(&folder, request, Extent::new(side, side)) {
        Ok(bytes) => {
            let bytes = in_words(bytes);
            (format!("Memory: about {bytes}"), format!("A run at {side} px takes about {bytes}."))
        }
        Err(error) => ("Memory".into(), error.to_string()),
    }
}

/// `loaded` are the models in memory.
pub fn show(ui: &mut Ui, settings: &mut Settings, foreseen: &mut Foreseen, loaded: &[Loaded]) {
    let (most, held) = (foreseen.most, ui.input(|input| input.pointer.any_down()));
    let (title, text) = foreseen.text(settings, held);
    let text = RichText::new(text).small().color(theme::TEXT_QUIET);
    CollapsingHeader::new(title).id_salt("memory").show(ui, |ui| {
        ui.add(egui::Label::new(text).wrap());
        for Loaded { name, bytes } in loaded {
            let text = format!("Loaded: {name}, {}", in_words(*bytes));
            let text = RichText::new(text).small().color(theme::TEXT_QUIET);
            ui.add(egui::Label::new(text).wrap())
                .on_hover_text("It stays while there is room: the next run with it starts at once.");
        }
        widgets::slider(
            ui,
            "Budget",
            "GiB that a run may take; 0 is without limit. Below what the model takes, runs get slower \
             and give the same picture.",
            &mut settings.memory_budget,
            Scale::new(0.0..=most, 1, 0.5),
        );
    });
}
