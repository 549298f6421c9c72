//! The egui window.
//!
//! [`App`] owns the document; the inference thread owns the weights. `App::logic` drains events,
//! reads the pointer and applies commands; `App::ui` only paints and pushes commands.

mod adopt;
mod background;
mod canvas;
mod commands;
mod controls;
mod embeddings;
mod execute;
mod files;
mod generation;
mod guard;
mod icons;
mod jobs;
mod journal;
mod launch;
mod library;
mod loras;
mod models;
mod pages;
mod panels;
mod passes;
mod prompt_counts;
mod reblending;
mod settings;
mod shell;
mod shortcuts;
mod smart_select;
pub mod theme;
mod widgets;

pub use self::{
    commands::{Command, Tool},
    launch::{Options, run},
    passes::{PassKind, PassSettings},
    settings::{Overlay, SeedChoice, Settings},
    shell::App,
};
