//! The command line's options. Names are the arguments' names in `diffusers`, with dashes.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use super::{models::Models, values};
use crate::{
    engine::{
        Device, Dtype, EmbeddingUse, FillMode, LoraUse, NoiseKind, PreviewMethod, PromptSyntax,
        bench::Stage,
    },
    geometry::Extent,
    pixels::blend::{EdgeWidth, Seam},
};

/// Paint a mask, say what should be there, and watch a diffusion model fill it in.
///
/// Without a command it opens the window, with PICTURE if one is named.
#[derive(Debug, Parser)]
#[command(name = "overpaint", version, args_conflicts_with_subcommands = true)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Option<Command>,
    #[command(flatten)]
    pub window: Window,
}

/// What the window opens with.
#[derive(Clone, Debug, Default, Args)]
pub struct Window {
    /// The picture to open
    pub picture: Option<PathBuf>,
    /// A mask for it: white is repainted
    #[arg(long, value_name = "FILE")]
    pub mask: Option<PathBuf>,
    /// The model to choose: an id or a folder
    #[arg(long, value_name = "ID|FOLDER")]
    pub model: Option<String>,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Repaint the masked part of a picture (inpainting)
    Fill(Fill),
    /// Make a new picture from a prompt (text to image)
    Generate(Generate),
    /// Change a whole picture (image to image)
    Transform(Transform),
    /// A grid over strength, guidance and seed (not yet)
    Sweep(Rest),
    /// Models: list, find, fetch, check, remove
    Models(Models),
    /// Measure how fast this machine is, without any model
    Bench(Bench),
    /// Say what this machine offers and where things are
    Doctor,
}

/// Arguments of a command that is still to come.
#[derive(Debug, Args)]
pub struct Rest {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    pub rest: Vec<String>,
}

/// Runs the networks of a published architecture with random weights, the parts of a generation one
/// by one: `text` (the prompt), `encode`, `decode` (the autoencoder), `unet-guided`, `unet` (an
/// evaluation with and without guidance), `preview`, `composite`.
#[derive(Debug, Args)]
pub struct Bench {
    /// The architecture, in its full size: sd15, sd15-inpaint, sd2-inpaint, sdxl, sdxl-inpaint, refiner;
    /// tiny is of no use but to see that measuring works
    #[arg(value_name = "ARCHITECTURE", default_value = "sd15", value_parser = values::architecture)]
    pub architecture: String,
    /// Measure this part alone; may be given several times [default: all of them]
    #[arg(long, value_name = "STAGE", value_parser = values::stage)]
    pub only: Vec<Stage>,
    /// Runs of each part after the first, which does not count, 1 or more
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = values::count)]
    pub repeat: usize,
    /// The picture's sides in pixels, a multiple of 64, 64 to 4096 [default: what the architecture was
    /// made for]
    #[arg(long, value_name = "PX")]
    pub side: Option<usize>,
    /// auto, cpu, cuda, cuda:N, metal [default: auto]
    #[arg(long, value_name = "DEVICE", value_parser = values::device)]
    pub device: Option<Device>,
    /// Number format of the U-Net: f32, f16, bf16 [default: f32 on the processor, otherwise f16]
    #[arg(long, value_name = "FORMAT", value_parser = values::dtype)]
    pub dtype: Option<Dtype>,
    /// Threads of the processor, 1 or more [default: all]
    #[arg(long, value_name = "N", value_parser = values::count)]
    pub threads: Option<usize>,
    /// The result as one line of JSON on standard output
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct Fill {
    /// The picture; may come from --request
    pub image: Option<PathBuf>,
    /// The mask, of the picture's size: white is repainted, black stays
    #[arg(long, value_name = "FILE")]
    pub mask: Option<PathBuf>,
    /// Gaussian blur of the mask, radius in pixels of the picture, 0 to 1000 [default: 0]
    #[arg(long, value_name = "PX")]
    pub mask_blur: Option<f32>,
    /// Sample only the mask's surroundings, with this margin in pixels [default: with --exact the
    /// whole picture, otherwise as large as the model needs]
    #[arg(long, value_name = "PX")]
    pub padding_mask_crop: Option<u32>,
    /// Put the unmasked part of the picture back over the result [default: true, with --exact
    /// false]
    #[arg(
        long,
        value_name = "true|false",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true"
    )]
    pub overlay: Option<bool>,
    #[command(flatten)]
    pub blending: Blending,
    /// What the hole holds before sampling: original, content-aware [default: original]
    #[arg(long, value_name = "MODE", value_parser = values::fill_mode)]
    pub fill_mode: Option<FillMode>,
    #[command(flatten)]
    pub common: Common,
}

