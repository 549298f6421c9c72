"""Measures the memory of whole runs against what the program predicts for them.

    python tests/reference/memory.py --overpaint target/debug/overpaint [--full] [--only NAME ...]

Random models of several shapes (with --full also of the sizes of Stable Diffusion 1.5 and XL) run for a step or two with
the command line; the table has what `--json` predicts and the largest resident set that it measured of itself (what
`wait4` tells of a child counts the parent's memory too, from before the program was started), and the ratio.
PERFORMANCE.md keeps one.
"""

import argparse
import json
import os
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import memory_models as make
import single_files
from memory_models import text, unet, vae, xl_unet

# Predicted over measured: further off than this is wrong.
TOLERANCE = 0.15


@dataclass
class Case:
    """A model, and how it is run."""

    parts: dict
    side: int = 512
    store: torch.dtype = torch.float32
    budgets: tuple = ()
    command: str = "generate"
    # PLACE in them stands for the folder that everything lies in.
    options: tuple = ()
    # What else lies there.
    beside: Callable[[Path, "Case"], None] = lambda place, case: None
    model: str = "model"


def sd(unet: dict, vae: dict, text: dict, **more) -> Case:
    """Of the kind of Stable Diffusion 1."""
    return Case(dict(unet=unet, vae=vae, text_encoder=text), **more)


# Of a middle size: no part is so large that it hides what the others take.
MIDDLE_UNET = unet([128, 256, 384], 256)
MIDDLE_VAE = vae([32, 32, 32, 32])
MIDDLE_TEXT = text(256, 4)


def middle(**more) -> Case:
    return sd(MIDDLE_UNET, MIDDLE_VAE, MIDDLE_TEXT, **more)


XL_TEXTS = dict(text_encoder=text(256, 4), text_encoder_2=text(384, 6, projection_dim=384))
XL = dict(unet=xl_unet([128, 256, 512], [0, 2, 6], 640, 384), vae=MIDDLE_VAE, **XL_TEXTS)
REFINER = dict(
    unet=xl_unet([128, 256, 384, 384], [0, 2, 2, 0], 384, 384, numbers=5),
    vae=MIDDLE_VAE,
    text_encoder_2=XL_TEXTS["text_encoder_2"],
)
CONTROL = dict(
    block_out_channels=[128, 256, 384],
    down_block_types=["CrossAttnDownBlock2D"] * 2 + ["DownBlock2D"],
    attention_head_dim=8,
    cross_attention_dim=256,
)
IMAGE_WIDTH = 512
DECODER = dict(unet=make.kandinsky_unet([128, 256, 384], 256, IMAGE_WIDTH), movq=make.movq([32, 64, 128]))
PRIOR = dict(
    prior=make.prior(8, 6, IMAGE_WIDTH),
    text_encoder=text(IMAGE_WIDTH, 6, projection_dim=IMAGE_WIDTH),
    image_encoder=make.vision(768, 12, IMAGE_WIDTH),
)


def refiner(place: Path, case: Case) -> None:
    make.model(place / "refiner", REFINER, case.store)


def other_refiner(place: Path, case: Case) -> None:
    """With an autoencoder of its own, so that the picture goes from one to the other."""
    make.model(place / "refiner", REFINER | dict(vae=vae([64, 64, 128, 128])), case.store)


def controlnets(place: Path, case: Case) -> None:
    for name in ("first", "second"):
        make.save("controlnet", CONTROL, place / name, case.store)


def prior(place: Path, case: Case) -> None:
    make.prior_model(place / "prior", PRIOR, case.store)


def adapters(place: Path, case: Case) -> None:
    for name in ("first", "second"):
        make.adapter(place / f"{name}.safetensors", case.parts["unet"], 64, torch.float16)


def one_file(place: Path, case: Case) -> None:
    single_files.original(place / "model", place / "one.safetensors", "sd1", dtype=torch.float16)


def tiny(place: Path, case: Case) -> None:
    make.save("tiny", {}, place / "taesd", torch.float32)


def control(*names: str) -> tuple:
    """Options of ControlNets, which all see one picture."""
    return tuple(word for name in names for word in ("--controlnet", f"PLACE/{name}", "--control-image", "PLACE/picture.png"))


REFINED = ("--refiner", "PLACE/refiner", "--refiner-start", "0.5", "--steps", "2")
KANDINSKY = ("--prior", "PLACE/prior", "--prior-num-inference-steps", "2")
ONE_FILE_UNET = unet([128, 256, 512, 512], 768)

