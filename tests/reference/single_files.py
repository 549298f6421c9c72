"""From a folder in diffusers layout to one file in the original layout, for the parity of single-file checkpoints.

    python tests/reference/single_files.py FOLDER FILE.safetensors [--family sd1|sd2|xl|refiner] [--half]

Real files come from training code, not from diffusers; their names are those of the modules in that code. `to_original`
gives a model's tensors these names; `reads_back` lets diffusers convert them back and compares.
"""

import argparse
import json
from pathlib import Path

import torch
from diffusers.loaders import single_file_utils
from safetensors.torch import load_file, save_file

from originals import OUTSIDE, RESNET

OPEN_CLIP = {
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "self_attn.out_proj": "attn.out_proj",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
}


def tensors_of(folder: Path) -> dict:
    """All tensors of a component's folder, whatever its files are called."""
    found = {}
    for file in sorted(folder.glob("*.safetensors")):
        found |= load_file(file)
    return found


def layer_of(name: str, table: dict, module: str = "") -> str:
    """`name` with its module renamed."""
    for ours, original in table.items():
        if name == ours or name.startswith(f"{ours}."):
            return original + name[len(ours) :]
    raise KeyError(f"{module}{name}")


def inside(kind: str, rest: str) -> str:
    return layer_of(rest, RESNET) if kind == "resnets" else rest


def unet_name(name: str, layers: list[int], attends_up: list[bool]) -> str:
    """The original's name: blocks are numbered through."""
    parts = name.split(".")
    if parts[0] == "down_blocks":
        level, kind, index, rest = int(parts[1]), parts[2], int(parts[3]), ".".join(parts[4:])
        first = 1 + sum(count + 1 for count in layers[:level])
        if kind == "downsamplers":
            return f"input_blocks.{first + layers[level]}.0.op{rest.removeprefix('conv')}"
        return f"input_blocks.{first + index}.{int(kind == 'attentions')}.{inside(kind, rest)}"
    if parts[0] == "mid_block":
        kind, index, rest = parts[1], int(parts[2]), ".".join(parts[3:])
        place = 1 if kind == "attentions" else 2 * index
        return f"middle_block.{place}.{inside(kind, rest)}"
    if parts[0] == "up_blocks":
        level, kind, index, rest = int(parts[1]), parts[2], int(parts[3]), ".".join(parts[4:])
        backwards = layers[::-1]
        first = sum(count + 1 for count in backwards[:level])
        if kind == "upsamplers":
            return f"output_blocks.{first + backwards[level]}.{1 + attends_up[level]}.{rest}"
        return f"output_blocks.{first + index}.{int(kind == 'attentions')}.{inside(kind, rest)}"
    return layer_of(name, OUTSIDE)


def unet(folder: Path) -> dict:
    config = json.loads((folder / "config.json").read_text())
    channels = config["block_out_channels"]
    layers = config["layers_per_block"]
    layers = [layers] * len(channels) if isinstance(layers, int) else layers
    attends_up = ["CrossAttn" in kind for kind in config.get("up_block_types", [])]
    return {unet_name(name, layers, attends_up): tensor for name, tensor in tensors_of(folder).items()}


def autoencoder_name(name: str, levels: int) -> str:
    name = name.replace("conv_shortcut", "nin_shortcut").replace("conv_norm_out", "norm_out")
    name = name.replace("mid_block.attentions.0.", "mid.attn_1.")
    for ours, original in (("query", "to_q"), ("key", "to_k"), ("value", "to_v"), ("proj_attn", "to_out.0")):
        name = name.replace(f".{ours}.", f".{original}.")
    for ours, original in (("group_norm", "norm"), ("to_q", "q"), ("to_k", "k"), ("to_v", "v"), ("to_out.0", "proj_out")):
        name = name.replace(f"attn_1.{ours}.", f"attn_1.{original}.")
    for index in range(2):
        name = name.replace(f"mid_block.resnets.{index}.", f"mid.block_{index + 1}.")
    for level in range(levels):
        name = name.replace(f"down_blocks.{level}.resnets.", f"down.{level}.block.")
        name = name.replace(f"down_blocks.{level}.downsamplers.0.", f"down.{level}.downsample.")
    for level in range(levels):
        name = name.replace(f"up_blocks.{level}.resnets.", f"up.{levels - 1 - level}.block.")
        name = name.replace(f"up_blocks.{level}.upsamplers.0.", f"up.{levels - 1 - level}.upsample.")
    return name


