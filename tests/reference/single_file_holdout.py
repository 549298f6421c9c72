"""Single-file checkpoints nobody has seen: random models in the proportions of the published ones, converted to one
file in one of the ways that the field has, run by diffusers from the folder and by the command line from the file.

    python tests/reference/single_file_holdout.py --overpaint target/release/overpaint --seed 1 --cases 30

Every file is also converted back by diffusers. A quarter of the models have proportions that no header tells; then a
folder of the file's name lies beside it. Exit code as `holdout.py`.
"""

import argparse
import json
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

import holdout
import models
import runner
import single_file_fixtures as published
import single_files
import xl_models

FAMILIES = ["sd1", "sd1-inpaint", "sd2", "sd2-v", "sd2-inpaint", "xl", "xl-inpaint", "refiner"]


def random_unet(rng: random.Random, family: str) -> dict:
    count = rng.choice([2, 2, 3])
    step = 32 if family == "sd1" else 64
    channels = [step * rng.choice([1, 2]) for _ in range(count)]
    crossed = [rng.random() < 0.6 for _ in range(count)]
    crossed[rng.randrange(count)] = True
    depth = [rng.choice([1, 2]) for _ in range(count)] if family in ("xl", "refiner") else [1] * count
    # The middle is as deep as the last level, and where no text is attended to, no header tells a depth.
    depth = [levels if cross or index == count - 1 else 1 for index, (levels, cross) in enumerate(zip(depth, crossed))]
    kinds = lambda way, crossed: [("CrossAttn" if cross else "") + f"{way}Block2D" for cross in crossed]
    heads = 8 if family == "sd1" else [width // 64 for width in channels]
    return dict(
        sample_size=64,
        block_out_channels=channels,
        layers_per_block=rng.choice([1, 2]),
        norm_num_groups=32,
        down_block_types=kinds("Down", crossed),
        up_block_types=kinds("Up", crossed[::-1]),
        transformer_layers_per_block=depth,
        attention_head_dim=heads,
        use_linear_projection=family != "sd1",
    )


def build_published(rng: random.Random, kind: str, folder: Path) -> tuple[str, dict]:
    """A model as the fixtures have them, with other sizes. Gives its family and settings for the hold-out's cases."""
    family, _, variant = kind.partition("-")
    xl = family in ("xl", "refiner")
    seed = rng.getrandbits(30)
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    sizes = lambda: dict(hidden_size=rng.choice([64, 128]), num_hidden_layers=rng.choice([2, 3]))
    parts, context = {}, 0
    for part, cls, base in (
        ("text_encoder", CLIPTextModel, published.TEXT if family in ("sd1", "xl") else published.TEXT_2),
        ("text_encoder_2", CLIPTextModelWithProjection, published.TEXT_2),
    ):
        if (part == "text_encoder" and family == "refiner") or (part == "text_encoder_2" and not xl):
            continue
        settings = base | sizes()
        settings["num_attention_heads"] = settings["hidden_size"] // 64
        if kind == "sd2" and rng.random() < 0.5:
            settings |= dict(num_hidden_layers=23, hidden_size=64, num_attention_heads=1)
        parts[part] = cls(CLIPTextConfig(**settings))
        context += settings["hidden_size"]
        second = part == "text_encoder_2" or family == "sd2"
        spec = models.Spec("", 0, {}, {}, {}, ("", {}), None, pad_token="!" if second else "<|endoftext|>")
        models.make_tokenizer(spec, folder, part.replace("text_encoder", "tokenizer"))
    unet = random_unet(rng, family) | dict(in_channels=9 if variant == "inpaint" else 4, cross_attention_dim=context)
    numbers = 5 if family == "refiner" else 6
    if xl:
        width = rng.choice([8, 16])
        inputs = published.TEXT_2["projection_dim"] + numbers * width
        unet |= dict(addition_embed_type="text_time", addition_time_embed_dim=width)
        unet |= dict(projection_class_embeddings_input_dim=inputs)
    parts["unet"] = UNet2DConditionModel(**unet)
    levels = [32 * rng.choice([1, 2]) for _ in range(rng.choice([3, 4]))]
    vae = models.vae_blocks(levels) | dict(latent_channels=4, layers_per_block=rng.choice([1, 2]), norm_num_groups=32)
    parts["vae"] = AutoencoderKL(**vae, scaling_factor=0.13025 if xl else 0.18215)
    for module in parts.values():
        models.randomise(module, generator)
        module.eval()
    scheduler = published.EULER if xl else published.PNDM if kind == "sd1" else published.DDIM
    prediction = "v_prediction" if variant == "v" else "epsilon"

    def added(count: int) -> dict | None:
        if not xl:
            return None
        ids = torch.randint(0, 100, (count, numbers), generator=generator).float()
        return dict(text_embeds=torch.randn(count, published.TEXT_2["projection_dim"], generator=generator), time_ids=ids)

    models.fit_unet_head(parts["unet"], prediction, generator, added)
    models.scale_vae(parts["vae"], generator)
    store = rng.choice(["f16", "f32", "bf16"])
    for part, module in parts.items():
        models.store_component(models.rounded(module, store), folder / part, store)
    (folder / "scheduler").mkdir()
    config = scheduler | dict(prediction_type=prediction)
    (folder / "scheduler/scheduler_config.json").write_text(json.dumps(config))
    flags = dict(force_zeros_for_empty_prompt=family != "refiner", requires_aesthetics_score=family == "refiner")
    (folder / "model_index.json").write_text(json.dumps(flags))
    spec = models.Spec("", 0, unet, vae, {}, ("", {}))
    if xl:
        index = dict(requires_aesthetics_score=True) if family == "refiner" else {}
        spec = xl_models.XlSpec("", 0, unet, vae, {}, {}, ("", {}), index=index)
    return family, spec


def write_file(rng: random.Random, kind: str, family: str, folder: Path, file: Path) -> str:
    """One file, with the habits of the programs that write such files. Gives what was done."""
    tensors = single_files.to_original(folder, family)
    single_files.reads_back(tensors, folder, family)
    habits, metadata = [], {}
    if kind == "sd2-v":
        if rng.random() < 0.5:
            tensors["v_pred"] = torch.zeros(0)
        else:
            metadata["modelspec.prediction_type"] = "v"
    if any("resblocks.22." in name for name in tensors) and family == "sd2":
        habits.append("unread layer")
        unread = {n.replace(".22.", ".23."): t * 2 for n, t in tensors.items() if "resblocks.22." in n}
        tensors |= unread
    if rng.random() < 0.3:
        habits.append("averages")
        weights = [(n, t) for n, t in tensors.items() if n.startswith("model.diffusion_model.")]
        tensors |= {"model_ema." + n.removeprefix("model.").replace(".", ""): t * 0.5 for n, t in weights}
    if rng.random() < 0.3:
        habits.append("new text names")
        tensors = {n.replace(".text_model.", "."): t for n, t in tensors.items()}
    if rng.random() < 0.3:
        habits.append("linear projection")
        turned = lambda n, t: (f"{n}.weight", t.T) if n.endswith(".text_projection") else (n, t)
        tensors = dict(turned(n, t) for n, t in tensors.items())
    if rng.random() < 0.3:
        habits.append("linear attention in the autoencoder")
        is_it = lambda n, t: ".attn_1." in n and t.ndim == 4
        tensors = {n: t.reshape(t.shape[:2]) if is_it(n, t) else t for n, t in tensors.items()}
    if rng.random() < 0.2:
        habits.append("state_dict")
        tensors = {f"state_dict.{n}": t for n, t in tensors.items()}
    single_files.save(tensors, file, metadata=metadata)
    return ", ".join(habits)


def one_case(rng: random.Random, folder: Path) -> tuple[str, Path, Path, dict]:
    """Label, reference folder, file, and settings."""
    if rng.random() < 0.25:
        kind = rng.choice(["sd1", "xl"])
        source = models if kind == "sd1" else xl_models
        spec = source.random_spec(rng.getrandbits(30))
        # The original names have none for a network that is told the guidance.
        spec.unet.pop("time_cond_proj_dim", None)
        family = "refiner" if kind == "xl" and spec.text is None else kind
        model = source.build(spec, folder / "model")
        file = folder / "model.safetensors"
        single_files.save(single_files.to_original(model, family), file)
        # What lies beside is all but the weights.
        beside = folder / "elsewhere"
        shutil.copytree(model, beside)
        for weights in model.rglob("*.safetensors*"):
            weights.unlink()
        return f"{family} with a folder", beside, file, holdout.random_settings(rng, spec, folder)
    kind = rng.choice(FAMILIES)
    model = folder / "reference"
    model.mkdir()
    family, spec = build_published(rng, kind, model)
    file = folder / "model.safetensors"
    habits = write_file(rng, kind, family, model, file)
    settings = holdout.plain_settings(rng, spec, folder)
    if family in ("xl", "refiner"):
        settings |= holdout.random_added(rng, settings)
    return f"{kind} ({habits})", model, file, settings


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--overpaint", type=Path, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--cases", type=int, default=20)
    parser.add_argument("--keep", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    failures = 0
    with tempfile.TemporaryDirectory() as scratch:
        for index in range(options.cases):
            rng = random.Random(options.seed * 100_003 + index)
            folder = (options.keep or Path(scratch)) / f"case-{index}"
            folder.mkdir(parents=True)
            label, model, file, settings = one_case(rng, folder)
            label = f"{index:3} {settings['command']:9} {settings.get('scheduler', '(own)'):18} {label:60}"
            arguments = holdout.command_line(options.overpaint, file, settings, folder, folder)
            try:
                result = runner.run(model, settings, folder)
            except (ValueError, NotImplementedError, IndexError) as refused:
                print(f"{label} the reference refuses: {str(refused)[:90]}")
                continue
            done = subprocess.run(arguments, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                failures += 1
                print(f"{label} FAILED, exit {done.returncode}: {done.stderr.strip()[:400]}", flush=True)
                continue
            try:
                measured = holdout.compare(result, folder)[:3]
            except (ValueError, KeyError, FileNotFoundError) as wrong:
                failures += 1
                print(f"{label} FAILED: {wrong}", flush=True)
                continue
            verdict, is_out = holdout.judge(result, lambda: runner.run(model, settings, folder), folder)
            failures += is_out
            print(f"{label} {measured[0]:.1e} {measured[1]:.1e} {measured[2]}{verdict}", flush=True)
            if not options.keep:
                shutil.rmtree(folder)
    print(f"{failures} of {options.cases} outside the bounds")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
