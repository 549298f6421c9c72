"""New models, sizes, prompts, seeds and settings: diffusers against the command line, nothing stored.

    python tests/reference/holdout.py --overpaint target/release/overpaint --seed 1 --cases 20 [--family xl]

Compares the latents after every step (relative 1e-3, by norm and by largest difference over largest value) and the
final pictures (2 levels everywhere).  Where latents are out of bounds, the reference runs again with exact sums in its
group norms (`runner.exact_sums`): if the program is within the bounds of that, the difference is torch's rounding of
flat regions, and the case counts as within; the same if the reference is out of the bounds of itself, and the program
not by much more (`judge`). The row says so.  Exit code 0: all within; 1: some case is not, or the program failed.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file

import lora
import models
import pictures
import random_prompts
import runner
import sampling
import xl_models

RELATIVE_LATENTS = 1e-3
LEVELS = 2
ROUNDING = 4
WORDS = (
    "red fox snow bridge river café ÜBER 東京 storm! 1990 lantern don't soft-light portrait of an old (wooden) boat "
    "mist, dawn 8k 🦊 <|endoftext|> glass it's golden:hour #1 a the in on with"
).split(" ")
SCHEDULERS = [
    None,
    "DDIM",
    "PNDM",
    "Euler",
    "EulerAncestral",
    "DPMSolverMultistep",
    "UniPC",
    "Heun",
    "LCM",
    "KDPM2",
    "KDPM2Ancestral",
    "LMS",
    "DDPM",
]


def random_prompt(rng: random.Random) -> str:
    """Nothing, a few words, or more than fits."""
    count = rng.choice([0, 1, 3, 8, 8, 20, 120])
    return " ".join(rng.choice(WORDS) for _ in range(count))


def random_size(rng: random.Random) -> str:
    return f"{rng.randint(16, 2000)}x{rng.randint(16, 2000)}"


def random_added(rng: random.Random, settings: dict) -> dict:
    """What only Stable Diffusion XL reads."""
    added = {}
    for key in runner.PROMPTS:
        if rng.random() < 0.3:
            added[key] = random_prompt(rng)
    for key in runner.SIZES:
        if rng.random() < 0.3:
            added[key] = random_size(rng)
    for key in runner.CROPS:
        if rng.random() < 0.3:
            added[key] = f"{rng.randint(0, 500)},{rng.randint(0, 500)}"
    for key in runner.SCORES:
        if rng.random() < 0.3 and settings["command"] != "generate":
            added[key] = round(rng.uniform(1, 9), 2)
    if rng.random() < 0.3:
        added["guidance-rescale"] = round(rng.random(), 2)
    return added


def random_refiner(rng: random.Random, spec: xl_models.XlSpec, settings: dict, folder: Path) -> dict:
    """A refiner beside the model, and how it is used."""
    same = rng.random() < 0.7
    xl_models.build(xl_models.refiner_for(spec, rng.getrandbits(30), same), folder / "refiner")
    refining = {"refiner": "refiner"}
    if rng.random() < 0.5:
        refining["refiner-start"] = rng.choice([0.3, 0.5, 0.6, 0.8])
        settings["num-inference-steps"] = rng.randint(5, 9)
    else:
        refining["refiner-steps"] = rng.randint(4, 12)
    return refining


def random_settings(rng: random.Random, spec: models.Spec | xl_models.XlSpec, folder: Path) -> dict:
    """Settings for this model, with their picture and mask written to `folder`."""
    settings = plain_settings(rng, spec, folder)
    if isinstance(spec, models.Spec):
        return settings
    settings |= random_added(rng, settings)
    refines = spec.index.get("requires_aesthetics_score")
    # Latents have no crop, and a scheduler that is named counts for both.
    if not refines and "padding-mask-crop" not in settings and rng.random() < 0.35:
        settings |= random_refiner(rng, spec, settings, folder)
    elif settings["command"] == "generate" and rng.random() < 0.15:
        settings["denoising-end"] = rng.choice([0.4, 0.7])
    return settings


def plain_settings(rng: random.Random, spec: models.Spec | xl_models.XlSpec, folder: Path) -> dict:
    """What every family reads."""
    nine = spec.unet["in_channels"] == 9
    refines = isinstance(spec, xl_models.XlSpec) and spec.index.get("requires_aesthetics_score")
    command = "fill" if nine else rng.choice(["fill", "transform"] if refines else ["fill", "generate", "transform"])
    settings = {
        "command": command,
        "prompt": random_prompt(rng),
        "seed": rng.choice([0, 1, rng.getrandbits(31), rng.getrandbits(53)]),
        "num-inference-steps": rng.randint(3, 9),
        "guidance-scale": rng.choice([1.0, 2.5, 5.0, 7.5]),
    }
    if rng.random() < 0.5:
        settings["negative-prompt"] = random_prompt(rng)
    if rng.random() < 0.25:
        settings["clip-skip"] = 1
    if rng.random() < 0.3:
        settings["num-images-per-prompt"] = rng.choice([2, 3])
    scheduler = rng.choice(SCHEDULERS)
    options = {}
    if scheduler:
        settings["scheduler"] = scheduler
    spaced = scheduler not in (None, "LCM")
    if spaced and rng.random() < 0.5:
        options["timestep_spacing"] = rng.choice(["leading", "trailing", "linspace"])
    if scheduler not in (None, "LCM", "DDIM", "DDPM", "PNDM", "EulerAncestral") and rng.random() < 0.4:
        options[rng.choice(["use_karras_sigmas", "use_karras_sigmas", "use_exponential_sigmas"])] = True
    if scheduler == "DPMSolverMultistep" and rng.random() < 0.4:
        options["solver_order"] = rng.choice([1, 2, 3])
    if scheduler == "PNDM":
        options["skip_prk_steps"] = True
    if scheduler == "DDPM":
        options["clip_sample"] = False
    if scheduler == "DDIM":
        # Clipping to the unit range multiplies rounding by hundreds on such models.
        options["clip_sample"] = False
        if rng.random() < 0.5:
            settings["eta"] = rng.choice([0.3, 1.0])
    if options:
        settings["scheduler-option"] = options
    if command == "generate":
        settings["width"], settings["height"] = 8 * rng.randint(6, 12), 8 * rng.randint(6, 12)
        if rng.random() < 0.3:
            settings["guidance-rescale"] = round(rng.random(), 2)
        return settings

    size = rng.randint(48, 140), rng.randint(48, 140)
    pictures.picture(*size, rng.randrange(1000)).save(folder / "image.png")
    settings["image"] = "image.png"
    settings["strength"] = rng.choice([1.0, 0.9, 0.75, 0.6, 0.58])
    if int(settings["num-inference-steps"] * settings["strength"]) < 1:
        settings["strength"] = 1.0
    if command == "transform":
        return settings
    kind = rng.choice(["disc", "levels", "small", "noise", "corner"])
    crop = rng.random() < 0.3
    mask_size = size if crop or rng.random() < 0.7 else (rng.randint(40, 150), rng.randint(40, 150))
    pictures.mask(*mask_size, kind, rng.randrange(1000)).save(folder / "mask.png")
    settings["mask"] = "mask.png"
    settings["width"], settings["height"] = 8 * rng.randint(6, 12), 8 * rng.randint(6, 12)
    if rng.random() < 0.3:
        settings["mask-blur"] = rng.choice([1, 2.5, 4, 9])
    if crop:
        settings["padding-mask-crop"] = rng.choice([0, 5, 20])
    return settings


def command_line(program: str, model: Path, settings: dict, folder: Path, out: Path) -> list[str]:
    """The same settings as arguments of the program."""
    arguments = [program, settings["command"]]
    for key, value in settings.items():
        if key in ("command", "model"):
            continue
        if key == "image":
            arguments.insert(2, str(folder / value))
        elif key in ("refiner", "vae"):
            arguments += [f"--{key}", str(model.parent / value)]
        elif key == "scheduler-option":
            for name, setting in value.items():
                text = json.dumps(setting) if isinstance(setting, bool | list) else str(setting)
                arguments += ["--scheduler-option", f"{name}={text}"]
        elif key == "lora":
            arguments += [f"--lora={folder / file}:{scale}" for file, scale in value]
        elif key == "embedding":
            arguments += [f"--embedding={folder / file}{f':{token}' if token else ''}" for file, token in value]
        elif key == "mask":
            arguments += ["--mask", str(folder / value)]
        elif value is True:
            arguments.append(f"--{key}")
        else:
            # One argument, so that a prompt may begin with a dash.
            arguments.append(f"--{key}={value}")
    return arguments + [
        "--model",
        str(model),
        "--device=cpu",
        "--dtype=f32",
        "--exact",
        "--quiet",
        f"--trace={out / 'trace.safetensors'}",
        f"--output={out / 'out.png'}",
        f"--output-float={out / 'out.npy'}",
    ]


def output_files(out: Path, count: int) -> list[Path]:
    """FILE for one picture; FILE-0, FILE-1 ... for several, the number before the extension."""
    return [out / "out.png"] if count == 1 else [out / f"out-{index}.png" for index in range(count)]


def compare(result: runner.Result, out: Path) -> tuple[float, float, int, float]:
    """Worst relative latents by norm and by maximum, worst level of the pictures, worst decoder difference."""
    trace = load_file(out / "trace.safetensors")
    if len(trace) != len(result.latents):
        raise ValueError(f"{len(trace)} steps traced, the reference made {len(result.latents)}")
    by_norm = by_max = 0.0
    for index, expected in enumerate(result.latents):
        actual = trace[f"latents_{index:03}"].float().reshape(expected.shape)
        difference = actual - expected
        by_norm = max(by_norm, (difference.norm() / expected.norm()).item())
        by_max = max(by_max, (difference.abs().max() / expected.abs().max()).item())
    levels = 0
    for file, expected in zip(output_files(out, len(result.pictures)), result.pictures, strict=True):
        actual = np.asarray(Image.open(file).convert("RGB")).astype(int)
        if actual.shape != expected.shape:
            raise ValueError(f"picture is {actual.shape}, the reference's {expected.shape}")
        levels = max(levels, int(np.abs(actual - expected).max()))
    decoded = np.load(out / "out.npy") - result.decoded.numpy()
    return by_norm, by_max, levels, float(np.abs(decoded).max())


def is_within(by_norm: float, by_max: float, levels: int) -> bool:
    """Whether a case counts as the same."""
    return by_norm <= RELATIVE_LATENTS and by_max <= RELATIVE_LATENTS and levels <= LEVELS


def judge(result: runner.Result, run_again: Callable[[], runner.Result], out: Path) -> tuple[str, bool]:
    """What the row says beside its numbers, and whether the case is outside the bounds.

    Where the program is not within them, the reference runs again with exact sums in its group norms: a program that is
    within the bounds of that differs by torch's rounding; and where rounding brings the reference itself out of the bounds, a
    program that differs by no more than `ROUNDING` times as much does, too.
    """
    by_norm, *others = compare(result, out)[:3]
    if is_within(by_norm, *others):
        return "", False
    with runner.exact_sums():
        again = run_again()
    exact = compare(again, out)
    verdict = f"  with exact sums {exact[0]:.1e} {exact[1]:.1e} {exact[2]}"
    own = max(((a - b).norm() / a.norm()).item() for a, b in zip(result.latents, again.latents, strict=True))
    if own > RELATIVE_LATENTS and min(exact[0], by_norm) <= ROUNDING * own:
        return f"{verdict}  the reference differs from itself by {own:.1e}", False
    if is_within(*exact[:3]):
        return verdict, False
    return f"{verdict}  DIFFERS", True


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--overpaint", required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--cases", type=int, default=10)
    parser.add_argument("--loras", action="store_true", help="with one to three LoRAs in each case")
    parser.add_argument("--row", choices=["all", "schedulers", "few-steps", "autoencoders"], default="all")
    parser.add_argument("--prompts", action="store_true", help="with weighted and long prompts and textual inversion")
    parser.add_argument("--family", choices=["sd", "xl"], default="sd")
    parser.add_argument("--keep", type=Path, help="keep models, pictures and outputs in this folder")
    options = parser.parse_args()
    torch.set_num_threads(1)
    failures = 0
    print(f"{'case':>4} {'command':9} {'scheduler':18} {'steps':>5} {'by norm':>8} {'by max':>8} {'levels':>6} {'decoder':>8}")
    with tempfile.TemporaryDirectory() as scratch:
        for index in range(options.cases):
            rng = random.Random(options.seed * 100_003 + index)
            folder = (options.keep or Path(scratch)) / f"case-{index}"
            folder.mkdir(parents=True, exist_ok=True)
            kind = xl_models if options.family == "xl" else models
            spec = kind.random_spec(rng.getrandbits(30))
            if options.row == "few-steps":
                distilled, spec = sampling.few_steps(rng, spec)
            model = kind.build(spec, folder / "model")
            if options.prompts:
                settings = random_prompts.settings(rng, model, folder)
            else:
                settings = random_settings(rng, spec, folder)
            if options.row == "schedulers":
                settings = sampling.with_scheduler(rng, spec, settings)
            elif options.row == "few-steps":
                settings = sampling.in_few_steps(rng, distilled, settings)
            elif options.row == "autoencoders":
                settings["vae"] = sampling.other_autoencoder(rng, spec, folder)
            if options.loras:
                settings["lora"] = lora.random_loras(rng, model, folder)
            arguments = command_line(options.overpaint, model, settings, folder, folder)
            label = f"{index:4} {settings['command']:9} {settings.get('scheduler', '(own)'):18}"
            try:
                result = runner.run(model, settings, folder)
            except (ValueError, NotImplementedError, IndexError) as refused:
                print(f"{label} the reference refuses: {str(refused)[:90]}")
                continue
            if not torch.isfinite(result.decoded).all():
                print(f"{label} the reference gives no finite numbers")
                continue
            done = subprocess.run(arguments, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                failures += 1
                print(f"{label} FAILED, exit {done.returncode}: {done.stderr.strip()[:400]}\n     {arguments}")
                continue
            try:
                by_norm, by_max, levels, decoded = compare(result, folder)
            except (ValueError, KeyError, FileNotFoundError) as wrong:
                failures += 1
                print(f"{label} FAILED: {wrong}\n     {arguments}")
                continue
            verdict, is_out = judge(result, lambda: runner.run(model, settings, folder), folder)
            if is_out:
                failures += 1
                verdict += f"\n     {settings}\n     {spec}"
            print(f"{label} {len(result.latents):5} {by_norm:8.1e} {by_max:8.1e} {levels:6} {decoded:8.1e}{verdict}")
    print(f"{failures} of {options.cases} outside the bounds")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
