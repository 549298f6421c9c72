"""Small procedural pictures and masks, so that the fixtures need no photographs."""

from pathlib import Path

import numpy as np
from PIL import Image


def picture(width: int, height: int, seed: int = 0) -> Image.Image:
    """Hills, a sun and some grain: large shapes, fine detail, all channels different."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    u, v = x / width, y / height
    hill = 0.55 + 0.15 * np.sin(7 * u + seed) + 0.07 * np.sin(23 * u + 2 * seed)
    land = (v > hill)[..., None]
    sky = np.stack([60 + 120 * v, 110 + 90 * v, 235 - 60 * v], -1)
    ground = np.stack([90 + 80 * np.sin(9 * u * v), 140 - 60 * v, 40 + 50 * u], -1)
    sun = np.exp(-(((u - 0.7) ** 2 + (v - 0.25) ** 2) / 0.01))[..., None] * np.array([160, 120, -40])
    grain = rng.normal(0, 9, (height, width, 3))
    return Image.fromarray(np.clip(np.where(land, ground, sky + sun) + grain, 0, 255).astype(np.uint8))


def mask(width: int, height: int, kind: str, seed: int = 0) -> Image.Image:
    """One of the mask kinds that the traps need."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    if kind == "disc":  # soft edge: every grey, 127 and 128 among them
        distance = np.hypot((x - 0.55 * width) / width, (y - 0.45 * height) / height)
        values = 255 * np.clip((0.38 - distance) / 0.12, 0, 1)
    elif kind == "levels":  # bars at 0, 1, 64, 126, 127, 128, 129, 254, 255
        bars = np.array([0, 255, 1, 128, 64, 254, 127, 129, 126])
        values = bars[(x * len(bars) // width).astype(int)]
    elif kind == "small":  # a hard box, off centre, for the crop
        values = 255.0 * ((x > 0.55 * width) & (x < 0.8 * width) & (y > 0.2 * height) & (y < 0.5 * height))
    elif kind == "noise":
        values = rng.integers(0, 256, (height, width)).astype(np.float64)
    elif kind == "corner":  # touches two borders, faint outskirts
        values = np.clip(300 - 5.0 * np.hypot(x, height - y), 0, 255)
    else:
        raise ValueError(kind)
    return Image.fromarray(values.astype(np.uint8), "L")


def write_inputs(folder: Path) -> None:
    """Every input file that `cases.py` names."""
    folder.mkdir(parents=True, exist_ok=True)
    picture(64, 64, 1).save(folder / "square.png")
    picture(150, 101, 2).save(folder / "wide.png")
    picture(75, 120, 3).save(folder / "tall.png")
    picture(57, 43, 4).convert("L").save(folder / "grey.png")
    see_through = picture(90, 70, 5).convert("RGBA")
    see_through.putalpha(mask(90, 70, "disc"))
    see_through.save(folder / "alpha.png")
    mask(64, 64, "disc").save(folder / "square-disc.png")
    mask(64, 64, "levels").save(folder / "square-levels.png")
    mask(150, 101, "disc").save(folder / "wide-disc.png")
    mask(150, 101, "small").save(folder / "wide-small.png")
    mask(75, 120, "corner").save(folder / "tall-corner.png")
    mask(75, 120, "small").save(folder / "tall-small.png")
    mask(200, 80, "levels").save(folder / "other-size-levels.png")
    mask(64, 64, "noise", 6).save(folder / "square-noise.png")
    coloured = Image.merge("RGB", [mask(64, 64, kind, 7) for kind in ("disc", "levels", "corner")])
    coloured.save(folder / "square-coloured.png")
