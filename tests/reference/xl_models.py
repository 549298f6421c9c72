"""Small random models of Stable Diffusion 2 and XL as diffusers folders, made sensitive as those of `models.py`."""

import json
import random
import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers import schedulers as scheduler_classes
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

import models

# A step of the scheduler as published files have it.
XL_SCHEDULER = models.SD_SCHEDULER | dict(
    interpolation_type="linear", skip_prk_steps=True, set_alpha_to_one=False, timestep_spacing="leading"
)
TIME_WIDTH = 4


@dataclass
class XlSpec:
    """Everything a Stable Diffusion XL folder is made from."""

    name: str
    seed: int
    unet: dict
    vae: dict
    # Of the first encoder; None in a refiner.
    text: dict | None
    text_2: dict
    scheduler: tuple[str, dict]
    merges: int = 150
    index: dict = field(default_factory=dict)
    store: str = "f16"
    # Seeds the autoencoder, so that models can share one.
    vae_seed: int = 77
    # Parts that are links to another model's: part -> its name.
    shared: dict = field(default_factory=dict)


XL_UNET = dict(
    sample_size=6,
    in_channels=4,
    out_channels=4,
    block_out_channels=[4, 8],
    down_block_types=["DownBlock2D", "CrossAttnDownBlock2D"],
    up_block_types=["CrossAttnUpBlock2D", "UpBlock2D"],
    layers_per_block=1,
    transformer_layers_per_block=[1, 2],
    attention_head_dim=[1, 2],
    norm_num_groups=2,
    use_linear_projection=True,
    upcast_attention=None,
    addition_embed_type="text_time",
    addition_time_embed_dim=TIME_WIDTH,
)
XL_VAE = dict(
    **models.vae_blocks([4, 4, 4, 8]),
    latent_channels=4,
    layers_per_block=1,
    norm_num_groups=2,
    sample_size=48,
    scaling_factor=0.13025,
    force_upcast=True,
)
TEXT_1 = models.BASE_TEXT | dict(hidden_size=8, intermediate_size=16, projection_dim=8)
TEXT_2 = models.BASE_TEXT | dict(
    hidden_size=12, intermediate_size=24, num_attention_heads=3, hidden_act="gelu", projection_dim=10
)

SD2 = models.Spec(
    # The shape of stable-diffusion-2-inpainting, with v-prediction: linear projections, heads that differ a level,
    # an encoder with gelu that pads with "!" (its weights are those of xl-base's second one).
    name="sd2-inpaint-v",
    seed=505,
    unet=models.BASE_UNET
    | dict(
        sample_size=6,
        in_channels=9,
        block_out_channels=[4, 8],
        attention_head_dim=[1, 2],
        norm_num_groups=2,
        cross_attention_dim=12,
        use_linear_projection=True,
        upcast_attention=True,
        dual_cross_attention=False,
    ),
    vae=models.BASE_VAE | models.vae_blocks([4, 4, 4, 8]) | dict(norm_num_groups=2, sample_size=48),
    text=TEXT_2,
    scheduler=(
        "DDIMScheduler",
        models.SD_SCHEDULER | dict(prediction_type="v_prediction", clip_sample=False, set_alpha_to_one=False),
    ),
    merges=150,
    pad_token="!",
)

MODELS = [
    XlSpec("xl-base", 601, XL_UNET, XL_VAE, TEXT_1, TEXT_2, ("EulerDiscreteScheduler", XL_SCHEDULER)),
    XlSpec(
        "xl-inpaint",
        602,
        XL_UNET | dict(in_channels=9),
        XL_VAE,
        TEXT_1,
        TEXT_2,
        ("EulerDiscreteScheduler", XL_SCHEDULER),
        # A folder that says nothing means zeros.
        index=dict(force_zeros_for_empty_prompt=None),
        shared=dict.fromkeys(("text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2", "vae"), "xl-base"),
    ),
    XlSpec(
        "xl-refiner",
        603,
        XL_UNET | dict(transformer_layers_per_block=1),
        XL_VAE,
        None,
        TEXT_2,
        ("EulerDiscreteScheduler", XL_SCHEDULER),
        index=dict(force_zeros_for_empty_prompt=False, requires_aesthetics_score=True),
        shared=dict.fromkeys(("text_encoder_2", "tokenizer_2", "vae"), "xl-base"),
    ),
    # The same with another autoencoder.
    XlSpec(
        "xl-refiner-other",
        603,
        XL_UNET | dict(transformer_layers_per_block=1),
        XL_VAE,
        None,
        TEXT_2,
        ("EulerDiscreteScheduler", XL_SCHEDULER),
        index=dict(force_zeros_for_empty_prompt=False, requires_aesthetics_score=True),
        shared=dict(unet="xl-refiner", text_encoder_2="xl-base", tokenizer_2="xl-base", vae="sd2-inpaint-v"),
    ),
]


