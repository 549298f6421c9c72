"""Fixtures of settings that published models seldom use, for `tests/networks.rs`: tiny random models and what the
reference computes with them.

    pip install torch==2.15.0 diffusers==0.42.1 transformers==5.23.0
    python tests/reference/networks.py
"""

import shutil
from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel

FOLDER = Path(__file__).resolve().parents[1] / "fixtures" / "networks"

UNETS = {
    # Scale and shift by time, every activation of the time embedding, a guidance embedding (LCM).
    "unet-scale-shift": dict(
        block_out_channels=(8, 12),
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        mid_block_type="UNetMidBlock2D",
        mid_block_scale_factor=1.7,
        layers_per_block=1,
        norm_num_groups=4,
        cross_attention_dim=6,
        attention_head_dim=2,
        act_fn="mish",
        resnet_time_scale_shift="scale_shift",
        time_embedding_dim=20,
        timestep_post_act="gelu",
        time_embedding_act_fn="silu",
        time_cond_proj_dim=5,
        freq_shift=1,
        flip_sin_to_cos=False,
        downsample_padding=0,
        conv_in_kernel=1,
        conv_out_kernel=5,
    ),
    # No middle, heads that do not divide the channels, depths and layers that differ a level.
    "unet-uneven": dict(
        block_out_channels=(8, 16, 8),
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D", "CrossAttnUpBlock2D"),
        mid_block_type=None,
        layers_per_block=(2, 1, 1),
        transformer_layers_per_block=(1, 2, 1),
        reverse_transformer_layers_per_block=(2, 1, 1),
        norm_num_groups=4,
        norm_eps=1e-3,
        cross_attention_dim=10,
        attention_head_dim=(3, 5, 1),
        only_cross_attention=(True, False, False),
        use_linear_projection=True,
        act_fn="relu",
    ),
}

AUTOENCODERS = {
    "vae-one-level": dict(
        block_out_channels=(8,),
        down_block_types=("DownEncoderBlock2D",),
        up_block_types=("UpDecoderBlock2D",),
        layers_per_block=2,
        latent_channels=3,
        norm_num_groups=2,
        act_fn="gelu",
        use_quant_conv=False,
    ),
}

ENCODERS = {
    # The end token of old configurations, and of new ones.
    "text-old-end": dict(hidden_act="gelu_new", eos_token_id=2),
    "text-new-end": dict(hidden_act="gelu", eos_token_id=29),
}

TEXTS = [[28, 3, 7, 29, 29, 29], [28, 1, 29, 5, 29, 0]]


@torch.no_grad()
def shaken(model: torch.nn.Module, seed: int) -> torch.nn.Module:
    """Weights that make every part of the model matter, and that f16 holds exactly."""
    generator = torch.Generator("cpu").manual_seed(seed)
    for name, parameter in model.named_parameters():
        fan = max(parameter[0].numel(), 1) if parameter.dim() > 1 else 16
        noise = torch.randn(parameter.shape, generator=generator) * fan**-0.5
        parameter.copy_((noise + (parameter.dim() == 1 and name.endswith("weight"))).half().float())
    return model.eval()


def save(model: torch.nn.Module, name: str) -> None:
    """In f16, then back: the numbers are computed in f32."""
    model.half().save_pretrained(FOLDER / name)
    model.float()


@torch.no_grad()
def main() -> None:
    shutil.rmtree(FOLDER, ignore_errors=True)
    generator = torch.Generator("cpu").manual_seed(1)
    tensors = {}
    for name, config in UNETS.items():
        model = shaken(UNet2DConditionModel(**config), 2)
        save(model, name)
        sample = torch.randn(2, 4, 7, 10, generator=generator)
        text = torch.randn(2, 9, config["cross_attention_dim"], generator=generator)
        width = config.get("time_cond_proj_dim")
        condition = torch.randn(2, width, generator=generator) if width else None
        tensors |= {f"{name}.sample": sample, f"{name}.text": text}
        if condition is not None:
            tensors[f"{name}.condition"] = condition
        tensors[f"{name}.output"] = model(sample, 721.25, text, timestep_cond=condition).sample
    for name, config in AUTOENCODERS.items():
        model = shaken(AutoencoderKL(**config), 3)
        save(model, name)
        picture = torch.rand(1, 3, 9, 14, generator=generator) * 2 - 1
        latents = torch.randn(1, 3, 9, 14, generator=generator)
        tensors |= {f"{name}.picture": picture, f"{name}.latents": latents}
        tensors[f"{name}.moments"] = model.encode(picture).latent_dist.parameters
        tensors[f"{name}.decoded"] = model.decode(latents).sample
    for name, config in ENCODERS.items():
        size = dict(vocab_size=30, hidden_size=12, intermediate_size=16, num_hidden_layers=2, num_attention_heads=3)
        model = shaken(CLIPTextModel(CLIPTextConfig(**size, max_position_embeddings=8, **config)), 4)
        save(model, name)
        output = model(torch.tensor(TEXTS))
        tensors[f"{name}.last"], tensors[f"{name}.pooled"] = output.last_hidden_state, output.pooler_output
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, FOLDER / "numbers.safetensors")


if __name__ == "__main__":
    main()
