//! Overpaint: paint a mask, say what should be there, watch a diffusion model fill it in.
//!
//! # The map
//!
//! | room | what lives there |
//! |---|---|
//! | [`geometry`] | extents, bounds, transforms named by their ends |
//! | [`pixels`] | picture and mask buffers: decode, resize, blur, blend, content-aware fill |
//! | [`document`] | the picture being edited: tiles, mask, tools, patches, history |
//! | [`render`] | wgpu: tile textures, shaders, readback |
//! | [`prompt`] | prompts: their syntax, weights, wildcards, and chunks of tokens |
//! | [`key_map`] | what diffusers calls the tensors of single-file checkpoints |
//! | [`networks`] | candle modules: tensors in, tensors out |
//! | [`diffusion`] | schedulers, noise, guidance, latent preview, the denoising loop |
//! | [`catalog`] | which models exist, and where |
//! | [`hub`] | the Hugging Face hub: search, download, the shared cache |
//! | [`engine`] | requests, the inference thread, events, compositing of results |
//! | [`app`] | the egui window |
//! | [`cli`] | the same requests, without a window |
//!
//! # The one rule
//!
//! Arrows point one way, and `tests/architecture.rs` fails on one that runs back:
//!
//! ```text
//! geometry, pixels <- document <- render <- app
//! geometry, pixels <- networks <- diffusion <- engine <- { app, cli }
//! hub <- catalog <- engine   document <- engine   key_map <- { networks, catalog }
//! prompt <- { networks, diffusion, engine }
//! ```

pub mod app;
pub mod catalog;
pub mod cli;
pub mod diffusion;
pub mod document;
pub mod engine;
pub mod geometry;
pub mod hub;
pub mod key_map;
pub mod networks;
pub mod pixels;
pub mod prompt;
pub mod render;
