"""LoRA files in the forms of the field, for the small models, and what diffusers with PEFT makes of them.

    python tests/reference/lora.py

writes tests/fixtures/parity/inputs/loras (the files) and the cases of lora.json.  A file is one drawn set of matrices under
the names of one form; which layers it has, and its ranks and alphas, differ from file to file.
"""

import json
import random
from dataclasses import dataclass, field
from pathlib import Path

import torch
from diffusers.utils.peft_utils import set_weights_and_activate_adapters
from safetensors.torch import save_file
from transformers import CLIPTextModel

import cases
import originals

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures" / "parity"
ATTENTION = ("to_q", "to_k", "to_v", "to_out.0")
TEXT = ("q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2")


@dataclass
class Matrices:
    """What one layer gets: `up @ down`, times alpha / rank where there is an alpha."""

    down: torch.Tensor
    up: torch.Tensor
    alpha: float | None = None
    bias: torch.Tensor | None = None


@dataclass
class Lora:
    """A LoRA: component -> module path -> matrices."""

    parts: dict[str, dict[str, Matrices]] = field(default_factory=dict)


def layers(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Weights of everything that can be adapted, by path."""
    kinds = (torch.nn.Linear, torch.nn.Conv2d)
    return {name: part.weight for name, part in module.named_modules() if isinstance(part, kinds)}


def is_attention(path: str) -> bool:
    """The projections of attention and the layers around them: what a plain LoRA has."""
    return "transformer_blocks" in path or path.endswith(("proj_in", "proj_out"))


def in_attention(path: str) -> bool:
    """The projections of attention alone."""
    return path.endswith(ATTENTION)


def mostly_outside_attention(path: str) -> bool:
    """Everything, but of attention only a few."""
    return "attn" not in path or path.endswith(("attn1.to_out.0", "attn2.to_k"))


def ends(*names: str):
    """Layers whose paths end so."""
    return lambda path: path.endswith(names)


def draw(weight: torch.Tensor, rank: int, strength: float, generator: torch.Generator) -> Matrices:
    """Matrices whose product is about `strength` times as large as the weight."""
    outputs, inputs = weight.shape[:2]
    down = torch.randn(rank, *weight.shape[1:], generator=generator) * weight[0].numel() ** -0.5
    up = torch.randn(outputs, rank, *[1] * (weight.ndim - 2), generator=generator)
    scale = strength * weight.detach().std() * weight[0].numel() ** 0.5 * rank**-0.5
    return Matrices(down.half(), (up * scale).half())


def drawn(parts: dict, seed: int, rank, strength: float = 0.5, chosen=is_attention, alpha=None, texts=TEXT) -> Lora:
    """A LoRA for the components; `rank` and `alpha` are numbers, or functions of the module's path."""
    generator = torch.Generator().manual_seed(seed)
    lora = Lora()
    for part, module in parts.items():
        text = part.startswith("text_encoder")
        lora.parts[part] = {}
        for path, weight in layers(module).items():
            if path.endswith(texts) if text else chosen(path):
                matrices = draw(weight, rank(path) if callable(rank) else rank, strength, generator)
                matrices.alpha = alpha(path) if callable(alpha) else alpha
                # The product keeps its size whatever the alpha.
                if matrices.alpha:
                    matrices.up = (matrices.up.float() * matrices.down.shape[0] / matrices.alpha).half()
                lora.parts[part][path] = matrices
    return lora


def entries(lora: Lora):
    """(component, module path, matrices) of all layers."""
    return ((part, path, one) for part, paths in lora.parts.items() for path, one in paths.items())


def peft(lora: Lora) -> dict:
    """As diffusers saves them today."""
    tensors = {}
    for part, path, one in entries(lora):
        tensors[f"{part}.{path}.lora_A.weight"] = one.down
        tensors[f"{part}.{path}.lora_B.weight"] = one.up
        if one.bias is not None:
            tensors[f"{part}.{path}.lora_B.bias"] = one.bias
    return tensors


def old_diffusers(lora: Lora) -> dict:
    """As diffusers saved them before PEFT, with the text encoder's model prefix."""
    tensors = {}
    for part, path, one in entries(lora):
        name = f"{part}.{path}.lora" if part == "unet" else f"{part}.text_model.{bare(path)}.lora_linear_layer"
        tensors[f"{name}.down.weight"] = one.down
        tensors[f"{name}.up.weight"] = one.up
    return tensors


def processors(lora: Lora) -> dict:
    """As the first training scripts wrote them: attention processors."""
    text = {"q_proj": "to_q", "k_proj": "to_k", "v_proj": "to_v", "out_proj": "to_out"}
    tensors = {}
    for part, path, one in entries(lora):
        if part == "unet" and path.endswith(ATTENTION):
            start, end = path.removesuffix(".0").rsplit(".", 1)
            name = f"{part}.{start}.processor.{end}_lora"
        elif part != "unet" and path.rsplit(".", 1)[1] in text:
            start, end = bare(path).rsplit(".", 1)
            name = f"{part}.text_model.{start}.{text[end]}_lora"
        else:
            continue
        tensors[f"{name}.down.weight"] = one.down
        tensors[f"{name}.up.weight"] = one.up
    return tensors


def bare(path: str) -> str:
    """A path in a text encoder without the module that only some of transformers' classes have."""
    return path.removeprefix("text_model.")


def original_paths(unet: torch.nn.Module) -> dict[str, str]:
    """What kohya's trainers call the layers of Stable Diffusion XL, which they train in the original code."""
    tensors = originals.unet(unet.state_dict(), unet.config)
    names = zip(unet.state_dict(), tensors)
    start, end = len(originals.UNET), len(".weight")
    return {ours[:-end]: theirs[start:-end] for ours, theirs in names if ours.endswith(".weight")}


def kohya(lora: Lora, first_text: str = "lora_te", original: dict | None = None) -> dict:
    """As kohya's trainers write them; `original` renames paths of the U-Net."""
    prefixes = {"unet": "lora_unet_", "text_encoder": f"{first_text}_", "text_encoder_2": "lora_te2_"}
    tensors = {}
    for part, path, one in entries(lora):
        if part != "unet" and path != "text_projection":
            path = f"text_model.{bare(path)}"
        name = prefixes[part] + (original or {}).get(path, path).replace(".", "_")
        tensors[f"{name}.lora_down.weight"] = one.down
        tensors[f"{name}.lora_up.weight"] = one.up
        if one.alpha is not None:
            tensors[f"{name}.alpha"] = torch.tensor(one.alpha)
    return tensors


def metadata(lora: Lora, rank: int, alpha: float, patterns: dict) -> dict:
    """PEFT's configuration for the header; `patterns` are alphas by module path."""
    config = {}
    for part, paths in lora.parts.items():
        ranks = {path: one.down.shape[0] for path, one in paths.items() if one.down.shape[0] != rank}
        own = {path: alpha for path, alpha in patterns.items() if part == "unet"}
        values = dict(r=rank, lora_alpha=alpha, rank_pattern=ranks, alpha_pattern=own, target_modules=sorted(paths))
        config |= {f"{part}.{key}": value for key, value in values.items()}
    return {"format": "pt", "lora_adapter_metadata": json.dumps(config, sort_keys=True)}


def by_kind(three: int, other: int):
    """One number for 3x3 convolutions and the time embedding, another for everything else."""

    def choose(path: str) -> int:
        return three if "conv" in path or "time_emb" in path else other

    return choose


def write_files(folder: Path) -> None:
    """All LoRA files."""
    folder.mkdir(parents=True, exist_ok=True)
    import runner

    load = lambda name: {  # noqa: E731
        part: module for part, module in runner.load_parts(FIXTURES / "models" / name).items() if part in PARTS
    }
    inpaint, base, plain = load("inpaint-pndm"), load("base-v"), load("base-sharded")

    written = {
        "peft": peft(drawn(plain, 1, rank=4)),
        "old-diffusers": old_diffusers(drawn(plain, 2, rank=by_kind(3, 5))),
        "processors": processors(drawn(plain, 3, rank=2)),
        "kohya": kohya(drawn(inpaint, 4, rank=4, alpha=1.0, chosen=ends("to_q", "to_v"))),
    }
    # LoCon: convolutions too, 3x3 ones of another rank and alpha.
    locon = drawn(plain, 5, rank=by_kind(2, 4), alpha=by_kind(1, 2), strength=0.25, chosen=mostly_outside_attention)
    written["locon"] = kohya(locon)

    # Alphas all over: the reference loses those of attention and of the text encoder.
    def varied(path: str) -> float:
        return [1.0, 2.0, 2.0, 3.0][sum(map(ord, path)) % 4]

    # Some layers have an alpha, some have none.
    def partly(path: str) -> float | None:
        return 2.0 if "proj_in" in path or "fc1" in path else None

    some = dict(chosen=ends("attn1.to_q", "attn2.to_v", "proj_in", "ff.net.2"), texts=("q_proj", "fc1"))
    written["alphas"] = kohya(drawn(plain, 6, rank=3, alpha=varied, strength=0.8, **some), "lora_te1")
    written["some-alphas"] = kohya(drawn(plain, 7, rank=by_kind(2, 4), alpha=partly, strength=0.8, **some))

    biased = drawn({"unet": base["unet"]}, 9, rank=2, chosen=lambda path: "ff.net" in path)
    generator = torch.Generator().manual_seed(9)
    for _, _, one in entries(biased):
        one.bias = (torch.randn(one.up.shape[0], generator=generator) * 0.2).half()
    written["biased"] = peft(biased)

    some = ends("attn2.to_k", "attn1.to_q", "proj_in")
    header = drawn(base, 8, rank=lambda path: 2 if path.endswith("to_k") else 3, chosen=some)
    patterns = {path: 4.0 for path in header.parts["unet"] if path.endswith(("to_q", "proj_in"))}
    written["header"] = peft(header)

    xl = load("../../families/models/xl-base")
    written["xl-peft"] = peft(drawn(xl, 10, rank=3, texts=(*TEXT, "text_projection")))
    written["xl-kohya"] = kohya(
        drawn(xl, 11, rank=by_kind(2, 3), strength=0.3, alpha=varied, chosen=mostly_outside_attention),
        "lora_te1",
        original_paths(xl["unet"]),
    )

    for name, tensors in written.items():
        about = metadata(header, 3, 5.0, patterns) if name == "header" else None
        save_file(tensors, folder / f"{name}.safetensors", metadata=about)
        (folder / f"{name}.safetensors").chmod(0o644)


PARTS = ("unet", "text_encoder", "text_encoder_2")


def attach(pipe, loras: list, folder: Path) -> None:
    """Loads (file, scale) pairs, the files in `folder`, and sets their scales."""
    shim = CLIPTextModel.__dict__.get("text_model")
    if shim is not None:
        # With it, diffusers would take the text encoder for one of older transformers.
        del CLIPTextModel.text_model
    names = [f"lora{index}" for index in range(len(loras))]
    for name, (file, _) in zip(names, loras):
        pipe.load_lora_weights(str(folder / file), adapter_name=name)
    # What pipe.set_adapters comes to, which fails where layers_per_block is a list.
    for part in PARTS:
        component = getattr(pipe, part, None)
        present = [(n, scale) for n, (_, scale) in zip(names, loras) if n in getattr(component, "peft_config", {})]
        if present:
            set_weights_and_activate_adapters(component, *map(list, zip(*present)))
    if shim is not None:
        CLIPTextModel.text_model = shim


def random_loras(rng: random.Random, model: Path, folder: Path) -> list:
    """One to three new files for a model, in any form, with their scales; the files go to `folder`."""
    import runner

    parts = {part: module for part, module in runner.load_parts(model).items() if part in PARTS and module is not None}
    chosen = []
    for index in range(rng.choice([1, 1, 2, 3])):
        form = rng.choice([peft, old_diffusers, processors, kohya, kohya])
        layers_of = rng.choice([is_attention, in_attention, lambda path: True])
        if form is processors:
            layers_of = in_attention
        some = {part: module for part, module in parts.items() if part == "unet" or rng.random() < 0.6}
        ranks, alphas = [rng.randint(1, 6) for _ in range(3)], [rng.choice([1.0, 1.5, 2.0]) for _ in range(3)]
        rank = lambda path, ranks=ranks: ranks[len(path) % 3]  # noqa: E731
        alpha = lambda path, alphas=alphas: alphas[len(path) % 3]  # noqa: E731
        drawn_one = drawn(some, rng.getrandbits(30), rank, rng.uniform(0.2, 0.5), layers_of, alpha if form is kohya else None)
        file = f"lora-{index}.safetensors"
        save_file(form(drawn_one), folder / file)
        chosen.append([file, round(rng.uniform(-0.8, 1.0), 2)])
    return chosen


def with_loras(make):
    """A case of cases.py with (file, scale) pairs; few steps are enough."""

    def case(model: str, *loras, **options) -> dict:
        return make(model, **{"num_inference_steps": 3} | options) | {"lora": list(map(list, loras))}

    return case


fill, generate, transform = map(with_loras, (cases.fill, cases.generate, cases.transform))

XL_CASES = {
    "lora-xl-peft": generate("xl-base", ("loras/xl-peft.safetensors", 0.8)),
    "lora-xl-kohya": generate("xl-base", ("loras/xl-kohya.safetensors", 0.6), clip_skip=1, negative_prompt="fog"),
    "lora-xl-two": transform(
        "xl-base", ("loras/xl-kohya.safetensors", -0.3), ("loras/xl-peft.safetensors", 0.5), num_inference_steps=5
    ),
}

CASES = {
    "lora-peft": generate("base-sharded", ("loras/peft.safetensors", 1.0)),
    "lora-old-diffusers": fill("base-sharded", ("loras/old-diffusers.safetensors", 0.8), seed=3),
    "lora-processors": generate("base-sharded", ("loras/processors.safetensors", 1.0), clip_skip=1),
    "lora-kohya": fill("inpaint-pndm", ("loras/kohya.safetensors", 0.6)),
    "lora-locon": generate("base-sharded", ("loras/locon.safetensors", 1.0), seed=5),
    "lora-alphas": generate("base-sharded", ("loras/alphas.safetensors", 0.7)),
    "lora-some-alphas": generate("base-sharded", ("loras/some-alphas.safetensors", 0.7)),
    "lora-header": generate("base-v", ("loras/header.safetensors", 0.5)),
    "lora-biased": generate("base-v", ("loras/biased.safetensors", 1.3), guidance_scale=3.0),
    "lora-two": generate("base-sharded", ("loras/peft.safetensors", 0.7), ("loras/locon.safetensors", -0.4), seed=6),
    "lora-three": transform(
        "base-sharded", ("loras/locon.safetensors", 0.5), ("loras/peft.safetensors", 0.0), ("loras/old-diffusers.safetensors", 0.4), num_inference_steps=5
    ),
    "lora-zero": fill("inpaint-pndm", ("loras/kohya.safetensors", 0.0), seed=8),
}


def main() -> None:
    import make_fixtures

    torch.set_num_threads(1)
    write_files(FIXTURES / "inputs" / "loras")
    for fixtures, listed in ((FIXTURES, CASES), (FIXTURES.parent / "families", XL_CASES)):
        make_fixtures.FIXTURES = fixtures
        rows = [make_fixtures.write_case(name, case, FIXTURES / "inputs") for name, case in listed.items()]
        table = {"provenance": make_fixtures.provenance("lora.py"), "cases": rows}
        (fixtures / "lora.json").write_text(json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    main()
