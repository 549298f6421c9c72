"""Runs one case with diffusers: settings by the command line's option names, every step's latents, the pictures.

What an option means here is what it must mean in `overpaint ... --exact`:
* pictures and masks are opened as `diffusers.utils.load_image` opens them (RGB);
* `scheduler` and `scheduler-option` do `pipe.scheduler = X.from_config(pipe.scheduler.config, **options)` after the
  pipeline was made, so the pipeline's own corrections of old scheduler files have been applied;
* `lora` is a list of (file, scale): `pipe.load_lora_weights` each, then `pipe.set_adapters`;
* `mask-blur` is `pipe.mask_processor.blur`; `overlay` is `pipe.image_processor.apply_overlay` with the given mask.
"""

import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import diffusers
import numpy as np
import torch
import transformers
from diffusers import AutoencoderKL, UNet2DConditionModel, schedulers
from diffusers.utils import load_image
from transformers import CLIPTextModel, CLIPTokenizer

import clip_vocabulary
import lora

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


def load_tokenizer(folder: Path) -> CLIPTokenizer:
    """The model's tokenizer, or CLIP's own where the model has none."""
    if (folder / "tokenizer").exists():
        return CLIPTokenizer.from_pretrained(folder / "tokenizer")
    merges = clip_vocabulary.merges()
    vocabulary = clip_vocabulary.vocabulary(merges)
    return CLIPTokenizer(vocab=vocabulary, merges=[tuple(m.split()) for m in merges], model_max_length=77)


def load_parts(folder: Path) -> dict:
    """The components of a model folder, in f32, the scheduler as its file says."""

    def load(cls, part):
        variant = "fp16" if list((folder / part).glob("*.fp16.safetensors")) else None
        name = "dtype" if cls is CLIPTextModel else "torch_dtype"
        return cls.from_pretrained(folder / part, variant=variant, **{name: torch.float32}).eval()

    config = schedulers.DDIMScheduler.load_config(folder / "scheduler")
    return dict(
        unet=load(UNet2DConditionModel, "unet"),
        vae=load(AutoencoderKL, "vae"),
        text_encoder=load(CLIPTextModel, "text_encoder"),
        tokenizer=load_tokenizer(folder),
        scheduler=getattr(schedulers, config["_class_name"]).from_config(config),
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
    pipe = PIPELINES[settings["command"]](**load_parts(folder))
    pipe.set_progress_bar_config(disable=True)
    options = settings.get("scheduler-option", {})
    if "scheduler" in settings or options:
        name = settings.get("scheduler")
        cls = scheduler_class(name) if name else type(pipe.scheduler)
        pipe.scheduler = cls.from_config(pipe.scheduler.config, **options)
    if "lora" in settings:
        lora.attach(pipe, settings["lora"], inputs)
    return pipe


def run(model: Path, settings: dict, inputs: Path) -> Result:
    """Runs the settings (paths of pictures, masks and LoRAs relative to `inputs`)."""
    pipe = make_pipeline(model, settings, inputs)
    latents, timesteps, decoded = [], [], []

    def on_step(_pipe, _index, timestep, values):
        latents.append(values["latents"].clone())
        timesteps.append(float(timestep))
        return values

    arguments = {key.replace("-", "_"): settings[key] for key in CALL_OPTIONS if key in settings}
    arguments["generator"] = torch.Generator("cpu").manual_seed(settings["seed"])
    original = None
    if settings["command"] in ("fill", "transform"):
        original = load_image(str(inputs / settings["image"]))
        arguments["image"] = original
    if settings["command"] == "fill":
        mask = load_image(str(inputs / settings["mask"]))
        if "mask-blur" in settings:
            mask = pipe.mask_processor.blur(mask, settings["mask-blur"])
        arguments["mask_image"] = mask

    decode = pipe.vae.decode

    def recording_decode(*args, **kwargs):
        result = decode(*args, **kwargs)
        decoded.append(result[0].clone())
        return result

    pipe.vae.decode = recording_decode
    with torch.no_grad():
        images = pipe(callback_on_step_end=on_step, **arguments).images
    if settings.get("overlay"):
        images = [pipe.image_processor.apply_overlay(mask, original, image) for image in images]
    return Result(latents, decoded[0], [np.asarray(image.convert("RGB")) for image in images], timesteps)
