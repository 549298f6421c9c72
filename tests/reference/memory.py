"""Measures the memory of whole runs against what the program predicts for them.

    python tests/reference/memory.py --overpaint target/debug/overpaint [--full] [--only NAME]

Random models of several shapes (with --full also of the size of Stable Diffusion 1.5) run for one step with the
command line; the table has what `--json` predicts, the largest resident set that the system saw, and the ratio.
"""

import argparse
import json
import os
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel

import models


@dataclass
class Shape:
    """A model, and how it is run."""

    unet: dict
    vae: dict
    text: dict
    side: int = 512
    store: torch.dtype = torch.float32
    budgets: tuple = ()
    options: list = field(default_factory=list)


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


def vae(channels: list[int], **more) -> dict:
    """An autoencoder of Stable Diffusion's kind."""
    return models.vae_blocks(channels) | dict(latent_channels=4, layers_per_block=2, sample_size=512) | more


def text(width: int, layers: int) -> dict:
    """A text encoder."""
    return dict(
        hidden_size=width, intermediate_size=4 * width, num_hidden_layers=layers, num_attention_heads=width // 64
    )


SHAPES = {
    "decoder-heavy": Shape(unet([64, 128, 256], 128), vae([128, 256, 512, 512]), text(128, 2), budgets=(1.0, 0.7)),
    "wide-picture": Shape(unet([96, 192, 384], 256), vae([64, 128, 256, 256]), text(256, 4), side=1024, budgets=(0.8,)),
    "weight-heavy": Shape(
        unet([192, 384, 768, 768], 512), vae([64, 64, 128, 128]), text(512, 6), side=256, budgets=(1.0, 0.6)
    ),
    "half-precision-files": Shape(
        unet([192, 384, 768, 768], 512), vae([64, 128, 128, 128]), text(512, 6), side=384, store=torch.float16
    ),
    "deep-attention": Shape(
        unet([128, 256, 384], 256, transformer_layers_per_block=[1, 2, 6], use_linear_projection=True),
        vae([64, 128, 128, 128]),
        text(256, 4),
        side=768,
    ),
    "batch": Shape(
        unet([128, 256, 384], 256),
        vae([64, 128, 128, 128]),
        text(256, 4),
        side=384,
        options=["--num-images-per-prompt", "3"],
    ),
}
FULL = {
    "stable-diffusion-1.5": Shape(
        unet([320, 640, 1280, 1280], 768), vae([128, 256, 512, 512]), text(768, 12), budgets=(3.0, 1.5)
    ),
}


@torch.no_grad()
def build(shape: Shape, folder: Path) -> None:
    """The model's folder; weights are small random numbers, the tokenizer is the built-in one."""
    torch.manual_seed(0)
    text_config = CLIPTextConfig(vocab_size=models.CLIP_VOCABULARY_SIZE, max_position_embeddings=77, **shape.text)
    parts = {
        "unet": UNet2DConditionModel(**shape.unet),
        "vae": AutoencoderKL(**shape.vae),
        "text_encoder": CLIPTextModel(text_config),
    }
    for name, module in parts.items():
        module.to(shape.store).save_pretrained(folder / name, max_shard_size="100GB")
    (folder / "scheduler").mkdir()
    scheduler = dict(_class_name="EulerDiscreteScheduler") | models.SD_SCHEDULER
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(scheduler))
    index = dict(_class_name="StableDiffusionPipeline", unet=["diffusers", "UNet2DConditionModel"])
    (folder / "model_index.json").write_text(json.dumps(index))


def measure(program: str, folder: Path, shape: Shape, budget: float | None) -> tuple[float, float]:
    """Predicted and measured peak of one run, in GiB."""
    side = str(shape.side)
    command = [program, "generate", "--model", str(folder), "--steps", "1", "--seed", "1", "--device", "cpu"]
    command += ["--width", side, "--height", side, "--prompt", "a fox", "--json", "--quiet", *shape.options]
    command += ["--output", str(folder / "out.png")]
    if budget is not None:
        command += ["--memory-budget", str(budget)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    report = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)}: {report}")
    memory = json.loads(report)["memory"]
    return memory["predicted_bytes"] / 2**30, usage.ru_maxrss / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--overpaint", required=True)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--only")
    options = parser.parse_args()
    shapes = SHAPES | (FULL if options.full else {})
    print(f"{'':24} {'budget':>8} {'predicted':>10} {'measured':>10} {'ratio':>7}")
    for name, shape in shapes.items():
        if options.only and name != options.only:
            continue
        with tempfile.TemporaryDirectory() as place:
            build(shape, Path(place))
            for budget in (None, *shape.budgets):
                predicted, measured = measure(options.overpaint, Path(place), shape, budget)
                wished = f"{budget:.1f}" if budget else "none"
                print(f"{name:24} {wished:>8} {predicted:10.2f} {measured:10.2f} {predicted / measured:7.2f}")


if __name__ == "__main__":
    main()
