"""Fixtures of what Stable Diffusion XL and ControlNets add to the networks, for `tests/networks.rs`: tiny random
models and what the reference computes with them.

    python tests/reference/conditions.py
"""

import shutil
from pathlib import Path

import torch
from diffusers import UNet2DConditionModel
from networks import shaken
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModelWithProjection

FOLDER = Path(__file__).resolve().parents[1] / "fixtures" / "conditions"

# Pooled text and numbers beside the time embedding, no attention at the finest level, depths that differ.
UNET = dict(
    block_out_channels=(4, 8),
    down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
    up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
    layers_per_block=1,
    transformer_layers_per_block=(1, 2),
    attention_head_dim=(1, 2),
    norm_num_groups=4,
    cross_attention_dim=10,
    use_linear_projection=True,
    addition_embed_type="text_time",
    addition_time_embed_dim=6,
    projection_class_embeddings_input_dim=7 + 6 * 6,
    act_fn="gelu",
)

TEXT = dict(
    vocab_size=30,
    hidden_size=12,
    intermediate_size=16,
    num_hidden_layers=3,
    num_attention_heads=3,
    max_position_embeddings=8,
    projection_dim=7,
    hidden_act="gelu",
    eos_token_id=2,
)

TEXTS = [[28, 3, 7, 29, 0, 0], [28, 1, 9, 5, 2, 29]]


def save(model: torch.nn.Module, name: str) -> None:
    """In f16, then back: the numbers are computed in f32."""
    model.half().save_pretrained(FOLDER / name)
    model.float()


@torch.no_grad()
def main() -> None:
    shutil.rmtree(FOLDER, ignore_errors=True)
    generator = torch.Generator("cpu").manual_seed(5)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator)

    unet = shaken(UNet2DConditionModel(**UNET), 6)
    save(unet, "unet-text-time")
    numbers = dict(sample=normal(2, 4, 6, 10), text=normal(2, 9, 10), text_embeds=normal(2, 7))
    numbers["time_ids"] = torch.tensor([[1024.0, 768, 0, 64, 512, 640], [96, 64, 12, 0, 6, 2.5]])
    added = dict(text_embeds=numbers["text_embeds"], time_ids=numbers["time_ids"])
    output = unet(numbers["sample"], 317.4375, numbers["text"], added_cond_kwargs=added)
    numbers["output"] = output.sample
    down = [normal(2, 4, 6, 10), normal(2, 4, 6, 10), normal(2, 4, 3, 5), normal(2, 8, 3, 5)]
    mid = normal(2, 8, 3, 5)
    numbers |= {f"down_{i}": tensor for i, tensor in enumerate(down)} | {"mid": mid}
    numbers["controlled"] = unet(
        numbers["sample"],
        317.4375,
        numbers["text"],
        added_cond_kwargs=added,
        down_block_additional_residuals=down,
        mid_block_additional_residual=mid,
    ).sample

    encoder = shaken(CLIPTextModelWithProjection(CLIPTextConfig(**TEXT)), 7)
    save(encoder, "text-projection")
    output = encoder(torch.tensor(TEXTS), output_hidden_states=True)
    numbers |= dict(text_projected=output.text_embeds, text_before_last=output.hidden_states[-2])
    save_file({name: tensor.contiguous() for name, tensor in numbers.items()}, FOLDER / "numbers.safetensors")


if __name__ == "__main__":
    main()