def random_spec(seed: int) -> XlSpec:
    """A model nobody has seen."""
    rng = random.Random(seed)
    heads = rng.choice([1, 2, 4])
    channels = [8 * rng.choice([1, 2]), 8 * rng.choice([1, 2, 3])]
    crossed = [rng.random() < 0.4, True]
    width = [rng.choice([8, 12, 16]), rng.choice([8, 12, 16])]
    refiner = rng.random() < 0.2
    base = rng.choice(MODELS[:1] + MODELS[1:2])
    index = dict(force_zeros_for_empty_prompt=rng.choice([True, False, None]))
    unet = XL_UNET | dict(
        in_channels=4 if refiner else rng.choice([4, 9]),
        block_out_channels=channels,
        down_block_types=["CrossAttnDownBlock2D" if cross else "DownBlock2D" for cross in crossed],
        up_block_types=["CrossAttnUpBlock2D" if cross else "UpBlock2D" for cross in reversed(crossed)],
        layers_per_block=rng.choice([1, 2]),
        transformer_layers_per_block=rng.choice([1, 2, [1, 2], [1, 3]]),
        attention_head_dim=rng.choice([heads, [1, 2]]),
        norm_num_groups=rng.choice([2, 4]),
        sample_size=rng.choice([6, 8, 12]),
        time_cond_proj_dim=rng.choice([None, None, None, 5]),
        upcast_attention=rng.choice([None, False, True]),
        use_linear_projection=rng.random() < 0.7,
    )
    text = TEXT_1 | dict(hidden_size=width[0], num_attention_heads=2, num_hidden_layers=rng.choice([2, 3, 4]))
    text_2 = TEXT_2 | dict(
        hidden_size=width[1],
        num_attention_heads=2,
        num_hidden_layers=rng.choice([2, 3, 4]),
        projection_dim=rng.choice([6, 10]),
        hidden_act=rng.choice(["gelu", "quick_gelu"]),
        eos_token_id=2 if rng.random() < 0.3 else None,
    )
    levels = rng.choice([[4, 4, 8], [4, 4, 4, 8]])
    vae = XL_VAE | models.vae_blocks(levels) | dict(scaling_factor=rng.choice([0.13025, 0.18215, 0.6]))
    prediction = rng.choice(["epsilon", "epsilon", "v_prediction"])
    name = rng.choice(["EulerDiscreteScheduler", "DDIMScheduler", "DPMSolverMultistepScheduler", "PNDMScheduler"])
    scheduler = (name, XL_SCHEDULER | dict(prediction_type=prediction))
    if refiner:
        index |= dict(requires_aesthetics_score=True)
    if name == "DDIMScheduler":
        # Clipping to the unit range multiplies rounding by hundreds on such models.
        scheduler[1]["clip_sample"] = False
    return replace(
        base,
        name=f"holdout-{seed}",
        seed=seed,
        unet=unet,
        vae=vae,
        text=None if refiner else text,
        text_2={key: value for key, value in text_2.items() if value is not None},
        scheduler=scheduler,
        merges=rng.choice([100, 300]),
        index=index,
        store=rng.choice(["f16", "f32", "bf16", "fp16-variant"]),
        vae_seed=seed + 1,
        shared={},
    )


def refiner_for(spec: XlSpec, seed: int, same_vae: bool) -> XlSpec:
    """A refiner of a base, with its autoencoder or another."""
    refiner = MODELS[2]
    return replace(
        refiner,
        seed=seed,
        vae=spec.vae if same_vae else spec.vae | dict(scaling_factor=0.3),
        vae_seed=spec.vae_seed if same_vae else seed,
        merges=spec.merges,
        store=spec.store,
        shared={},
    )


