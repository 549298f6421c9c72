"""Runs one case with diffusers: settings by the command line's option names, every step's latents, the pictures.

What an option means here is what it must mean in `overpaint ... --exact`:
* pictures and masks are opened as `diffusers.utils.load_image` opens them (RGB);
* `scheduler` and `scheduler-option` do `pipe.scheduler = X.from_config(pipe.scheduler.config, **options)` after the
  pipeline was made, so the pipeline's own corrections of old scheduler files have been applied;
* a model that names a pipeline of latent consistency models runs in these, but for inpainting;
* `lora` is a list of (file, scale): `pipe.load_lora_weights` each, then `pipe.set_adapters`;
* `embedding` is a list of (file, word or None): `pipe.load_textual_inversion` each; for `prompt-syntax` and
  `long-prompts` see `weighting.py`;
* `vae` is an autoencoder beside the model, tiny or not, in place of the model's own (and of its refiner's);
* `mask-blur` is `pipe.mask_processor.blur`; `overlay` is `pipe.image_processor.apply_overlay` with the given mask.
* Sizes are WIDTHxHEIGHT and crops X,Y; the reference's tuples are (height, width) and (top, left).
* `refiner` runs a second pipeline after the first with the same generator, on its latents where both have one
  autoencoder, otherwise on its picture: with `refiner-start` as an ensemble of experts (`denoising_end` of the first,
  `denoising_start` of the second), otherwise for `refiner-steps` at the pipeline's own strength of 0.3.
"""

import json
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import diffusers
import numpy as np
import torch
import transformers
from diffusers import AutoencoderKL, AutoencoderTiny, UNet2DConditionModel, schedulers
from diffusers.utils import load_image
from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

import clip_vocabulary
import lora
import weighting

warnings.filterwarnings("ignore", category=FutureWarning)
diffusers.logging.set_verbosity_error()
diffusers.logging.disable_progress_bar()
transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()

PIPELINES = {
    "fill": diffusers.StableDiffusionInpaintPipeline,
    "generate": diffusers.StableDiffusionPipeline,
    "transform": diffusers.StableDiffusionImg2ImgPipeline,
}
XL_PIPELINES = {
    "fill": diffusers.StableDiffusionXLInpaintPipeline,
    "generate": diffusers.StableDiffusionXLPipeline,
    "transform": diffusers.StableDiffusionXLImg2ImgPipeline,
}
LCM_PIPELINES = {
    "generate": diffusers.LatentConsistencyModelPipeline,
    "transform": diffusers.LatentConsistencyModelImg2ImgPipeline,
}
CALL_OPTIONS = [
    "prompt",
    "negative-prompt",
    "num-inference-steps",
    "guidance-scale",
    "strength",
    "width",
    "height",
    "num-images-per-prompt",
    "eta",
    "clip-skip",
    "guidance-rescale",
    "padding-mask-crop",
]
PROMPTS = ["prompt-2", "negative-prompt-2"]
SIZES = ["original-size", "target-size", "negative-original-size", "negative-target-size"]
CROPS = ["crops-coords-top-left", "negative-crops-coords-top-left"]
SCORES = ["aesthetic-score", "negative-aesthetic-score"]
# What a refiner is told as the first model was.
SHARED_OPTIONS = [
    "prompt",
    "negative-prompt",
    "num-inference-steps",
    "guidance-scale",
    "num-images-per-prompt",
    "eta",
    "clip-skip",
    "guidance-rescale",
]
REFINER_STRENGTH = 0.3

# transformers 5 dropped the inner module that the reference's clip_skip asks for.
if not hasattr(CLIPTextModel, "text_model"):
    CLIPTextModel.text_model = property(lambda self: self)


@dataclass
class Result:
    """What a run leaves: latents after each step, decoder output before clamping, final pictures (RGB)."""

    latents: list[torch.Tensor]
    decoded: torch.Tensor
    pictures: list[np.ndarray]
    timesteps: list[float]


def load_tokenizer(folder: Path, part: str = "tokenizer") -> CLIPTokenizer:
    """The model's tokenizer, or CLIP's own where the model has none."""
    if (folder / part).exists():
        return CLIPTokenizer.from_pretrained(folder / part)
    merges = clip_vocabulary.merges()
    vocabulary = clip_vocabulary.vocabulary(merges)
    return CLIPTokenizer(vocab=vocabulary, merges=[tuple(m.split()) for m in merges], model_max_length=77)


