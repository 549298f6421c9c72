"""Fixtures of Kandinsky 2.2: a small prior, a decoder for text to image and image to image, and one for inpainting.

    python tests/reference/kandinsky.py           # rewrites tests/fixtures/kandinsky (about a minute)
    python tests/reference/kandinsky.py --models FOLDER     # the models alone, as ordinary folders

The models are described (`described.py`), so the folders in the fixtures are no models yet; `materialise` makes them.
Where the combined pipelines run the prior and the decoder one after the other, so does `run`, with one generator.
"""

import argparse
import json
import random
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import diffusers
import numpy as np
import torch
from diffusers import PriorTransformer, UNet2DConditionModel, VQModel, schedulers
from diffusers.utils import load_image
from PIL import Image
from safetensors.torch import save_file
from torch.nn.functional import interpolate, unfold
from transformers import (
    CLIPImageProcessor,
    CLIPTextConfig,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
)

import clip_vocabulary
import described
import pictures
import runner
import store
from make_fixtures import provenance

FOLDER = Path(__file__).resolve().parents[1] / "fixtures" / "kandinsky"

PIPELINES = {
    "fill": diffusers.KandinskyV22InpaintPipeline,
    "generate": diffusers.KandinskyV22Pipeline,
    "transform": diffusers.KandinskyV22Img2ImgPipeline,
}
STEMS = {
    "unet": "diffusion_pytorch_model",
    "movq": "diffusion_pytorch_model",
    "prior": "diffusion_pytorch_model",
    "text_encoder": "model",
    "image_encoder": "model",
}
CLASSES = {
    "unet": UNet2DConditionModel,
    "movq": VQModel,
    "prior": PriorTransformer,
    "text_encoder": CLIPTextModelWithProjection,
    "image_encoder": CLIPVisionModelWithProjection,
}


@dataclass
class Decoder:
    """What a decoder's folder is made from."""

    name: str
    unet: dict
    movq: dict
    scheduler: dict
    prior: str = "tiny/prior"


@dataclass
class Prior:
    """What a prior's folder is made from."""

    name: str
    prior: dict
    text: dict
    image: dict
    scheduler: dict
    merges: int = 200
    pad_token: str = "!"
    files: dict = field(default_factory=dict)


WIDTH = 12

PRIOR = Prior(
    name="prior",
    prior=dict(num_attention_heads=2, attention_head_dim=8, num_layers=2, embedding_dim=WIDTH),
    text=dict(
        hidden_size=WIDTH, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2, projection_dim=WIDTH,
        hidden_act="gelu",
    ),
    image=dict(
        hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2, projection_dim=WIDTH,
        image_size=28, patch_size=14, hidden_act="gelu",
    ),
    scheduler=dict(
        _class_name="UnCLIPScheduler", num_train_timesteps=1000, variance_type="fixed_small_log", clip_sample=True,
        clip_sample_range=5.0, prediction_type="sample",
    ),
)

UNET = dict(
    sample_size=16,
    in_channels=4,
    out_channels=8,
    block_out_channels=[16, 32],
    down_block_types=["ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D"],
    mid_block_type="UNetMidBlock2DSimpleCrossAttn",
    up_block_types=["SimpleCrossAttnUpBlock2D", "ResnetUpsampleBlock2D"],
    layers_per_block=1,
    attention_head_dim=8,
    norm_num_groups=8,
    cross_attention_dim=10,
    encoder_hid_dim=WIDTH,
    encoder_hid_dim_type="image_proj",
    addition_embed_type="image",
    resnet_time_scale_shift="scale_shift",
)


def movq(channels: list[int], attention: list[bool]) -> dict:
    """A VQModel with these widths from the finest down, and attention where it says so."""
    return dict(
        block_out_channels=channels,
        down_block_types=["AttnDownEncoderBlock2D" if here else "DownEncoderBlock2D" for here in attention],
        up_block_types=["AttnUpDecoderBlock2D" if here else "UpDecoderBlock2D" for here in reversed(attention)],
        latent_channels=4,
        layers_per_block=1,
        norm_num_groups=8,
        norm_type="spatial",
        num_vq_embeddings=12,
        vq_embed_dim=4,
        sample_size=32,
    )


BETAS = dict(num_train_timesteps=1000, beta_start=0.00085, beta_end=0.012, beta_schedule="linear")

