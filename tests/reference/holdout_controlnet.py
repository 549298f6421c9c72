"""New models with new ControlNets: diffusers against the command line, nothing stored.

    python tests/reference/holdout_controlnet.py --overpaint target/release/overpaint --seed 1 --cases 20

As `holdout.py`, whose measures it shares: one or two ControlNets a case, made for the case's U-Net, with their own
pictures, scales, parts of the schedule and channel orders.  Exit code 0: all within; 1: some case is not, or failed.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path

import torch

import controlnet
import holdout
import models
import pictures
import runner
import xl_models

# What a ControlNet's configuration takes over from its U-Net's.
SHARED = (
    "block_out_channels down_block_types layers_per_block attention_head_dim transformer_layers_per_block "
    "only_cross_attention norm_num_groups norm_eps cross_attention_dim use_linear_projection upcast_attention "
    "flip_sin_to_cos freq_shift act_fn addition_embed_type addition_time_embed_dim "
    "projection_class_embeddings_input_dim"
).split()


def random_controlnet(rng: random.Random, spec: models.Spec | xl_models.XlSpec, model: Path) -> dict:
    """A configuration that fits the U-Net and the autoencoder."""
    halvings = len(spec.vae["block_out_channels"]) - 1
    unet = json.loads((model / "unet" / "config.json").read_text())
    return {key: unet[key] for key in SHARED} | dict(
        conditioning_embedding_out_channels=[rng.choice([2, 4, 6, 8]) for _ in range(halvings + 1)],
        controlnet_conditioning_channel_order=rng.choice(["rgb", "rgb", "bgr"]),
        global_pool_conditions=rng.random() < 0.15,
    )


def random_control(rng: random.Random, spec: models.Spec | xl_models.XlSpec, settings: dict, folder: Path) -> dict:
    """Settings with ControlNets, which are written to `folder`."""
    count = rng.choice([1, 1, 2])
    added = {"controlnet": []}
    for index in range(count):
        name = f"control-{index}"
        seed, scale = str(rng.getrandbits(30)), rng.choice([0.15, 0.3, 0.5])
        net, _ = controlnet.make(random_controlnet(rng, spec, folder / "model"), seed, scale)
        models.store_component(net, folder / name, rng.choice(["f16", "f32", "fp16-variant"]))
        added["controlnet"].append(name)
    made = settings["command"] == "fill" and "padding-mask-crop" not in settings and rng.random() < 0.5
    if settings["command"] == "fill" and made:
        # The reference's documentation makes it of a picture and a mask of one size.
        size = runner.load_image(str(folder / settings["image"])).size
        pictures.mask(*size, rng.choice(["disc", "levels", "noise"]), rng.randrange(1000)).save(folder / "mask.png")
    names = []
    for index in range(count):
        if made and (count == 1 or rng.random() < 0.6):
            names.append(controlnet.FROM_MASK)
            continue
        if settings["command"] == "generate" or "width" in settings:
            size = rng.randint(40, 150), rng.randint(40, 150)
        else:
            size = runner.load_image(str(folder / settings["image"])).size
        pictures.picture(*size, rng.randrange(1000)).save(folder / f"control-{index}.png")
        names.append(f"control-{index}.png")
    if names != [controlnet.FROM_MASK] or rng.random() < 0.5:
        added["control-image"] = names
    if rng.random() < 0.7:
        added["controlnet-conditioning-scale"] = [rng.choice([0.0, 0.3, 0.8, 1.0, 1.5]) for _ in range(count)]
    if rng.random() < 0.4:
        added["control-guidance-start"] = [rng.choice([0.0, 0.1, 0.3, 0.5]) for _ in range(count)]
    if rng.random() < 0.4:
        added["control-guidance-end"] = [rng.choice([0.6, 0.75, 0.9, 1.0]) for _ in range(count)]
    if rng.random() < 0.3:
        added["guess-mode"] = True
    if not (isinstance(spec, xl_models.XlSpec) and settings["command"] == "fill"):
        settings = {key: value for key, value in settings.items() if key != "guidance-rescale"}
    return settings | added


def random_case(rng: random.Random, family: str, folder: Path) -> tuple:
    """A model and its settings without ControlNets."""
    if family == "sd":
        spec = models.random_spec(rng.getrandbits(30))
        # ControlNets know one number of layers for all levels.
        spec.unet["layers_per_block"] = rng.choice([1, 2])
        model = models.build(spec, folder / "model")
        return spec, model, holdout.plain_settings(rng, spec, folder)
    spec = xl_models.random_spec(rng.getrandbits(30))
    while spec.text is None:
        spec = xl_models.random_spec(rng.getrandbits(30))
    model = xl_models.build(spec, folder / "model")
    settings = holdout.plain_settings(rng, spec, folder)
    added = holdout.random_added(rng, settings)
    if settings["command"] == "fill":
        # This pipeline knows no other sizes for the negative prompt.
        added = {key: value for key, value in added.items() if not key.endswith(("size", "left")) or "negative" not in key}
    elif settings["command"] == "generate" and rng.random() < 0.2:
        added["denoising-end"] = rng.choice([0.4, 0.7])
    return spec, model, settings | added


def command_line(program: str, model: Path, settings: dict, folder: Path) -> list[str]:
    """The same settings as arguments of the program."""
    plain = {key: value for key, value in settings.items() if not isinstance(value, list)}
    arguments = holdout.command_line(program, model, plain, folder, folder)
    for key, values in settings.items():
        if not isinstance(values, list):
            continue
        for value in values:
            is_file = key == "controlnet" or key == "control-image" and value != controlnet.FROM_MASK
            arguments.append(f"--{key}={folder / value if is_file else value}")
    return arguments


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--overpaint", required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--cases", type=int, default=10)
    parser.add_argument("--family", choices=["sd", "xl"], default="sd")
    parser.add_argument("--keep", type=Path, help="keep models, pictures and outputs in this folder")
    options = parser.parse_args()
    torch.set_num_threads(1)
    failures = compared = 0
    print(f"{'case':>4} {'command':9} {'nets':>4} {'steps':>5} {'by norm':>8} {'by max':>8} {'levels':>6}")
    with tempfile.TemporaryDirectory() as scratch:
        for index in range(options.cases):
            rng = random.Random(options.seed * 100_003 + index)
            folder = (options.keep or Path(scratch)) / f"case-{index}"
            folder.mkdir(parents=True, exist_ok=True)
            spec, model, settings = random_case(rng, options.family, folder)
            settings = random_control(rng, spec, settings, folder)
            label = f"{index:4} {settings['command']:9} {len(settings['controlnet']):4}"
            try:
                result = controlnet.run(model, folder, settings, folder)
            except (ValueError, NotImplementedError, IndexError, RuntimeError) as refused:
                print(f"{label} the reference refuses: {str(refused)[:90]}")
                continue
            arguments = command_line(options.overpaint, model, settings, folder)
            done = subprocess.run(arguments, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                failures += 1
                print(f"{label} FAILED, exit {done.returncode}: {done.stderr.strip()[:400]}\n     {arguments}")
                continue
            compared += 1
            by_norm, by_max, levels, _ = holdout.compare(result, folder)
            again = lambda: controlnet.run(model, folder, settings, folder)
            verdict, is_out = holdout.judge(result, again, folder)
            if is_out:
                failures += 1
                verdict += f"\n     {settings}\n     {spec}"
            print(f"{label} {len(result.latents):5} {by_norm:8.1e} {by_max:8.1e} {levels:6}{verdict}")
    print(f"{compared} compared, {failures} failed or outside the bounds")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
