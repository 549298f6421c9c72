"""Models of any size with random weights, made cheaply: what they compute means nothing, what they hold in memory does."""

import json
from pathlib import Path

import torch
from diffusers import AutoencoderKL, AutoencoderTiny, ControlNetModel, PriorTransformer, UNet2DConditionModel, VQModel
from safetensors.torch import save_file
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
)

import lora
import models
import xl_models

# All weights are pieces of this, scaled by their layers' inputs.
POOL = 1 << 22

XL_TIME = 256


def unet(channels: list[int], context: int, **more) -> dict:
    """A U-Net with attention at all levels but the coarsest."""
    levels = len(channels)
    return dict(
        sample_size=64,
        in_channels=4,
        out_channels=4,
        block_out_channels=channels,
        down_block_types=["CrossAttnDownBlock2D"] * (levels - 1) + ["DownBlock2D"],
        up_block_types=["UpBlock2D"] + ["CrossAttnUpBlock2D"] * (levels - 1),
        attention_head_dim=8,
        cross_attention_dim=context,
    ) | more


def xl_unet(channels: list[int], depths: list[int], context: int, pooled: int, numbers: int = 6) -> dict:
    """A U-Net of Stable Diffusion XL; no attention where the depth is 0. A refiner is told 5 numbers."""
    down = ["CrossAttnDownBlock2D" if depth else "DownBlock2D" for depth in depths]
    return dict(
        sample_size=128,
        in_channels=4,
        out_channels=4,
        block_out_channels=channels,
        down_block_types=down,
        up_block_types=[kind.replace("Down", "Up") for kind in reversed(down)],
        # The middle has the last level's depth, attention there or not.
        transformer_layers_per_block=[depth or max(depths) for depth in depths],
        attention_head_dim=[width // 64 for width in channels],
        cross_attention_dim=context,
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=XL_TIME,
        projection_class_embeddings_input_dim=pooled + numbers * XL_TIME,
    )


def kandinsky_unet(channels: list[int], context: int, image: int) -> dict:
    """A decoder's U-Net; no attention at its finest level."""
    levels = len(channels)
    return dict(
        sample_size=64,
        in_channels=4,
        out_channels=8,
        block_out_channels=channels,
        down_block_types=["ResnetDownsampleBlock2D"] + ["SimpleCrossAttnDownBlock2D"] * (levels - 1),
        mid_block_type="UNetMidBlock2DSimpleCrossAttn",
        up_block_types=["SimpleCrossAttnUpBlock2D"] * (levels - 1) + ["ResnetUpsampleBlock2D"],
        layers_per_block=3,
        attention_head_dim=64,
        cross_attention_dim=context,
        encoder_hid_dim=image,
        encoder_hid_dim_type="image_proj",
        addition_embed_type="image",
        resnet_time_scale_shift="scale_shift",
    )


def vae(channels: list[int], **more) -> dict:
    """An autoencoder of Stable Diffusion's kind."""
    return models.vae_blocks(channels) | dict(latent_channels=4, layers_per_block=2, sample_size=512) | more


def movq(channels: list[int], **more) -> dict:
    """Kandinsky's, with attention at the coarsest level."""
    levels = len(channels)
    return dict(
        block_out_channels=channels,
        down_block_types=["DownEncoderBlock2D"] * (levels - 1) + ["AttnDownEncoderBlock2D"],
        up_block_types=["AttnUpDecoderBlock2D"] + ["UpDecoderBlock2D"] * (levels - 1),
        latent_channels=4,
        layers_per_block=2,
        norm_type="spatial",
        num_vq_embeddings=16384,
        vq_embed_dim=4,
        sample_size=32,
    ) | more


def text(width: int, layers: int, **more) -> dict:
    """A text encoder."""
    return dict(
        hidden_size=width, intermediate_size=4 * width, num_hidden_layers=layers, num_attention_heads=width // 64,
        vocab_size=models.CLIP_VOCABULARY_SIZE, max_position_embeddings=77,
    ) | more


def vision(width: int, layers: int, projection: int) -> dict:
    """A picture encoder."""
    return dict(
        hidden_size=width, intermediate_size=4 * width, num_hidden_layers=layers, num_attention_heads=width // 64,
        projection_dim=projection, image_size=224, patch_size=14, hidden_act="gelu",
    )


def prior(heads: int, layers: int, width: int) -> dict:
    return dict(num_attention_heads=heads, attention_head_dim=64, num_layers=layers, embedding_dim=width)


MAKERS = {
    "unet": lambda config: UNet2DConditionModel(**config),
    "vae": lambda config: AutoencoderKL(**config),
    "movq": lambda config: VQModel(**config),
    "tiny": lambda config: AutoencoderTiny(**config),
    "controlnet": lambda config: ControlNetModel(**config),
    "prior": lambda config: PriorTransformer(**config),
    "text_encoder": lambda config: CLIPTextModel(CLIPTextConfig(**config)),
    "text_encoder_2": lambda config: CLIPTextModelWithProjection(CLIPTextConfig(**config)),
    "image_encoder": lambda config: CLIPVisionModelWithProjection(CLIPVisionConfig(**config)),
}
PROJECTED = "projected_text_encoder"
MAKERS[PROJECTED] = MAKERS["text_encoder_2"]


@torch.no_grad()
def random_module(kind: str, config: dict, dtype: torch.dtype) -> torch.nn.Module:
    """The network in `dtype`; each layer keeps the size of what goes through it."""
    with torch.device("meta"):
        module = MAKERS[kind](config)
    module = module.to(dtype).to_empty(device="cpu")
    pool = torch.randn(POOL, generator=torch.Generator().manual_seed(0)).to(dtype)
    for name, tensor in module.state_dict().items():
        if not tensor.is_floating_point():
            # Positions count up.
            tensor.copy_(torch.arange(tensor.numel()).view(tensor.shape))
        elif tensor.dim() < 2:
            tensor.fill_(0.0 if name.endswith("bias") else 1.0)
        else:
            scaled = pool * tensor[0].numel() ** -0.5
            flat = tensor.view(-1)
            for start in range(0, flat.numel(), POOL):
                part = flat[start : start + POOL]
                part.copy_(scaled[: part.numel()])
    return module


def save(kind: str, config: dict, folder: Path, dtype: torch.dtype) -> None:
    """A component's folder."""
    random_module(kind, config, dtype).save_pretrained(folder, max_shard_size="100GB")


def write(folder: Path, name: str, content: dict) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(json.dumps(content))


def model(folder: Path, parts: dict, dtype: torch.dtype) -> None:
    """A diffusion model's folder; the tokenizers are the built-in one."""
    for part, config in parts.items():
        save(part, config, folder / part, dtype)
    is_xl = parts["unet"].get("addition_embed_type") == "text_time"
    refines = "text_encoder_2" in parts and "text_encoder" not in parts
    if "movq" in parts:
        betas = dict(num_train_timesteps=1000, beta_start=0.00085, beta_end=0.012, beta_schedule="linear")
        write(folder / "scheduler", "scheduler_config.json", dict(_class_name="DDPMScheduler") | betas)
        pipeline = "KandinskyV22Pipeline"
    else:
        settings = xl_models.XL_SCHEDULER if is_xl else models.SD_SCHEDULER
        write(folder / "scheduler", "scheduler_config.json", dict(_class_name="EulerDiscreteScheduler") | settings)
        pipeline = "StableDiffusionPipeline"
    index = dict(unet=["diffusers", "UNet2DConditionModel"])
    if is_xl:
        pipeline = "StableDiffusionXLImg2ImgPipeline" if refines else "StableDiffusionXLPipeline"
        index |= dict(force_zeros_for_empty_prompt=not refines, requires_aesthetics_score=refines)
    write(folder, "model_index.json", dict(_class_name=pipeline) | index)


def prior_model(folder: Path, parts: dict, dtype: torch.dtype) -> None:
    """A prior's folder."""
    for part, config in parts.items():
        save(PROJECTED if part == "text_encoder" else part, config, folder / part, dtype)
    scheduler = dict(
        _class_name="UnCLIPScheduler", num_train_timesteps=1000, variance_type="fixed_small_log", clip_sample=True,
        clip_sample_range=5.0, prediction_type="sample",
    )
    write(folder / "scheduler", "scheduler_config.json", scheduler)
    index = dict(_class_name="KandinskyV22PriorPipeline", prior=["diffusers", "PriorTransformer"])
    write(folder, "model_index.json", index)


def adapter(file: Path, config: dict, rank: int, dtype: torch.dtype) -> None:
    """A LoRA for the attention of a U-Net, as PEFT names it."""
    drawn = lora.drawn({"unet": random_module("unet", config, torch.float32)}, 1, rank, strength=0.1)
    save_file({name: tensor.to(dtype).contiguous() for name, tensor in lora.peft(drawn).items()}, file)