DECODERS = [
    # As published: DDPM with a learned variance and dynamic thresholding.
    Decoder(
        name="text",
        unet=UNET,
        movq=movq([32, 32], [False, True]),
        scheduler=BETAS
        | dict(
            _class_name="DDPMScheduler",
            variance_type="learned_range",
            thresholding=True,
            dynamic_thresholding_ratio=0.95,
            sample_max_value=2.5,
            clip_sample=True,
        ),
    ),
    # Three levels, a block that looks at the picture's embedding only, a scheduler that leaves the variance out.
    Decoder(
        name="inpaint",
        unet=UNET
        | dict(
            in_channels=9,
            block_out_channels=[16, 16, 24],
            down_block_types=[
                "ResnetDownsampleBlock2D",
                "SimpleCrossAttnDownBlock2D",
                "SimpleCrossAttnDownBlock2D",
            ],
            up_block_types=["SimpleCrossAttnUpBlock2D", "SimpleCrossAttnUpBlock2D", "ResnetUpsampleBlock2D"],
            layers_per_block=[1, 2, 1],
            only_cross_attention=[False, True, False],
            mid_block_only_cross_attention=True,
            attention_head_dim=4,
            norm_num_groups=4,
        ),
        movq=movq([32, 32, 64], [False, False, True]) | dict(norm_num_groups=4),
        scheduler=BETAS
        | dict(
            _class_name="DDPMScheduler", clip_sample=True, clip_sample_range=2.0, timestep_spacing="linspace"
        ),
    ),
]


def random_specs(seed: int) -> tuple[Prior, Decoder]:
    """A pair that nobody has seen."""
    rng = random.Random(seed)
    width = rng.choice([8, 12, 20])
    heads, head = rng.choice([(1, 8), (2, 4), (3, 4), (2, 10)])
    text_heads = rng.choice([1, 2, 4])
    prior = Prior(
        name=f"prior-{seed}",
        prior=dict(
            num_attention_heads=heads,
            attention_head_dim=head,
            num_layers=rng.choice([1, 2, 3]),
            embedding_dim=width,
            time_embed_act_fn=rng.choice(["silu", "silu", "gelu"]),
            time_embed_dim=rng.choice([None, 14]),
            norm_in_type=rng.choice([None, "layer"]),
            embedding_proj_norm_type=rng.choice([None, "layer"]),
        ),
        text=PRIOR.text
        | dict(
            hidden_size=width, projection_dim=width, num_attention_heads=text_heads,
            hidden_act=rng.choice(["gelu", "quick_gelu"]), num_hidden_layers=rng.choice([1, 2, 3]),
        ),
        image=PRIOR.image
        | dict(
            projection_dim=width, image_size=rng.choice([28, 32]), patch_size=rng.choice([7, 14]),
            hidden_act=rng.choice(["gelu", "quick_gelu"]),
        ),
        scheduler=PRIOR.scheduler | dict(clip_sample_range=rng.choice([5.0, 5.0, 1.5])),
        merges=rng.choice([100, 300]),
        pad_token=rng.choice(["!", "<|endoftext|>"]),
    )
    levels = rng.choice([2, 2, 3])
    nine = rng.random() < 0.5
    head_dim = rng.choice([2, 4, 8])
    crossed = [rng.random() < 0.7 for _ in range(levels)]
    only = [rng.random() < 0.4 for _ in range(levels)]
    variance = rng.choice(["learned_range", "learned_range", "fixed_small", "fixed_small_log", None])
    scheduler = BETAS | dict(_class_name="DDPMScheduler", clip_sample=False)
    if variance:
        scheduler["variance_type"] = variance
    if rng.random() < 0.3:
        scheduler |= dict(thresholding=True, dynamic_thresholding_ratio=0.9, sample_max_value=3.0)
    if rng.random() < 0.4:
        scheduler["timestep_spacing"] = rng.choice(["leading", "trailing", "linspace"])
    factor = rng.choice([1, 2, 2, 3])
    decoder = Decoder(
        name=f"decoder-{seed}",
        unet=UNET
        | dict(
            in_channels=9 if nine else 4,
            block_out_channels=[8 * rng.choice([1, 2, 3]) for _ in range(levels)],
            down_block_types=["SimpleCrossAttnDownBlock2D" if c else "ResnetDownsampleBlock2D" for c in crossed],
            up_block_types=["SimpleCrossAttnUpBlock2D" if c else "ResnetUpsampleBlock2D" for c in crossed[::-1]],
            layers_per_block=rng.choice([1, 2, [rng.choice([1, 2]) for _ in range(levels)]]),
            attention_head_dim=head_dim,
            only_cross_attention=rng.choice([False, True, only]),
            norm_num_groups=rng.choice([2, 4, 8]),
            norm_eps=rng.choice([1e-5, 1e-6]),
            cross_attention_dim=rng.choice([6, 10]),
            encoder_hid_dim=width,
            act_fn=rng.choice(["silu", "silu", "gelu"]),
            resnet_time_scale_shift=rng.choice(["scale_shift", "scale_shift", "default"]),
            mid_block_scale_factor=rng.choice([1, 1, 1.5]),
        ),
        movq=movq([32 * rng.choice([1, 1, 2]) for _ in range(factor)], [rng.random() < 0.4 for _ in range(factor)])
        | dict(norm_num_groups=rng.choice([4, 16, 32]), layers_per_block=rng.choice([1, 1, 2])),
        scheduler=scheduler,
        prior=f"tiny/prior-{seed}",
    )
    return prior, decoder