/// How a fill is put into the picture; nothing of it with --exact.
#[derive(Debug, Args)]
#[command(next_help_heading = "Blend")]
pub struct Blending {
    /// How far the sampled part reaches beyond the mask: auto, or 0 to 512 pixels [default: 0, so that
    /// nothing changes outside the mask]
    #[arg(long, value_name = "PX|auto")]
    pub mask_grow: Option<EdgeWidth>,
    /// How wide the soft edge of the sampled part is, half of it outside what was grown: auto, or 0 to
    /// 512 pixels [default: 0]
    #[arg(long, value_name = "PX|auto")]
    pub mask_feather: Option<EdgeWidth>,
    /// How wide the band is in which the fill fades into the picture, at the outer end of the sampled
    /// part: auto, or 0 to 512 pixels [default: 0]
    #[arg(long, value_name = "PX|auto")]
    pub mask_fade: Option<EdgeWidth>,
    /// Bring the colours of the fill to those of the picture, by what both have outside the mask
    /// [default: true]
    #[arg(
        long,
        value_name = "true|false",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true"
    )]
    pub color_match: Option<bool>,
    /// What is done about a difference in shade at the edge: match (move it smoothly until it meets
    /// the picture), feather (nothing but the soft edge) [default: match]
    #[arg(long, value_name = "MODE", value_parser = values::seam)]
    pub seam: Option<Seam>,
    /// How much of the fill is laid over the picture, 0 to 1 [default: 1]
    #[arg(long, value_name = "O", allow_negative_numbers = true)]
    pub blend_opacity: Option<f32>,
}

#[derive(Debug, Args)]
pub struct Generate {
    #[command(flatten)]
    pub common: Common,
}

#[derive(Debug, Args)]
pub struct Transform {
    /// The picture; may come from --request
    pub image: Option<PathBuf>,
    #[command(flatten)]
    pub common: Common,
}

#[derive(Debug, Args)]
pub struct Common {
    #[command(flatten)]
    pub settings: Settings,
    #[command(flatten)]
    pub added: Added,
    #[command(flatten)]
    pub refiner: Refiner,
    #[command(flatten)]
    pub controls: Controls,
    #[command(flatten)]
    pub prior: Prior,
    #[command(flatten)]
    pub machine: Machine,
    #[command(flatten)]
    pub outputs: Outputs,
    /// A whole request as JSON; options given here override it
    #[arg(long, value_name = "FILE.json", help_heading = "Picture")]
    pub request: Option<PathBuf>,
    /// Exactly what the reference's pipeline does for these arguments, with its defaults, and
    /// nothing else
    #[arg(long, help_heading = "Picture")]
    pub exact: bool,
}