def autoencoder(folder: Path) -> dict:
    """Attention as 1x1 convolutions, as the original has it."""
    levels = len(json.loads((folder / "config.json").read_text())["block_out_channels"])
    found = {autoencoder_name(name, levels): tensor for name, tensor in tensors_of(folder).items()}
    is_attention = lambda name: ".attn_1." in name and name.endswith("weight") and ".norm." not in name
    return {
        name: tensor.reshape(*tensor.shape[:2], 1, 1) if is_attention(name) else tensor
        for name, tensor in found.items()
    }


def clip(folder: Path) -> dict:
    """CLIP in transformers' own names, with the buffer of position ids that old files have."""
    names = {name.removeprefix("text_model."): tensor for name, tensor in tensors_of(folder).items()}
    found = {
        name if name.startswith("text_projection") else f"text_model.{name}": tensor for name, tensor in names.items()
    }
    found["text_model.embeddings.position_ids"] = torch.arange(77).view(1, 77)
    return found


def open_clip(folder: Path) -> dict:
    names = {name.removeprefix("text_model."): tensor for name, tensor in tensors_of(folder).items()}
    found = {
        "positional_embedding": names.pop("embeddings.position_embedding.weight"),
        "token_embedding.weight": names.pop("embeddings.token_embedding.weight"),
        "ln_final.weight": names.pop("final_layer_norm.weight"),
        "ln_final.bias": names.pop("final_layer_norm.bias"),
        "logit_scale": torch.tensor(4.6),
    }
    names.pop("embeddings.position_ids", None)
    if "text_projection.weight" in names:
        found["text_projection"] = names.pop("text_projection.weight").T
    for name in list(names):
        _, _, layer, rest = name.split(".", 3)
        block = f"transformer.resblocks.{layer}"
        if rest.startswith("self_attn.q_proj"):
            kind = rest.rsplit(".", 1)[1]
            parts = [names[name.replace("q_proj", f"{which}_proj")] for which in "qkv"]
            found[f"{block}.attn.in_proj_{kind}"] = torch.cat(parts)
        elif not rest.startswith(("self_attn.k_proj", "self_attn.v_proj")):
            found[f"{block}.{layer_of(rest, OPEN_CLIP)}"] = names[name]
    return found


def controlnet_name(name: str, config: dict) -> str:
    """The original's name. The small encoder has two layers for each width but the first, and an activation each."""
    start, _, rest = name.partition(".")
    if start == "controlnet_cond_embedding":
        *path, kind = rest.split(".")
        last = 2 * (2 * (len(config["conditioning_embedding_out_channels"]) - 1) + 1)
        block = {"conv_in": 0, "conv_out": last}[path[0]] if len(path) == 1 else 2 * int(path[1]) + 2
        return f"input_hint_block.{block}.{kind}"
    if start == "controlnet_down_blocks":
        connection, _, rest = rest.partition(".")
        return f"zero_convs.{connection}.0.{rest}"
    if start == "controlnet_mid_block":
        return f"middle_block_out.0.{rest}"
    layers = config["layers_per_block"]
    layers = [layers] * len(config["block_out_channels"]) if isinstance(layers, int) else layers
    return unet_name(name, layers, [])


