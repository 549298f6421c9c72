"""New priors, decoders, pictures and settings of Kandinsky 2.2: the combined pipelines of diffusers against the command
line, nothing stored.

    python tests/reference/holdout_kandinsky.py --overpaint target/release/overpaint --seed 1 --cases 30

A case in three is saved by the combined pipeline itself, prior and decoder in one folder; the others are two folders, and
the prior is named or found.  Bounds and comparison are those of `holdout.py`; where random weights make the decoder
magnify differences that are within the bounds of latents, its own picture of the program's latents counts; where they make
sampling magnify rounding, the reference in f64 says which of the two is nearer.
"""

import argparse
import random
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

import diffusers
import numpy as np
import torch
from diffusers.utils import load_image
from diffusers.utils.torch_utils import randn_tensor
from safetensors.torch import load_file

import holdout
import kandinsky
import pictures
import runner

COMBINED = {
    "fill": diffusers.KandinskyV22InpaintCombinedPipeline,
    "generate": diffusers.KandinskyV22CombinedPipeline,
    "transform": diffusers.KandinskyV22Img2ImgCombinedPipeline,
}
CALL_OPTIONS = [
    "prompt", "negative-prompt", "num-inference-steps", "guidance-scale", "strength", "width", "height",
    "num-images-per-prompt", "prior-num-inference-steps", "prior-guidance-scale",
]
# Those whose `step` takes a generator. Only DDPM knows what to do with a learned variance.
SCHEDULERS = ["DDIM", "Euler", "EulerAncestral", "DPMSolverMultistep", "LCM", "DDPM"]