/// What the picture depends on.
#[derive(Debug, Args)]
#[command(next_help_heading = "Picture")]
pub struct Settings {
    /// A model's id, or a folder in diffusers layout [default: content-aware for a fill without a
    /// prompt, otherwise starter]
    #[arg(long, value_name = "ID|FOLDER")]
    pub model: Option<String>,
    /// Another autoencoder: the folder of one (tiny ones too), a model that has one, or a tiny one's
    /// .safetensors [default: the model's own]
    #[arg(long, value_name = "ID|FOLDER|FILE")]
    pub vae: Option<String>,
    /// What should be there [default: empty]
    #[arg(long, value_name = "TEXT")]
    pub prompt: Option<String>,
    /// What should not be there [default: empty]
    #[arg(long, value_name = "TEXT")]
    pub negative_prompt: Option<String>,
    /// Seed of the noise, 0 to 2^64-1 [default: drawn, and told]
    #[arg(long, value_name = "N", value_parser = values::seed, allow_negative_numbers = true)]
    pub seed: Option<u64>,
    /// Denoising steps, 1 or more [default: the model's recommendation, otherwise 20; with --exact
    /// 50, Kandinsky 100]
    #[arg(long, visible_alias = "steps", value_name = "N")]
    pub num_inference_steps: Option<usize>,
    /// Classifier-free guidance, 0 to 1000; 1 or less is without [default: the model's
    /// recommendation, otherwise 7; with --exact 7.5, or the pipeline's own]
    #[arg(long, visible_alias = "guidance", value_name = "G")]
    pub guidance_scale: Option<f64>,
    /// How much of the noise schedule runs, 0 to 1 [default: 1 for fill, 0.8 for transform; with
    /// --exact the pipeline's own]
    #[arg(long, value_name = "S", allow_negative_numbers = true)]
    pub strength: Option<f64>,
    /// A scheduler's class name or an artist's name for it [default: the model's own]
    #[arg(long, value_name = "NAME")]
    pub scheduler: Option<String>,
    /// One value of scheduler_config.json; may be given several times
    #[arg(long, value_name = "KEY=VALUE", value_parser = values::scheduler_option)]
    pub scheduler_option: Vec<(String, serde_json::Value)>,
    /// Sampling width in pixels, a multiple of 8, 8 to 4096 [default: chosen by task and model]
    #[arg(long, value_name = "PX")]
    pub width: Option<u32>,
    /// Sampling height in pixels, a multiple of 8, 8 to 4096 [default: chosen by task and model]
    #[arg(long, value_name = "PX")]
    pub height: Option<u32>,
    /// Pictures of one batch, 1 or more [default: 1]
    #[arg(long, value_name = "N")]
    pub num_images_per_prompt: Option<usize>,
    /// DDIM's eta or TCD's gamma, 0 to 1 [default: the model's recommendation, otherwise 0]
    #[arg(long, value_name = "E", allow_negative_numbers = true)]
    pub eta: Option<f64>,
    /// Layers of the text encoder to leave out at its end, 0 or more [default: none]
    #[arg(long, value_name = "N")]
    pub clip_skip: Option<usize>,
    /// Guidance rescale (phi), 0 to 1 [default: 0]
    #[arg(long, value_name = "R", allow_negative_numbers = true)]
    pub guidance_rescale: Option<f64>,
    /// A LoRA as a .safetensors file, or the name of one in the LoRA folders; SCALE is how strongly
    /// it acts, -100 to 100, 1 as it was trained. May be given several times
    #[arg(long, value_name = "FILE[:SCALE]", value_parser = values::lora)]
    pub lora: Vec<LoraUse>,
    /// Whose random numbers: torch (as on the CPU), philox (as on CUDA) [default: torch]
    #[arg(long, value_name = "KIND", value_parser = values::noise)]
    pub noise: Option<NoiseKind>,
    /// How prompts are written: plain (every character means itself), a1111 ((x:1.3), [x], BREAK),
    /// compel (x++, (a b)1.3, ("a", "b").and()). But for plain, {a|b} is a choice by the seed
    /// [default: a1111, with --exact plain, where braces are text in any case]
    #[arg(long, value_name = "SYNTAX", value_parser = values::prompt_syntax)]
    pub prompt_syntax: Option<PromptSyntax>,
    /// Read all of long prompts, in rows of 75 tokens; otherwise their rest is cut
    #[arg(long)]
    pub long_prompts: bool,
    /// A textual inversion as a .safetensors file, or the name of one in the folders of embeddings;
    /// TOKEN stands for it in prompts [default: the word in the file, otherwise the file's name]. May
    /// be given several times
    #[arg(long, value_name = "FILE[:TOKEN]", value_parser = values::embedding)]
    pub embedding: Vec<EmbeddingUse>,
}