def share(folder: Path, parts: dict) -> None:
    """Links in place of parts: the models of the fixtures have many alike."""
    for part, other in parts.items():
        shutil.rmtree(folder / part)
        (folder / part).symlink_to(Path("..") / other)


def build(spec: XlSpec, folder: Path) -> Path:
    """Writes the model folder, afresh, and returns it."""
    torch.manual_seed(spec.seed)
    generator = torch.Generator().manual_seed(spec.seed)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    parts, index = {}, {}
    context = 0
    for suffix, settings, cls, pad in (
        ("", spec.text, CLIPTextModel, "<|endoftext|>"),
        ("_2", spec.text_2, CLIPTextModelWithProjection, "!"),
    ):
        if settings is None:
            index[f"text_encoder{suffix}"] = index[f"tokenizer{suffix}"] = [None, None]
            continue
        # The second one knows other words than the first.
        tokens = models.Spec(
            spec.name, 0, {}, {}, {}, ("", {}), merges=spec.merges + (20 if suffix else 0), pad_token=pad
        )
        tokenizer = models.make_tokenizer(tokens, folder, f"tokenizer{suffix}")
        end = tokenizer.eos_token_id
        ids = dict(bos_token_id=end - 1, eos_token_id=end, pad_token_id=tokenizer.pad_token_id)
        parts[f"text_encoder{suffix}"] = cls(CLIPTextConfig(**(dict(vocab_size=len(tokenizer)) | ids | settings)))
        index[f"text_encoder{suffix}"] = ["transformers", cls.__name__]
        index[f"tokenizer{suffix}"] = ["transformers", "CLIPTokenizer"]
        context += settings["hidden_size"]
    numbers = 5 if spec.index.get("requires_aesthetics_score") else 6
    pooled = spec.text_2["projection_dim"]
    widths = dict(cross_attention_dim=context, projection_class_embeddings_input_dim=pooled + numbers * TIME_WIDTH)
    parts["unet"] = UNet2DConditionModel(**(spec.unet | widths))
    for name, module in parts.items():
        # Each from its own seed: sharing one changes no other.
        own = generator if name == "unet" else torch.Generator().manual_seed(spec.vae_seed + len(name))
        models.randomise(module, own)
        module.eval()

    def added(count: int) -> dict:
        ids = torch.randint(0, 100, (count, numbers), generator=generator).float()
        return dict(text_embeds=torch.randn(count, pooled, generator=generator), time_ids=ids)

    class_name, settings = spec.scheduler
    models.fit_unet_head(parts["unet"], settings.get("prediction_type", "epsilon"), generator, added)
    own = torch.Generator().manual_seed(spec.vae_seed)
    torch.manual_seed(spec.vae_seed)
    parts["vae"] = AutoencoderKL(**spec.vae)
    models.randomise(parts["vae"], own)
    models.scale_vae(parts["vae"].eval(), own)
    for part, module in parts.items():
        models.store_component(models.rounded(module, spec.store), folder / part, spec.store)
        cls = index.get(part, ["diffusers", type(module).__name__])
        index[part] = cls
    (folder / "scheduler").mkdir()
    config = {"_class_name": class_name, "_diffusers_version": "0.19.0"} | settings
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(config, indent=2) + "\n")
    index["scheduler"] = ["diffusers", getattr(scheduler_classes, class_name).__name__]
    refines = spec.index.get("requires_aesthetics_score")
    class_of_pipeline = "StableDiffusionXLImg2ImgPipeline" if refines else "StableDiffusionXLPipeline"
    if spec.unet["in_channels"] == 9:
        class_of_pipeline = "StableDiffusionXLInpaintPipeline"
    said = dict(force_zeros_for_empty_prompt=True) | spec.index
    said = {key: value for key, value in said.items() if value is not None}
    share(folder, {part: f"{other}/{part}" for part, other in spec.shared.items()})
    whole = dict(_class_name=class_of_pipeline, _diffusers_version="0.42.1") | said | index
    (folder / "model_index.json").write_text(json.dumps(whole, indent=2) + "\n")
    return folder