def controlnet(tensors: dict, config: dict) -> dict:
    """A ControlNet's tensors by their original names; diffusers' own loader must lead back, but for the added conditions
    of Stable Diffusion XL, which it reads in U-Nets only."""
    renamed = {f"control_model.{controlnet_name(name, config)}": tensor for name, tensor in tensors.items()}
    back = single_file_utils.convert_controlnet_checkpoint(dict(renamed), config)
    known = {name: tensor for name, tensor in tensors.items() if not name.startswith("add_embedding.")}
    assert all(torch.equal(back[name], tensor) for name, tensor in known.items())
    return renamed


def prefixed(prefix: str, tensors: dict) -> dict:
    return {prefix + name: tensor for name, tensor in tensors.items()}


TEXTS = {
    "sd1": [("text_encoder", "cond_stage_model.transformer.", clip)],
    "sd2": [("text_encoder", "cond_stage_model.model.", open_clip)],
    "xl": [
        ("text_encoder", "conditioner.embedders.0.transformer.", clip),
        ("text_encoder_2", "conditioner.embedders.1.model.", open_clip),
    ],
    "refiner": [("text_encoder_2", "conditioner.embedders.0.model.", open_clip)],
}


def to_original(folder: Path, family: str, without: tuple = ()) -> dict:
    """A whole model's tensors, with the buffers that training leaves in files."""
    found = prefixed("model.diffusion_model.", unet(folder / "unet"))
    if "vae" not in without:
        found |= prefixed("first_stage_model.", autoencoder(folder / "vae"))
    for part, prefix, convert in TEXTS[family]:
        if part not in without:
            found |= prefixed(prefix, convert(folder / part))
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 10) ** 2
    found |= {"betas": betas, "alphas_cumprod": torch.cumprod(1 - betas, 0), "model_ema.num_updates": torch.tensor(7)}
    return found


def save(tensors: dict, file: Path, dtype: torch.dtype | None = None, metadata: dict | None = None) -> Path:
    halved = lambda tensor: tensor.to(dtype) if dtype and tensor.is_floating_point() else tensor
    stored = {name: halved(tensor).clone().contiguous() for name, tensor in tensors.items()}
    save_file(stored, file, metadata={"format": "pt"} | (metadata or {}))
    return file


def original(folder: Path, file: Path, family: str, **options) -> Path:
    """Writes a whole model as one file; options are those of `save`."""
    return save(to_original(folder, family), file, **options)


def reads_back(tensors: dict, folder: Path, family: str) -> None:
    """Lets diffusers' own loader rename the tensors, and compares with the folder they came from."""
    config = json.loads((folder / "unet/config.json").read_text())
    checks = {"unet": single_file_utils.convert_ldm_unet_checkpoint(dict(tensors), config)}
    config = json.loads((folder / "vae/config.json").read_text())
    checks["vae"] = single_file_utils.convert_ldm_vae_checkpoint(dict(tensors), config)
    for part, prefix, convert in TEXTS[family]:
        if convert is clip:
            checks[part] = single_file_utils.convert_ldm_clip_checkpoint(dict(tensors))
        else:
            # Of a model with a configuration, diffusers only asks for its width.
            width = json.loads((folder / part / "config.json").read_text())["hidden_size"]
            model = type("Model", (), {"config": type("Config", (), {"hidden_size": width})})
            whole = {name: tensor for name, tensor in tensors.items() if name != f"{prefix}text_projection"}
            checks[part] = single_file_utils.convert_open_clip_checkpoint(model, whole, prefix)
    for part, found in checks.items():
        found = {name.removeprefix("text_model."): tensor for name, tensor in found.items()}
        for name, tensor in tensors_of(folder / part).items():
            name = name.removeprefix("text_model.")
            if name != "text_projection.weight":
                assert torch.equal(found[name].reshape(tensor.shape), tensor), f"{part}: {name}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("file", type=Path)
    parser.add_argument("--family", choices=sorted(TEXTS), default="sd1")
    parser.add_argument("--half", action="store_true")
    arguments = parser.parse_args()
    original(arguments.folder, arguments.file, arguments.family, dtype=torch.float16 if arguments.half else None)