def is_xl(folder: Path) -> bool:
    """Whether a model folder is a Stable Diffusion XL (or its refiner)."""
    return (folder / "text_encoder_2").exists()


def load_parts(folder: Path) -> dict:
    """The components of a model folder, in f32, the scheduler as its file says."""

    def load(cls, part):
        variant = "fp16" if list((folder / part).glob("*.fp16.safetensors")) else None
        name = "dtype" if cls in (CLIPTextModel, CLIPTextModelWithProjection) else "torch_dtype"
        return cls.from_pretrained(folder / part, variant=variant, **{name: torch.float32}).eval()

    config = schedulers.DDIMScheduler.load_config(folder / "scheduler")
    parts = dict(
        unet=load(UNet2DConditionModel, "unet"),
        vae=load(AutoencoderKL, "vae"),
        scheduler=getattr(schedulers, config["_class_name"]).from_config(config),
    )
    if is_xl(folder):
        has_first = (folder / "text_encoder").exists()
        index = json.loads((folder / "model_index.json").read_text())
        flags = ("force_zeros_for_empty_prompt", "requires_aesthetics_score")
        return parts | dict(
            text_encoder=load(CLIPTextModel, "text_encoder") if has_first else None,
            tokenizer=load_tokenizer(folder) if has_first else None,
            text_encoder_2=load(CLIPTextModelWithProjection, "text_encoder_2"),
            tokenizer_2=load_tokenizer(folder, "tokenizer_2"),
            **{flag: index[flag] for flag in flags if flag in index},
        )
    return parts | dict(
        text_encoder=load(CLIPTextModel, "text_encoder"),
        tokenizer=load_tokenizer(folder),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


@contextmanager
def exact_sums():
    """Group normalisation with sums in f64 instead of torch's own, everything else as it is.

    torch adds up pictures that lie channels last in f32, one value after the other, in one chunk a thread; flat
    regions then cost it four digits and more, and how many depends on the number of threads.
    """

    def group_norm(x, groups, weight=None, bias=None, eps=1e-5):
        batch, channels = x.shape[:2]
        rows = x.reshape(batch, groups, -1).double()
        rstd = (rows.var(-1, unbiased=False) + eps).rsqrt().float()
        mean = rows.mean(-1).float()
        each = channels // groups
        scale = rstd.repeat_interleave(each, 1) * weight
        shift = bias - mean.repeat_interleave(each, 1) * scale
        shape = [batch, channels] + [1] * (x.ndim - 2)
        return x * scale.view(shape) + shift.view(shape)

    original = torch.nn.functional.group_norm
    torch.nn.functional.group_norm = group_norm
    try:
        yield
    finally:
        torch.nn.functional.group_norm = original


def scheduler_class(name: str):
    """The class behind a scheduler's name: the class name without "Scheduler", or its usual short form."""
    full = {
        "Euler": "EulerDiscrete",
        "EulerAncestral": "EulerAncestralDiscrete",
        "Heun": "HeunDiscrete",
        "KDPM2": "KDPM2Discrete",
        "KDPM2Ancestral": "KDPM2AncestralDiscrete",
        "LMS": "LMSDiscrete",
        "UniPC": "UniPCMultistep",
        "DEIS": "DEISMultistep",
    }.get(name, name)
    return getattr(schedulers, f"{full}Scheduler")


def make_pipeline(folder: Path, settings: dict, inputs: Path):
    """The pipeline of a command with the scheduler of the settings."""
    command, parts = settings["command"], load_parts(folder)
    if "vae" in settings:
        other = folder.parent / settings["vae"]
        is_tiny = "AutoencoderTiny" in (other / "config.json").read_text()
        parts["vae"] = (AutoencoderTiny if is_tiny else AutoencoderKL).from_pretrained(other, torch_dtype=torch.float32)
    if is_xl(folder):
        # Text-to-image has no aesthetic scores.
        if command == "generate":
            parts.pop("requires_aesthetics_score", None)
        pipe = XL_PIPELINES[command](**parts, add_watermarker=False)
    else:
        index = json.loads((folder / "model_index.json").read_text())
        own = LCM_PIPELINES if index.get("_class_name", "").startswith("LatentConsistencyModel") else {}
        pipe = own.get(command, PIPELINES[command])(**parts)
    pipe.set_progress_bar_config(disable=True)
    options = settings.get("scheduler-option", {})
    if "scheduler" in settings or options:
        name = settings.get("scheduler")
        cls = scheduler_class(name) if name else type(pipe.scheduler)
        pipe.scheduler = cls.from_config(pipe.scheduler.config, **options)
    if "lora" in settings:
        lora.attach(pipe, settings["lora"], inputs)
    weighting.attach(pipe, settings, inputs)
    return pipe


def numbers(text: str, separator: str) -> tuple[int, int]:
    """Two numbers as the command line has them, turned around as the reference has them."""
    first, second = text.split(separator)
    return int(second), int(first)


def added_arguments(settings: dict, command: str) -> dict:
    """What Stable Diffusion XL's pipelines take besides, by the reference's names."""
    added = {key: settings[key] for key in PROMPTS if key in settings}
    added |= {key: numbers(settings[key], "x") for key in SIZES if key in settings}
    added |= {key: numbers(settings[key], ",") for key in CROPS if key in settings}
    if command != "generate":
        added |= {key: settings[key] for key in SCORES if key in settings}
    return {key.replace("-", "_"): value for key, value in added.items()}


@dataclass
class Recorder:
    """Collects what a run leaves, over all its pipelines."""

    latents: list[torch.Tensor]
    timesteps: list[float]
    decoded: list[torch.Tensor]

    def run(self, pipe, **arguments):
        """Calls a pipeline and gives its pictures, or latents."""
        decode = pipe.vae.decode

        def recording_decode(*args, **kwargs):
            result = decode(*args, **kwargs)
            self.decoded.append(result[0].clone())
            return result

        def on_step(_pipe, _index, timestep, values):
            self.latents.append(values["latents"].clone())
            self.timesteps.append(float(timestep))
            return values

        pipe.vae.decode = recording_decode
        with torch.no_grad():
            return pipe(callback_on_step_end=on_step, **arguments).images


def run(model: Path, settings: dict, inputs: Path) -> Result:
    """Runs the settings (paths of pictures, masks and LoRAs relative to `inputs`; a refiner lies beside the model)."""
    pipe = make_pipeline(model, settings, inputs)
    command = settings["command"]
    arguments = {key.replace("-", "_"): settings[key] for key in CALL_OPTIONS if key in settings}
    arguments["generator"] = torch.Generator("cpu").manual_seed(settings["seed"])
    if is_xl(model):
        arguments |= added_arguments(settings, command)
        if "denoising-end" in settings:
            arguments["denoising_end"] = settings["denoising-end"]
    original = mask = None
    if command in ("fill", "transform"):
        original = load_image(str(inputs / settings["image"]))
        arguments["image"] = original
    if command == "fill":
        mask = load_image(str(inputs / settings["mask"]))
        if "mask-blur" in settings:
            mask = pipe.mask_processor.blur(mask, settings["mask-blur"])
        arguments["mask_image"] = mask
    recorder = Recorder([], [], [])
    if "refiner" in settings:
        images = refined(recorder, pipe, model, settings, arguments, inputs)
    else:
        images = recorder.run(pipe, **arguments)
    if settings.get("overlay"):
        images = [pipe.image_processor.apply_overlay(mask, original, image) for image in images]
    pictures = [np.asarray(image.convert("RGB")) for image in images]
    return Result(recorder.latents, recorder.decoded[-1], pictures, recorder.timesteps)


def refined(recorder: Recorder, pipe, model: Path, settings: dict, arguments: dict, inputs: Path) -> list:
    """The first pipeline, then the refiner's."""
    folder = model.parent / settings["refiner"]
    command = "fill" if settings["command"] == "fill" else "transform"
    # LoRAs are made for one model.
    own = {key: value for key, value in settings.items() if key != "lora"} | {"command": command}
    second = make_pipeline(folder, own, inputs)
    one_autoencoder = (folder / "vae" / "config.json").read_text() == (model / "vae" / "config.json").read_text()
    one_autoencoder |= "vae" in settings
    start = settings.get("refiner-start")
    if one_autoencoder:
        arguments = arguments | {"output_type": "latent"}
    if start is not None:
        arguments = arguments | {"denoising_end": start}
    made = recorder.run(pipe, **arguments)
    again = {key.replace("-", "_"): settings[key] for key in SHARED_OPTIONS if key in settings}
    again |= added_arguments(settings, command) | {"generator": arguments["generator"], "image": made}
    if start is not None:
        again["denoising_start"] = start
    else:
        again |= {"num_inference_steps": settings["refiner-steps"], "strength": REFINER_STRENGTH}
    if command == "fill":
        again |= {key: arguments[key] for key in ("mask_image", "width", "height")}
    return recorder.run(second, **again)