@torch.no_grad()
def fit_unet_head(unet: UNet2DConditionModel, generator: torch.Generator) -> None:
    """Least squares for conv_out: the first half predicts the noise of noisy smooth latents."""
    count, size = 64, 16
    betas = torch.linspace(BETAS["beta_start"], BETAS["beta_end"], 1000)
    alphas = torch.cumprod(1 - betas, 0)
    coarse = torch.randn(count, 4, size // 4, size // 4, generator=generator)
    clean = 0.9 * interpolate(coarse, size=(size, size), mode="bilinear")
    clean = clean + 0.5 * torch.randn(count, 4, size, size, generator=generator)
    noise = torch.randn(count, 4, size, size, generator=generator)
    late = torch.randint(700, 1000, (count,), generator=generator)
    steps = torch.where(torch.arange(count) % 2 == 0, late, torch.randint(1, 1000, (count,), generator=generator))
    signal, sigma = alphas[steps].sqrt().view(-1, 1, 1, 1), (1 - alphas[steps]).sqrt().view(-1, 1, 1, 1)
    noisy = signal * clean + sigma * noise
    if unet.config.in_channels == 9:
        mask = (torch.rand(count, 1, size, size, generator=generator) < 0.5).float()
        noisy = torch.cat([noisy, clean * mask, mask], 1)
    embeds = torch.randn(count, unet.config.encoder_hid_dim, generator=generator)
    features = []
    hook = unet.conv_out.register_forward_pre_hook(lambda _module, inputs: features.append(inputs[0]))
    unet(noisy, steps, None, added_cond_kwargs={"image_embeds": embeds})
    hook.remove()
    columns = unfold(features[0], 3, padding=1).transpose(1, 2).reshape(-1, features[0].shape[1] * 9)
    columns = torch.cat([columns, torch.ones(len(columns), 1)], 1).double()
    wanted = noise.permute(0, 2, 3, 1).reshape(-1, 4).double()
    gram = columns.T @ columns + 1e-3 * len(columns) * torch.eye(columns.shape[1], dtype=torch.double)
    fitted = torch.linalg.solve(gram, columns.T @ wanted)
    weight, bias = unet.conv_out.weight, unet.conv_out.bias
    part = fitted[:-1].T.reshape(weight[:4].shape).float()
    weight[:4] = part + 0.05 * part.std() * torch.randn(part.shape, generator=generator)
    bias[:4] = fitted[-1].float()
    # The second half is a share of the range of variances, about -1 to 1.
    weight[4:] *= 0.5


@torch.no_grad()
def scale_movq(vq: VQModel, generator: torch.Generator) -> None:
    """Latents of unit deviation, decoded pictures in mid-range."""
    coarse = torch.randn(4, 3, 8, 8, generator=generator)
    picture = interpolate(coarse, size=(64, 64), mode="bilinear")
    latents = vq.encode((picture + 0.2 * torch.randn(4, 3, 64, 64, generator=generator)).clamp(-1, 1)).latents
    gain = 1.0 / latents.std((0, 2, 3))
    vq.quant_conv.weight.mul_(gain.view(-1, 1, 1, 1))
    vq.quant_conv.bias.copy_((vq.quant_conv.bias - latents.mean((0, 2, 3))) * gain)
    latents = interpolate(torch.randn(4, 4, 4, 4, generator=generator), size=(16, 16), mode="bilinear")
    latents = latents + 0.5 * torch.randn(4, 4, 16, 16, generator=generator)
    decoded = vq.decode(latents, force_not_quantize=True).sample
    gain = 0.4 / decoded.std((0, 2, 3))
    vq.decoder.conv_out.weight.mul_(gain.view(-1, 1, 1, 1))
    vq.decoder.conv_out.bias.copy_((vq.decoder.conv_out.bias - decoded.mean((0, 2, 3))) * gain)


def write_scheduler(folder: Path, config: dict) -> None:
    """scheduler_config.json with what a person would have written, so that defaults stay defaults."""
    (folder / "scheduler").mkdir(parents=True)
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(config, indent=2) + "\n")


