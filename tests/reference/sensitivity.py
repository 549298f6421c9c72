"""Checks that the fixture models can tell right from wrong: PSNR between a case and the same case changed.

    python tests/reference/sensitivity.py [--conditioning]

With --conditioning: the other side of the same coin.  Every UNet output is disturbed by one part in a million, about
what two correct f32 implementations differ by, and the worst cases are listed by what it does to their latents.

A change of prompt, seed, mask, scheduler, guidance or steps should move the picture to between 10 and 40 dB; a
case that a change leaves above 45 dB could not fail.
"""

import math
import sys

import numpy as np
import torch

import cases
import runner
from make_fixtures import FIXTURES

BASES = {
    "inpaint-pndm": cases.fill("inpaint-pndm"),
    "inpaint-fp16": cases.fill("inpaint-fp16", strength=0.7, num_inference_steps=6),
    "base-sharded": cases.generate("base-sharded"),
    "base-sharded fill": cases.fill("base-sharded", strength=0.8),
    "base-v": cases.generate("base-v"),
}
CHANGES = {
    "seed": {"seed": 43},
    "prompt": {"prompt": "an old stone bridge"},
    "negative": {"negative-prompt": "fog"},
    "guidance": {"guidance-scale": 5.5},
    "scheduler": {"scheduler": "UniPC"},
    "steps": {"num-inference-steps": 8},
    "clip-skip": {"clip-skip": 1},
    "mask": {"mask": "square-levels.png"},
    "picture": {"image": "grey.png"},
}


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    """Peak signal to noise of two 8-bit pictures, in decibels."""
    error = ((a.astype(np.float64) - b) ** 2).mean()
    return math.inf if error == 0 else 10 * math.log10(255**2 / error)


def relative(a: torch.Tensor, b: torch.Tensor) -> float:
    """||a - b|| / ||b||."""
    return ((a - b).norm() / b.norm()).item()


def conditioning() -> None:
    """How much each case multiplies a disturbance of the UNet's outputs."""
    noise = torch.Generator().manual_seed(1)

    def disturb(_module, _inputs, output):
        scale = 1e-6 * output[0].std()
        return (output[0] + scale * torch.randn(output[0].shape, generator=noise),)

    rows = []
    make_pipeline = runner.make_pipeline

    def disturbed(*arguments):
        pipe = make_pipeline(*arguments)
        pipe.unet.register_forward_hook(disturb)
        return pipe

    for name, settings in cases.CASES.items():
        model = FIXTURES / "models" / settings["model"]
        runner.make_pipeline = make_pipeline
        plain = runner.run(model, settings, FIXTURES / "inputs")
        runner.make_pipeline = disturbed
        other = runner.run(model, settings, FIXTURES / "inputs")
        worst = max(relative(a, b) for a, b in zip(other.latents, plain.latents, strict=True))
        levels = max(
            int(np.abs(a.astype(int) - b).max()) for a, b in zip(other.pictures, plain.pictures, strict=True)
        )
        rows.append((worst, levels, name))
    for worst, levels, name in sorted(rows, reverse=True)[:15]:
        print(f"{name:32} latents {worst:.1e}   picture {levels} levels")


def main() -> None:
    torch.set_num_threads(1)
    if "--conditioning" in sys.argv:
        return conditioning()
    print(f"{'':18}" + "".join(f"{name:>11}" for name in ("spread", *CHANGES)))
    for label, base in BASES.items():
        model = FIXTURES / "models" / base["model"]
        original = runner.run(model, base, FIXTURES / "inputs").pictures[0]
        row = [f"{original.std():11.1f}"]
        for change in CHANGES.values():
            if not base.get("mask") and ("mask" in change or "image" in change):
                row.append(f"{'':>11}")
                continue
            changed = runner.run(model, base | change, FIXTURES / "inputs").pictures[0]
            row.append(f"{psnr(original, changed):11.1f}")
        print(f"{label:18}" + "".join(row))


if __name__ == "__main__":
    main()
