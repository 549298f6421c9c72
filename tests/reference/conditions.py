"""Fixtures of what Stable Diffusion XL and ControlNets add to the networks, for `tests/networks.rs`: inputs, and what
the reference's networks make of them with the weights of tests/fixtures/families.

    python tests/reference/families.py --only
    python tests/reference/conditions.py
"""

from pathlib import Path

import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import save_file
from transformers import CLIPTextModelWithProjection

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"
MODEL = FIXTURES / "families" / "models" / "xl-base"

# 682 begins a text and 683 ends it.
TEXTS = [[682, 3, 7, 683, 0, 0], [682, 1, 9, 5, 2, 683]]


@torch.no_grad()
def main() -> None:
    generator = torch.Generator("cpu").manual_seed(5)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator)

    unet = UNet2DConditionModel.from_pretrained(MODEL / "unet", torch_dtype=torch.float32).eval()
    context = unet.config.cross_attention_dim
    numbers = dict(sample=normal(2, 4, 6, 10), text=normal(2, 9, context), text_embeds=normal(2, 10))
    numbers["time_ids"] = torch.tensor([[1024.0, 768, 0, 64, 512, 640], [96, 64, 12, 0, 6, 2.5]])
    added = dict(text_embeds=numbers["text_embeds"], time_ids=numbers["time_ids"])
    numbers["output"] = unet(numbers["sample"], 317.4375, numbers["text"], added_cond_kwargs=added).sample
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

    folder = MODEL / "text_encoder_2"
    encoder = CLIPTextModelWithProjection.from_pretrained(folder, dtype=torch.float32).eval()
    output = encoder(torch.tensor(TEXTS), output_hidden_states=True)
    numbers |= dict(text_projected=output.text_embeds, text_before_last=output.hidden_states[-2])
    save_file({name: tensor.contiguous() for name, tensor in numbers.items()}, FIXTURES / "conditions.safetensors")


if __name__ == "__main__":
    main()