CASES = {
    "decoder-heavy": sd(
        unet([64, 128, 256], 128), vae([128, 256, 512, 512]), text(128, 2), budgets=(1.0, 0.7)
    ),
    "wide-picture": sd(
        unet([96, 192, 384], 256), vae([64, 128, 256, 256]), text(256, 4), side=1024, budgets=(0.8,)
    ),
    "weight-heavy": sd(
        unet([192, 384, 768, 768], 512), vae([64, 64, 128, 128]), text(512, 6), side=256, budgets=(1.0, 0.6)
    ),
    "half-precision-files": sd(
        unet([192, 384, 768, 768], 512), vae([64, 128, 128, 128]), text(512, 6), side=384, store=torch.float16
    ),
    "deep-attention": sd(
        unet([128, 256, 384], 256, transformer_layers_per_block=[1, 2, 6], use_linear_projection=True),
        MIDDLE_VAE,
        MIDDLE_TEXT,
        side=768,
    ),
    "batch": middle(side=256, options=("--num-images-per-prompt", "4"), budgets=(0.4,)),
    "guidance-off": middle(side=384, options=("--guidance-scale", "1")),
    "fill": middle(side=384, command="fill", options=("--overlay",), budgets=(0.6,)),
    "transform": middle(side=384, command="transform"),
    "control": middle(side=384, options=control("first"), beside=controlnets, budgets=(0.6,)),
    "two-controls": middle(side=384, options=control("first", "second"), beside=controlnets, budgets=(0.7,)),
    "control-768": middle(side=768, options=control("first"), beside=controlnets),
    "lora": middle(side=256, options=("--lora", "PLACE/first.safetensors"), beside=adapters),
    "two-loras": middle(
        side=256, options=("--lora", "PLACE/first.safetensors", "--lora", "PLACE/second.safetensors:0.5"), beside=adapters,
        budgets=(0.6,),
    ),
    "single-file": sd(
        ONE_FILE_UNET, vae([64, 128, 256, 256]), text(768, 4), beside=one_file, model="one.safetensors", side=384,
        budgets=(1.0,),
    ),
    "tiny-previews": sd(
        MIDDLE_UNET, vae([128, 256, 512, 512]), MIDDLE_TEXT, side=384, beside=tiny,
        options=("--preview", "tiny", "--preview-dir", "PLACE/previews"),
    ),
    "tiny-autoencoder": middle(side=512, beside=tiny, options=("--vae", "PLACE/taesd")),
    "full-previews": middle(side=512, options=("--preview", "full", "--preview-dir", "PLACE/previews"), budgets=(0.7,)),
    "xl": Case(XL, side=384, budgets=(0.6,)),
    "xl-refined": Case(XL, side=384, options=REFINED, beside=refiner, budgets=(0.8, 0.5)),
    "xl-refined-by-picture": Case(XL, side=384, options=REFINED, beside=other_refiner, budgets=(0.8,)),
    "kandinsky": Case(DECODER, side=384, options=KANDINSKY, beside=prior, budgets=(0.9, 0.7)),
    "kandinsky-transform": Case(DECODER, command="transform", side=256, options=KANDINSKY, beside=prior, budgets=(1.0,)),
    "kandinsky-batch": Case(
        DECODER, side=256, options=(*KANDINSKY, "--num-images-per-prompt", "3"), beside=prior
    ),
}
SD1 = dict(unet=unet([320, 640, 1280, 1280], 768), vae=vae([128, 256, 512, 512]), text_encoder=text(768, 12))
SDXL = dict(
    unet=xl_unet([320, 640, 1280], [0, 2, 10], 2048, 1280),
    vae=vae([128, 256, 512, 512]),
    text_encoder=text(768, 12),
    text_encoder_2=text(1280, 32, num_attention_heads=20, projection_dim=1280),
)
FULL = {
    "stable-diffusion-1.5": Case(SD1, budgets=(3.0, 1.5)),
    "stable-diffusion-xl": Case(SDXL, side=512, store=torch.float16, budgets=(6.0,)),
}


def build(case: Case, place: Path) -> None:
    """Everything that the run needs."""
    make.model(place / "model", case.parts, case.store)
    case.beside(place, case)
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (case.side, case.side, 3), np.uint8)).save(place / "picture.png")
    mask = np.zeros((case.side, case.side), np.uint8)
    mask[case.side // 8 : -case.side // 8, case.side // 8 : -case.side // 8] = 255
    Image.fromarray(mask).save(place / "mask.png")


def command(program: str, place: Path, case: Case, budget: float | None) -> list[str]:
    """The command line of a run."""
    words = [program, case.command]
    if case.command != "generate":
        words.append("PLACE/picture.png")
    if case.command == "fill":
        words += ["--mask", "PLACE/mask.png"]
    steps = [] if "--steps" in case.options else ["--steps", "2" if case.command == "transform" else "1"]
    words += ["--model", f"PLACE/{case.model}", *steps, "--seed", "1", "--device", "cpu", "--prompt", "a fox"]
    words += ["--width", str(case.side), "--height", str(case.side), "--json", "--quiet", *case.options]
    words += ["--output", "PLACE/out.png"]
    if budget is not None:
        words += ["--memory-budget", str(budget)]
    return [word.replace("PLACE", str(place)) for word in words]


def measure(program: str, place: Path, case: Case, budget: float | None) -> tuple[float, float]:
    """Predicted and measured peak of one run, in GiB."""
    words = command(program, place, case, budget)
    # Nothing but what was built counts.
    own = dict(OVERPAINT_MODELS=str(place), HF_HUB_CACHE=str(place / "hub"), XDG_CACHE_HOME=str(place / "cache"))
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, env=os.environ | own)
    if done.returncode:
        raise SystemExit(f"{' '.join(words)}: {done.stdout}")
    memory = json.loads(done.stdout)["memory"]
    return memory["predicted_bytes"] / 2**30, memory["measured_bytes"] / 2**30


def row(name: str, budget: float | None, predicted: float, measured: float) -> str:
    """A line of the table; a star is for a prediction that is too far off."""
    ratio = predicted / measured
    star = "" if abs(ratio - 1) <= TOLERANCE else " *"
    wished = f"{budget:.1f}" if budget else "none"
    return f"| {name:24} | {wished:>6} | {predicted:9.2f} | {measured:8.2f} | {ratio:5.2f}{star} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--overpaint", required=True)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--only", nargs="*", default=[""], help="cases whose names begin so")
    options = parser.parse_args()
    cases = CASES | (FULL if options.full else {})
    print(f"| {'':24} | {'budget':>6} | {'predicted':>9} | {'measured':>8} | ratio |")
    print("|---|---|---|---|---|")
    for name, case in cases.items():
        if not name.startswith(tuple(options.only)):
            continue
        with tempfile.TemporaryDirectory() as place:
            build(case, Path(place))
            for budget in (None, *case.budgets):
                found = measure(options.overpaint, Path(place), case, budget)
                print(row(name, budget, *found), flush=True)


if __name__ == "__main__":
    main()