def describe_prior(spec: Prior, folder: Path) -> None:
    """Writes a prior's folder, described."""
    shutil.rmtree(folder, ignore_errors=True)
    merges = clip_vocabulary.merges(spec.merges)
    vocabulary = clip_vocabulary.vocabulary(merges)
    clip_vocabulary.write_files(folder / "tokenizer", merges)
    settings = dict(
        tokenizer_class="CLIPTokenizer", model_max_length=77, bos_token=clip_vocabulary.START,
        eos_token=clip_vocabulary.END, unk_token=clip_vocabulary.END, pad_token=spec.pad_token, do_lower_case=True,
    )
    (folder / "tokenizer" / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n")
    end = len(vocabulary) - 1
    text = CLIPTextConfig(
        vocab_size=len(vocabulary), bos_token_id=end - 1, eos_token_id=end,
        pad_token_id=vocabulary[spec.pad_token], max_position_embeddings=77, **spec.text,
    )
    parts = dict(
        prior=PriorTransformer(**spec.prior),
        text_encoder=CLIPTextModelWithProjection(text),
        image_encoder=CLIPVisionModelWithProjection(CLIPVisionConfig(**spec.image)),
    )
    for part, module in parts.items():
        seed = f"{spec.name}/{part}"
        described.save(described.rounded(described.fill(module, seed)), folder / part, seed)
    write_scheduler(folder, spec.scheduler)
    (folder / "image_processor").mkdir()
    CLIPImageProcessor(size=spec.image["image_size"]).save_pretrained(folder / "image_processor")
    index = dict(
        _class_name="KandinskyV22PriorPipeline", _diffusers_version="0.42.1",
        image_encoder=["transformers", "CLIPVisionModelWithProjection"],
        image_processor=["transformers", "CLIPImageProcessor"], prior=["diffusers", "PriorTransformer"],
        scheduler=["diffusers", "UnCLIPScheduler"], text_encoder=["transformers", "CLIPTextModelWithProjection"],
        tokenizer=["transformers", "CLIPTokenizer"],
    )
    (folder / "model_index.json").write_text(json.dumps(index, indent=2) + "\n")


def describe_decoder(spec: Decoder, folder: Path) -> None:
    """Writes a decoder's folder, described."""
    shutil.rmtree(folder, ignore_errors=True)
    generator = torch.Generator().manual_seed(7)
    unet, vq = UNet2DConditionModel(**spec.unet), VQModel(**spec.movq)
    seeds = {"unet": f"{spec.name}/unet", "movq": f"{spec.name}/movq"}
    fit_unet_head(described.fill(unet, seeds["unet"]), generator)
    scale_movq(described.fill(vq, seeds["movq"]), generator)
    for part, module in (("unet", unet), ("movq", vq)):
        described.save(described.rounded(module), folder / part, seeds[part])
    write_scheduler(folder, spec.scheduler)
    nine = spec.unet["in_channels"] == 9
    index = dict(
        _class_name="KandinskyV22InpaintPipeline" if nine else "KandinskyV22Pipeline", _diffusers_version="0.42.1",
        movq=["diffusers", "VQModel"], scheduler=["diffusers", spec.scheduler["_class_name"]],
        unet=["diffusers", "UNet2DConditionModel"],
    )
    (folder / "model_index.json").write_text(json.dumps(index, indent=2) + "\n")
    (folder / "README.md").write_text(f"---\nlicense: apache-2.0\nprior:\n- {spec.prior}\n---\n")


def materialise(folder: Path, target: Path) -> Path:
    """The described folder as an ordinary model folder."""
    for entry in sorted(folder.iterdir()):
        if entry.is_file():
            target.mkdir(parents=True, exist_ok=True)
            shutil.copy(entry, target)
        elif (entry / "weights.json").exists():
            described.materialise(entry, target / entry.name, STEMS[entry.name])
        else:
            shutil.copytree(entry, target / entry.name, dirs_exist_ok=True)
    return target


def load(folder: Path, part: str):
    """A component in f32."""
    cls = CLASSES[part]
    name = "dtype" if part.endswith("encoder") else "torch_dtype"
    return cls.from_pretrained(folder / part, **{name: torch.float32}).eval()


def load_scheduler(folder: Path):
    """The scheduler that the folder's file names."""
    config = schedulers.DDPMScheduler.load_config(folder / "scheduler")
    return getattr(schedulers, config["_class_name"]).from_config(config)


def make_prior(folder: Path) -> diffusers.KandinskyV22PriorPipeline:
    """The prior's pipeline."""
    parts = {part: load(folder, part) for part in ("prior", "text_encoder", "image_encoder")}
    pipe = diffusers.KandinskyV22PriorPipeline(
        tokenizer=CLIPTokenizer.from_pretrained(folder / "tokenizer"), scheduler=load_scheduler(folder),
        image_processor=CLIPImageProcessor.from_pretrained(folder / "image_processor"), **parts,
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe


def make_decoder(folder: Path, settings: dict):
    """The decoder's pipeline for a command, with the scheduler of the settings."""
    pipe = PIPELINES[settings["command"]](
        unet=load(folder, "unet"), movq=load(folder, "movq"), scheduler=load_scheduler(folder)
    )
    pipe.set_progress_bar_config(disable=True)
    options = settings.get("scheduler-option", {})
    if "scheduler" in settings or options:
        name = settings.get("scheduler")
        cls = runner.scheduler_class(name) if name else type(pipe.scheduler)
        pipe.scheduler = cls.from_config(pipe.scheduler.config, **options)
    return pipe


@dataclass
class Result(runner.Result):
    """A run, with what came before the decoder."""

    image_embeds: torch.Tensor | None = None


def run(prior: Path, model: Path, settings: dict, inputs: Path) -> Result:
    """Prior and decoder with one generator, as the combined pipelines have it."""
    generator = torch.Generator("cpu").manual_seed(settings["seed"])
    count = settings.get("num-images-per-prompt", 1)
    latents, timesteps, decoded = [], [], []

    def on_step(_pipe, _index, timestep, values):
        latents.append(values["latents"].clone())
        timesteps.append(float(timestep))
        return values

    with torch.no_grad():
        image_embeds, negative_image_embeds = make_prior(prior)(
            prompt=settings["prompt"],
            negative_prompt=settings.get("negative-prompt"),
            num_images_per_prompt=count,
            num_inference_steps=settings.get("prior-num-inference-steps", 25),
            guidance_scale=settings.get("prior-guidance-scale", 4.0),
            generator=generator,
            return_dict=False,
        )
    pipe = make_decoder(model, settings)
    names = ["num-inference-steps", "guidance-scale", "width", "height"]
    if settings["command"] == "transform":
        names.append("strength")
    arguments = {key.replace("-", "_"): settings[key] for key in names if key in settings}
    if settings["command"] != "generate":
        # As the combined pipelines do it: the picture once for each embedding.
        arguments["image"] = [load_image(str(inputs / settings["image"]))] * count
    if settings["command"] == "fill":
        arguments["mask_image"] = [load_image(str(inputs / settings["mask"]))] * count
    decode = pipe.movq.decode

    def recording_decode(*args, **kwargs):
        result = decode(*args, **kwargs)
        decoded.append(result["sample"].clone())
        return result

    pipe.movq.decode = recording_decode
    with torch.no_grad():
        images = pipe(
            image_embeds=image_embeds, negative_image_embeds=negative_image_embeds, generator=generator,
            callback_on_step_end=on_step, **arguments,
        ).images
    shown = [np.asarray(image.convert("RGB")) for image in images]
    return Result(latents, decoded[0], shown, timesteps, image_embeds)


def case(command: str, **options) -> dict:
    """A case by the command line's option names."""
    base = {
        "model": "inpaint" if command == "fill" else "text",
        "command": command,
        "prompt": "a red fox in the snow!",
        "seed": 42,
        "num-inference-steps": 3,
        "guidance-scale": 4.0,
        "prior-num-inference-steps": 4,
        "width": 24,
        "height": 24,
    }
    if command != "generate":
        base |= {"image": "square.png"}
    if command == "fill":
        base |= {"mask": "square-disc.png", "width": 32, "height": 32}
    if command == "transform":
        base |= {"strength": 0.6}
    given = {key.replace("_", "-"): value for key, value in options.items()}
    return base | given


CASES = {
    "text": case("generate"),
    "text-rounded-up": case("generate", width=30, height=17, prior_num_inference_steps=7),
    "text-negative": case("generate", negative_prompt="fog, blurry", prior_guidance_scale=2.0),
    "text-unguided": case("generate", guidance_scale=1.0, prior_guidance_scale=1.0, num_images_per_prompt=2),
    "text-batch-negative": case("generate", negative_prompt="", num_images_per_prompt=2, seed=7),
    "text-fixed": case("generate", scheduler_option={"variance_type": "fixed_small_log", "thresholding": False}),
    # The network's variance is left out where the scheduler has no use for it and says so.
    "text-fixed-dpmpp": case(
        "generate", scheduler="DPMSolverMultistep", num_inference_steps=6,
        scheduler_option={"variance_type": "fixed_small", "sample_max_value": 2.0},
    ),
    "transform": case("transform"),
    # Width and height change places on the way.
    "transform-swapped": case("transform", image="wide.png", width=36, height=20),
    "transform-batch": case("transform", num_images_per_prompt=2, strength=0.35, num_inference_steps=7),
    "transform-own-size": case("transform", image="tall.png", width=32, height=16, strength=1.0),
    "fill": case("fill"),
    "fill-levels": case("fill", mask="square-levels.png", image="alpha.png", negative_prompt="fog"),
    "fill-wide": case("fill", image="wide.png", mask="wide-disc.png", width=64, height=32),
    "fill-coloured": case("fill", mask="square-coloured.png", image="tall.png", width=32, height=48),
    "fill-batch": case("fill", num_images_per_prompt=2, guidance_scale=0.5),
    "fill-ddim": case("fill", scheduler="DDIM", seed=123456789012),
    "fill-dpmpp": case(
        "fill", scheduler="DPMSolverMultistep", num_inference_steps=6,
        scheduler_option={"thresholding": True, "sample_max_value": 2.0},
    ),
    # The pipelines never scale the network's input.
    "fill-euler": case("fill", scheduler="Euler", scheduler_option={"prediction_type": "v_prediction"}),
}


@torch.no_grad()
def write_units(models: Path) -> None:
    """The networks one by one, and the scheduler of the prior."""
    generator = torch.Generator("cpu").manual_seed(77)
    tensors = {}
    prior = load(models / "prior", "prior")
    width = prior.config.embedding_dim
    noisy, text = torch.randn(3, width, generator=generator), torch.randn(3, width, generator=generator)
    states = torch.randn(3, 77, width, generator=generator)
    lengths = torch.tensor([3, 77, 20])
    mask = torch.arange(77)[None] < lengths[:, None]
    tensors |= {"prior.noisy": noisy, "prior.text": text, "prior.states": states, "prior.lengths": lengths}
    for step in (0, 431, 999):
        tensors[f"prior.{step}"] = prior(noisy, step, text, states, mask).predicted_image_embedding
    tensors["prior.processed"] = prior.post_process_latents(noisy)

    image = load(models / "prior", "image_encoder")
    size = image.config.image_size
    picture = torch.randn(2, 3, size, size, generator=generator)
    tensors |= {"image.picture": picture, "image.embeds": image(picture).image_embeds}
    tensors["image.zero"] = image(torch.zeros(1, 3, size, size)).image_embeds

    for name in ("text", "inpaint"):
        unet, vq = load(models / name, "unet"), load(models / name, "movq")
        sample = torch.randn(2, unet.config.in_channels, 12, 8, generator=generator)
        embeds = torch.randn(2, width, generator=generator)
        tensors |= {f"{name}.sample": sample, f"{name}.embeds": embeds}
        for step in (1, 701):
            added = {"image_embeds": embeds}
            tensors[f"{name}.unet_{step}"] = unet(sample, step, None, added_cond_kwargs=added).sample
        shown = torch.from_numpy(np.array(pictures.picture(24, 16, 30))).permute(2, 0, 1)[None] / 127.5 - 1
        latents = torch.randn(2, 4, 6, 5, generator=generator)
        tensors |= {f"{name}.picture": shown.float(), f"{name}.latents": latents}
        tensors[f"{name}.encoded"] = vq.encode(shown.float()).latents
        tensors[f"{name}.decoded"] = vq.decode(latents, force_not_quantize=True).sample

    resized = []
    for name, width, height in (
        ("wide", 48, 24), ("wide", 64, 32), ("wide", 150, 20), ("wide", 75, 13), ("tall", 25, 40), ("tall", 90, 13),
    ):
        picture = load_image(str(FOLDER.parent / "parity" / "inputs" / f"{name}.png"))
        shrunk = picture.resize((width, height), resample=Image.Resampling.BICUBIC, reducing_gap=1)
        tensors[f"resized.{len(resized)}"] = torch.from_numpy(np.array(shrunk))
        resized.append([name, width, height])

    loops = []
    for steps, clip, kind in ((2, 5.0, "sample"), (7, 5.0, "sample"), (25, 1.0, "epsilon"), (1000, 2.0, "sample")):
        config = PRIOR.scheduler | dict(clip_sample_range=clip, prediction_type=kind)
        scheduler = schedulers.UnCLIPScheduler.from_config(config)
        scheduler.set_timesteps(steps)
        noise = torch.Generator("cpu").manual_seed(steps)
        sample = torch.randn(2, 9, generator=noise)
        states = [sample]
        timesteps = scheduler.timesteps.tolist()
        for index, step in enumerate(timesteps):
            output = torch.sin(2 * sample + 0.3 * index) * 0.8 + 0.1 * sample
            following = timesteps[index + 1] if index + 1 < steps else None
            sample = scheduler.step(output, step, sample, prev_timestep=following, generator=noise).prev_sample
            if index < 25 or index + 1 == steps:
                states.append(sample)
        tensors[f"unclip.{len(loops)}"] = torch.stack(states)
        loops.append({"steps": steps, "config": config, "timesteps": timesteps if steps < 100 else []})
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, FOLDER / "units.safetensors")
    (FOLDER / "units.json").write_text(json.dumps({"unclip": loops, "resized": resized}, indent=1) + "\n")


def write_case(models: Path, name: str, settings: dict) -> dict:
    """Runs one case and stores it."""
    inputs = FOLDER.parent / "parity" / "inputs"
    result = run(models / "prior", models / settings["model"], settings, inputs)
    last, clamped = result.latents[-1], (result.decoded.abs() > 1).float().mean().item()
    print(
        f"{name:24} steps {len(result.latents):2}  latents std {last.std():6.3f}  clamped {clamped:5.1%}  "
        f"embeds std {result.image_embeds.std():6.3f}  spread {np.std(result.pictures[0]):5.1f}"
    )
    return store.save_run(FOLDER / "cases", name, result, settings)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, help="only make the models there, as ordinary folders")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if not options.models:
        shutil.rmtree(FOLDER, ignore_errors=True)
        (FOLDER / "cases").mkdir(parents=True)
        describe_prior(PRIOR, FOLDER / "models" / "prior")
        for spec in DECODERS:
            describe_decoder(spec, FOLDER / "models" / spec.name)
    with tempfile.TemporaryDirectory() as scratch:
        models = options.models or Path(scratch)
        for name in ("prior", "text", "inpaint"):
            materialise(FOLDER / "models" / name, models / name)
        if options.models:
            return
        write_units(models)
        rows = [write_case(models, name, settings) for name, settings in CASES.items()]
    table = {"provenance": provenance("kandinsky.py"), "cases": rows}
    (FOLDER / "cases.json").write_text(json.dumps(table, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