/// What Stable Diffusion XL reads besides.
#[derive(Debug, Args)]
#[command(next_help_heading = "Stable Diffusion XL")]
pub struct Added {
    /// What the second text encoder reads [default: the prompt]
    #[arg(long = "prompt-2", value_name = "TEXT")]
    pub prompt_2: Option<String>,
    /// The same for what should not be there [default: the negative prompt]
    #[arg(long = "negative-prompt-2", value_name = "TEXT")]
    pub negative_prompt_2: Option<String>,
    /// The size that the picture had before it was made smaller, in pixels [default: as sampled]
    #[arg(long, value_name = "WxH", value_parser = values::extent)]
    pub original_size: Option<Extent>,
    /// How much was cropped off at the left and the top, in pixels [default: 0,0]
    #[arg(long, value_name = "X,Y", value_parser = values::offset, allow_hyphen_values = true)]
    pub crops_coords_top_left: Option<(i32, i32)>,
    /// The size to look like, in pixels [default: as sampled]
    #[arg(long, value_name = "WxH", value_parser = values::extent)]
    pub target_size: Option<Extent>,
    /// What the negative prompt is told as original size [default: --original-size]
    #[arg(long, value_name = "WxH", value_parser = values::extent)]
    pub negative_original_size: Option<Extent>,
    /// What the negative prompt is told as crop [default: 0,0]
    #[arg(long, value_name = "X,Y", value_parser = values::offset, allow_hyphen_values = true)]
    pub negative_crops_coords_top_left: Option<(i32, i32)>,
    /// What the negative prompt is told as target size [default: --target-size]
    #[arg(long, value_name = "WxH", value_parser = values::extent)]
    pub negative_target_size: Option<Extent>,
    /// How good the picture should look to a refiner, about 1 to 10 [default: 6]
    #[arg(long, value_name = "A", allow_negative_numbers = true)]
    pub aesthetic_score: Option<f64>,
    /// The same for the negative prompt [default: 2.5]
    #[arg(long, value_name = "A", allow_negative_numbers = true)]
    pub negative_aesthetic_score: Option<f64>,
    /// End when this part of the schedule is done, above 0 and below 1 [default: run all of it]
    #[arg(long, value_name = "F", allow_negative_numbers = true)]
    pub denoising_end: Option<f64>,
}

/// A second model that finishes what the first began.
#[derive(Debug, Args)]
#[command(next_help_heading = "Refiner")]
pub struct Refiner {
    /// The refiner: an id or a folder in diffusers layout [default: none]
    #[arg(long, value_name = "ID|FOLDER")]
    pub refiner: Option<String>,
    /// One after the other: refine the finished picture, with so many steps laid out, of which
    /// three in ten run
    #[arg(
        long,
        value_name = "N",
        requires = "refiner",
        conflicts_with_all = ["refiner_start", "denoising_end"]
    )]
    pub refiner_steps: Option<usize>,
    /// Ensemble of experts: take over when this part of the schedule is done, above 0 and below 1
    /// [default: 0.8, without --refiner-steps]
    #[arg(
        long,
        value_name = "F",
        requires = "refiner",
        conflicts_with = "denoising_end",
        allow_negative_numbers = true
    )]
    pub refiner_start: Option<f64>,
}