def random_settings(rng: random.Random, decoder: kandinsky.Decoder, folder: Path) -> dict:
    """Settings for this decoder, with their picture and mask written to `folder`."""
    command = "fill" if decoder.unet["in_channels"] == 9 else rng.choice(["generate", "transform"])
    factor = 2 ** (len(decoder.movq["block_out_channels"]) - 1)
    unit = max(factor**2, factor * 2 ** (len(decoder.unet["block_out_channels"]) - 1))
    settings = {
        "command": command,
        "prompt": holdout.random_prompt(rng),
        "seed": rng.choice([0, 1, rng.getrandbits(31), rng.getrandbits(53)]),
        "num-inference-steps": rng.randint(3, 8),
    }
    for key, values in {
        "guidance-scale": [1.0, 2.5, 4.0, 6.0],
        "prior-guidance-scale": [0.5, 1.0, 2.0, 6.5],
        "prior-num-inference-steps": [2, 3, 5, 11],
        "num-images-per-prompt": [2, 3],
    }.items():
        if rng.random() < 0.6 if "guidance" in key else rng.random() < 0.35:
            settings[key] = rng.choice(values)
    if rng.random() < 0.5:
        settings["negative-prompt"] = holdout.random_prompt(rng)
    options = {}
    if decoder.scheduler.get("variance_type") != "learned_range" and rng.random() < 0.7:
        settings["scheduler"] = rng.choice(SCHEDULERS)
        options["clip_sample"] = False
        if settings["scheduler"] in ("Euler", "EulerAncestral", "DPMSolverMultistep"):
            options = {}
    if rng.random() < 0.3:
        options["beta_end"] = rng.choice([0.011, 0.014])
    if options:
        settings["scheduler-option"] = options
    for side in ("width", "height"):
        settings[side] = unit * rng.randint(max(24 // unit, 1), 72 // unit)
    if command == "generate":
        # Rounded up to what the reference's rule says, if the network can take it.
        settings["width"] -= rng.choice([0, 0, 1, 3])
        return settings
    size = rng.randint(20, 140), rng.randint(20, 140)
    pictures.picture(*size, rng.randrange(1000)).save(folder / "image.png")
    settings["image"] = "image.png"
    if command == "transform":
        settings["strength"] = rng.choice([1.0, 0.9, 0.75, 0.58])
        return settings
    # Nothing says that it has the picture's size.
    mask_size = size if rng.random() < 0.7 else (rng.randint(20, 150), rng.randint(20, 150))
    kind = rng.choice(["disc", "levels", "small", "noise", "corner"])
    pictures.mask(*mask_size, kind, rng.randrange(1000)).save(folder / "mask.png")
    settings["mask"] = "mask.png"
    return settings


def combined(prior: Path, model: Path, settings: dict):
    """The combined pipeline of the settings' command."""
    pipe, made = kandinsky.make_prior(prior), kandinsky.make_decoder(model, settings)
    parts = {f"prior_{name}": part for name, part in pipe.components.items()}
    pipe = COMBINED[settings["command"]](unet=made.unet, movq=made.movq, scheduler=made.scheduler, **parts)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def run(pipe, settings: dict, folder: Path) -> runner.Result:
    """What the combined pipeline leaves."""
    latents, timesteps, decoded = [], [], []

    def on_step(_pipe, _index, timestep, values):
        latents.append(values["latents"].clone())
        timesteps.append(float(timestep))
        return values

    arguments = {key.replace("-", "_"): settings[key] for key in CALL_OPTIONS if key in settings}
    for key, name in (("image", "image"), ("mask", "mask_image")):
        if key in settings:
            arguments[name] = load_image(str(folder / settings[key]))
    decode = pipe.movq.decode

    def recording_decode(*args, **kwargs):
        result = decode(*args, **kwargs)
        decoded.append(result["sample"].clone())
        return result

    pipe.movq.decode = recording_decode
    generator = torch.Generator("cpu").manual_seed(settings["seed"])
    try:
        with torch.no_grad():
            images = pipe(generator=generator, callback_on_step_end=on_step, **arguments).images
    finally:
        pipe.movq.decode = decode
    return runner.Result(latents, decoded[-1], [np.asarray(image.convert("RGB")) for image in images], timesteps)


def decoder_alone(pipe, folder: Path) -> int:
    """Levels between the program's picture and what the reference decodes from the program's own last latents.

    Random decoders may magnify what is within the bounds of latents; this says whether that is all.
    """
    trace = load_file(folder / "trace.safetensors")
    last = trace[max(trace)].float()
    with torch.no_grad():
        decoded = pipe.movq.decode(last, force_not_quantize=True)["sample"].numpy()
    levels = [np.rint((x * 0.5 + 0.5).clip(0, 1) * 255) for x in (decoded, np.load(folder / "out.npy"))]
    return int(np.abs(levels[0] - levels[1]).max())


@contextmanager
def noise_in_single():
    """Noise is drawn in f32 whatever the networks compute in, so that runs in f64 draw the same."""
    modules = [module for name, module in sys.modules.items() if name.startswith("diffusers.") and "randn_tensor" in vars(module)]
    original = randn_tensor

    def drawn(shape, generator=None, device=None, dtype=None, layout=None):
        return original(shape, generator=generator, device=device, dtype=torch.float32).to(dtype or torch.float32)

    for module in modules:
        module.randn_tensor = drawn
    try:
        yield
    finally:
        for module in modules:
            module.randn_tensor = original


def is_nearer(pipe, result: runner.Result, settings: dict, folder: Path) -> bool:
    """Whether the program is nearer than the reference to what the reference computes in f64, at the last step."""
    parts = [part for part in pipe.components.values() if isinstance(part, torch.nn.Module)]
    trace = load_file(folder / "trace.safetensors")
    try:
        for part in parts:
            part.double()
        with noise_in_single():
            last = run(pipe, settings, folder).latents[-1]
    finally:
        for part in parts:
            part.float()
    return bool((trace[max(trace)] - last).norm() <= (result.latents[-1] - last).norm())


def build(rng: random.Random, folder: Path) -> tuple[kandinsky.Decoder, Path, Path]:
    """A pair as ordinary folders side by side."""
    prior, decoder = kandinsky.random_specs(rng.getrandbits(30))
    kandinsky.describe_prior(prior, folder / "described" / "prior")
    kandinsky.describe_decoder(decoder, folder / "described" / "decoder")
    made = [kandinsky.materialise(folder / "described" / name, folder / "models" / name) for name in ("prior", "decoder")]
    return decoder, *made


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--overpaint", required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--cases", type=int, default=30)
    parser.add_argument("--keep", type=Path, help="keep models, pictures and outputs in this folder")
    options = parser.parse_args()
    torch.set_num_threads(1)
    failures = refusals = 0
    print(f"{'case':>4} {'command':9} {'scheduler':18} {'prior':9} {'steps':>5} {'by norm':>8} {'by max':>8} {'levels':>6} {'decoder':>8}")
    with tempfile.TemporaryDirectory() as scratch:
        for index in range(options.cases):
            rng = random.Random(options.seed * 100_003 + index)
            folder = (options.keep or Path(scratch)) / f"case-{index}"
            folder.mkdir(parents=True, exist_ok=True)
            decoder, prior, model = build(rng, folder)
            settings = random_settings(rng, decoder, folder)
            layout = rng.choice(["named", "found", "combined"])
            label = f"{index:4} {settings['command']:9} {settings.get('scheduler', '(own)'):18} {layout:9}"
            pipe = combined(prior, model, settings)
            try:
                result = run(pipe, settings, folder)
            except (ValueError, RuntimeError, TypeError, IndexError) as refused:
                refusals += 1
                print(f"{label} the reference refuses: {str(refused)[:90]}")
                continue
            if layout == "combined":
                own = {key: value for key, value in settings.items() if not key.startswith("scheduler")}
                model = folder / "combined"
                combined(prior, folder / "models" / "decoder", own).save_pretrained(model)
            arguments = holdout.command_line(options.overpaint, model, settings, folder, folder)
            if layout == "named":
                arguments += ["--prior", str(prior)]
            done = subprocess.run(arguments, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                failures += 1
                print(f"{label} FAILED, exit {done.returncode}: {done.stderr.strip()[:400]}\n     {arguments}")
                continue
            try:
                by_norm, by_max, levels, decoded = holdout.compare(result, folder)
            except (ValueError, KeyError, FileNotFoundError) as wrong:
                failures += 1
                print(f"{label} FAILED: {wrong}\n     {arguments}")
                continue
            verdict = ""
            if not holdout.is_within(by_norm, by_max, levels):
                with runner.exact_sums():
                    exact = holdout.compare(run(pipe, settings, folder), folder)
                again = decoder_alone(pipe, folder)
                verdict = f"  with exact sums {exact[0]:.1e} {exact[1]:.1e} {exact[2]}, decoder alone {again}"
                rounding = is_nearer(pipe, result, settings, folder)
                verdict += ", nearer to f64 than the reference" if rounding else ""
                if not (rounding or holdout.is_within(*exact[:2], 0)) or min(exact[2], again) > holdout.LEVELS:
                    failures += 1
                    verdict += f"  DIFFERS\n     {settings}\n     {decoder}"
            print(f"{label} {len(result.latents):5} {by_norm:8.1e} {by_max:8.1e} {levels:6} {decoded:8.1e}{verdict}")
    print(f"{failures} of {options.cases - refusals} outside the bounds, {refusals} refused by the reference")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
