"""Models that are described instead of stored: every weight follows from its name, and what was fitted lies beside.

A component's folder holds its `config.json` and `weights.json`: for each tensor its name, shape, mean and deviation.
The numbers come from a hash of the name and the place (`hashed`), in steps that f16 rounds the same way everywhere, so
that a reader in any language makes the same file; `tests/parity/described.rs` is one.  Tensors that were fitted to
something lie in `fitted.safetensors`.
"""

import json
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

# Of bytes, drawn evenly: centre and deviation.
CENTRE, DEVIATION = 127.5, 74.0

# What a line of weights.json holds.
ROW = ("name", "shape", "mean", "deviation")


def hashed(name: str, count: int) -> np.ndarray:
    """`count` numbers of mean 0 and deviation 1, in f32: FNV-1a of the name, then SplitMix64 by place."""
    state = 0xCBF29CE484222325
    for byte in name.encode():
        state = ((state ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    with np.errstate(over="ignore"):
        z = np.uint64(state) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    bytes_ = (z >> np.uint64(56)).astype(np.float32)
    return (bytes_ - np.float32(CENTRE)) / np.float32(DEVIATION)


def tensor(row: dict, seed: str) -> torch.Tensor:
    """The tensor of a row of `weights.json`, rounded to f16."""
    shape = row["shape"]
    values = hashed(f"{seed}/{row['name']}", int(np.prod(shape)))
    values = values * np.float32(row["deviation"]) + np.float32(row["mean"])
    return torch.from_numpy(values.astype(np.float16)).reshape(shape)


def rule(name: str, parameter: torch.Tensor) -> dict:
    """Uneven norms, biases that count, attention that looks at some places more than at others."""
    sharp = ("to_q.weight", "to_k.weight", "add_k_proj.weight", "q_proj.weight", "k_proj.weight")
    mean, deviation = 0.0, 0.25
    if parameter.ndim == 1:
        mean = 1.0 if "norm" in name and name.endswith("weight") else 0.0
    elif "conv_y" in name:
        mean, deviation = 0.0, 0.3
    elif name.endswith(("token_embedding.weight", "prd_embedding")):
        deviation = 1.0
    elif "position" in name:
        deviation = 0.4
    elif name in ("clip_mean", "clip_std"):
        mean = 0.9 if name == "clip_std" else 0.1
    else:
        deviation = (1.8 if name.endswith(sharp) else 1.0) / parameter[0].numel() ** 0.5
    if "conv_y.bias" in name:
        mean = 1.0
    deviation = float(f"{deviation:.4g}")
    return {"name": name, "shape": list(parameter.shape), "mean": mean, "deviation": deviation}


@torch.no_grad()
def fill(module: torch.nn.Module, seed: str) -> torch.nn.Module:
    """The module with the weights that their names stand for."""
    for name, parameter in module.named_parameters():
        parameter.copy_(tensor(rule(name, parameter), seed).float())
    return module.eval()


def rounded(module: torch.nn.Module) -> torch.nn.Module:
    """The same with every weight as f16 has it."""
    return module.half().float().eval()


def save(module: torch.nn.Module, folder: Path, seed: str) -> None:
    """Writes config.json, weights.json, and what differs from the rule."""
    module.save_config(folder) if hasattr(module, "save_config") else module.config.save_pretrained(folder)
    rows, fitted = [], {}
    for name, parameter in module.named_parameters():
        row = rule(name, parameter)
        value = parameter.detach().half()
        if torch.equal(value, tensor(row, seed)):
            rows.append(row)
        else:
            fitted[name] = value.contiguous()
    lines = ",\n".join(json.dumps(list(row.values()), separators=(",", ":")) for row in rows)
    (folder / "weights.json").write_text(f'{{"seed": {json.dumps(seed)}, "tensors": [\n{lines}\n]}}\n')
    if fitted:
        save_file(fitted, folder / "fitted.safetensors")


def materialise(folder: Path, target: Path, stem: str) -> None:
    """A component as repositories have it: config.json and `stem`.safetensors in f16."""
    target.mkdir(parents=True, exist_ok=True)
    (target / "config.json").write_text((folder / "config.json").read_text())
    description = json.loads((folder / "weights.json").read_text())
    rows = [dict(zip(ROW, row, strict=True)) for row in description["tensors"]]
    tensors = {row["name"]: tensor(row, description["seed"]) for row in rows}
    if (folder / "fitted.safetensors").exists():
        tensors |= load_file(folder / "fitted.safetensors")
    save_file(tensors, target / f"{stem}.safetensors", metadata={"format": "pt"})