/// Networks that steer the picture by other pictures.
#[derive(Debug, Args)]
#[command(next_help_heading = "ControlNets")]
pub struct Controls {
    /// A ControlNet's folder or id; given several times, all of them work together
    #[arg(long, value_name = "ID|FOLDER")]
    pub controlnet: Vec<String>,
    /// The picture that a ControlNet sees, one for each in the same order; `from-mask` stands for one
    /// made of picture and mask, as ControlNets for inpainting take it [default: from-mask for
    /// fill]
    #[arg(long, value_name = "FILE|from-mask")]
    pub control_image: Vec<PathBuf>,
    /// How much it counts, -10 to 10; once for all, or once for each [default: 1; with --exact 1 for
    /// generate, 0.8 for transform, 0.5 for fill]
    #[arg(long, value_name = "C", allow_negative_numbers = true)]
    pub controlnet_conditioning_scale: Vec<f64>,
    /// The part of the steps, 0 to 1, from which it counts; once for all, or once for each [default:
    /// 0]
    #[arg(long, value_name = "F", allow_negative_numbers = true)]
    pub control_guidance_start: Vec<f64>,
    /// The part of the steps, 0 to 1, up to which it counts; once for all, or once for each [default:
    /// 1]
    #[arg(long, value_name = "F", allow_negative_numbers = true)]
    pub control_guidance_end: Vec<f64>,
    /// Steers what the prompt asks for only, finer states less: works without a prompt
    #[arg(long)]
    pub guess_mode: bool,
}

/// What Kandinsky reads the prompt through.
#[derive(Debug, Args)]
#[command(next_help_heading = "Kandinsky")]
pub struct Prior {
    /// The prior: an id or a folder in diffusers layout [default: the one in the decoder's folder, or
    /// beside it]
    #[arg(long, value_name = "ID|FOLDER")]
    pub prior: Option<String>,
    /// The prior's own steps, 2 to 1000 [default: 25]
    #[arg(long, value_name = "N")]
    pub prior_num_inference_steps: Option<usize>,
    /// Classifier-free guidance of the prior, 0 to 1000; 1 or less is without [default: 4]
    #[arg(long, value_name = "G")]
    pub prior_guidance_scale: Option<f64>,
}

/// What it runs on.
#[derive(Debug, Args)]
#[command(next_help_heading = "Machine")]
pub struct Machine {
    /// auto, cpu, cuda, cuda:N, metal [default: auto]
    #[arg(long, value_name = "DEVICE", value_parser = values::device)]
    pub device: Option<Device>,
    /// Number format of the U-Net: f32, f16, bf16 [default: f32 on the processor, otherwise f16]
    #[arg(long, value_name = "FORMAT", value_parser = values::dtype)]
    pub dtype: Option<Dtype>,
    /// The memory that a run may take, in GiB, 0.1 to 65536: what does not fit is loaded again when
    /// it is needed, or done in parts, which takes longer and gives the same picture [default:
    /// without limit]
    #[arg(long, value_name = "GIB")]
    pub memory_budget: Option<f64>,
    /// Threads of the processor, 1 or more [default: all]
    #[arg(long, value_name = "N", value_parser = values::count)]
    pub threads: Option<usize>,
}

/// What is written, and what is told.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub struct Outputs {
    /// The picture to write; several get -0, -1 ... before the extension [default: beside the
    /// input, -filled or -transformed; generated.png]
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// The decoder's output before clamping, as a NumPy array (N, 3, H, W) in f32
    #[arg(long, value_name = "FILE.npy")]
    pub output_float: Option<PathBuf>,
    /// Latents after each step: latents_000, latents_001 ...
    #[arg(long, value_name = "FILE.safetensors")]
    pub trace: Option<PathBuf>,
    /// A folder for a preview after each step: step-001.png ...
    #[arg(long, value_name = "FOLDER")]
    pub preview_dir: Option<PathBuf>,
    /// How previews are made: linear, tiny (TAESD, where it is found), full [default: linear]
    #[arg(long, value_name = "METHOD", value_parser = values::preview)]
    pub preview: Option<PreviewMethod>,
    /// The result as one line of JSON on standard output
    #[arg(long)]
    pub json: bool,
    /// No progress
    #[arg(long, short)]
    pub quiet: bool,
}
