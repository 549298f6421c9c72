"""How runs are stored: what `tests/parity/pipelines.rs` compares a run with.

    python tests/reference/store.py     # brings runs that were stored whole to this form

* Of the states the first, one in between and the last: every state before shows in the last.  The last is whole; of the
  others every second row and column is kept, as a wrong number spreads over all of a state within a step.
* Of a picture every second row and column, and its size.  Whole where bytes of the original are put back around what
  was made (`overlay`, `padding-mask-crop`): there each pixel is a case of its own.
"""

import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"


def thinned(array):
    """Every second row and column; of a tensor the last two sides."""
    return array[..., ::2, ::2].contiguous() if isinstance(array, torch.Tensor) else array[::2, ::2]


def looked_at(count: int) -> list[int]:
    """Of the states after so many steps those that are stored."""
    return sorted({0, count // 2, count - 1})


def save_states(file: Path, latents: dict[int, torch.Tensor]) -> None:
    """`latents` by their steps; those that are looked at."""
    last = max(latents)
    kept = {index: latents[index] for index in looked_at(last + 1)}
    tensors = {
        f"latents_{index:03}": (state if index == last else thinned(state)).contiguous() for index, state in kept.items()
    }
    save_file(tensors, file)


def save_pictures(folder: Path, name: str, pictures: list[np.ndarray], settings: dict) -> dict:
    """The pictures of a run; gives what its row in the table of cases says about them."""
    whole = settings.get("overlay") or "padding-mask-crop" in settings
    for index, picture in enumerate(pictures):
        suffix = f"-{index}" if len(pictures) > 1 else ""
        kept = picture if whole else thinned(picture)
        Image.fromarray(kept).save(folder / f"{name}{suffix}.png", optimize=True)
    row = {"images": len(pictures)}
    if pictures and not whole:
        height, width = pictures[0].shape[:2]
        row["size"] = [width, height]
    return row


def save_run(folder: Path, name: str, result, settings: dict, pictures: bool = True) -> dict:
    """States and, if they are wanted, pictures of a `runner.Result`; gives its row."""
    save_states(folder / f"{name}.safetensors", dict(enumerate(result.latents)))
    row = save_pictures(folder, name, result.pictures if pictures else [], settings)
    return {"name": name, "settings": settings, **row, "timesteps": result.timesteps}


def thin_stored(folder: Path, row: dict) -> dict:
    """A run that was stored whole; it stays as it is where it was not."""
    name, count = row["name"], row["images"]
    states = load_file(folder / f"{name}.safetensors")
    latents = {int(key.removeprefix("latents_")): state for key, state in states.items()}
    if len({state.shape for state in latents.values()}) == 1 and "size" not in row:
        save_states(folder / f"{name}.safetensors", latents)
    if "size" in row or not count:
        return row
    files = [folder / f"{name}{f'-{index}' if count > 1 else ''}.png" for index in range(count)]
    kept = save_pictures(folder, name, [np.asarray(Image.open(file)) for file in files], row["settings"])
    timesteps = {"timesteps": row.pop("timesteps")} if "timesteps" in row else {}
    return row | kept | timesteps


def main() -> None:
    for table_file in sorted(FIXTURES.glob("*/*.json")):
        table = json.loads(table_file.read_text())
        rows = table.get("cases", []) if isinstance(table, dict) else []
        if not any("images" in row for row in rows):
            continue
        table["cases"] = [thin_stored(table_file.parent / "cases", row) for row in rows]
        table_file.write_text(json.dumps(table, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
