//! The panels around the canvas. They paint and push commands; none changes the document.

pub mod blend;
pub mod control;
pub mod decoding;
pub mod generate;
pub mod help;
pub mod lora;
pub mod mask;
pub mod memory;
pub mod models;
pub mod notices;
pub mod passes;
pub mod prior;
pub mod prompts;
pub mod result_bar;
pub mod status;
pub mod task;
pub mod tool_options;
pub mod tools;
pub mod xl;
